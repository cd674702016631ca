"""One MQTT connection that comes back by itself, driven by one thread.

paho's own threads are not used: one loop reads, acks, sends and pings, so that nothing is shared between threads but
two queues. The socket is read and written through buffers, which about doubles the messages a second. MQTT 5 is asked
for first, then 3.1.1; nothing here needs more than 3.1.1 gives.

    broker ──> on_message(message, ack) ──> … durable …  ack() ──┐ (any thread)
    broker <── PUBACK, send(topic, payload) <────────────────────┘
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core import log
from edge.packets import Publish, parse_publish

READ_BYTES = 256 * 1024
SHUT_OUT = ("Not authorized", "Bad user name or password")
HINT = ": look at the user and its password; a device that was revoked must be registered again"
KEEPALIVE_S = 30
CONNECT_S = 5.0
TICK_S = 0.5
FULL_TICK_S = 0.01
FAREWELL_S = 2.0  # for what is still to be sent
LINGER_S = 1.0  # for the broker to hang up
BACKOFF_S = (0.1, 5.0)
RECEIVE_MAXIMUM = 20_000
SESSION_S = 30 * 86_400
MOST_UNSENT = 50_000
PUBACK = b"\x40\x02"
UNSUPPORTED = "Unsupported protocol version"
NO_ANSWER = "no answer"

Ack = Callable[[], None]
OnMessage = Callable[[Any, Ack], None]  # Publish or paho's MQTTMessage, which have the same fields


class Session(StrEnum):
    """PERSISTENT: the broker keeps messages while we are away. CLEAN: it forgets us."""

    PERSISTENT = "persistent"
    CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we vanish without a word."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class _Buffered:
    """A non-blocking socket whose reads come from, and writes go to, a buffer."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._in = b""
        self._at = 0  # what is before it was taken
        self.out = bytearray()
        self.lingers = False

    def fill(self) -> bool:
        """Read what the kernel has, once nothing is left; False when the other side hung up."""
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            if self._at == len(self._in):
                self._in, self._at = self._inner.recv(READ_BYTES), 0
                return bool(self._in)
        return True

    def recv(self, count: int) -> bytes:
        if self._at == len(self._in):
            self._in, self._at = self._inner.recv(READ_BYTES), 0
        part = self._in[self._at : self._at + count]
        self._at += len(part)
        return part

    def pending(self) -> int:
        return len(self._in) - self._at

    def take_publish(self, *, properties: bool) -> Publish | None:
        """The next packet, when all of it is here and it is a PUBLISH of QoS 1; else it is left for paho."""
        found = parse_publish(self._in, self._at, properties=properties)
        if found is None:
            return None
        self._at, message = found
        return message

    def send(self, data: bytes) -> int:
        self.out += data
        return len(data)

    def flush(self) -> None:
        """Send what the kernel takes now."""
        while self.out:
            try:
                sent = self._inner.send(self.out)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del self.out[:sent]

    def close(self) -> None:
        """paho closes as soon as it has written its DISCONNECT, which is in the buffer: without it the will is said."""
        with suppress(OSError):
            self.flush()
            if self.lingers:
                self._await_end()
        self._inner.close()

    def _await_end(self) -> None:
        """Until the broker hangs up. To leave while its answers are under way would reset the connection, and the
        broker may meet that before our DISCONNECT and say the will."""
        deadline = time.monotonic() + LINGER_S
        while (left_s := deadline - time.monotonic()) > 0:
            readers, writers, _ = select.select([self._inner], [self._inner] if self.out else [], [], left_s)
            if writers:
                self.flush()
            with suppress(BlockingIOError, ssl.SSLWantReadError):
                if readers and not self._inner.recv(READ_BYTES):
                    return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Client(mqtt.Client):
    def _create_socket(self) -> Any:
        inner: Any = super()._create_socket()
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Buffered(inner)


class Link:
    """One client id at one broker. ``run`` is called from one thread; ``send`` and acks from any."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str | None = None,
        password: str | None = None,
        client_id: str,
        session: Session = Session.PERSISTENT,
        subscriptions: Sequence[str] = (),
        no_longer: Sequence[str] = (),
        on_message: OnMessage = lambda _message, ack: ack(),
        has_room: Callable[[], bool] = lambda: True,
        on_connect: Callable[[], None] = lambda: None,
        will: Callable[[], Will] | None = None,
        tls: ssl.SSLContext | None = None,
        speaks: str = "mqtt",
    ) -> None:
        self.host, self.port = host, port
        self.connected = threading.Event()
        self.trouble = ""  # why it is not connected, in words
        self.protocol = MQTTProtocolVersion.MQTTv5
        self._user, self._password = user, password
        self._client_id, self._session = client_id, session
        self._subscriptions = list(subscriptions)
        self._no_longer = list(no_longer)  # what the session may still have from before
        self._on_message, self._has_room, self._on_connect = on_message, has_room, on_connect
        self._speaks = speaks  # what the log calls it
        self._will, self._tls = will, tls  # the will is asked for anew at every connection
        self._generation = 0
        self._acks: deque[tuple[int, int]] = deque()
        self._unsent: deque[tuple[str, bytes, int, bool]] = deque(maxlen=MOST_UNSENT)
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._woken = False
        self._log = log.get("edge")

    def send(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send soon. What is unsent when the connection breaks may be lost: whoever cares sends it again."""
        self._unsent.append((topic, payload, qos, retain))
        self._wake()

    def run(self, stop: threading.Event) -> None:
        """Stay connected until ``stop`` is set; then send the acks that wait, and go for good."""
        try:
            self._stay(stop)
        finally:
            self._wake_r.close()
            self._wake_w.close()

    def _stay(self, stop: threading.Event) -> None:
        pause = BACKOFF_S[0]
        while not stop.is_set():
            began = time.monotonic()
            try:
                self._one_session(stop)
            except (OSError, ValueError) as error:
                self.trouble = str(error)
            self._lost()
            if stop.is_set():
                break
            self._log.warning(f"{self._speaks}.lost", host=self.host, port=self.port, why=self.trouble)
            pause = BACKOFF_S[0] if time.monotonic() - began > 2 * BACKOFF_S[1] else min(pause * 2, BACKOFF_S[1])
            stop.wait(pause)

    def _one_session(self, stop: threading.Event) -> None:
        client = self._client()
        answered = False
        deadline = time.monotonic() + CONNECT_S
        client.connect(self.host, self.port, KEEPALIVE_S, **self._start())
        try:
            while client.socket() is not None and not stop.is_set():
                self._turn(client)
                answered = answered or self.connected.is_set()
                if not answered and time.monotonic() > deadline:
                    self.trouble = f"{NO_ANSWER} within {CONNECT_S} s"
                    break
            if stop.is_set():
                self._farewell(client)
        finally:
            if not answered and not stop.is_set():
                self._other_protocol()
            sock = client.socket()
            if sock is not None:
                sock.close()

    def _turn(self, client: mqtt.Client) -> None:
        """One round: wait, read, ack, send, ping."""
        sock: Any = client.socket()
        room = self._has_room()
        if not (room and sock.pending()):
            readers = [sock, self._wake_r] if room else [self._wake_r]
            writers = [sock] if sock.out else []
            ready, _, _ = select.select(readers, writers, [], TICK_S if room else FULL_TICK_S)
            if self._wake_r in ready:
                self._drain_wake()
            if sock in ready and not sock.fill():
                client.loop_read()  # which then hears of it too
        while sock.pending() and client.socket() is sock and self._has_room():
            self._read_one(client, sock)
        self._write(client)
        client.loop_misc()

    def _read_one(self, client: mqtt.Client, sock: Any) -> None:
        properties = self.protocol is MQTTProtocolVersion.MQTTv5
        message = sock.take_publish(properties=properties) if _is_between_packets(client) else None
        if message is None:
            client.loop_read()
        else:
            self._on_message(message, partial(self._ack, self._generation, message.mid))

    def _write(self, client: mqtt.Client) -> None:
        sock: Any = client.socket()
        if self.connected.is_set() and sock is not None:
            while self._acks:
                generation, mid = self._acks.popleft()
                if generation == self._generation:
                    sock.out += PUBACK + mid.to_bytes(2)
            while self._unsent:
                topic, payload, qos, retain = self._unsent.popleft()
                client.publish(topic, payload, qos, retain)
        sock = client.socket()
        if sock is not None:
            client.loop_write()
            sock.flush()

    def _farewell(self, client: mqtt.Client) -> None:
        deadline = time.monotonic() + FAREWELL_S
        sock: Any = client.socket()
        if sock is not None:
            sock.lingers = self.connected.is_set()
        self._write(client)
        client.disconnect()
        while client.socket() is not None and time.monotonic() < deadline:
            self._write(client)
            sock = client.socket()
            if sock is None or not sock.out:
                return
            select.select([], [sock], [], 0.1)

    def _client(self) -> mqtt.Client:
        v5 = self.protocol is MQTTProtocolVersion.MQTTv5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if v5 else self._session is Session.CLEAN,
            protocol=self.protocol,
            manual_ack=True,
        )
        if self._user is not None:
            client.username_pw_set(self._user, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if self._will is not None:
            will = self._will()
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.max_inflight_messages_set(1000)
        client.connect_timeout = CONNECT_S
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._heard
        client.on_socket_register_write = lambda *_: None  # we look at its queue ourselves, in one thread
        return client

    def _start(self) -> dict[str, Any]:
        if self.protocol is not MQTTProtocolVersion.MQTTv5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.SessionExpiryInterval = SESSION_S if self._session is Session.PERSISTENT else 0
        return {"clean_start": self._session is Session.CLEAN, "properties": properties}

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self.trouble = f"{reason}{HINT if any(word in str(reason) for word in SHUT_OUT) else ''}"
            return
        self.trouble = ""
        self.connected.set()
        if self._no_longer:
            client.unsubscribe(self._no_longer)
        if self._subscriptions:
            client.subscribe([(topic, 1) for topic in self._subscriptions])
        else:
            self._ready()

    def _subscribed(self, _client: Any, _data: Any, _mid: Any, reasons: Sequence[ReasonCode], _properties: Any) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._log.error(f"{self._speaks}.refused_subscription", why=refused, topics=self._subscriptions)
        self._ready()

    def _ready(self) -> None:
        self._log.info(f"{self._speaks}.connected", host=self.host, port=self.port, protocol=self.protocol.name)
        self._on_connect()

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        self.trouble = self.trouble or str(reason)
        self._lost()

    def _lost(self) -> None:
        """Acks of messages that came on this connection mean nothing on the next: the broker sends them again."""
        self.connected.clear()
        self._generation += 1
        self._acks.clear()

    def _heard(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        ack = partial(self._ack, self._generation, message.mid) if message.qos else _nothing
        self._on_message(message, ack)

    def _ack(self, generation: int, mid: int) -> None:
        self._acks.append((generation, mid))
        self._wake()

    def _other_protocol(self) -> None:
        """The broker never said yes. If it does not know MQTT 5 (or gave no sensible answer), try the other."""
        clueless = (UNSUPPORTED, "Unspecified", NO_ANSWER)
        if self.trouble and not any(word in self.trouble for word in clueless):
            return
        v5 = self.protocol is MQTTProtocolVersion.MQTTv5
        self.protocol = MQTTProtocolVersion.MQTTv311 if v5 else MQTTProtocolVersion.MQTTv5

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            with suppress(OSError):  # full: it is awake enough; closed: it is over
                self._wake_w.send(b"\0")

    def _drain_wake(self) -> None:
        """What is queued before ``_woken`` is cleared is seen in this turn. Were it cleared first, a wake in between
        would lose its byte, and nobody would ever be woken again."""
        with suppress(BlockingIOError):
            while self._wake_r.recv(4096):
                pass
        self._woken = False


def _is_between_packets(client: mqtt.Client) -> bool:
    """Whether paho has not begun to read a packet."""
    return bool(client._in_packet["command"] == 0)  # noqa: SLF001 - it has no other way of saying so


def _nothing() -> None:
    """QoS 0 needs no ack."""
