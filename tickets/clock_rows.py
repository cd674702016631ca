"""SQL of the rows of ``sla_clocks``: read and written whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, LiteralString

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from tickets import policies, sla_policy, verbs
from tickets.beside import Beside
from tickets.chain import canonical, time_text
from tickets.held import BLANK_CLOCK, CLOCKS, MOMENTS
from tickets.policies import Dated
from tickets.sla import Basis, Clock, ClockKind

SELECT: LiteralString = """
  select k.ticket_id, k.clock_id, k.calendar_id, k.calendar_version, c.timezone, c.hours, c.holidays, k.kind,
         k.target_s, k.terms, k.policy_id, k.policy_version, k.basis, k.used_s, k.running_since, k.due_at, k.next_at,
         k.fired, k.breached_at, k.stopped_at, k.generation, k.round, k.breaches
  from sla_clocks k left join calendar_versions c on c.calendar_id = k.calendar_id and c.version = k.calendar_version
  where k.ticket_id = any(%s)
  order by k.ticket_id, array_position(array['response', 'update', 'resolution'], k.kind)"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A clock as it stands in the database; ``clock_id`` None = not yet there. ``was``: as it was read, whatever
    becomes of the clock."""

    clock: Clock
    dated: Dated
    clock_id: int | None = None
    was: Kept | None = field(default=None, compare=False)


def of(conn: Connection, ticket_id: int) -> list[Kept]:
    """A ticket's clocks: response, update, resolution."""
    return of_many(conn, [ticket_id])[ticket_id]


def of_many(conn: Connection, ticket_ids: Sequence[int]) -> dict[int, list[Kept]]:
    """The clocks of several tickets in one query; every id asked for is a key."""
    found: dict[int, list[Kept]] = {ticket_id: [] for ticket_id in ticket_ids}
    for ticket_id, *row in conn.execute(SELECT, (list(ticket_ids),)):
        found[ticket_id].append(_read(row))
    return found


def write(conn: Connection, ticket_id: int, clocks: Sequence[Kept]) -> None:
    """Write new or changed clocks of a ticket in one statement; the ticket's next event keeps what changed."""
    if not clocks:
        return
    for kept in clocks:
        now = held(kept)
        was = now if kept.was is None else held(kept.was)
        names = [name for name in now if kept.was is None or now[name] != was[name]]
        before = {} if kept.was is None else {name: was[name] for name in names}
        after = {name: now[name] for name in names}
        verbs.leave(conn, ticket_id, CLOCKS, kept.clock.kind.value, before=before, after=after)
    rows = sql.SQL(", ").join([ROW] * len(clocks))
    conn.execute(WRITE.format(rows), [value for kept in clocks for value in _values(ticket_id, kept)])


def beside(clocks: Sequence[Kept]) -> Beside | None:
    """The clocks of a ticket that is being opened, for the statement that writes it; one parameter, so that the driver
    keeps the statement."""
    if not clocks:
        return None
    return Beside(BESIDE, [Jsonb([_fresh(each) for each in clocks])])


def opened(clocks: Sequence[Kept]) -> dict[str, dict[str, dict[str, Any]]]:
    """What the opening event keeps of the clocks: their columns but those that a new clock has anyway."""
    rows = {kept.clock.kind.value: held(kept) for kept in clocks}
    return {
        kind: {"after": {name: value for name, value in row.items() if value != BLANK_CLOCK.get(name)}}
        for kind, row in rows.items()
    }


def held(kept: Kept) -> dict[str, Any]:
    """The columns of a clock as a timeline keeps them: the terms as their hash."""
    row = _fresh(kept)
    del row["kind"]
    return row | {"terms": digest(row["terms"])}


def digest(terms: Any) -> str:
    """32 hex digits of the sha256 of a clock's terms."""
    return hashlib.sha256(canonical(terms).encode()).hexdigest()[:32]


def _fresh(kept: Kept) -> dict[str, Any]:
    clock = kept.clock
    return {
        "kind": clock.kind.value,
        "calendar_id": kept.dated.calendar_id,
        "calendar_version": kept.dated.version,
        "target_s": clock.target.total_seconds(),
        "terms": sla_policy.terms_row(clock.terms),
        "policy_id": clock.terms.policy_id,
        "policy_version": clock.terms.policy_version,
        "basis": clock.basis.value,
        "used_s": clock.used.total_seconds(),
        "fired": sorted(clock.fired),
        "generation": clock.generation,
        "round": clock.round,
        "breaches": clock.breaches,
    } | {name: None if (at := getattr(clock, name)) is None else time_text(at) for name in MOMENTS}


BESIDE = sql.SQL(
    """timed as (insert into sla_clocks (ticket_id, kind, calendar_id, calendar_version, target_s, terms, policy_id,
         policy_version, basis, used_s, running_since, due_at, next_at, fired, breached_at, stopped_at, generation,
         round, breaches)
       select written.ticket_id, k.* from written, jsonb_to_recordset(%s) as k (kind text, calendar_id int,
         calendar_version int, target_s float8, terms jsonb, policy_id int, policy_version int, basis text,
         used_s float8, running_since timestamptz, due_at timestamptz, next_at timestamptz, fired text[],
         breached_at timestamptz, stopped_at timestamptz, generation int, round int, breaches int))"""
)
ROW = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * 19))
WRITE = sql.SQL(
    """insert into sla_clocks (ticket_id, kind, calendar_id, calendar_version, target_s, terms, policy_id,
         policy_version, basis, used_s, running_since, due_at, next_at, fired, breached_at, stopped_at, generation,
         round, breaches)
       values {}
       on conflict (ticket_id, kind) do update set calendar_id = excluded.calendar_id,
         calendar_version = excluded.calendar_version, target_s = excluded.target_s, terms = excluded.terms,
         policy_id = excluded.policy_id, policy_version = excluded.policy_version, basis = excluded.basis,
         used_s = excluded.used_s, running_since = excluded.running_since, due_at = excluded.due_at,
         next_at = excluded.next_at, fired = excluded.fired, breached_at = excluded.breached_at,
         stopped_at = excluded.stopped_at, generation = excluded.generation, round = excluded.round,
         breaches = excluded.breaches"""
)


def _values(ticket_id: int, kept: Kept) -> tuple[Any, ...]:
    clock = kept.clock
    return (
        ticket_id,
        clock.kind.value,
        kept.dated.calendar_id,
        kept.dated.version,
        clock.target.total_seconds(),
        Jsonb(sla_policy.terms_row(clock.terms)),
        clock.terms.policy_id,
        clock.terms.policy_version,
        clock.basis.value,
        clock.used.total_seconds(),
        clock.running_since,
        clock.due_at,
        clock.next_at,
        sorted(clock.fired),
        clock.breached_at,
        clock.stopped_at,
        clock.generation,
        clock.round,
        clock.breaches,
    )


def _read(row: Sequence[Any]) -> Kept:
    clock_id, calendar_id, version, zone, hours, holidays, kind, target_s, terms, policy_id, policy_version, *rest = row
    basis, used_s, running_since, due_at, next_at, fired, breached_at, stopped_at, *counts = rest
    dated = policies.dated((calendar_id, version, zone, hours, holidays))
    clock = Clock(
        ClockKind(kind),
        dated.calendar,
        timedelta(seconds=target_s),
        sla_policy.read_terms(terms, policy_id, policy_version),
        Basis(basis),
        timedelta(seconds=used_s),
        running_since,
        due_at,
        next_at,
        frozenset(fired),
        breached_at,
        stopped_at,
        *counts,
    )
    kept = Kept(clock, dated, clock_id)
    return replace(kept, was=kept)
