"""OPC UA DataValues → readings, faults and status codes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from asyncua import ua

from edge.delivery import Fault
from edge.kinds import TagStatus
from edge.reasons import Reason
from plant.model import Quality, Reading

EXACT = float(1 << 53)
SUBCODE = 0xFFFF0000  # the low bits tell of the value (limits, overflow), not of its status
OVERFLOW = 0x0480  # "data value" and "overflow": the server's queue lost older ones
SHOWN = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Columns:
    """Values of one tag as they came."""

    at_us: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)

    def reading(self, source: str, tag: str) -> Reading:
        return Reading(
            source,
            tag,
            np.array(self.at_us, np.int64),
            np.array(self.values, np.float64),
            np.array(self.quality, np.uint8),
        )


@dataclass(frozen=True, slots=True)
class One:
    """One DataValue. ``value`` None: it is no number; ``at_us`` None: it has no time of its own."""

    at_us: int | None
    value: float | None
    quality: Quality
    code: int  # status code without the bits that speak of the value
    overflow: bool = False
    shown: str = ""


def one(data: ua.DataValue) -> One:
    """What a DataValue says. A bad value is NaN, whether the server sends what it last had or not: live values and
    history must be the same sample."""
    status = data.StatusCode.value if data.StatusCode is not None else 0
    quality = Quality(min(status >> 30, 2))
    stamp = data.SourceTimestamp or data.ServerTimestamp
    raw = None if data.Value is None else data.Value.Value
    value = math.nan if quality is Quality.BAD else _number(raw)
    shown = _shown(raw) if value is None else ""
    overflow = status & OVERFLOW == OVERFLOW
    return One(None if stamp is None else in_us(stamp), value, quality, status & SUBCODE, overflow, shown)


def gather(source: str, values: Iterable[tuple[str, One]], now_us: int) -> tuple[list[Reading], list[Fault]]:
    """Readings and faults, one a tag. A value without a time is as of now, and uncertain."""
    columns: dict[str, Columns] = {}
    wrong: dict[str, list[str]] = {}
    for tag, each in values:
        if each.value is None:
            wrong.setdefault(tag, []).append(each.shown)
            continue
        into = columns.setdefault(tag, Columns())
        into.at_us.append(now_us if each.at_us is None else each.at_us)
        into.values.append(each.value)
        into.quality.append(max(each.quality, Quality.UNCERTAIN) if each.at_us is None else each.quality)
    faults = [
        Fault(tag, Reason.NOT_A_NUMBER, f"The node's value is {shown[-1]}.", readings=len(shown))
        for tag, shown in wrong.items()
    ]
    return [column.reading(source, tag) for tag, column in columns.items()], faults


def stretches(tag: str, values: Iterable[One]) -> Iterator[TagStatus]:
    """The stretches of history, oldest value first, whose status is not plain good; each with its end."""
    began: One | None = None
    last_us = 0
    for each in values:
        if each.at_us is None:
            continue
        if began is not None and each.code != began.code:
            yield TagStatus(tag, began.code, name_of(began.code), began.at_us or 0, each.at_us)
            began = None
        if each.code and began is None:
            began = each
        last_us = each.at_us
    if began is not None:
        yield TagStatus(tag, began.code, name_of(began.code), began.at_us or 0, last_us)


def name_of(code: int) -> str:
    """The standard's name of a status code."""
    return str(ua.status_codes.get_name_and_doc(code)[0])


def in_us(stamp: datetime) -> int:
    """µs since epoch; OPC UA times are UTC."""
    aware = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
    span = aware - _EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def _number(value: Any) -> float | None:
    """The value as a float that equals it; None when it is none."""
    if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) > EXACT):
        return None
    return float(value)


def _shown(value: Any) -> str:
    """The beginning of a value that is no number; it may be of any size."""
    if isinstance(value, str | bytes | list | tuple):
        kind = "text" if isinstance(value, str) else "bytes" if isinstance(value, bytes) else "an array"
        return f"{kind} of {len(value)}: {ascii(value[:20])[:SHOWN]}"
    return ascii(value)[:SHOWN]
