"""Job plans of a site: revisions, and applying one to an order in one action.

    put ──▶ a new revision             apply ──▶ time, people, skill, certificates, parts, checklist, on the order

An order keeps the revision that it was given. Applying the same code again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.database import savepoint
from core.errors import NotFound, Stale
from maintenance import job_plans, plans_store
from maintenance.errors import BadPlan, NeverReady
from maintenance.job_plans import Demand, JobPlan
from tickets import checklist_store, service, stock
from tickets import store as tickets_store
from tickets.dispatch import people
from tickets.errors import NotAllowed, ShortOfStock
from tickets.model import SYSTEM, Actor, Ticket

PLANNERS = frozenset({"planner", "manager", "admin"})
MACHINES = frozenset({"system", "rule", "detector"})
SELECT: LiteralString = """
  select j.job_plan_id, j.code, j.revision, j.state, j.body, j.made_at, j.by_name from job_plans j """
NEWEST: LiteralString = """ not exists (select 1 from job_plans n where n.code = j.code and n.revision > j.revision) """


@dataclass(frozen=True, slots=True)
class Kept:
    """One revision of a job plan."""

    job_plan_id: int
    code: str
    revision: int
    state: str
    plan: JobPlan
    made_at: datetime
    by_name: str


# -- job plans --------------------------------------------------------------------------------------------------------


def find(conn: Connection) -> list[Kept]:
    """The newest revision of each, by code."""
    return [_kept(row) for row in conn.execute(SELECT + "where" + NEWEST + "order by code")]


def newest(conn: Connection, code: str) -> Kept | None:
    """The newest revision of one."""
    row = conn.execute(SELECT + "where code = %s order by revision desc limit 1", (code,)).fetchone()
    return _kept(row) if row else None


def get(conn: Connection, code: str) -> Kept:
    """The newest revision of one. Raises NotFound."""
    found = newest(conn, code)
    if found is None:
        raise NotFound(f"There is no job plan {code!r} on this site.")
    return found


def put(
    conn: Connection,
    code: str,
    data: Mapping[str, Any],
    *,
    state: str = "active",
    version: int | None,
    by_name: str,
    now: datetime,
) -> Kept:
    """A new revision, for orders from now on; the same as the newest makes none. ``version``: the revision that was
    seen (0: there was none; None: not looked). Raises BadPlan, NeverReady, Stale."""
    plan = job_plans.parse(data)
    job_plans.code("code", code)
    conn.execute("select pg_advisory_xact_lock(hashtextextended('job plan ' || current_site() || %s, 0))", (code,))
    standing = newest(conn, code)
    revision = standing.revision if standing else 0
    if version is not None and version != revision:
        current = {"code": code, "revision": revision, "body": job_plans.as_json(standing.plan) if standing else None}
        raise Stale(f"{code} is at revision {revision}. Reload and try again.", current=current, given_version=version)
    if standing is not None and (standing.plan, standing.state) == (plan, state):
        return standing
    _refuse_strangers(conn, plan)
    if state == "retired":
        _refuse_needed(conn, code)
    conn.execute(
        "insert into job_plans (code, revision, state, body, made_at, by_name) values (%s, %s, %s, %s, %s, %s)",
        (code, revision + 1, state, Jsonb(job_plans.as_json(plan)), now, by_name),
    )
    return get(conn, code)


def part_ids(conn: Connection, codes: Sequence[str]) -> dict[str, int]:
    """Part code → id, of those that there are."""
    rows = conn.execute("select code, part_id from parts where code = any(%s)", (list(codes),))
    return {row[0]: row[1] for row in rows}


# -- on orders --------------------------------------------------------------------------------------------------------


def of_ticket(conn: Connection, ticket_id: int) -> list[Kept]:
    """The revisions that an order was given, oldest first."""
    rows = conn.execute(
        SELECT + "join ticket_job_plans t using (job_plan_id) where t.ticket_id = %s order by t.applied_at, j.code",
        (ticket_id,),
    )
    return [_kept(row) for row in rows]


def demand(conn: Connection, ticket_id: int) -> Demand:
    """What the order needs by all its job plans."""
    return job_plans.together(each.plan for each in of_ticket(conn, ticket_id))


def apply(
    conn: Connection, actor: Actor, ticket_id: int, code: str, *, version: int | None = None, now: datetime
) -> Ticket:
    """Give an order a job plan: what it needs, its checklist, and its parts as far as there are any.

    Raises NotFound, Stale, NotAllowed, TicketClosed.
    """
    if actor.part not in PLANNERS | MACHINES:
        raise NotAllowed("Only planners give an order a job plan.")
    ticket = tickets_store.lock(conn, ticket_id, version=version)
    kept = get(conn, code)
    made = conn.execute(
        """insert into ticket_job_plans (ticket_id, code, job_plan_id, applied_at, by_name) values (%s, %s, %s, %s, %s)
           on conflict do nothing""",
        (ticket_id, code, kept.job_plan_id, now, actor.name),
    )
    if not made.rowcount:
        return ticket
    details = {"code": code, "revision": kept.revision, "title": dict(kept.plan.title)}
    service.record(conn, actor, ticket_id, kind="job_plan", details=details, now=now)
    _set_needs(conn, ticket, kept.plan, demand(conn, ticket_id), now)
    _add_checklist(conn, ticket, kept.plan, now)
    _reserve_missing(conn, ticket, now)
    return tickets_store.get(conn, ticket_id)


def _set_needs(conn: Connection, ticket: Ticket, plan: JobPlan, needed: Demand, now: datetime) -> None:
    standing = people.needs(conn, ticket.ticket_id)
    certificates = tuple(sorted({*standing.certificates, *needed.certificates}))
    level = max([standing.level, *needed.skills.values()])
    wanted = replace(
        standing, duration_s=needed.minutes * 60, crew=needed.people, level=level, certificates=certificates
    )
    people.set_needs(conn, ticket.ticket_id, wanted)
    if plan.skill and ticket.skill is None:
        service.patch(conn, SYSTEM, ticket.ticket_id, changes={"skill": plan.skill}, now=now)
    ids = part_ids(conn, list(needed.parts))
    for code, part_id in ids.items():
        conn.execute(
            """insert into ticket_kits (ticket_id, part_id, quantity) values (%s, %s, %s)
               on conflict (ticket_id, part_id) do update set quantity = excluded.quantity""",
            (ticket.ticket_id, part_id, needed.parts[code]),
        )


def _add_checklist(conn: Connection, ticket: Ticket, plan: JobPlan, now: datetime) -> None:
    template = checklist_store.newest(conn, plan.checklist) if plan.checklist else None
    if template is not None and template.state == "active":
        checklist_store.fix(conn, ticket.ticket_id, template, now=now)


def _reserve_missing(conn: Connection, ticket: Ticket, now: datetime) -> None:
    """Promise the order what it lacks and one store has; what is short, readiness tells."""
    lines = stock.lines(conn, ticket.ticket_id)
    for part_id, quantity in stock.kit(conn, ticket):
        mine = sum(line.reserved + line.consumed for line in lines if line.part_id == part_id)
        if quantity > mine:
            try:
                with savepoint(conn):
                    stock.reserve(conn, SYSTEM, ticket.ticket_id, part_id=part_id, quantity=quantity - mine, now=now)
            except (ShortOfStock, NotFound):
                continue


def _refuse_needed(conn: Connection, code: str) -> None:
    users = [each.code for each in plans_store.find(conn) if each.plan.job_plan == code]
    if users:
        raise BadPlan(f"{users[0]} opens orders with {code}. Give that plan another job plan first.")


def _refuse_strangers(conn: Connection, plan: JobPlan) -> None:
    """Parts, checklists and guides that the site does not have."""
    known = part_ids(conn, [each.code for each in plan.parts])
    for each in plan.parts:
        if each.code not in known:
            raise NeverReady(f"There is no part {each.code!r} on this site. Make it first, or leave it out.")
    if plan.checklist and checklist_store.newest(conn, plan.checklist) is None:
        raise NeverReady(f"There is no checklist {plan.checklist!r} on this site.")
    if plan.guide and not conn.execute("select 1 from articles where code = %s", (plan.guide,)).fetchone():
        raise NeverReady(f"There is no guide {plan.guide!r} on this site.")


def _kept(row: tuple[Any, ...]) -> Kept:
    job_plan_id, code, revision, state, body, made_at, by_name = row
    return Kept(job_plan_id, code, revision, state, job_plans.parse(body), made_at, by_name)
