"""The timeline is the truth: hashes of its events, and the row that they add up to. Pure.

event n:  hash = sha256(canonical JSON of every field, the previous hash included)
row:      version = events that changed a column, event_count = n, head_hash = hash of event n
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tickets.errors import ChainBroken
from tickets.model import Event, Ticket, TicketKind, Verdict

GENESIS = b""
TIMES = frozenset({"opened_at", "respond_by", "resolve_by", "responded_at", "done_at", "closed_at"})
COLUMNS = (
    "ref",
    "kind",
    "status",
    "priority",
    "title",
    "description",
    "asset_id",
    "mode",
    "channel",
    "requester_id",
    "assignee_id",
    "skill",
    *sorted(TIMES),
    "held_from",
    "hold_reason",
    "verdict",
    "failure_code",
    "fields",
    "lifecycle_id",
    "assignment_reasons",
    "parent_id",
    "merged_into",
    "cost",
    "downtime_s",
    "safety",
    "tags",
)  # everything but the ids and what the chain itself yields
LISTS = frozenset({"assignment_reasons", "tags"})
BLANK: Mapping[str, Any] = dict.fromkeys(COLUMNS) | {"cost": 0.0, "safety": False, "tags": ()}  # before the first event


def seal(event: Event) -> Event:
    """The event with its hash."""
    return replace(event, hash=event_hash(event))


def event_hash(event: Event) -> bytes:
    """sha256 over the canonical JSON of every field but the hash itself and the actor's role (which is not kept)."""
    content = {
        "ticket_id": event.ticket_id,
        "site_id": event.site_id,
        "seq": event.seq,
        "at": time_text(event.at),
        "actor": [event.actor.kind.value, event.actor.actor_id, event.actor.name],
        "kind": event.kind,
        "audience": event.audience.value,
        "body": event.body,
        "prev": event.prev_hash.hex(),
    }
    return hashlib.sha256(canonical(content).encode()).digest()


def canonical(value: Any) -> str:
    """JSON that is the same before and after PostgreSQL's jsonb: sorted keys, whole floats as integers, no spaces.

    Raises ValueError or TypeError for what jsonb cannot keep: NaN, infinity, NUL, lone surrogates, other types.
    """
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and math.isfinite(value):
        exact = Decimal(repr(value))
        return int(exact) if exact == exact.to_integral_value() else value
    if isinstance(value, Mapping):
        return {_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("text must not hold NUL")
    value.encode()  # a lone surrogate raises UnicodeEncodeError
    return value


def time_text(at: datetime) -> str:
    """RFC 3339 in UTC with all six digits."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_json(column: str, value: Any) -> Any:
    """A column's value as the timeline keeps it."""
    if value is not None and column in TIMES:
        return time_text(value)
    return _listed(value) if column == "fields" or column in LISTS else value


def _listed(value: Any) -> Any:
    return json.loads(canonical(value))


def from_json(column: str, value: Any) -> Any:
    """The inverse of :func:`to_json`."""
    if value is None:
        return None
    if column in TIMES:
        return datetime.fromisoformat(value)
    if column == "kind":
        return TicketKind(value)
    if column == "verdict":
        return Verdict(value)
    return tuple(value) if column in LISTS else value


def replay(events: Iterable[Event]) -> Ticket:
    """Rebuild the row from its whole timeline; raises ChainBroken when there is no opening event."""
    values: dict[str, Any] = dict(BLANK)
    version, last = 0, None
    for event in events:
        after = event.body.get("after", {})
        values |= {name: from_json(name, value) for name, value in after.items()}
        version += bool(after)
        last = event
    if last is None or values["ref"] is None:
        raise ChainBroken("The timeline has no opening event.")
    return Ticket(
        ticket_id=last.ticket_id,
        site_id=last.site_id,
        version=version,
        event_count=last.seq,
        head_hash=last.hash,
        **values,
    )


def row_of(ticket: Ticket) -> Ticket:
    """The ticket without what was looked up beside its row, to compare it with a replay."""
    return replace(ticket, assignee_name=None, assignee_user_id=None)


def problems(row: Ticket, events: Sequence[Event]) -> Iterator[str]:
    """What does not hold between a row and its timeline, as sentences; nothing when both are whole."""
    previous = GENESIS
    for position, event in enumerate(events, start=1):
        if event.seq != position:
            yield f"Event {position} is missing: {event.seq} stands in its place."
        if event.prev_hash != previous:
            yield f"Event {event.seq} does not follow the event before it."
        if event.hash != event_hash(event):
            yield f"Event {event.seq} was changed."
        previous = event.hash
    if row.event_count != len(events):
        yield f"The row counts {row.event_count} events, the timeline has {len(events)}."
    if row.head_hash != previous:
        yield "The row's head hash is not the last event's."
    yield from _row_problems(row, events)


def _row_problems(row: Ticket, events: Sequence[Event]) -> Iterator[str]:
    try:
        rebuilt = replay(events)
    except (ChainBroken, ValueError, TypeError) as error:
        yield f"The timeline cannot be replayed: {error}"
        return
    for name in ("site_id", *COLUMNS, "version"):
        if getattr(rebuilt, name) != getattr(row, name):
            yield f"The row's {name} is not what the timeline says."
