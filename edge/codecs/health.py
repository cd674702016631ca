"""How a gateway is doing, told every ten seconds: one JSON object. Pure.

    {"epoch": "a1", "seq": 117, "samples": 90210, "waiting": 3, "share_full": 0.01, "refused": 0, "sources":
     [{"name": "press-3", "kind": "opcua", "state": "connected", "last_heard_us": 1767225600000000, "rate": 12.5}]}

It carries no readings: as a codec, ``decode`` checks it and gives an empty message; whoever wants the state reads it.
"""

from __future__ import annotations

import msgspec

from edge.delivery import Message
from edge.reasons import DecodeError, Reason

NAME = "health"
MOST_BYTES = 256 * 1024


class Heard(msgspec.Struct, gc=False):
    """One source of a gateway. ``rate`` is samples a second over the last report; ``last_heard_us`` 0: never."""

    name: str
    kind: str
    state: str
    last_heard_us: int = 0
    rate: float = 0.0


class State(msgspec.Struct, gc=False):
    """``seq`` is the last number given, ``samples`` were spooled since the epoch began, ``waiting`` batches are in the
    spool, ``refused`` readings could not be read or kept since the start."""

    epoch: str
    seq: int
    samples: int
    waiting: int
    share_full: float
    refused: int
    sources: list[Heard] = []


_read = msgspec.json.Decoder(State).decode
_write = msgspec.json.Encoder().encode


def read(payload: bytes) -> State:
    """The state in a payload. Raises DecodeError."""
    if len(payload) > MOST_BYTES:
        raise DecodeError(Reason.TOO_LARGE, f"{len(payload)} bytes; the most is {MOST_BYTES}.")
    try:
        return _read(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(Reason.MALFORMED, str(error)) from None


def write(state: State) -> bytes:
    """The payload that says ``state``."""
    return _write(state)


def decode(payload: bytes, *, source: str, tag: str | None, heard_us: int) -> Message:  # noqa: ARG001
    """A message without readings. Raises DecodeError when the payload is no gateway's state."""
    read(payload)
    return Message(())
