"""Processes of our own: where they find modules, and how to let one do what may kill it."""
