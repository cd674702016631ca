"""Silences: an alarm that a person said is none is not sent again for the policy's window, unless it grows."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection
from psycopg.types.json import Jsonb

from maintenance import policies, store
from maintenance.decide import MuteWhy
from maintenance.store import KeptAlarm
from plant import assets


def add(conn: Connection, kept: KeptAlarm, why: MuteWhy, *, now: datetime, ticket_id: int | None = None) -> None:
    """Silence the alarm from now on; for an order (None: a proposal) that has done so, until the later of the ends."""
    policy = policies.of(conn, assets.asset(conn, kept.asset_id), kept.mode)
    conn.execute(
        """insert into mutes (asset_id, kind, mode, contributions, why, health, ticket_id, made_at, until)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (ticket_id, kind, mode) do update set until = greatest(mutes.until, excluded.until)""",
        (
            kept.asset_id,
            kept.kind.value,
            kept.mode,
            Jsonb(store.evidence_json(kept.evidence)),
            why.value,
            kept.health,
            ticket_id,
            now,
            now + policy.mute,
        ),
    )
