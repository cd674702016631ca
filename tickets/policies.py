"""SQL of SLA policies and what they ask of a ticket: who counts for it, and which calendar it runs on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString

from psycopg import Connection

from tickets import calendars, marks, sla_policy
from tickets.calendars import AROUND_THE_CLOCK, Calendar
from tickets.model import Text, TicketKind
from tickets.sla import ClockKind, Terms
from tickets.sla_policy import Facts, Policy

SELECT: LiteralString = """
  select p.sla_policy_id, p.version, p.code, p.name, p.kind, p.priority, p.calendar_id, p.response_s, p.update_s,
         p.resolution_s, p.conditions, p.marks, p.pauses, c.calendar_id, c.version, c.timezone, c.hours, c.holidays
  from sla_policies p left join calendars c
    on c.calendar_id = coalesce(p.calendar_id, (select d.calendar_id from calendars d where d.is_default)) """
ORDER: LiteralString = " order by p.position, p.sla_policy_id"


@dataclass(frozen=True, slots=True)
class Subject:
    """What of a ticket decides on its service level."""

    kind: TicketKind
    priority: int
    asset_id: int | None = None
    tags: tuple[str, ...] = ()
    requester_id: int | None = None


@dataclass(frozen=True, slots=True)
class Dated:
    """A calendar as a clock runs on it: its version stays. Ids None = around the clock."""

    calendar: Calendar = AROUND_THE_CLOCK
    calendar_id: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """A policy that counts for a ticket, why, and its calendar."""

    policy: Policy
    why: tuple[Text, ...]
    dated: Dated

    def terms(self, kind: ClockKind) -> Terms:
        return self.policy.terms(kind, self.why)


@dataclass(frozen=True, slots=True)
class Listed:
    """A policy in force, with the calendar that it has now."""

    policy: Policy
    dated: Dated


def promise(conn: Connection, subject: Subject) -> Promise | None:
    """What the site promises for such a ticket; None when no policy holds."""
    found = listed(conn, subject.kind, subject.priority)
    return pick(found, facts(conn, subject, found))


def pick(found: Sequence[Listed], asked: Facts) -> Promise | None:
    """The first of the policies that holds."""
    chosen = sla_policy.choose((each.policy for each in found), asked)
    if chosen is None:
        return None
    dated = next(each.dated for each in found if each.policy is chosen.policy)
    return Promise(chosen.policy, chosen.why, dated)


def listed(conn: Connection, kind: TicketKind | None = None, priority: int | None = None) -> Sequence[Listed]:
    """The policies in force in their order; with ``kind`` and ``priority`` those that may hold for it."""
    return marks.kept(conn, ("SLA policies", kind, priority), lambda: _in_force(conn, kind, priority))


def _in_force(conn: Connection, kind: TicketKind | None, priority: int | None) -> Sequence[Listed]:
    rows = conn.execute(
        SELECT + "where p.active and (%s::text is null or p.kind in (%s, '*'))"
        " and (%s::int is null or p.priority is null or p.priority = %s)" + ORDER,
        (kind, kind, priority, priority),
    )
    return tuple(_listed(row) for row in rows)


def facts(conn: Connection, subject: Subject, found: Iterable[Listed]) -> Facts:
    """What the policies ask of the ticket; looked up only where one of them does."""
    asked = set[str]().union(*(each.policy.conditions for each in found))
    known = Facts(subject.kind, subject.priority, tags=frozenset(subject.tags))
    if not asked - {"tags"}:
        return known
    criticality, areas = _place(conn, subject.asset_id)
    return Facts(subject.kind, subject.priority, criticality, areas, known.tags, teams_of(conn, subject.requester_id))


def _place(conn: Connection, asset_id: int | None) -> tuple[int | None, frozenset[str]]:
    """An asset's criticality, and the codes and locations of it and everything above."""
    if asset_id is None:
        return None, frozenset()
    rows = conn.execute(
        """with recursive up as (
             select asset_id, parent_id, code, location, criticality, 0 as depth from assets where asset_id = %s
             union all
             select a.asset_id, a.parent_id, a.code, a.location, a.criticality, up.depth + 1
             from assets a join up on a.asset_id = up.parent_id where up.depth < 20)
           select code, location, criticality from up order by depth""",
        (asset_id,),
    ).fetchall()
    names = {name for code, location, _ in rows for name in (code, location) if name}
    return (rows[0][2] if rows else None), frozenset(names)


def teams_of(conn: Connection, user_id: int | None) -> frozenset[str]:
    """Names of the teams that a user belongs to."""
    if user_id is None:
        return frozenset()
    rows = conn.execute(
        "select t.name from teams t join team_members m using (team_id) where m.user_id = %s", (user_id,)
    )
    return frozenset(row[0] for row in rows)


def dated(row: Sequence[Any]) -> Dated:
    """(calendar_id, version, timezone, hours, holidays) as a calendar; all None = around the clock."""
    calendar_id, version, zone, hours, holidays = row
    if calendar_id is None:
        return Dated()
    return Dated(calendars.parse(zone, hours, holidays), calendar_id, version)


def of_row(row: Mapping[str, Any]) -> Policy:
    """A policy from its columns by name, as a row or as somebody wishes it. Raises InvalidFields."""
    targets = {kind: row[f"{kind.value}_s"] for kind in ClockKind}
    return Policy(
        row["sla_policy_id"],
        row["version"],
        row["code"],
        row["name"],
        row["kind"],
        row["priority"],
        row["calendar_id"],
        {kind: timedelta(seconds=target) for kind, target in targets.items() if target is not None},
        sla_policy.conditions(row["conditions"]),
        sla_policy.marks(row["marks"]),
        sla_policy.pauses(row["pauses"]),
    )


COLUMNS = (
    "sla_policy_id", "version", "code", "name", "kind", "priority", "calendar_id", "response_s", "update_s",
    "resolution_s", "conditions", "marks", "pauses",
)  # fmt: skip


def _listed(row: Sequence[Any]) -> Listed:
    return Listed(of_row(dict(zip(COLUMNS, row, strict=False))), dated(row[len(COLUMNS) :]))
