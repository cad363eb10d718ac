"""Changing datasets that are there: add a view, drop one, merge several."""
