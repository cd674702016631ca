"""Is an order ready to be done? Computed from what is there, never a second life cycle.

    readiness_facts.read ──▶ judge(order) ──▶ ready, scheduled, frozen | waiting for parts, to plan, because …

*ready*: parts reserved, permit given, a window found, people who can. *scheduled*: a visit of the accepted plan stands.
*frozen*: that visit begins within a week.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from psycopg import Connection

from maintenance import job_plans, readiness_facts, sentences
from maintenance.job_plans import JobPlan
from maintenance.readiness_facts import Facts, Override, Site
from plant import windows
from plant.model import Window
from tickets import service
from tickets import store as tickets_store
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


# -- asking -----------------------------------------------------------------------------------------------------------


def of(conn: Connection, ticket: Ticket, *, now: datetime) -> Readiness:
    """Whether an order is ready, and what it lacks."""
    site, facts = readiness_facts.read(conn, [ticket], now=now)
    return judge(ticket, facts[ticket.ticket_id], site, now=now)


def board(conn: Connection, *, now: datetime) -> list[Readiness]:
    """The open orders that nobody has begun, the most urgent first, at most MOST."""
    rows = conn.execute(
        """select ticket_id from tickets where status = any(%s) and kind = any(%s)
           order by priority, resolve_by nulls last, ticket_id limit %s""",
        (list(BEFORE_WORK), list(ORDERS), MOST),
    ).fetchall()
    tickets = {each.ticket_id: each for each in tickets_store.of_ids(conn, [row[0] for row in rows])}
    site, facts = readiness_facts.read(conn, list(tickets.values()), now=now)
    return [judge(tickets[ticket_id], facts[ticket_id], site, now=now) for (ticket_id,) in rows]


def judge(ticket: Ticket, facts: Facts, site: Site, *, now: datetime) -> Readiness:
    """Whether an order is ready, from what is there."""
    plans = [plan for _, plan in facts.plans]
    lacks = [*_parts(facts, site), *_permits(plans, facts.permit_by), *_skills(ticket, facts, site)]
    stop, found = _window(facts, site, now)
    lacks += [] if facts.override else found
    visit = site.visits.get(ticket.ticket_id)
    return Readiness(
        ticket=ticket,
        state=_state(lacks, visit, now),
        lacks=tuple(lacks),
        window=stop,
        cost_h=stop.cost_h if stop else 0.0,
        visit=visit,
        permit_by=facts.permit_by,
        override=facts.override,
        job_plans=tuple(code for code, _ in facts.plans),
    )


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


def _parts(facts: Facts, site: Site) -> Iterator[Lack]:
    for part_id, lacking in facts.lacking:
        part = site.parts[part_id]
        values = {"part": part.code, "unit": part.unit, "lacking": f"{lacking:g}", "free": f"{max(part.free, 0.0):g}"}
        when = {"expected": f"{part.expected:%Y-%m-%d}"} if part.expected else {}
        yield Lack(Kind.PARTS, sentences.say("lack.part", values | when))


def _permits(plans: Sequence[JobPlan], permit: str | None) -> Iterator[Lack]:
    if permit is None and job_plans.together(plans).permit:
        yield Lack(Kind.PERMIT, sentences.say("lack.permit"))


def _skills(ticket: Ticket, facts: Facts, site: Site) -> Iterator[Lack]:
    needs = facts.needs
    wanted = dict(job_plans.together(plan for _, plan in facts.plans).skills)
    if ticket.skill:
        wanted[ticket.skill] = max(wanted.get(ticket.skill, 0), needs.level)
    for skill, level in wanted.items():
        there = sum(each >= level for each in site.levels.get(skill, ()))
        if there < needs.crew:
            values = {"skill": skill, "level": level, "there": there, "needed": needs.crew}
            yield Lack(Kind.SKILLS, sentences.say("lack.skill", values))
    for certificate in needs.certificates:
        there = site.certified.get(certificate, 0)
        if there < needs.crew:
            values = {"certificate": certificate, "there": there, "needed": needs.crew}
            yield Lack(Kind.SKILLS, sentences.say("lack.certificate", values))


def _window(facts: Facts, site: Site, now: datetime) -> tuple[windows.Opening | None, list[Lack]]:
    """The earliest stop of all the order's machines together with what an hour of it costs, or which cannot stop."""
    lasting = timedelta(seconds=facts.needs.duration_s)
    asset_ids = sorted(facts.machines)
    common = site.book.common(asset_ids, start=now, end=now + HORIZON)
    stop = windows.next_stop(common, after=now, lasting=lasting)
    if stop is None:
        codes = ", ".join(site.codes.get(asset_id, "") for asset_id in asset_ids)
        values = {"asset": codes, "hours": f"{lasting / timedelta(hours=1):g}", "days": HORIZON.days}
        return None, [Lack(Kind.WINDOW, sentences.say("lack.window", values))]
    cost = site.book.cost_of(asset_ids, stop.start, stop.end)
    return replace(stop, cost_h=cost / (lasting / timedelta(hours=1))), []
