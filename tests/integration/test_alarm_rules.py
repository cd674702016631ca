"""Alarm rules over HTTP and live: written, previewed, enabled, judged with everything else, ordered, and ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from core import clock
from core.database import Database
from core.embedded import EmbeddedServer
from detectors.classic.model import parse
from detectors.classic.preview import preview
from detectors.runner import Runner
from maintenance import service
from plant import assets, rollups, telemetry
from plant.model import Floats, Role, SampleBatch
from tests.api_world import API, World, cloned, living, problem
from tests.integration.test_maintenance_line import T0
from tickets import hooks
from tickets import store as tickets_store
from tickets.model import Ticket

HOUR = timedelta(hours=1)
HOT = {"kind": "high", "signal": "temp", "unit": "°C", "steps": [{"limit": 80, "for_s": 600}], "dead_band": 2}


def rule(**more: Any) -> dict[str, Any]:
    body = {"code": "hot", "name": "Hot bearing", "asset_class": "pump", "any": [{"all": [HOT]}], "advice": "Oil?"}
    return body | more


class Plant:
    """A pump whose temperature is what a test writes, one value a minute; a fan without one."""

    def __init__(self, database: Database, site: int) -> None:
        self.database, self.site, self.minute = database, site, 0
        with database.tx(site_id=site) as conn:
            self.pump = assets.create_asset(conn, code="P-7", name="Pump", asset_class="pump", criticality=3)
            self.bare = assets.create_asset(conn, code="P-8", name="Pump without", asset_class="pump", criticality=3)
            self.ids = {
                code: assets.create_signal(
                    conn, asset_id=asset_id, code=code, name=code, quantity=quantity, unit=unit, period_s=60, role=role
                )
                for asset_id, code, quantity, unit, role in (
                    (self.pump, "temp", "temperature", "°C", Role.MEASURED),
                    (self.pump, "flow", "flow", "m3/h", Role.MEASURED),
                    (self.bare, "level", "level", "m", Role.MEASURED),
                )
            }
        self.runner = Runner(database, clock.load, service.on_finding)

    def live(self, temp: Floats, *, flow: Floats | None = None) -> None:
        """So many minutes with this temperature (NaN: none), judged; the clock follows."""
        n = len(temp)
        at = telemetry.to_us(T0) + 60_000_000 * (self.minute + 1 + np.arange(n, dtype=np.int64))
        columns = {"temp": temp, "flow": np.full(n, 10.0) + 0.01 * np.sin(np.arange(n)) if flow is None else flow}
        batch = SampleBatch(
            np.repeat([self.ids[code] for code in columns], n).astype(np.int32),
            np.tile(at, len(columns)),
            np.concatenate(list(columns.values())),
            np.zeros(n * len(columns), np.uint8),
        )
        known = np.flatnonzero(np.isfinite(batch.value))
        batch = SampleBatch(*(getattr(batch, name)[known] for name in SampleBatch.__slots__))
        sites = np.full(len(batch), self.site, np.int16)
        self.minute += n
        with self.database.ingest_tx() as conn:
            telemetry.ensure_days(conn, np.unique(at // telemetry.DAY_US).tolist())
            telemetry.write(conn, batch, site_ids=sites)
            newest = [int(np.flatnonzero(batch.signal_id == each)[-1]) for each in np.unique(batch.signal_id)]
            last = SampleBatch(*(getattr(batch, name)[newest] for name in SampleBatch.__slots__))
            rollups.upsert_latest(conn, last, site_ids=sites[newest])
        with self.database.tx() as conn:
            clock.set_clock(conn, plant_now=T0 + self.minute * timedelta(minutes=1), factor=1.0)
        self.runner.run_once()

    def orders(self, kind: str) -> list[Ticket]:
        with self.database.tx(site_id=self.site) as conn:
            return [each for each in tickets_store.find(conn, tickets_store.Filter()).items if each.kind == kind]


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("alarm_rules")) as made:
        yield made


@pytest.fixture(scope="module")
def plant(world: World) -> Plant:
    with hooks.only():
        made = Plant(world.database, world.alpha)
        temp = np.full(600, 60.0) + 0.01 * np.sin(np.arange(600))
        temp[100:130] = temp[300:305] = temp[500:520] = 85.0
        made.live(temp)
    return made


def test_the_preview_says_what_it_would_have_raised(world: World, plant: Plant) -> None:
    planner = world.as_("planner")
    found = planner.post(f"{API}/alarm-rules/preview", json={"rule": rule(), "days": 30}).json()
    assert (found["raised"], found["machines"], found["looked_at"], found["lacking"]) == (2, 1, 1, ["P-8"])
    assert found["loudest"] == [{"asset_code": "P-7", "raised": 2}]
    assert [each["asset_code"] for each in found["episodes"]] == ["P-7", "P-7"]
    bad = rule(any=[{"all": [HOT | {"unit": "bar"}]}])
    refused = problem(planner.post(f"{API}/alarm-rules/preview", json={"rule": bad}))
    assert refused["code"] == "bad_alarm_rule" and "temperature" in refused["detail"]


def test_a_large_history_is_looked_at_in_part_and_it_says_so(
    plant: Plant, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detectors.classic.preview.MOST_SAMPLES", 2_000)
    with world.database.tx(site_id=world.alpha) as conn:
        found = preview(conn, parse(rule()), days=30, now=clock.load(conn).now())
    assert found.days == pytest.approx(2_000 / 1_440)


def test_from_writing_to_an_order_and_back(world: World, plant: Plant) -> None:
    planner, manager, place = world.as_("planner"), world.as_("manager"), f"{API}/alarm-rules"
    assert world.as_("engineer").post(place, json=rule()).status_code == 403
    made = planner.post(place, json=rule())
    assert made.status_code == 201 and made.json()["in_force"] is None
    assert problem(planner.post(place, json=rule()))["code"] == "alarm_rule_exists"
    one = f"{place}/{made.json()['rule_id']}"

    def enabled() -> Any:
        seen = manager.get(one).json()["version"]
        return manager.post(f"{one}/enable", json={"standing": "live"}, headers={"if-match": f'"{seen}"'})

    assert planner.post(f"{one}/enable", json={"standing": "live"}, headers={"if-match": '"1"'}).status_code == 403
    assert problem(enabled())["code"] == "alarm_rule_not_previewed"
    assert planner.post(f"{one}/preview", json={}).json()["preview"]["raised"] == 2
    judged = enabled().json()
    assert judged["in_force"] == 1 and judged["previewed"]

    with hooks.only():
        plant.live(np.full(8, 85.0))
        assert plant.orders("preventive") == []  # it waits ten minutes
        plant.live(np.full(8, 85.0))
        (order,) = plant.orders("preventive")
    assert order.asset_id == plant.pump
    with world.database.tx(site_id=world.alpha) as conn:
        said = conn.execute("select detector, version, active, sentence->>'key' from findings order by at").fetchall()
        assert ("rule:hot", "1", True, "alarm_rule.high") in said

    changed = rule(any=[{"all": [HOT | {"steps": [{"limit": 90, "for_s": 0}]}]}])
    seen = planner.get(one).json()["version"]
    assert planner.put(one, json=changed, headers={"if-match": f'"{seen - 1}"'}).status_code in (409, 412)
    other = planner.put(one, json=changed | {"code": "other"}, headers={"if-match": f'"{seen}"'})
    assert problem(other)["code"] == "bad_alarm_rule"
    written = planner.put(one, json=changed, headers={"if-match": f'"{seen}"'}).json()
    assert (written["revision"], written["in_force"], written["previewed"]) == (2, 1, False)
    assert "limit = 90" in written["text"]
    read = planner.post(f"{place}/read", json={"text": written["text"]}).json()["rule"]
    assert read == written["rule"]

    stopped = manager.post(f"{one}/disable", headers={"if-match": f'"{written["version"]}"'}).json()
    assert stopped["in_force"] is None
    with hooks.only():
        plant.live(np.full(3, 85.0))
    with world.database.tx(site_id=world.alpha) as conn:
        last = conn.execute(
            "select active from findings where detector = 'rule:hot' order by at desc limit 1"
        ).fetchone()
    assert last == (False,)
    assert world.as_("stranger").get(one).status_code == 404


def test_missing_data_lead_to_instrumentation_and_not_to_the_machine(world: World, plant: Plant) -> None:
    manager = world.as_("manager")
    gone = {"kind": "missing", "signal": "flow", "steps": [{"for_s": 240}]}
    body = rule(code="gone", name="No flow reading", about="sensor", any=[{"all": [gone]}])
    one = f"{API}/alarm-rules/{manager.post(f'{API}/alarm-rules', json=body).json()['rule_id']}"
    seen = manager.post(f"{one}/preview", json={"days": 2}).json()["version"]
    answer = manager.post(f"{one}/enable", json={"standing": "live"}, headers={"if-match": f'"{seen}"'})
    assert answer.status_code == 200
    sensors, machines = len(plant.orders("sensor-fault")), len(plant.orders("preventive"))
    with hooks.only():
        plant.live(np.full(12, 60.0) + 0.01 * np.sin(np.arange(12)), flow=np.full(12, np.nan))
    assert len(plant.orders("sensor-fault")) > sensors
    assert len(plant.orders("preventive")) == machines
    with world.database.tx(site_id=world.alpha) as conn:
        row = conn.execute("select kind, mode from findings where detector = 'rule:gone'").fetchone()
        alarms = conn.execute("select count(*) from alarms where mode = 'sensor:flow:silent'").fetchone()
    assert row == ("sensor", "silent")
    assert alarms == (1,)  # the detectors' own word of it and the rule's are one alarm


def test_a_retired_rule_is_gone_and_its_code_is_free(world: World, plant: Plant) -> None:
    manager = world.as_("manager")
    made = manager.post(f"{API}/alarm-rules", json=rule(code="once")).json()
    one = f"{API}/alarm-rules/{made['rule_id']}"
    assert manager.delete(one, headers={"if-match": '"9"'}).status_code in (409, 412)
    assert manager.delete(one, headers={"if-match": '"1"'}).status_code == 204
    assert manager.get(one).status_code == 404
    assert manager.post(f"{API}/alarm-rules", json=rule(code="once")).status_code == 201
