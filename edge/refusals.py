"""What a gateway hears and cannot send on as samples → faults that travel to the centre like a batch. Pure.

A device that sends rubbish must not fill the spool: of each device and reason only so much a minute is kept whole, the
rest is summed up in one fault without payload, so that no reading is uncounted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from edge.codecs import faults, json, wave
from edge.delivery import Delivery, Fault, Lane, Message, Origin, Raw
from edge.quota import Quota
from edge.reasons import DecodeError, Reason
from plant.model import Reading, Wave

KEPT_BYTES_A_MINUTE = 16 << 20


def whole(delivery: Delivery, error: DecodeError) -> Fault:
    """A delivery of which nothing can be read."""
    raw = delivery.content
    payload, tag = (raw.payload, raw.tag or "") if isinstance(raw, Raw) else (b"", "")
    return told(delivery, Fault(tag, error.reason, error.message, payload))


def part(delivery: Delivery, heard: Reading | Wave, lane: Lane, error: DecodeError) -> Fault:
    """A series or waveform that cannot be sent on."""
    if isinstance(heard, Wave):
        return told(delivery, Fault(heard.tag, error.reason, error.message, wave.encode(heard, lane=lane)))
    payload = json.encode(Message((heard,), lane=lane))
    return told(delivery, Fault(heard.tag, error.reason, error.message, payload, len(heard.at_us)))


def told(delivery: Delivery, fault: Fault) -> Fault:
    """The fault under the name that its tag gets at the centre; it says who sent it, and where."""
    tag = fault.tag
    if delivery.origin is not Origin.CONFIGURED:
        tag = f"{delivery.source}/{tag}" if tag else delivery.source
    where = f"{delivery.source}, {delivery.topic[:200]!a}" if delivery.topic else delivery.source
    return replace(fault, tag=tag, detail=f"{fault.detail} ({where})")


class Refusals:
    """Groups of faults to be spooled, within the quota."""

    def __init__(self, quota: Quota | None = None) -> None:
        self._quota = quota or Quota(bytes_a_minute=KEPT_BYTES_A_MINUTE)

    def groups(self, found: Iterable[tuple[str, Fault]], *, now_s: float) -> Iterator[tuple[Fault, ...]]:
        """``found`` are the faults, each with its sender; the sum of the readings stays what it was."""
        kept: list[Fault] = []
        summed: dict[tuple[str, Reason], Fault] = {}
        for source, fault in found:
            kind = source, fault.reason
            if self._quota.grants(kind, len(fault.payload), now_s=now_s):
                kept.append(fault)
            else:
                before = summed[kind].readings if kind in summed else 0
                summed[kind] = replace(fault, payload=b"", readings=before + fault.readings)
        yield from faults.groups([*kept, *map(_sum, summed.values())])


def _sum(fault: Fault) -> Fault:
    return replace(
        fault, detail=f"{fault.readings} more within a minute were counted, not kept. The last said: {fault.detail}"
    )
