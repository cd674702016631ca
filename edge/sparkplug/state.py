"""The two things that a host application says: that it is there, and "say your births again". Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge.codecs import sparkplug as codec
from edge.codecs.sparkplug import DataType, Payload

REBIRTH = "Node Control/Rebirth"


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a host is there, and since when (ms since 1970, of the connection that it speaks of)."""

    online: bool
    timestamp: int

    def encode(self) -> bytes:
        """As the retained STATE message has it."""
        return msgspec.json.encode({"online": self.online, "timestamp": self.timestamp})


class _State(msgspec.Struct):
    online: bool
    timestamp: int


def read(payload: bytes) -> Presence | None:
    """What a STATE message says; None when it is none of Sparkplug 3."""
    try:
        found = msgspec.json.decode(payload, type=_State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Presence(found.online, found.timestamp)


def rebirth(now_us: int) -> bytes:
    """The one command that this program can make: a node shall say its births again."""
    wish = codec.metric(REBIRTH, DataType.BOOLEAN, True, at_us=now_us)
    return codec.encode(Payload(now_us, None, (wish,)))


def is_rebirth(payload: bytes) -> bool:
    """Whether a node's command asks for its births. Raises DecodeError."""
    return any(each.name == REBIRTH and each.value is True for each in codec.decode(payload).metrics)
