"""What is declared of a machine for judging its vibration."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_sql("0029_vibration.sql")
