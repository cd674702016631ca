"""Alarm rules that people declare, and the versions of them that were in force."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run_sql("0031_detectors.sql")
