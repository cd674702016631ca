"""Plants as data, the 3-sigma yardstick, and what people know."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from plant.units import QUANTITIES
from simulators import plants, three_sigma
from simulators.machines.base import Columns, Repair
from simulators.machines.faults import SensorKind
from simulators.people import Manner
from simulators.spec import DAY_US, HOUR_US, Care, FaultPlan, Plant
from simulators.world import World

LIVE_US = 1_767_225_600_000_000


@pytest.fixture(scope="module")
def journey() -> Plant:
    return plants.plant("journey:3", live_us=LIVE_US)


def test_a_journey_has_twelve_faults_and_twelve_healthy_machines(journey: Plant) -> None:
    ill = [spec for spec in journey.machines if spec.faults]
    well = [spec for spec in journey.machines if not spec.faults]
    assert (len(ill), len(well)) == (12, 12)
    assert Counter(spec.asset_class for spec in ill) == dict.fromkeys(("pump", "motor", "compressor", "conveyor"), 3)
    assert {s.sensor_faults[0].kind for s in well if s.sensor_faults} == {
        SensorKind.STUCK,
        SensorKind.SILENT,
        SensorKind.OUT_OF_RANGE,
    }
    assert len({(spec.asset_class, spec.faults[0].mode) for spec in ill}) == 12
    for spec in ill:
        (fault,) = spec.faults
        assert 36.0 <= fault.failure_h - fault.onset_h <= 120.0
        assert fault.onset_h >= 6.0 and fault.failure_h <= 24.0 * journey.live_days - 18.0


def test_a_journey_is_the_same_wherever_it_is_asked_for(journey: Plant) -> None:
    assert plants.plant("journey:3", live_us=LIVE_US) == journey
    assert plants.plant("journey:4", live_us=LIVE_US) != journey


def test_no_fault_passes_three_sigma_at_its_onset(journey: Plant) -> None:
    start_us, until_us = journey.start_us(LIVE_US), LIVE_US + round(journey.live_days * DAY_US)
    crossed = 0
    for spec in journey.machines:
        if not spec.faults:
            continue
        fault = spec.faults[0].fault(LIVE_US)
        columns = spec.build(LIVE_US, start_us=start_us).advance(until_us)
        twin = replace(spec, faults=()).build(LIVE_US, start_us=start_us).advance(until_us)
        limits = three_sigma.learn(columns, until_us=LIVE_US)
        hour = (columns.at_us >= fault.onset_us) & (columns.at_us < fault.onset_us + HOUR_US)
        assert np.all(columns.values["state"][hour] == 1.0)
        assert not limits.outside(columns)[hour].any()
        assert three_sigma.at_onset_ok(limits, columns, onset_us=fault.onset_us, twin=twin)
        assert three_sigma.at_onset_ok(limits, columns, onset_us=fault.onset_us)
        seen = three_sigma.first_crossing(limits, columns, after_us=fault.onset_us)
        crossed += seen is not None and seen < fault.failure_us
    assert crossed >= 10  # in the end a fault is no secret


def test_three_sigma_cries_wolf_on_healthy_machines(journey: Plant) -> None:
    until_us = LIVE_US + round(journey.live_days * DAY_US)
    cries = 0
    for spec in journey.machines:
        if not spec.faults:
            columns = spec.build(LIVE_US, start_us=journey.start_us(LIVE_US)).advance(until_us)
            cries += three_sigma.alarms(three_sigma.learn(columns, until_us=LIVE_US), columns, after_us=LIVE_US)
    assert cries > 12


def flat(values: list[float], state: float = 1.0) -> Columns:
    at_us = LIVE_US + np.arange(len(values), dtype=np.int64) * 60_000_000
    return Columns(at_us, {"flow": np.array(values), "state": np.full(len(values), state)})


def test_crossings_and_alarms_by_hand() -> None:
    rng = np.random.default_rng(0)
    past = rng.normal(10.0, 1.0, 500).tolist()
    columns = flat([*past, 10.0, 20.0, 20.0, 10.0, *[20.0] * 5, *[10.0] * 80, *[0.0] * 4, float("nan"), 10.0])
    limits = three_sigma.learn(columns, until_us=LIVE_US + 500 * 60_000_000)
    assert limits.bounds["flow"] == pytest.approx((7.0, 13.0), abs=0.5)
    after = LIVE_US + 500 * 60_000_000
    seen = three_sigma.first_crossing(limits, columns, after_us=after, persist=3)
    assert seen == LIVE_US + 506 * 60_000_000
    assert three_sigma.alarms(limits, columns, after_us=after, persist=3, quiet_rows=60) == 2
    assert three_sigma.alarms(limits, columns, after_us=after, persist=2, quiet_rows=2) == 3
    assert three_sigma.first_crossing(limits, columns, after_us=after, persist=6) is None
    resting = Columns(columns.at_us, columns.values | {"state": np.zeros(len(columns))})
    assert three_sigma.alarms(limits, resting, after_us=after) == 0
    assert not three_sigma.at_onset_ok(limits, columns, onset_us=after + 240_000_000, window_us=600_000_000)
    with pytest.raises(ValueError, match="0 running rows"):
        three_sigma.learn(resting, until_us=after)


def test_the_demo_tells_its_story() -> None:
    demo = plants.plant("demo", live_us=LIVE_US)
    wall_s = 3600.0 / demo.factor
    first = demo.machine("P-101").faults[0]
    assert first.mode == "bearing_wear" and first.onset_h * wall_s < 60.0
    assert (first.failure_h - first.onset_h) * wall_s < 120.0
    visitors = [spec for spec in demo.machines if spec.care is Care.VISITOR]
    assert [spec.code for spec in visitors] == ["M-201"] and len(visitors[0].faults) == 1
    assert [spec.code for spec in demo.machines if spec.sensor_faults] == ["C-302"]
    for spec in demo.machines:
        ends = [(plan.onset_h, plan.failure_h) for plan in spec.faults]
        assert all(later[0] > earlier[1] + 24.0 for earlier, later in pairwise(ends))
    with pytest.raises(KeyError):
        demo.machine("X-999")
    with pytest.raises(ValueError, match="no plant 'moon'"):
        plants.plant("moon", live_us=LIVE_US)


def test_the_import_body_is_what_the_contract_says() -> None:
    demo = plants.demo(1)
    body = demo.import_body(language="zh")
    assets = body["assets"]
    assert isinstance(assets, list) and len(assets) == 8
    pump = assets[0]
    assert pump.keys() == {"code", "name", "asset_class", "criticality", "location", "level", "signals"}
    assert (pump["code"], pump["name"], pump["asset_class"]) == ("P-101", "1号给水泵", "pump")
    codes = {s["code"] for s in pump["signals"]}
    assert codes == {"state", "ambient", "load", "flow", "pressure", "current", "vibration", "bearing_temp"}
    for asset in assets:
        for signal in asset["signals"]:
            assert signal["unit"] == QUANTITIES[signal["quantity"]], signal
            assert signal["tag"] == f"{asset['code']}/{signal['code']}" and signal["source"] == asset["code"]
            assert signal["low"] < signal["high"] and signal["role"] in ("measured", "setpoint", "state")


def test_the_world_knows_what_hands_have_done() -> None:
    demo = plants.demo(1)
    world = World(demo, LIVE_US)
    early, ill = LIVE_US + HOUR_US, LIVE_US + 12 * HOUR_US
    assert world.condition("P-101", early) is None
    assert world.condition("P-101", ill) == "bearing_wear"
    world.mended("P-101", ill, Repair.SENSOR)
    assert world.condition("P-101", ill + 1) == "bearing_wear"
    world.mended("P-101", ill, Repair.MACHINE)
    assert world.condition("P-101", ill + 1) is None
    assert world.lying_sensor("C-302", LIVE_US + 30 * HOUR_US) == "oil_temp"
    world.mended("C-302", LIVE_US + 31 * HOUR_US, Repair.SENSOR)
    assert world.lying_sensor("C-302", LIVE_US + 32 * HOUR_US) is None
    assert world.care("M-201") is Care.VISITOR and world.care("stranger") is Care.CREW
    assert world.condition("stranger", ill) is None


def test_shams_are_only_at_the_first_visit() -> None:
    named = Manner(sham_assets=frozenset({"P-101"}))
    assert named.shams("P-101", 5, 1) and not named.shams("P-101", 5, 2) and not named.shams("P-102", 6, 1)
    often = Manner(sham_share=0.3, seed=4)
    drawn = [often.shams("P-102", ticket, 1) for ticket in range(500)]
    assert 0.2 < np.mean(drawn) < 0.4
    assert drawn == [often.shams("P-102", ticket, 1) for ticket in range(500)]


def test_a_plan_becomes_a_fault_at_its_hours() -> None:
    fault = FaultPlan("imbalance", 1.5, 3.0).fault(LIVE_US)
    assert (fault.onset_us - LIVE_US, fault.failure_us - LIVE_US) == (3 * HOUR_US // 2, 3 * HOUR_US)
