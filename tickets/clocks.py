"""SQL of the SLA clocks: computed in the opening transaction, fired by jobs that the same transaction enqueues.

    open ──plan──> clocks ──keep──> rows + timers (sla.warn, sla.breach with the clock's generation)
    transition ──settle──> what fell due meanwhile ──enter──> pause, resume, stop by the state's data ──> new timers
    timer or sweep ──fire──> settle, unless the generation is old
Warning and breach are recorded once, under the ticket's row lock, whether the timer, the sweep or a step comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg import Connection

from core import jobs
from tickets import calendars, sla, store
from tickets.calendars import AROUND_THE_CLOCK, Calendar
from tickets.chain import time_text
from tickets.lifecycle import State
from tickets.model import SYSTEM, Step, Ticket, TicketKind
from tickets.notify import NoticeKind, planners, tell
from tickets.sla import Basis, Clock, ClockKind
from tickets.verbs import verb

WARN_FRACTION = 0.8  # where no policy says otherwise
COLUMN = {ClockKind.RESPONSE: "respond_by", ClockKind.RESOLUTION: "resolve_by"}


class Mark(StrEnum):
    """The two marks on a clock; the value is the name of the job that fires there."""

    WARNING = "sla.warn"
    BREACH = "sla.breach"


@dataclass(frozen=True, slots=True)
class Kept:
    """A clock as it stands in the database; ids None = not yet there, around the clock."""

    clock: Clock
    calendar_id: int | None
    clock_id: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Targets of a ticket kind and priority."""

    calendar_id: int
    calendar: Calendar
    response: timedelta
    resolution: timedelta
    warn_fraction: float


def policy(conn: Connection, kind: TicketKind, priority: int) -> Policy | None:
    """The site's SLA policy: of the kind, else of '*'; None when there is neither."""
    row = conn.execute(
        """select p.calendar_id, c.timezone, c.hours, c.holidays, p.response_s, p.resolution_s, p.warn_fraction
           from sla_policies p join calendars c using (calendar_id)
           where p.kind in (%s, '*') and p.priority = %s order by p.kind = '*' limit 1""",
        (kind.value, priority),
    ).fetchone()
    if row is None:
        return None
    calendar_id, zone, hours, holidays, response_s, resolution_s, fraction = row
    calendar = calendars.parse(zone, hours, holidays)
    return Policy(calendar_id, calendar, timedelta(seconds=response_s), timedelta(seconds=resolution_s), fraction)


def plan(conn: Connection, kind: TicketKind, priority: int, *, deadline: datetime | None, now: datetime) -> list[Kept]:
    """The running clocks of a ticket opened now. A future ``deadline`` (a forecast) sets the resolution target."""
    rules = policy(conn, kind, priority)
    planned = []
    if rules is not None:
        for what, target in ((ClockKind.RESPONSE, rules.response), (ClockKind.RESOLUTION, rules.resolution)):
            clock = sla.start(Clock(what, rules.calendar, target, rules.warn_fraction), now)
            planned.append(Kept(clock, rules.calendar_id))
    if deadline is not None and deadline > now:
        planned = [kept for kept in planned if kept.clock.kind is not ClockKind.RESOLUTION]
        planned.append(_forecast(deadline, now, rules.warn_fraction if rules else WARN_FRACTION))
    return planned


def _forecast(deadline: datetime, now: datetime, fraction: float) -> Kept:
    target = deadline - now
    clock = Clock(ClockKind.RESOLUTION, AROUND_THE_CLOCK, target, fraction, Basis.FORECAST)
    return Kept(sla.start(clock, now), None)


def due_columns(clocks: Iterable[Kept]) -> dict[str, datetime]:
    """The ticket's columns that mirror running clocks; a paused or stopped one leaves its column as it was."""
    return {COLUMN[kept.clock.kind]: kept.clock.due_at for kept in clocks if kept.clock.due_at is not None}


def keep(conn: Connection, ticket_id: int, clocks: Iterable[Kept]) -> None:
    """Write new or changed clocks and set the timer of each one's next mark."""
    for kept in clocks:
        _write(conn, ticket_id, kept)
        arm(conn, ticket_id, kept.clock)


def of(conn: Connection, ticket_id: int) -> list[Kept]:
    """A ticket's clocks, response first."""
    return of_many(conn, [ticket_id])[ticket_id]


def of_many(conn: Connection, ticket_ids: Sequence[int]) -> dict[int, list[Kept]]:
    """The clocks of several tickets in one query; every id asked for is a key."""
    rows = conn.execute(
        """select k.ticket_id, k.clock_id, k.calendar_id, c.timezone, c.hours, c.holidays, k.kind, k.target_s, k.basis,
                  k.warn_fraction, k.used_s, k.running_since, k.due_at, k.warn_at, k.warned_at, k.breached_at,
                  k.stopped_at, k.generation
           from sla_clocks k left join calendars c using (calendar_id) where k.ticket_id = any(%s)
           order by k.ticket_id, k.kind = 'resolution'""",
        (list(ticket_ids),),
    )
    found: dict[int, list[Kept]] = {ticket_id: [] for ticket_id in ticket_ids}
    for ticket_id, *row in rows:
        found[ticket_id].append(_read(row))
    return found


def settle(conn: Connection, ticket: Ticket, now: datetime) -> Ticket:
    """Record every warning and breach that fell due by ``now``; the ticket's row must be locked."""
    for kept in of(conn, ticket.ticket_id):
        clock = kept.clock
        if sla.is_warning_due(clock, now):
            clock = replace(clock, warned_at=now)
            ticket = _record(conn, ticket, clock, NoticeKind.SLA_WARNING, now)
        if sla.is_breach_due(clock, now):
            clock = replace(clock, breached_at=now)
            ticket = _record(conn, ticket, clock, NoticeKind.SLA_BREACHED, now)
        if clock is not kept.clock:
            keep(conn, ticket.ticket_id, [replace(kept, clock=clock)])
    return ticket


def enter(conn: Connection, ticket: Ticket, state: State, *, reason: str | None, now: datetime) -> dict[str, datetime]:
    """Let the clocks follow the ticket into ``state``; returns the columns that changed. Call :func:`settle` before."""

    def follow(clock: Clock) -> Clock:
        if clock.kind in state.stops:
            return sla.stop(clock, now)
        if reason in state.pauses_for:
            return sla.pause(clock, now) if clock.stopped_at is None else clock
        if clock.stopped_at is None or clock.kind in state.resumes:
            return sla.resume(clock, now)
        return clock

    return _change(conn, ticket, follow)


def retarget(conn: Connection, ticket: Ticket, *, priority: int, now: datetime) -> dict[str, datetime]:
    """Give the clocks the targets of another priority, never a breach of the past; forecasts stay."""
    rules = policy(conn, ticket.kind, priority)
    if rules is None:
        return {}
    targets = {ClockKind.RESPONSE: rules.response, ClockKind.RESOLUTION: rules.resolution}

    def aim(kept: Kept) -> Kept:
        if kept.clock.basis is Basis.FORECAST or kept.clock.breached_at is not None:
            return kept
        clock = sla.retarget(
            kept.clock,
            now,
            target=targets[kept.clock.kind],
            calendar=rules.calendar,
            warn_fraction=rules.warn_fraction,
        )
        return replace(kept, clock=clock, calendar_id=rules.calendar_id)

    changed = [aim(kept) for kept in of(conn, ticket.ticket_id)]
    keep(conn, ticket.ticket_id, changed)
    return due_columns(changed)


def aim(conn: Connection, ticket: Ticket, *, resolve_by: datetime, now: datetime) -> None:
    """Make the resolution clock due at ``resolve_by``, around the clock; a ticket without one gets one."""
    found = [kept for kept in of(conn, ticket.ticket_id) if kept.clock.kind is ClockKind.RESOLUTION]
    if not found:
        keep(conn, ticket.ticket_id, [_forecast(resolve_by, now, WARN_FRACTION)])
        return
    clock = sla.aim(found[0].clock, now, due_at=resolve_by)
    keep(conn, ticket.ticket_id, [replace(found[0], clock=clock, calendar_id=None)])


def arm(conn: Connection, ticket_id: int, clock: Clock, *, again: str = "") -> None:
    """Enqueue the timer of a running clock's next mark; ``again`` tells it from one that is at work."""
    mark = next_mark(clock)
    when = clock.warn_at if mark is Mark.WARNING else clock.due_at
    if mark is None or when is None:
        return
    payload = {"ticket_id": ticket_id, "clock": clock.kind.value, "generation": clock.generation}
    key = f"sla:{ticket_id}:{clock.kind.value}:{clock.generation}:{mark.value}{again}"
    jobs.at(conn, when, mark.value, payload, key=key)


def next_mark(clock: Clock) -> Mark | None:
    """What a running clock comes to next; None while it rests and after its breach."""
    if clock.running_since is None or clock.breached_at is not None:
        return None
    return Mark.WARNING if clock.warned_at is None else Mark.BREACH


@verb
def fire(conn: Connection, mark: Mark, *, ticket_id: int, kind: ClockKind, generation: int, now: datetime) -> None:
    """A timer went off. Late, twice, out of date: no harm. Too early (the plant clock was set): it is set again."""
    ticket = settle(conn, store.lock(conn, ticket_id), now)
    clock = next((kept.clock for kept in of(conn, ticket.ticket_id) if kept.clock.kind is kind), None)
    if clock is not None and clock.generation == generation and next_mark(clock) is mark:
        arm(conn, ticket_id, clock, again=f":{time_text(now)}")


def sweep(conn: Connection, now: datetime) -> int:
    """Record what timers missed (the plant clock jumped, a queue was lost); returns how many tickets had something."""
    rows = conn.execute(
        """select distinct ticket_id from sla_clocks where running_since is not null and breached_at is null
           and ((warn_at <= %s and warned_at is null) or due_at <= %s) order by ticket_id""",
        (now, now),
    ).fetchall()
    for (ticket_id,) in rows:
        settle(conn, store.lock(conn, ticket_id), now)
    return len(rows)


def _change(conn: Connection, ticket: Ticket, change: Callable[[Clock], Clock]) -> dict[str, datetime]:
    before = of(conn, ticket.ticket_id)
    after = [replace(kept, clock=change(kept.clock)) for kept in before]
    changed = [new for old, new in zip(before, after, strict=True) if new != old]
    keep(conn, ticket.ticket_id, changed)
    return due_columns(changed)


def _record(conn: Connection, ticket: Ticket, clock: Clock, kind: NoticeKind, now: datetime) -> Ticket:
    due = time_text(clock.due_at) if clock.due_at else None
    details = {"clock": clock.kind.value, "due_at": due, "target_s": clock.target.total_seconds()}
    ticket = store.save(conn, ticket, SYSTEM, now, Step(kind.value, details=details))
    tell(
        conn,
        [ticket.assignee_user_id, *planners(conn)],
        kind=kind,
        ticket=ticket,
        key=f"{kind.value}:{ticket.ticket_id}:{clock.kind.value}",
        clock=clock.kind.value,
        now=now,
    )
    return ticket


def _write(conn: Connection, ticket_id: int, kept: Kept) -> None:
    clock = kept.clock
    conn.execute(
        """insert into sla_clocks (ticket_id, kind, calendar_id, target_s, basis, warn_fraction, used_s, running_since,
             due_at, warn_at, warned_at, breached_at, stopped_at, generation)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (ticket_id, kind) do update set calendar_id = excluded.calendar_id,
             target_s = excluded.target_s, basis = excluded.basis, warn_fraction = excluded.warn_fraction,
             used_s = excluded.used_s, running_since = excluded.running_since, due_at = excluded.due_at,
             warn_at = excluded.warn_at, warned_at = excluded.warned_at, breached_at = excluded.breached_at,
             stopped_at = excluded.stopped_at, generation = excluded.generation""",
        (
            ticket_id,
            clock.kind.value,
            kept.calendar_id,
            clock.target.total_seconds(),
            clock.basis.value,
            clock.warn_fraction,
            clock.used.total_seconds(),
            clock.running_since,
            clock.due_at,
            clock.warn_at,
            clock.warned_at,
            clock.breached_at,
            clock.stopped_at,
            clock.generation,
        ),
    )


def _read(row: Sequence[Any]) -> Kept:
    clock_id, calendar_id, zone, hours, holidays, kind, target_s, basis, fraction, used_s, *times, generation = row
    running_since, due_at, warn_at, warned_at, breached_at, stopped_at = times
    clock = Clock(
        ClockKind(kind),
        AROUND_THE_CLOCK if calendar_id is None else calendars.parse(zone, hours, holidays),
        timedelta(seconds=target_s),
        fraction,
        Basis(basis),
        timedelta(seconds=used_s),
        running_since,
        due_at,
        warn_at,
        warned_at,
        breached_at,
        stopped_at,
        generation,
    )
    return Kept(clock, calendar_id, clock_id)
