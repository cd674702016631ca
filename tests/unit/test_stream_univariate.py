"""The judge of plain streams: cut anywhere, what is new, what is unusual for the hour, and when to keep quiet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.stream import novelty, univariate
from detectors.stream.parameters import DEFAULT
from detectors.stream.univariate import ORDER, ROW
from plant.model import Floats, Int64s

MINUTES = 300
DAY = 86_400 // MINUTES


def judge(values: Floats) -> Floats:
    return univariate.judge(univariate.empty(DEFAULT), stamps(len(values)), values)


def stamps(rows: int) -> Int64s:
    return MINUTES * np.arange(rows, dtype=np.int64)


def stream(seed: int, rows: int) -> Floats:
    """Days, noise, spikes, a step, a stuck stretch and holes."""
    chance = np.random.default_rng(seed)
    values = 50.0 + 5.0 * np.sin(2 * np.pi * np.arange(rows) / DAY) + chance.normal(size=rows)
    values[chance.integers(0, rows, 5)] += chance.normal(0.0, 30.0, 5)
    values[rows // 2 :] += chance.normal(0.0, 5.0)
    values[rows // 3 : rows // 3 + 30] = values[rows // 3]
    values[chance.integers(0, rows, 9)] = np.nan
    return values


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000), rows=st.integers(40, 1_500), share=st.lists(st.floats(0, 1), max_size=4))
def test_a_cut_anywhere_leaves_every_earlier_score_identical(seed: int, rows: int, share: list[float]) -> None:
    values = stream(seed, rows)
    whole = judge(values)
    cuts = sorted(int(each * rows) for each in share)
    memory, at_s = univariate.empty(DEFAULT), stamps(rows)
    parts = [univariate.judge(memory, at_s[a:b], values[a:b]) for a, b in zip([0, *cuts], [*cuts, rows], strict=True)]
    assert np.array_equal(np.concatenate(parts), whole, equal_nan=True)
    for cut in cuts:
        assert np.array_equal(judge(values[:cut]), whole[:cut], equal_nan=True)


def test_scores_do_not_depend_on_the_unit() -> None:
    values = stream(3, 2_000)
    mine, scaled = judge(values), judge(1_024.0 * values)
    assert np.allclose(mine, scaled, rtol=1e-9, equal_nan=True)


def test_a_missing_value_is_neither_judged_nor_ordered() -> None:
    values = stream(5, 500)
    found = judge(values)
    assert np.isnan(found[np.isnan(values), ROW]).all() and (found[np.isnan(values), ORDER] == 0.0).all()
    assert np.isfinite(found[np.isfinite(values), ROW]).all()


@pytest.mark.parametrize("spoil", ["spike", "level", "hole"])
def test_what_is_new_is_the_strongest_order(spoil: str) -> None:
    values = 50.0 + np.random.default_rng(1).normal(size=3_000)
    values[::40] += 20.0  # two levels, so that a value between them is inside the range and yet new
    if spoil == "spike":
        values[2_000] = 120.0
    elif spoil == "level":
        values[2_000:] += 3.0
    else:
        values[2_000] = 60.0
    order = judge(values)[:, ORDER]
    assert 2_000 <= 1_000 + int(np.argmax(order[1_000:])) < 2_060


def test_a_day_without_its_peak_is_found_though_no_value_is_new() -> None:
    chance = np.random.default_rng(2)
    hour = np.arange(14 * DAY) % DAY
    values = np.where((hour > 100) & (hour < 200), 80.0, 20.0) + chance.normal(size=14 * DAY)
    missing = 10 * DAY + 101
    values[missing : missing + 99] = 20.0 + chance.normal(size=99)
    order = judge(values)[:, ORDER]
    assert missing <= 4 * DAY + int(np.argmax(order[4 * DAY :])) < missing + 99


def test_a_burst_is_told_once_and_not_by_row() -> None:
    values = np.random.default_rng(4).normal(size=4_000)
    values[3_000:3_060] += 15.0
    found = judge(values)
    assert (found[3_000:3_005, ROW] > 3.0).all()  # the rows themselves are surprising, one by one
    strong = found[3_000:3_300, ORDER] >= 0.5 * found[3_000:3_010, ORDER].max()
    assert 1 <= strong.sum() <= 5


def test_a_constant_signal_is_quiet_until_it_moves() -> None:
    values = np.full(1_000, 7.0)
    values[900] = 7.5
    order = judge(values)[:, ORDER]
    assert order[:900].max() < 0.5 < order[900]


def test_the_map_gives_the_distance_to_the_nearest_value_seen() -> None:
    values = np.random.default_rng(8).normal(size=300).round(2)
    (book,) = novelty.empty(1, 400)
    seen: list[float] = []
    for value in values:
        expected = min((abs(value - each) for each in seen), default=0.0)
        assert univariate_distance(book, value) == pytest.approx(expected)
        seen.append(value)


def test_a_full_map_keeps_its_borders_and_its_size() -> None:
    values = np.random.default_rng(9).normal(size=3_000)
    (book,) = novelty.empty(1, 50)
    for value in values:
        univariate_distance(book, value)
    kept = book[1 : 1 + int(book[novelty.FILLED])]
    assert len(kept) == 50 and (np.diff(kept) > 0).all()
    assert kept[-1] == values.max() and kept[0] <= np.sort(values)[1]


def univariate_distance(book: Floats, value: float) -> float:
    return float(novelty.distances(book, np.array([value]))[0])
