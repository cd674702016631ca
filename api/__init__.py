"""Doors: HTTP API, live events, the command line, and the composition root."""
