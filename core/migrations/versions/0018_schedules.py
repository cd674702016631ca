"""Schedules of reports can be paused."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_sql("0018_schedules.sql")
