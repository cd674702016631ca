"""Machines with physics and faults, device fleets, and people. They speak only the wire."""
