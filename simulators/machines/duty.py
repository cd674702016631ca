"""How a machine is used: shifts, stops, load, and the weather around it. Pure functions of the seed and the time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from simulators.machines.chance import SmoothNoise
from simulators.machines.faults import Floats

_DAY_S = 86_400.0
_HOUR_S = 3_600.0


class Shifts(StrEnum):
    """When the machine is meant to run (hours of plant time, UTC)."""

    CONTINUOUS = "continuous"
    TWO = "two"  # 06-22, night stop
    DAY = "day"  # 06-18


_HOURS = {Shifts.TWO: (6.0, 22.0), Shifts.DAY: (6.0, 18.0)}


@dataclass(frozen=True, slots=True)
class Duty:
    """The load profile of one machine; loads are shares of the rated load."""

    shifts: Shifts = Shifts.CONTINUOUS
    stops_per_day: float = 0.3  # unplanned stops, about 40 minutes each
    load: float = 0.80
    daily: float = 0.06  # amplitude of the daily cycle
    step: float = 0.04  # standard deviation of the load steps, a few a day
    walk: float = 0.02  # standard deviation of the slow drift
    start_s: float = 300.0  # length of the state "starting"


@dataclass(frozen=True, slots=True)
class _Day:
    """Piecewise constant plan of one day: from ``since_s`` on, until the next one."""

    since_s: Floats
    on: npt.NDArray[np.bool_]
    level: Floats


class DutyPlan:
    """The duty played out for one machine."""

    def __init__(self, duty: Duty, seed: int) -> None:
        self.duty = duty
        self._seed = seed
        self._days: dict[int, _Day] = {}
        self._span: tuple[int, int] | None = None
        self._joined: _Day | None = None
        self._slow = SmoothNoise(seed, 10, 3 * _HOUR_S)
        self._quick = SmoothNoise(seed, 11, 900.0)

    def at(self, at_s: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
        """(meant to run bool[n], load asked for float64[n]) at ascending times in seconds since the epoch."""
        days = self._between(int(at_s[0] // _DAY_S), int(at_s[-1] // _DAY_S))
        place = np.searchsorted(days.since_s, at_s, side="right") - 1
        hour = (at_s % _DAY_S) / _HOUR_S
        cycle = self.duty.daily * np.sin(2 * np.pi * (hour - 8.0) / 24.0)
        drift = self.duty.walk * (0.8 * self._slow.at(at_s) + 0.6 * self._quick.at(at_s))
        load = np.clip(self.duty.load + cycle + drift + days.level[place], 0.35, 1.12)
        return days.on[place], load

    def _between(self, first: int, last: int) -> _Day:
        if self._span != (first, last) or self._joined is None:
            parts = [self._day(d) for d in range(first, last + 1)]
            self._joined = _Day(
                np.concatenate([p.since_s for p in parts]),
                np.concatenate([p.on for p in parts]),
                np.concatenate([p.level for p in parts]),
            )
            self._span = (first, last)
        return self._joined

    def _day(self, number: int) -> _Day:
        day = self._days.get(number)
        if day is None:
            day = _plan(self.duty, np.random.default_rng([self._seed, 4, number]), number * _DAY_S)
            if len(self._days) > 64:
                self._days.clear()
            self._days[number] = day
        return day


def _plan(duty: Duty, rng: np.random.Generator, midnight_s: float) -> _Day:
    """Draw one day: off spans (night, random stops) and load steps, merged into one list of changes."""
    off = _off_spans(duty, rng)
    steps = np.sort(rng.uniform(0.0, _DAY_S, rng.integers(2, 6)))
    levels = np.concatenate([[0.0], np.clip(rng.standard_normal(len(steps)), -2.2, 2.2)]) * duty.step
    since = np.unique(np.concatenate([[0.0], steps, *[np.asarray(s) for s in off]]))
    since = since[since < _DAY_S]
    on = np.ones(len(since), np.bool_)
    for begin, end in off:
        on &= ~((since >= begin) & (since < end))
    return _Day(since + midnight_s, on, levels[np.searchsorted(steps, since, side="right")])


def _off_spans(duty: Duty, rng: np.random.Generator) -> list[tuple[float, float]]:
    spans: list[tuple[float, float]] = []
    jitter = rng.uniform(-900.0, 900.0, 2)
    if duty.shifts in _HOURS:
        begin, end = _HOURS[duty.shifts]
        spans += [(0.0, begin * _HOUR_S + jitter[0]), (end * _HOUR_S + jitter[1], _DAY_S)]
    for _ in range(rng.poisson(duty.stops_per_day)):
        begin = rng.uniform(0.0, _DAY_S)
        spans.append((begin, min(_DAY_S, begin + 2400.0 * rng.lognormal(0.0, 0.5))))
    return spans


class Weather:
    """Air temperature at one machine in °C: a daily cycle, weather over days, and the corner where it stands."""

    def __init__(self, seed: int, corner_c: float = 0.0) -> None:
        self._mean_c = 22.0 + corner_c
        self._fronts = SmoothNoise(seed, 12, 18 * _HOUR_S)

    def at(self, at_s: Floats) -> Floats:
        """float64[n] °C at ascending times in seconds since the epoch."""
        hour = (at_s % _DAY_S) / _HOUR_S
        return self._mean_c + 3.0 * np.sin(2 * np.pi * (hour - 9.0) / 24.0) + 1.5 * self._fronts.at(at_s)
