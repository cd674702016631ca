"""A Sparkplug B host application at one broker. Sends nothing but its STATE and requests for rebirth.

    broker ──> link ──> Host (sessions of all nodes) ──> deliveries, births, states
       ^                 │ ticker: time alone
       └── STATE, NCMD rebirth

The session is persistent and a message is acked when it is durable, so what came with QoS 1 survives our absence; the
standard wants a clean session, and with it such messages would be lost. After each connection every node is unknown
until it has been born again.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt import client as mqtt

from core import log
from edge import tls
from edge.delivery import Delivery, Emit, Message, Origin
from edge.errors import SourceConfig
from edge.kinds import Fill, Gap, Place, State
from edge.link import Ack, Link, Session, Will
from edge.reasons import DecodeError
from edge.sparkplug import state as words
from edge.sparkplug import topics
from edge.sparkplug.host import Ask, Event, Host, Whose
from edge.sparkplug.memory import Memory
from edge.sparkplug.outcomes import Born, Keep, Learnt, Life, Limits, Mark, Missed
from edge.sparkplug.state import Presence
from plant.offers import Offer

NAME = "sparkplug"
SCHEMES = ("mqtt", "mqtts")
PORTS = {"mqtt": 1883, "mqtts": 8883}
HOST_ID = "millwright"
TICK_S = 0.1
EVERYONE = ""  # as a name: each edge node is a source of its own, and its group is its site


@dataclass(frozen=True, slots=True)
class Options:
    """Of a further broker. ``group`` None: the site's code; ``user`` None: as the url has it. Files are relative to the
    folder of the configuration."""

    group: str | None = None
    host_id: str = HOST_ID
    rebirth_s: float = 5.0
    reorder_s: float = 2.0
    hold_s: float = 15.0
    user: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


def options(table: Mapping[str, Any]) -> Options:
    """The options in a table of configuration. Raises SourceConfig."""
    known = set(Options.__slots__)
    unknown = set(table) - known
    if unknown:
        raise SourceConfig(
            f"A Sparkplug source does not know {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}."
        )
    for name, value in table.items():
        if name.endswith("_s"):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
                raise SourceConfig(f"{name} must be a number of seconds, above 0 and at most 3600.")
        elif not isinstance(value, str) or not value:
            raise SourceConfig(f"{name} must be a text.")
    for name in ("group", "host_id"):
        if set(table.get(name, "")) & set("/+#\x00"):
            raise SourceConfig(f"{name} becomes a part of topics: it may not have / + or #.")
    return Options(**table)


def create(place: Place, chosen: Options) -> SparkplugSource:
    """A host at a further broker: one source, whose tags begin with the edge node's name. Raises SourceConfig."""
    parts = urlsplit(place.url)
    files = {name: _file(place.folder, getattr(chosen, name)) for name in ("ca_file", "cert_file", "key_file")}
    secured = tls.context(**files) if parts.scheme == "mqtts" else None
    password = unquote(parts.password) if parts.password else None
    if chosen.password_file is not None:
        password = _secret(place.folder / chosen.password_file)
    return SparkplugSource(
        host=parts.hostname or "",
        port=parts.port or PORTS[parts.scheme],
        user=chosen.user or (unquote(parts.username) if parts.username else None),
        password=password,
        client_id=f"{place.device}-{place.name}",
        now_us=place.now_us,
        chosen=chosen,
        name=place.name,
        site=place.site,
        tls_context=secured,
        folder=place.folder / f"{place.name}.births",
        on_state=place.on_state,
        on_born=lambda _site, _source, offers: place.offer(offers),
        on_gap=lambda _site, _source, gap: place.tell_gap(gap),
    )


class SparkplugSource:
    """Hears one broker. The callables may be called from the source's threads and return at once.

    ``on_node(site, source, state, why)``, ``on_born(site, source, offers)`` and ``on_gap`` tell of a node;
    ``on_state`` of the connection. ``folder`` remembers births over a restart. ``is_ours``: whether a group is a site
    of this instance; nothing is asked of others.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str | None,
        password: str | None,
        client_id: str,
        now_us: Callable[[], int],
        chosen: Options | None = None,
        name: str = EVERYONE,
        site: str = "",
        tls_context: ssl.SSLContext | None = None,
        folder: Path | None = None,
        is_ours: Callable[[str], bool] = lambda _group: True,
        on_state: Callable[[str, str], None] = lambda _state, _detail: None,
        on_node: Callable[[str, str, State, str], None] = lambda _site, _source, _state, _why: None,
        on_born: Callable[[str, str, Sequence[Offer]], None] = lambda _site, _source, _offers: None,
        on_gap: Callable[[str, str, Gap], None] = lambda _site, _source, _gap: None,
    ) -> None:
        chosen = chosen or Options()
        self.name = name or NAME
        self._source, self._site, self._host_id = name, site, chosen.host_id
        self._now_us, self._is_ours = now_us, is_ours
        self._on_state, self._on_node = on_state, on_node
        self._on_born, self._on_gap = on_born, on_gap
        self._emit: Emit | None = None
        self._lock = threading.Lock()
        limits = Limits(reorder_s=chosen.reorder_s, hold_s=chosen.hold_s)
        self._host = Host(limits, rebirth_s=chosen.rebirth_s, source=name)
        self._memory = Memory(folder)
        self._recall()
        self._since_ms = 0  # of the connection at hand, as its will has it
        self._is_leaving = False
        self._was_connected = False
        self._log = log.get("edge").bind(source=self.name)
        group = chosen.group or site
        self.link = Link(
            host=host,
            port=port,
            user=user,
            password=password,
            client_id=client_id,
            session=Session.PERSISTENT,
            subscriptions=(topics.state(self._host_id), f"{topics.NAMESPACE}/{group}/#" if name else topics.ALL),
            on_message=self._heard,
            has_room=lambda: self._emit is not None and self._emit.has_room(),
            on_connect=self._say_online,
            will=self._will,
            tls=tls_context,
            speaks=NAME,
        )

    @property
    def connected(self) -> bool:
        return self.link.connected.is_set()

    @property
    def lives(self) -> dict[Life, int]:
        """How many nodes stand how."""
        with self._lock:
            return self._host.lives()

    @property
    def rebirths(self) -> int:
        """Requests sent since the start."""
        return self._host.counts.rebirths

    def run(self, emit: Emit, stop: threading.Event) -> None:
        """Hear until ``stop`` is set, then say goodbye; survives every loss of the broker."""
        self._emit = emit
        link_stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(stop, link_stop), name=f"{self.name}-ticker", daemon=True)
        ticker.start()
        self.link.run(link_stop)
        ticker.join(5.0)

    def _recall(self) -> None:
        """What an earlier run followed. A birth that cannot be read any more is asked for like any other."""
        for each in self._memory.load():
            with contextlib.suppress(DecodeError):
                self._host.recall(Whose(each.group, each.node), each.raw, each.devices, time.monotonic())

    # -- what a host says

    def _will(self) -> Will:
        """Made anew for each connection: whatever was known of the nodes ends with the one before."""
        with self._lock:
            self._host.forget()
        self._since_ms = time.time_ns() // 1_000_000
        return Will(topics.state(self._host_id), Presence(False, self._since_ms).encode(), 1, True)

    def _say_online(self) -> None:
        self._say(Presence(True, self._since_ms))

    def _say(self, presence: Presence) -> None:
        self.link.send(topics.state(self._host_id), presence.encode(), qos=1, retain=True)

    def _ask(self, whose: Whose, why: str) -> None:
        """The only command that leaves this program; it never goes to a group that is none of our sites."""
        if self._source == EVERYONE and not self._is_ours(whose.group):
            return
        self._log.info("sparkplug.rebirth", group=whose.group, node=whose.node, why=why)
        payload = words.rebirth(time.time_ns() // 1000)
        self.link.send(topics.command(whose.group, whose.node), payload, qos=0)

    # -- what it hears

    def _heard(self, message: mqtt.MQTTMessage, ack: Ack) -> None:
        text = _text(message)
        topic = topics.parse(text)
        if topic is None:
            self._other(text, bytes(message.payload))
            ack()
        elif self._source == EVERYONE and not self._is_ours(topic.group):
            self._deliver(Delivery(topic.group, topic.node, Message(()), self._now_us(), text, kind=NAME, ack=ack))
        else:
            with self._lock:
                events = self._host.hear(
                    topic, bytes(message.payload), heard_us=self._now_us(), now_s=time.monotonic(), ack=ack
                )
            self._follow(events)

    def _other(self, text: str, payload: bytes) -> None:
        """Somebody says that we are away, perhaps our own will of a connection before: we are not."""
        if text == topics.state(self._host_id) and not self._is_leaving:
            said = words.read(payload)
            if said is not None and not said.online:
                self._say_online()

    def _tick(self, stop: threading.Event, link_stop: threading.Event) -> None:
        while not stop.wait(TICK_S):
            self._tell_state()
            if not self.connected:
                continue
            with self._lock:
                events = list(self._host.tick(time.monotonic(), self._now_us()))
            self._follow(events)
        self._is_leaving = True
        self._say(Presence(False, time.time_ns() // 1_000_000))
        link_stop.set()

    def _tell_state(self) -> None:
        connected = self.connected
        if connected is not self._was_connected:
            self._was_connected = connected
            self._on_state(State.CONNECTED if connected else State.LOST, "" if connected else self.link.trouble)

    # -- what follows

    def _follow(self, events: Iterable[tuple[Whose, Event]]) -> None:
        for whose, event in events:
            site, source = (self._site, self._source) if self._source else (whose.group, whose.node)
            if isinstance(event, Keep):
                self._keep(site, source, event)
            elif isinstance(event, Mark):
                for message in event.messages:
                    self._deliver(self._delivery(site, source, message, event.at_us))
            elif isinstance(event, Ask):
                self._ask(whose, event.why)
            elif isinstance(event, Born):
                self._on_born(site, source, event.offers)
            elif isinstance(event, Missed):
                why = f"messages of {whose.node} were missing until it was born again"
                self._on_gap(site, source, Gap(event.from_us, event.until_us, event.tags, Fill.MARKED, why=why))
            elif isinstance(event, Learnt):
                self._memory.save(whose.group, whose.node, event.device, event.raw)
            else:
                self._log.info(
                    "sparkplug.node", group=whose.group, node=whose.node, live=event.is_live, why=event.detail
                )
                self._on_node(site, source, State.CONNECTED if event.is_live else State.LOST, event.detail)

    def _keep(self, site: str, source: str, event: Keep) -> None:
        """Every message of ours carries a part of the ack; without any the ack is all."""
        messages = [each for each in event.messages if each.readings or each.faults]
        if not messages:
            event.heard.ack()
            return
        ack = _shared(event.heard.ack, len(messages))
        for message in messages:
            self._deliver(self._delivery(site, source, message, event.heard.heard_us, str(event.heard.topic), ack))

    def _delivery(
        self, site: str, source: str, message: Message, heard_us: int, topic: str = "", ack: Ack | None = None
    ) -> Delivery:
        origin = Origin.CONFIGURED if self._source else Origin.DEVICE
        made = Delivery(site, source, message, heard_us, topic, origin, NAME)
        return made if ack is None else Delivery(site, source, message, heard_us, topic, origin, NAME, ack=ack)

    def _deliver(self, delivery: Delivery) -> None:
        if self._emit is not None:
            self._emit(delivery)


class _Countdown:
    """Acks once every part has been acked."""

    def __init__(self, ack: Ack, parts: int) -> None:
        self._ack, self._left = ack, parts
        self._lock = threading.Lock()

    def part(self) -> None:
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._ack()


def _shared(ack: Ack, parts: int) -> Ack:
    return ack if parts == 1 else _Countdown(ack, parts).part


def _text(message: mqtt.MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError:
        return ""


def _file(folder: Path, name: str | None) -> Path | None:
    return None if name is None else folder / name


def _secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceConfig(f"password_file {path}: {error}") from None
