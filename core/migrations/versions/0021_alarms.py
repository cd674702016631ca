"""Alarms are grouped, shelved and counted."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_sql("0021_alarms.sql")
