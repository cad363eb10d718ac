"""Who runs the tasks of a build: processes on this machine, or Ray on many."""
