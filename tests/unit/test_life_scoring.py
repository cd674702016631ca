"""A prediction's score, a model's correction by its record, and similarity of health curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.life import scoring, similar
from maintenance.life.scoring import LEAST_LIVES, Outcome
from maintenance.life.similar import Past
from maintenance.model import Forecast

hours = st.floats(0.1, 5000.0)


def forecast(p10: float, p50: float, p90: float) -> Forecast:
    return Forecast(p10, p50, p90, p_fail=0.3, horizon_h=168, model="m", version="1")


@given(st.tuples(hours, hours, hours).map(sorted), st.lists(st.floats(0, 1), min_size=2).map(sorted))
def test_moment_is_the_inverse_of_failure(quantiles: list[float], chances: list[float]) -> None:
    made = forecast(*quantiles)
    moments = made.moment(np.array(chances))
    assert np.all(np.isfinite(moments)) and np.all(np.diff(moments) >= 0)
    assert made.moment(np.array([0.1, 0.9])) == pytest.approx(
        [min(quantiles[0], made.moment(np.array([0.5]))[0]), max(quantiles[2], made.moment(np.array([0.5]))[0])],
        rel=0.05,
    )


def test_what_did_not_fail_can_refute_but_not_confirm() -> None:
    made = forecast(10, 20, 40)
    assert scoring.score(made, lived_h=30, outcome=Outcome.FOUND) == scoring.Score(None, None, None)
    assert scoring.score(made, lived_h=41, outcome=Outcome.CENSORED).held is False
    failed = scoring.score(made, lived_h=30, outcome=Outcome.FAILED)
    assert failed.held and failed.pinball_h == pytest.approx((0.1 * 20 + 0.5 * 10 + 0.1 * 10) / 3)
    assert failed.place is not None and 0.5 < failed.place < 0.9


def test_a_record_of_late_failures_moves_the_forecast_and_covers() -> None:
    rng = np.random.default_rng(4)
    made = forecast(10, 20, 40)
    lived = 40.0 * np.exp(0.4 * rng.standard_normal(4000))  # twice as long as is said
    place = [scoring.score(made, lived_h=each, outcome=Outcome.FAILED).place or 0.0 for each in lived[:200]]
    few = scoring.places(list(enumerate(place[: LEAST_LIVES - 1])))
    assert scoring.corrected(made, few) is made
    moved = scoring.corrected(made, scoring.places(list(enumerate(place))))
    covered = np.mean((lived[200:] >= moved.p10_h) & (lived[200:] <= moved.p90_h))
    assert 0.74 <= covered <= 0.88
    assert moved.p50_h == pytest.approx(40.0, rel=0.15) and moved.base_h == (10, 20, 40)
    assert scoring.uncorrected(moved).p50_h == 20


def test_a_life_foretold_a_hundred_times_counts_once() -> None:
    rows = [(0, 0.9)] * 100 + [(life, 0.1) for life in range(1, 31)]
    assert scoring.corrected(forecast(10, 20, 40), scoring.places(rows)).p50_h == pytest.approx(10.0)


def wear(life_h: float, *, until: float = 1.0) -> Past:
    at_h = np.linspace(0.0, life_h * until, 50)
    return Past(at_h, (at_h / life_h) ** 2, life_h)


def test_similar_machines_say_what_was_left_of_them() -> None:
    past = [wear(life_h) for life_h in (95.0, 100.0, 105.0, 100.0)]
    now = wear(100.0, until=0.7)
    laws = forecast(100, 200, 400)  # far too late
    said = similar.forecast(now.at_h, 1.0 - now.damage, past, laws=laws)
    assert said is not None and said.model == "fleet-similarity"
    assert said.p50_h == pytest.approx(30.0, abs=12.0)
    assert similar.forecast(now.at_h, 1.0 - now.damage, past[:2], laws=laws) is None


@given(
    health=st.lists(st.floats(-0.5, 1.5) | st.just(float("nan")), min_size=2, max_size=30),
    lives=st.lists(st.floats(10.0, 1000.0), min_size=3, max_size=6),
)
def test_similarity_never_makes_nonsense(health: list[float], lives: list[float]) -> None:
    at_h = np.arange(float(len(health)))
    said = similar.forecast(at_h, np.array(health), [wear(each) for each in lives], laws=forecast(5, 9, 90))
    if said is not None:
        assert 0 <= said.p10_h <= said.p50_h <= said.p90_h < np.inf
        assert 0 <= said.p_fail <= 1.0 + 1e-9
