"""Judgement: from samples to findings."""
