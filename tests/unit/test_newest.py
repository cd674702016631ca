"""The newest sample of each signal, twins, and receipts, against plain models."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge import receipts
from edge.receipts import MOST_GAPS, Progress
from ingest.newest import Newest, sort_and_drop_twins
from plant.model import SampleBatch

SAMPLES = st.lists(
    st.tuples(st.integers(1, 9_000) | st.integers(1, 3), st.integers(-5, 5), st.sampled_from([0.0, 1.0, 2.0]))
)


def batch(rows: list[tuple[int, int, float]]) -> SampleBatch:
    ids, at, value = zip(*rows, strict=True) if rows else ((), (), ())
    return SampleBatch(
        np.array(ids, np.int32), np.array(at, np.int64), np.array(value, np.float64), np.zeros(len(rows), np.uint8)
    )


def rows_of(samples: SampleBatch) -> list[tuple[int, int, float]]:
    return list(zip(samples.signal_id.tolist(), samples.at_us.tolist(), samples.value.tolist(), strict=True))


@given(SAMPLES)
def test_twins_are_dropped_and_the_rest_is_sorted(rows: list[tuple[int, int, float]]) -> None:
    found, order = sort_and_drop_twins(batch(rows))
    assert sorted(rows_of(found)) == sorted(set(rows))
    assert [row[:2] for row in rows_of(found)] == sorted(row[:2] for row in rows_of(found))
    assert [rows[index] for index in order] == rows_of(found)


@given(st.lists(SAMPLES, max_size=5))
def test_newer_than_the_newest_is_what_a_dictionary_says(flushes: list[list[tuple[int, int, float]]]) -> None:
    newest, model, dirty = Newest(), dict[int, int](), set[int]()
    for rows in flushes:
        found, _ = sort_and_drop_twins(batch(rows))
        expected = [at > model.get(signal_id, -(1 << 62)) for signal_id, at, _ in rows_of(found)]
        assert newest.is_newer(found).tolist() == expected
        newest.advance(found, np.full(len(found), 7, np.int16))
        for signal_id, at, _ in rows_of(found):
            if at >= model.get(signal_id, -(1 << 62)):
                dirty.add(signal_id)
            model[signal_id] = max(at, model.get(signal_id, -(1 << 62)))
    taken, sites = newest.take_dirty()
    assert {row[0]: row[1] for row in rows_of(taken)} == {each: model[each] for each in dirty}
    assert set(sites.tolist()) <= {7}
    assert len(newest.take_dirty()[0]) == 0
    newest.put_back(taken)
    assert rows_of(newest.take_dirty()[0]) == rows_of(taken)


@given(st.lists(st.integers(1, 60)))
def test_a_receipt_covers_exactly_what_is_durable(seqs: list[int]) -> None:
    progress, durable = Progress(), set[int]()
    for seq in seqs:
        progress.add(seq)
        durable.add(seq)
        told = receipts.decode(progress.receipt("e").encode())
        assert {seq for seq in range(1, 62) if told.covers(seq)} == durable
    ranges = progress.ranges()
    assert all(low <= high for low, high in ranges)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ranges))


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10))))
def test_ranges_may_come_in_any_order(spans: list[tuple[int, int]]) -> None:
    progress = Progress((low, low + more) for low, more in spans)
    durable = {seq for low, more in spans for seq in range(low, low + more + 1)}
    assert {seq for low, high in progress.ranges() for seq in range(low, high + 1)} == durable


def test_a_receipt_with_too_many_gaps_tells_less_never_more() -> None:
    durable = set(range(2, 2 * MOST_GAPS + 400, 2))
    progress = Progress()
    for seq in durable:
        progress.add(seq)
    told = progress.receipt("e")
    assert len(told.gaps) == MOST_GAPS
    assert {seq for seq in range(1, 3_000) if told.covers(seq)} <= durable
