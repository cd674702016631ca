"""Judges for plain streams: no setpoints, no states, nothing known beforehand but the order of the rows."""
