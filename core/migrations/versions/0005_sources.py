"""Sources that ingest connects to by itself, and what their servers offer."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql("0005_sources.sql")
