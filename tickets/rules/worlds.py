"""Worlds of what has just been written: from a change that a verb made, or a ticket and one of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from tickets import chain
from tickets.hooks import Change
from tickets.model import Actor, Event, Ticket
from tickets.rules.world import NO_ASSET, Happening, Row, World

TICK = "tick"  # the event kind of rules that run by the clock


def of_change(conn: Connection, change: Change) -> Iterator[World]:
    """One world an event, oldest first."""
    row = row_of(change.ticket)
    before = None if change.before is None else row_of(change.before)
    asset_of = assets(conn)
    for event in change.events:
        yield World(
            ticket_id=change.ticket.ticket_id,
            row=row,
            before=before,
            happening=happening(event),
            asset_of=asset_of,
            now=change.now,
        )


def of_event(conn: Connection, ticket: Ticket, event: Event, now: datetime) -> World:
    """The ticket as it is now, and an event of its past; ``before`` is what that event changed."""
    row = row_of(ticket)
    former = {name: chain.from_json(name, value) for name, value in event.body.get("before", {}).items()}
    before = None if event.seq == 1 else {**row, **former}
    return World(
        ticket_id=ticket.ticket_id, row=row, before=before, happening=happening(event), asset_of=assets(conn), now=now
    )


def of_tick(ticket: Ticket, actor: Actor, asset_of: Callable[[int], Row], now: datetime) -> World:
    """The ticket as a clock's tick finds it; ``before`` is the same."""
    row = row_of(ticket)
    tick = Happening(TICK, ticket.event_count, now, actor.kind.value, actor.actor_id, actor.name, {})
    return World(ticket_id=ticket.ticket_id, row=row, before=row, happening=tick, asset_of=asset_of, now=now)


def proposed(conn: Connection, ticket: Ticket, changes: Mapping[str, Any], actor: Actor, now: datetime) -> World:
    """The ticket as it would be after a step that is about to be written."""
    row = row_of(ticket)
    step = Happening("transition", ticket.event_count + 1, now, actor.kind.value, actor.actor_id, actor.name, {})
    return World(
        ticket_id=ticket.ticket_id,
        row={**row, **changes},
        before=row,
        happening=replace(step, body={"after": dict(changes)}),
        asset_of=assets(conn),
        now=now,
    )


def row_of(ticket: Ticket) -> Row:
    """The columns of a ticket."""
    return {name: getattr(ticket, name) for name in chain.COLUMNS}


def happening(event: Event) -> Happening:
    """An event as rules see it."""
    actor = event.actor
    return Happening(
        event.kind, event.seq, event.at, actor.kind.value, actor.actor_id, actor.name, event.body, event.audience.value
    )


def assets(conn: Connection) -> Callable[[int], Row]:
    """Looks an asset up when an expression asks for it; once each."""
    known: dict[int, Row] = {}

    def find(asset_id: int) -> Row:
        if asset_id not in known:
            row = conn.execute(
                """select a.asset_id, a.code, a.name, a.class, a.criticality, a.location, a.level, coalesce(p.code, '')
                   from assets a left join assets p on p.asset_id = a.parent_id where a.asset_id = %s""",
                (asset_id,),
            ).fetchone()
            known[asset_id] = NO_ASSET if row is None else dict(zip(NO_ASSET, row, strict=True))
        return known[asset_id]

    return find
