"""Drills: faults on purpose, against the real parts, and a count of what they cost."""
