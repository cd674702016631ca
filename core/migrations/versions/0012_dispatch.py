"""Dispatch and stock."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql("0012_dispatch.sql")
