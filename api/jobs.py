"""Housekeeping of the doors: what nobody may use any more is forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from api import idempotency, identity
from api.accounts import tries
from core import clock, jobs


@jobs.every(seconds=3600, name="api.sweep")
def sweep(conn: Connection, _payload: dict[str, Any], _now: datetime) -> None:
    """Old idempotency keys of the site, and ended sessions; by wall time, as they were made."""
    now = clock.wall_now()
    idempotency.sweep(conn, now=now)
    identity.sweep(conn, now=now)


@jobs.every(seconds=60, name="api.tries")
def tell_tries(conn: Connection, _payload: dict[str, Any], _now: datetime) -> None:
    """What failed at the door reaches the record."""
    tries.tell(conn, now=clock.wall_now())
