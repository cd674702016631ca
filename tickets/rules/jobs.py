"""Background jobs of the rules: timers, rules by the clock, webhooks, and forgetting old log lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from core.jobs import every, job
from core.settings import settings
from tickets.rules import delivery, engine, outbox, runs, targets, timers

TICK_S = 30.0
FORGET_S = 3600.0


@job(timers.JOB)
def due(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """Actions for later have become due."""
    engine.ring(conn, payload["timer_id"], now)


@every(seconds=TICK_S, name="rules.tick")
def tick(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Rules that run by the clock, and timers that nobody rang."""
    engine.tick(conn, now)


@job(outbox.JOB)
def send(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """One attempt to send a webhook's message."""
    delivery.attempt(conn, payload["delivery_id"], allowed=targets.networks(settings().webhook_networks), now=now)


@every(seconds=FORGET_S, name="rules.forget")
def forget(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Keep the logs bounded."""
    runs.forget(conn, now)
    delivery.forget(conn, now)
