"""Batches → weights."""
