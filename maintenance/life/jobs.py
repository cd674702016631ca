"""What runs by itself: predictions whose deviation went away, and models learnt from new failures. Once a site."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from core.jobs import every
from maintenance.life import events_watch, learned, outcomes, watch


@every(seconds=60, name="maintenance.life.settle")
def settle(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    outcomes.settle(conn, now)


@every(seconds=300, name="maintenance.life.learn")
def learn(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    """One class and mode a round: it takes some seconds of processor time for each hundred lives."""
    learned.learn(conn, now)


@every(seconds=5, name="maintenance.life.watch")
def look(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    watch.look(conn, now)


@every(seconds=5, name="maintenance.life.events")
def look_at_logs(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    events_watch.look(conn, now)
