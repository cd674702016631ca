"""When an offline step was made: the phone's own time counts where it can be true, else the time of its arrival.

A phone keeps what was done without a network and sends it later, with the time at which the finger touched the glass.
That time may not lie in the future, not further back than DAYS, and not before what the same person did on the ticket
before, or before the ticket was given to them. Within SKEW of the arrival it is as good as the arrival.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg import Connection

from tickets.chain import time_text
from tickets.model import Actor, Ticket

DAYS = 7
SKEW = timedelta(minutes=2)  # so far may two clocks be apart


class Doubt(StrEnum):
    """Why a device's time was not believed."""

    FUTURE = "future"
    OLD = "old"
    BEFORE = "before"  # what came before it


@dataclass(frozen=True, slots=True)
class Told:
    """The time that counts, and what the event says about it."""

    at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)


def of(conn: Connection, actor: Actor, ticket: Ticket, given: datetime | None, *, now: datetime) -> Told:
    """When a step that arrives ``now`` was made, if its device says ``given``."""
    if given is None or abs(given - now) <= SKEW:
        return Told(now)
    doubt = judge(given, now=now, floor=_floor(conn, actor, ticket))
    if doubt is not None:
        return Told(now, {"device_doubt": {"at": time_text(given), "why": doubt.value}})
    return Told(given, {"device_at": time_text(given)})


def judge(given: datetime, *, now: datetime, floor: datetime) -> Doubt | None:
    """What speaks against a device's time; None = it may be true. Pure."""
    if given > now:
        return Doubt.FUTURE
    if given < now - timedelta(days=DAYS):
        return Doubt.OLD
    return Doubt.BEFORE if given < floor else None


def _floor(conn: Connection, actor: Actor, ticket: Ticket) -> datetime:
    """The last thing that the actor did on the ticket, or its last assignment, by the times that counted."""
    row = conn.execute(
        """select max(coalesce((body->>'device_at')::timestamptz, at)) from ticket_events where ticket_id = %s
           and (kind = 'assigned' or (actor_kind = %s and actor_id is not distinct from %s))""",
        (ticket.ticket_id, actor.kind.value, actor.actor_id),
    ).fetchone()
    return max(ticket.opened_at, row[0]) if row and row[0] else ticket.opened_at
