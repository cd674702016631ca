"""Automation: when something happens, if an expression holds, then typed actions; guards that nobody gets round."""
