"""Recorded moments go with the samples that they belong to."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run_sql("0027_forget.sql")
