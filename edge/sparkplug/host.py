"""A host application: every edge node's session, and when to ask for rebirths. Pure.

hear(topic, payload) ──> NodeSession ──> outcomes, and an Ask when a node's births are wanted
tick(now) ───────────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from edge.codecs import sparkplug as codec
from edge.delivery import Fault, Message
from edge.reasons import DecodeError, Reason
from edge.sparkplug.outcomes import KEEP_BYTES, Born, Heard, Keep, Learnt, Life, Limits, Mark, Missed, Outcome, Told
from edge.sparkplug.rebirths import Bucket, Wish
from edge.sparkplug.session import NodeSession
from edge.sparkplug.topics import COMMANDS, Topic

MOST_NODES = 10_000
HELD_BYTES = 64 * 1024 * 1024  # by all nodes together; beyond it nothing more is held


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose outcome it is."""

    group: str
    node: str


@dataclass(frozen=True, slots=True)
class Ask:
    """The node shall say its births again, because ``why``."""

    why: str


Event = Keep | Mark | Told | Born | Learnt | Missed | Ask


@dataclass(slots=True)
class Counts:
    """Since the start."""

    messages: int = 0
    births: int = 0
    deaths: int = 0
    rebirths: int = 0  # asked for


@dataclass(slots=True)
class _Node:
    session: NodeSession
    wish: Wish


class Host:
    """All nodes of one broker. Not safe for several threads.

    ``source`` "": each node is a source of its own; else one of this name speaks for all, and tags begin with the node.
    """

    def __init__(self, limits: Limits, *, rebirth_s: float = 5.0, source: str = "") -> None:
        self.limits, self.rebirth_s = limits, rebirth_s
        self.counts = Counts()
        self._source = source
        self._nodes: dict[Whose, _Node] = {}
        self._bucket = Bucket()

    def hear(
        self, topic: Topic, raw: bytes, *, heard_us: int, now_s: float, ack: Callable[[], None]
    ) -> list[tuple[Whose, Event]]:
        """What follows from a message. Commands (our own, as the broker echoes them) are acked and that is all."""
        whose = Whose(topic.group, topic.node)
        if topic.verb in COMMANDS:
            ack()
            return []
        self.counts.messages += 1
        try:
            heard = Heard(topic, codec.decode(raw), raw, heard_us, ack)
        except DecodeError as error:
            return [(whose, _refused(topic, raw, heard_us, ack, error))]
        node = self._node(whose)
        if node is None:
            crowd = DecodeError(Reason.NO_BIRTH, f"More than {MOST_NODES} nodes; this one is not followed.")
            return [(whose, _refused(topic, raw, heard_us, ack, crowd))]
        node.wish.heard()
        return self._events(whose, node, node.session.hear(heard, now_s), now_s)

    def tick(self, now_s: float, now_us: int) -> Iterator[tuple[Whose, Event]]:
        """What follows from time alone; call a few times a second."""
        self._relieve()
        for whose, node in self._nodes.items():
            if node.session.is_restless:
                yield from self._events(whose, node, node.session.tick(now_s, now_us), now_s)

    def recall(self, whose: Whose, node: bytes, devices: Mapping[str, bytes], now_s: float) -> None:
        """The births that an earlier run remembered. Raises DecodeError."""
        born = {name: codec.decode(raw) for name, raw in devices.items()}
        payload = codec.decode(node)
        found = self._node(whose)
        if found is not None:
            found.session.recall(payload, born, now_s)

    def forget(self) -> None:
        """The connection was lost: every node's births are wanted anew."""
        for node in self._nodes.values():
            node.session.forget()

    def lives(self) -> dict[Life, int]:
        """How many nodes stand how."""
        found = dict.fromkeys(Life, 0)
        for node in self._nodes.values():
            found[node.session.life] += 1
        return found

    def _node(self, whose: Whose) -> _Node | None:
        node = self._nodes.get(whose)
        if node is None and self._make_room():
            prefix = whose.node if self._source else None
            session = NodeSession(self.limits, source=self._source or whose.node, prefix=prefix)
            node = self._nodes[whose] = _Node(session, Wish(self.rebirth_s))
        return node

    def _make_room(self) -> bool:
        if len(self._nodes) < MOST_NODES:
            return True
        dead = next((whose for whose, node in self._nodes.items() if node.session.life is Life.DEAD), None)
        if dead is None:
            return False
        del self._nodes[dead]
        return True

    def _events(self, whose: Whose, node: _Node, outcomes: list[Outcome], now_s: float) -> list[tuple[Whose, Event]]:
        found: list[tuple[Whose, Event]] = [(whose, each) for each in outcomes]
        for each in outcomes:
            if isinstance(each, Told):
                self.counts.births += each.is_live
                self.counts.deaths += not each.is_live
        if node.session.wants_birth and node.wish.may_ask(now_s) and self._bucket.take(now_s):
            node.wish.asked(now_s)
            self.counts.rebirths += 1
            found.append((whose, Ask(node.session.wants_birth)))
        return found

    def _relieve(self) -> None:
        """Hold less when all nodes together hold too much."""
        held = sum(node.session.held_bytes for node in self._nodes.values())
        for node in self._nodes.values():
            node.session.is_pressed = held > HELD_BYTES


def _refused(topic: Topic, raw: bytes, heard_us: int, ack: Callable[[], None], error: DecodeError) -> Keep:
    heard = Heard(topic, codec.Payload(), b"", heard_us, ack)
    return Keep(heard, (Message((), (Fault(topic.device or "", error.reason, error.message, raw[:KEEP_BYTES]),)),))
