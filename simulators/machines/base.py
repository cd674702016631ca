"""A machine that lives in plant time: duty in, physics through, sensors out. Pure and seeded.

    duty plan ──> state, load ──> Physics.respond (noise included) ──> rounding ──> sensor faults ──> columns
    faults ──> severity, trip ──────^

Cutting the time into other chunks gives the same values: chance hangs on (seed, row number), lags carry their state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simulators.machines.chance import RowNoise
from simulators.machines.duty import Duty, DutyPlan, Weather
from simulators.machines.faults import Course, Fault, Floats, Int64s, SensorFault, SensorKind

STOPPED, RUNNING, STARTING = 0.0, 1.0, 2.0
REPAIR_S = 600.0  # a machine stands still that long for a repair


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One signal of a machine class: ``low``/``high`` is the sensor's range, ``decimals`` its resolution."""

    code: str
    name: Mapping[str, str]
    quantity: str
    unit: str
    low: float
    high: float
    decimals: int
    role: str = "measured"


@dataclass(frozen=True, slots=True)
class ModeSpec:
    """A failure mode as the physics plays it: at severity 1 ``signal`` has reached ``limit`` at usual load."""

    name: Mapping[str, str]
    signal: str
    limit: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of one machine: ``at_us`` int64[n], per signal float64[n]; NaN = the sensor sent nothing."""

    at_us: Int64s
    values: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.at_us)


class Repair(StrEnum):
    """What a repair command puts right."""

    MACHINE = "machine"
    SENSOR = "sensor"


class Lags:
    """First-order lags with memory: ``dy/dt = (x - y) / tau``, discretised exactly for a constant input per row."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last: dict[str, float] = {}

    def follow(self, name: str, target: Floats, tau_s: float) -> Floats:
        """float64[n] lagging behind ``target``; starts settled."""
        keep = math.exp(-self._period_s / tau_s)
        inputs = ((1.0 - keep) * target).tolist()
        last = self._last.get(name, float(target[0]))
        # row by row, so that no cut into chunks can change a bit; scipy.signal would cost a second at every start
        out = list(accumulate(inputs, lambda y, x: keep * y + x, initial=last))
        self._last[name] = out[-1]
        return np.array(out[1:])


@dataclass(frozen=True, slots=True)
class Rows:
    """What the physics sees of a chunk of rows, all float64[n]."""

    at_us: Int64s
    row: int  # number of the first row
    state: Floats
    on: Floats  # 1 while turning, else 0
    ramp: Floats  # 0 … 1 while starting, 1 while running, 0 stopped
    load: Floats  # share of rated load, 0 when stopped
    ambient: Floats
    noise: Floats  # standard normal [columns, n]
    severities: Mapping[str, Floats]
    renewal: Floats  # factor of the wearing part's own baseline, changes with a repair
    lags: Lags

    def severity(self, mode: str) -> Floats:
        """float64[n] in 0..1."""
        return self.severities.get(mode, _ZERO)

    def chance(self, column: int) -> Floats:
        """Standard normal noise float64[n] of one column."""
        return np.asarray(self.noise[column], np.float64)


_ZERO = np.zeros(1)


class Physics(Protocol):
    """One machine class. ``respond`` is called with consecutive chunks, each row once."""

    @property
    def asset_class(self) -> str: ...

    @property
    def signals(self) -> Sequence[SignalSpec]: ...

    @property
    def modes(self) -> Mapping[str, ModeSpec]: ...

    @property
    def noises(self) -> int:
        """Columns of noise it uses."""

    def respond(self, rows: Rows) -> dict[str, Floats]:
        """Signal code → float64[n] for every measured signal and setpoint but load, state and ambient."""


@dataclass(frozen=True, slots=True)
class Build:
    """How one machine was built and is used."""

    code: str
    seed: int
    period_s: float
    duty: Duty
    weather_seed: int
    corner_c: float = 0.0


class Machine:
    """One simulated machine, from ``start_us`` on."""

    def __init__(
        self,
        build: Build,
        physics: Physics,
        *,
        start_us: int,
        faults: Sequence[Fault] = (),
        sensor_faults: Sequence[SensorFault] = (),
    ) -> None:
        for fault in faults:
            if fault.mode not in physics.modes:
                raise ValueError(f"{build.code}: a {physics.asset_class} has no failure mode {fault.mode!r}")
        self.build = build
        self.physics = physics
        self.courses = [Course(f) for f in faults]
        self.sensor_faults = list(sensor_faults)
        self.log: list[tuple[int, str]] = []  # (µs, command) as carried out
        self._period_us = round(build.period_s * 1_000_000)
        self._next = -(-start_us // self._period_us)
        self._plan = DutyPlan(build.duty, build.seed)
        self._weather = Weather(build.weather_seed, build.corner_c)
        self._noise = RowNoise(build.seed, physics.noises + 2)
        self._lags = Lags(build.period_s)
        self._last_off = self._next - 10_000_000  # row number: long running when the tale begins
        self._renewals: list[tuple[int, float]] = []
        self._frozen: dict[str, float] = {}

    @property
    def next_us(self) -> int:
        """Time of the next row in µs since the epoch."""
        return self._next * self._period_us

    def advance(self, until_us: int, *, max_rows: int | None = None) -> Columns:
        """All rows up to and including ``until_us`` (at most ``max_rows``); empty when there is none yet."""
        count = int(until_us // self._period_us) - self._next + 1
        count = max(0, count if max_rows is None else min(count, max_rows))
        at_us = np.arange(self._next, self._next + count, dtype=np.int64) * self._period_us
        if count == 0:
            return Columns(at_us, {s.code: np.empty(0) for s in self.physics.signals})
        rows = self._rows(at_us)
        values = self.physics.respond(rows)
        values |= {"state": rows.state, "load": rows.load * 100.0, "ambient": rows.ambient}
        noise = rows.noise[self.physics.noises :]
        sensed = {s.code: self._sense(s, values[s.code], at_us, noise) for s in self.physics.signals}
        self._next += count
        return Columns(at_us, sensed)

    def repair(self, at_us: int, *, what: Repair = Repair.MACHINE) -> None:
        """Put right what has begun by ``at_us`` (or by the next row); later rows show it."""
        at_us = max(at_us, self.next_us)
        self.log.append((at_us, f"repair {what}"))
        if what is Repair.SENSOR:
            self.sensor_faults = [_ended(f, at_us) for f in self.sensor_faults]
            return
        for course in self.courses:
            if course.fault.onset_us <= at_us < course.cleared_us:
                course.cleared_us = at_us
        draw = np.random.default_rng([self.build.seed, 5, len(self._renewals)]).standard_normal()
        self._renewals.append((at_us, float(1.0 + 0.02 * np.clip(draw, -2.0, 2.0))))

    def sham(self, at_us: int) -> None:
        """Somebody says he repaired it; nothing changes."""
        self.log.append((max(at_us, self.next_us), "sham"))

    def _rows(self, at_us: Int64s) -> Rows:
        at_s = at_us / 1e6
        wanted, load = self._plan.at(at_s)
        renewal = np.ones(len(at_us))
        for since_us, factor in self._renewals:
            wanted = wanted & ~((at_us >= since_us) & (at_us < since_us + REPAIR_S * 1e6))
            renewal[at_us >= since_us] = factor
        for course in self.courses:
            if course.fault.failure_us <= at_us[-1]:
                wanted = wanted & ~course.tripped(at_us)
        state, ramp = self._states(wanted)
        on = (state > STOPPED).astype(np.float64)
        return Rows(
            at_us=at_us,
            row=self._next,
            state=state,
            on=on,
            ramp=ramp,
            load=load * ramp,
            ambient=self._weather.at(at_s),
            noise=self._noise.rows(self._next, len(at_us)),
            severities=self._severities(at_us),
            renewal=renewal,
            lags=self._lags,
        )

    def _severities(self, at_us: Int64s) -> dict[str, Floats]:
        out: dict[str, Floats] = {}
        for course in self.courses:
            if course.fault.onset_us <= at_us[-1] and course.cleared_us > at_us[0]:
                now = course.severity(at_us)
                mode = course.fault.mode
                out[mode] = np.maximum(out[mode], now) if mode in out else now
        return out

    def _states(self, wanted: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """State codes and start-up ramp; a start lasts ``duty.start_s`` from the last row at rest."""
        number = np.arange(self._next, self._next + len(wanted))
        rest = np.maximum.accumulate(np.where(wanted, self._last_off, number))
        self._last_off = int(rest[-1])
        since_s = (number - rest) * self.build.period_s
        ramp = np.clip(since_s / max(self.build.duty.start_s, self.build.period_s), 0.0, 1.0)
        state = np.where(wanted, np.where(since_s <= self.build.duty.start_s, STARTING, RUNNING), STOPPED)
        return state, ramp

    def _sense(self, spec: SignalSpec, true: Floats, at_us: Int64s, noise: Floats) -> Floats:
        seen: Floats = np.clip(true, spec.low, spec.high).round(spec.decimals)
        for fault in self.sensor_faults:
            if fault.signal == spec.code and fault.start_us <= at_us[-1] and at_us[0] < fault.end_us:
                seen = self._lie(fault, spec, seen, (at_us >= fault.start_us) & (at_us < fault.end_us), noise)
        return seen

    def _lie(
        self, fault: SensorFault, spec: SignalSpec, seen: Floats, when: npt.NDArray[np.bool_], noise: Floats
    ) -> Floats:
        match fault.kind:
            case SensorKind.SILENT:
                return np.where(when, np.nan, seen)
            case SensorKind.STUCK:
                held = self._frozen.setdefault(f"{spec.code}@{fault.start_us}", float(seen[int(when.argmax())]))
                return np.where(when, held, seen)
            case SensorKind.OUT_OF_RANGE:
                return np.where(when, round(spec.high + 0.2 * (spec.high - spec.low), spec.decimals), seen)
            case SensorKind.OFFSET:
                return np.where(when, np.round(seen + fault.size, spec.decimals), seen)
            case SensorKind.SPIKE:
                peak = np.clip(np.abs(noise[1]) * 0.4, 0.3, 0.9) * spec.high
                return np.where(when & (np.abs(noise[0]) > 2.1), np.round(peak, spec.decimals), seen)


def _ended(fault: SensorFault, at_us: int) -> SensorFault:
    if not fault.start_us <= at_us < fault.end_us:
        return fault
    return SensorFault(fault.signal, fault.kind, fault.start_us, at_us, fault.size)
