"""How many alarms a plant asks for at most."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0035"
down_revision = "0032"


def upgrade() -> None:
    run_sql("0035_asked.sql")
