"""How to keep what was heard."""
