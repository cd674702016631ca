"""Data that come after their time was judged."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql("0007_late.sql")
