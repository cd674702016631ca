"""The one MQTT packet that is worth a reader of our own: a PUBLISH of QoS 1, as machines send them. Pure.

MQTT 5.0, section 3.3. paho takes ten times as long for it, and most of what ingest hears is this.
"""

from __future__ import annotations

from dataclasses import dataclass

PUBLISH_QOS1 = 0x32


@dataclass(slots=True)
class Publish:
    """A message that came, with the names that paho gives its own."""

    name: bytes
    payload: bytes
    mid: int
    dup: bool
    retain: bool
    qos: int = 1

    @property
    def topic(self) -> str:
        return self.name.decode()


def parse_publish(data: bytes, at: int, *, properties: bool) -> tuple[int, Publish] | None:
    """A whole PUBLISH of QoS 1 that begins at ``at``, and where it ends; None for anything else or a part of one."""
    have = len(data)
    if at + 7 > have or data[at] & 0xF6 != PUBLISH_QOS1:
        return None
    size, body = _length(data, at + 1)
    end = body + size
    name = body + 2
    if body < 0 or end > have or name > end:
        return None
    mid = name + (data[body] << 8 | data[body + 1])
    payload = mid + 2
    if payload > end:
        return None
    if properties:
        skipped, start = _length(data, payload)
        payload = start + skipped
        if start < 0 or payload > end:
            return None
    number = data[mid] << 8 | data[mid + 1]
    head = data[at]
    return end, Publish(data[name:mid], data[payload:end], number, bool(head & 0x08), bool(head & 0x01))


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer, and where what follows it begins: -1 when it is not all there."""
    value = shift = 0
    for index in range(at, min(at + 4, len(data))):
        value |= (data[index] & 0x7F) << shift
        if data[index] < 0x80:
            return value, index + 1
        shift += 7
    return 0, -1
