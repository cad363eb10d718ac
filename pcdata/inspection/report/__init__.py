"""``pcdata report``: a dataset as one page for a browser."""
