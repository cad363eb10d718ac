"""Looking at a dataset without changing it."""
