"""The detector of lasting rises: quiet on healthy machines, loud on wear, anew after a repair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from detectors.algorithms import vibration_trend
from detectors.algorithms.vibration_trend import VibrationTrend
from detectors.base import Finding, Frame
from maintenance.sentences import say
from plant.model import Floats, Role, Signal
from tests.detector_machines import SIGNALS, START_US, day_of, live, play

HOUR_US = 3_600_000_000
STEP_US = 600_000_000
RADIAL = Signal(1, 1, 1, "v1", "drive end", "vibration_velocity", "mm/s", 0.0, 50.0, 600.0, Role.MEASURED)
AXIAL = Signal(2, 1, 1, "v2", "fan end", "vibration_velocity", "mm/s", 0.0, 50.0, 600.0, Role.MEASURED)


def bare(rise: Floats, *, seed: int = 1, level: float = 2.0) -> Frame:
    """Two signals of one value in ten minutes and nothing else; the first one rises by a factor float64[n]."""
    n = len(rise)
    values = level * np.random.default_rng(seed).lognormal(0.0, 0.03, (n, 2))
    values[:, 0] *= rise
    at_us = START_US + np.arange(1, n + 1, dtype=np.int64) * STEP_US
    return Frame(1, [RADIAL, AXIAL], at_us, values, np.zeros((n, 2), np.bool_), np.full(n, -1, np.int16))


def detector(signals: Sequence[Signal], *, asset_class: str = "pump") -> VibrationTrend:
    made = vibration_trend.create(asset_id=1, site_id=1, asset_class=asset_class, signals=signals)
    assert made is not None
    return made


def findings(frame: Frame) -> list[Finding]:
    made = detector(frame.signals, asset_class="fan")
    return list(made.update(frame).findings)


def rising(days: int = 14, *, at_day: int = 8, to: float = 1.3, for_days: float = 99.0) -> Floats:
    day = np.arange(days * 144) / 144
    return np.where((day >= at_day) & (day < at_day + for_days), to, 1.0)


def test_a_rise_that_lasts_is_found_within_a_day_and_told_in_both_languages() -> None:
    first, *more = findings(bare(rising()))
    hours = (first.at.timestamp() * 1e6 - START_US) / HOUR_US - 8 * 24
    assert 19 <= hours <= 25 and all(each.active for each in more)
    assert first.contributions[1] > 0.9 and first.directions[1] == 1 and 0.5 < first.health < 1.0
    assert (first.started_at.timestamp() * 1e6 - START_US) / HOUR_US == pytest.approx(8 * 24, abs=1.1)
    words = say(first.sentence.key, first.sentence.values)
    assert "drive end" in words["en"] and "mm/s" in words["en"] and "% above its usual level" in words["en"]
    assert "drive end" in words["zh"] and "mm/s" in words["zh"] and "平常水平" in words["zh"]


@pytest.mark.parametrize("rise", [rising(to=1.1), rising(to=2.0, for_days=0.5), rising(to=0.7)])
def test_what_is_small_or_fades_or_falls_is_not(rise: Floats) -> None:
    assert findings(bare(rise)) == []


def test_it_ends_when_the_level_is_back() -> None:
    found = findings(bare(rising(for_days=2.0)))
    assert found[0].active and not found[-1].active and found[-1].sentence.key == "recovered"


def test_spikes_and_readings_of_nothing_are_no_rise() -> None:
    frame = bare(rising(to=1.0))
    spiked = np.random.default_rng(3).random(len(frame.values)) < 0.02
    frame.values[spiked & (frame.at_us > frame.at_us[8 * 144]), 0] *= 5.0
    frame.values[3::50, 1] = 0.0
    frame.values[5::50, 1] = np.nan
    assert findings(frame) == []


def test_after_a_repair_the_new_level_is_the_usual_one() -> None:
    made = detector([RADIAL, AXIAL], asset_class="fan")
    assert made.update(bare(rising())).findings
    made.relearn(START_US + 14 * 24 * HOUR_US)
    later = bare(np.full(14 * 144, 1.3), seed=2)
    moved = Frame(1, later.signals, later.at_us + 14 * 24 * HOUR_US, later.values, later.bad, later.state)
    assert [each.active for each in made.update(moved).findings] == [False]


def test_machines_without_vibration_are_left_alone() -> None:
    flow = Signal(9, 1, 1, "f", "flow", "flow", "m3/h", 0.0, 400.0, 600.0, Role.MEASURED)
    assert vibration_trend.create(asset_id=1, site_id=1, asset_class="pump", signals=[flow]) is None


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_starts_stops_and_loads_of_a_healthy_machine_raise_nothing(seed: int) -> None:
    assert play(detector(SIGNALS), live(seed, 16)) == []


def test_wear_under_changing_load_is_seen_on_the_vibration() -> None:
    found = play(detector(SIGNALS), live(5, 12, mode="bearing", onset_day=7.0, wear_days=5.0))
    assert found and 8.0 < day_of(found[0]) < 11.0
    assert list(found[0].contributions) == [7]
