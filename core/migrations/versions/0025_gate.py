"""Back-tests and what they allow."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    run_sql("0025_gate.sql")
