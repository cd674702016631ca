"""Remaining life learnt from lives that ended: finite, ordered, repeatable, covering, and kept as numbers."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenance.errors import ForeignModel
from maintenance.life import archive, boosted
from maintenance.life.boosted import LifeModel, Run, TooFewLives
from maintenance.life.features import columns, features
from plant.model import Floats

LEVELS = (0.1, 0.5, 0.9)


def life(seed: int, *, steps: int | None = None) -> Floats:
    """Three signals of one life: two that wear shows in, one that never moves, one of noise."""
    rng = np.random.default_rng(seed)
    count = steps or int(rng.integers(90, 160))
    wear = (np.arange(count) / count) ** 3
    noise = rng.standard_normal((count, 3))
    return np.column_stack([5 + 4 * wear + 0.3 * noise[:, 0], 90 - 9 * wear + noise[:, 1], np.ones(count), noise[:, 2]])


@functools.cache
def model() -> LifeModel:
    return boosted.fit([Run(life(seed)) for seed in range(12)], cap=80.0, seed=3)


def test_features_know_nothing_of_what_comes_later() -> None:
    values = life(1)
    centre, scale = values.mean(axis=0), np.ones(4)
    whole = features(values, centre=centre, scale=scale)
    assert whole.shape == (len(values), columns(4))
    for count in (1, 2, 30):
        assert np.array_equal(features(values[:count], centre=centre, scale=scale), whole[:count])


def test_it_sees_the_end_coming_and_covers_the_truth() -> None:
    misses, inside = [], 0
    for seed in range(100, 112):
        values = life(seed)
        for left in (10, 30, 60):
            answer = model().answer(values[: len(values) - left], levels=LEVELS, within=20.0)
            misses.append(abs(answer.expected - left))
            inside += answer.quantiles[0] <= left <= answer.quantiles[2]
            assert (answer.chance > 0.5) == (left == 10)
    assert np.mean(misses) < 12.0
    assert inside >= 22  # of 36 at 80 %


@given(
    seed=st.integers(200, 220),
    seen=st.integers(1, 90),
    holes=st.lists(
        st.tuples(st.integers(0, 89), st.integers(0, 3), st.sampled_from((np.nan, np.inf, 1e12))), max_size=20
    ),
    within=st.tuples(st.floats(0, 100), st.floats(0, 100)),
)
@settings(max_examples=25, deadline=None)
def test_more_data_never_makes_nonsense(
    seed: int, seen: int, holes: list[tuple[int, int, float]], within: tuple[float, float]
) -> None:
    values = life(seed, steps=90)[:seen]
    for row, column, what in holes:
        if row < seen:
            values[row, column] = what
    near, far = (model().answer(values, levels=LEVELS, within=each) for each in sorted(within))
    for answer in (near, far):
        assert np.isfinite(answer.expected) and np.all(np.isfinite(answer.quantiles))
        assert 0.0 <= answer.quantiles[0] <= answer.quantiles[1] <= answer.quantiles[2]
        assert 0.0 <= answer.chance <= 1.0
    assert near.chance <= far.chance


def test_a_kept_model_answers_to_the_last_digit_and_a_twin_is_equal() -> None:
    values = life(300)[:70]
    first = model().answer(values, levels=LEVELS, within=20.0)
    kept = archive.unpack(archive.pack(model())).answer(values, levels=LEVELS, within=20.0)
    twin = boosted.fit([Run(life(seed)) for seed in range(12)], cap=80.0, seed=3)
    for other in (kept, twin.answer(values, levels=LEVELS, within=20.0)):
        assert (other.expected, other.chance) == (first.expected, first.chance)
        assert np.array_equal(other.quantiles, first.quantiles)


def test_another_version_damage_and_strange_bytes_are_refused() -> None:
    content = archive.pack(model())
    with pytest.raises(ForeignModel, match="damaged"):
        archive.unpack(content, sha256=b"another")
    with pytest.raises(ForeignModel, match="no model"):
        archive.unpack(b"no model at all")
    with np.load(io.BytesIO(content)) as kept:
        arrays = {name: kept[name] for name in kept.files}
    arrays["header"] = np.frombuffer(b'{"format": "life/0/0", "trees": 2}', np.uint8)
    strange = io.BytesIO()
    np.savez(strange, **arrays)  # type: ignore[arg-type]
    with pytest.raises(ForeignModel, match="version life/0/0"):
        archive.unpack(strange.getvalue())


def test_too_few_lives_teach_nothing() -> None:
    runs = [Run(life(seed)) for seed in range(9)] + [Run(life(9), failed=False)]
    with pytest.raises(TooFewLives):
        boosted.fit(runs, cap=80.0, seed=0)


def test_a_life_that_still_lasts_helps_where_it_is_certain() -> None:
    """Nothing shows before the end, and half of the machines last four times as long: who asks early is told so."""

    def flat(seed: int, steps: int) -> Floats:
        return 5 + 0.3 * np.random.default_rng(seed).standard_normal((steps, 3))

    died = [Run(flat(seed, 70 + seed)) for seed in range(10)]
    lasting = [Run(flat(seed, 300), failed=False) for seed in range(20, 34)]
    alone, beside = (boosted.fit(runs, cap=40.0, seed=0) for runs in (died, died + lasting))
    for seed in (50, 51, 52):
        one, other = (each.answer(flat(seed, 60), levels=LEVELS, within=20.0) for each in (alone, beside))
        assert one.expected + 4 < other.expected <= 40.0 and other.chance < one.chance
        assert np.isfinite(other.quantiles).all()
