"""Numbered batches to the broker, each kept until its commit receipt is there; sent again when none comes.

A PUBACK is not durability: only the receipt, which ingest sends after its commit, lets a batch go.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paho.mqtt import client as mqtt

from core import log
from edge import envelope, receipts, topics
from edge.link import Ack, Link, Session
from edge.spool import Batch
from edge.topics import Leaf

RESEND_S = 5.0
MOST_PATIENCE_S = 30.0


@dataclass(slots=True)
class _Unsure:
    topic: str
    payload: bytes
    sent_at: float


class Sender:
    """Sends under one device name and one epoch. ``send`` and ``turn`` are called from one thread.

    ``key``: sign every batch with it. ``on_durable(seqs)`` is told, from the connection's thread, which batches are
    durable now; it must not raise. ``failure`` is what ended that thread.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        user: str | None,
        password: str | None,
        site: str,
        device: str,
        epoch: str,
        window: int,
        key: bytes | None = None,
        tls: ssl.SSLContext | None = None,
        on_durable: Callable[[Sequence[int]], None] = lambda _seqs: None,
        resend_s: float = RESEND_S,
    ) -> None:
        self.epoch = epoch
        self._base = topics.base(site, device)
        self._key = key
        self._window, self._resend_s, self._on_durable = window, resend_s, on_durable
        self._unsure: OrderedDict[int, _Unsure] = OrderedDict()
        self._lock = threading.Lock()
        self._patience_s, self._answered = resend_s, True
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        self.link = Link(
            host=host,
            port=port,
            user=user,
            password=password,
            client_id=f"{device}-{epoch}",
            session=Session.CLEAN,
            subscriptions=[topics.receipt(site, device)],
            on_message=self._heard,
            on_connect=self._again,
            tls=tls,
        )
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._log = log.get("edge")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Go; what is not durable by now stays with the caller."""
        self._stop.set()
        self._thread.join(10.0)

    @property
    def unsure(self) -> int:
        """Batches without a receipt."""
        return len(self._unsure)

    def has_room(self) -> bool:
        return len(self._unsure) < self._window

    def send(self, batch: Batch) -> None:
        """Send a batch, whose payload says ``epoch`` and its number; it is sent again until its receipt comes."""
        topic, payload = self._sealed(batch)
        with self._lock:
            self._unsure[batch.seq] = _Unsure(topic, payload, time.monotonic())
        if self.link.connected.is_set():
            self.link.send(topic, payload)

    def say(self, topic: str, payload: bytes) -> None:
        """Send something that may be lost; nothing while there is no broker."""
        if self.link.connected.is_set():
            self.link.send(topic, payload)

    def turn(self) -> None:
        """To be called now and then: sends again what has waited too long for its receipt.

        While receipts come, all of it. While none comes at all, ingest is away and the broker keeps what it has: then
        only the oldest, ever more rarely, so that an hour's outage does not fill the broker with copies.
        """
        if not self.link.connected.is_set():
            return
        now = time.monotonic()
        with self._lock:
            late = [each for each in self._unsure.values() if now - each.sent_at > self._patience_s]
            if not late:
                return
            self._patience_s = self._resend_s if self._answered else min(self._patience_s * 2, MOST_PATIENCE_S)
            again = late if self._answered else late[:1]
            for each in late:
                each.sent_at = now
            self._answered = False
        for each in again:
            self.link.send(each.topic, each.payload)

    def _run(self) -> None:
        try:
            self.link.run(self._stop)
        except BaseException as error:  # noqa: BLE001 - whoever calls `turn` looks at it
            self.failure = error
            self._log.exception("sender.failed")

    def _sealed(self, batch: Batch) -> tuple[str, bytes]:
        """What is sealed goes out under its own topic, a batch under the one for signed batches."""
        if self._key is None:
            return f"{self._base}/{batch.topic}", batch.payload
        topic = f"{self._base}/{Leaf.SIGNED if batch.topic == Leaf.BATCH else batch.topic}"
        return topic, envelope.seal(self._key, topic, batch.payload)

    def _again(self) -> None:
        """After every (re)connection everything unsure is sent, in order: a duplicate is known by its number."""
        with self._lock:
            waiting = list(self._unsure.values())
            for each in waiting:
                each.sent_at = time.monotonic()
            self._patience_s = self._resend_s
        for each in waiting:
            self.link.send(each.topic, each.payload)

    def _heard(self, message: mqtt.MQTTMessage, ack: Ack) -> None:
        ack()
        try:
            told = receipts.decode(bytes(message.payload))
        except ValueError as error:
            self._log.warning("sender.bad_receipt", error=str(error)[:200])
            return
        if told.epoch != self.epoch:
            return
        with self._lock:
            self._patience_s, self._answered = self._resend_s, True
            durable = [seq for seq in self._unsure if told.covers(seq)]
            for seq in durable:
                del self._unsure[seq]
        if durable:
            self._on_durable(durable)
