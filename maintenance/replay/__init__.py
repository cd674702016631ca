"""Time travel: recorded weeks run again in a sandbox, and the difference to what was live."""
