"""Benchmarks, studies and the demo's summary, each run from the checkout as ``python -m tools.NAME``."""
