"""What the ticket core's columns gained: families, costs, tags."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql("0009_core.sql")
