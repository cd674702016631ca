"""Preventive plans and job plans."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run_sql("0024_plans.sql")
