"""Assets, classes and what diagnosis has learnt."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run_sql("0022_assets.sql")
