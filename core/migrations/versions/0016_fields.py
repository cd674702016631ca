"""Custom fields, links, watchers, approvals, failure codes, other cost."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_sql("0016_fields.sql")
