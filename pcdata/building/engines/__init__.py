"""Engines run the tasks of a build: with processes on this machine, or with Ray on several."""
