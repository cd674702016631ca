"""The asked rate of alarms: the narrowest counts, and a line is told before it judges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core import clock
from core.database import Database
from core.embedded import EmbeddedServer
from detectors import asked, companions, declared
from detectors.line import Line
from maintenance import gate
from maintenance.gate import Standing
from plant import assets
from tests.api_world import API, World, cloned, living, problem
from tests.detector_machines import SIGNALS, START_US


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("rates")) as made:
        yield made


@pytest.fixture(scope="module")
def asset_id(world: World) -> int:
    with world.database.tx(site_id=world.alpha) as conn:
        return assets.create_asset(conn, code="P-7", name="Pump", asset_class="pump")


def test_the_narrowest_counts_and_changes_carry_a_version(world: World, asset_id: int) -> None:
    planner, counts = world.as_("planner"), f"{API}/assets/{asset_id}/alarm-rate"
    path = f"{API}/alarm-rates"
    assert planner.get(counts).json()["alarms_month"] == asked.DEFAULT
    for rate, whose in ((4.0, {}), (3.0, {"asset_class": "pump"}), (2.0, {"asset_id": asset_id})):
        made = planner.put(path, json={"alarms_month": rate, **whose})
        assert made.status_code == 200, made.text
        assert planner.get(counts).json()["alarms_month"] == rate
    assert planner.put(path, json={"alarms_month": 5.0}).status_code == 412
    changed = planner.put(path, json={"alarms_month": 5.0, "asset_id": asset_id}, headers={"if-match": '"1"'})
    assert (changed.json()["alarms_month"], changed.json()["version"]) == (5.0, 2)
    gone = f"{path}/{changed.json()['asked_id']}"
    assert planner.delete(gone, headers={"if-match": '"1"'}).status_code == 412
    assert planner.delete(gone, headers={"if-match": '"2"'}).status_code == 204
    assert planner.get(counts).json()["alarms_month"] == 3.0
    assert len(planner.get(path).json()["items"]) == 2


def test_what_cannot_be_asked_is_refused(world: World, asset_id: int) -> None:
    planner, path = world.as_("planner"), f"{API}/alarm-rates"
    both = planner.put(path, json={"alarms_month": 1.0, "asset_id": asset_id, "asset_class": "pump"})
    assert problem(both)["code"] == "bad_alarm_rate"
    assert planner.put(path, json={"alarms_month": 0.0}).status_code == 422
    assert planner.put(path, json={"alarms_month": 1.0, "asset_id": 999_999}).status_code == 404
    assert world.as_("engineer").put(path, json={"alarms_month": 1.0}).status_code == 403


def test_a_line_is_told(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        made = assets.create_asset(conn, code="P-8", name="Pump", asset_class="pump")
        machine = assets.asset(conn, made)
        now = clock.load(conn).now()
        asked.ask(conn, 7.0, asset_class="pump", asset_id=None, version=None, by="planner", now=now)
        line = Line(machine, SIGNALS, position_us=START_US, muted_us=0)
        declared.load(conn).tell(line)
    told = {each.name: each for each in line._companions._each}
    assert told["stream"]._asked == 7.0  # type: ignore[attr-defined]


def test_what_judges_beside_the_chain_begins_in_shadow(database: Database, site: int) -> None:
    assert {"stream", "vibration_trend"} <= companions.names()
    with database.tx(site_id=site) as conn:
        machine = assets.asset(conn, assets.create_asset(conn, code="P-9", name="Pump", asset_class="pump"))
        assert gate.standing(conn, "chain", "1", machine) is Standing.LIVE
        assert gate.standing(conn, "stream", "1", machine) is Standing.SHADOW
        assert gate.standing(conn, "vibration_trend", "1", machine) is Standing.SHADOW
