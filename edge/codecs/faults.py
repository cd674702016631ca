"""What a gateway heard and could not read, sent on so that it is kept with the reason. Pure.

    "\\xe6MWF" u8 version=1 │ MessagePack {epoch, seq, faults: [{tag, reason, detail, payload, readings}]}

The gateway's word is not trusted beyond what it may say: reasons that only ingest can know become ``malformed``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from edge.delivery import Fault, Message
from edge.reasons import DecodeError, Reason
from edge.topics import clean_tag

NAME = "faults"
MAGIC = b"\xe6MWF"  # no UTF-8, so that JSON never begins like it
VERSION = 1
HEAD = MAGIC + bytes([VERSION])
MAX_BYTES = 2 << 20  # inclusive: what a broker takes
ROOM = 16 << 10  # for all but the payloads
MOST_FAULTS, MOST_READINGS, MOST_DETAIL = 1_000, 1_000_000, 2_000
MAX_SEQ = 1 << 61
INGESTS = frozenset(
    {Reason.UNKNOWN_SITE, Reason.UNKNOWN_DEVICE, Reason.REVOKED_DEVICE, Reason.UNSIGNED, Reason.UNKNOWN_TAG}
    | {Reason.UNKNOWN_UNIT, Reason.WRONG_UNIT, Reason.POISON}
)


class _Fault(msgspec.Struct, gc=False):
    tag: str
    reason: str
    detail: str
    payload: bytes
    readings: int


class _Faults(msgspec.Struct, gc=False):
    epoch: str
    seq: int
    faults: list[_Fault]


_read = msgspec.msgpack.Decoder(_Faults).decode
_write = msgspec.msgpack.Encoder().encode


def write(faults: Sequence[Fault], *, epoch: str, seq: int) -> bytes:
    """The payload of one group, as ``groups`` makes them."""
    told = [_Fault(each.tag, str(each.reason), each.detail, each.payload, each.readings) for each in faults]
    return HEAD + _write(_Faults(epoch, seq, told))


def groups(faults: Sequence[Fault]) -> Iterator[tuple[Fault, ...]]:
    """As many faults together as one message takes; the payload of one that is too long alone is cut, and says so."""
    group: list[Fault] = []
    size = ROOM
    for each in map(_fitting, faults):
        weight = len(each.payload) + 4 * (len(each.tag) + len(each.detail)) + 100
        if group and (size + weight > MAX_BYTES - ROOM or len(group) == MOST_FAULTS):
            yield tuple(group)
            group, size = [], ROOM
        group.append(each)
        size += weight
    if group:
        yield tuple(group)


def decode(payload: bytes, *, source: str, tag: str | None, heard_us: int) -> Message:  # noqa: ARG001 - as every codec
    """A message of faults alone. Raises DecodeError."""
    if len(payload) > MAX_BYTES:
        raise DecodeError(Reason.TOO_LARGE, f"{len(payload)} bytes; the most is {MAX_BYTES}.")
    if not payload.startswith(HEAD) or tag is not None:
        raise DecodeError(Reason.MALFORMED, f"No faults of version {VERSION}: {payload[:6].hex()}.")
    try:
        heard = _read(payload[len(HEAD) :])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(Reason.MALFORMED, str(error)) from None
    if not (0 < len(heard.epoch) <= 64 and heard.epoch.isprintable() and 0 < heard.seq < MAX_SEQ):
        raise DecodeError(Reason.BAD_SEQUENCE, f"epoch {heard.epoch[:80]!a} with seq {heard.seq}.")
    if len(heard.faults) > MOST_FAULTS:
        raise DecodeError(Reason.TOO_LARGE, f"{len(heard.faults)} faults; the most is {MOST_FAULTS}.")
    return Message((), tuple(map(_fault, heard.faults)), heard.epoch, heard.seq)


def _fault(told: _Fault) -> Fault:
    known = told.reason in Reason.__members__.values() and Reason(told.reason) not in INGESTS
    reason, detail = (
        (Reason(told.reason), told.detail) if known else (Reason.MALFORMED, f"{told.reason}: {told.detail}")
    )
    try:
        tag = clean_tag(told.tag)
    except DecodeError:
        tag = ""
    readings = min(max(told.readings, 1), MOST_READINGS)
    return Fault(tag, reason, detail[:MOST_DETAIL], told.payload, readings)


def _fitting(fault: Fault) -> Fault:
    most = MAX_BYTES - 4 * ROOM
    detail = fault.detail[: MOST_DETAIL // 2]
    if len(fault.payload) > most:
        detail = f"The first {most:,} of {len(fault.payload):,} bytes are kept. {detail}"
    return Fault(fault.tag[:256], fault.reason, detail, fault.payload[:most], min(fault.readings, MOST_READINGS))
