"""Preventive plans at work: saved with their references checked, and turned into orders, once each, by a timer.

    put ──▶ pm_plans ──timer "plans"──▶ look ──▶ pm_occurrences: opened (an order), suppressed or missed, because …
    tickets.hooks ──done, reopened──▶ follow ──▶ pm_completions: the plan's own, smaller ones', repaired ones'

A look locks the plan, then its machines, then an order that it adds to. Row, order and due day are one transaction; the
unique (plan, due) is the net beneath. Neither a kill nor a jump of the clock loses a due day or doubles one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from core import log
from core.database import savepoint
from core.errors import MillwrightError, NotFound, Stale
from core.timers import timer
from maintenance import feasible, job_plans_store, plans_due, plans_model, plans_orders, plans_schedule, plans_store
from maintenance.errors import BadPlan
from maintenance.plans_due import Fate, History, Ruling, Why
from maintenance.plans_model import Plan
from maintenance.plans_store import Kept
from plant import assets
from tickets import engineers
from tickets.model import CANCELLED, CLOSED, DONE, REOPENED, Ticket

LOOK_EVERY = timedelta(hours=1)  # meters, conditions and completions are seen within this
logger = log.get("plans")


# -- saving -----------------------------------------------------------------------------------------------------------


def put(
    conn: Connection, code: str, data: Mapping[str, Any], *, version: int | None, by_name: str, now: datetime
) -> Kept:
    """A new plan, or another definition; the same again changes nothing. ``version``: what was seen (0: there was none;
    None: not looked). Raises BadPlan, NeverReady, Stale, AssetNotFound; nothing is half kept."""
    plan = plans_model.parse(code, data)
    conn.execute("select pg_advisory_xact_lock(hashtextextended('plans ' || current_site(), 0))")
    standing = plans_store.by_code(conn, code)
    refuse_stale(standing, code, version)
    if standing is not None and standing.state != "retired" and standing.plan == plan:
        return standing
    asset_ids = [assets.asset_by_code(conn, each).asset_id for each in plan.assets]
    _check_nesting(conn, plan)
    warnings = feasible.check(conn, plan, asset_ids, now=now)
    since = now.astimezone(engineers.site_zone(conn)).date()
    plan_id = plans_store.save(conn, plan, asset_ids, warnings=warnings, since=since, by_name=by_name, now=now)
    return plans_store.get(conn, plan_id)


def set_state(conn: Connection, plan_id: int, state: str, *, version: int | None, now: datetime) -> Kept:
    """Pause, go on, or retire. Raises NotFound, Stale, BadPlan."""
    conn.execute("select 1 from pm_plans where plan_id = %s for update", (plan_id,))
    standing = plans_store.get(conn, plan_id)
    refuse_stale(standing, standing.code, version)
    if state not in ("active", "paused", "retired"):
        raise BadPlan("A plan is active, paused or retired.")
    if state == "retired":
        _refuse_needed(conn, standing)
    plans_store.set_state(conn, plan_id, state, now=now)
    if state != "active":
        today = now.astimezone(engineers.site_zone(conn)).date()
        plans_store.unabsorb(conn, standing.code, since=today, until=None)
    return plans_store.get(conn, plan_id)


def refuse_stale(standing: Kept | None, code: str, version: int | None) -> None:
    """Raise Stale unless ``version`` is what stands (0: nothing)."""
    at = standing.version if standing else 0
    if version is not None and version != at:
        body = plans_model.as_json(standing.plan) if standing else None
        raise Stale(
            f"{code} is at version {at}. Reload and try again.",
            current={"code": code, "version": at, "body": body},
            given_version=version,
        )


def done_by_hand(conn: Connection, plan_id: int, *, at: datetime, by_name: str, now: datetime) -> Kept:
    """Somebody did the work without an order. Raises NotFound, BadPlan."""
    kept = plans_store.get(conn, plan_id)
    if at > now:
        raise BadPlan("Work is done in the past, not in the future.")
    readings = plans_store.readings_now(conn, kept, now=at)
    plans_store.complete(conn, plan_id, ticket_id=None, done_at=at, way="person", readings=readings, by_name=by_name)
    plans_store.look_again(conn, plan_id, at=now)
    return plans_store.get(conn, plan_id)


def _check_nesting(conn: Connection, plan: Plan) -> None:
    plans = {each.code: each.plan for each in plans_store.find(conn)} | {plan.code: plan}
    for code in plan.absorbs:
        if code not in plans:
            raise BadPlan(f"{plan.code} absorbs {code}, which is no plan of this site.")
        if not set(plans[code].assets) <= set(plan.assets):
            raise BadPlan(f"{plan.code} absorbs {code}, but does not visit all of its machines.")
    plans_model.refuse_circle({code: each.absorbs for code, each in plans.items()})


def _refuse_needed(conn: Connection, standing: Kept) -> None:
    users = [each.code for each in plans_store.find(conn) if standing.code in each.plan.absorbs]
    if users:
        raise BadPlan(f"{users[0]} absorbs {standing.code}. Change that plan first.")


# -- looking ----------------------------------------------------------------------------------------------------------


@timer("plans")
def ring(conn: Connection, now: datetime) -> datetime | None:
    """Look after the plan whose time has come first; returns when the next one's does. One transaction a plan: the
    machines of several would not be locked in one order."""
    row = conn.execute(
        """select plan_id from pm_plans where look_at <= %s and state <> 'retired'
           order by look_at, plan_id limit 1 for update skip locked""",
        (now,),
    ).fetchone()
    if row is not None:
        _look_safely(conn, row[0], now)
    row = conn.execute("select min(look_at) from pm_plans where state <> 'retired'").fetchone()
    return row[0] if row else None


def _look_safely(conn: Connection, plan_id: int, now: datetime) -> None:
    """A plan that cannot open its order is said in the log and tried again; it does not hold up the others."""
    try:
        with savepoint(conn):
            look(conn, plans_store.get(conn, plan_id), now=now)
    except MillwrightError as error:
        logger.warning("a plan failed", plan_id=plan_id, error=error.message)
        plans_store.look_again(conn, plan_id, at=now + LOOK_EVERY)


def look(conn: Connection, kept: Kept, *, now: datetime) -> list[Ruling]:
    """Decide what is to be decided of one plan, whose row is locked, and say when to look again."""
    conn.execute(
        "select 1 from assets where asset_id = any(%s) order by asset_id for no key update", (list(kept.asset_ids),)
    )
    zone = engineers.site_zone(conn)
    today = now.astimezone(zone).date()
    family = plans_store.relatives(conn, kept.plan_id)
    known = plans_store.histories(conn, family, zone=zone, now=now)
    bigger = plans_schedule.coming(kept.code, {each.code: each.plan for each in family}, known)
    found = plans_due.rulings(kept.plan, known[kept.code], today=today, bigger=bigger)
    for ruling in found:
        if ruling.fate is Fate.OPENED:
            plans_orders.serve(conn, kept, ruling, family=family, known=known, zone=zone, now=now)
        else:
            _keep(conn, kept, known[kept.code], ruling, now)
    _look_again(conn, kept, zone=zone, now=now, more=len(found) >= plans_due.MOST_RULINGS)
    return found


def _keep(conn: Connection, kept: Kept, history: History, ruling: Ruling, now: datetime) -> None:
    reset = plans_due.reset_by(kept.plan, history, ruling)
    stand = plans_store.readings_now(conn, kept, now=now) if reset else {}
    plans_store.record(
        conn, kept, ruling, ticket_id=None, readings={code: stand[code] for code in reset & set(stand)}, now=now
    )


def _look_again(conn: Connection, kept: Kept, *, zone: ZoneInfo, now: datetime, more: bool) -> None:
    history = plans_store.histories(conn, [kept], zone=zone, now=now)[kept.code]
    day = plans_due.look_on(kept.plan, history)
    following = now + LOOK_EVERY
    if more:
        following = now
    elif day is not None:
        begins = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        following = min(max(begins, now + timedelta(minutes=1)), following)
    plans_store.look_again(conn, kept.plan_id, at=following)


# -- what orders tell -------------------------------------------------------------------------------------------------


def follow(conn: Connection, before: Ticket, ticket: Ticket, now: datetime) -> None:
    """Registered where the rooms are wired: an order that is done did the work of its plans, of smaller ones, and of
    those whose job plan it was given; a reopened one did not. It locks no plan."""
    if ticket.status in (REOPENED, CANCELLED):
        plans_store.withdraw(conn, ticket.ticket_id)
        if ticket.status == CANCELLED:
            _unabsorb(conn, ticket)
    elif ticket.status == DONE or (ticket.status == CLOSED and before.done_at is None):
        for plan_id, way in _served(conn, ticket).items():
            kept = plans_store.get(conn, plan_id)
            readings = plans_store.readings_now(conn, kept, now=now)
            plans_store.complete(
                conn, plan_id, ticket_id=ticket.ticket_id, done_at=ticket.done_at or now, way=way, readings=readings
            )


def _unabsorb(conn: Connection, ticket: Ticket) -> None:
    """What an order that never comes was to hold is due again."""
    rows = conn.execute(
        "select p.code, o.due from pm_occurrences o join pm_plans p using (plan_id) where o.ticket_id = %s",
        (ticket.ticket_id,),
    )
    for code, due in rows.fetchall():
        plans_store.unabsorb(conn, code, since=due, until=due)


def _served(conn: Connection, ticket: Ticket) -> dict[int, str]:
    """Plan → how this order did its work."""
    rows = conn.execute("select plan_id from pm_occurrences where ticket_id = %s", (ticket.ticket_id,)).fetchall()
    own = {row[0] for row in rows}
    codes = [each.code for each in job_plans_store.of_ticket(conn, ticket.ticket_id)]
    if not own and not codes:
        return {}
    visited = plans_orders.machines(conn, ticket)
    plans = plans_store.find(conn)
    bigger = plans_schedule.bigger_of({each.code: each.plan for each in plans})
    by_code = {each.code: each.plan_id for each in plans}
    found = {}
    for each in plans:
        if each.plan_id in own:
            found[each.plan_id] = "order"
        elif any(by_code[big] in own for big in bigger[each.code]):
            found[each.plan_id] = "bigger"
        elif _repaired(each, codes, visited):
            found[each.plan_id] = "repair"
    return found


def _repaired(kept: Kept, codes: Sequence[str], visited: set[int]) -> bool:
    counts = kept.plan.repairs is plans_model.Repairs.COUNT
    return counts and bool(kept.plan.job_plan) and kept.plan.job_plan in codes and set(kept.asset_ids) <= visited


# -- looking ahead ----------------------------------------------------------------------------------------------------


def standings(conn: Connection, *, now: datetime) -> tuple[list[plans_schedule.Standing], date]:
    """Every plan with its history, and today on the site's clock."""
    zone = engineers.site_zone(conn)
    plans = plans_store.find(conn)
    known = plans_store.histories(conn, plans, zone=zone, now=now)
    found = [plans_schedule.Standing(each.plan, known[each.code]) for each in plans]
    return found, now.astimezone(zone).date()


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where a plan stands: its next due day that is not done yet, when it was done, and the due day of its order."""

    next_due: date | None
    last_done: date | None
    open_due: date | None


def outlooks(conn: Connection, found: Sequence[Kept], *, now: datetime) -> dict[str, Outlook]:
    """Where each of these plans stands, by code."""
    known = plans_store.histories(conn, found, zone=engineers.site_zone(conn), now=now)
    return {each.code: _outlook(each.plan, known[each.code]) for each in found}


def _outlook(plan: Plan, history: History) -> Outlook:
    due = plans_due.next_due(plan, history)
    done, still_open = history.done, history.open
    while due is not None and plans_due.is_done(plan, history, due):
        history = plans_due.settle(plan, history, Ruling(due, Fate.SUPPRESSED, Why.DONE_BEFORE))
        due = plans_due.next_due(plan, history)
    return Outlook(due, done, still_open)


def schedule(conn: Connection, *, weeks: int, now: datetime) -> plans_schedule.Forecast:
    """The visits of the weeks to come."""
    found, today = standings(conn, now=now)
    return plans_schedule.forecast(found, today=today, until=today + timedelta(weeks=weeks))


def preview(
    conn: Connection, code: str, data: Mapping[str, Any], *, weeks: int, now: datetime
) -> tuple[plans_schedule.Forecast, plans_schedule.Forecast]:
    """The visits as they are, and as they would be with this definition; nothing is kept. Raises BadPlan."""
    plan = plans_model.parse(code, data)
    asset_ids = tuple(assets.asset_by_code(conn, each).asset_id for each in plan.assets)
    found, today = standings(conn, now=now)
    until = today + timedelta(weeks=weeks)
    others = [each for each in found if each.plan.code != code]
    mine = _history_of(conn, plan, asset_ids, today=today, now=now)
    changed = [*others, plans_schedule.Standing(plan, mine)]
    before = plans_schedule.forecast(found, today=today, until=until)
    return before, plans_schedule.forecast(changed, today=today, until=until)


def _history_of(conn: Connection, plan: Plan, asset_ids: tuple[int, ...], *, today: date, now: datetime) -> History:
    """What happened to the plan of this code, told in the words of another definition; a new one begins today."""
    kept = plans_store.by_code(conn, plan.code)
    if kept is None or kept.state == "retired":
        return History(since=today, levels=plans_store.levels_now(conn, plan, asset_ids, today=today, now=now))
    changed = replace(kept, plan=plan, asset_ids=asset_ids)
    return plans_store.histories(conn, [changed], zone=engineers.site_zone(conn), now=now)[plan.code]


def get(conn: Connection, code: str) -> Kept:
    """Raises NotFound."""
    found = plans_store.by_code(conn, code)
    if found is None:
        raise NotFound(f"There is no plan {code!r} on this site.")
    return found
