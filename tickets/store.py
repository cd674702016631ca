"""SQL of tickets and their timelines: the row and its append-only events are written in one call, nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, LiteralString

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from core import live
from core.errors import Stale
from tickets import cause, chain, verbs
from tickets.beside import Beside
from tickets.errors import InvalidFields
from tickets.hooks import Change
from tickets.listing import Filter as Filter
from tickets.listing import Page as Page
from tickets.listing import Which as Which
from tickets.listing import cursor_of as cursor_of
from tickets.listing import find as find
from tickets.model import SYSTEM, Actor, Audience, Event, Step, Ticket, TicketKind
from tickets.rows import one
from tickets.rules import guards
from tickets.ticket_rows import EVENTS, SELECT, read_event, read_ticket

PREFIX: Mapping[TicketKind, str] = {
    TicketKind.REQUEST: "REQ",
    TicketKind.INCIDENT: "INC",
    TicketKind.SENSOR_FAULT: "INC",
    TicketKind.CORRECTIVE: "WO",
    TicketKind.PREVENTIVE: "WO",
    TicketKind.INSPECTION: "WO",
}
JSON = frozenset({"fields", "assignment_reasons"})
MOST_CHANGES, SHOWN_CHANGES = 50, 3
APPEND: LiteralString = """
  told as (insert into ticket_events (ticket_id, seq, at, actor_kind, actor_id, actor_name, kind, audience, body,
             prev_hash, hash) select written.ticket_id, v.* from written, (values {}) v)
  {} select pg_notify({}, json_build_object('site', current_site(), 'topic', 'ticket', 'id', written.ticket_id)::text),
         e.name, e.user_id {}
  from written left join engineers e on e.engineer_id = written.assignee_id"""
EVENT: LiteralString = "(%s::int, %s::timestamptz, %s, %s::int, %s, %s, %s, %s::jsonb, %s::bytea, %s::bytea)"


# -- writing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opening:
    """What is written with a new ticket, in one statement: a step of the system unless a guard keeps the ticket from
    going ``to``, and rows of other rooms, made of the ticket as it will be and of whether the step is taken.
    ``rows``: what the opening event keeps of rows beside the ticket, by the state that it goes to at once.
    ``origin``: the ticket out of which this one comes, whose costs count with its own."""

    to: str
    step: Step | None
    beside: Callable[[Ticket, Followed], Sequence[Beside | None]]
    rows: Callable[[str], Mapping[str, Any]]
    origin: int | None = None


class Followed(Enum):
    """Whether the step after opening is taken."""

    YES = "yes"
    NO = "no"


def create(
    conn: Connection,
    actor: Actor,
    *,
    values: Mapping[str, Any],
    details: Mapping[str, Any],
    opening: Opening,
    now: datetime,
) -> Ticket | None:
    """A new ticket with its ``opened`` event and what ``opening`` says; None when (asset, mode) has an open one.

    ``values`` are columns without ref. Numbers count without gaps, so the counter's row is locked until the transaction
    ends and openings pass one after another from here: whatever only reads comes before.
    """
    prefix = PREFIX[TicketKind(values["kind"])]
    number, ticket_id, site_id = _next(conn, prefix, now.year)
    values = {**values, "ref": f"{prefix}-{now.year}-{number:06d}"}
    blank = Ticket(ticket_id, site_id, version=0, event_count=0, head_hash=chain.GENESIS, **chain.BLANK)
    first = Step("opened", values, details, Audience.REQUESTER)
    follows = opening.step is not None and not guards.holds(
        conn, replace(blank, **values), to=opening.to, actor=SYSTEM, now=now, origin=opening.origin
    )
    steps = (opening.step,) if opening.step is not None and follows else ()
    rows = opening.rows(opening.to if steps else values["status"])
    fresh, opened = _stepped(blank, actor, now, (replace(first, details={**details, "rows": rows}),))
    ticket, more = _stepped(fresh, SYSTEM, now, steps)
    changed = {*values, *(name for event in more for name in _after(event))}
    row = {"ticket_id": ticket_id} | {name: getattr(ticket, name) for name in changed} | _counts(ticket)
    row = {name: value for name, value in row.items() if value is not None}  # a statement of at most 50 is kept ready
    found = _run(
        conn,
        _insert(tuple(sorted(row))),
        [_db(name, row[name]) for name in sorted(row)],
        [*opened, *more],
        beside=[each for each in opening.beside(ticket, Followed.YES if follows else Followed.NO) if each is not None],
    )
    if found is None:
        conn.execute(
            "update ref_counters set last = last - 1 where prefix = %s and year = %s", (prefix, now.year)
        )  # we hold its lock, so the number goes back without a gap
        return None
    _told(conn, None, fresh, opened, actor, now)
    ticket = replace(ticket, assignee_name=found[0], assignee_user_id=found[1])
    return _told(conn, fresh, ticket, more, SYSTEM, now) if more else ticket


def save(conn: Connection, ticket: Ticket, actor: Actor, now: datetime, *steps: Step) -> Ticket:
    """Write the steps' changes to the row and their events to the timeline; returns the ticket as it is now.

    The version grows by one for every step that changes a column. Raises Stale when the row is not the one given.
    """
    written, events = _stepped(ticket, actor, now, _kept(steps, verbs.left(conn, ticket.ticket_id)))
    changed = {name: getattr(written, name) for name in chain.COLUMNS if any(name in _after(each) for each in events)}
    guards.check(conn, ticket, changed, actor, now)
    row = changed | _counts(written)
    params = [*(_db(name, value) for name, value in row.items()), ticket.ticket_id, ticket.version, ticket.event_count]
    found = _run(conn, _update(tuple(row)), params, events)
    if found is None:
        raise stale(conn, get(conn, ticket.ticket_id), given=ticket.version)
    return _told(conn, ticket, replace(written, assignee_name=found[0], assignee_user_id=found[1]), events, actor, now)


def _kept(steps: Sequence[Step], rows: Mapping[str, Any]) -> Sequence[Step]:
    """The first of the steps says what has changed beside the ticket."""
    return (replace(steps[0], details={**steps[0].details, "rows": rows}), *steps[1:]) if rows and steps else steps


def _run(
    conn: Connection, write: sql.Composed, params: list[Any], events: Sequence[Event], *, beside: Sequence[Beside] = ()
) -> tuple[str | None, int | None] | None:
    """Row, events and notice in one statement; returns name and user of the engineer, or None if no row was written."""
    append = _append(len(events), beside)
    values = [value for event in events for value in _event_row(event)]
    values += [value for each in beside for value in each.params]
    found = conn.execute(write + append, [*params, *values]).fetchone()
    return None if found is None else (found[1], found[2])


@lru_cache(maxsize=64)
def _insert(names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(
        """with written as (insert into tickets ({}) overriding system value values ({})
             on conflict (site_id, asset_id, mode)
             where asset_id is not null and mode is not null and status not in ('closed', 'cancelled')
             do nothing returning ticket_id, assignee_id),"""
    ).format(sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(sql.Placeholder() for _ in names))


@lru_cache(maxsize=256)
def _update(names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(
        """with written as (update tickets set {} where ticket_id = %s and version = %s and event_count = %s
             returning ticket_id, assignee_id),"""
    ).format(sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names))


def _append(events: int, beside: Sequence[Beside]) -> sql.Composed:
    return sql.SQL(APPEND).format(
        sql.SQL(", ").join([sql.SQL(EVENT)] * events),
        sql.Composed([part for each in beside for part in (sql.SQL(", "), each.query)]),
        sql.Literal(live.CHANNEL),
        sql.Composed([each.output for each in beside if each.output is not None]),
    )


def _told(
    conn: Connection, before: Ticket | None, ticket: Ticket, events: Sequence[Event], actor: Actor, now: datetime
) -> Ticket:
    verbs.wrote(conn, Change(before, ticket, tuple(events), actor, cause.current(), now))
    return ticket


def _counts(ticket: Ticket) -> dict[str, Any]:
    return {"version": ticket.version, "event_count": ticket.event_count, "head_hash": ticket.head_hash}


def _after(event: Event) -> Mapping[str, Any]:
    after: Mapping[str, Any] = event.body.get("after", {})
    return after


def _stepped(ticket: Ticket, actor: Actor, now: datetime, steps: Sequence[Step]) -> tuple[Ticket, list[Event]]:
    """The ticket as the steps leave it, with their events."""
    values = {name: getattr(ticket, name) for name in chain.COLUMNS}
    seq, head, version = ticket.event_count, ticket.head_hash, ticket.version
    events: list[Event] = []
    for step in steps:
        changes = {name: value for name, value in step.changes.items() if values[name] != value}
        event = _event(ticket, actor, now, step, seq=seq + 1, prev=head, before=values, after=changes)
        events.append(event)
        values |= {name: chain.from_json(name, value) for name, value in _after(event).items()}
        seq, head, version = event.seq, event.hash, version + bool(changes)
    return replace(ticket, **values, version=version, event_count=seq, head_hash=head), events


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


def _event_row(event: Event) -> tuple[Any, ...]:
    return (
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
    )


def _next(conn: Connection, prefix: str, year: int) -> tuple[int, int, int]:
    """The next number of the year, a ticket id and the site."""
    number, ticket_id, site_id = one(
        conn,
        """with counted as (insert into ref_counters (prefix, year, last) values (%s, %s, 1)
             on conflict (site_id, prefix, year) do update set last = ref_counters.last + 1 returning last)
           select last, nextval('tickets_ticket_id_seq'), current_site() from counted""",
        (prefix, year),
    )
    return number, ticket_id, site_id


def _db(name: str, value: Any) -> Any:
    if name in JSON:
        return Jsonb(list(value) if name in chain.LISTS else dict(value))
    if name in chain.LISTS:
        return list(value)
    return value.value if isinstance(value, StrEnum) else value


# -- reading ----------------------------------------------------------------------------------------------------------


def get(conn: Connection, ticket_id: int) -> Ticket:
    """The ticket; raises NotFound."""
    return read_ticket(one(conn, SELECT + "where t.ticket_id = %s", (ticket_id,), missing=_gone(ticket_id)))


def of_ids(conn: Connection, ticket_ids: Sequence[int]) -> list[Ticket]:
    """Those of these tickets that there are, in no order."""
    return [read_ticket(row) for row in conn.execute(SELECT + "where t.ticket_id = any(%s)", (list(ticket_ids),))]


def lock(conn: Connection, ticket_id: int, *, version: int | None = None) -> Ticket:
    """The ticket, its row locked to the end of the transaction. Raises NotFound, or Stale unless ``version`` fits."""
    row = one(conn, SELECT + "where t.ticket_id = %s for update of t", (ticket_id,), missing=_gone(ticket_id))
    ticket = read_ticket(row)
    if version is not None and ticket.version != version:
        raise stale(conn, ticket, given=version)
    return ticket


def by_ref(conn: Connection, ref: str) -> Ticket:
    """The ticket with this public number; raises NotFound."""
    return read_ticket(
        one(conn, SELECT + "where t.ref = %s", (ref,), missing=f"There is no ticket {ref!r} on this site.")
    )


def open_for(conn: Connection, asset_id: int, mode: str) -> Ticket | None:
    """The one open ticket of this fault, if any."""
    row = conn.execute(
        SELECT + "where t.asset_id = %s and t.mode = %s and t.status not in ('closed', 'cancelled')", (asset_id, mode)
    ).fetchone()
    return read_ticket(row) if row else None


def timeline(conn: Connection, ticket_id: int, *, audience: Audience | None = None, after: int = 0) -> list[Event]:
    """A ticket's events in order; ``audience`` requester leaves the internal ones out; ``after`` a seq."""
    rows = conn.execute(
        EVENTS + "where ticket_id = %s and seq > %s and (%s::text is null or audience = %s) order by seq",
        (ticket_id, after, audience, audience),
    )
    return [read_event(row) for row in rows]


def verify_chain(conn: Connection, ticket_id: int) -> list[str]:
    """What is wrong with a ticket's timeline, as sentences; empty when it is whole and adds up to the row."""
    row = one(conn, SELECT + "where t.ticket_id = %s for share of t", (ticket_id,), missing=_gone(ticket_id))
    return list(chain.problems(read_ticket(row), timeline(conn, ticket_id)))


def verify_site(conn: Connection) -> dict[str, list[str]]:
    """Ref → problems, for every ticket of the current site whose timeline is not whole."""
    tickets = conn.execute("select ticket_id, ref from tickets order by ticket_id").fetchall()
    return {ref: found for ticket_id, ref in tickets if (found := verify_chain(conn, ticket_id))}


def stale(conn: Connection, ticket: Ticket, *, given: int) -> Stale:
    """The error that shows the caller what the ticket has become, and who changed what since the version ``given``."""
    current = {name: chain.to_json(name, getattr(ticket, name)) for name in chain.COLUMNS}
    current |= {"ticket_id": ticket.ticket_id, "version": ticket.version}
    difference = _difference(conn, ticket.ticket_id, given)
    who = "; ".join(f"{each['by']} changed {', '.join(each['changes'])}" for each in difference[-SHOWN_CHANGES:])
    return Stale(
        f"{ticket.ref} was changed meanwhile: it is at version {ticket.version}. {who and who + '. '}"
        "Reload and try again.",
        current=current,
        given_version=given,
        difference=difference,
    )


def _difference(conn: Connection, ticket_id: int, given: int) -> list[dict[str, Any]]:
    """The changes since a version, oldest first: each event that changed a column made a version."""
    rows = conn.execute(
        """select at, actor_name, kind, body->'before', body->'after' from ticket_events
           where ticket_id = %s and body->'after' is not null order by seq offset %s limit %s""",
        (ticket_id, max(given, 0), MOST_CHANGES),
    )
    return [
        {
            "version": version,
            "at": chain.time_text(at),
            "by": name,
            "kind": kind,
            "changes": {field: {"before": (before or {}).get(field), "after": after[field]} for field in after},
        }
        for version, (at, name, kind, before, after) in enumerate(rows, start=max(given, 0) + 1)
    ]


def _gone(ticket_id: int) -> str:
    return f"There is no ticket {ticket_id} on this site."
