"""Honest figures: one module a benchmark, run as ``python -m benchmarks.NAME``."""
