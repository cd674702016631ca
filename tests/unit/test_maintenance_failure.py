"""P(fails before t), made of the quantiles of a forecast."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.model import Forecast

hours = st.floats(0, 80_000)


def forecast(*quantiles: float) -> Forecast:
    return Forecast(*quantiles, p_fail=0.3, horizon_h=168, model="m", version="1")


def test_failure_passes_through_the_quantiles() -> None:
    made = forecast(24.0, 60.0, 300.0)
    assert made.failure(np.array([24.0, 60.0, 300.0])) == pytest.approx([0.1, 0.5, 0.9])
    assert made.survival(np.array([24.0])) == pytest.approx([0.9])


@given(st.tuples(hours, hours, hours).map(sorted), st.lists(hours, min_size=2).map(sorted))
def test_failure_never_falls_and_stays_a_probability(quantiles: list[float], at: list[float]) -> None:
    chance = forecast(*quantiles).failure(np.array(at))
    assert np.all((chance >= 0) & (chance <= 1)) and np.all(np.diff(chance) >= 0)


def test_a_machine_at_its_end_fails_now() -> None:
    made = forecast(0.0, 0.0, 0.0)
    assert made.failure(np.array([0.0, 1.0, 10.0])) == pytest.approx([0.0, 1.0, 1.0])
