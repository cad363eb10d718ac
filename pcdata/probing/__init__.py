"""Measuring whether a compressor is a good proxy, before training."""
