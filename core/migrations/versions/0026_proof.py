"""Evidence packs and the ledger."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run_sql("0026_proof.sql")
