"""Alarm rules: limits, rates, timers and missing data that people declare, judged row by row beside the detectors."""
