"""A chain of the movements of every shelf, and read-only views for panels."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    run_sql("0032_panels.sql")
