"""The shared words, and where telemetry lives."""
