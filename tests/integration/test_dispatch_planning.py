"""Plans as rows: drawn from the site, made by the job, accepted into assignments and events, re-planned, fed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import pytest
from icalendar import Calendar
from psycopg import Connection

from core.errors import Invalid, NotFound
from tests.integration.tickets_world import HOUR, NOW, World, build, order, walk
from tickets import engineers, service, store
from tickets.dispatch import drawing, feed, people, planning
from tickets.dispatch.check import violations
from tickets.dispatch.model import Place, Plan
from tickets.errors import PlanNotDraft, PlanOutdated
from tickets.model import Ticket
from tickets.routing import Shift

DAYS = tuple(Shift(day, time(6), time(18)) for day in range(5))


@dataclass(frozen=True, slots=True)
class Site:
    world: World
    orders: tuple[Ticket, ...]


@pytest.fixture
def plant(conn: Connection) -> Site:
    world = build(conn)
    for engineer_id in (world.lin_id, world.wang_id):
        engineers.set_shifts(conn, engineer_id, DAYS)
    people.set_place(conn, world.pump, x_m=800, y_m=0)
    orders = tuple(
        order(conn, world, mode=f"mode{number}", asset_id=world.pump if number % 2 else world.motor)
        for number in range(6)
    )
    people.set_settings(conn, people.Settings(frozen_hours=0))
    return Site(world, orders)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(planning.SECONDS, "plan", 0.6)
    monkeypatch.setattr(planning, "REPLAN_S", 0.6)
    yield


def made(conn: Connection, cause: str = "plan", now: datetime = NOW) -> planning.PlanRow:
    plan_id = planning.ask(conn, cause=cause, user_id=None, seconds=None, now=now)
    planning.make(conn, {"plan_id": plan_id}, now)
    return planning.get(conn, plan_id)


def test_a_plan_is_made_explained_and_accepted(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    assert (plan.status, plan.maker, plan.left_over) == ("draft", "optimiser", [])
    assert plan.cost is not None
    assert plan.greedy_cost is not None
    assert plan.cost <= plan.greedy_cost
    rows = planning.visits(conn, plan.plan_id)
    assert {row.ticket_id for row in rows} == {each.ticket_id for each in plant.orders}
    assert all(reason["en"] and reason["zh"] for row in rows for reason in row.reasons)
    assert planning.outdated(conn, plan) == []
    assert planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW) == []
    for row in rows:
        ticket = store.get(conn, row.ticket_id)
        assert ticket.assignee_id == row.engineer_id
        kinds = [event.kind for event in store.timeline(conn, row.ticket_id)]
        assert "visit_planned" in kinds
        assert store.verify_chain(conn, row.ticket_id) == []
    with pytest.raises(PlanNotDraft):
        planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)


def test_a_job_delivered_twice_makes_one_plan(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    planning.make(conn, {"plan_id": plan.plan_id}, NOW)
    assert len(planning.visits(conn, plan.plan_id)) == 6


def test_whoever_waits_for_a_plan_that_fails_is_told(
    conn: Connection, plant: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(planning.run, "make", broken)
    plan = made(conn)
    assert plan.status == "failed"
    assert "log" in plan.reason


def test_what_the_site_says_is_in_the_problem(conn: Connection, plant: Site) -> None:
    first, second, third = (each.ticket_id for each in plant.orders[:3])
    window = (NOW + 5 * HOUR, NOW + 9 * HOUR)
    people.add(conn, "production_windows", owner_id=plant.world.motor, begins=window[0], ends=window[1], note="")
    people.set_certificates(conn, plant.world.lin_id, [("gas", NOW + timedelta(days=1))])
    people.set_needs(conn, first, people.Needs(7200, 2, 1, (), (second,), NOW + 2 * HOUR))
    people.set_needs(conn, third, people.Needs(certificates=("gas",)))
    people.add(conn, "absences", owner_id=plant.world.wang_id, begins=NOW, ends=NOW + HOUR, kind="sick", note="")
    drawn = drawing.draw(conn, origin=NOW)
    jobs = {job.job_id: job for job in drawn.problem.jobs}
    assert (jobs[first].crew, jobs[first].duration_s, jobs[first].after) == (2, 7200, (second,))
    assert (jobs[first].ready_s, jobs[first].windows[0]) == (7200, (5 * 3600, 9 * 3600))
    assert jobs[second].place == Place(800, 0)
    assert jobs[second].needs == (("mechanical", 1),)
    crew = {one.engineer_id: one for one in drawn.problem.engineers}
    assert crew[plant.world.lin_id].certificates == {"gas": 86_400}
    assert crew[plant.world.wang_id].absences == ((0, 3600),)
    assert crew[plant.world.lin_id].shifts[0] == (0, 9 * 3600)  # what is left of the Monday
    plan = made(conn)
    visits = drawing.visits(conn, plan.plan_id, NOW)
    assert violations(drawn.problem, Plan(visits)) == []
    assert len([visit for visit in visits if visit.job_id == first]) == 2


def test_sickness_moves_the_sick_persons_jobs_and_little_else(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)
    before = {row.ticket_id: row for row in planning.visits(conn, plan.plan_id)}
    sick = max(before.values(), key=lambda row: row.starts).engineer_id
    theirs = {ident for ident, row in before.items() if row.engineer_id == sick}
    people.add(conn, "absences", owner_id=sick, begins=NOW, ends=NOW + timedelta(days=5), kind="sick", note="")
    assert planning.outdated(conn, plan)
    again = made(conn, "sickness")
    after = {row.ticket_id: row for row in planning.visits(conn, again.plan_id)}
    assert all(row.engineer_id != sick for row in after.values())
    moved = {ident for ident, row in after.items() if row.change == "moved"}
    assert theirs <= moved
    assert len(moved - theirs) <= 1
    assert planning.accept(conn, plant.world.planner, again.plan_id, now=NOW) == []
    assert planning.get(conn, plan.plan_id).status == "superseded"


def test_what_is_fixed_or_within_the_frozen_period_does_not_move(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)
    rows = planning.visits(conn, plan.plan_id)
    planning.fix(conn, rows[-1].visit_id, frozen=True)
    people.set_settings(conn, people.Settings(frozen_hours=1))
    again = made(conn)
    kept = {(row.ticket_id, row.engineer_id, row.starts) for row in planning.visits(conn, again.plan_id)}
    soon = [row for row in rows if row.starts <= NOW + HOUR]
    assert soon
    for row in (*soon, rows[-1]):
        assert (row.ticket_id, row.engineer_id, row.starts) in kept


def test_an_overrun_pushes_what_comes_after(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)
    first = planning.visits(conn, plan.plan_id)[0]
    later = first.starts + timedelta(minutes=10)
    planning.overrun(conn, first.ticket_id, extra_s=3 * 3600)
    again = made(conn, "overrun", later)
    rows = planning.visits(conn, again.plan_id)
    (running,) = [row for row in rows if row.ticket_id == first.ticket_id]
    assert running.ends == first.ends + timedelta(hours=3)
    mates = [row for row in rows if row.engineer_id == first.engineer_id and row is not running]
    assert all(row.starts >= running.ends for row in mates)


def test_a_draft_that_the_site_has_left_behind_is_not_accepted(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    row = planning.visits(conn, plan.plan_id)[0]
    people.add(
        conn, "absences", owner_id=row.engineer_id, begins=NOW, ends=NOW + timedelta(days=5), kind="sick", note=""
    )
    with pytest.raises(PlanOutdated):
        planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)
    planning.discard(conn, plan.plan_id)
    assert planning.get(conn, plan.plan_id).status == "discarded"


def test_an_order_that_is_finished_meanwhile_does_not_stop_the_others(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    gone = plant.orders[0]
    service.transition(
        conn, plant.world.planner, gone.ticket_id, to="cancelled", fields={"reason": "not needed"}, now=NOW
    )
    planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)
    assert store.get(conn, plant.orders[1].ticket_id).status == "assigned"
    assert store.get(conn, gone.ticket_id).status == "cancelled"


def test_who_is_at_work_keeps_the_order(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    row = planning.visits(conn, plan.plan_id)[0]
    other = plant.world.wang_id if row.engineer_id == plant.world.lin_id else plant.world.lin_id
    ticket = service.assign(conn, plant.world.planner, row.ticket_id, assignee_id=other, now=NOW)
    walk(conn, plant.world.planner, ticket, "accepted", "arrived")
    planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)
    assert store.get(conn, row.ticket_id).assignee_id == other


def test_orders_cannot_wait_in_a_circle(conn: Connection, plant: Site) -> None:
    first, second = plant.orders[0].ticket_id, plant.orders[1].ticket_id
    people.set_needs(conn, first, people.Needs(after=(second,)))
    with pytest.raises(Invalid, match="circle"):
        people.set_needs(conn, second, people.Needs(after=(first,)))


def test_the_feed_shows_the_visits_behind_its_secret_alone(conn: Connection, plant: Site) -> None:
    plan = made(conn)
    planning.accept(conn, plant.world.planner, plan.plan_id, now=NOW)
    who = planning.visits(conn, plan.plan_id)[0].engineer_id
    address = feed.parse(feed.make(conn, who, now=NOW))
    shown = Calendar.from_ical(feed.calendar(conn, address, now=NOW).decode())
    events = shown.walk("VEVENT")
    mine = [row for row in planning.visits(conn, plan.plan_id) if row.engineer_id == who]
    assert [event.decoded("dtstart") for event in events] == [row.starts for row in mine]
    assert all(str(event["summary"]).startswith("WO-") for event in events)
    for wrong in (address._replace(secret="x" * 43), address._replace(engineer_id=who + 99)):
        with pytest.raises(NotFound):
            feed.calendar(conn, wrong, now=NOW)
    feed.make(conn, who, now=NOW)
    with pytest.raises(NotFound):
        feed.calendar(conn, address, now=NOW)  # the address before ended
    with pytest.raises(NotFound):
        feed.parse("../../etc/passwd")
