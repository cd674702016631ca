"""Automation: rules and what they did."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_sql("0011_rules.sql")
