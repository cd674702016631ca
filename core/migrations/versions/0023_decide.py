"""Maintenance policies and the review queue."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_sql("0023_decide.sql")
