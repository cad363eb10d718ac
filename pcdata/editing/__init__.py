"""Changing existing datasets: add a view, drop one, merge several."""
