"""The judges of one asset of which nothing is known: one chain for benchmarks and product, states, exact resume."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.algorithms.stream import ALARMS_MONTH, Stream, create
from detectors.base import Frame
from detectors.stream import levels, thin, univariate
from detectors.stream.baseline import Baseline
from detectors.stream.chain import ORDER, ROW, StreamChain
from detectors.stream.multivariate import Start, StreamJudge
from detectors.stream.parameters import DEFAULT
from plant.model import Floats, Role, Signal

MINUTE_US = 60_000_000
K = 3


def wandering(rows: int, *, seed: int = 1) -> Floats:
    """Three signals that share a load."""
    chance = np.random.default_rng(seed)
    load = np.sin(np.arange(rows) / 90.0)[:, None] + 0.1 * chance.normal(size=(rows, 1))
    return np.asarray(50.0 + load * np.array([4.0, -2.0, 1.0]) + 0.3 * chance.normal(size=(rows, K)))


def at_s(rows: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(1, rows + 1, dtype=np.int64) * 60


def signal(number: int, *, role: Role = Role.MEASURED, period_s: float = 60.0) -> Signal:
    return Signal(number, 1, 1, f"s{number}", f"Signal {number}", "temperature", "degC", None, None, period_s, role)


def frame(values: Floats, *, first: int = 0, step_us: int = MINUTE_US, state: int = -1) -> Frame:
    at_us = (np.arange(len(values), dtype=np.int64) + 1 + first) * step_us
    signals = [signal(j + 1, period_s=step_us / 1e6) for j in range(values.shape[1])]
    return Frame(1, signals, at_us, values, np.zeros(values.shape, np.bool_), np.full(len(values), state, np.int16))


def detector(signals: int = K, *, period_s: float = 60.0) -> Stream:
    made = create(
        asset_id=1,
        site_id=1,
        asset_class="pump",
        signals=[signal(j + 1, period_s=period_s) for j in range(signals)],
    )
    assert made is not None
    return made


def test_it_is_the_judges_of_the_benchmarks_and_nothing_else() -> None:
    rows, at = wandering(900), at_s(900)
    judged = StreamChain(K).judge(at, rows)
    alone = univariate.judge(univariate.empty(DEFAULT), at, rows[:, 1].copy())
    np.testing.assert_array_equal(judged.alone[:, 1, ROW], alone[:, univariate.ROW])
    np.testing.assert_array_equal(judged.alone[:, 1, ORDER], alone[:, univariate.ORDER])
    together = StreamJudge(Baseline.learn(rows[:400]), start=Start.AFTER_BASELINE).update(rows[400:])
    np.testing.assert_array_equal(judged.together.evidence[400:], together.evidence)
    np.testing.assert_array_equal(judged.together.shares[400:], together.shares)
    assert np.isnan(judged.together.evidence[:400]).all()


def test_cuts_and_resumes_leave_every_score_as_it_was() -> None:
    rows, at, chance = wandering(1_200), at_s(1_200), np.random.default_rng(2)
    rows[600:, 0] += np.where(np.arange(600) // 50 % 2, 30.0, 0.0)
    whole = StreamChain(K)
    once = whole.judge(at, rows)
    cut, found, start = StreamChain(K), list[Floats](), 0
    while start < len(rows):
        end = start + int(chance.integers(1, 90))
        found.append(cut.judge(at[start:end], rows[start:end]).evidence)
        resumed = StreamChain(K)
        resumed.load(cut.dump())
        cut, start = resumed, end
    np.testing.assert_array_equal(np.concatenate(found), once.evidence)
    assert cut.dump() == whole.dump()


def test_two_levels_that_come_and_go_are_two_states_and_a_fault_is_none() -> None:
    chance = np.random.default_rng(3)
    running = np.arange(400) // 25 % 2
    rows = running[:, None] * 40.0 + chance.normal(size=(400, K))
    split = levels.find(rows)
    assert split is not None
    np.testing.assert_array_equal(split.codes(rows, 0), running)
    once = np.where(np.arange(400) > 300, 40.0, 0.0)[:, None] + chance.normal(size=(400, K))
    assert levels.find(once) is None
    assert levels.find(chance.normal(size=(400, K))) is None


@pytest.mark.parametrize("declared", [True, False])
def test_a_hundred_starts_and_stops_raise_nothing(declared: bool) -> None:
    chance = np.random.default_rng(4)
    n = 200 * 60
    running = (np.arange(n) // 60 + 1) % 2
    values = np.where(running[:, None] == 1, [80.0, 6.0, 1450.0], [22.0, 0.1, 0.0])
    values = values + chance.normal(size=(n, K)) * [0.8, 0.1, 3.0]
    signals = [signal(j + 1) for j in range(K)]
    if declared:
        signals, values = [*signals, signal(K + 1, role=Role.STATE)], np.column_stack([values, running])
    made = create(asset_id=1, site_id=1, asset_class="pump", signals=signals)
    assert made is not None
    codes = running.astype(np.int16) if declared else np.full(n, -1, np.int16)
    at_us = (np.arange(n, dtype=np.int64) + 1) * MINUTE_US
    whole = Frame(1, signals, at_us, values, np.zeros(values.shape, np.bool_), codes)
    assert made.update(whole).findings == []


def test_a_change_is_told_once_with_its_signal_and_ends_when_it_has_gone() -> None:
    values = wandering(8_000, seed=5)
    values[6_000:6_300, 1] += 15.0
    found = detector().update(frame(values)).findings
    assert [each.active for each in found].count(False) == 1
    begun, ended = found[0], found[-1]
    assert begun.active
    assert 6_000 <= begun.at.timestamp() / 60 <= 6_010
    assert begun.contributions[2] > 0.5
    assert sum(begun.contributions.values()) == pytest.approx(1.0)
    assert begun.directions[2] == 1
    assert begun.sentence.key == "stream_alone"
    assert not ended.active
    assert ended.at.timestamp() / 60 > 6_300


@pytest.mark.parametrize("asked", [30.0, 300.0])
def test_no_more_alarms_than_asked(asked: float) -> None:
    """Half a year of a healthy machine, a row every ten minutes."""
    n = 26_000
    values = np.concatenate([wandering(n // 4, seed=seed) for seed in (6, 7, 8, 9)])
    made = detector(period_s=600.0)
    made.ask(asked)
    begun = [each for each in made.update(frame(values, step_us=10 * MINUTE_US)).findings if each.active]
    starts = {each.started_at for each in begun}
    assert len(starts) <= 1.3 * asked * n * 600 / (30 * 86_400)
    assert len(starts) > (0 if asked > ALARMS_MONTH else -1)


def test_seconds_become_minutes_wherever_they_are_cut() -> None:
    chance = np.random.default_rng(10)
    at_us = np.cumsum(chance.integers(1, 40, size=500)).astype(np.int64) * 1_000_000
    values = chance.normal(size=(500, 2))
    state = np.zeros(500, np.int16)
    once = thin.rows(*thin.empty(2), at_us, values, state, thin.LEAST_STEP_US)
    head, sums = thin.empty(2)
    found = [
        thin.rows(head, sums, at_us[i : i + 7], values[i : i + 7], state[i : i + 7], thin.LEAST_STEP_US)[1]
        for i in range(0, 500, 7)
    ]
    np.testing.assert_array_equal(np.concatenate(found), once[1])
    first = (at_us - 1) // thin.LEAST_STEP_US == (at_us[0] - 1) // thin.LEAST_STEP_US
    np.testing.assert_allclose(once[1][0], values[first].mean(axis=0))
