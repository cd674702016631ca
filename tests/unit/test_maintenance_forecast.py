"""The curve that the prognosis gets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maintenance.life.curves import POINTS, even


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=400))
def test_thinning_keeps_the_order_the_newest_and_not_too_many(hours: list[float]) -> None:
    at_h = np.sort(np.array(hours))
    health = np.arange(len(hours), dtype=np.float64)
    kept_h, kept = even(at_h, health)
    assert 1 <= len(kept_h) <= POINTS + 1
    assert kept_h[-1] == at_h[-1] and kept[-1] == health[-1]
    assert np.all(np.diff(kept) > 0) and np.all(at_h[kept.astype(int)] == kept_h)


def test_a_talkative_hour_does_not_outweigh_days() -> None:
    at_h = np.concatenate([np.arange(0.0, 100.0), 99 + np.arange(1, 200) / 200])
    kept_h, _ = even(at_h, at_h)
    assert 98 <= len(kept_h) <= POINTS + 1
