"""What was heard → samples to keep, and quarantine entries for the rest. Pure.

A whole flush is resolved at once: look-ups a series, arithmetic a column. One bad sample costs no good one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from edge.codecs import json as codec
from edge.codecs import wave as wave_codec
from edge.delivery import Fault, Lane, Message, Origin
from edge.reasons import Reason
from ingest import waves
from ingest.signatures import Keys
from plant.model import Quality, Reading, SampleBatch, Wave, Waveform
from plant.units import IDENTITY, Conversion, UnknownUnit, WrongUnit, conversion

YEAR_US = 31_557_600_000_000
DAY_US = 86_400_000_000
LIVE_PAST_US = 10 * YEAR_US
LIVE_AHEAD_US = DAY_US
HISTORY_SPAN_US = (-2_208_988_800_000_000, 7_258_118_400_000_000)  # 1900 … 2200: beyond it no day is kept
RELEASABLE = frozenset({Reason.UNKNOWN_TAG, Reason.UNKNOWN_UNIT, Reason.WRONG_UNIT})  # a binding puts them right


class Standing(StrEnum):
    """What a device may do."""

    REGISTERED = "registered"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a tag lands. ``step`` leads from the bound unit to the canonical one, scale and offset included."""

    signal_id: int
    quantity: str
    unit: str
    scale: float
    offset: float
    step: Conversion


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of the plant at one moment."""

    sites: Mapping[str, int] = field(default_factory=dict)
    devices: Mapping[tuple[int, str], Standing] = field(default_factory=dict)
    bound: Mapping[tuple[int, str, str], Bound] = field(default_factory=dict)
    keys: Keys = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """One decoded message and where it came from."""

    site_id: int
    source: str
    message: Message
    origin: Origin = Origin.DEVICE
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is not kept as samples. ``message`` is its index among what was heard."""

    message: int
    site_id: int
    reason: Reason
    source: str
    tag: str
    topic: str
    payload: bytes
    detail: str
    readings: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """Samples to keep (columns), each with its site and the index of its message, and the entries.

    ``waves`` are waveforms to keep, each with the index of its message.
    """

    batch: SampleBatch
    site_ids: npt.NDArray[np.int16]
    message: npt.NDArray[np.int32]
    entries: tuple[Entry, ...]
    waves: tuple[tuple[int, Waveform], ...] = ()


@dataclass(frozen=True, slots=True)
class _Series:
    message: int
    heard: Heard
    reading: Reading
    signal_id: int
    step: Conversion


def resolve(heard: Sequence[Heard], snapshot: Snapshot, *, now_us: int) -> Resolved:
    """Bind, convert and check everything heard; ``now_us`` is the plant clock.

    Live samples from 10 years past to a day ahead are plausible; those of the lane of history may be of any time
    between 1900 and 2200.
    """
    series: list[_Series] = []
    entries: list[Entry] = []
    kept: list[tuple[int, Waveform]] = []
    for index, each in enumerate(heard):
        figures = _keep_waves(index, each, snapshot, now_us, kept, entries) if each.message.waves else ()
        _look_up(index, each, snapshot, figures, series, entries)
    return replace(_columns(series, entries, now_us), waves=tuple(kept))


def unknown(heard: Sequence[Heard], snapshot: Snapshot) -> bool:
    """Whether a device or tag is met that the snapshot does not know: it may be older than they are."""
    return any(
        (each.origin is Origin.DEVICE and snapshot.devices.get((each.site_id, each.source)) is not Standing.REGISTERED)
        or any((each.site_id, each.source, part.tag) not in snapshot.bound for part in _parts(each.message))
        for each in heard
    )


def nameless(heard: Heard, snapshot: Snapshot) -> Heard:
    """The same; of a sender that may not speak without its number. So it gets no receipt and keeps what it has, and
    once it may speak again the number is new."""
    if heard.message.seq is None or may_not_speak(heard, snapshot) is None:
        return heard
    return replace(heard, message=replace(heard.message, epoch=None, seq=None))


def fits(heard: Heard, snapshot: Snapshot) -> bool:
    """Whether every part has a binding that understands its unit."""
    try:
        for part in _parts(heard.message):
            _step(snapshot.bound[heard.site_id, heard.source, part.tag], part.unit)
    except (KeyError, WrongUnit, UnknownUnit):
        return False
    return True


def _parts(message: Message) -> tuple[Reading | Wave, ...]:
    return (*message.readings, *message.waves) if message.waves else message.readings


def _keep_waves(
    index: int,
    heard: Heard,
    snapshot: Snapshot,
    now_us: int,
    kept: list[tuple[int, Waveform]],
    entries: list[Entry],
) -> list[Reading]:
    """Waveforms with a signal; the figures of every one go on as readings wherever somebody has bound them."""
    if may_not_speak(heard, snapshot) is not None:
        return []
    found: list[Reading] = []
    for wave in heard.message.waves:
        bound = snapshot.bound.get((heard.site_id, heard.source, wave.tag))
        reason, detail = _wrong_with(wave, bound, heard, now_us)
        if reason is not None:
            payload = wave_codec.encode(wave, lane=heard.message.lane)
            parts = (heard.source, wave.tag, heard.topic, payload, detail, 1)
            entries.append(Entry(index, heard.site_id, reason, *parts))
        if reason not in (None, Reason.UNKNOWN_TAG):
            continue
        figures = waves.figures(wave)
        if bound is not None:
            step = _step(bound, wave.unit)
            kept.append((index, waves.kept(wave, figures, step, site_id=heard.site_id, signal_id=bound.signal_id)))
        found += [
            each for each in waves.readings(wave, figures) if (heard.site_id, heard.source, each.tag) in snapshot.bound
        ]
    return found


def _wrong_with(wave: Wave, bound: Bound | None, heard: Heard, now_us: int) -> tuple[Reason | None, str]:
    low, high = _plausible_span(heard.message.lane, now_us)
    if not low <= wave.at_us <= high:
        return Reason.IMPLAUSIBLE_TIME, f"A waveform of {wave.tag!r}.{_when(wave.at_us, heard.message.lane)}"
    if bound is None:
        return Reason.UNKNOWN_TAG, f"{heard.source} sends {wave.tag!r}, which no signal is bound to."
    try:
        _step(bound, wave.unit)
    except WrongUnit as error:
        return Reason.WRONG_UNIT, error.message
    except UnknownUnit as error:
        return Reason.UNKNOWN_UNIT, error.message
    return None, ""


def _look_up(
    index: int,
    heard: Heard,
    snapshot: Snapshot,
    figures: Sequence[Reading],
    series: list[_Series],
    entries: list[Entry],
) -> None:
    refused = may_not_speak(heard, snapshot)
    if refused is not None:
        entries.append(_whole(index, heard, refused))
        return
    entries.extend(_fault(index, heard, fault) for fault in heard.message.faults)
    for reading in (*heard.message.readings, *figures) if figures else heard.message.readings:
        bound = snapshot.bound.get((heard.site_id, heard.source, reading.tag))
        if bound is None:
            detail = f"{heard.source} sends {reading.tag!r}, which no signal is bound to."
            entries.append(_part(index, heard, reading, Reason.UNKNOWN_TAG, detail))
            continue
        try:
            series.append(_Series(index, heard, reading, bound.signal_id, _step(bound, reading.unit)))
        except (WrongUnit, UnknownUnit) as error:
            reason = Reason.WRONG_UNIT if isinstance(error, WrongUnit) else Reason.UNKNOWN_UNIT
            entries.append(_part(index, heard, reading, reason, error.message))


def _fault(index: int, heard: Heard, fault: Fault) -> Entry:
    return Entry(
        index,
        heard.site_id,
        fault.reason,
        heard.source,
        fault.tag,
        heard.topic,
        fault.payload,
        fault.detail,
        fault.readings,
    )


def may_not_speak(heard: Heard, snapshot: Snapshot) -> Reason | None:
    """Why nothing of this sender is kept; None when it may speak."""
    if heard.origin is Origin.CONFIGURED:
        return None
    standing = snapshot.devices.get((heard.site_id, heard.source))
    if standing is Standing.REGISTERED:
        return None
    return Reason.UNKNOWN_DEVICE if standing is None else Reason.REVOKED_DEVICE


def _step(bound: Bound, declared: str | None) -> Conversion:
    """A unit that the sender declares counts more than the bound one."""
    if declared is None or declared == bound.unit:
        return bound.step
    return conversion(bound.quantity, declared).after(bound.scale, bound.offset)


def _columns(series: list[_Series], entries: list[Entry], now_us: int) -> Resolved:
    lengths = np.array([len(each.reading.at_us) for each in series], np.intp)
    row_series = np.repeat(np.arange(len(series)), lengths)
    at_us = np.concatenate([*(each.reading.at_us for each in series), np.empty(0, np.int64)])
    quality = np.concatenate([*(each.reading.quality for each in series), np.empty(0, np.uint8)])
    value = np.concatenate([*(each.reading.values for each in series), np.empty(0, np.float64)])
    value = _scaled(value, series, row_series)
    implausible = ~_plausible(at_us, series, row_series, now_us)
    no_number = ~np.isfinite(value) & (quality != Quality.BAD) & ~implausible  # a sample has one reason
    bad = {Reason.IMPLAUSIBLE_TIME: implausible, Reason.NOT_A_NUMBER: no_number}
    for reason, wrong in bad.items():
        if wrong.any():
            entries.extend(_bad_samples(series, row_series, wrong, reason))
    keep = ~(implausible | no_number)
    rows: slice | npt.NDArray[np.bool_] = slice(None) if keep.all() else keep
    row_series = row_series[rows]
    signal_ids = np.array([each.signal_id for each in series], np.int32)[row_series]
    site_ids = np.array([each.heard.site_id for each in series], np.int16)[row_series]
    messages = np.array([each.message for each in series], np.int32)[row_series]
    return Resolved(
        SampleBatch(signal_ids, at_us[rows], value[rows], quality[rows]), site_ids, messages, tuple(entries)
    )


def _scaled(
    value: npt.NDArray[np.float64], series: list[_Series], row_series: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Values in canonical units; those that need no conversion keep every bit. Overflow gives infinity."""
    moved = np.array([each.step != IDENTITY for each in series], bool)
    if not moved.any():
        return value
    rows = np.flatnonzero(moved[row_series])
    scale = np.array([each.step.scale for each in series])[row_series[rows]]
    offset = np.array([each.step.offset for each in series])[row_series[rows]]
    value = value.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        value[rows] = value[rows] * scale + offset
    return value


def _plausible(
    at_us: npt.NDArray[np.int64], series: list[_Series], row_series: npt.NDArray[np.intp], now_us: int
) -> npt.NDArray[np.bool_]:
    spans = np.array([_plausible_span(each.heard.message.lane, now_us) for each in series], np.int64).reshape(-1, 2)
    low, high = spans[row_series].T
    found: npt.NDArray[np.bool_] = (at_us >= low) & (at_us <= high)
    return found


def _plausible_span(lane: Lane, now_us: int) -> tuple[int, int]:
    return HISTORY_SPAN_US if lane is Lane.HISTORY else (now_us - LIVE_PAST_US, now_us + LIVE_AHEAD_US)


def _bad_samples(
    series: list[_Series], row_series: npt.NDArray[np.intp], rows: npt.NDArray[np.bool_], reason: Reason
) -> Iterable[Entry]:
    starts = np.searchsorted(row_series, np.arange(len(series)))
    for index in np.unique(row_series[rows]):
        each = series[index]
        own = rows[starts[index] : starts[index] + len(each.reading.at_us)]
        detail = f"{int(own.sum())} of {len(own)} samples of {each.reading.tag!r}."
        if reason is Reason.IMPLAUSIBLE_TIME:
            detail += _when(int(each.reading.at_us[own][0]), each.heard.message.lane)
        yield _part(each.message, each.heard, _subset(each.reading, own), reason, detail)


def _when(at_us: int, lane: Lane) -> str:
    """The first wrong time, and what would be right."""
    far = not 0 <= at_us + 62_135_596_800_000_000 < 315_537_897_600_000_000  # outside the years 1 … 9999
    shown = f"{at_us} µs since 1970" if far else f"{np.datetime64(at_us, 'us')}Z"
    if lane is Lane.HISTORY:
        return f" The first is of {shown}; history lies between 1900 and 2200."
    return f" The first is of {shown}; a live sample is at most 10 years old and a day ahead."


def _subset(reading: Reading, rows: npt.NDArray[np.bool_]) -> Reading:
    return Reading(
        reading.source, reading.tag, reading.at_us[rows], reading.values[rows], reading.quality[rows], reading.unit
    )


def _part(index: int, heard: Heard, reading: Reading, reason: Reason, detail: str) -> Entry:
    """An entry that keeps the whole reading, so that it can be released."""
    payload = codec.encode(Message((reading,), lane=heard.message.lane))
    return Entry(
        index, heard.site_id, reason, heard.source, reading.tag, heard.topic, payload, detail, len(reading.at_us)
    )


def _whole(index: int, heard: Heard, reason: Reason) -> Entry:
    message = heard.message
    count = sum(len(reading.at_us) for reading in message.readings) + sum(fault.readings for fault in message.faults)
    count += len(message.waves)
    payload = codec.encode(Message(message.readings, lane=message.lane))
    detail = f"{heard.source} is {'not registered' if reason is Reason.UNKNOWN_DEVICE else 'revoked'} on this site."
    return Entry(index, heard.site_id, reason, heard.source, "", heard.topic, payload, detail, count)
