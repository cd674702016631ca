"""Plans in the database: one order a due day, merged, absorbed, done by repair; ready, or why not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from psycopg import Connection

from core.database import Database, savepoint
from core.errors import Stale
from maintenance import job_plans_store, meters, plans, plans_due, plans_orders, plans_store, plans_text, readiness
from maintenance.errors import AlreadyDecided, BadPlan, BadReading, NeverReady
from maintenance.plans_due import Fate, Ruling, Why
from maintenance.readiness import Kind, State
from plant import stops
from plant.model import Window
from plant.times import to_us
from plant.windows import Rule, Weekly
from tests.integration.tickets_world import HOUR, NOW, World, asset, build, order, walk
from tickets import engineers, hooks, service, stock, stores
from tickets import store as tickets_store
from tickets.dispatch import drawing, people
from tickets.errors import NotAllowed

DAY = timedelta(days=1)
TODAY = NOW.date()
JOB = {
    "title": {"en": "Change the bearing", "zh": "更换轴承"},
    "steps": ["Lock out", "Change", "Run"],
    "tools": ["Puller"],
    "parts": [{"part": "6205", "quantity": 2}],
    "skill": "mechanical",
    "level": 2,
    "minutes": 120,
    "isolation": ["Breaker Q1"],
    "permit": True,
}


@dataclass(frozen=True, slots=True)
class Shop:
    world: World
    bearing: int
    store: int


def shop(conn: Connection, *, bearings: float = 10) -> Shop:
    world = build(conn)
    main = stores.put_store(conn, code="main", name="Main", allow_negative=False).store_id
    bearing = stores.put_part(conn, code="6205", name="Bearing", unit="pcs", price=40, lead_s=86_400).part_id
    if bearings:
        stock.receive(conn, world.planner, store_id=main, part_id=bearing, quantity=bearings, now=NOW)
    job_plans_store.put(conn, "BEARING", JOB, version=0, by_name="Pat", now=NOW)
    return Shop(world, bearing, main)


def put(conn: Connection, code: str, *, now: datetime = NOW, **more: Any) -> plans_store.Kept:
    data = {"title": code, "assets": ["P-101"], "calendar": weekly(), **more}
    return plans.put(conn, code, data, version=None, by_name="Pat", now=now)


def weekly(first: date = TODAY, every: int = 1, unit: str = "week", **more: Any) -> dict[str, Any]:
    return {"every": every, "unit": unit, "first": first.isoformat(), **more}


def ring(conn: Connection, now: datetime) -> None:
    """As the timer does, until nothing is left."""
    for _ in range(20):
        following = plans.ring(conn, now)
        if following is None or following > now:
            return
    raise AssertionError("the timer never comes to rest")


def orders(conn: Connection) -> list[int]:
    rows = conn.execute("select ticket_id from tickets where channel = 'plan' order by 1")
    return [row[0] for row in rows]


def fates(conn: Connection, kept: plans_store.Kept) -> list[tuple[date, str, str]]:
    return [(each.due, each.state, each.reason["key"]) for each in plans_store.occurrences(conn, kept.plan_id)[::-1]]


def finish(conn: Connection, at: Shop, ticket_id: int, *, now: datetime) -> None:
    """The work is done, as wired in the composition."""
    with hooks.only():
        hooks.hooks.register_on_transition(plans.follow)
        ticket = tickets_store.get(conn, ticket_id)
        assert ticket.assignee_id == at.world.lin_id
        walk(conn, at.world.lin, ticket, "accepted", "arrived", "done", now=now)


def test_a_due_day_opens_one_order_with_its_job_plan(conn: Connection) -> None:
    at = shop(conn)
    kept = put(conn, "WEEK", job_plan="BEARING", calendar=weekly(TODAY + 3 * DAY), lead_days=2, tolerance_days=1)
    ring(conn, NOW)
    assert orders(conn) == []
    ring(conn, NOW + DAY)
    ring(conn, NOW + DAY)
    (ticket_id,) = orders(conn)
    ticket = tickets_store.get(conn, ticket_id)
    assert (ticket.kind, ticket.skill, ticket.asset_id) == ("preventive", "mechanical", at.world.pump)
    assert ticket.resolve_by == datetime(2026, 3, 7, tzinfo=UTC) - offset(conn, date(2026, 3, 7))
    assert fates(conn, kept) == [(TODAY + 3 * DAY, "opened", "due")]
    assert [each.code for each in job_plans_store.of_ticket(conn, ticket_id)] == ["BEARING"]
    assert [(line.code, line.reserved) for line in stock.lines(conn, ticket_id)] == [("6205", 2)]
    assert tickets_store.verify_chain(conn, ticket_id) == []
    ring(conn, NOW - 30 * DAY)  # the clock was put back
    assert len(orders(conn)) == 1


def offset(conn: Connection, day: date) -> timedelta:
    local = datetime(day.year, day.month, day.day, tzinfo=engineers.site_zone(conn))
    return local.utcoffset() or timedelta(0)


def test_a_due_day_that_is_decided_is_not_decided_again_by_whoever_held_no_lock(conn: Connection) -> None:
    shop(conn)
    kept = put(conn, "WEEK")
    ruling = Ruling(TODAY, Fate.OPENED, Why.DUE)
    known = plans_store.histories(conn, [kept], zone=zone(conn), now=NOW)
    given: dict[str, Any] = {"family": [kept], "known": known, "zone": zone(conn), "now": NOW}
    plans_orders.serve(conn, kept, ruling, **given)
    with pytest.raises(AlreadyDecided), savepoint(conn):
        plans_orders.serve(conn, kept, ruling, **given)
    assert len(orders(conn)) == 1


@pytest.mark.parametrize("change", [date(2026, 3, 29), date(2026, 10, 25)])
def test_daylight_saving_loses_and_doubles_no_day(database: Database, change: date) -> None:
    with database.tx() as conn:
        row = conn.execute(
            "insert into sites (code, name, timezone) values ('dst', 'dst', 'Europe/Berlin') returning site_id"
        ).fetchone()
    assert row
    with database.tx(site_id=row[0]) as conn:
        build(conn)
        start = datetime(change.year, change.month, change.day, tzinfo=UTC) - 3 * DAY
        kept = put(conn, "DAY", calendar=weekly(start.date(), 1, "day"), now=start)
        for hours in range(0, 6 * 24, 5):
            ring(conn, start + hours * HOUR)
            ring(conn, start + (hours - 2) * HOUR)  # the clock is put back and forth
        seen = [day for day, _, _ in fates(conn, kept)]
        assert seen == [start.date() + i * DAY for i in range(len(seen))]
        assert len(seen) >= 6
        assert len(orders(conn)) == 1


def test_a_jump_of_the_clock_opens_one_and_tells_of_the_others(conn: Connection) -> None:
    shop(conn)
    kept = put(conn, "WEEK", calendar=weekly(TODAY + DAY))
    ring(conn, NOW + 31 * DAY)
    assert len(orders(conn)) == 1
    assert [each[1:] for each in fates(conn, kept)] == [("missed", "not_looked")] * 4 + [("opened", "due")]


def test_overlapping_plans_share_an_order_and_the_bigger_one_holds_the_smaller(conn: Connection) -> None:
    at = shop(conn)
    month = put(conn, "MONTH", calendar=weekly(TODAY + DAY, 1, "month"), tolerance_days=3)
    oil = put(conn, "OIL", calendar=weekly(TODAY + 4 * DAY, 6, "week", mode="floating"), tolerance_days=2)
    put(conn, "YEAR", calendar=weekly(TODAY + 33 * DAY, 12, "month"), absorbs=["MONTH"], tolerance_days=5)
    ring(conn, NOW + DAY)
    (ticket_id,) = orders(conn)
    assert fates(conn, month) == [(TODAY + DAY, "opened", "due")]
    assert fates(conn, oil) == [(TODAY + 4 * DAY, "opened", "merged")]
    finish(conn, at, ticket_id, now=NOW + 2 * DAY)
    ring(conn, NOW + 33 * DAY)
    assert fates(conn, month)[1] == (date(2026, 4, 3), "suppressed", "absorbed")
    assert len(orders(conn)) == 2
    assert plans_store.histories(conn, [oil], zone=zone(conn), now=NOW)["OIL"].done == TODAY + 2 * DAY


def zone(conn: Connection) -> Any:
    return engineers.site_zone(conn)


def test_what_a_cancelled_bigger_order_was_to_hold_is_due_again(conn: Connection) -> None:
    at = shop(conn)
    month = put(conn, "MONTH", calendar=weekly(TODAY + 4 * DAY, 1, "month"), tolerance_days=3)
    put(conn, "YEAR", calendar=weekly(TODAY + 2 * DAY, 12, "month"), absorbs=["MONTH"], lead_days=2)
    ring(conn, NOW)
    ring(conn, NOW + 4 * DAY)
    (ticket_id,) = orders(conn)
    assert fates(conn, month) == [(TODAY + 4 * DAY, "suppressed", "absorbed")]
    with hooks.only():
        hooks.hooks.register_on_transition(plans.follow)
        ticket = tickets_store.get(conn, ticket_id)
        service.transition(
            conn, at.world.planner, ticket_id, to="cancelled", version=ticket.version, fields={"reason": "No stop"},
            now=NOW + 4 * DAY,
        )  # fmt: skip
    ring(conn, NOW + 5 * DAY)
    assert fates(conn, month) == [(TODAY + 4 * DAY, "opened", "due")]
    assert len(orders(conn)) == 2


def test_an_order_that_is_open_for_the_machine_takes_what_falls_due(conn: Connection) -> None:
    shop(conn)
    put(conn, "A", calendar=weekly(TODAY), tolerance_days=3)
    ring(conn, NOW)
    late = put(conn, "B", calendar=weekly(TODAY + 2 * DAY), tolerance_days=3, job_plan="BEARING")
    ring(conn, NOW + 2 * DAY)
    (ticket_id,) = orders(conn)
    assert fates(conn, late) == [(TODAY + 2 * DAY, "opened", "merged")]
    assert [each.code for each in job_plans_store.of_ticket(conn, ticket_id)] == ["BEARING"]


def test_a_repair_with_the_same_job_plan_counts_until_it_is_reopened(conn: Connection) -> None:
    at = shop(conn)
    kept = put(conn, "MONTH", calendar=weekly(TODAY + 3 * DAY, 1, "month"), job_plan="BEARING", tolerance_days=7)
    repair = order(conn, at.world, kind="corrective", mode=None)
    job_plans_store.apply(conn, at.world.planner, repair.ticket_id, "BEARING", now=NOW)
    finish(conn, at, repair.ticket_id, now=NOW + HOUR)
    ring(conn, NOW + 3 * DAY)
    assert fates(conn, kept) == [(TODAY + 3 * DAY, "suppressed", "done_before")]
    with hooks.only():
        hooks.hooks.register_on_transition(plans.follow)
        done = tickets_store.get(conn, repair.ticket_id)
        service.transition(
            conn, at.world.planner, repair.ticket_id, to="reopened", version=done.version,
            fields={"reason": "other", "note": "Still loud."}, now=NOW + DAY,
        )  # fmt: skip
    assert plans_store.histories(conn, [kept], zone=zone(conn), now=NOW)["MONTH"].done is None


def test_a_route_is_one_order_of_several_machines(conn: Connection) -> None:
    at = shop(conn)
    put(conn, "ROUTE", assets=["P-101", "M-201"], calendar=weekly(TODAY))
    inner = put(conn, "INNER", assets=["M-201"], calendar=weekly(TODAY))
    ring(conn, NOW)
    (ticket_id,) = orders(conn)
    found = conn.execute("select asset_id from ticket_assets where ticket_id = %s", (ticket_id,)).fetchall()
    assert {row[0] for row in found} == {at.world.pump, at.world.motor}
    assert fates(conn, inner) == [(TODAY, "opened", "merged")]


def test_a_meter_forecasts_its_due_day_and_starts_anew_when_done(conn: Connection) -> None:
    at = shop(conn)
    meter = meters.create(
        conn, asset_id=at.world.pump, code="hours", name="Hours", unit="h", way="by_hand", signal_id=None, now=NOW
    ).meter_id
    for day in range(0, 11, 5):
        meters.record(conn, meter, value=1000 + 20 * day, at=NOW + day * DAY, by_name="Lin")
    kept = put(conn, "HOURS", calendar=[], meter={"meter": "hours", "every": 500}, now=NOW)
    now = NOW + 10 * DAY
    visits = plans.schedule(conn, weeks=12, now=now).visits
    assert [visit.day for visit in visits] == [TODAY + days * DAY for days in (25, 50, 75)]
    ring(conn, now)
    assert orders(conn) == []
    meters.record(conn, meter, value=1510, at=NOW + 20 * DAY, by_name="Lin")
    ring(conn, NOW + 20 * DAY)
    (ticket_id,) = orders(conn)
    finish(conn, at, ticket_id, now=NOW + 20 * DAY + HOUR)
    ring(conn, NOW + 22 * DAY)
    assert len(fates(conn, kept)) == 1
    with pytest.raises(BadReading, match="counts up"):
        meters.record(conn, meter, value=3, at=NOW + 23 * DAY, by_name="Lin")
    changed = meters.record(conn, meter, value=3, at=NOW + 23 * DAY, by_name="Lin", replaced=True)
    assert changed.total == 1513


def test_what_could_never_be_ready_is_refused_and_what_may_come_is_told(conn: Connection) -> None:
    at = shop(conn, bearings=0)
    with pytest.raises(NeverReady, match="No store carries 6205"):
        put(conn, "PM", job_plan="BEARING")
    stock.receive(conn, at.world.planner, store_id=at.store, part_id=at.bearing, quantity=1, now=NOW)
    stock.receive(conn, at.world.planner, store_id=at.store, part_id=at.bearing, quantity=-1, kind="correct", now=NOW)
    kept = put(conn, "PM", job_plan="BEARING")
    assert "6205 is in no store now" in kept.warnings[0]["en"]
    job_plans_store.put(conn, "WELD", {**JOB, "skill": "welding", "parts": []}, version=0, by_name="Pat", now=NOW)
    with pytest.raises(NeverReady, match="Nobody on this site has the skill 'welding'"):
        put(conn, "PM-2", job_plan="WELD")
    stops.put(conn, Rule(at.world.pump, Weekly("UTC", (5,), 0, 90, TODAY)))
    with pytest.raises(NeverReady, match=r"never\s+stops for longer than 1.5 h"):
        put(conn, "PM-3", job_plan="BEARING")
    with pytest.raises(BadPlan, match="no meter"):
        put(conn, "PM-4", meter={"meter": "hours", "every": 1})
    with pytest.raises(BadPlan, match="circle"):
        put(conn, "A", absorbs=["PM"])
        put(conn, "PM", absorbs=["A"])
    assert [each.code for each in plans_store.find(conn)] == ["A", "PM"]


def test_an_order_is_ready_when_nothing_lacks_and_says_what_does(conn: Connection) -> None:
    at = shop(conn, bearings=0)
    ticket = order(conn, at.world)
    job_plans_store.apply(conn, at.world.planner, ticket.ticket_id, "BEARING", now=NOW)
    stops.put(conn, Rule(at.world.pump, Window(NOW + DAY, NOW + DAY + HOUR)))
    found = look(conn, ticket.ticket_id)
    assert found.state is State.TO_PLAN
    assert [each.kind for each in found.lacks] == [Kind.PARTS, Kind.PERMIT, Kind.WINDOW]
    assert "2 pcs of 6205 are not reserved; 0 are free." in found.lacks[0].text["en"]
    assert all(each.text["zh"] and each.text["zh"] != each.text["en"] for each in found.lacks)
    version = tickets_store.get(conn, ticket.ticket_id).version
    with pytest.raises(NotAllowed):
        readiness.give_permit(conn, at.world.lin, ticket.ticket_id, note="", version=version, now=NOW)
    readiness.give_permit(conn, at.world.planner, ticket.ticket_id, note="Q1 locked", version=version, now=NOW)
    readiness.override(conn, at.world.planner, ticket.ticket_id, reason="Leak", version=version, now=NOW)
    found = look(conn, ticket.ticket_id)
    assert (found.state, found.permit_by) == (State.WAITING_PARTS, "Pat")
    assert found.override is not None
    assert (found.override.by_name, found.override.reason) == ("Pat", "Leak")
    stock.receive(conn, at.world.planner, store_id=at.store, part_id=at.bearing, quantity=2, now=NOW)
    stock.reserve(conn, at.world.planner, ticket.ticket_id, part_id=at.bearing, quantity=2, now=NOW)
    assert look(conn, ticket.ticket_id).state is State.READY
    assert [each.state for each in readiness.board(conn, now=NOW)] == [State.READY]


def test_the_board_asks_as_often_for_many_orders_as_for_one(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    at = shop(conn)
    asked: list[str] = []
    execute = Connection.execute

    def counted(self: Connection, query: Any, *more: Any, **named: Any) -> Any:
        asked.append(query)
        return execute(self, query, *more, **named)

    monkeypatch.setattr(Connection, "execute", counted)
    counts = []
    for number in (1, 9):
        for place in range(number):
            made = order(conn, at.world, mode=f"mode-{number}-{place}")
            job_plans_store.apply(conn, at.world.planner, made.ticket_id, "BEARING", now=NOW)
        asked.clear()
        board = readiness.board(conn, now=NOW)
        counts.append((len(asked), len(board)))
    (one, _), (many, size) = counts
    assert size == 10 and many == one
    for each in board:
        assert each == readiness.of(conn, each.ticket, now=NOW)


def look(conn: Connection, ticket_id: int) -> readiness.Readiness:
    return readiness.of(conn, tickets_store.get(conn, ticket_id), now=NOW)


def test_a_job_plan_is_applied_once_and_the_order_keeps_its_revision(conn: Connection) -> None:
    at = shop(conn)
    ticket = order(conn, at.world, skill=None)
    job_plans_store.apply(conn, at.world.planner, ticket.ticket_id, "BEARING", now=NOW)
    again = job_plans_store.apply(conn, at.world.planner, ticket.ticket_id, "BEARING", now=NOW)
    assert again.skill == "mechanical"
    assert [line.reserved for line in stock.lines(conn, ticket.ticket_id)] == [2]
    second = job_plans_store.put(conn, "BEARING", {**JOB, "minutes": 60}, version=1, by_name="Pat", now=NOW)
    assert second.revision == 2
    assert [each.revision for each in job_plans_store.of_ticket(conn, ticket.ticket_id)] == [1]
    with pytest.raises(Stale):
        job_plans_store.put(conn, "BEARING", JOB, version=1, by_name="Pat", now=NOW)


def test_another_interval_is_tried_without_keeping_it(conn: Connection) -> None:
    shop(conn)
    kept = put(conn, "WEEK")
    before, after = plans.preview(
        conn, "WEEK", {"title": "W", "assets": ["P-101"], "calendar": weekly(every=2)}, weeks=52, now=NOW
    )
    assert (len(before.visits), len(after.visits)) == (53, 27)
    assert plans_store.get(conn, kept.plan_id).version == kept.version


def test_plans_as_text_come_back_the_same_and_applying_again_changes_nothing(conn: Connection) -> None:
    shop(conn)
    put(conn, "WEEK", job_plan="BEARING", tolerance_days=1)
    put(conn, "YEAR", calendar=weekly(TODAY, 12, "month"), absorbs=["WEEK"])
    text = plans_text.export(conn)
    assert plans_text.apply(conn, text, by_name="Pat", now=NOW) == []
    changed = text.replace("every = 12", "every = 6")
    (one,) = [each for each in plans_text.diff(conn, changed) if each.lines]
    assert (one.name, one.what) == ("plan YEAR", plans_text.What.CHANGED)
    assert [each.name for each in plans_text.apply(conn, changed, by_name="Pat", now=NOW)] == ["plan YEAR"]
    assert plans_text.export(conn) == changed
    with pytest.raises(BadPlan):
        plans_text.apply(conn, changed.replace('unit = "week"', 'unit = "moon"'), by_name="Pat", now=NOW)


def test_dispatch_plans_nothing_outside_a_window_unless_a_name_stands_for_it(conn: Connection) -> None:
    at = shop(conn)
    ticket = order(conn, at.world)
    conn.execute("insert into ticket_assets (ticket_id, asset_id) values (%s, %s)", (ticket.ticket_id, at.world.motor))
    people.set_needs(conn, ticket.ticket_id, people.Needs(7200))
    stops.put(conn, Rule(at.world.pump, Weekly("UTC", (1,), 12 * 60, 240, TODAY)))
    stops.put(conn, Rule(at.world.motor, Weekly("UTC", (1,), 13 * 60, 240, TODAY)))
    (job,) = drawing.draw(conn, origin=NOW).problem.jobs
    day = 24 * 3600
    assert job.windows == ((day + 4 * 3600, day + 7 * 3600),)  # Tuesday 13:00 to 16:00, both stand
    stop = look(conn, ticket.ticket_id).window
    assert stop is not None
    assert stop.start == NOW + 28 * HOUR
    version = tickets_store.get(conn, ticket.ticket_id).version
    readiness.override(conn, at.world.planner, ticket.ticket_id, reason="Leak", version=version, now=NOW)
    (job,) = drawing.draw(conn, origin=NOW).problem.jobs
    assert job.windows == ()


def test_a_condition_opens_an_order_while_it_is_met_and_not_again_at_once(conn: Connection) -> None:
    at = shop(conn)
    row = conn.execute(
        """insert into signals (asset_id, code, name, quantity, unit, period_s, role)
           values (%s, 'dp', 'dp', 'pressure', 'bar', 1, 'measured') returning signal_id""",
        (at.world.pump,),
    ).fetchone()
    assert row
    with pytest.raises(BadPlan, match="no signal"):
        put(conn, "PM", calendar=[], condition={"signal": "nope", "relation": "above", "limit": 1})
    condition = {"signal": "dp", "relation": "above", "limit": 0.8}
    kept = put(conn, "FILTER", calendar=[], condition=condition)
    ring(conn, NOW)
    assert orders(conn) == []
    assert plans_due.next_due(kept.plan, replace(history(conn, kept), held=TODAY)) == TODAY
    held = replace(history(conn, kept), held=TODAY, settled=TODAY - DAY)
    assert plans_due.next_due(kept.plan, held) == TODAY + 6 * DAY


def history(conn: Connection, kept: plans_store.Kept) -> plans_due.History:
    return plans_store.histories(conn, [kept], zone=zone(conn), now=NOW)[kept.code]


def test_running_hours_are_counted_while_the_state_says_so() -> None:
    hour = int(HOUR / timedelta(microseconds=1))
    start = to_us(NOW)
    at = np.arange(start, start + hour, 60_000_000)
    on = np.ones(len(at))
    hours, running = meters.running_hours(at, on, since=NOW, until=NOW + HOUR, running=True)
    assert running
    assert hours == pytest.approx(1.0)
    half = np.where(np.arange(len(at)) < 30, 1.0, 0.0)
    hours, running = meters.running_hours(at, half, since=NOW, until=NOW + HOUR, running=False)
    assert not running
    assert hours == pytest.approx(0.5)
    hours, running = meters.running_hours(at[:1], on[:1], since=NOW, until=NOW + 5 * HOUR, running=False)
    assert hours == pytest.approx(0.25)  # silence is not running time


def test_many_at_once_and_killed_ones_open_one_order_a_due_day(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        shop(conn)
        made = [put(conn, f"PM-{i}", assets=["P-101" if i % 2 else "M-201"]) for i in range(6)]
        asset(conn, "X-1", "pump")

    def run(turn: int) -> None:
        try:
            with database.tx(site_id=site) as conn:
                plans.ring(conn, NOW)
                if turn % 3 == 0:
                    raise KeyboardInterrupt  # killed before the commit
        except KeyboardInterrupt:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(24)))
    with database.tx(site_id=site) as conn:
        ring(conn, NOW)
        for kept in made:
            assert [each.state for each in plans_store.occurrences(conn, kept.plan_id)] == ["opened"]
        assert len(orders(conn)) == 2  # one a machine
