"""Predictions are kept and scored."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_sql("0020_life.sql")
