"""Four eyes, smallest quantities of parts, and what was offered to whom."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql("0028_beside.sql")
