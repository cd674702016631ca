"""Background jobs of the ticket core: SLA timers, and a sweep that catches what a timer missed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from core.jobs import every, job
from tickets import clocks
from tickets.clocks import Mark
from tickets.sla import ClockKind

SWEEP_S = 20.0


@job("sla.warn")
def warn(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """The warning time of a clock has come."""
    _fire(conn, Mark.WARNING, payload, now)


@job("sla.breach")
def breach(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    """The due time of a clock has come."""
    _fire(conn, Mark.BREACH, payload, now)


@every(seconds=SWEEP_S, name="sla.sweep")
def sweep(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Look for clocks past a mark that nobody recorded, as after a jump of the plant clock."""
    clocks.sweep(conn, now)


def _fire(conn: Connection, mark: Mark, payload: dict[str, Any], now: datetime) -> None:
    clocks.fire(
        conn,
        mark,
        ticket_id=payload["ticket_id"],
        kind=ClockKind(payload["clock"]),
        generation=payload["generation"],
        now=now,
    )
