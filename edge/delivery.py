"""What travels from a source to whoever keeps it. Pure.

    source ── emit(Delivery) ──> inbox or spool ── kept for good ──> delivery.ack()

A source calls ``emit`` from its own thread; ``ack`` may be called from any thread, exactly once a delivery, only when
the content is durable (or has been counted and dropped on purpose). A delivery that is never acked is sent again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from edge.reasons import Reason
from plant.model import Quality, Reading, Wave


class Lane(StrEnum):
    """LIVE data must be plausible against the plant clock; HISTORY may be of any time."""

    LIVE = "live"
    HISTORY = "history"


class Origin(StrEnum):
    """DEVICE: must be registered and not revoked; CONFIGURED: a source that we connected to ourselves."""

    DEVICE = "device"
    CONFIGURED = "configured"


@dataclass(frozen=True, slots=True)
class Fault:
    """A part of a message that could not be read while the rest could."""

    tag: str
    reason: Reason
    detail: str
    payload: bytes = b""
    readings: int = 1


@dataclass(frozen=True, slots=True)
class Message:
    """What a payload says. ``epoch`` and ``seq`` are both set or both None (then it is known by its samples alone)."""

    readings: tuple[Reading, ...]
    faults: tuple[Fault, ...] = ()
    epoch: str | None = None
    seq: int | None = None
    lane: Lane = Lane.LIVE
    waves: tuple[Wave, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """A payload still to be decoded. ``tag`` None: the payload names its tags itself.

    ``signed``: the payload is an envelope (``edge.envelope``) that must be opened with its sender's key first.
    """

    payload: bytes
    codec: str = "json"
    tag: str | None = None
    signed: bool = False


def no_ack() -> None:
    """For sources that cannot be acknowledged (OPC UA)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as heard; ``heard_us`` is the plant's time of arrival."""

    site: str  # site code
    source: str  # device, gateway or configured source
    content: Raw | Message
    heard_us: int
    topic: str = ""
    origin: Origin = Origin.DEVICE
    kind: str = "mqtt"  # of the source that heard it
    ack: Callable[[], None] = field(default=no_ack, compare=False)
    via: str = ""  # in a gateway: the name of the configured source

    @property
    def size(self) -> int:
        """Bytes it holds in memory, roughly."""
        if isinstance(self.content, Raw):
            return len(self.content.payload) + 500
        waves = sum(wave.samples.nbytes for wave in self.content.waves)
        return sum(24 * len(reading.at_us) for reading in self.content.readings) + waves + 500


class Emit(Protocol):
    """Where a source puts what it hears."""

    def __call__(self, delivery: Delivery) -> None:
        """Take one delivery; blocks while there is no room (back-pressure)."""

    def has_room(self) -> bool:
        """False while a call would block: a source that must not stall stops reading meanwhile."""


class Source(Protocol):
    """One way of hearing machines. ``run`` returns when ``stop`` is set, survives lost connections, and never raises
    because the other side misbehaves."""

    name: str

    def run(self, emit: Emit, stop: threading.Event) -> None: ...


def reading(source: str, tag: str, at_us: int, value: float, quality: Quality, unit: str | None = None) -> Reading:
    """A series of one sample."""
    return Reading(
        source,
        tag,
        np.array([at_us], np.int64),
        np.array([value], np.float64),
        np.array([quality], np.uint8),
        unit,
    )
