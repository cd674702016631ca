"""Remaining life: what run-to-failure histories teach, and how good past predictions were."""
