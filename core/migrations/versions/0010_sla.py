"""Service levels: more clocks, several marks."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql("0010_sla.sql")
