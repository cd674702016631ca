"""How each source is doing, and what is said when one falls silent."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql("0006_pipeline.sql")
