"""What engineers have in hand, counted in an index."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    run_sql("0036_in_hand.sql")
