"""One waveform of high rate: a fixed head, its names, and the samples as int16 with a scale or as float32. Pure.

    head 48 B little-endian │ unit │ epoch │ tag │ samples, as they are or zlib
    "MWWV" u8 version=1 u8 flags u8 len(unit) u8 len(epoch) u16 len(tag) u16 0
    i64 t0 µs  f64 rate Hz  f64 scale  u32 n  u64 seq

Flags: 1 zlib, 2 float32 (else int16), 4 numbered by epoch and seq, 8 old data. ``sample * scale`` is in the unit. The
tag may be empty where the topic names it. Nothing is allocated that the head does not justify within the limits.
"""

from __future__ import annotations

import math
import struct
import zlib
from enum import IntFlag

import numpy as np

from edge.delivery import Lane, Message
from edge.features import MIN_SAMPLES
from edge.reasons import DecodeError, Reason
from edge.topics import clean_tag
from plant.model import Wave

NAME = "wave"
MAGIC = b"MWWV"
VERSION = 1
MAX_BYTES = 1 << 20  # of the message and of the samples unpacked, each inclusive
MAX_RATE_HZ = 1e7
MAX_VALUE = 1e30  # its square and its spectrum must be floats too
MAX_UNIT = 32
MAX_US = 1 << 61
MAX_SEQ = 1 << 61
HEAD = struct.Struct("<4sBBBBHHqddIQ")


class Flag(IntFlag):
    ZLIB = 1
    FLOAT = 2
    NUMBERED = 4
    HISTORY = 8


ALL_FLAGS = sum(Flag)


def encode(wave: Wave, *, epoch: str | None = None, seq: int | None = None, lane: Lane = Lane.LIVE) -> bytes:
    """The payload of a wave, packed where that is shorter. ``epoch`` and ``seq`` are both given or both None."""
    flags = Flag(0)
    if wave.samples.dtype == np.float32:
        flags |= Flag.FLOAT
    if epoch is not None:
        flags |= Flag.NUMBERED
    if lane is Lane.HISTORY:
        flags |= Flag.HISTORY
    body = wave.samples.astype(_kind(flags)).tobytes()
    packed = zlib.compress(body, 1)
    if len(packed) < len(body):
        flags, body = flags | Flag.ZLIB, packed
    names = [(text or "").encode() for text in (wave.unit, epoch, wave.tag)]
    head = HEAD.pack(
        *(MAGIC, VERSION, flags, *map(len, names), 0),
        *(wave.at_us, wave.rate_hz, wave.scale, len(wave.samples), seq or 0),
    )
    return b"".join([head, *names, body])


def decode(payload: bytes, *, source: str, tag: str | None, heard_us: int) -> Message:  # noqa: ARG001 - a codec's form
    """A message of one wave; ``tag`` is the topic's, which counts more than the payload's. Raises DecodeError."""
    if len(payload) > MAX_BYTES:
        raise DecodeError(Reason.TOO_LARGE, f"{len(payload)} bytes; the most is {MAX_BYTES}.")
    if len(payload) < HEAD.size:
        raise DecodeError(Reason.MALFORMED, f"{len(payload)} bytes are no waveform; its head alone has {HEAD.size}.")
    magic, version, bits, *lengths, pad, at_us, rate_hz, scale, count, seq = HEAD.unpack_from(payload)
    if magic != MAGIC or version != VERSION or bits & ~ALL_FLAGS or pad:
        raise DecodeError(Reason.MALFORMED, f"No waveform of version {VERSION}, or one with unknown flags.")
    flags = Flag(bits)
    unit, epoch, inner = _names(payload, lengths)
    _check_number(epoch, seq, flags)
    numbered = Flag.NUMBERED in flags
    try:
        _check(at_us, rate_hz, scale, count, flags)
        samples = _samples(memoryview(payload)[HEAD.size + sum(lengths) :], count, flags, scale)
        wave = Wave(source, clean_tag(tag or inner), at_us, rate_hz, samples, scale, unit or None)
    except DecodeError as error:
        error.number = (epoch, seq) if numbered else None
        raise
    lane = Lane.HISTORY if Flag.HISTORY in flags else Lane.LIVE
    return Message((), (), epoch if numbered else None, seq if numbered else None, lane, (wave,))


def _names(payload: bytes, lengths: list[int]) -> tuple[str, str, str]:
    at, found = HEAD.size, []
    if at + sum(lengths) > len(payload):
        raise DecodeError(Reason.WRONG_LENGTH, "The message ends within its names.")
    for length in lengths:
        found.append(payload[at : at + length])
        at += length
    try:
        unit, epoch, tag = (each.decode() for each in found)
    except UnicodeDecodeError:
        raise DecodeError(Reason.HOSTILE_TEXT, "A name is not valid UTF-8.") from None
    if len(unit) > MAX_UNIT or not (unit + epoch).isprintable():
        raise DecodeError(Reason.HOSTILE_TEXT, f"The unit {unit[:40]!a} or epoch {epoch[:40]!a} cannot be shown.")
    return unit, epoch, tag


def _check(at_us: int, rate_hz: float, scale: float, count: int, flags: Flag) -> None:
    if not -MAX_US < at_us < MAX_US:
        raise DecodeError(Reason.BAD_TIME, f"t0 {at_us} is out of range.")
    if not 0.0 < rate_hz <= MAX_RATE_HZ:  # false for NaN
        raise DecodeError(Reason.MALFORMED, f"The rate {rate_hz!r} Hz is not within 0 … {MAX_RATE_HZ:g}.")
    if not math.isfinite(scale) or scale == 0.0:
        raise DecodeError(Reason.NOT_A_NUMBER, f"The scale {scale!r} is no finite number but 0.")
    if count < MIN_SAMPLES:
        raise DecodeError(Reason.WRONG_LENGTH, f"A waveform has at least {MIN_SAMPLES} samples, not {count}.")
    if count * _kind(flags).itemsize > MAX_BYTES:
        raise DecodeError(Reason.TOO_LARGE, f"{count} samples are more than {MAX_BYTES} bytes.")


def _check_number(epoch: str, seq: int, flags: Flag) -> None:
    if Flag.NUMBERED in flags and not (0 < len(epoch) <= 64 and 0 < seq < MAX_SEQ):
        raise DecodeError(Reason.BAD_SEQUENCE, f"epoch {epoch[:80]!a} with seq {seq}.")


def _samples(body: memoryview, count: int, flags: Flag, scale: float) -> np.ndarray:
    kind = _kind(flags)
    raw = _unpacked(body, count * kind.itemsize) if Flag.ZLIB in flags else bytes(body)
    if len(raw) != count * kind.itemsize:
        raise DecodeError(Reason.WRONG_LENGTH, f"{len(raw)} bytes are not {count} samples of {kind.itemsize}.")
    samples = np.frombuffer(raw, kind).astype(kind.newbyteorder("="))
    largest = float(np.abs(samples.astype(np.float64)).max()) * abs(scale)
    if not largest <= MAX_VALUE:  # so for NaN
        raise DecodeError(Reason.NOT_A_NUMBER, f"A sample is NaN, infinite or beyond {MAX_VALUE:g}.")
    return samples


def _unpacked(body: memoryview, size: int) -> bytes:
    """At most one byte more than was promised, however much is packed."""
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(body, size + 1)
    except zlib.error as error:
        raise DecodeError(Reason.MALFORMED, f"The samples cannot be unpacked: {error}.") from None
    if not unpacker.eof or unpacker.unused_data:
        raise DecodeError(Reason.WRONG_LENGTH, "The packed samples are more, or fewer, than the head says.")
    return raw


def _kind(flags: Flag) -> np.dtype[np.float32] | np.dtype[np.int16]:
    return np.dtype("<f4") if Flag.FLOAT in flags else np.dtype("<i2")
