"""What an edge node says: births with aliases, numbered data, deaths. Pure; not safe for several threads.

will(bd_seq) ─ connect ─ birth() ─ data() data() … ─ death() ─ disconnect
                            ^── again whenever a host asks
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from edge.codecs import sparkplug as codec
from edge.codecs.sparkplug import DataType, Metric, Payload, Scalar
from edge.sparkplug.outcomes import SEQS
from edge.sparkplug.state import REBIRTH
from edge.sparkplug.tables import BD_SEQ
from edge.sparkplug.topics import Topic, Verb
from plant.model import Quality

GOOD_CODE, STALE_CODE, BAD_CODE = 192, 500, 0
_CODES = {Quality.GOOD: GOOD_CODE, Quality.UNCERTAIN: 64, Quality.BAD: BAD_CODE}
NODE = ""  # as a device: the edge node itself


@dataclass(frozen=True, slots=True)
class Tag:
    """A metric that a node or device will ever tell."""

    name: str
    datatype: DataType = DataType.DOUBLE
    unit: str = ""
    low: float | None = None
    high: float | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One value of a metric. ``value`` None or NaN: there is none."""

    name: str
    at_us: int
    value: float | None
    quality: Quality = Quality.GOOD
    historical: bool = False


Said = tuple[str, bytes]  # topic, payload


class Voice:
    """One edge node with its devices. ``tags``: device (NODE: its own) → metrics.

    Raises ValueError when a name is given twice within a device.
    """

    def __init__(self, group: str, node: str, tags: Mapping[str, Sequence[Tag]]) -> None:
        self.group, self.node = group, node
        self.bd_seq = 0
        self._seq = 0
        self._tags = {device: {each.name: each for each in own} for device, own in tags.items()}
        if any(len(self._tags[device]) < len(own) for device, own in tags.items()):
            raise ValueError("a device has two metrics of one name")
        everything = [(device, each.name) for device, own in tags.items() for each in own]
        self._alias = {each: number for number, each in enumerate(everything, 1)}
        self._newest: dict[tuple[str, str], Told] = {}

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(device for device in self._tags if device != NODE)

    def will(self, now_us: int) -> Said:
        """What the broker shall say should the node vanish; carries the number of the connection to be made."""
        return self._said(Verb.NDEATH, NODE, Payload(now_us, None, (self._bd_seq(now_us),)))

    def death(self, now_us: int) -> Said:
        """What a node says before it disconnects on purpose."""
        return self.will(now_us)

    def birth(self, now_us: int) -> list[Said]:
        """Everything anew: the node's own birth with seq 0, then one of each device."""
        self._seq = 0
        control = codec.metric(REBIRTH, DataType.BOOLEAN, False, at_us=now_us)
        own = (self._bd_seq(now_us), control, *self._born(NODE, now_us))
        said = self._said(Verb.NBIRTH, NODE, Payload(now_us, self._next(), own))
        return [said, *(self._device_birth(device, now_us) for device in self.devices)]

    def data(self, device: str, told: Iterable[Told], now_us: int) -> Said:
        """Values of one device in one message. Raises KeyError for a metric that was not born, ValueError for a value
        that its type cannot hold."""
        metrics = tuple(self._metric(device, each) for each in told)
        verb = Verb.NDATA if device == NODE else Verb.DDATA
        return self._said(verb, device, Payload(now_us, self._next(), metrics))

    def remember(self, device: str, told: Iterable[Told]) -> None:
        """Values that births will show, without saying them now."""
        for each in told:
            if not each.historical:
                self._newest[device, each.name] = each

    def device_death(self, device: str, now_us: int) -> Said:
        """A device is gone; its next birth comes with the next ``birth``."""
        return self._said(Verb.DDEATH, device, Payload(now_us, self._next(), ()))

    def _device_birth(self, device: str, now_us: int) -> Said:
        return self._said(Verb.DBIRTH, device, Payload(now_us, self._next(), self._born(device, now_us)))

    def _next(self) -> int:
        seq, self._seq = self._seq, (self._seq + 1) % SEQS
        return seq

    def _bd_seq(self, now_us: int) -> Metric:
        return codec.metric(BD_SEQ, DataType.INT64, self.bd_seq, at_us=now_us)

    def _born(self, device: str, now_us: int) -> tuple[Metric, ...]:
        found = []
        for tag in self._tags.get(device, {}).values():
            newest = self._newest.get((device, tag.name))
            value, at_us = (None, now_us) if newest is None else (_plain(newest), newest.at_us)
            properties = _about(tag) if newest is None else {**_about(tag), **_quality(newest)}
            alias = self._alias[device, tag.name]
            metric = codec.metric(tag.name, tag.datatype, value, alias=alias, at_us=at_us, properties=properties)
            found.append(metric)
        return tuple(found)

    def _metric(self, device: str, told: Told) -> Metric:
        tag = self._tags[device][told.name]
        self.remember(device, (told,))
        made = codec.metric(
            None,
            tag.datatype,
            _plain(told),
            alias=self._alias[device, told.name],
            at_us=told.at_us,
            historical=told.historical,
            properties=_quality(told),
        )
        return structs.replace(made, datatype=DataType.UNKNOWN)  # the birth has said it

    def _said(self, verb: Verb, device: str, payload: Payload) -> Said:
        topic = Topic(self.group, verb, self.node, None if device == NODE else device)
        return str(topic), codec.encode(payload)


def _plain(told: Told) -> float | None:
    return None if told.value is None or math.isnan(told.value) else told.value


def _quality(told: Told) -> dict[str, Scalar]:
    return {} if told.quality is Quality.GOOD else {"Quality": _CODES[told.quality]}


def _about(tag: Tag) -> dict[str, Scalar]:
    named: dict[str, Scalar | None] = {
        "engUnit": tag.unit or None,
        "engLow": tag.low,
        "engHigh": tag.high,
        "documentation": tag.description or None,
    }
    return {key: value for key, value in named.items() if value is not None}
