"""Guides, their use and what came of it."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql("0014_knowledge.sql")
