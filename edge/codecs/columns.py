"""A gateway's batch as binary columns: what JSON says in ``edge.codecs.json``, for machines. Pure.

    header 24 B │ series 12 B each │ names        │ dt                │ values       │ quality
                │ t0 i64, count u32│ UTF-8 lines  │ u32, or i64 if WIDE │ f64          │ u8, if QUALITIES

Everything is little-endian; docs/telemetry.md has the table. Nothing is trusted: every length is held against the bytes
that are there before it is used, and what does not add up is refused as a whole.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge.codecs import faults
from edge.delivery import Lane, Message
from edge.reasons import DecodeError, Reason
from edge.topics import clean_tag
from plant.model import Bytes8, Floats, Int64s, Quality, Reading

NAME = "columns"
MAGIC = b"\xe6MWC"  # no UTF-8, so that JSON never begins like it
VERSION = 1
MAX_BYTES = 1 << 20  # inclusive
MAX_T0_US, MAX_DT_US = 1 << 61, 1 << 62  # their sum stays within int64
MAX_EPOCH = 64
KNOWN_BYTES = 4096  # of names that are remembered: strangers must not fill the memory
HISTORY, QUALITIES, WIDE = 1, 2, 4
FLAGS = HISTORY | QUALITIES | WIDE
_HEADER = struct.Struct("<4sBBHIIQ")  # magic, version, flags, series, bytes of names, samples, seq (0: none)
_SERIES = np.dtype([("t0", "<i8"), ("count", "<u4")])
Name = tuple[str, str | None]  # tag, unit
NAMED = {MAGIC: NAME, faults.MAGIC: faults.NAME}


def named(payload: bytes) -> str:
    """The codec of a batch, which its first bytes tell."""
    return NAMED.get(payload[:4], "json")


def decode(payload: bytes, *, source: str, tag: str | None, heard_us: int) -> Message:  # noqa: ARG001 - as every codec
    """The readings of a payload. Raises DecodeError."""
    if len(payload) > MAX_BYTES:
        raise DecodeError(Reason.TOO_LARGE, f"{len(payload)} bytes; the most is {MAX_BYTES}.")
    if tag is not None:
        raise DecodeError(Reason.MALFORMED, "Columns name their tags themselves: publish them as a batch.")
    flags, seq, heads, names, body = _parts(payload)
    epoch, series = _names(names)
    if (epoch is None) != (seq == 0) or seq >= MAX_T0_US:
        raise DecodeError(Reason.BAD_SEQUENCE, f"epoch {str(epoch)[:80]!a} with seq {seq}.")
    number = None if epoch is None else (epoch, seq)
    if len(series) != len(heads):
        raise DecodeError(Reason.WRONG_LENGTH, f"{len(series)} names for {len(heads)} series.", number)
    try:
        at_us, values, quality = _columns(payload, body, flags, heads)
    except DecodeError as error:
        error.number = number
        raise
    found = []
    end = 0
    for (name, unit), length in zip(series, heads["count"].tolist(), strict=True):
        start, end = end, end + length
        found.append(Reading(source, name, at_us[start:end], values[start:end], quality[start:end], unit))
    return Message(tuple(found), (), epoch, seq or None, Lane.HISTORY if flags & HISTORY else Lane.LIVE)


def encode(message: Message) -> bytes:
    """A batch payload. Raises DecodeError when the message has faults or too many series."""
    readings = message.readings
    if message.faults or len(readings) > 0xFFFF:
        raise DecodeError(Reason.MALFORMED, "A message with faults, or of more than 65,535 series, cannot be sent on.")
    heads = np.array([(int(each.at_us[0]) if len(each.at_us) else 0, len(each.at_us)) for each in readings], _SERIES)
    dt = _joined([each.at_us for each in readings], np.int64) - np.repeat(heads["t0"], heads["count"])
    quality = _joined([each.quality for each in readings], np.uint8)
    wide = bool(len(dt)) and bool(dt.min() < 0 or dt.max() > 0xFFFFFFFF)
    flags = (HISTORY * (message.lane is Lane.HISTORY)) | (QUALITIES * bool(quality.any())) | (WIDE * wide)
    names = _lines(message)
    header = _HEADER.pack(MAGIC, VERSION, flags, len(heads), len(names), len(dt), message.seq or 0)
    values = _joined([each.values for each in readings], np.float64).astype("<f8")
    columns = [dt.astype("<i8" if wide else "<u4"), values, *([quality] if flags & QUALITIES else [])]
    return b"".join([header, heads.tobytes(), names, *(column.tobytes() for column in columns)])


def _joined(columns: list[npt.NDArray[np.generic]], kind: npt.DTypeLike) -> npt.NDArray[np.generic]:
    return np.concatenate([*columns, np.empty(0, kind)])


def _parts(payload: bytes) -> tuple[int, int, npt.NDArray[np.void], bytes, int]:
    """Flags, seq, the series' heads, the names, and where the columns begin; the payload has room for all of them."""
    if len(payload) < _HEADER.size:
        raise DecodeError(Reason.MALFORMED, f"{len(payload)} bytes are no batch of columns.")
    magic, version, flags, count, names, samples, seq = _HEADER.unpack_from(payload)
    if magic != MAGIC or version != VERSION or flags & ~FLAGS:
        raise DecodeError(Reason.MALFORMED, f"Not columns of version {VERSION}: {payload[:6].hex()}.")
    body = _HEADER.size + count * _SERIES.itemsize + names
    if body + samples * _width(flags) > len(payload):
        raise DecodeError(Reason.WRONG_LENGTH, f"{len(payload)} bytes have no room for {samples} samples.")
    heads = np.frombuffer(payload, _SERIES, count, _HEADER.size)
    if int(heads["count"].sum(dtype=np.int64)) != samples:
        raise DecodeError(Reason.WRONG_LENGTH, f"The series do not add up to {samples} samples.")
    return flags, seq, heads, payload[body - names : body], body


def _width(flags: int) -> int:
    return 8 + (8 if flags & WIDE else 4) + (1 if flags & QUALITIES else 0)


def _columns(payload: bytes, body: int, flags: int, heads: npt.NDArray[np.void]) -> tuple[Int64s, Floats, Bytes8]:
    """Times, values and qualities of all samples."""
    lengths, starts = heads["count"], heads["t0"]
    samples = int(lengths.sum(dtype=np.int64))
    dt = np.frombuffer(payload, "<i8" if flags & WIDE else "<u4", samples, body)
    body += dt.nbytes
    values = np.frombuffer(payload, "<f8", samples, body).astype(np.float64, copy=False)
    body += values.nbytes
    if _beyond(starts, MAX_T0_US) or (flags & WIDE and _beyond(dt, MAX_DT_US)):
        raise DecodeError(Reason.BAD_TIME, "t0 or dt is no time in µs since 1970.")
    at_us = np.repeat(starts.astype(np.int64), lengths)
    at_us += dt
    if not flags & QUALITIES:
        return at_us, values, np.zeros(samples, np.uint8)
    quality = np.frombuffer(payload, np.uint8, samples, body)
    if samples and int(quality.max()) > Quality.BAD:
        raise DecodeError(Reason.MALFORMED, "quality must hold 0, 1 or 2.")
    return at_us, np.where((quality == Quality.BAD) & np.isinf(values), np.nan, values), quality


def _beyond(column: npt.NDArray[np.generic], most: int) -> bool:
    return bool(len(column)) and bool(column.max() >= most or column.min() <= -most)


def _lines(message: Message) -> bytes:
    """First the epoch, then a line for each series: its tag, and its unit after a tab."""
    lines = [message.epoch or ""]
    lines += [each.tag if each.unit is None else f"{each.tag}\t{each.unit}" for each in message.readings]
    if any(len(line.splitlines()) > 1 or line.count("\t") > 1 for line in lines):
        raise DecodeError(Reason.HOSTILE_TEXT, "A tag, unit or epoch has a line break or tab.")
    return "\n".join(lines).encode()


def _names(lines: bytes) -> tuple[str | None, tuple[Name, ...]]:
    """Epoch and series of the names; a sender mostly says the same ones again."""
    return _known(lines) if len(lines) <= KNOWN_BYTES else _parsed(lines)


def _parsed(lines: bytes) -> tuple[str | None, tuple[Name, ...]]:
    try:
        epoch, *series = lines.decode().split("\n")
    except UnicodeDecodeError as error:
        raise DecodeError(Reason.HOSTILE_TEXT, f"The names are not UTF-8 at byte {error.start}.") from None
    if len(epoch) > MAX_EPOCH or not epoch.isprintable():
        raise DecodeError(Reason.BAD_SEQUENCE, f"epoch {epoch[:80]!a}.")
    return epoch or None, tuple(_name(line) for line in series)


_known = lru_cache(maxsize=256)(_parsed)


def _name(line: str) -> Name:
    tag, tab, unit = line.partition("\t")
    if not unit.isprintable() or len(unit) > MAX_EPOCH:
        raise DecodeError(Reason.HOSTILE_TEXT, f"The unit {unit[:60]!a} is not printable or too long.")
    return clean_tag(tag), unit if tab else None
