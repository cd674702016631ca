"""Vibration: bearing frequencies from geometry, lines of synthetic defects, zones at their limits, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from detectors.vibration.bearings import Bearing, Origin, Part, estimated, geometries
from detectors.vibration.errors import BadBearing, OutsideStandard, UnitUndeclared
from detectors.vibration.judge import Take, ZoneWatch, bearing_finding, loudest
from detectors.vibration.lines import lines
from detectors.vibration.zones import (
    DISPLACEMENT_MM,
    VELOCITY_MM_S,
    Foundation,
    Group,
    Standing,
    Zone,
    group_of,
    next_zone,
    zone_of,
)
from edge.features import BadWave, by_angle, features, order_spectrum, velocity
from maintenance.sentences import say, templates
from plant.model import Floats, Role, Signal
from plant.units import UnknownUnit

RATE = 12_800.0
SECONDS = 2.0
BEARING = Bearing(9, 12.0, 60.0, name="N1")
MEDIUM = Standing(Group.MEDIUM, Foundation.RIGID)
AT_US = 1_767_225_600_000_000


def signal(number: int = 1, quantity: str = "vibration_acceleration", unit: str = "m/s2") -> Signal:
    return Signal(number, 1, 1, f"v{number}", f"housing {number}", quantity, unit, None, None, 1.0, Role.MEASURED)


def struck(hits_hz: float, seed: int, *, strength: float = 4.0, slip: float = 0.005, shaft_hz: float = 0.0) -> Floats:
    """Housing acceleration in m/s²: noise, imbalance, and a ringing at 3.2 kHz for each impact."""
    rng = np.random.default_rng(seed)
    n = int(RATE * SECONDS)
    t = np.arange(n) / RATE
    ring_t = np.arange(int(0.008 * RATE)) / RATE
    ring = np.exp(-ring_t / 0.0012) * np.sin(2 * np.pi * 3_200.0 * ring_t)
    hits = np.zeros(n)
    count = int(SECONDS * hits_hz)
    at = (np.arange(count) + rng.uniform() + rng.normal(0.0, slip, count)) / hits_hz
    np.add.at(hits, np.clip((at * RATE).astype(int), 0, n - 1), strength * rng.normal(1.0, 0.1, count))
    imbalance = 2.0 * np.sin(2 * np.pi * shaft_hz * t) if shaft_hz else 0.0
    return np.asarray(rng.normal(size=n) + imbalance + np.convolve(hits, ring)[:n], np.float64)


def take(wave: Floats, *, rpm: float = 1_480.0, number: int = 1, unit: str | None = "m/s2") -> Take:
    return Take(signal(number), wave, RATE, rpm, unit)


def test_frequencies_by_hand_and_their_identities() -> None:
    orders = BEARING.orders
    assert orders[Part.OUTER] == pytest.approx(3.6) and orders[Part.INNER] == pytest.approx(5.4)
    assert orders[Part.BALL] == pytest.approx(2.4) and orders[Part.CAGE] == pytest.approx(0.4)
    assert BEARING.frequencies_hz(1_500.0)[Part.OUTER] == pytest.approx(90.0)


@given(st.integers(3, 40), st.floats(1.0, 50.0), st.floats(1.05, 10.0), st.floats(0.0, 45.0))
def test_every_bearing_that_can_be_built_is_consistent(balls: int, ball: float, ratio: float, contact: float) -> None:
    try:
        orders = Bearing(balls, ball, ball * ratio, contact).orders
    except BadBearing:
        return
    assert orders[Part.OUTER] + orders[Part.INNER] == pytest.approx(balls)
    assert orders[Part.OUTER] == pytest.approx(balls * orders[Part.CAGE])
    assert 0.0 < orders[Part.CAGE] < 0.5 < orders[Part.OUTER] < orders[Part.INNER]


@pytest.mark.parametrize(
    "geometry",
    [(2, 5, 30, 0), (9, 0, 30, 0), (9, 30, 30, 0), (9, 10, 30, 90), (12, 12, 40, 0), (9, 5, float("nan"), 0)],
)
def test_a_bearing_that_cannot_be_is_refused(geometry: tuple[int, float, float, float]) -> None:
    with pytest.raises(BadBearing):
        Bearing(*geometry)


def test_the_estimates_are_bearings_and_say_so() -> None:
    assert len(geometries()) >= 5
    for name, bearing in geometries().items():
        assert bearing.name == name and bearing.origin is Origin.ESTIMATED
        assert bearing.tolerance > BEARING.tolerance
        assert bearing.orders[Part.OUTER] == pytest.approx(0.4 * bearing.balls, rel=0.08)  # the usual rule of thumb
    with pytest.raises(BadBearing, match="bore"):
        estimated(50, 40)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(900.0, 3_000.0), st.sampled_from([Part.OUTER, Part.INNER]))
def test_a_defect_gives_its_line_within_a_hundredth(seed: int, rpm: float, part: Part) -> None:
    expected = BEARING.frequencies_hz(rpm)[part]
    heard = loudest([take(struck(expected, seed, shaft_hz=rpm / 60), rpm=rpm)], [BEARING])
    assert heard is not None
    assert heard.line.part is part and heard.surprise >= 5.0
    assert heard.line.found_hz == pytest.approx(expected, rel=0.01)


def test_noise_is_as_surprising_as_it_should_be() -> None:
    rng = np.random.default_rng(11)
    frequency = np.arange(1_601.0)
    worst = [
        max(line.surprise for line in lines(frequency, rng.rayleigh(size=1_601), BEARING, speed_rpm=1_480.0).values())
        for _ in range(2_500)
    ]
    assert max(worst) < 5.0
    assert np.mean(np.array(worst) >= 2.0) <= 0.01


def test_what_turns_with_the_shaft_is_no_bearing() -> None:
    n, shaft = int(RATE * SECONDS), 1_480.0 / 60.0
    t = np.arange(n) / RATE
    beat = 1.0 + sum(0.5 * np.sin(2 * np.pi * k * shaft * t) for k in range(1, 12))
    wave = beat * np.sin(2 * np.pi * 3_000.0 * t) + 0.1 * np.random.default_rng(1).normal(size=n)
    assert bearing_finding([take(wave)], [BEARING], at_us=AT_US) is None
    assert bearing_finding([take(struck(61.0, 3))], [BEARING], at_us=AT_US) is None  # impacts of something else


def test_a_finding_names_the_frequency_and_shares_by_signal() -> None:
    hz = BEARING.frequencies_hz(1_480.0)[Part.OUTER]
    quiet, loud = struck(hz, 1, strength=1.2), struck(hz, 2, strength=6.0)
    found = bearing_finding(
        [take(quiet), take(loud, number=2)], [BEARING, geometries()["series-03-bore-40"]], at_us=AT_US
    )
    assert found is not None and found.active
    assert sum(found.contributions.values()) == pytest.approx(1.0)
    assert found.contributions[2] >= found.contributions[1] > 0.0
    words = say(found.sentence.key, found.sentence.values)
    for language in ("en", "zh"):
        assert "88.8 Hz" in words[language] and "1 480 rpm" in words[language] and "housing 2" in words[language]
    assert "outer race of bearing N1" in words["en"] and "外圈" in words["zh"]


def test_waves_without_a_unit_or_in_a_wrong_one_are_refused() -> None:
    for unit in (None, "", "1"):
        with pytest.raises(UnitUndeclared):
            loudest([take(struck(90.0, 1), unit=unit)], [BEARING])
    with pytest.raises(Invalid):
        loudest([take(struck(90.0, 1), unit="mm/s")], [BEARING])
    same = [
        loudest([take(wave, unit=unit)], [BEARING])
        for wave, unit in ((struck(90.0, 1), "m/s2"), (struck(90.0, 1) / 9.80665, "g"))
    ]
    assert same[0] is not None and same[1] is not None
    assert same[0].line.amplitude == pytest.approx(same[1].line.amplitude)


@pytest.mark.parametrize("standing", [Standing(*key) for key in VELOCITY_MM_S])
def test_zones_at_their_limits(standing: Standing) -> None:
    for table, unit in ((VELOCITY_MM_S, "mm/s"), (DISPLACEMENT_MM, "mm")):
        limits = table[(standing.group, standing.foundation)]
        assert list(limits) == sorted(limits)
        for zone, limit in zip((Zone.A, Zone.B, Zone.C), limits, strict=True):
            assert zone_of(limit, unit, standing) is zone
            assert zone_of(limit * 1.0001, unit, standing) is Zone(zone + 1)
        assert zone_of(0.0, unit, standing) is Zone.A


def test_units_decide_the_zone_and_none_is_refused() -> None:
    assert zone_of(0.1, "in/s", MEDIUM) is zone_of(2.54, "mm/s", MEDIUM) is Zone.B
    assert zone_of(50.0, "µm", MEDIUM) is zone_of(0.05, "mm", MEDIUM) is Zone.C
    for unit in (None, "", "1"):
        with pytest.raises(UnitUndeclared):
            zone_of(2.0, unit, MEDIUM)
    for unit in ("g", "°C", "furlong"):
        with pytest.raises((OutsideStandard, UnknownUnit)):
            zone_of(2.0, unit, MEDIUM)
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(Invalid):
            zone_of(value, "mm/s", MEDIUM)
    with pytest.raises(UnitUndeclared):
        ZoneWatch(signal(quantity="generic", unit="1"), MEDIUM)


def test_groups() -> None:
    assert group_of(301, 1_500) is group_of(100, 1_500, shaft_height_mm=315) is Group.LARGE
    assert group_of(300, 1_500) is group_of(400, 1_500, shaft_height_mm=280) is Group.MEDIUM
    for power, speed in ((15, 1_500), (100, 119), (100, 30_001), (float("nan"), 1_500)):
        with pytest.raises(OutsideStandard):
            group_of(power, speed)


@given(st.lists(st.floats(0.0, 12.0), min_size=1, max_size=60))
def test_a_zone_is_never_better_than_the_value_and_falls_only_clearly_below(values: list[float]) -> None:
    zone = Zone.A
    for value in values:
        before, zone = zone, next_zone(zone, value, "mm/s", MEDIUM)
        assert zone >= zone_of(value, "mm/s", MEDIUM)
        assert zone <= max(before, zone_of(value, "mm/s", MEDIUM))
        if zone < before:  # as bad as a value a ninth higher, on whose limit rounding may decide
            assert zone_of(value / 0.9 * 0.999999, "mm/s", MEDIUM) <= zone
            assert zone <= zone_of(value / 0.9 * 1.000001, "mm/s", MEDIUM)


def test_a_machine_on_a_limit_is_told_once() -> None:
    watch = ZoneWatch(signal(quantity="vibration_velocity", unit="mm/s"), MEDIUM)
    said = [watch.take(2.8 + 0.05 * (-1) ** i, at_us=AT_US + i) for i in range(50)]
    begun = [each for each in said if each is not None]
    assert len(begun) == 1 and begun[0].active
    assert "2.8 mm/s" in say(begun[0].sentence.key, begun[0].sentence.values)["zh"]
    worse, better = watch.take(4.6, at_us=AT_US + 60), watch.take(2.4, at_us=AT_US + 61)
    assert worse is not None and worse.surprise > begun[0].surprise and worse.health == 0.0
    assert better is not None and not better.active
    assert watch.take(2.7, at_us=AT_US + 62) is None


def test_every_sentence_is_written() -> None:
    keys = {f"vibration.{part.value.lower()}" for part in Part} | {
        f"vibration.zone_{zone.name.lower()}" for zone in Zone
    }
    assert keys | {"vibration_trend"} <= templates().keys()


def test_velocity_of_a_sine_and_its_band() -> None:
    t = np.arange(12_800) / RATE
    wave = 10.0 * np.sin(2 * np.pi * 50 * t) + 5.0 * np.sin(2 * np.pi * 3_000 * t)
    assert features(velocity(wave, RATE), RATE).rms == pytest.approx(
        1_000 * 10.0 / (2 * np.pi * 50) / np.sqrt(2), rel=1e-6
    )
    with pytest.raises(BadWave, match="above 0 Hz"):
        velocity(wave, RATE, band=(0.0, 1_000.0))


def test_orders_of_a_steady_and_of_an_accelerating_shaft() -> None:
    t = np.arange(int(2 * RATE)) / RATE
    order, amplitude = order_spectrum(3.0 * np.sin(2 * np.pi * 2 * 25.0 * t), RATE, 1_500.0)
    assert order[np.argmax(amplitude)] == pytest.approx(2.0) and amplitude.max() == pytest.approx(3.0, rel=1e-3)
    turned = 20.0 * t + 5.0 * t**2  # from 1200 to 2400 rpm
    wave = 3.0 * np.sin(2 * np.pi * 3.6 * turned)
    even = by_angle(wave, turned, per_revolution=128)
    order, amplitude = envelope_free(even)
    assert order[np.argmax(amplitude)] == pytest.approx(3.6, abs=0.02)
    assert amplitude.max() == pytest.approx(3.0, rel=0.15)
    with pytest.raises(BadWave):
        by_angle(wave, turned[::-1], per_revolution=128)
    with pytest.raises(BadWave):
        order_spectrum(wave, RATE, 0.0)


def envelope_free(even: Floats) -> tuple[Floats, Floats]:
    """Spectrum in orders of a wave at 128 samples a revolution."""
    return order_spectrum(even, 128.0, 60.0)
