"""The work at the machine: checklists, labour, attachments."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_sql("0013_work.sql")
