"""The house's own JSON: one sample, or columns of many. Pure.

    {"v": 3.2, "t": "2026-01-01T00:00:00Z", "u": "mm/s", "q": "good", "epoch": "a1", "seq": 12}
    {"epoch": "a1", "seq": 17, "d": [{"s": "P-101/vibration", "u": "mm/s", "t0": µs, "dt": [µs…], "v": […], "q": […]}]}

The way is short for a good message. A batch that does not fit goes to ``edge.codecs.salvage``, which keeps its good
samples and says what is wrong with the others.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from edge.codecs.salvage import check_keys, number_of, salvage
from edge.delivery import Lane, Message, reading
from edge.reasons import DecodeError, Reason
from edge.topics import clean_tag
from plant.model import Bytes8, Quality, Reading

NAME = "json"
MAX_BYTES = 1 << 20  # inclusive
MAX_US = 1 << 61  # times and offsets stay far from int64's end, so that their sum cannot overflow
FEW = 16
EXACT = float(1 << 53)  # beyond it an integer may not be kept exactly
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?\Z", re.ASCII)
_QUALITY = {"good": Quality.GOOD, "uncertain": Quality.UNCERTAIN, "bad": Quality.BAD}


class _Sample(msgspec.Struct, gc=False):
    v: float | None
    t: str | None = None
    t_us: int | None = None
    t_ms: int | None = None
    t_s: int | None = None
    u: str | None = None
    q: str | UnsetType = UNSET
    epoch: str | None = None
    seq: int | None = None


class _Series(msgspec.Struct, gc=False, omit_defaults=True):
    s: str
    t0: int
    dt: list[int]
    v: list[float]
    u: str | None = None
    q: list[int] | None = None


class _Batch(msgspec.Struct, gc=False, omit_defaults=True):
    d: list[_Series]
    epoch: str | None = None
    seq: int | None = None
    hist: bool | UnsetType = UNSET


class _Unfit(Exception):
    """The short way does not fit; take the long one."""


_decode_sample = msgspec.json.Decoder(_Sample).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_encode = msgspec.json.Encoder().encode


def decode(payload: bytes, *, source: str, tag: str | None, heard_us: int) -> Message:
    """The readings of a payload; ``tag`` is the topic's tag for a single sample, None for a batch.

    A sample without time gets ``heard_us`` and quality *uncertain*. Raises DecodeError.
    """
    try:
        if len(payload) > MAX_BYTES:
            raise DecodeError(Reason.TOO_LARGE, f"{len(payload)} bytes; the most is {MAX_BYTES}.")
        return _decoded(payload, source, tag, heard_us)
    except DecodeError as error:
        error.number = error.number or number_of(payload)
        raise


def kept(payload: bytes, *, source: str) -> Message:
    """A batch that we kept ourselves, however large. Raises DecodeError."""
    return _decoded(payload, source, None, 0)


def _decoded(payload: bytes, source: str, tag: str | None, heard_us: int) -> Message:
    try:
        if not payload.isascii():
            payload.decode()
        return _batch(payload, source) if tag is None else _sample(payload, source, clean_tag(tag), heard_us)
    except UnicodeDecodeError as error:
        raise DecodeError(Reason.HOSTILE_TEXT, f"The payload is not UTF-8 at byte {error.start}.") from None


def encode(message: Message) -> bytes:
    """A batch payload. Values that are not finite become null. Raises DecodeError when the message has faults."""
    if message.faults:
        raise DecodeError(Reason.MALFORMED, "A message with faults cannot be sent on.")
    series = [_columns(each) for each in message.readings]
    return _encode(_Batch(series, message.epoch, message.seq, True if message.lane is Lane.HISTORY else UNSET))


def _columns(each: Reading) -> _Series:
    start = int(each.at_us[0]) if len(each.at_us) else 0
    quality = each.quality.tolist() if each.quality.any() else None
    return _Series(each.tag, start, (each.at_us - start).tolist(), each.values.tolist(), each.unit, quality)


def _batch(payload: bytes, source: str) -> Message:
    try:
        heard = _decode_batch(payload)
        readings = _readings(heard.d, source)
    except (msgspec.DecodeError, RecursionError, OverflowError, _Unfit) as error:
        return salvage(payload, source=source, hint=str(error))
    if payload.count(b":") != (keys := _colons(heard)):
        _doubt(payload, keys, [heard.epoch, *(text for each in heard.d for text in (each.s, each.u))])
    _check_sequence(heard.epoch, heard.seq)
    return Message(readings, (), heard.epoch, heard.seq, Lane.HISTORY if heard.hist is True else Lane.LIVE)


def _colons(heard: _Batch) -> int:
    """As many as a batch has whose every key was read, once: a second ``d`` would make more."""
    units = sum([each.u is not None for each in heard.d]) + sum([each.q is not None for each in heard.d])
    head = 1 + (heard.epoch is not None) + (heard.seq is not None) + (heard.hist is not UNSET)
    return head + 4 * len(heard.d) + units


def _doubt(payload: bytes, keys: int, texts: list[str | None]) -> None:
    """More colons than keys that were read: of texts, of keys that nobody reads, or of a key that comes twice."""
    within = sum([text.count(":") for text in texts if text is not None])
    if b"\\" in payload or payload.count(b":") != keys + within:
        check_keys(payload)


def _readings(heard: list[_Series], source: str) -> tuple[Reading, ...]:
    """All series at once: one column of each kind, of which every reading is a slice."""
    if len(heard) <= FEW and all(len(each.v) == len(each.dt) == 1 and each.q is None for each in heard):
        return _singles(heard, source)
    lengths = [len(each.v) for each in heard]
    starts = [each.t0 for each in heard]
    if lengths != [len(each.dt) for each in heard] or any(not -MAX_US < start < MAX_US for start in starts):
        raise _Unfit("lengths or t0")
    offsets = np.array(list(chain.from_iterable([each.dt for each in heard])), np.int64)
    values = np.array(list(chain.from_iterable([each.v for each in heard])), np.float64)
    if len(values) and (
        offsets.max() >= MAX_US or offsets.min() <= -MAX_US or values.max() >= EXACT or values.min() <= -EXACT
    ):
        raise _Unfit("a number beyond its range")
    at_us = offsets + np.repeat(np.array(starts, np.int64), lengths)
    good = np.zeros(len(values), np.uint8)
    found = []
    end = 0
    for each, length in zip(heard, lengths, strict=True):
        start, end = end, end + length
        quality = good[start:end] if each.q is None else _quality(each.q, length)
        found.append(Reading(source, _tag(each.s), at_us[start:end], values[start:end], quality, each.u))
    return tuple(found)


def _singles(heard: list[_Series], source: str) -> tuple[Reading, ...]:
    """The same for a few tags at one moment, where a look at each number is cheaper than at columns."""
    times, numbers = [], []
    for each in heard:
        offset, value = each.dt[0], each.v[0]
        if not (-MAX_US < each.t0 < MAX_US and -MAX_US < offset < MAX_US and -EXACT < value < EXACT):
            raise _Unfit("a number beyond its range")
        times.append(each.t0 + offset)
        numbers.append(value)
    at_us, values, good = np.array(times, np.int64), np.array(numbers, np.float64), np.zeros(len(times), np.uint8)
    return tuple(
        Reading(source, _tag(each.s), at_us[i : i + 1], values[i : i + 1], good[i : i + 1], each.u)
        for i, each in enumerate(heard)
    )


@lru_cache(maxsize=100_000)
def _tag(tag: str) -> str:
    try:
        return clean_tag(tag)
    except DecodeError as error:
        raise _Unfit(error.message) from None


def _quality(codes: list[int], count: int) -> Bytes8:
    column = np.array(codes, np.uint8)
    if len(column) != count or (count and column.max() > Quality.BAD):
        raise _Unfit("quality codes")
    return column


def _sample(payload: bytes, source: str, tag: str, heard_us: int) -> Message:
    try:
        heard = _decode_sample(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _why(payload, str(error)) from None
    if payload.count(b":") != (keys := _sample_colons(heard)):
        _doubt(payload, keys, [heard.epoch, heard.u])
    _check_sequence(heard.epoch, heard.seq)
    quality = Quality.GOOD if heard.q is UNSET else _QUALITY.get(heard.q)
    if quality is None:
        raise DecodeError(Reason.MALFORMED, f"q is {str(heard.q)[:40]!a}, not good, uncertain or bad.")
    value = _value(heard.v, quality, payload)
    at_us = _time(heard)
    if at_us is None:
        at_us, quality = heard_us, max(quality, Quality.UNCERTAIN)
    return Message((reading(source, tag, at_us, value, quality, heard.u),), (), heard.epoch, heard.seq)


def _sample_colons(heard: _Sample) -> int:
    given = [heard.t_us, heard.t_ms, heard.t_s, heard.u, heard.epoch, heard.seq]
    times = 0 if heard.t is None else 1 + heard.t.count(":")
    return 1 + len(given) - given.count(None) + (heard.q is not UNSET) + times


def _value(heard: float | None, quality: Quality, payload: bytes) -> float:
    """A bad sample may say that there is no value."""
    if heard is None and quality is Quality.BAD:
        return math.nan
    if heard is None:
        raise DecodeError(Reason.NOT_A_NUMBER, "The value is null, which only quality bad allows.")
    if abs(heard) >= EXACT and not _is_exact(payload):
        raise DecodeError(Reason.NOT_A_NUMBER, "The integer is too large to be kept exactly.")
    return heard


def _time(heard: _Sample) -> int | None:
    numbers = [
        value * factor
        for value, factor in ((heard.t_us, 1), (heard.t_ms, 1_000), (heard.t_s, 1_000_000))
        if value is not None
    ]
    if len(numbers) + (heard.t is not None) > 1:
        raise DecodeError(Reason.BAD_TIME, "More than one of t, t_us, t_ms and t_s is given.")
    if heard.t is not None:
        return parse_time(heard.t)
    if numbers and not -MAX_US < numbers[0] < MAX_US:
        raise DecodeError(Reason.BAD_TIME, f"{numbers[0]} µs since 1970 is no time.")
    return numbers[0] if numbers else None


def parse_time(text: str) -> int:
    """µs since epoch of an RFC 3339 time. Raises DecodeError (bad_time, time_without_zone)."""
    found = _RFC3339.match(text)
    if found is None:
        raise DecodeError(Reason.BAD_TIME, f"{text[:60]!a} is no RFC 3339 time.")
    if found[2] is None:
        raise DecodeError(Reason.TIME_WITHOUT_ZONE, f"{text[:60]!a} has no time zone.")
    try:
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // _US
    except (ValueError, OverflowError) as error:
        raise DecodeError(Reason.BAD_TIME, f"{text[:60]!a} is no time: {error}.") from None


def _check_sequence(epoch: str | None, seq: int | None) -> None:
    if epoch is None and seq is None:
        return
    if epoch is None or seq is None or not 0 < seq < MAX_US or not 0 < len(epoch) <= 64 or not epoch.isprintable():
        raise DecodeError(Reason.BAD_SEQUENCE, f"epoch {str(epoch)[:80]!a} with seq {str(seq)[:40]}.")


class _Loose(msgspec.Struct):
    v: msgspec.Raw = msgspec.Raw(b"")


def _is_exact(payload: bytes) -> bool:
    text = bytes(msgspec.json.decode(payload, type=_Loose).v)
    return not text.lstrip(b"-").isdigit() or int(float(text)) == int(text)


def _why(payload: bytes, error: str) -> DecodeError:
    """The reason of a single sample that does not fit: a value that is no number, or anything else."""
    no_number = re.search(rb'"v"\s*:\s*(NaN|[-+]?Infinity)', payload) is not None
    if no_number or "`$.v`" in error:
        return DecodeError(Reason.NOT_A_NUMBER, error)
    return DecodeError(Reason.MALFORMED, error)
