"""The strict JSON gate: what may enter as JSON, and nothing else. Pure.

Refused with a name: NaN, Infinity and numbers that overflow to it, lone surrogates, NUL, integers outside int64,
nesting deeper than 64, more than 10,000 keys, 10,000 objects and lists or 50,000 values, duplicate keys in one object,
more than 1 MiB, text that is not UTF-8, a byte order mark, and whatever RFC 8259 calls malformed. The work is linear
and needs a few milliseconds a megabyte: structure is scanned in columns before anything is built, so that nesting and
key bombs cost no more than their bytes.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from core.errors import MillwrightError

MAX_BYTES = 1024 * 1024  # inclusive
MAX_DEPTH = 64
MAX_KEYS = 10_000
MAX_CONTAINERS = 10_000
MAX_VALUES = 50_000
INT64_DIGITS = 19
HIGHEST, LOWEST = b"9223372036854775807", b"9223372036854775808"
HALF = re.compile(rb"\\u[dD][89a-fA-F]")
PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")

Bytes8 = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


class JsonRefused(MillwrightError):
    """The body is not acceptable JSON."""

    code = "json_refused"
    status = 422


class JsonMalformed(JsonRefused):
    """The body is not JSON (RFC 8259)."""

    code = "json_malformed"
    status = 400


class JsonTooLarge(JsonRefused):
    """The body is larger than 1 MiB. Send it in parts."""

    code = "body_too_large"
    status = 413


def check(body: bytes) -> None:
    """Raise JsonRefused, JsonMalformed or JsonTooLarge unless every rule holds."""
    loads(body)


def loads(body: bytes) -> Any:
    """The value of a JSON text that passes every rule; raises JsonRefused, JsonMalformed or JsonTooLarge."""
    if len(body) > MAX_BYTES:
        raise JsonTooLarge
    _text(body)
    masked = body.replace(b"\\\\", b"__").replace(b'\\"', b"__")  # same length, so that places stay places
    raw = np.frombuffer(masked, np.uint8)
    inside = np.bitwise_xor.accumulate(raw == ord('"')) if len(raw) else np.zeros(0, bool)
    outside = np.where(inside, np.uint8(ord(" ")), raw)
    depth = _depth(outside)
    _keys(body, raw, outside, depth)
    _integers(body, outside)
    _texts(masked)
    return _decode(body)


def _text(body: bytes) -> None:
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise JsonMalformed("The body begins with a byte order mark. Send plain UTF-8.")
    if b"\0" in body:
        raise JsonMalformed("The body holds NUL bytes. Send UTF-8, not UTF-16 or binary.")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonMalformed(f"The body is not UTF-8 (byte {error.start}).") from None


def _depth(outside: Bytes8) -> npt.NDArray[np.int32]:
    """Nesting after each byte; raises when it is too deep or has too many containers."""
    opens = (outside == ord("{")) | (outside == ord("["))
    closes = (outside == ord("}")) | (outside == ord("]"))
    if np.count_nonzero(opens) > MAX_CONTAINERS:
        raise JsonRefused(f"The body holds more than {MAX_CONTAINERS} objects and lists.")
    if np.count_nonzero(outside == ord(",")) >= MAX_VALUES:
        raise JsonRefused(f"The body holds more than {MAX_VALUES} values.")
    depth = np.cumsum(opens.astype(np.int8) - closes.astype(np.int8), dtype=np.int32)
    if depth.size and depth.max() > MAX_DEPTH:
        raise JsonRefused(f"The body nests deeper than {MAX_DEPTH}.")
    if depth.size and depth.min() < 0:
        raise JsonMalformed("The body closes a bracket that it never opened.")
    return depth


def _keys(body: bytes, raw: Bytes8, outside: Bytes8, depth: npt.NDArray[np.int32]) -> None:
    """Refuse too many keys, and the same key twice in one object."""
    colons = np.flatnonzero(outside == ord(":"))
    if len(colons) > MAX_KEYS:
        raise JsonRefused(f"The body holds more than {MAX_KEYS} keys.")
    quotes = np.flatnonzero(raw == ord('"'))
    ends = np.searchsorted(quotes, colons) - 1
    if len(ends) and (ends[0] < 1 or np.any(ends % 2 == 0)):
        raise JsonMalformed("A colon follows no key.")
    owners = _owners(outside, depth, colons)
    seen = set()
    for owner, end in zip(owners.tolist(), ends.tolist(), strict=True):
        key = _key(body[quotes[end - 1] : quotes[end] + 1])
        if (owner, key) in seen:
            raise JsonRefused(f"The key {key[:64]!r} comes twice in one object.")
        seen.add((owner, key))


def _owners(outside: Bytes8, depth: npt.NDArray[np.int32], colons: Places) -> Places:
    """For each colon the place of the bracket that it lies directly in."""
    owners = np.full(len(colons), -1, np.intp)
    opens = np.flatnonzero((outside == ord("{")) | (outside == ord("[")))
    levels = depth[colons]
    for level in np.unique(levels):
        at_level = opens[depth[opens] == level]
        mine = levels == level
        if len(at_level):
            owners[mine] = at_level[np.searchsorted(at_level, colons[mine]) - 1]
    return owners


def _key(quoted: bytes) -> str:
    if b"\\" not in quoted:
        return quoted[1:-1].decode()
    try:
        return str(json.loads(quoted))
    except ValueError:
        raise JsonMalformed("A key holds a wrong escape.") from None


def _integers(body: bytes, outside: Bytes8) -> None:
    """Refuse integers outside int64; only runs of 19 digits and more are looked at."""
    digit = (outside >= ord("0")) & (outside <= ord("9"))
    edges = np.flatnonzero(np.diff(digit, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    long = ends - starts >= INT64_DIGITS
    if not long.any():
        return
    padded = np.concatenate(([32, 32], outside, [32])).astype(np.uint8)  # place p is at p + 2
    starts, ends = starts[long], ends[long]
    whole = _whole(padded, starts, ends)
    starts, ends = starts[whole], ends[whole]
    high = _too_high(padded, starts, ends)
    if high.any():
        start, end = int(starts[high][0]), int(ends[high][0])
        raise JsonRefused(f"The integer {body[start : min(end, start + 24)].decode()} does not fit in 64 bits.")


def _whole(padded: Bytes8, starts: Places, ends: Places) -> Flags:
    """Which runs of digits are whole numbers, not parts of a float."""
    sign = np.isin(padded[starts + 1], (ord("+"), ord("-")))
    power = np.where(sign, padded[starts], padded[starts + 1])
    part = np.isin(power, (ord("e"), ord("E"))) | (padded[starts + 1] == ord("."))
    whole: Flags = ~part & ~np.isin(padded[ends + 2], (ord("."), ord("e"), ord("E")))
    return whole


def _too_high(padded: Bytes8, starts: Places, ends: Places) -> Flags:
    """Which whole numbers lie outside int64; JSON has no leading zeros, so text order is number order."""
    text = padded[starts[:, None] + 2 + np.arange(INT64_DIGITS)].view(f"S{INT64_DIGITS}").ravel()
    negative = padded[starts + 1] == ord("-")
    high: Flags = (ends - starts > INT64_DIGITS) | (text > np.where(negative, LOWEST, HIGHEST))
    return high


def _texts(masked: bytes) -> None:
    """Refuse NUL and halves of surrogate pairs, which only escapes can bring in."""
    if b"\\u0000" in masked:
        raise JsonRefused("A text holds NUL (\\u0000), which no field may hold.")
    if HALF.search(masked) and HALF.search(PAIR.sub(b"_", masked)):
        raise JsonRefused("A text holds half a surrogate pair, which is no character.")


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError:
        raise JsonRefused("A number is too large for a 64-bit float.") from None
    except msgspec.DecodeError as error:
        raise JsonMalformed(
            f"{str(error).removeprefix('JSON is malformed: ').capitalize()}. NaN and Infinity are not JSON."
        ) from None
