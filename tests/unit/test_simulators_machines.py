"""Simulated machines: physics, chance, faults, sensors."""

from __future__ import annotations

import time

import numpy as np
import pytest

from simulators.machines import PHYSICS
from simulators.machines.base import REPAIR_S, Build, Columns, Machine, Repair
from simulators.machines.duty import Duty, Shifts
from simulators.machines.faults import Fault, Law, SensorFault, SensorKind

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
MODES = [(cls, mode) for cls, make in PHYSICS.items() for mode in make(1).modes]
NO_STOPS = Duty(stops_per_day=0.0)


def machine(
    cls: str,
    *,
    seed: int = 7,
    duty: Duty = NO_STOPS,
    faults: tuple[Fault, ...] = (),
    sensors: tuple[SensorFault, ...] = (),
) -> Machine:
    build = Build("X-1", seed, 60.0, duty, weather_seed=3)
    return Machine(build, PHYSICS[cls](seed), start_us=START_US, faults=faults, sensor_faults=sensors)


def same(left: Columns, right: Columns) -> bool:
    return all(np.array_equal(left.values[k], right.values[k], equal_nan=True) for k in left.values)


def joined(parts: list[Columns]) -> Columns:
    values = {k: np.concatenate([p.values[k] for p in parts]) for k in parts[0].values}
    return Columns(np.concatenate([p.at_us for p in parts]), values)


@pytest.mark.parametrize("cls", PHYSICS)
def test_chunks_do_not_matter(cls: str) -> None:
    mode = next(iter(PHYSICS[cls](1).modes))
    fault = Fault(mode, START_US + DAY_US, START_US + 2 * DAY_US)
    stuck = SensorFault("load", SensorKind.STUCK, START_US + DAY_US // 3, START_US + DAY_US // 2)
    duty = Duty(shifts=Shifts.TWO, stops_per_day=2.0)
    until = START_US + 3 * DAY_US
    whole = machine(cls, duty=duty, faults=(fault,), sensors=(stuck,)).advance(until)
    cut = machine(cls, duty=duty, faults=(fault,), sensors=(stuck,))
    sizes = np.random.default_rng(0).integers(1, 700, 10_000)
    parts: list[Columns] = []
    while cut.next_us <= until:
        parts.append(cut.advance(until, max_rows=int(sizes[len(parts)])))
    assert len(parts) > 5
    assert np.array_equal(whole.at_us, joined(parts).at_us)
    assert same(whole, joined(parts))


@pytest.mark.parametrize("cls", PHYSICS)
def test_a_seed_decides_everything(cls: str) -> None:
    until = START_US + DAY_US
    assert same(machine(cls).advance(until), machine(cls).advance(until))
    assert not same(machine(cls).advance(until), machine(cls, seed=8).advance(until))


@pytest.mark.parametrize("cls", PHYSICS)
def test_rows_lie_on_the_grid_and_in_the_sensors_range(cls: str) -> None:
    probe = machine(cls, duty=Duty(stops_per_day=3.0))
    columns = probe.advance(START_US + 5 * DAY_US)
    assert np.all(np.diff(columns.at_us) == 60_000_000)
    for spec in probe.physics.signals:
        seen = columns.values[spec.code]
        assert seen.min() >= spec.low and seen.max() <= spec.high
        assert np.array_equal(seen, np.round(seen, spec.decimals))
    assert set(np.unique(columns.values["state"])) == {0.0, 1.0, 2.0}
    assert len(probe.advance(columns.at_us[-1])) == 0


def test_night_stops_and_starts() -> None:
    columns = machine("pump", duty=Duty(shifts=Shifts.TWO, stops_per_day=0.0)).advance(START_US + 10 * DAY_US)
    hour = columns.at_us % DAY_US / HOUR_US
    state = columns.values["state"]
    assert np.all(state[(hour < 5.5) | (hour > 22.5)] == 0)
    assert np.mean(state[(hour > 6.5) & (hour < 21.5)] == 1) == 1.0
    begun = np.flatnonzero((state[1:] == 2) & (state[:-1] == 0))
    assert len(begun) == 10
    assert np.all(columns.values["flow"][state == 0] == 0)


@pytest.mark.parametrize("cls", PHYSICS)
def test_affinity_and_heat_follow_the_load(cls: str) -> None:
    columns = machine(cls, duty=Duty(stops_per_day=0.0, step=0.10)).advance(START_US + 10 * DAY_US)
    v = columns.values
    assert np.corrcoef(v["load"], v["current"])[0, 1] > 0.9
    hot = {"pump": "bearing_temp", "motor": "winding_temp", "compressor": "oil_temp"}.get(cls, "bearing_temp")
    now = np.corrcoef(v["load"][:-40], v[hot][:-40])[0, 1]
    later = np.corrcoef(v["load"][:-40], v[hot][40:])[0, 1]
    assert now > 0.3 and later > now - 0.05  # heat lags behind


def test_pump_affinity_law() -> None:
    v = machine("pump", duty=Duty(stops_per_day=0.0, step=0.10)).advance(START_US + 10 * DAY_US).values
    n = v["load"] / 100
    assert np.std(v["flow"] / n) / np.mean(v["flow"] / n) < 0.015
    assert np.std(v["pressure"] / (0.35 + 0.65 * n**2)) / np.mean(v["pressure"]) < 0.02


@pytest.mark.parametrize("law", list(Law))
def test_severity_grows_from_onset_to_failure(law: Law) -> None:
    fault = Fault("imbalance", START_US, START_US + DAY_US, law, 3.0)
    at = START_US + np.arange(-10, 120, dtype=np.int64) * (DAY_US // 100)
    s = fault.severity(at)
    assert np.all(s[at <= START_US] == 0.0) and np.all(s[at >= START_US + DAY_US] == 1.0)
    assert np.all(np.diff(s) >= 0) and 0.0 < s[60] < 0.2


@pytest.mark.parametrize(("law", "shape"), [(Law.POWER, 0.0), (Law.EXPONENTIAL, -1.0)])
def test_a_fault_needs_a_shape(law: Law, shape: float) -> None:
    with pytest.raises(ValueError, match="shape"):
        Fault("imbalance", START_US, START_US + 1, law, shape)


def test_a_machine_knows_its_modes() -> None:
    with pytest.raises(ValueError, match="no failure mode 'belt_slip'"):
        machine("pump", faults=(Fault("belt_slip", START_US, START_US + DAY_US),))
    with pytest.raises(ValueError, match="after the onset"):
        Fault("belt_slip", START_US, START_US)


LIMITS = {  # class, mode → signal, value at failure (or, relative, distance from the healthy twin)
    ("pump", "bearing_wear"): ("vibration", 11.2, 1.0),
    ("pump", "cavitation"): ("vibration", 9.0, 1.0),
    ("pump", "impeller_wear"): ("flow", -0.30, 0.0),
    ("pump", "seal_leak"): ("flow", -0.35, 0.0),
    ("motor", "bearing_outer_race"): ("envelope", 4.5, 1.0),
    ("motor", "winding_insulation"): ("winding_temp", 60.0, 2.0),
    ("motor", "imbalance"): ("vibration", 11.0, 1.0),
    ("motor", "misalignment"): ("vibration", 9.5, 1.0),
    ("compressor", "valve_leak"): ("discharge_temp", 40.0, 2.0),
    ("compressor", "cooler_fouling"): ("oil_temp", 36.0, 2.0),
    ("compressor", "bearing_wear"): ("vibration", 11.2, 1.0),
    ("conveyor", "belt_slip"): ("belt_slip", 15.0, 1.0),
    ("conveyor", "idler_bearing"): ("bearing_temp", 45.0, 2.0),
    ("conveyor", "misalignment"): ("vibration", 9.0, 1.0),
}


@pytest.mark.parametrize(("cls", "mode"), MODES)
def test_nothing_at_the_onset_the_limit_at_the_failure_then_a_trip(cls: str, mode: str) -> None:
    onset, failure = START_US + 2 * DAY_US, START_US + 5 * DAY_US
    ill = machine(cls, faults=(Fault(mode, onset, failure, Law.POWER, 2.0),)).advance(START_US + 6 * DAY_US)
    well = machine(cls).advance(START_US + 6 * DAY_US)
    before = ill.at_us <= onset
    signal, limit, kind = LIMITS[cls, mode]
    assert same(
        Columns(ill.at_us[before], {k: x[before] for k, x in ill.values.items()}),
        Columns(well.at_us[before], {k: x[before] for k, x in well.values.items()}),
    )
    near = (ill.at_us >= failure - HOUR_US // 2) & (ill.at_us < failure)
    sick, sound = np.mean(ill.values[signal][near]), np.mean(well.values[signal][near])
    reached = {1.0: sick, 2.0: sick - sound, 0.0: sick / sound - 1.0}[kind]
    assert reached == pytest.approx(limit, rel=0.12)
    assert np.all(ill.values["state"][ill.at_us >= failure] == 0)
    assert np.all(well.values["state"] == 1)


def test_sham_changes_nothing_and_repair_starts_the_machine_again() -> None:
    onset, failure = START_US + DAY_US, START_US + 2 * DAY_US
    ill = machine("pump", faults=(Fault("bearing_wear", onset, failure),))
    twin = machine("pump", faults=(Fault("bearing_wear", onset, failure),))
    ill.sham(START_US + 3 * DAY_US // 2)
    assert same(ill.advance(failure + HOUR_US), twin.advance(failure + HOUR_US))
    ill.repair(failure + 2 * HOUR_US)
    after = ill.advance(failure + DAY_US)
    state = after.values["state"]
    mended = after.at_us >= failure + 2 * HOUR_US
    still = mended & (after.at_us < failure + 2 * HOUR_US + REPAIR_S * 1e6)
    assert np.all(state[~mended] == 0) and np.all(state[still] == 0)
    assert np.all(state[after.at_us > failure + 3 * HOUR_US] == 1)
    assert np.mean(after.values["vibration"][state == 1]) < 3.0
    assert [what for _, what in ill.log] == ["sham", "repair machine"]


def test_repair_before_the_onset_does_not_prevent_the_fault() -> None:
    onset, failure = START_US + DAY_US, START_US + 2 * DAY_US
    early = machine("conveyor", faults=(Fault("belt_slip", onset, failure),))
    early.repair(START_US + HOUR_US)
    columns = early.advance(failure + HOUR_US)
    assert columns.values["belt_slip"][columns.at_us < failure].max() > 12
    assert columns.values["state"][-1] == 0


def test_repair_reaches_only_rows_not_yet_sent() -> None:
    fault = Fault("imbalance", START_US, START_US + DAY_US)
    late = machine("motor", faults=(fault,))
    sent = late.advance(START_US + DAY_US // 2)
    late.repair(START_US + HOUR_US)
    assert late.log == [(int(sent.at_us[-1]) + 60_000_000, "repair machine")]


@pytest.mark.parametrize("kind", list(SensorKind))
def test_sensor_faults_touch_their_signal_only(kind: SensorKind) -> None:
    start, end = START_US + DAY_US, START_US + 2 * DAY_US
    sick = machine("compressor", sensors=(SensorFault("oil_temp", kind, start, end, size=8.0),))
    lying, honest = sick.advance(START_US + 3 * DAY_US), machine("compressor").advance(START_US + 3 * DAY_US)
    inside = (lying.at_us >= start) & (lying.at_us < end)
    for code, truth in honest.values.items():
        where = ~inside if code == "oil_temp" else slice(None)
        assert np.array_equal(lying.values[code][where], truth[where]), code
    told, true = lying.values["oil_temp"][inside], honest.values["oil_temp"][inside]
    match kind:
        case SensorKind.SILENT:
            assert np.all(np.isnan(told))
        case SensorKind.STUCK:
            assert np.all(told == true[0]) and np.std(true) > 0
        case SensorKind.OUT_OF_RANGE:
            assert np.all(told > 200.0)
        case SensorKind.OFFSET:
            assert np.allclose(told - true, 8.0)
        case SensorKind.SPIKE:
            assert 0.005 < np.mean(told != true) < 0.10


def test_a_sensor_is_repaired_by_itself() -> None:
    fault = Fault("valve_leak", START_US, START_US + 4 * DAY_US)
    stuck = SensorFault("flow", SensorKind.STUCK, START_US + HOUR_US)
    both = machine("compressor", faults=(fault,), sensors=(stuck,))
    both.advance(START_US + DAY_US)
    both.repair(START_US + DAY_US, what=Repair.SENSOR)
    after = both.advance(START_US + 4 * DAY_US - HOUR_US)
    assert np.std(after.values["flow"]) > 1.0
    assert after.values["discharge_temp"].max() > 110.0


def test_fast_enough_for_days_of_journey() -> None:
    """More than 200,000 rows of all signals a second of processor time, best of three."""
    for cls in PHYSICS:
        fast, best = machine(cls), 0.0
        fast.advance(START_US + DAY_US)
        for _ in range(3):
            began = time.thread_time()
            rows = len(fast.advance(fast.next_us + 30 * DAY_US))
            best = max(best, rows / (time.thread_time() - began))
        assert best > 200_000, cls


def test_builds_differ_within_a_few_per_cent() -> None:
    means = [machine("pump", seed=s).advance(START_US + DAY_US).values["vibration"].mean() for s in range(20)]
    assert 0.02 < np.std(means) / np.mean(means) < 0.10
