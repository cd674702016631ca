"""Retention tiers, waveforms, and the time-series engine where the server has one."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql("0003_store.sql")
