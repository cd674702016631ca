"""Second factors, passkeys, single sign-on, scopes of tokens, agents, and the record of what was done to accounts."""

from __future__ import annotations

from core.migrations import run_sql

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_sql("0030_identity.sql")
