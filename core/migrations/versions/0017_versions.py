"""Custom fields and failure codes get a version and the name of who changed them."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_sql("0017_versions.sql")
