"""What a gateway heard → the batches that it sends on. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from edge.delivery import Delivery, Lane, Origin
from edge.reasons import DecodeError, Reason
from edge.topics import clean_tag
from plant.model import Reading, Wave

Heard = TypeVar("Heard", bound=Reading | Wave)
MOST_BYTES = 800_000  # about, of a payload; a broker or ingest refuses what is over 1 MiB
MOST_UNIT = 64
WILDCARDS = "+#"  # a broker hangs up on whoever publishes to a topic with one
SERIES_BYTES, SAMPLE_BYTES = 40, 17


def tagged(delivery: Delivery, heard: tuple[Heard, ...]) -> tuple[Heard, ...]:
    """Devices behind the gateway keep their name as the first part of the tag."""
    if delivery.origin is Origin.CONFIGURED:
        return heard
    return tuple(replace(each, tag=f"{delivery.source}/{each.tag}") for each in heard)


def check(heard: Reading | Wave) -> None:
    """Whether it can be sent on: one that cannot must not spoil the others. Raises DecodeError."""
    clean_tag(heard.tag)
    if isinstance(heard, Wave) and any(each in heard.tag for each in WILDCARDS):
        raise DecodeError(Reason.BAD_TOPIC, f"The tag {heard.tag[:60]!a} cannot be part of a topic.")
    if heard.unit is not None and (len(heard.unit) > MOST_UNIT or not heard.unit.isprintable()):
        raise DecodeError(Reason.HOSTILE_TEXT, f"The unit {heard.unit[:60]!a} is not printable or too long.")


def batches(readings: Sequence[tuple[Lane, Reading]], most: int) -> Iterable[tuple[Lane, tuple[Reading, ...]]]:
    """Readings of one lane, one series a tag and unit, at most ``most`` samples a batch."""
    for lane in Lane:
        batch: list[Reading] = []
        room, room_bytes = most, MOST_BYTES
        for each in _joined([reading for own, reading in readings if own is lane]):
            for start in range(0, len(each.at_us), most):
                part = _rows(each, slice(start, start + most))
                size = SERIES_BYTES + 4 * len(part.tag) + SAMPLE_BYTES * len(part.at_us)
                if batch and (len(part.at_us) > room or size > room_bytes):
                    yield lane, tuple(batch)
                    batch, room, room_bytes = [], most, MOST_BYTES
                batch.append(part)
                room -= len(part.at_us)
                room_bytes -= size
        if batch:
            yield lane, tuple(batch)


def _joined(readings: Iterable[Reading]) -> list[Reading]:
    groups: dict[tuple[str, str | None], list[Reading]] = {}
    for each in readings:
        groups.setdefault((each.tag, each.unit), []).append(each)
    return [
        Reading(
            "",
            tag,
            np.concatenate([each.at_us for each in group]),
            np.concatenate([each.values for each in group]),
            np.concatenate([each.quality for each in group]),
            unit,
        )
        for (tag, unit), group in groups.items()
    ]


def _rows(reading: Reading, rows: slice) -> Reading:
    return replace(reading, at_us=reading.at_us[rows], values=reading.values[rows], quality=reading.quality[rows])
