"""SQL of tickets and their timelines: the row and its append-only events are written in one call, nowhere else."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from core import live
from core.errors import Invalid, Stale
from tickets import cause, chain, verbs
from tickets.errors import InvalidFields
from tickets.field_types import FieldFilter
from tickets.hooks import Change
from tickets.model import Actor, ActorKind, Audience, Event, Step, Ticket, TicketKind, Verdict
from tickets.rows import one

PREFIX: Mapping[TicketKind, str] = {
    TicketKind.REQUEST: "REQ",
    TicketKind.INCIDENT: "INC",
    TicketKind.SENSOR_FAULT: "INC",
    TicketKind.CORRECTIVE: "WO",
    TicketKind.PREVENTIVE: "WO",
    TicketKind.INSPECTION: "WO",
}
JSON = frozenset({"fields", "assignment_reasons"})
SELECT: LiteralString = """
  select t.ticket_id, t.site_id, t.ref, t.kind, t.status, t.priority, t.title, t.description, t.asset_id, t.mode,
         t.channel, t.requester_id, t.assignee_id, t.skill, t.opened_at, t.respond_by, t.resolve_by, t.responded_at,
         t.done_at, t.closed_at, t.held_from, t.hold_reason, t.verdict, t.failure_code, t.fields, t.lifecycle_id,
         t.assignment_reasons, t.version, t.event_count, t.head_hash, t.parent_id, t.merged_into, t.cost, t.downtime_s,
         t.safety, t.tags, e.name, e.user_id
  from tickets t left join engineers e on e.engineer_id = t.assignee_id """
FIELD_IS: LiteralString = (
    "exists (select 1 from ticket_field_values v where v.ticket_id = t.ticket_id and v.key = %s and "
)
EVENTS: LiteralString = """
  select ticket_id, site_id, seq, at, actor_kind, actor_id, actor_name, kind, audience, body, prev_hash, hash
  from ticket_events """


class Which(StrEnum):
    """Which tickets a list shows."""

    ALL = "all"
    OPEN = "open"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows; an empty or None field does not filter. ``q`` looks in ref, title and description."""

    which: Which = Which.ALL
    statuses: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    priority: int | None = None
    assignee_id: int | None = None
    requester_id: int | None = None
    asset_id: int | None = None
    mode: str | None = None
    q: str = ""
    fields: tuple[FieldFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, newest first; ``next`` is the cursor of the following part or None."""

    items: list[Ticket]
    next: str | None


# -- writing ----------------------------------------------------------------------------------------------------------


def create(
    conn: Connection, actor: Actor, *, values: Mapping[str, Any], details: Mapping[str, Any], now: datetime
) -> Ticket | None:
    """A new ticket with its ``opened`` event; None when (asset, mode) already has an open one.

    ``values`` are columns without ref. The counter's row is locked until the transaction ends, so call this late.
    """
    prefix = PREFIX[TicketKind(values["kind"])]
    values = {**values, "ref": _next_ref(conn, prefix, now.year)}
    row = conn.execute(
        sql.SQL(
            """insert into tickets ({}) values ({}) on conflict (site_id, asset_id, mode)
               where asset_id is not null and mode is not null and status not in ('closed', 'cancelled')
               do nothing returning ticket_id, site_id"""
        ).format(_names(values), sql.SQL(", ").join(sql.Placeholder() for _ in values)),
        [_db(name, value) for name, value in values.items()],
    ).fetchone()
    if row is None:
        conn.execute(
            "update ref_counters set last = last - 1 where prefix = %s and year = %s", (prefix, now.year)
        )  # we hold its lock, so the number goes back without a gap
        return None
    blank = Ticket(row[0], row[1], version=0, event_count=0, head_hash=chain.GENESIS, **chain.BLANK)
    return _write(conn, blank, actor, now, (Step("opened", values, details, Audience.REQUESTER),), base_version=1)


def save(conn: Connection, ticket: Ticket, actor: Actor, now: datetime, *steps: Step) -> Ticket:
    """Write the steps' changes to the row and their events to the timeline; returns the ticket as it is now.

    The version grows by one for every step that changes a column. Raises Stale when the row is not the one given.
    """
    return _write(conn, ticket, actor, now, steps, base_version=ticket.version)


def _write(
    conn: Connection, ticket: Ticket, actor: Actor, now: datetime, steps: tuple[Step, ...], *, base_version: int
) -> Ticket:
    values = {name: getattr(ticket, name) for name in chain.COLUMNS}
    seq, head, version = ticket.event_count, ticket.head_hash, ticket.version
    changed: dict[str, Any] = {}
    events: list[Event] = []
    for step in steps:
        changes = {name: value for name, value in step.changes.items() if values[name] != value}
        event = _event(ticket, actor, now, step, seq=seq + 1, prev=head, before=values, after=changes)
        events.append(event)
        values |= changes
        changed |= changes
        seq, head, version = event.seq, event.hash, version + bool(changes)
    row = {**changed, "version": version, "event_count": seq, "head_hash": head}
    updated = conn.execute(
        sql.SQL("update tickets set {} where ticket_id = %s and version = %s and event_count = %s").format(
            sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in row)
        ),
        [*(_db(name, value) for name, value in row.items()), ticket.ticket_id, base_version, ticket.event_count],
    )
    if updated.rowcount != 1:
        raise stale(get(conn, ticket.ticket_id))
    for event in events:
        _append(conn, event)
    live.announce(conn, "ticket", ticket.ticket_id)
    written = get(conn, ticket.ticket_id)
    verbs.wrote(
        conn, Change(ticket if ticket.event_count else None, written, tuple(events), actor, cause.current(), now)
    )
    return written


def _event(
    ticket: Ticket,
    actor: Actor,
    now: datetime,
    step: Step,
    *,
    seq: int,
    prev: bytes,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> Event:
    body = dict(step.details)
    because = cause.current()
    if because is not None:
        body["cause"] = because.as_json()
    try:
        if after and seq > 1:
            body["before"] = {name: chain.to_json(name, before[name]) for name in after}
        if after:
            body["after"] = {name: chain.to_json(name, value) for name, value in after.items()}
        return chain.seal(
            Event(ticket.ticket_id, ticket.site_id, seq, now, actor, step.kind, step.audience, body, prev, b"")
        )
    except (ValueError, TypeError) as error:
        raise InvalidFields(f"A value cannot be kept: {error}.") from error


def _append(conn: Connection, event: Event) -> None:
    conn.execute(
        """insert into ticket_events (ticket_id, seq, at, actor_kind, actor_id, actor_name, kind, audience, body,
             prev_hash, hash) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            event.ticket_id,
            event.seq,
            event.at,
            event.actor.kind.value,
            event.actor.actor_id,
            event.actor.name,
            event.kind,
            event.audience.value,
            Jsonb(event.body),
            event.prev_hash,
            event.hash,
        ),
    )


def _next_ref(conn: Connection, prefix: str, year: int) -> str:
    (number,) = one(
        conn,
        """insert into ref_counters (prefix, year, last) values (%s, %s, 1)
           on conflict (site_id, prefix, year) do update set last = ref_counters.last + 1 returning last""",
        (prefix, year),
    )
    return f"{prefix}-{year}-{number:06d}"


def _names(values: Mapping[str, Any]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in values)


def _db(name: str, value: Any) -> Any:
    if name in JSON:
        return Jsonb(list(value) if name in chain.LISTS else dict(value))
    if name in chain.LISTS:
        return list(value)
    return value.value if isinstance(value, StrEnum) else value


# -- reading ----------------------------------------------------------------------------------------------------------


def get(conn: Connection, ticket_id: int) -> Ticket:
    """The ticket; raises NotFound."""
    return _ticket(one(conn, SELECT + "where t.ticket_id = %s", (ticket_id,), missing=_gone(ticket_id)))


def of_ids(conn: Connection, ticket_ids: Sequence[int]) -> list[Ticket]:
    """Those of these tickets that there are, in no order."""
    return [_ticket(row) for row in conn.execute(SELECT + "where t.ticket_id = any(%s)", (list(ticket_ids),))]


def lock(conn: Connection, ticket_id: int, *, version: int | None = None) -> Ticket:
    """The ticket, its row locked to the end of the transaction. Raises NotFound, or Stale unless ``version`` fits."""
    row = one(conn, SELECT + "where t.ticket_id = %s for update of t", (ticket_id,), missing=_gone(ticket_id))
    ticket = _ticket(row)
    if version is not None and ticket.version != version:
        raise stale(ticket, given=version)
    return ticket


def by_ref(conn: Connection, ref: str) -> Ticket:
    """The ticket with this public number; raises NotFound."""
    return _ticket(one(conn, SELECT + "where t.ref = %s", (ref,), missing=f"There is no ticket {ref!r} on this site."))


def open_for(conn: Connection, asset_id: int, mode: str) -> Ticket | None:
    """The one open ticket of this fault, if any."""
    row = conn.execute(
        SELECT + "where t.asset_id = %s and t.mode = %s and t.status not in ('closed', 'cancelled')", (asset_id, mode)
    ).fetchone()
    return _ticket(row) if row else None


def find(conn: Connection, wanted: Filter, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Tickets that fit, newest first, at most ``limit``. Raises Invalid for a cursor that is none of ours."""
    conditions, params = _conditions(wanted)
    if cursor is not None:
        conditions.append(sql.SQL("t.ticket_id < %s"))
        params.append(_id_of(cursor))
    where = sql.SQL(" where ") + sql.SQL(" and ").join(conditions) if conditions else sql.SQL("")
    query = sql.SQL(SELECT) + where + sql.SQL(" order by t.ticket_id desc limit %s")
    rows = [_ticket(row) for row in conn.execute(query, [*params, limit + 1])]
    return Page(rows[:limit], _cursor(rows[limit - 1].ticket_id) if len(rows) > limit else None)


def _conditions(wanted: Filter) -> tuple[list[sql.Composable], list[Any]]:
    text = "%" + wanted.q.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    terms: list[tuple[bool, LiteralString, list[Any]]] = [
        (wanted.which is Which.OPEN, "t.status not in ('closed', 'cancelled')", []),
        (wanted.which is Which.FINISHED, "t.status in ('closed', 'cancelled')", []),
        (bool(wanted.statuses), "t.status = any(%s)", [list(wanted.statuses)]),
        (bool(wanted.kinds), "t.kind = any(%s)", [list(wanted.kinds)]),
        (wanted.priority is not None, "t.priority = %s", [wanted.priority]),
        (wanted.assignee_id is not None, "t.assignee_id = %s", [wanted.assignee_id]),
        (wanted.requester_id is not None, "t.requester_id = %s", [wanted.requester_id]),
        (wanted.asset_id is not None, "t.asset_id = %s", [wanted.asset_id]),
        (wanted.mode is not None, "t.mode = %s", [wanted.mode]),
        (bool(wanted.q), "(t.title ilike %s or t.ref ilike %s or t.description ilike %s)", [text] * 3),
    ]
    terms += [(True, *_field_condition(each)) for each in wanted.fields]
    chosen = [(condition, params) for active, condition, params in terms if active]
    return [sql.SQL(condition) for condition, _ in chosen], [value for _, params in chosen for value in params]


def _field_condition(wanted: FieldFilter) -> tuple[LiteralString, list[Any]]:
    """By the side table: its comparisons may use an index under row-level security, those of JSON may not."""
    if wanted.value is not None:
        return FIELD_IS + "v.value = %s)", [wanted.key, wanted.value]
    low = -math.inf if wanted.low is None else wanted.low
    high = math.inf if wanted.high is None else wanted.high
    return FIELD_IS + "v.number between %s and %s)", [wanted.key, low, high]


def _cursor(ticket_id: int) -> str:
    return base64.urlsafe_b64encode(f"t{ticket_id}".encode()).decode().rstrip("=")


def _id_of(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        if not text.startswith("t") or not 0 < (number := int(text[1:])) < 2**31:
            raise ValueError(text)
    except (ValueError, binascii.Error) as error:
        raise Invalid("This cursor is none of ours; start the list again without it.") from error
    return number


def timeline(conn: Connection, ticket_id: int, *, audience: Audience | None = None, after: int = 0) -> list[Event]:
    """A ticket's events in order; ``audience`` requester leaves the internal ones out; ``after`` a seq."""
    rows = conn.execute(
        EVENTS + "where ticket_id = %s and seq > %s and (%s::text is null or audience = %s) order by seq",
        (ticket_id, after, audience, audience),
    )
    return [_read_event(row) for row in rows]


def verify_chain(conn: Connection, ticket_id: int) -> list[str]:
    """What is wrong with a ticket's timeline, as sentences; empty when it is whole and adds up to the row."""
    row = one(conn, SELECT + "where t.ticket_id = %s for share of t", (ticket_id,), missing=_gone(ticket_id))
    return list(chain.problems(_ticket(row), timeline(conn, ticket_id)))


def verify_site(conn: Connection) -> dict[str, list[str]]:
    """Ref → problems, for every ticket of the current site whose timeline is not whole."""
    tickets = conn.execute("select ticket_id, ref from tickets order by ticket_id").fetchall()
    return {ref: found for ticket_id, ref in tickets if (found := verify_chain(conn, ticket_id))}


def stale(ticket: Ticket, *, given: int | None = None) -> Stale:
    """The error that shows the caller what the ticket has become."""
    current = {name: chain.to_json(name, getattr(ticket, name)) for name in chain.COLUMNS}
    current |= {"ticket_id": ticket.ticket_id, "version": ticket.version}
    return Stale(
        f"{ticket.ref} was changed meanwhile: it is at version {ticket.version}. Reload and try again.",
        current=current,
        given_version=given,
    )


def _ticket(row: tuple[Any, ...]) -> Ticket:
    values = dict(zip(Ticket.__slots__, row, strict=True))
    values["kind"] = TicketKind(values["kind"])
    values["verdict"] = Verdict(values["verdict"]) if values["verdict"] else None
    for name in chain.LISTS:
        values[name] = tuple(values[name])
    return Ticket(**values)


def _read_event(row: tuple[Any, ...]) -> Event:
    ticket_id, site_id, seq, at, kind, actor_id, name, what, audience, body, prev_hash, digest = row
    actor = Actor(ActorKind(kind), actor_id, name)
    return Event(ticket_id, site_id, seq, at, actor, what, Audience(audience), body, prev_hash, digest)


def _gone(ticket_id: int) -> str:
    return f"There is no ticket {ticket_id} on this site."
