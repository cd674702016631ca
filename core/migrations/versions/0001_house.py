"""The house: identity, plant, telemetry, judgement, maintenance, tickets."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("0001_house.sql")
