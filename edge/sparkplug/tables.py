"""What a birth says about the metrics of a node or device, and what data mean by it. Pure.

A table lives from one birth to the next, and so do its aliases. Members of a template are metrics of their own, called
``template/member``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from edge.codecs import sparkplug as codec
from edge.codecs.sparkplug import NUMERIC, DataType, Metric, Payload
from edge.delivery import Fault, Lane, Message
from edge.reasons import Reason
from edge.sparkplug.units import known_unit
from edge.topics import MAX_TAG
from plant.model import Quality, Reading
from plant.offers import Offer

BD_SEQ = "bdSeq"
CONTROL = ("Node Control/", "Device Control/")  # what may be written; not data
SHOWN = 5  # names in a sentence
_SELF_DESCRIBED = {
    "float_value": DataType.FLOAT,
    "double_value": DataType.DOUBLE,
    "boolean_value": DataType.BOOLEAN,
    "string_value": DataType.STRING,
    "bytes_value": DataType.BYTES,
    "dataset_value": DataType.DATA_SET,
}


class Known(NamedTuple):
    """One metric as born. ``unit`` None: the birth names none that is known."""

    name: str
    datatype: DataType
    unit: str | None


class Trust(StrEnum):
    """How far a table may be believed. NAMES: only what a message itself calls by name; its aliases may be others'."""

    FULL = "full"
    NAMES = "names"


@dataclass(frozen=True, slots=True)
class Table:
    """Metrics by name and by alias; an alias given twice is None."""

    by_name: Mapping[str, Known] = field(default_factory=dict)
    by_alias: Mapping[int, Known | None] = field(default_factory=dict)

    def numeric(self) -> list[str]:
        """Names of the metrics that bring samples."""
        return [each.name for each in self.by_name.values() if each.datatype in NUMERIC and not is_control(each.name)]


class Sample(NamedTuple):
    place: Known
    at_us: int
    value: float
    quality: Quality
    lane: Lane


@dataclass(slots=True)
class Found:
    """What a payload holds. ``homeless``: metrics that the table does not place, each with the reason in words."""

    samples: list[Sample] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    wordy: list[str] = field(default_factory=list)  # metrics that are no numbers
    homeless: list[str] = field(default_factory=list)
    transient: int = 0

    def places(self) -> list[Known]:
        return [each.place for each in self.samples]


class _Leaf(NamedTuple):
    metric: Metric
    name: str | None
    at_us: int | None
    historical: bool
    transient: bool


def is_control(name: str) -> bool:
    """Whether a metric is the protocol's own and no data."""
    return name == BD_SEQ or name.startswith(CONTROL)


def bd_seq(payload: Payload) -> int | None:
    """The number that ties a death to its birth; None when it is not said."""
    for each in payload.metrics:
        if each.name == BD_SEQ:
            kind = each.datatype if each.datatype in NUMERIC else DataType.INT64
            found = codec.number(each, kind)
            return None if found is None else int(found)
    return None


def born(payload: Payload) -> Table:
    """The table of a birth."""
    by_name: dict[str, Known] = {}
    by_alias: dict[int, Known | None] = {}
    for leaf in _leaves(payload.metrics, None):
        if leaf.name is None:
            continue
        place = Known(leaf.name, _datatype(leaf.metric), unit_of(leaf.metric))
        by_name[leaf.name] = place
        alias = leaf.metric.alias
        if alias is not None:
            by_alias[alias] = None if alias in by_alias else place
    return Table(by_name, by_alias)


def offers(payload: Payload, device: str | None, path: str) -> tuple[Offer, ...]:
    """What a birth offers to be bound: its metrics that are numbers."""
    return tuple(
        _offer(leaf.metric, tag(device, leaf.name), path)
        for leaf in _leaves(payload.metrics, None)
        if leaf.name is not None and _datatype(leaf.metric) in NUMERIC and not is_control(leaf.name)
    )


def tag(device: str | None, name: str) -> str:
    """What a metric is called in a plant."""
    return name if device is None else f"{device}/{name}"


def unit_of(found: Metric) -> str | None:
    """The declared unit when anybody knows it."""
    return known_unit(_property(found, "engunit", "units", "unit", "engineeringunits"))


def find(payload: Payload, table: Table, heard_us: int, *, trust: Trust = Trust.FULL) -> Found:
    """The samples of a payload by a table."""
    found = Found()
    found.faults.extend(payload.faults)
    for leaf in _leaves(payload.metrics, table if trust is Trust.FULL else None):
        place = _place(leaf, table, trust)
        if isinstance(place, str):
            found.homeless.append(place)
        elif not (is_control(place.name) or leaf.metric.is_definition):
            _sample(leaf, place, payload.at_us, heard_us, found)
    return found


def messages(found: Found, device: str | None, source: str) -> tuple[Message, ...]:
    """One message a lane; the faults go with the first. Always at least one."""
    faults = tuple(_tagged(each, device) for each in found.faults)
    if found.wordy:
        shown = ", ".join(found.wordy[:SHOWN]) + (", …" if len(found.wordy) > SHOWN else "")
        detail = f"{len(found.wordy)} of the metrics are no numbers: {shown}."
        faults += (Fault(device or "", Reason.NOT_A_NUMBER, detail, readings=len(found.wordy)),)
    room = MAX_TAG - len(tag(device, ""))
    faults += tuple(_too_long(each.place.name) for each in found.samples if len(each.place.name) > room)
    kept = [each for each in found.samples if len(each.place.name) <= room]
    made = []
    for lane in [lane for lane in Lane if any(each.lane is lane for each in kept)] or [Lane.LIVE]:
        own = [each for each in kept if each.lane is lane]
        made.append(Message(tuple(_readings(own, device, source)), faults, lane=lane))
        faults = ()
    return tuple(made)


def stale(names: Iterable[str], device: str | None, at_us: int) -> list[Sample]:
    """Marks that these metrics say nothing from ``at_us`` on: NaN, quality bad."""
    return [
        Sample(Known(tag(device, name), DataType.DOUBLE, None), at_us, math.nan, Quality.BAD, Lane.LIVE)
        for name in names
    ]


def _leaves(metrics: Iterable[Metric], table: Table | None) -> Iterator[_Leaf]:
    """The metrics that hold values, templates unfolded; a template told by alias has its name from the table."""
    for each in metrics:
        yield from _unfold(_Leaf(each, each.name, each.at_us, each.is_historical, each.is_transient), table)


def _unfold(leaf: _Leaf, table: Table | None) -> Iterator[_Leaf]:
    metric = leaf.metric
    if metric.field != "template_value":
        yield leaf
        return
    name = leaf.name
    if name is None and table is not None and metric.alias is not None:
        known = table.by_alias.get(metric.alias)
        name = known.name if known is not None else None
    yield _Leaf(metric, name, leaf.at_us, leaf.historical, leaf.transient)
    if metric.is_definition:
        return
    for each in metric.members:
        inner = f"{name}/{each.name}" if name is not None and each.name is not None else None
        historical, transient = leaf.historical or each.is_historical, leaf.transient or each.is_transient
        at_us = leaf.at_us if each.at_us is None else each.at_us
        yield from _unfold(_Leaf(each, inner, at_us, historical, transient), table)


def _place(leaf: _Leaf, table: Table, trust: Trust) -> Known | str:
    """Which metric it is, or in words why nobody can say."""
    metric = leaf.metric
    if leaf.name is not None:
        return _by_name(leaf.name, metric, table)
    if metric.alias is None or trust is Trust.NAMES:
        return f"a metric is told by alias {metric.alias} alone" if metric.alias is not None else "a metric has no name"
    known = table.by_alias.get(metric.alias)
    if known is None:
        return f"alias {metric.alias} is {'given twice' if metric.alias in table.by_alias else 'not born'}"
    said = metric.datatype if metric.datatype is not DataType.UNKNOWN else known.datatype
    if said is not known.datatype or not _fits(metric, said):
        return f"alias {metric.alias} is born as {known.datatype.name} and does not come as one"
    return known


def _by_name(name: str, metric: Metric, table: Table) -> Known | str:
    known = table.by_name.get(name)
    said = _datatype(metric)
    if said is DataType.UNKNOWN or (metric.datatype is DataType.UNKNOWN and known is not None):
        said = known.datatype if known is not None else DataType.UNKNOWN
    if said is DataType.UNKNOWN and metric.field:
        return f"{name!r} is not born and comes without its data type"
    return Known(name, said, known.unit if known is not None else None)


def _datatype(metric: Metric) -> DataType:
    """As said, or as a field says that can hold but one."""
    if metric.field == "template_value":
        return DataType.TEMPLATE
    if metric.datatype is not DataType.UNKNOWN:
        return metric.datatype
    return _SELF_DESCRIBED.get(metric.field, DataType.UNKNOWN)


def _fits(metric: Metric, datatype: DataType) -> bool:
    """Whether the wire's field can hold the data type: an alias that means something else mostly betrays itself."""
    if not metric.field or datatype not in NUMERIC:
        return True
    if datatype in (DataType.FLOAT, DataType.DOUBLE):
        return metric.field in ("float_value", "double_value")
    if datatype is DataType.BOOLEAN:
        return metric.field == "boolean_value"
    return metric.field in ("int_value", "long_value")


def _sample(leaf: _Leaf, place: Known, sent_us: int | None, heard_us: int, found: Found) -> None:
    metric = leaf.metric
    if metric.field == "template_value":
        return
    if leaf.transient:
        found.transient += 1
    elif place.datatype in NUMERIC:
        _number(leaf, place, sent_us, heard_us, found)
    elif metric.field or place.datatype is not DataType.UNKNOWN:
        found.wordy.append(f"{place.name} ({place.datatype.name})")


def _number(leaf: _Leaf, place: Known, sent_us: int | None, heard_us: int, found: Found) -> None:
    metric = leaf.metric
    value, quality = codec.number(metric, place.datatype), codec.quality(metric)
    if not metric.field:
        value, quality = math.nan, Quality.BAD
    elif value is None or not (math.isfinite(value) or quality is Quality.BAD):
        detail = f"{str(metric.value)[:40]} cannot be kept as a {place.datatype.name}."
        found.faults.append(Fault(place.name, Reason.NOT_A_NUMBER, detail))
        return
    elif not math.isfinite(value):
        value = math.nan
    at_us = leaf.at_us if leaf.at_us is not None else sent_us
    if at_us is None:
        at_us, quality = heard_us, max(quality, Quality.UNCERTAIN)
    found.samples.append(Sample(place, at_us, value, quality, Lane.HISTORY if leaf.historical else Lane.LIVE))


def _readings(samples: list[Sample], device: str | None, source: str) -> Iterator[Reading]:
    groups: dict[Known, list[int]] = {}
    for index, each in enumerate(samples):
        groups.setdefault(each.place, []).append(index)
    order = [index for group in groups.values() for index in group]
    at_us = np.array([samples[index].at_us for index in order], np.int64)
    values = np.array([samples[index].value for index in order], np.float64)
    quality = np.array([samples[index].quality for index in order], np.uint8)
    end = 0
    for place, group in groups.items():
        start, end = end, end + len(group)
        yield Reading(
            source, tag(device, place.name), at_us[start:end], values[start:end], quality[start:end], place.unit
        )


def _too_long(name: str) -> Fault:
    return Fault(name[:MAX_TAG], Reason.HOSTILE_TEXT, f"With its device's name the tag has over {MAX_TAG} characters.")


def _tagged(fault: Fault, device: str | None) -> Fault:
    name = tag(device, fault.tag)[:MAX_TAG]
    return Fault(name, fault.reason, fault.detail, fault.payload, fault.readings)


def _offer(found: Metric, name: str, path: str) -> Offer:
    declared = _property(found, "engunit", "units", "unit", "engineeringunits")
    text = str(found.description or _property(found, "documentation", "description", "tooltip") or "")
    unit = known_unit(declared)
    if declared and unit is None:
        text = f"{text} (unit as declared: {declared})".strip()
    return Offer(
        name,
        path=f"{path}/{name}",
        data_type=_datatype(found).name,
        unit=unit or "",
        description=text[:500],
        low=_limit(found, "englow", "rangelow", "low"),
        high=_limit(found, "enghigh", "rangehigh", "high"),
    )


def _property(found: Metric, *names: str) -> object:
    """The first of these properties that is there; case and blanks do not matter."""
    if not found.properties:
        return None
    plain = {key.lower().replace(" ", "").replace("_", ""): value for key, value in found.properties.items()}
    return next((plain[name] for name in names if name in plain), None)


def _limit(found: Metric, *names: str) -> float | None:
    value = _property(found, *names)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
