"""After a surprise: one proposal of little change, told once, adopted where the site says so; nothing lost by kills."""

from __future__ import annotations

import threading
import time as wall
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta

import psycopg
import pytest
from psycopg import Connection

from core import jobs
from core.database import Database
from tests.integration.tickets_world import HOUR, NOW, World, build, order, walk
from tickets import engineers, notify, service, store
from tickets.dispatch import people, planning, replanning
from tickets.dispatch.planning import PlanRow
from tickets.hooks import only
from tickets.routing import Shift

DAYS = tuple(Shift(day, time(6), time(18)) for day in range(5))
ORDERS = 10


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(planning.SECONDS, "plan", 0.1)
    monkeypatch.setattr(planning, "REPLAN_S", 0.1)
    with only(on_event=replanning.on_event):
        yield


def standing(conn: Connection) -> tuple[World, PlanRow]:
    """A site with a plan of ten orders that stands."""
    world = build(conn)
    for engineer_id in (world.lin_id, world.wang_id):
        engineers.set_shifts(conn, engineer_id, DAYS)
    people.set_place(conn, world.pump, x_m=800, y_m=0)
    people.set_settings(conn, people.Settings(frozen_hours=0))
    for number in range(ORDERS):
        order(conn, world, mode=f"mode{number}", asset_id=world.pump if number % 2 else world.motor)
    plan_id = planning.begin(conn, cause="plan", user_id=world.planner.actor_id, seconds=None, now=NOW)
    planning.make(conn, {"plan_id": plan_id}, NOW)
    assert planning.accept(conn, world.planner, plan_id, now=NOW) == []
    return world, planning.get(conn, plan_id)


def looks(conn: Connection) -> int:
    """How many looks wait."""
    row = conn.execute("select count(*) from pgqueuer where entrypoint = %s", (replanning.LOOK,)).fetchone()
    assert row
    return int(row[0])


def proposals(conn: Connection) -> list[PlanRow]:
    return [plan for plan in planning.plans(conn) if plan.by_itself]


def told(conn: Connection, world: World) -> list[notify.Notice]:
    assert world.planner.actor_id is not None
    return [each for each in notify.inbox(conn, world.planner.actor_id) if each.kind == "replan"]


def look(conn: Connection, now: datetime = NOW) -> None:
    replanning.look(conn, {}, now)


def after(conn: Connection, wanted: replanning.Replanning) -> None:
    people.set_settings(conn, replace(people.settings(conn), replanning=wanted.value))


def test_an_urgent_order_is_answered_by_one_proposal_that_moves_little(conn: Connection) -> None:
    world, stands = standing(conn)
    assert looks(conn) == 0
    urgent = [order(conn, world, mode=mode, priority=1, asset_id=world.motor) for mode in ("burst", "smoke")]
    assert looks(conn) == 1
    look(conn)
    (plan,) = proposals(conn)
    assert (plan.status, plan.cause, plan.base_id) == ("draft", "emergency", stands.plan_id)
    assert [(each["cause"], each["name"]) for each in plan.because] == [("emergency", each.ref) for each in urgent]
    assert plan.moved <= 0.2
    assert {each.ticket_id for each in urgent} <= {row.ticket_id for row in planning.visits(conn, plan.plan_id)}
    (notice,) = told(conn, world)
    assert urgent[0].ref in notice.body["en"]
    assert "%" in notice.body["zh"]
    look(conn)
    replanning.watch(conn, {}, NOW)
    planning.discard(conn, plan.plan_id)
    look(conn)  # the planner has seen it and does not want it
    assert (len(proposals(conn)), len(told(conn, world)), looks(conn)) == (1, 1, 1)


def test_a_second_surprise_makes_one_proposal_of_both(conn: Connection) -> None:
    world, _ = standing(conn)
    urgent = order(conn, world, mode="burst", priority=3)
    assert looks(conn) == 0
    service.patch(conn, world.planner, urgent.ticket_id, changes={"priority": 1}, now=NOW)
    assert looks(conn) == 1
    look(conn)
    who = planning.visits(conn, proposals(conn)[0].plan_id)[-1].engineer_id
    times = {"begins": NOW + timedelta(days=20), "ends": NOW + timedelta(days=21)}
    people.add(conn, "absences", owner_id=who, **times, kind="leave", note="")
    look(conn)  # beyond every visit
    assert len(proposals(conn)) == 1
    people.add(conn, "absences", owner_id=who, begins=NOW, ends=NOW + timedelta(days=5), kind="sick", note="")
    look(conn)
    newer, older = proposals(conn)
    assert (newer.status, older.status) == ("draft", "discarded")
    assert [each["cause"] for each in newer.because] == ["emergency", "sickness"]
    assert all(row.engineer_id != who for row in planning.visits(conn, newer.plan_id))
    assert planning.accept(conn, world.planner, newer.plan_id, now=NOW) == []
    look(conn)
    assert len(proposals(conn)) == 2


def test_a_visit_that_overruns_moves_what_comes_after(conn: Connection) -> None:
    world, stands = standing(conn)
    rows = planning.visits(conn, stands.plan_id)
    first = rows[0]
    actor = world.lin if first.engineer_id == world.lin_id else world.wang
    walk(conn, actor, store.get(conn, first.ticket_id), "accepted", "arrived")
    replanning.watch(conn, {}, first.ends - timedelta(minutes=1))
    assert looks(conn) == 0
    late = first.ends + timedelta(minutes=2)
    replanning.watch(conn, {}, late)
    assert looks(conn) == 1
    look(conn, late)
    (plan,) = proposals(conn)
    assert [(each["cause"], each["name"]) for each in plan.because] == [("overrun", first.ref)]
    visits = planning.visits(conn, plan.plan_id)
    (running,) = [row for row in visits if row.ticket_id == first.ticket_id]
    assert (running.engineer_id, running.ends) == (first.engineer_id, late + timedelta(minutes=15))
    assert all(
        row.starts >= running.ends for row in visits if row.engineer_id == first.engineer_id and row is not running
    )
    replanning.watch(conn, {}, late + timedelta(minutes=1))
    look(conn, late + timedelta(minutes=1))
    assert len(proposals(conn)) == 1


def test_a_site_may_adopt_at_once_or_not_at_all(conn: Connection) -> None:
    world, stands = standing(conn)
    after(conn, replanning.Replanning.OFF)
    urgent = order(conn, world, mode="burst", priority=1, asset_id=world.motor)
    look(conn)
    replanning.watch(conn, {}, NOW)
    assert proposals(conn) == []
    after(conn, replanning.Replanning.ADOPT)
    look(conn)
    (plan,) = proposals(conn)
    assert (plan.status, planning.get(conn, stands.plan_id).status) == ("accepted", "superseded")
    (visit,) = [row for row in planning.visits(conn, plan.plan_id) if row.ticket_id == urgent.ticket_id]
    assert store.get(conn, urgent.ticket_id).assignee_id == visit.engineer_id
    assert [each.title["en"] for each in told(conn, world)] == ["The plan was changed by itself"]
    look(conn)
    assert len(proposals(conn)) == 1


def test_what_moves_too_much_is_not_adopted(conn: Connection) -> None:
    world, stands = standing(conn)
    after(conn, replanning.Replanning.ADOPT)
    rows = planning.visits(conn, stands.plan_id)
    most = max((world.lin_id, world.wang_id), key=lambda who: sum(row.engineer_id == who for row in rows))
    people.add(conn, "absences", owner_id=most, begins=NOW, ends=NOW + timedelta(days=5), kind="sick", note="")
    look(conn)
    (plan,) = proposals(conn)
    assert plan.moved > 0.2
    assert plan.status == "draft"
    assert "too much" in told(conn, world)[0].body["en"]


def test_without_a_plan_nothing_is_looked_at(conn: Connection) -> None:
    world = build(conn)
    order(conn, world, priority=1)
    replanning.watch(conn, {}, NOW + HOUR)
    assert looks(conn) == 0


def test_a_killed_look_leaves_nothing_and_two_at_once_make_one(
    database: Database, site: int, superuser: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.tx(site_id=site) as conn:
        world, _ = standing(conn)
        order(conn, world, mode="burst", priority=1, asset_id=world.motor)
    monkeypatch.setattr(planning, "REPLAN_S", 2.0)
    with pytest.raises(psycopg.OperationalError):
        _killed(database, site, superuser)
    monkeypatch.setattr(planning, "REPLAN_S", 0.1)
    with database.tx(site_id=site) as conn:
        assert proposals(conn) == []
    threads = [threading.Thread(target=_look_alone, args=(database, site)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.tx(site_id=site) as conn:
        assert [plan.status for plan in proposals(conn)] == ["draft"]
        assert len(told(conn, world)) == 1
    body = {"site_id": site, "effect": str(uuid.uuid4())}
    assert [jobs.run_job(database, replanning.LOOK, body) for _ in range(2)] == [True, False]


def _look_alone(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        look(conn)


def _killed(database: Database, site: int, superuser: Connection) -> None:
    """Run a look whose connection is ended while the plan is being made."""
    with database.tx(site_id=site) as conn:
        pid = conn.info.backend_pid
        killer = threading.Thread(target=_kill, args=(superuser, pid))
        killer.start()
        try:
            look(conn)
        finally:
            killer.join()


def _kill(superuser: Connection, pid: int) -> None:
    query = "select 1 from pg_locks where pid = %s and locktype = 'advisory' and granted"
    deadline = wall.monotonic() + 10
    while superuser.execute(query, (pid,)).fetchone() is None and wall.monotonic() < deadline:
        wall.sleep(0.02)
    superuser.execute("select pg_terminate_backend(%s)", (pid,))
