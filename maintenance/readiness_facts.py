"""What the readiness of orders is computed from, read for many orders at once: as many statements for two hundred as
for one. SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection

from maintenance import job_plans
from maintenance.job_plans import JobPlan
from plant import stops
from tickets.dispatch.people import Needs
from tickets.model import Ticket

VISITS: LiteralString = """
  select v.ticket_id, min(v.starts) from visits v join plans p using (plan_id)
  where p.status = 'accepted' and v.ends > %s group by v.ticket_id"""
JOB_PLANS: LiteralString = """
  select t.ticket_id, j.code, j.body from ticket_job_plans t join job_plans j using (job_plan_id)
  where t.ticket_id = any(%s) order by t.applied_at, j.code"""
NEEDS: LiteralString = """
  select ticket_id, duration_s, crew, level, certificates, after, ready_at from job_needs where ticket_id = any(%s)"""
HELD: LiteralString = """
  select ticket_id, part_id, sum(reserved + consumed) from ticket_parts where ticket_id = any(%s) group by 1, 2"""
# as tickets.stock.kit: by machine class and failure mode the narrowest line, or the job plans, whichever is more
KITS: LiteralString = """
  select t.ticket_id, n.part_id, max(n.quantity) from tickets t cross join lateral (
    (select distinct on (k.part_id) k.part_id, k.quantity from kits k join assets a on a.asset_id = t.asset_id
     where k.class in (a.class, '*') and k.mode in (coalesce(nullif(t.mode, ''), '*'), '*')
     order by k.part_id, (k.class = '*')::int + (k.mode = '*')::int)
    union all select part_id, quantity from ticket_kits where ticket_id = t.ticket_id) n
  where t.ticket_id = any(%s) group by 1, 2 order by 1, 2"""
PARTS: LiteralString = """
  select p.part_id, p.code, p.unit, coalesce((select sum(on_hand - reserved) from stock_levels l
      where l.part_id = p.part_id), 0),
    (select min(expected_at) from purchase_requests r where r.part_id = p.part_id and r.status = 'ordered')
  from parts p where p.part_id = any(%s)"""
CERTIFIED: LiteralString = """
  select c.code, count(distinct c.engineer_id)::int from engineer_certificates c join engineers e using (engineer_id)
  where e.active and (c.valid_until is null or c.valid_until > %s) group by 1"""

ABOUT: LiteralString = "select ticket_id, asset_id from ticket_assets where ticket_id = any(%s)"
PERMITS: LiteralString = "select ticket_id, by_name from work_permits where ticket_id = any(%s)"
OVERRIDES: LiteralString = "select ticket_id, by_name, reason, made_at from window_overrides where ticket_id = any(%s)"


@dataclass(frozen=True, slots=True)
class Override:
    """Who takes it upon themselves that the order is worked on outside of its machine's windows."""

    by_name: str
    reason: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A part as the stores have it: ``free`` pieces in its unit, and when more are expected."""

    code: str
    unit: str
    free: float
    expected: datetime | None


@dataclass(frozen=True, slots=True)
class Site:
    """What all orders share."""

    book: stops.Book
    codes: Mapping[int, str]
    levels: Mapping[str, Sequence[int]]  # skill → of each active engineer who has it
    visits: Mapping[int, datetime]
    certified: Mapping[str, int]  # certificate → active people who hold a valid one
    parts: Mapping[int, Part]


@dataclass(frozen=True, slots=True)
class Facts:
    """What one order asks: job plans with their codes, what planning it needs, parts that it is still short of."""

    plans: tuple[tuple[str, JobPlan], ...]
    needs: Needs
    lacking: tuple[tuple[int, float], ...]
    machines: frozenset[int]
    permit_by: str | None
    override: Override | None


def read(conn: Connection, tickets: Sequence[Ticket], *, now: datetime) -> tuple[Site, dict[int, Facts]]:
    """The site, and the facts of each order by its id."""
    ids = [each.ticket_id for each in tickets]
    plans, machines = _grouped(conn, JOB_PLANS, ids), _grouped(conn, ABOUT, ids)
    needs = {row[0]: _needs(row) for row in conn.execute(NEEDS, (ids,))}
    held = {(row[0], row[1]): row[2] for row in conn.execute(HELD, (ids,))}
    kits = _grouped(conn, KITS, ids)
    permits = {row[0]: row[1] for row in conn.execute(PERMITS, (ids,))}
    overrides = {row[0]: Override(*row[1:]) for row in conn.execute(OVERRIDES, (ids,))}
    found = {
        each.ticket_id: Facts(
            tuple((code, job_plans.parse(body)) for code, body in plans[each.ticket_id]),
            needs.get(each.ticket_id, Needs()),
            tuple(_lacking(each.ticket_id, kits[each.ticket_id], held)),
            frozenset({asset_id for (asset_id,) in machines[each.ticket_id]} | _own(each)),
            permits.get(each.ticket_id),
            overrides.get(each.ticket_id),
        )
        for each in tickets
    }
    wanted = {part_id for each in found.values() for part_id, _ in each.lacking}
    return _site(conn, sorted(wanted), now), found


def _site(conn: Connection, part_ids: Sequence[int], now: datetime) -> Site:
    levels: dict[str, list[int]] = {}
    for (skills,) in conn.execute("select skills from engineers where active"):
        for skill, level in skills.items():
            levels.setdefault(skill, []).append(int(level))
    return Site(
        stops.book(conn),
        dict(conn.execute("select asset_id, code from assets").fetchall()),
        levels,
        dict(conn.execute(VISITS, (now,)).fetchall()),
        dict(conn.execute(CERTIFIED, (now,)).fetchall()),
        {row[0]: Part(*row[1:]) for row in conn.execute(PARTS, (list(part_ids),))},
    )


def _grouped(conn: Connection, statement: LiteralString, ids: Sequence[int]) -> dict[int, list[tuple[Any, ...]]]:
    """Rows by their first column, without it."""
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for ticket_id, *rest in conn.execute(statement, (list(ids),)):
        found[ticket_id].append(tuple(rest))
    return found


def _needs(row: tuple[Any, ...]) -> Needs:
    return Needs(row[1], row[2], row[3], tuple(row[4]), tuple(row[5]), row[6])


def _lacking(
    ticket_id: int, kit: Sequence[tuple[Any, ...]], held: Mapping[tuple[int, int], float]
) -> list[tuple[int, float]]:
    short = [(part_id, quantity - held.get((ticket_id, part_id), 0.0)) for part_id, quantity in kit]
    return [(part_id, lacking) for part_id, lacking in short if lacking > 0]


def _own(ticket: Ticket) -> set[int]:
    return set() if ticket.asset_id is None else {ticket.asset_id}
