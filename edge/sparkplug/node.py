"""An edge node on a broker: speaks when a host may hear it, keeps what nobody could hear, answers requests for rebirth.

A value told while there is no connection waits (``most_waiting`` of them, oldest first out) and is sent as historical
once births are said. Nobody acknowledges data, so what was said shortly before the connection or the primary host was
lost is said again that way: a host knows a sample by its tag, time and value. bdSeq survives a restart in ``folder``.
Nobody can command anything but a rebirth.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paho.mqtt import client as mqtt

from core import log
from edge.link import Ack, Link, Session, Will
from edge.reasons import DecodeError
from edge.sparkplug import state, topics
from edge.sparkplug.outcomes import SEQS
from edge.sparkplug.voice import Said, Told, Voice

FLUSH = 500  # values of a message that are sent after the fact
UNSURE_S = 60.0  # how long before a loss things may have gone unheard: longer than a dead connection goes unnoticed


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None


def _wall_us() -> int:
    return time.time_ns() // 1000


class Node:
    """Runs a voice. ``tell`` may be called from any thread at any time.

    ``wait_for``: the id of a primary host: nothing is said before it is online. ``now_us`` stamps messages.
    """

    def __init__(
        self,
        voice: Voice,
        broker: Broker,
        *,
        folder: Path | None = None,
        wait_for: str | None = None,
        most_waiting: int = 100_000,
        now_us: Callable[[], int] = _wall_us,
    ) -> None:
        self.voice = voice
        self.waiting: deque[tuple[str, Told]] = deque(maxlen=most_waiting)
        self.births = 0
        self._said: deque[tuple[float, str, Told]] = deque(maxlen=most_waiting)  # lately
        self._file = None if folder is None else folder / f"{voice.node}.bdseq"
        self._next_bd_seq = self._read_bd_seq()
        self._wait_for, self._now_us = wait_for, now_us
        self._lock = threading.RLock()
        self._is_started = self._is_born = False
        self._host_since: int | None = None
        self._stop = threading.Event()
        self._log = log.get("edge").bind(node=voice.node)
        subscriptions = [topics.command(voice.group, voice.node)]
        self.link = Link(
            host=broker.host,
            port=broker.port,
            user=broker.user,
            password=broker.password,
            client_id=f"node-{voice.group}-{voice.node}",
            session=Session.CLEAN,
            subscriptions=[*subscriptions, *([] if wait_for is None else [topics.state(wait_for)])],
            on_message=self._heard,
            on_connect=self._connected,
            will=self._will,
            tls=broker.tls,
            speaks="sparkplug-node",
        )
        self._thread = threading.Thread(target=self.link.run, args=(self._stop,), name=voice.node, daemon=True)

    def start(self) -> None:
        """Connect in the background; again changes nothing."""
        if not self._is_started:
            self._is_started = True
            self._thread.start()

    @property
    def is_heard(self) -> bool:
        """Whether births were said on the connection at hand."""
        return self._is_born and self.link.connected.is_set()

    def tell(self, device: str, told: Sequence[Told]) -> None:
        """Say values now, or keep them until somebody can hear."""
        with self._lock:
            if self.is_heard:
                self._send(self.voice.data(device, told, self._now_us()))
                self._note(device, told)
            else:
                self.voice.remember(device, told)
                self.waiting.extend((device, each) for each in told)

    def _note(self, device: str, told: Sequence[Told]) -> None:
        now_s = time.monotonic()
        self._said.extend((now_s, device, each) for each in told)
        while self._said and self._said[0][0] < now_s - UNSURE_S:
            self._said.popleft()

    def _take_back(self) -> None:
        """What was said lately may not have been heard."""
        self._is_born = False
        self.waiting.extendleft((device, each) for _, device, each in reversed(self._said))
        self._said.clear()

    def close(self) -> None:
        """Say the death and disconnect."""
        with self._lock:
            if self.is_heard:
                self._send(self.voice.death(self._now_us()))
            self._is_born = False
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def _will(self) -> Will:
        with self._lock:
            self._take_back()
            self.voice.bd_seq, self._next_bd_seq = self._next_bd_seq, (self._next_bd_seq + 1) % SEQS
            self._write_bd_seq()
            topic, payload = self.voice.will(self._now_us())
        return Will(topic, payload, 1, False)

    def _connected(self) -> None:
        if self._wait_for is None:
            self._bear()

    def _bear(self) -> None:
        """Say everything, then what nobody could hear."""
        with self._lock:
            for said in self.voice.birth(self._now_us()):
                self._send(said)
            self._is_born = True
            self.births += 1
            self._flush()

    def _flush(self) -> None:
        while self.waiting:
            device = self.waiting[0][0]
            batch: list[Told] = []
            while self.waiting and self.waiting[0][0] == device and len(batch) < FLUSH:
                batch.append(replace(self.waiting.popleft()[1], historical=True))
            self._send(self.voice.data(device, batch, self._now_us()))

    def _send(self, said: Said) -> None:
        topic, payload = said
        self.link.send(topic, payload, qos=0)

    def _heard(self, message: mqtt.MQTTMessage, ack: Ack) -> None:
        ack()
        payload = bytes(message.payload)
        if self._wait_for is not None and message.topic == topics.state(self._wait_for):
            self._host_said(payload)
            return
        try:
            is_asked = state.is_rebirth(payload)
        except DecodeError as error:
            self._log.warning("sparkplug.command", error=error.message)
            return
        if is_asked and self._is_born:
            self._bear()

    def _host_said(self, payload: bytes) -> None:
        """The primary host came or went; an older word than the last counts for nothing."""
        said = state.read(payload)
        if said is None or (self._host_since is not None and said.timestamp < self._host_since):
            return
        self._host_since = said.timestamp
        with self._lock:
            if said.online and not self._is_born:
                self._bear()
            elif not said.online and self._is_born:
                self._send(self.voice.death(self._now_us()))
                self._take_back()

    def _read_bd_seq(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            if self._file is not None:
                return int(self._file.read_text()) % SEQS
        return 0

    def _write_bd_seq(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write_text(str(self._next_bd_seq))
