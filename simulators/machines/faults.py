"""What goes wrong, with a known beginning and end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

FOREVER_US = 2**62


class Law(StrEnum):
    """How severity grows from 0 at the onset to 1 at the failure."""

    POWER = "power"  # u ** shape
    EXPONENTIAL = "exponential"  # (e^(shape*u) - 1) / (e^shape - 1)


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure mode that begins at ``onset_us`` (µs since epoch) and ends in failure at ``failure_us``.

    Severity is 0 at the onset, so that nothing shows there, and 1 at the failure, where the mode's functional
    limit is reached and the machine trips.
    """

    mode: str
    onset_us: int
    failure_us: int
    law: Law = Law.POWER
    shape: float = 2.0

    def __post_init__(self) -> None:
        if self.failure_us <= self.onset_us:
            raise ValueError(f"fault {self.mode}: the failure must come after the onset")
        if self.shape <= 0:
            raise ValueError(f"fault {self.mode}: the shape must be positive")

    def severity(self, at_us: Int64s) -> Floats:
        """Severity float64[n] in 0..1 at the given times, without any repair."""
        share = (at_us - self.onset_us) / (self.failure_us - self.onset_us)
        u = np.clip(share, 0.0, 1.0)
        if self.law is Law.POWER:
            return np.asarray(u**self.shape, np.float64)
        return np.asarray(np.expm1(self.shape * u) / np.expm1(self.shape), np.float64)


class SensorKind(StrEnum):
    """How a sensor lies."""

    STUCK = "stuck"  # keeps its last value
    SILENT = "silent"  # sends nothing
    SPIKE = "spike"  # single values far off, about one in thirty
    OUT_OF_RANGE = "out_of_range"  # above the top of its range: a broken wire
    OFFSET = "offset"  # shifted by ``size``


@dataclass(frozen=True, slots=True)
class SensorFault:
    """A lying sensor from ``start_us`` until ``end_us`` (µs since epoch); the machine itself is well."""

    signal: str
    kind: SensorKind
    start_us: int
    end_us: int = FOREVER_US
    size: float = 0.0  # OFFSET: the shift in the signal's unit


@dataclass(slots=True)
class Course:
    """A fault or a sensor fault in a machine's life: when it was put right, if it was."""

    fault: Fault
    cleared_us: int = FOREVER_US

    def severity(self, at_us: Int64s) -> Floats:
        """Severity float64[n] with the repair taken into account."""
        return np.where(at_us < self.cleared_us, self.fault.severity(at_us), 0.0)

    def tripped(self, at_us: Int64s) -> npt.NDArray[np.bool_]:
        """True bool[n] where the machine is down because this fault reached its end."""
        return (at_us >= self.fault.failure_us) & (at_us < self.cleared_us)
