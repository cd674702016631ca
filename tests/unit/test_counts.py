"""Every reading of a flush ends in exactly one place, whatever it is made of."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.delivery import Fault, Message, reading
from edge.reasons import Reason
from ingest.counts import Counted, From, columns, of_flush
from ingest.resolve import Bound, Heard, Snapshot, Standing, resolve
from plant.model import Quality
from plant.units import conversion

SITE = 3
NOW = 1_767_225_600_000_000
PLANT = Snapshot(
    sites={"plant": SITE},
    devices={(SITE, "gw"): Standing.REGISTERED, (SITE, "old"): Standing.REVOKED},
    bound={(SITE, "gw", "v"): Bound(1, "temperature", "°C", 1.0, 0.0, conversion("temperature", "°C"))},
)
VALUES = st.sampled_from([1.0, 2.0, float("nan")])
READINGS = st.lists(st.tuples(st.sampled_from(["v", "unbound"]), VALUES), max_size=5)
MESSAGES = st.lists(
    st.tuples(st.sampled_from(["gw", "old", "stranger"]), READINGS, st.integers(0, 3), st.booleans(), st.booleans()),
    max_size=8,
)


def message(readings: list[tuple[str, float]], faults: int, numbered: bool) -> Message:
    kept = tuple(reading("gw", tag, NOW, value, Quality.GOOD) for tag, value in readings)
    bad = tuple(Fault("x", Reason.MALFORMED, "bad", b"", 2) for _ in range(faults))
    return Message(kept, bad, *(("e", 1) if numbered else (None, None)))


@given(MESSAGES, st.randoms(use_true_random=False), st.sampled_from(From))
def test_the_counts_of_a_flush_balance(given_messages: list, chance, origin: From) -> None:  # type: ignore[no-untyped-def,type-arg]
    heard = [Heard(SITE, source, message(readings, faults, no)) for source, readings, faults, no, _ in given_messages]
    new = [fresh for *_, fresh in given_messages]
    resolved = resolve(heard, PLANT, now_us=NOW)
    candidates = [int(index) for index in resolved.message if new[index]]
    stored = [index for index in candidates if chance.random() < 0.7]  # the others were in the store already
    counted = of_flush(heard, resolved, new, np.array(stored, np.int32), origin=origin)
    assert all(each.unaccounted == 0 for each in counted)
    total = sum(len(readings) + 2 * faults for _, readings, faults, *_ in given_messages)
    told = sum(each.heard for each in counted) if origin is From.WIRE else sum(each.released for each in counted)
    assert told == total
    assert sum(each.samples for each in counted) == len(stored)
    assert {each.source for each in counted} == {each.source for each in heard}


def test_what_each_count_means() -> None:
    heard = [
        Heard(SITE, "gw", message([("v", 1.0), ("v", 2.0), ("unbound", 1.0)], 1, True)),
        Heard(SITE, "gw", message([("v", 1.0)], 0, True)),
        Heard(SITE, "gw", message([("v", 2.0)], 0, False)),
    ]
    resolved = resolve(heard, PLANT, now_us=NOW)
    counted = of_flush(heard, resolved, [True, False, True], np.array([0, 0], np.int32))
    assert counted == [
        Counted(SITE, "gw", heard=7, messages=3, unsequenced=1, repeated=1, samples=2, quarantined=3, twins=1)
    ]
    assert columns(counted)[2:5] == ([7], [3], [1])
    assert of_flush([], resolve([], PLANT, now_us=NOW), [], np.array([], np.int32)) == []
