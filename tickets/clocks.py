"""The SLA clocks of tickets: computed in the opening transaction, rung by a timer that reads when the next mark is due.

    open ──plan──> clocks ──keep──> rows whose ``next_at`` is the timer (core.timers)
    transition ──settle──> what fell due meanwhile ──enter──> pause, resume, stop, restart ──> new ``next_at``
    timer ──ring──> settle
Marks and breaches are recorded once, under the ticket's row lock, whether the timer or somebody's step comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from core import log
from core.database import savepoint
from tickets import clock_rows, escalation, policies, sla, store
from tickets.beside import Beside
from tickets.calendars import AROUND_THE_CLOCK
from tickets.chain import time_text
from tickets.clock_rows import Kept, of, of_many
from tickets.lifecycle import State
from tickets.model import ON_HOLD, SYSTEM, Step, Ticket
from tickets.policies import Dated, Promise, Subject
from tickets.sla import Basis, Clock, ClockKind
from tickets.verbs import verb

__all__ = ["Kept", "of", "of_many"]

COLUMN = {ClockKind.RESPONSE: "respond_by", ClockKind.RESOLUTION: "resolve_by"}
BATCH = 50  # tickets in one transaction of the timer
LATER = timedelta(minutes=1)  # a ticket whose marks cannot be recorded is tried again then
BUSY = timedelta(milliseconds=200)

logger = log.get("sla")


# -- opening ----------------------------------------------------------------------------------------------------------


def plan(conn: Connection, values: Mapping[str, Any], *, deadline: datetime | None, now: datetime) -> list[Kept]:
    """The running clocks of a ticket opened now with these columns. A future ``deadline`` (a forecast) sets the
    resolution target; the update clock runs where somebody asked."""
    subject = Subject(
        values["kind"],
        values["priority"],
        values.get("asset_id"),
        tuple(values.get("tags", ())),
        values.get("requester_id"),
    )
    promise = policies.promise(conn, subject)
    planned = [] if promise is None else [_begin(promise, kind, now) for kind in _kinds(promise, subject.requester_id)]
    if deadline is not None and deadline > now:
        planned = [kept for kept in planned if kept.clock.kind is not ClockKind.RESOLUTION]
        planned.append(_forecast(deadline, now, promise))
    return planned


def _kinds(promise: Promise, requester_id: int | None) -> list[ClockKind]:
    return [
        kind
        for kind in ClockKind
        if kind in promise.policy.targets and (kind is not ClockKind.UPDATE or requester_id is not None)
    ]


def _begin(promise: Promise, kind: ClockKind, now: datetime) -> Kept:
    clock = Clock(kind, promise.dated.calendar, promise.policy.targets[kind], promise.terms(kind))
    return Kept(sla.start(clock, now), promise.dated)


def _forecast(deadline: datetime, now: datetime, promise: Promise | None) -> Kept:
    terms = sla.Terms() if promise is None else promise.terms(ClockKind.RESOLUTION)
    clock = Clock(ClockKind.RESOLUTION, AROUND_THE_CLOCK, deadline - now, terms, Basis.FORECAST)
    return Kept(sla.start(clock, now), Dated())


def due_columns(clocks: Iterable[Kept]) -> dict[str, datetime]:
    """The ticket's columns that mirror running clocks; a paused or stopped one leaves its column as it was."""
    return {
        COLUMN[kept.clock.kind]: kept.clock.due_at
        for kept in clocks
        if kept.clock.due_at is not None and kept.clock.kind in COLUMN
    }


def opened(planned: list[Kept], state: State, now: datetime) -> list[Kept]:
    """The clocks of a ticket that is opened and goes to ``state`` at once."""
    return [replace(kept, clock=_follow(kept.clock, state, None, now)) for kept in planned] if state.stops else planned


def beside(planned: list[Kept], state: State, now: datetime) -> Beside | None:
    """The same for the statement that writes the ticket."""
    return clock_rows.beside(opened(planned, state, now))


def keep(conn: Connection, ticket_id: int, clocks: Iterable[Kept]) -> None:
    """Write new or changed clocks."""
    clock_rows.write(conn, ticket_id, list(clocks))


# -- time passes ------------------------------------------------------------------------------------------------------


def settle(conn: Connection, ticket: Ticket, now: datetime, *, upto: datetime | None = None) -> Ticket:
    """Record everything that fell due by ``upto`` (now); the ticket's row must be locked."""
    for kept in of(conn, ticket.ticket_id):
        clock, passed = sla.passing(kept.clock, upto or now, now=now)
        if passed:
            keep(conn, ticket.ticket_id, [replace(kept, clock=clock)])
            ticket = escalation.record(conn, ticket, clock, passed, now=now)
    return ticket


def ring(conn: Connection, now: datetime) -> datetime | None:
    """The timer: record what is due on some tickets, and say when the next mark is. A ticket that somebody is working
    on is left until they have finished."""
    due = conn.execute(
        """select ticket_id from tickets where ticket_id = any(array(
             select ticket_id from sla_clocks where next_at <= %s order by next_at limit %s))
           order by ticket_id for update skip locked""",
        (now, BATCH),
    ).fetchall()
    for (ticket_id,) in due:
        _ring_one(conn, ticket_id, now)
    row = conn.execute("select min(next_at) from sla_clocks where next_at is not null").fetchone()
    following = row[0] if row else None
    return now + BUSY if following is not None and following <= now and not due else following


def _ring_one(conn: Connection, ticket_id: int, now: datetime) -> None:
    """One that fails must not hold up the others: it is told to the log and tried again later."""
    try:
        with savepoint(conn):
            settle_one(conn, ticket_id, now)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other tickets' timers go on
        logger.error("marks cannot be recorded", ticket=ticket_id, error=str(error))
        conn.execute(
            "update sla_clocks set next_at = %s where ticket_id = %s and next_at <= %s", (now + LATER, ticket_id, now)
        )


@verb
def settle_one(conn: Connection, ticket_id: int, now: datetime) -> None:
    """Record what is due on one ticket."""
    settle(conn, store.lock(conn, ticket_id), now)


def sweep(conn: Connection, now: datetime) -> int:
    """Record what is due on every ticket, one after another; returns how many had something."""
    rows = conn.execute("select distinct ticket_id from sla_clocks where next_at <= %s order by 1", (now,)).fetchall()
    for (ticket_id,) in rows:
        settle_one(conn, ticket_id, now)
    return len(rows)


# -- steps ------------------------------------------------------------------------------------------------------------


def enter(
    conn: Connection, ticket: Ticket, state: State, *, reason: str | None, now: datetime, at: datetime | None = None
) -> dict[str, datetime]:
    """Let the clocks follow the ticket into ``state`` as of ``at`` (now); returns the columns that changed.

    Call :func:`settle` before, and :func:`prove` where ``at`` is in the past.
    """
    return _change(conn, ticket, lambda clock: _follow(clock, state, reason, at or now))


def prove(conn: Connection, ticket: Ticket, state: State, *, reason: str | None, at: datetime, now: datetime) -> Ticket:
    """Take back breaches that were recorded although the step into ``state`` was made before them, at ``at``."""
    if at >= now:
        return ticket
    return _withdraw(conn, ticket, lambda clock: _follow(clock, state, reason, at), at=at, now=now)


def say(conn: Connection, ticket: Ticket, *, at: datetime, now: datetime) -> Ticket:
    """Somebody has told the requester something: the update clock counts from nothing again."""
    if all(kept.clock.kind is not ClockKind.UPDATE for kept in of(conn, ticket.ticket_id)):
        return ticket
    ticket = settle(conn, ticket, now, upto=at)
    if at < now:
        ticket = _withdraw(conn, ticket, lambda clock: _said(clock, at), at=at, now=now)
    _change(conn, ticket, lambda clock: _said(clock, at))
    return ticket


def _follow(clock: Clock, state: State, reason: str | None, at: datetime) -> Clock:
    at = _not_before(clock, at)
    holds = bool(state.pauses_for) or state.name == ON_HOLD
    if clock.kind is ClockKind.UPDATE:
        if ClockKind.RESOLUTION in state.stops:
            return sla.stop(clock, at)
        if clock.stopped_at is not None and ClockKind.RESOLUTION not in state.resumes:
            return clock
        again = sla.restart(clock, at)
        return sla.pause(again, at) if holds and reason in (clock.terms.pauses or ()) else again
    if clock.kind in state.stops:
        return sla.stop(clock, at)
    if holds and reason in (state.pauses_for if clock.terms.pauses is None else clock.terms.pauses):
        return sla.pause(clock, at) if clock.stopped_at is None else clock
    if clock.stopped_at is None or clock.kind in state.resumes:
        return sla.resume(clock, at)
    return clock


def _said(clock: Clock, at: datetime) -> Clock:
    if clock.kind is not ClockKind.UPDATE or clock.stopped_at is not None:
        return clock
    at = _not_before(clock, at)
    again = sla.restart(clock, at)
    return again if clock.running_since is not None else sla.pause(again, at)


def _not_before(clock: Clock, at: datetime) -> datetime:
    """A step of the past cannot count before what has moved the clock since."""
    return at if clock.running_since is None else max(at, clock.running_since)


def _withdraw(
    conn: Connection, ticket: Ticket, change: Callable[[Clock], Clock], *, at: datetime, now: datetime
) -> Ticket:
    for kept in of(conn, ticket.ticket_id):
        clock = kept.clock
        kept_in_time = clock.breached_at is not None and clock.due_at is not None and at < clock.due_at
        if not kept_in_time or change(clock) is clock:
            continue
        keep(conn, ticket.ticket_id, [replace(kept, clock=sla.withdraw(clock, _not_before(clock, at)))])
        ticket = escalation.withdrawn(conn, ticket, clock, at=at, now=now)
    return ticket


def _change(conn: Connection, ticket: Ticket, change: Callable[[Clock], Clock]) -> dict[str, datetime]:
    before = of(conn, ticket.ticket_id)
    after = [replace(kept, clock=change(kept.clock)) for kept in before]
    changed = [new for old, new in zip(before, after, strict=True) if new != old]
    keep(conn, ticket.ticket_id, changed)
    return due_columns(changed)


# -- other terms ------------------------------------------------------------------------------------------------------


def review(conn: Connection, ticket: Ticket, *, now: datetime) -> dict[str, datetime]:
    """Ask again which policy holds for the ticket as it is given, and let its running clocks follow: never a breach of
    the past; what is breached, stopped or forecast stays. Returns the columns that changed. Settle before."""
    subject = Subject(ticket.kind, ticket.priority, ticket.asset_id, ticket.tags, ticket.requester_id)
    changed = reviewed(of(conn, ticket.ticket_id), policies.promise(conn, subject), subject.requester_id, now)
    keep(conn, ticket.ticket_id, changed)
    return due_columns(changed)


def reviewed(before: Iterable[Kept], promise: Promise | None, requester_id: int | None, now: datetime) -> list[Kept]:
    """The clocks that move when this promise holds from now on. No promise any more: what was promised stays."""
    if promise is None:
        return []
    have = {kept.clock.kind: kept for kept in before}
    alive = any(kept.clock.stopped_at is None for kept in have.values())
    moved = []
    for kind in _kinds(promise, requester_id):
        if kind in have:
            new = _moved(have[kind], promise, now)
            moved += [new] if new != have[kind] else []
        elif alive and kind is not ClockKind.RESPONSE:
            moved.append(_begin(promise, kind, now))
    return moved


def _moved(kept: Kept, promise: Promise, now: datetime) -> Kept:
    clock, target = kept.clock, promise.policy.targets[kept.clock.kind]
    terms = promise.terms(clock.kind)
    same = (clock.target, clock.terms, kept.dated) == (target, terms, promise.dated)
    if same or clock.basis is Basis.FORECAST or clock.breached_at is not None or clock.stopped_at is not None:
        return kept
    moved = sla.retarget(clock, now, target=target, calendar=promise.dated.calendar, terms=terms)
    return replace(kept, clock=moved, dated=promise.dated)


def aim(conn: Connection, ticket: Ticket, *, resolve_by: datetime, now: datetime) -> None:
    """Make the resolution clock due at ``resolve_by``, around the clock; a ticket without one gets one."""
    found = [kept for kept in of(conn, ticket.ticket_id) if kept.clock.kind is ClockKind.RESOLUTION]
    if not found:
        keep(conn, ticket.ticket_id, [_forecast(resolve_by, now, None)])
        return
    clock = sla.aim(found[0].clock, now, due_at=resolve_by)
    keep(conn, ticket.ticket_id, [replace(found[0], clock=clock, dated=Dated())])


@verb
def adopt(conn: Connection, ticket_id: int, *, now: datetime) -> None:
    """Bring an open ticket under the policies as they are now; an event says which one, where a clock moves."""
    ticket = settle(conn, store.lock(conn, ticket_id), now)
    if not ticket.is_open:
        return
    before = {kept.clock.kind: kept for kept in of(conn, ticket_id)}
    columns = review(conn, ticket, now=now)
    after = of(conn, ticket_id)
    moved = [kept for kept in after if kept != before.get(kept.clock.kind)]
    if not moved:
        return
    details = {
        "policy": moved[0].clock.terms.name,
        "why": [dict(each) for each in moved[0].clock.terms.why],
        "clocks": {kept.clock.kind.value: _text(kept.clock.due_at) for kept in moved},
    }
    store.save(conn, ticket, SYSTEM, now, Step("sla_policy", columns, details))


def _text(at: datetime | None) -> str | None:
    return None if at is None else time_text(at)
