"""Files that hold records -> records, each with the place where it is found again: one file per format."""
