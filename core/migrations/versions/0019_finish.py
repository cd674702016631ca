"""What the ticket room still lacked."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_sql("0019_finish.sql")
