"""Is an order ready to be done? Computed from what is there, never a second life cycle.

    World.read ──▶ of(order) ──▶ ready, scheduled, frozen | waiting for parts, to plan, because …

*ready*: parts reserved, permit given, a window found, people who can. *scheduled*: a visit of the accepted plan stands.
*frozen*: that visit begins within a week.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import LiteralString

from psycopg import Connection

from maintenance import feasible, job_plans, job_plans_store, sentences
from maintenance.job_plans import JobPlan
from maintenance.plans_orders import machines
from plant import stops, windows
from plant.model import Window
from tickets import service, stock
from tickets import store as tickets_store
from tickets.dispatch import people
from tickets.errors import InvalidFields, NotAllowed
from tickets.model import Actor, Ticket

HORIZON = timedelta(days=56)
FROZEN = timedelta(days=7)
MOST = 200
PLANNERS = frozenset({"planner", "manager", "admin"})
ORDERS = ("preventive", "corrective", "inspection")
BEFORE_WORK = ("new", "approved", "assigned", "accepted", "on_hold", "reopened")


class State(StrEnum):
    """What a planner has to do about an order."""

    TO_PLAN = "to_plan"
    WAITING_PARTS = "waiting_parts"
    READY = "ready"
    SCHEDULED = "scheduled"
    FROZEN = "frozen"


class Kind(StrEnum):
    """What an order lacks."""

    PARTS = "parts"
    PERMIT = "permit"
    WINDOW = "window"
    SKILLS = "skills"


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that keeps an order from being ready, in every language."""

    kind: Kind
    text: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Override:
    """Who takes it upon themselves that the order is worked on outside of its machine's windows."""

    by_name: str
    reason: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Readiness:
    """``window``: the earliest stop that is long enough. ``visit``: when somebody is planned to come."""

    ticket: Ticket
    state: State
    lacks: tuple[Lack, ...]
    window: Window | None
    cost_h: float
    visit: datetime | None
    permit_by: str | None
    override: Override | None
    job_plans: tuple[str, ...]

    @property
    def ready(self) -> bool:
        return not self.lacks


@dataclass(frozen=True, slots=True)
class World:
    """What many orders ask, read once."""

    book: stops.Book
    codes: Mapping[int, str]
    levels: Mapping[str, Sequence[int]]
    visits: Mapping[int, datetime]


VISITS: LiteralString = """
  select v.ticket_id, min(v.starts) from visits v join plans p using (plan_id)
  where p.status = 'accepted' and v.ends > %s group by v.ticket_id"""


# -- asking -----------------------------------------------------------------------------------------------------------


def world(conn: Connection, *, now: datetime) -> World:
    """Windows, people and visits of the site."""
    levels: dict[str, list[int]] = {}
    for (skills,) in conn.execute("select skills from engineers where active"):
        for skill, level in skills.items():
            levels.setdefault(skill, []).append(int(level))
    codes = {row[0]: row[1] for row in conn.execute("select asset_id, code from assets")}
    visits = {row[0]: row[1] for row in conn.execute(VISITS, (now,))}
    return World(stops.book(conn), codes, levels, visits)


def of(conn: Connection, ticket: Ticket, *, now: datetime, known: World | None = None) -> Readiness:
    """Whether an order is ready, and what it lacks."""
    known = known or world(conn, now=now)
    plans = job_plans_store.of_ticket(conn, ticket.ticket_id)
    override = _override(conn, ticket.ticket_id)
    permit = _permit(conn, ticket.ticket_id)
    needs = people.needs(conn, ticket.ticket_id)
    lacks = [*_parts(conn, ticket), *_permits([each.plan for each in plans], permit)]
    lacks += _skills(conn, ticket, needs, [each.plan for each in plans], known, now)
    stop, found = _window(conn, ticket, timedelta(seconds=needs.duration_s), known, now)
    lacks += [] if override else found
    visit = known.visits.get(ticket.ticket_id)
    return Readiness(
        ticket=ticket,
        state=_state(lacks, visit, now),
        lacks=tuple(lacks),
        window=stop,
        cost_h=stop.cost_h if stop else 0.0,
        visit=visit,
        permit_by=permit,
        override=override,
        job_plans=tuple(each.code for each in plans),
    )


def board(conn: Connection, *, now: datetime) -> list[Readiness]:
    """The open orders that nobody has begun, the most urgent first, at most MOST."""
    rows = conn.execute(
        """select ticket_id from tickets where status = any(%s) and kind = any(%s)
           order by priority, resolve_by nulls last, ticket_id limit %s""",
        (list(BEFORE_WORK), list(ORDERS), MOST),
    ).fetchall()
    known = world(conn, now=now)
    tickets = {each.ticket_id: each for each in tickets_store.of_ids(conn, [row[0] for row in rows])}
    return [of(conn, tickets[row[0]], now=now, known=known) for row in rows]


# -- permits and overrides --------------------------------------------------------------------------------------------


def give_permit(conn: Connection, actor: Actor, ticket_id: int, *, note: str, version: int, now: datetime) -> Ticket:
    """The machine may be worked on, says a person by name. Raises NotAllowed, NotFound, Stale, TicketClosed."""
    _refuse_machine(actor)
    tickets_store.lock(conn, ticket_id, version=version)
    conn.execute(
        """insert into work_permits (ticket_id, user_id, by_name, note, given_at) values (%s, %s, %s, %s, %s)
           on conflict (ticket_id) do update set user_id = excluded.user_id, by_name = excluded.by_name,
             note = excluded.note, given_at = excluded.given_at""",
        (ticket_id, actor.actor_id, actor.name, note, now),
    )
    return service.record(conn, actor, ticket_id, kind="permit", details={"given": True, "note": note}, now=now)


def take_permit(conn: Connection, actor: Actor, ticket_id: int, *, version: int, now: datetime) -> Ticket:
    """It may not be worked on any more. Raises as :func:`give_permit`."""
    _refuse_machine(actor)
    tickets_store.lock(conn, ticket_id, version=version)
    conn.execute("delete from work_permits where ticket_id = %s", (ticket_id,))
    return service.record(conn, actor, ticket_id, kind="permit", details={"given": False}, now=now)


def override(conn: Connection, actor: Actor, ticket_id: int, *, reason: str, version: int, now: datetime) -> Ticket:
    """Work outside of the machine's windows, for a reason, on somebody's name. Raises as :func:`give_permit`, and
    InvalidFields without a reason."""
    _refuse_machine(actor)
    if not reason.strip():
        raise InvalidFields("Say why the order is worked on outside of the production windows.")
    tickets_store.lock(conn, ticket_id, version=version)
    conn.execute(
        """insert into window_overrides (ticket_id, user_id, by_name, reason, made_at) values (%s, %s, %s, %s, %s)
           on conflict (ticket_id) do update set user_id = excluded.user_id, by_name = excluded.by_name,
             reason = excluded.reason, made_at = excluded.made_at""",
        (ticket_id, actor.actor_id, actor.name, reason.strip(), now),
    )
    details = {"reason": reason.strip(), "by": actor.name}
    return service.record(conn, actor, ticket_id, kind="window_override", details=details, now=now)


def take_override(conn: Connection, actor: Actor, ticket_id: int, *, version: int, now: datetime) -> Ticket:
    """The machine's windows count again. Raises as :func:`give_permit`."""
    _refuse_machine(actor)
    tickets_store.lock(conn, ticket_id, version=version)
    conn.execute("delete from window_overrides where ticket_id = %s", (ticket_id,))
    return service.record(conn, actor, ticket_id, kind="window_override", details={"given": False}, now=now)


def _refuse_machine(actor: Actor) -> None:
    """A name of a person stands behind it."""
    if actor.actor_id is None or actor.part not in PLANNERS:
        raise NotAllowed("Only a planner, manager or administrator gives their name for this.")


# -- inside -----------------------------------------------------------------------------------------------------------


def _state(lacks: Sequence[Lack], visit: datetime | None, now: datetime) -> State:
    if visit is not None:
        return State.FROZEN if visit < now + FROZEN else State.SCHEDULED
    if not lacks:
        return State.READY
    return State.WAITING_PARTS if all(each.kind is Kind.PARTS for each in lacks) else State.TO_PLAN


def _parts(conn: Connection, ticket: Ticket) -> Iterator[Lack]:
    lines = stock.lines(conn, ticket.ticket_id)
    for part_id, quantity in stock.kit(conn, ticket):
        lacking = quantity - sum(each.reserved + each.consumed for each in lines if each.part_id == part_id)
        if lacking > 0:
            yield _part(conn, part_id, lacking)


def _part(conn: Connection, part_id: int, lacking: float) -> Lack:
    row = conn.execute(
        """select p.code, p.unit, coalesce((select sum(on_hand - reserved) from stock_levels l
             where l.part_id = p.part_id), 0),
             (select min(expected_at) from purchase_requests r where r.part_id = p.part_id and r.status = 'ordered')
           from parts p where p.part_id = %s""",
        (part_id,),
    ).fetchone()
    code, unit, free, expected = row or (str(part_id), "", 0.0, None)
    values = {"part": code, "unit": unit, "lacking": f"{lacking:g}", "free": f"{max(free, 0.0):g}"}
    when = {"expected": f"{expected:%Y-%m-%d}"} if expected else {}
    return Lack(Kind.PARTS, sentences.say("lack.part", values | when))


def _permits(plans: Sequence[JobPlan], permit: str | None) -> Iterator[Lack]:
    if permit is None and job_plans.together(plans).permit:
        yield Lack(Kind.PERMIT, sentences.say("lack.permit"))


def _skills(
    conn: Connection, ticket: Ticket, needs: people.Needs, plans: Sequence[JobPlan], known: World, now: datetime
) -> Iterator[Lack]:
    wanted = dict(job_plans.together(plans).skills)
    if ticket.skill:
        wanted[ticket.skill] = max(wanted.get(ticket.skill, 0), needs.level)
    for skill, level in wanted.items():
        there = sum(each >= level for each in known.levels.get(skill, ()))
        if there < needs.crew:
            values = {"skill": skill, "level": level, "there": there, "needed": needs.crew}
            yield Lack(Kind.SKILLS, sentences.say("lack.skill", values))
    for certificate in needs.certificates:
        there = feasible.certified(conn, certificate, now=now)
        if there < needs.crew:
            values = {"certificate": certificate, "there": there, "needed": needs.crew}
            yield Lack(Kind.SKILLS, sentences.say("lack.certificate", values))


def _window(
    conn: Connection, ticket: Ticket, lasting: timedelta, known: World, now: datetime
) -> tuple[windows.Opening | None, list[Lack]]:
    """The earliest stop of all the order's machines together with what an hour of it costs, or which cannot stop."""
    asset_ids = sorted(machines(conn, ticket))
    common = known.book.common(asset_ids, start=now, end=now + HORIZON)
    stop = windows.next_stop(common, after=now, lasting=lasting)
    if stop is None:
        codes = ", ".join(known.codes.get(asset_id, "") for asset_id in asset_ids)
        values = {"asset": codes, "hours": f"{lasting / timedelta(hours=1):g}", "days": HORIZON.days}
        return None, [Lack(Kind.WINDOW, sentences.say("lack.window", values))]
    cost = known.book.cost_of(asset_ids, stop.start, stop.end)
    return replace(stop, cost_h=cost / (lasting / timedelta(hours=1))), []


def _override(conn: Connection, ticket_id: int) -> Override | None:
    row = conn.execute(
        "select by_name, reason, made_at from window_overrides where ticket_id = %s", (ticket_id,)
    ).fetchone()
    return Override(*row) if row else None


def _permit(conn: Connection, ticket_id: int) -> str | None:
    row = conn.execute("select by_name from work_permits where ticket_id = %s", (ticket_id,)).fetchone()
    return row[0] if row else None
