"""What a detector is. Pure: time and chance come in as arguments.

    samples ──> frame (grid rows of one asset) ──> Detector.update ──> Finding ──> on_finding(conn, finding)

A detector is **score, then learn**, one grid row after another: cutting a stream into other chunks, or ending it at
any row, leaves every earlier score identical. State is a cache: it can be rebuilt from the telemetry store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from plant.model import Floats, Int64s, Signal


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"
    BOTH = "both"


class FindingKind(StrEnum):
    MACHINE = "machine"  # the machine changes
    SENSOR = "sensor"  # stuck, silent or out of range: never a machine fault


@dataclass(frozen=True, slots=True)
class Frame:
    """Grid rows of one asset, oldest first.

    ``at_us`` int64[n] (end of each grid cell, µs since epoch), ``values`` float64[n,k] in the signals' canonical
    units (last good value in the cell; NaN = missing), ``bad`` bool[n,k] (a sample came, but with bad quality),
    ``state`` int16[n] (operating state code; -1 = unknown, 0 = stopped).
    """

    asset_id: int
    signals: Sequence[Signal]
    at_us: Int64s
    values: Floats
    bad: npt.NDArray[np.bool_]
    state: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.at_us)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence for people as data, so that it can be said in any language.

    ``key`` names a template of ``maintenance/sentences.toml``; ``values`` fill its blanks.
    """

    key: str
    values: Mapping[str, str | float]


@dataclass(frozen=True, slots=True)
class Finding:
    """A detector's claim about a window of one asset.

    ``surprise`` is −log10 of the calibrated tail probability p: 3 means "once in a thousand grid rows on a healthy
    machine", the same for every detector. ``contributions`` maps signal id → share (they sum to 1);
    ``directions`` maps signal id → +1 / -1, the sign of the deviation.
    """

    detector: str
    version: str
    kind: FindingKind
    asset_id: int
    site_id: int
    failure_mode: str | None  # None = to be diagnosed; sensor findings: stuck, silent, out_of_range
    started_at: datetime  # since when the deviation lasts
    at: datetime  # end of the window judged
    surprise: float
    active: bool  # False: the deviation has ended (return to normal)
    contributions: Mapping[int, float]
    directions: Mapping[int, int]
    health: float  # health index 1 (as new) … 0 (functional limit); trend input of the prognosis
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Band:
    """What a detector expects of one signal at one time, in the signal's unit: the limits in the plot."""

    signal_id: int
    at_us: int
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one ``update`` gives: findings that begin, go on (at most one per ``repeat`` rows) or end; and bands."""

    findings: Sequence[Finding]
    bands: Sequence[Band]
    surprise: Floats  # float64[n], one score a row (NaN = not judged): for tests, plots and back-tests


class Detector(Protocol):
    """One asset's detector with its state.

    Created once an asset; ``update`` is called with consecutive frames, each row exactly once, in time order, never
    in parallel for one asset. ``signals`` of the frame are the same and in the same order at every call.
    """

    name: str
    version: str

    def update(self, frame: Frame) -> Judgement: ...

    def relearn(self, at_us: int) -> None:
        """Forget the baseline after a repair at ``at_us``; alarms end."""

    def dump(self) -> bytes:
        """State as bytes (msgspec/NumPy buffers with a version, never pickle)."""

    def load(self, state: bytes) -> None:
        """Take a dumped state; raises ValueError with the reason when it does not fit."""


class DetectorFactory(Protocol):
    """A detector file registers one of these under its name (see ``core.registry``)."""

    def __call__(self, *, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> Detector: ...


@runtime_checkable
class Intervenes(Protocol):
    """A detector that takes note of work on the machine."""

    def intervene(self, at_us: int) -> None:
        """Somebody worked on the machine at ``at_us``: keep the baseline, gather the evidence anew; findings end."""


@runtime_checkable
class Asked(Protocol):
    """A detector that is calibrated to a rate of false alarms."""

    def ask(self, alarms_month: float) -> None:
        """At most so many alarms an asset and month, from the next row on."""


@dataclass(frozen=True, slots=True)
class Rejudged:
    """All that a detector says of [from, until] of one asset now that late data are known, in time order.

    It takes the place of whatever was said of that time before.
    """

    asset_id: int
    site_id: int
    from_at: datetime
    until_at: datetime
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Changed:
    """What judging again has changed: findings told that are new, and findings withdrawn."""

    told: int
    withdrawn: int


class OnFinding(Protocol):
    """What happens with a finding: called in the transaction that advances the asset's watermark.

    ``conn`` is a database connection (typed loosely: judgement knows no database); it must not end the transaction.
    """

    def __call__(self, conn: Any, finding: Finding, now: datetime) -> object: ...


class OnFindings(Protocol):
    """The same with all findings of one asset and transaction at once, in their order."""

    def __call__(self, conn: Any, said: Sequence[Finding], now: datetime) -> object: ...


class OnRejudged(Protocol):
    """What happens once a stretch has been judged again: called in the transaction that replaces the line's memory."""

    def __call__(self, conn: Any, rejudged: Rejudged, now: datetime) -> Changed: ...
