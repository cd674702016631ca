"""Plans as rows: asked for, made in the background, looked at, accepted. An accepted plan assigns and tells.

ask ──job──> make ──> draft ──accept──> accepted (the one before: superseded), orders assigned, events, notices
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core import jobs, live, log
from core.database import savepoint
from core.errors import Conflict, Forbidden, MillwrightError
from core.jobs import LOST
from tickets import service, store
from tickets.dispatch import drawing, people, replan, run, surprises
from tickets.dispatch.board import Board
from tickets.dispatch.check import Violation, violations
from tickets.dispatch.drawing import Drawn
from tickets.dispatch.explain import way_to, why, why_left
from tickets.dispatch.greedy import greedy
from tickets.dispatch.model import Job, Plan, Visit, cost
from tickets.errors import PlanNotDraft, PlanOutdated
from tickets.model import Actor, Text
from tickets.rows import one
from tickets.verbs import attempt, verb

COLUMNS: LiteralString = """
  select plan_id, status, cause, base_id, origin, horizon_s, maker, reason, cost, greedy_cost, moved, left_over,
    made_at, accepted_at, because, made_by is null from plans """
SECONDS = {"plan": 18.0}
REPLAN_S = 5.0
STUCK = timedelta(minutes=10)  # a plan that is still not made then never will be
logger = log.get("dispatch")
LONGEST_S = 172_800
GIVEN = ("new", "assigned", "accepted", "reopened")  # a visit under way stays with who is there


@dataclass(frozen=True, slots=True)
class PlanRow:
    plan_id: int
    status: str
    cause: str
    base_id: int | None
    origin: datetime
    horizon_s: int
    maker: str | None
    reason: str
    cost: int | None
    greedy_cost: int | None
    moved: float
    left_over: list[dict[str, Any]]
    made_at: datetime
    accepted_at: datetime | None
    because: list[dict[str, Any]]  # the surprises that stood when it was asked for
    by_itself: bool  # nobody asked for it


@dataclass(frozen=True, slots=True)
class VisitRow:
    visit_id: int
    ticket_id: int
    ref: str
    title: str
    priority: int
    engineer_id: int
    engineer: str
    starts: datetime
    ends: datetime
    frozen: bool
    change: str
    reasons: list[Text]
    travel_s: int  # from the stop before, or from home
    parts: list[dict[str, Any]]  # that the order has reserved or used


def ask(conn: Connection, *, cause: str, user_id: int | None, seconds: float | None, now: datetime) -> int:
    """A plan that a job makes as soon as this commits; returns its id. After a surprise little of what stands moves."""
    plan_id = begin(conn, cause=cause, user_id=user_id, seconds=seconds, now=now)
    jobs.later(conn, "dispatch.plan", {"plan_id": plan_id})
    return plan_id


def begin(conn: Connection, *, cause: str, user_id: int | None, seconds: float | None, now: datetime) -> int:
    """A plan for :func:`make`, with the surprises that it answers; returns its id."""
    row = conn.execute("select plan_id from plans where status = 'accepted'").fetchone()
    because = [each.as_json() for each in surprises.reasons(conn, now)]
    (plan_id,) = one(
        conn,
        """insert into plans (cause, base_id, seconds, origin, horizon_s, made_at, made_by, because)
           values (%s, %s, %s, %s, 0, %s, %s, %s) returning plan_id""",
        (cause, row[0] if row else None, seconds or SECONDS.get(cause, REPLAN_S), now, now, user_id, Jsonb(because)),
    )
    return int(plan_id)


def under_way(conn: Connection, now: datetime) -> bool:
    """Whether somebody's plan is being made."""
    query = "select 1 from plans where status = 'planning' and made_at > %s limit 1"
    return conn.execute(query, (now - STUCK,)).fetchone() is not None


def retire(conn: Connection) -> None:
    """Throw away drafts that nobody asked for; a newer one takes their place."""
    conn.execute("update plans set status = 'discarded' where status = 'draft' and made_by is null")


@jobs.job("dispatch.plan")
def make(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a handler's signature
    """Make the plan that was asked for; delivered twice, the second finds it made."""
    status, cause, seconds, origin = one(
        conn,
        "select status, cause, seconds, origin from plans where plan_id = %s for update",
        (payload["plan_id"],),
    )
    if status != "planning":
        return
    try:
        with savepoint(conn):
            drawn = drawing.draw(conn, origin=origin)
            before = drawn.standing if cause != "plan" and drawn.standing_id is not None else None
            _keep(conn, payload["plan_id"], drawn, run.make(drawn.problem, before=before, seconds=seconds))
    except LOST:
        raise  # tried again once the database is back
    except Exception as error:  # noqa: BLE001 - whoever waits for the plan has to be told, not left waiting
        logger.warning("a plan failed", plan=payload["plan_id"], error=repr(error))
        _fail(conn, payload["plan_id"])


def _fail(conn: Connection, plan_id: int) -> None:
    reason = "The plan could not be made; the log says why."
    conn.execute("update plans set status = 'failed', reason = %s where plan_id = %s", (reason, plan_id))
    live.announce(conn, "plan", plan_id)


def get(conn: Connection, plan_id: int) -> PlanRow:
    """One plan; raises NotFound."""
    return PlanRow(*one(conn, COLUMNS + "where plan_id = %s", (plan_id,), missing=f"There is no plan {plan_id}."))


def plans(conn: Connection, *, limit: int = 20) -> list[PlanRow]:
    """The newest plans."""
    return [PlanRow(*row) for row in conn.execute(COLUMNS + "order by plan_id desc limit %s", (limit,))]


def visits(conn: Connection, plan_id: int) -> list[VisitRow]:
    """Who goes where and when, and why."""
    rows = conn.execute(
        """select v.visit_id, v.ticket_id, t.ref, t.title, t.priority, v.engineer_id, e.name, v.starts, v.ends,
             v.frozen, v.change, v.reasons, v.travel_s,
             coalesce((select json_agg(json_build_object('code', p.code, 'name', p.name, 'unit', p.unit,
                 'store', s.code, 'reserved', l.reserved, 'consumed', l.consumed) order by p.code)
               from ticket_parts l join parts p using (part_id) join stores s using (store_id)
               where l.ticket_id = v.ticket_id and l.reserved + l.consumed > 0), '[]')
           from visits v join tickets t using (ticket_id) join engineers e on e.engineer_id = v.engineer_id
           where v.plan_id = %s order by v.starts, v.visit_id""",
        (plan_id,),
    )
    return [VisitRow(*row) for row in rows]


@verb
def accept(conn: Connection, actor: Actor, plan_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """Make a draft the plan that stands: orders go to their people, each change is an event.

    Checked again against the site as it is now. Returns the orders that could not be given, with why.
    Raises PlanNotDraft, PlanOutdated, NotFound.
    """
    plan = _draft(conn, plan_id)
    found = outdated(conn, plan)
    if found:
        said = "; ".join(f"{each.rule.value}: {each.detail}" for each in found[:3])
        raise PlanOutdated(f"{len(found)} hard rules are broken by what has changed ({said}). Plan again.")
    conn.execute("update plans set status = 'superseded' where status = 'accepted'")
    conn.execute(
        "update plans set status = 'accepted', accepted_at = %s, accepted_by = %s where plan_id = %s",
        (now, actor.actor_id, plan_id),
    )
    live.announce(conn, "plan", plan_id)
    by_ticket: dict[int, list[VisitRow]] = {}
    for row in visits(conn, plan_id):
        by_ticket.setdefault(row.ticket_id, []).append(row)
    return [failed for ident, rows in by_ticket.items() if (failed := _give(conn, actor, ident, rows, now)) is not None]


def discard(conn: Connection, plan_id: int) -> None:
    """Throw a draft away. Raises PlanNotDraft, NotFound."""
    _draft(conn, plan_id)
    conn.execute("update plans set status = 'discarded' where plan_id = %s", (plan_id,))


def fix(conn: Connection, visit_id: int, *, frozen: bool) -> None:
    """Fix a visit of the standing plan by hand, or let it move again. Raises NotFound."""
    one(
        conn,
        """update visits v set frozen = %s from plans p where p.plan_id = v.plan_id and p.status = 'accepted'
           and v.visit_id = %s returning v.visit_id""",
        (frozen, visit_id),
        missing=f"There is no visit {visit_id} in the plan that stands.",
    )


def overrun(conn: Connection, ticket_id: int, *, extra_s: int) -> None:
    """The order takes longer than planned: its visit in the standing plan ends later. Raises NotFound."""
    one(
        conn,
        """update visits v set ends = ends + %s from plans p where p.plan_id = v.plan_id and p.status = 'accepted'
           and v.ticket_id = %s returning v.visit_id""",
        (timedelta(seconds=extra_s), ticket_id),
        missing="The order has no visit in the plan that stands.",
    )
    wanted = people.needs(conn, ticket_id)
    people.set_needs(conn, ticket_id, replace(wanted, duration_s=min(wanted.duration_s + extra_s, LONGEST_S)))


def outdated(conn: Connection, plan: PlanRow) -> list[Violation]:
    """The hard rules that a plan breaks on the site as it is now; orders that are finished do not count."""
    drawn = drawing.draw(conn, origin=plan.origin)
    known = {job.job_id for job in drawn.problem.jobs}
    those = [visit for visit in drawing.visits(conn, plan.plan_id, plan.origin) if visit.job_id in known]
    return violations(drawn.problem, Plan(tuple(those)))


def on_duty(conn: Connection, engineer_id: int, *, begins: datetime, ends: datetime) -> list[VisitRow]:
    """An engineer's visits of the plan that stands, in a time."""
    row = conn.execute("select plan_id from plans where status = 'accepted'").fetchone()
    found = visits(conn, row[0]) if row else []
    return [each for each in found if each.engineer_id == engineer_id and each.ends > begins and each.starts < ends]


# -- inside -----------------------------------------------------------------------------------------------------------


def _draft(conn: Connection, plan_id: int) -> PlanRow:
    query = COLUMNS + "where plan_id = %s for update"
    plan = PlanRow(*one(conn, query, (plan_id,), missing=f"There is no plan {plan_id}."))
    if plan.status != "draft":
        raise PlanNotDraft(f"Plan {plan_id} is {plan.status}.")
    return plan


def _keep(conn: Connection, plan_id: int, drawn: Drawn, made: run.Made) -> None:
    board = replan.salvage(drawn.problem, made.plan)
    names = {job.job_id: job for job in drawn.problem.jobs}
    left = [
        {"ticket_id": job_id, "ref": names[job_id].name, "why": dict(why_left(board, names[job_id]))}
        for job_id in sorted(made.plan.left)
    ]
    conn.execute(
        """update plans set status = 'draft', horizon_s = %s, maker = %s, reason = %s, cost = %s, greedy_cost = %s,
             moved = %s, left_over = %s where plan_id = %s""",
        (
            drawn.problem.horizon_s,
            made.maker.value,
            made.reason,
            made.cost,
            cost(drawn.problem, greedy(drawn.problem)),
            made.moved,
            Jsonb(left),
            plan_id,
        ),
    )
    changed = {each.job_id: "moved" if each.moved else "same" for each in replan.changes(drawn.standing, made.plan)}
    for visit in made.plan.visits:
        _keep_visit(conn, plan_id, drawn, board, visit, changed)
    live.announce(conn, "plan", plan_id)


def _keep_visit(
    conn: Connection, plan_id: int, drawn: Drawn, board: Board, visit: Visit, changed: dict[int, str]
) -> None:
    job = board.jobs[visit.job_id]
    stood = {each.job_id for each in drawn.standing.visits}
    change = changed.get(visit.job_id, "same") if visit.job_id in stood else "new"
    conn.execute(
        """insert into visits (plan_id, ticket_id, engineer_id, starts, ends, frozen, change, reasons, travel_s)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            plan_id,
            visit.job_id,
            visit.engineer_id,
            drawn.origin + timedelta(seconds=visit.start_s),
            drawn.origin + timedelta(seconds=visit.end_s),
            bool(job.frozen),
            change,
            Jsonb([dict(reason) for reason in why(board, job)]),
            _travel(board, job, visit),
        ),
    )


def _travel(board: Board, job: Job, visit: Visit) -> int:
    goes = next((tour.engineer for tour in board.tours if tour.engineer.engineer_id == visit.engineer_id), None)
    return way_to(board, job, goes) if goes else 0


def _give(conn: Connection, actor: Actor, ticket_id: int, rows: list[VisitRow], now: datetime) -> dict[str, Any] | None:
    """Assign the order to its first person and note the visit; or why that could not be."""
    ticket = store.get(conn, ticket_id)
    people = [row.engineer_id for row in rows]
    try:
        with attempt(conn):
            if ticket.assignee_id not in people and ticket.status in GIVEN:
                service.assign(conn, actor, ticket_id, assignee_id=people[0], now=now)
            if ticket.is_open and any(row.change != "same" for row in rows):
                service.record(conn, actor, ticket_id, kind="visit_planned", details=_details(rows), now=now)
    except (Conflict, Forbidden) as error:
        return _failed(ticket.ref, ticket_id, error)
    return None


def _details(rows: list[VisitRow]) -> dict[str, Any]:
    return {
        "engineers": [row.engineer for row in rows],
        "starts": rows[0].starts.isoformat(),
        "ends": rows[0].ends.isoformat(),
        "reasons": rows[0].reasons,
    }


def _failed(ref: str, ticket_id: int, error: MillwrightError) -> dict[str, Any]:
    return {"ticket_id": ticket_id, "ref": ref, "detail": str(error)}
