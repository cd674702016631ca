"""Suggestions for a new ticket, learnt from the tickets that are closed: who, what skill, how urgent, what failed."""
