"""Heard → kept: bindings, units, quality, plausibility, and a reason for everything that is not kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codecs import json as codec
from edge.delivery import Fault, Lane, Message, Origin, reading
from edge.reasons import Reason
from ingest.resolve import DAY_US, YEAR_US, Bound, Heard, Resolved, Snapshot, Standing, resolve, unknown
from plant.model import Quality, Reading
from plant.units import conversion

NOW = 1_767_225_600_000_000
SITE = 3


def bound(signal_id: int, quantity: str, unit: str, scale: float = 1.0, offset: float = 0.0) -> Bound:
    return Bound(signal_id, quantity, unit, scale, offset, conversion(quantity, unit).after(scale, offset))


PLANT = Snapshot(
    sites={"plant": SITE},
    devices={(SITE, "gw"): Standing.REGISTERED, (SITE, "old"): Standing.REVOKED},
    bound={
        (SITE, "gw", "v"): bound(1, "vibration_velocity", "mm/s"),
        (SITE, "gw", "t"): bound(2, "temperature", "°F"),
        (SITE, "gw", "raw"): bound(3, "pressure", "bar", 0.01, -1.0),
        (SITE, "old", "v"): bound(4, "vibration_velocity", "mm/s"),
        (SITE, "plc", "v"): bound(5, "vibration_velocity", "mm/s"),
    },
)


def series(tag: str, *samples: tuple[int, float, int], unit: str | None = None) -> Reading:
    at, value, quality = zip(*samples, strict=True) if samples else ((), (), ())
    return Reading("gw", tag, np.array(at, np.int64), np.array(value, np.float64), np.array(quality, np.uint8), unit)


def keep(*readings: Reading, source: str = "gw", lane: Lane = Lane.LIVE, origin: Origin = Origin.DEVICE) -> Resolved:
    return resolve([Heard(SITE, source, Message(readings, lane=lane), origin, "topic")], PLANT, now_us=NOW)


@pytest.mark.parametrize(
    ("tag", "unit", "heard", "signal_id", "kept"),
    [
        ("v", None, 3.2, 1, 3.2),
        ("v", "mm/s", 3.2, 1, 3.2),
        ("v", "in/s", 0.1, 1, 2.54),
        ("t", None, 212.0, 2, 100.0),
        ("t", "°C", 100.0, 2, 100.0),
        ("t", "K", 373.15, 2, 100.0),
        ("raw", None, 500.0, 3, 4.0),
        ("raw", "psi", 200.0, 3, pytest.approx(0.0689475729)),
    ],
)
def test_values_become_canonical(tag: str, unit: str | None, heard: float, signal_id: int, kept: float) -> None:
    found = keep(series(tag, (NOW, heard, 1), unit=unit))
    assert found.entries == ()
    assert (found.batch.signal_id[0], found.site_ids[0], found.message[0]) == (signal_id, SITE, 0)
    assert (found.batch.at_us[0], found.batch.quality[0]) == (NOW, Quality.UNCERTAIN)
    assert found.batch.value[0] == pytest.approx(kept)


def test_a_value_in_the_canonical_unit_keeps_every_bit() -> None:
    values = np.array([-0.0, 5e-324, 1.7976931348623157e308, 0.1])
    heard = Reading("gw", "v", np.full(4, NOW), values, np.zeros(4, np.uint8))
    assert keep(heard, series("t", (NOW, 1.0, 0))).batch.value[:4].tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("tag", "unit", "reason"),
    [
        ("v", "bar", Reason.WRONG_UNIT),
        ("v", "wobble", Reason.UNKNOWN_UNIT),
        ("v", "\ud800", Reason.UNKNOWN_UNIT),
        ("nobody", None, Reason.UNKNOWN_TAG),
    ],
)
def test_a_series_that_does_not_fit_is_kept_aside_whole(tag: str, unit: str | None, reason: Reason) -> None:
    bad = series(tag, (NOW, 1.0, 0), (NOW + 1, 2.0, 2), unit=None if unit == "\ud800" else unit)
    if unit == "\ud800":
        bad = Reading("gw", tag, bad.at_us, bad.values, bad.quality, "no unit")
    found = keep(bad, series("v", (NOW, 3.2, 0)))
    (entry,) = found.entries
    assert (entry.reason, entry.source, entry.tag, entry.topic, entry.readings) == (reason, "gw", tag, "topic", 2)
    np.testing.assert_array_equal(found.batch.value, [3.2])
    again = codec.decode(entry.payload, source="gw", tag=None, heard_us=0).readings[0]
    np.testing.assert_array_equal(again.at_us, bad.at_us)
    np.testing.assert_array_equal(again.values, bad.values)
    np.testing.assert_array_equal(again.quality, bad.quality)


@pytest.mark.parametrize(("source", "reason"), [("stranger", Reason.UNKNOWN_DEVICE), ("old", Reason.REVOKED_DEVICE)])
def test_a_device_that_may_not_speak_is_kept_aside_whole(source: str, reason: Reason) -> None:
    found = keep(series("v", (NOW, 1.0, 0)), series("t", (NOW, 1.0, 0), (NOW, 2.0, 0)), source=source)
    (entry,) = found.entries
    assert (entry.reason, entry.source, entry.readings, len(found.batch)) == (reason, source, 3, 0)


def test_a_source_of_our_own_needs_no_registration() -> None:
    assert len(keep(series("v", (NOW, 1.0, 0)), source="plc", origin=Origin.CONFIGURED).batch) == 1


@pytest.mark.parametrize(
    ("at_us", "lane", "ok"),
    [
        (NOW + DAY_US, Lane.LIVE, True),
        (NOW + DAY_US + 1, Lane.LIVE, False),
        (NOW - 10 * YEAR_US, Lane.LIVE, True),
        (NOW - 10 * YEAR_US - 1, Lane.LIVE, False),
        (-11_644_473_600_000_000, Lane.LIVE, False),
        (NOW - 50 * YEAR_US, Lane.HISTORY, True),
        (NOW + 50 * YEAR_US, Lane.HISTORY, True),
        (-11_644_473_600_000_000, Lane.HISTORY, False),
        (1 << 61, Lane.HISTORY, False),
        (-(1 << 61), Lane.LIVE, False),
    ],
)
def test_times_must_be_plausible_in_their_lane(at_us: int, lane: Lane, ok: bool) -> None:
    found = keep(series("v", (NOW, 1.0, 0), (at_us, 2.0, 0), (NOW, 3.0, 0)), lane=lane)
    assert len(found.batch) == (3 if ok else 2)
    assert [entry.reason for entry in found.entries] == ([] if ok else [Reason.IMPLAUSIBLE_TIME])


@pytest.mark.parametrize(
    ("at_us", "lane", "told"),
    [
        (1, Lane.LIVE, "1970-01-01T00:00:00.000001Z; a live sample"),
        (NOW + 3 * DAY_US, Lane.LIVE, "2026-01-04T00:00:00.000000Z"),
        (-2_208_988_800_000_001, Lane.HISTORY, "1899-12-31T23:59:59.999999Z; history lies between 1900 and 2200"),
        (1 << 61, Lane.HISTORY, f"{1 << 61} µs since 1970"),
    ],
)
def test_an_implausible_time_is_named(at_us: int, lane: Lane, told: str) -> None:
    (entry,) = keep(series("v", (at_us, 2.0, 0)), lane=lane).entries
    assert told in entry.detail


def test_history_begins_with_1900() -> None:
    assert len(keep(series("v", (-2_208_988_800_000_000, 2.0, 0)), lane=Lane.HISTORY).batch) == 1


def test_one_value_that_is_no_number_costs_no_other() -> None:
    found = keep(
        series("v", (NOW, 1.0, 0), (NOW + 1, math.nan, 0), (NOW + 2, math.inf, 1), (NOW + 3, 4.0, 0)),
        series("v", (NOW + 4, math.nan, Quality.BAD)),
        series("t", (NOW, 1.7e308, 0)),
    )
    np.testing.assert_array_equal(found.batch.at_us, [NOW, NOW + 3, NOW + 4, NOW])
    assert math.isnan(found.batch.value[2])
    (entry,) = found.entries
    assert (entry.reason, entry.tag, entry.readings) == (Reason.NOT_A_NUMBER, "v", 2)


def test_a_conversion_that_overflows_is_no_number() -> None:
    found = keep(series("v", (NOW, 1e308, 0), unit="m/s"))
    assert [entry.reason for entry in found.entries] == [Reason.NOT_A_NUMBER]
    assert len(found.batch) == 0


def test_faults_of_the_codec_become_entries() -> None:
    fault = Fault("x", Reason.WRONG_LENGTH, "why", b"payload", 7)
    found = resolve([Heard(SITE, "gw", Message((series("v", (NOW, 1.0, 0)),), (fault,)))], PLANT, now_us=NOW)
    (entry,) = found.entries
    assert (entry.reason, entry.tag, entry.payload, entry.detail, entry.readings) == (
        Reason.WRONG_LENGTH,
        "x",
        b"payload",
        "why",
        7,
    )
    assert len(found.batch) == 1


def test_nothing_heard_is_nothing_kept() -> None:
    for found in (resolve([], PLANT, now_us=NOW), keep(), keep(series("v"))):
        assert len(found.batch) == len(found.message) == len(found.entries) == 0


def test_what_the_snapshot_does_not_know_asks_for_a_newer_one() -> None:
    def heard(source: str, tag: str, origin: Origin = Origin.DEVICE) -> list[Heard]:
        return [Heard(SITE, source, Message((reading(source, tag, NOW, 1.0, Quality.GOOD),)), origin)]

    assert not unknown(heard("gw", "v"), PLANT)
    assert unknown(heard("gw", "new"), PLANT)
    assert unknown(heard("new", "v"), PLANT)
    assert unknown(heard("old", "v"), PLANT)
    assert not unknown(heard("plc", "v", Origin.CONFIGURED), PLANT)


ANY_SAMPLE = st.tuples(
    st.integers(-(1 << 61), 1 << 61) | st.integers(NOW - 1000, NOW + 1000), st.floats(), st.integers(0, 2)
)
ANY_SERIES = st.builds(
    lambda tag, unit, samples: series(tag, *samples, unit=unit),
    st.sampled_from(["v", "t", "raw", "nobody"]),
    st.sampled_from([None, "mm/s", "°F", "psi", "wobble"]),
    st.lists(ANY_SAMPLE, max_size=6),
)
ANY_HEARD = st.builds(
    lambda source, readings, lane: Heard(SITE, source, Message(tuple(readings), lane=lane)),
    st.sampled_from(["gw", "gw", "gw", "old", "stranger"]),
    st.lists(ANY_SERIES, max_size=4),
    st.sampled_from(list(Lane)),
)


@given(st.lists(ANY_HEARD, max_size=6))
def test_every_sample_is_either_kept_or_in_quarantine(heard: list[Heard]) -> None:
    found = resolve(heard, PLANT, now_us=NOW)
    sent = sum(len(each.at_us) for message in heard for each in message.message.readings)
    assert len(found.batch) + sum(entry.readings for entry in found.entries) == sent
    assert np.all(np.isfinite(found.batch.value) | (found.batch.quality == Quality.BAD))
    alone = [resolve([each], PLANT, now_us=NOW) for each in heard]
    np.testing.assert_array_equal(
        found.batch.value, np.concatenate([np.empty(0), *(each.batch.value for each in alone)])
    )
