"""Guides for the people at the machine: articles per asset class and failure mode."""
