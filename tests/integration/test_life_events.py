"""Errors that machines log, and components that were replaced → findings → orders, through the gate of any detector."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psycopg import Connection

import maintenance.life.jobs  # noqa: F401 - the periodic jobs are registered
from core import clock, jobs
from core.database import Database
from detectors import event_hazard
from maintenance import gate
from maintenance.gate import Standing
from maintenance.life import events, failures
from maintenance.life.events import BadEvent, EventKind, Told
from plant import assets
from tests.api_world import API, living, problem

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
WEARS, OTHER = "bearing_wear", "cavitation"
LIFE_H, WARNS_H, LIVES = 500, 20, 4
NOW = T0 + (LIVES * LIFE_H + 40) * HOUR


def history(conn: Connection, code: str, seed: int) -> int:
    """A pump whose code ``x`` comes 20 h before its old bearing fails; on a young one it means nothing, ``y`` never."""
    rng = np.random.default_rng(seed)
    asset_id = assets.create_asset(conn, code=code, name="Feed pump", asset_class="pump", criticality=3)
    told = [Told(T0, EventKind.REPLACED, WEARS), Told(T0, EventKind.REPLACED, OTHER)]
    for number in range(LIVES):
        begins = T0 + number * LIFE_H * HOUR
        told += [Told(begins + float(rng.uniform(10, 250)) * HOUR, EventKind.ERROR, "x") for _ in range(2)]
        told += [Told(begins + float(rng.uniform(0, 470)) * HOUR, EventKind.ERROR, "y") for _ in range(2)]
        told.append(Told(begins + (LIFE_H - WARNS_H) * HOUR, EventKind.ERROR, "x"))
    assert events.record(conn, "import", asset_id, told, now=NOW) == len(told)
    for number in range(LIVES):
        failed_at = T0 + (number + 1) * LIFE_H * HOUR
        failures.record(conn, "import", asset_id, mode=WEARS, failed_at=failed_at, now=NOW)
    return asset_id


class Plant:
    """Six pumps with a past, and the rounds of the worker by the plant's clock."""

    def __init__(self, database: Database, site: int) -> None:
        self.database, self.site = database, site
        with database.tx(site_id=site) as conn:
            self.pumps = [history(conn, f"P-{number}", number) for number in range(6)]
        self.to(NOW)

    def to(self, at: datetime) -> None:
        """The clock stands at ``at``; the job looks around."""
        self.now = at
        with self.database.tx() as conn:
            clock.set_clock(conn, plant_now=at, factor=1e-6)
        jobs.run_periodic(self.database, "maintenance.life.events")

    def tell(self, asset_id: int, kind: EventKind, code: str, at: datetime) -> None:
        with self.database.tx(site_id=self.site) as conn:
            events.record(conn, "scada", asset_id, [Told(at, kind, code)], now=at + timedelta(minutes=1))

    def hours(self, count: int) -> None:
        for _ in range(count):
            self.to(self.now + HOUR)

    def let(self) -> None:
        """A person lets the detector."""
        with self.database.tx(site_id=self.site) as conn:
            conn.execute("update gate_standings set standing = 'live' where detector = %s", (event_hazard.NAME,))

    def rows(self, statement: Any, *values: object) -> list[Any]:
        with self.database.tx(site_id=self.site) as conn:
            return conn.execute(statement, values).fetchall()

    def orders(self) -> list[Any]:
        return self.rows("select asset_id, mode from tickets where kind = 'preventive' order by ticket_id")


@pytest.fixture
def plant(database: Database, site: int) -> Plant:
    return Plant(database, site)


def test_in_shadow_first_then_an_order_by_the_same_gate_as_any_detector(plant: Plant) -> None:
    assert plant.rows("select count(*) from findings") == [(0,)]  # history is learnt from, and speaks no more
    assert plant.rows("select count(*) from machine_events where kind = 'error' and looked_at is null") == [(0,)]
    first, second, young = plant.pumps[:3]
    old = T0 + (LIVES + 1) * LIFE_H * HOUR - WARNS_H * HOUR
    plant.to(old - HOUR)
    plant.tell(first, EventKind.ERROR, "x", old)
    plant.to(old + timedelta(minutes=5))
    assert plant.rows("select asset_id, mode, active from findings") == [(first, WEARS, True)]
    plant.hours(3)
    assert plant.orders() == []
    [(standing,)] = plant.rows("select standing from gate_standings where detector = %s", event_hazard.NAME)
    assert standing == Standing.SHADOW
    [(last,)] = plant.rows("select reasons->-1->>'key' from decisions order by decision_id desc limit 1")
    assert last == "shadow"  # what it would have opened is written down and counted
    with plant.database.tx(site_id=plant.site) as conn:
        shown = gate.figures(conn, event_hazard.NAME, "1", since=NOW, until=plant.now)
        assert (shown.orders, shown.shadow) == (1, 1)

    plant.let()
    plant.tell(second, EventKind.ERROR, "x", plant.now)
    plant.tell(young, EventKind.REPLACED, WEARS, plant.now - HOUR)
    plant.tell(young, EventKind.ERROR, "x", plant.now)
    plant.tell(young, EventKind.ERROR, "y", plant.now)
    plant.hours(4)
    assert (second, WEARS) in plant.orders() and young not in {asset_id for asset_id, _ in plant.orders()}
    count = len(plant.orders())
    plant.hours(30)
    assert len(plant.orders()) == count  # once, however often it was said
    [(model, p_fail, p10, p50)] = plant.rows(
        "select model, p_fail_horizon, p10_h, p50_h from predictions where asset_id = %s order by made_at limit 1",
        second,
    )
    assert model == event_hazard.NAME and p_fail > 0.8 and 0 < p10 < p50 < event_hazard.HORIZON_H
    assert plant.rows("select count(*) from event_hazards") == [(0,)]  # the day is over
    assert plant.rows("select bool_or(active) from findings where asset_id = %s and at > %s", second,
                      plant.now - 4 * HOUR) in ([(False,)], [(None,)])  # fmt: skip


def test_a_component_that_was_replaced_is_not_spoken_of_any_more(plant: Plant) -> None:
    pump = plant.pumps[0]
    old = T0 + (LIVES + 1) * LIFE_H * HOUR - WARNS_H * HOUR
    plant.tell(pump, EventKind.ERROR, "x", old)
    plant.to(old + timedelta(minutes=5))
    plant.tell(pump, EventKind.REPLACED, WEARS, plant.now + timedelta(minutes=10))
    plant.hours(3)
    assert [row[0] for row in plant.rows("select active from findings order by at")] == [True, False]
    assert plant.rows("select action from decisions order by decision_id desc limit 1") == [("none",)]


def test_what_is_told_twice_is_one_and_nonsense_is_refused_whole(conn: Connection, site: int) -> None:
    asset_id = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump", criticality=3)
    good = Told(T0, EventKind.ERROR, "E-7")
    assert events.record(conn, "scada", asset_id, [good, good], now=T0) == 1
    assert events.record(conn, "scada", asset_id, [good], now=T0 + HOUR) == 0
    with pytest.raises(BadEvent, match="not come yet"):
        events.record(conn, "scada", asset_id, [Told(T0 + HOUR, EventKind.ERROR, "E-8")], now=T0)
    with pytest.raises(BadEvent, match="no failure mode 'gremlin'"):
        events.record(conn, "scada", asset_id, [Told(T0, EventKind.ERROR, "E-9"),
                                                Told(T0, EventKind.REPLACED, "gremlin")], now=T0)  # fmt: skip
    assert [(each.code, each.told_by) for each in events.listed(conn, asset_id, limit=5)] == [("E-7", "scada")]


def test_a_machines_log_comes_in_over_http(database: Database, tmp_path: Path) -> None:
    with living(database, tmp_path) as world:
        with database.tx(site_id=world.alpha) as conn:
            asset_id = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump", criticality=3)
        path = f"{API}/assets/{asset_id}/machine-events"
        items = [{"at": "2026-03-01T08:00:00Z", "kind": "error", "code": "E-417"},
                 {"at": "2026-03-01T09:00:00Z", "kind": "replaced", "code": WEARS}]  # fmt: skip
        made = world.as_("engineer").post(path, json={"items": items})
        assert (made.status_code, made.json()) == (201, {"told": 2, "new": 2})
        assert world.as_("engineer").post(path, json={"items": items[:1]}).json() == {"told": 1, "new": 0}
        shown = world.as_("planner").get(path).json()["items"]
        assert [(each["kind"], each["code"]) for each in shown] == [("replaced", WEARS), ("error", "E-417")]
        strange = world.as_("planner").post(path, json={"items": [{**items[1], "code": "gremlin"}]})
        assert problem(strange)["code"] == "bad_event"
        assert world.as_("requester").post(path, json={"items": items}).status_code == 403
