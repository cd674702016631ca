"""A plant as data: machines, how they are used, what will go wrong and when. Pure.

Times are hours of plant time from the *live start*: history lies before it, faults after it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from simulators.machines import PHYSICS
from simulators.machines.base import Build, Machine, SignalSpec
from simulators.machines.duty import Duty
from simulators.machines.faults import FOREVER_US, Fault, Law, SensorFault, SensorKind

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """A fault from ``onset_h`` to its failure at ``failure_h``."""

    mode: str
    onset_h: float
    failure_h: float
    law: Law = Law.POWER
    shape: float = 2.0

    def fault(self, live_us: int) -> Fault:
        return Fault(self.mode, _at(live_us, self.onset_h), _at(live_us, self.failure_h), self.law, self.shape)


@dataclass(frozen=True, slots=True)
class SensorPlan:
    """A lying sensor from ``start_h`` on; without ``end_h`` until somebody mends it."""

    signal: str
    kind: SensorKind
    start_h: float
    end_h: float | None = None
    size: float = 0.0

    def fault(self, live_us: int) -> SensorFault:
        end_us = FOREVER_US if self.end_h is None else _at(live_us, self.end_h)
        return SensorFault(self.signal, self.kind, _at(live_us, self.start_h), end_us, self.size)


class Protocol(StrEnum):
    """How a device speaks once the plant lives."""

    JSON = "json"
    SPARKPLUG = "sparkplug"


class Care(StrEnum):
    """Who answers for the machine in a demo."""

    CREW = "crew"  # simulated engineers
    VISITOR = "visitor"  # the person in front of the screen


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """One machine of a plant. ``device`` is the MQTT user that speaks for it: its own, or a gateway's."""

    code: str
    name: Mapping[str, str]
    asset_class: str
    criticality: int
    location: str
    device: str
    period_s: float = 60.0
    seed: int = 0
    duty: Duty = field(default_factory=Duty)
    weather_seed: int = 0
    corner_c: float = 0.0
    faults: tuple[FaultPlan, ...] = ()
    sensor_faults: tuple[SensorPlan, ...] = ()
    care: Care = Care.CREW
    protocol: Protocol = Protocol.JSON

    @property
    def signals(self) -> Sequence[SignalSpec]:
        return PHYSICS[self.asset_class](self.own_seed).signals

    @property
    def own_seed(self) -> int:
        """The machine's own chance: the plant's seed and its code."""
        return zlib.crc32(f"{self.seed}/{self.code}".encode())

    def tag(self, signal: str) -> str:
        return f"{self.code}/{signal}"

    def build(self, live_us: int, *, start_us: int) -> Machine:
        """The machine itself, with rows from ``start_us`` on (µs since the epoch, before or at the live start)."""
        build = Build(self.code, self.own_seed, self.period_s, self.duty, self.weather_seed, self.corner_c)
        return Machine(
            build,
            PHYSICS[self.asset_class](self.own_seed),
            start_us=start_us,
            faults=[plan.fault(live_us) for plan in self.faults],
            sensor_faults=[plan.fault(live_us) for plan in self.sensor_faults],
        )


@dataclass(frozen=True, slots=True)
class Plant:
    """A plant to play: how fast (plant seconds a wall second), how long, and its machines."""

    name: str
    factor: float
    history_days: float
    live_days: float
    machines: tuple[MachineSpec, ...]

    def machine(self, code: str) -> MachineSpec:
        """Raises KeyError for a machine that is not there."""
        for spec in self.machines:
            if spec.code == code:
                return spec
        raise KeyError(code)

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the MQTT users, each once, in order."""
        return tuple(dict.fromkeys(spec.device for spec in self.machines))

    @property
    def speakers(self) -> frozenset[str]:
        """The MQTT users that speak Sparkplug."""
        return frozenset(spec.device for spec in self.machines if spec.protocol is Protocol.SPARKPLUG)

    def start_us(self, live_us: int) -> int:
        """Where history begins."""
        return live_us - round(self.history_days * DAY_US)

    def import_body(self, *, language: str = "en") -> dict[str, object]:
        """What ``POST /api/v1/assets/import`` takes for this plant."""
        return {"assets": [_asset(spec, language) for spec in self.machines]}


def _asset(spec: MachineSpec, language: str) -> dict[str, object]:
    return {
        "code": spec.code,
        "name": spec.name[language],
        "asset_class": spec.asset_class,
        "criticality": spec.criticality,
        "location": spec.location,
        "level": "unit",
        "signals": [_signal(spec, signal, language) for signal in spec.signals],
    }


def _signal(spec: MachineSpec, signal: SignalSpec, language: str) -> dict[str, object]:
    return {
        "code": signal.code,
        "name": signal.name[language],
        "quantity": signal.quantity,
        "unit": signal.unit,
        "low": signal.low,
        "high": signal.high,
        "period_s": spec.period_s,
        "role": signal.role,
        "source": spec.device,
        "tag": spec.tag(signal.code),
    }


def _at(live_us: int, hours: float) -> int:
    return live_us + round(hours * HOUR_US)
