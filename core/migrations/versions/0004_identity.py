"""Devices' keys and certificates, and what was done to them."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql("0004_identity.sql")
