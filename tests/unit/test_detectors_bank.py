"""The fused bank against a slow reference that looks at one value at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import bank
from plant.model import Floats

MEMORY = bank.Memory(short=5.0, long=20.0)


@dataclass
class Reference:
    """One signal of the bank, written for reading: all but the baseline is kept in single precision."""

    count: int = 0
    calm: int = 0
    mean: float = 0.0
    scale: float = 0.0
    short: float = 0.0
    long: float = 0.0
    level: float = 0.0
    up: float = 0.0
    down: float = 0.0
    seen: dict[bool, set[int]] = field(default_factory=lambda: {True: set(), False: set()})

    def __setattr__(self, name: str, value: Any) -> None:
        single = name in ("scale", "short", "long", "level", "up", "down")
        super().__setattr__(name, float(np.float32(value)) if single else value)

    def take(self, value: float) -> list[float]:
        if not math.isfinite(value):
            return [math.nan] * bank.COLUMNS
        if self.count < bank.FIRST:
            self.count += 1
            if self.count > 1:
                self.scale += (1.2533 * abs(value - self.mean) - self.scale) / (self.count - 1)
            self.mean += (value - self.mean) / self.count
            return [math.nan] * bank.COLUMNS
        size = max(self.scale, 1e-12 * max(1.0, abs(self.mean)))
        deviation = (value - self.mean) / size
        winsorised = float(np.clip(deviation, -bank.WINSOR, bank.WINSOR))
        self._remember(deviation, winsorised)
        evidence = [deviation, self.short, self.long, self.level]
        evidence += [self.up if self.up >= self.down else -self.down, self._novelty(deviation)]
        self.seen[deviation < 0].add(self._cell(deviation))
        if abs(self.long) <= bank.AWAY:
            self._learn(value, winsorised, size)
        return evidence

    def _remember(self, deviation: float, winsorised: float) -> None:
        fast, slow = MEMORY.rates
        short = self.short + fast * (winsorised - self.short)
        long = self.long + slow * (winsorised - self.long)
        stride = max(bank.LEVEL_STRIDE, abs(self.level))
        self.level += fast * float(np.clip(deviation - self.level, -stride, stride))
        up = min(max(self.up + winsorised - bank.SLACK, 0.0), bank.CUSUM_CAP)
        down = min(max(self.down - winsorised - bank.SLACK, 0.0), bank.CUSUM_CAP)
        self.calm = self.calm + 1 if abs(short) < 1.0 else 0
        if self.calm >= MEMORY.long and abs(long) > abs(short):
            long, up, down = short, 0.0, 0.0
        self.short, self.long, self.up, self.down = short, long, up, down

    def _learn(self, value: float, winsorised: float, size: float) -> None:
        self.count += 1
        rate = 1.0 / self.count if self.count < bank.REFERENCE else bank.SLOWEST
        self.mean += rate * winsorised * size
        self.scale += rate * (1.2533 * min(abs(value - self.mean), bank.WINSOR * size) - self.scale)

    def _novelty(self, deviation: float) -> float:
        cell = self._cell(deviation)
        nearer = [seen for seen in self.seen[deviation < 0] if seen <= cell]
        return (cell - max(nearer)) * bank.CELL if nearer else abs(deviation)

    @staticmethod
    def _cell(deviation: float) -> int:
        return int(min(abs(deviation) / bank.CELL, bank.CELLS - 1))


def stream(seed: int, n: int, signals: int) -> tuple[np.ndarray, Floats]:
    """Values of several signals in arrival order: noise, a shift, a few wild and missing ones."""
    rng = np.random.default_rng(seed)
    index = rng.integers(signals, size=n).astype(np.int32)
    values = rng.normal(size=n) * (1 + index) + 10 * index + 3 * (np.arange(n) > 0.6 * n)
    values[rng.random(n) < 0.02] *= 50
    values[rng.random(n) < 0.05] = np.nan
    return index, values


def test_a_signal_takes_one_cache_line() -> None:
    assert bank.STATE.itemsize == bank.LINE == 64
    assert bank.empty(3).ctypes.data % bank.LINE == 0


def test_the_order_of_signals_within_a_batch_changes_nothing() -> None:
    index, values = stream(6, 1_000, 7)
    order = np.argsort(index, kind="stable")
    arrived, by_signal = bank.empty(7), bank.empty(7)
    got = bank.update(arrived, index, values, memory=MEMORY)
    wanted = bank.update(by_signal, index[order], values[order], memory=MEMORY)
    np.testing.assert_array_equal(got[order], wanted)
    assert arrived.tobytes() == by_signal.tobytes()


@pytest.mark.parametrize("foreign", [-1, 3])
def test_a_signal_that_the_bank_does_not_have_is_refused(foreign: int) -> None:
    state = bank.empty(3)
    with pytest.raises(IndexError, match="0 to 2"):
        bank.update(state, np.array([0, foreign], np.int32), np.ones(2), memory=MEMORY)
    assert not state["count"].any()


@given(seed=st.integers(0, 10_000), n=st.integers(1, 600), signals=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_equals_the_reference(seed: int, n: int, signals: int) -> None:
    index, values = stream(seed, n, signals)
    references = [Reference() for _ in range(signals)]
    wanted = np.array([references[j].take(float(v)) for j, v in zip(index, values, strict=True)])
    got = bank.update(bank.empty(signals), index, values, memory=MEMORY)
    np.testing.assert_allclose(got, wanted.astype(np.float32), rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_cutting_the_stream_changes_nothing(seed: int, cut: int) -> None:
    index, values = stream(seed, 500, 3)
    whole = bank.update(bank.empty(3), index, values, memory=MEMORY)
    state = bank.empty(3)
    first = bank.update(state, index[:cut], values[:cut], memory=MEMORY)
    second = bank.update(state, index[cut:], values[cut:], memory=MEMORY)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)


def test_signals_do_not_touch_each_other() -> None:
    index, values = stream(4, 900, 3)
    together = bank.update(bank.empty(3), index, values, memory=MEMORY)
    alone = bank.update(bank.empty(3), index[index == 1], values[index == 1], memory=MEMORY)
    np.testing.assert_array_equal(together[index == 1], alone)


def test_missing_values_leave_the_state_alone() -> None:
    index, values = stream(5, 400, 1)
    state = bank.empty(1)
    bank.update(state, index, values, memory=MEMORY)
    before = state.copy()
    evidence = bank.update(state, np.zeros(3, np.int32), np.array([np.nan, np.inf, -np.inf]), memory=MEMORY)
    assert np.isnan(evidence).all()
    assert state.tobytes() == before.tobytes()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_shift_shows_in_memories_and_cusum(sign: float) -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=500), sign * 2.0 + rng.normal(size=100)])
    evidence = bank.update(bank.empty(1), np.zeros(600, np.int32), values, memory=MEMORY)
    assert abs(evidence[499, bank.LONG]) < 0.7
    assert sign * evidence[-1, bank.LONG] > 1.5
    assert sign * evidence[-1, bank.CUSUM] > 50


def test_a_slow_drift_is_not_learnt() -> None:
    rng = np.random.default_rng(2)
    drift = np.concatenate([np.zeros(2_000), np.linspace(0, 6, 4_000)])
    state = bank.empty(1)
    bank.update(state, np.zeros(6_000, np.int32), drift + rng.normal(size=6_000), memory=bank.Memory(15, 120))
    assert abs(state["mean"][0]) < 0.3


def test_novelty_is_the_distance_to_the_nearest_value_seen() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.uniform(-1, 1, 300), [8.0, 8.0]])
    evidence = bank.update(bank.empty(1), np.zeros(302, np.int32), values, memory=MEMORY)
    assert evidence[300, bank.NOVELTY] > 5
    assert evidence[301, bank.NOVELTY] < 0.5
