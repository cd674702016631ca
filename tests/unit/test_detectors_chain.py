"""The default chain on small physical machines: quiet on healthy ones, early on ill ones, fair to sensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from detectors.base import Finding, FindingKind, Frame
from detectors.chain import create_chain
from detectors.findings import moment
from plant.model import Floats, Role, Signal
from tests.detector_machines import (
    COLUMN,
    DAY_ROWS,
    SIGNALS,
    START_US,
    WEAR_MODES,
    Life,
    begun,
    day_of,
    live,
    play,
)

ONSET = 4.0


def judged(life: Life) -> list[Finding]:
    return play(create_chain(1, 1, "pump", SIGNALS), life)


@pytest.fixture(scope="module")
def healthy() -> dict[int, list[Finding]]:
    return {seed: judged(live(seed, 14)) for seed in range(20)}


def test_healthy_machines_raise_nothing(healthy: dict[int, list[Finding]]) -> None:
    """Twenty machines, fourteen days each, with some 300 stops, starts and load changes a machine."""
    accused = [seed for seed, findings in healthy.items() if begun(findings, FindingKind.MACHINE)]
    assert len(accused) <= 1
    blamed = [seed for seed, findings in healthy.items() if begun(findings, FindingKind.SENSOR)]
    assert len(blamed) <= 1


@pytest.fixture(scope="module")
def ill() -> list[tuple[str, float, list[Finding]]]:
    cases = []
    for seed in range(20):
        mode, days = list(WEAR_MODES)[seed % 4], 2.0 + seed % 3
        life = live(100 + seed, ONSET + days, mode=mode, onset_day=ONSET, wear_days=days)
        cases.append((mode, days, judged(life)))
    return cases


def test_degradations_are_found_early(ill: list[tuple[str, float, list[Finding]]]) -> None:
    leads = []
    for _, days, findings in ill:
        found = begun(findings, FindingKind.MACHINE)
        assert all(day_of(finding) > ONSET for finding in found)
        if found:
            leads.append((ONSET + days - day_of(found[0])) / days)
    assert len(leads) >= 19
    assert np.median(leads) > 0.3


def test_findings_name_the_signals_that_changed(ill: list[tuple[str, float, list[Finding]]]) -> None:
    for mode, _, findings in ill:
        last = begun(findings, FindingKind.MACHINE)[-1]
        change = WEAR_MODES[mode]
        shares = {SIGNALS[i - 1].code: share for i, share in last.contributions.items()}
        assert sum(shares.values()) == pytest.approx(1.0)
        assert sum(share for code, share in shares.items() if code in change) > 0.9
        for code, share in shares.items():
            if share > 0.1:
                assert last.directions[COLUMN[code] + 1] == np.sign(change[code])
        assert last.started_at < last.at
        assert last.sentence.key in {"drift", "multivariate"}


def test_health_falls_as_the_machine_wears(ill: list[tuple[str, float, list[Finding]]]) -> None:
    for _, _, findings in ill:
        health = [finding.health for finding in begun(findings, FindingKind.MACHINE)]
        assert health[0] > health[-1]
        assert 0.0 <= health[-1] < 0.75


def stuck(values: Floats, rows: slice) -> None:
    values[rows] = values[rows.start]


def silent(values: Floats, rows: slice) -> None:
    values[rows] = np.nan


def out_of_range(values: Floats, rows: slice) -> None:
    values[rows] = 900.0


def spike(values: Floats, rows: slice) -> None:
    values[rows][::30] *= 2.5  # within the range


def jump(values: Floats, rows: slice) -> None:
    values[rows] += 6.0 * np.std(np.diff(values[rows]))


LIES = (stuck, silent, out_of_range, spike, jump)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
@pytest.mark.parametrize("code", ["flow", "vibration", "bearing_temp"])
def test_a_sensor_fault_is_never_a_machine_fault(lie: Callable[[Floats, slice], None], code: str) -> None:
    life = live(31, 8)
    values = life.values.copy()
    running = np.flatnonzero(values[:, COLUMN["state"]] == 1)
    start = int(running[running > 5 * DAY_ROWS + 300][60])
    lie(values[:, COLUMN[code]], slice(start, start + DAY_ROWS))
    findings = judged(life.with_values(values))
    assert not begun(findings, FindingKind.MACHINE)
    faults = begun(findings, FindingKind.SENSOR)
    assert faults
    assert {f.failure_mode for f in faults} <= {lie.__name__, "jump"}
    assert {tuple(f.contributions) for f in faults} == {(COLUMN[code] + 1,)}
    assert day_of(faults[0]) > start / DAY_ROWS
    assert all(f.health == 1.0 for f in faults)
    last = [f for f in findings if f.kind is FindingKind.SENSOR and f.failure_mode == lie.__name__][-1]
    assert not last.active


def test_a_silent_sensor_is_told_within_five_periods() -> None:
    life = live(31, 2)
    values = life.values.copy()
    values[2_000:, COLUMN["flow"]] = np.nan
    faults = begun(judged(life.with_values(values)), FindingKind.SENSOR)
    assert (day_of(faults[0]) * DAY_ROWS - 2_000) <= 5


@pytest.mark.parametrize("gap", [slice(4_000, 4_001), slice(7_000, 9_500)], ids=["one row", "two days"])
def test_holes_in_the_data_raise_nothing(gap: slice) -> None:
    life = live(32, 9)
    values = life.values.copy()
    values[gap] = np.nan
    assert not judged(life.with_values(values))


def test_bands_hold_the_healthy_values() -> None:
    life = live(33, 6)
    chain = create_chain(1, 1, "pump", SIGNALS)
    inside = []
    rows = {int(at): i for i, at in enumerate(life.at_us)}
    for band in chain.update(life.frame()).bands:
        assert band.low < band.expected < band.high
        value = life.values[rows[band.at_us], band.signal_id - 1]
        inside.append(band.low <= value <= band.high)
    assert len(inside) > 5 * 50
    assert np.mean(inside) > 0.99


def test_bands_do_not_follow_a_fault() -> None:
    life = live(105, 8, mode="cavitation", onset_day=ONSET, wear_days=4.0)
    healthy = live(105, 8)
    chain = create_chain(1, 1, "pump", SIGNALS)
    rows = {int(at): i for i, at in enumerate(life.at_us)}
    column = COLUMN["pressure"]
    late = [b for b in chain.update(life.frame()).bands if b.signal_id == column + 1 and rows[b.at_us] > 7 * DAY_ROWS]
    clean = np.array([healthy.values[rows[b.at_us], column] for b in late])
    expected = np.array([b.expected for b in late])
    assert len(late) > 20
    assert np.abs(np.median(expected - clean)) < 0.02 * np.median(clean)


def test_an_intervention_ends_the_finding_and_a_sham_repair_shows_again() -> None:
    life = live(101, 8, mode="cavitation", onset_day=ONSET, wear_days=4.0)
    chain = create_chain(1, 1, "pump", SIGNALS)
    before = begun(list(chain.update(life.frame(0, 9_900)).findings), FindingKind.MACHINE)
    assert before
    chain.intervene(int(life.at_us[9_899]))
    ended = chain.update(life.frame(9_900, 9_900)).findings
    assert [(f.active, f.at) for f in ended] == [(False, moment(int(life.at_us[9_899])))]
    again = begun(list(chain.update(life.frame(9_900, 10_500)).findings), FindingKind.MACHINE)
    assert again
    assert again[0].started_at >= ended[0].at


def test_after_a_repair_the_finding_ends_by_itself() -> None:
    life, healthy = live(101, 9, mode="cavitation", onset_day=ONSET, wear_days=4.0), live(101, 9)
    repaired = int(6.5 * DAY_ROWS)
    values = np.concatenate([life.values[:repaired], healthy.values[repaired:]])
    findings = [f for f in judged(life.with_values(values)) if f.kind is FindingKind.MACHINE]
    assert findings[-1].active is False
    assert 6.5 < day_of(findings[-1]) < 7.25
    assert findings[-1].sentence.key == "recovered"


def test_a_relearnt_baseline_takes_the_new_level_for_normal() -> None:
    life = live(40, 12)
    values = life.values.copy()
    values[6 * DAY_ROWS :, COLUMN["vibration"]] *= 1.6  # another bearing: healthy, but louder
    life = life.with_values(values)
    stubborn = create_chain(1, 1, "pump", SIGNALS)
    assert begun(play(stubborn, life), FindingKind.MACHINE) or begun(play(stubborn, life), FindingKind.SENSOR)
    chain = create_chain(1, 1, "pump", SIGNALS)
    chain.update(life.frame(0, 6 * DAY_ROWS))
    chain.relearn(int(life.at_us[6 * DAY_ROWS - 1]))
    judgement = chain.update(life.frame(6 * DAY_ROWS, None))
    assert not judgement.findings
    assert np.isfinite(judgement.surprise[3 * DAY_ROWS :]).any()


def engine(seed: int, cycles: int = 200, sensors: int = 12) -> tuple[tuple[Signal, ...], Floats]:
    """An engine as a table of sensors, one row a flight: noise, and a wear that shows in half of them."""
    rng = np.random.default_rng([seed, 5])
    signals = tuple(
        Signal(i + 1, 1, 1, f"s{i}", f"s{i}", "number", "", None, None, 3_600.0, Role.MEASURED) for i in range(sensors)
    )
    wear = np.exp(np.linspace(-4.5, 1.0, cycles))
    gain = np.where(np.arange(sensors) < sensors // 2, rng.choice([-1.5, 1.5], sensors), 0.0)
    values = 100.0 + 10 * rng.normal(size=sensors) + rng.normal(size=(cycles, sensors)) + wear[:, None] * gain
    values[:, -1] = 39.06  # a constant column is no news
    return signals, values


def test_without_context_and_with_few_rows_a_wearing_engine_is_found() -> None:
    found = 0
    for seed in range(10):
        signals, values = engine(seed)
        at = START_US + (np.arange(len(values)) + 1) * 3_600_000_000
        frame = Frame(1, signals, at, values, np.zeros(values.shape, np.bool_), np.full(len(at), -1, np.int16))
        findings = create_chain(1, 1, "turbofan", signals).update(frame).findings
        machine = begun(list(findings), FindingKind.MACHINE)
        if machine:
            row = int((machine[0].at.timestamp() * 1e6 - START_US) // 3_600_000_000)
            found += 60 < row < 190
        assert not begun(list(findings), FindingKind.SENSOR)
    assert found >= 9


def test_an_asset_without_measured_signals_is_quiet() -> None:
    life = live(1, 1)
    signals = SIGNALS[:3]
    frame = Frame(1, signals, life.at_us, life.values[:, :3], np.zeros((DAY_ROWS, 3), np.bool_), life.frame().state)
    judgement = create_chain(1, 1, "pump", signals).update(frame)
    assert not judgement.findings
    assert not judgement.bands
