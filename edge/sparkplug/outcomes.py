"""What a node's session is told, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from edge.codecs.sparkplug import Payload
from edge.delivery import Message
from edge.sparkplug.topics import Topic
from plant.offers import Offer

SEQS = 256
KEEP_BYTES = 1 << 20  # all of a message


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a host is with a node."""

    reorder_s: float = 2.0  # for a message that others overtook
    hold_s: float = 15.0  # for the birth that data need
    doubt_s: float = 10.0  # for a sign of life after a death that is not quite this session's
    held_messages: int = 2_000
    held_bytes: int = 4 * 1024 * 1024


class Life(StrEnum):
    UNKNOWN = "unknown"
    LIVE = "live"
    LOST = "lost"  # the sequence is broken: a birth may have been missed
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of the node."""

    topic: Topic
    payload: Payload
    raw: bytes
    heard_us: int
    ack: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Keep:
    """Store these and then ack the message. They may be empty: then the ack is all."""

    heard: Heard
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Samples of our own that no message brought: metrics went stale."""

    messages: tuple[Message, ...]
    at_us: int


@dataclass(frozen=True, slots=True)
class Told:
    """The node lives or not, and why not."""

    is_live: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Born:
    """A birth names what can be bound."""

    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Learnt:
    """A birth is followed from now on; ``raw`` is worth remembering over a restart. A node's forgets its devices'."""

    device: str | None
    raw: bytes


@dataclass(frozen=True, slots=True)
class Missed:
    """Between these times messages of the node may not have been heard."""

    from_us: int
    until_us: int
    tags: int


Outcome = Keep | Mark | Told | Born | Learnt | Missed
