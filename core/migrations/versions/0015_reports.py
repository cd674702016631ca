"""Saved views, reports and search."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql("0015_reports.sql")
