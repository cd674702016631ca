"""Messages that were let go, counted."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql("0008_lane.sql")
