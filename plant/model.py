"""The words every room shares. Pure: no I/O, no clock.

Times are µs since the Unix epoch (UTC) in columns and aware ``datetime`` elsewhere; ids are ``int``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes8 = npt.NDArray[np.uint8]


class Quality(IntEnum):
    """Sample quality after OPC UA's three classes."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Role(StrEnum):
    """What a signal tells about its machine."""

    MEASURED = "measured"  # a symptom: vibration, temperature
    SETPOINT = "setpoint"  # context: load, speed, demand, ambient
    STATE = "state"  # operating state code: 0 stopped, 1 running, further codes as the plant defines


@dataclass(frozen=True, slots=True)
class Asset:
    """A node of the tree site/area/line/unit/component (ISA-95, ISO 14224)."""

    asset_id: int
    site_id: int
    parent_id: int | None
    code: str
    name: str
    asset_class: str  # pump, motor, compressor, conveyor, … or "" for a plain node
    criticality: int  # 1 (minor) … 5 (stops the plant)
    location: str
    level: str  # site, area, line, unit, component


@dataclass(frozen=True, slots=True)
class Signal:
    """One measured, set or state value of an asset in its canonical unit."""

    signal_id: int
    site_id: int
    asset_id: int
    code: str
    name: str
    quantity: str  # see plant.units.QUANTITIES
    unit: str  # canonical unit of the quantity
    low: float | None  # physically possible range of the sensor; outside = sensor fault
    high: float | None
    period_s: float  # nominal sampling period in seconds
    role: Role


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a source's tag lands: value = heard * scale + offset, then unit → canonical unit."""

    source: str  # device or gateway name, unique within the site
    tag: str
    signal_id: int
    unit: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One series of values as heard from a source, before anything is looked up.

    ``at_us`` int64[n] µs since epoch; ``values`` float64[n]; ``quality`` uint8[n] of :class:`Quality`.
    A single sample is a series of length one.
    """

    source: str
    tag: str
    at_us: Int64s
    values: Floats
    quality: Bytes8
    unit: str | None = None  # as declared by the sender; None = as bound


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Samples as kept: parallel columns of equal length."""

    signal_id: Int32s
    at_us: Int64s
    value: Floats
    quality: Bytes8

    def __len__(self) -> int:
        return len(self.signal_id)


@dataclass(frozen=True, slots=True)
class Wave:
    """A stretch of a fast signal as heard, evenly sampled: ``samples * scale`` is in ``unit``.

    ``samples`` int16[n] or float32[n], finite; the first is of ``at_us``. One wave a (signal, time) is kept.
    """

    source: str
    tag: str
    at_us: int
    rate_hz: float
    samples: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    scale: float = 1.0
    unit: str | None = None  # as declared by the sender; None = as bound


@dataclass(frozen=True, slots=True)
class Waveform:
    """A wave as kept: ``samples * scale + shift`` is in the signal's canonical unit, ``features`` and spectra too.

    ``spectrum`` and ``envelope`` float32[k]: the highest amplitude in each step of ``step_hz`` from 0 Hz on.
    """

    site_id: int
    signal_id: int
    at_us: int
    rate_hz: float
    samples: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    scale: float
    shift: float
    features: Mapping[str, float]
    step_hz: float
    spectrum: npt.NDArray[np.float32]
    envelope: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SignatureSignal:
    """How one quantity moves under a failure mode: direction +1 rises, -1 falls, 0 either; weight > 0."""

    quantity: str
    direction: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class FailureMode:
    """A failure mode of an asset class with the symptoms that betray it (ISO 14224 words)."""

    code: str  # e.g. "bearing_wear"; "unknown" is a real mode
    asset_class: str
    name: Mapping[str, str]  # language → name
    mechanism: str  # ISO 14224 mechanism code, e.g. "2.4 wear"
    signature: tuple[SignatureSignal, ...]
    skill: str
    typical_lead_h: float
    checks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # language → what to look at


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open time span."""

    start: datetime
    end: datetime
