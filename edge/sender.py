"""Numbered batches to the broker, each kept until its commit receipt is there; sent again when none comes.

A PUBACK is not durability: only the receipt, which ingest sends after its commit, lets a batch go.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from paho.mqtt import client as mqtt

from core import log
from edge import receipts, topics
from edge.link import Ack, Link, Session

RESEND_S = 5.0


class Sender:
    """Sends under one device name and one epoch at a time. ``send`` and ``wait`` are called from one thread.

    ``on_durable(seqs)`` is told, from the connection's thread, which batches are durable now.
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
        on_durable: Callable[[Sequence[int]], None] = lambda _seqs: None,
        resend_s: float = RESEND_S,
    ) -> None:
        self.epoch = epoch
        self._topic = topics.batch(site, device)
        self._window, self._resend_s, self._on_durable = window, resend_s, on_durable
        self._unsure: OrderedDict[int, bytes] = OrderedDict()
        self._sent_at: dict[int, float] = {}
        self._changed = threading.Condition()
        self._stop = threading.Event()
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
        )
        self._thread = threading.Thread(target=self.link.run, args=(self._stop,), name="sender", daemon=True)
        self._log = log.get("edge")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Go; what is not durable by now stays with the caller."""
        self._stop.set()
        self._thread.join(10.0)

    def has_room(self) -> bool:
        """Whether ``send`` would not wait."""
        return len(self._unsure) < self._window

    def send(self, seq: int, payload: bytes, *, within_s: float = 3600.0) -> bool:
        """Send a batch that says ``epoch`` and ``seq``; waits while the window is full. False when it stayed full."""
        with self._changed:
            if not self._wait_for(self.has_room, within_s):
                return False
            self._unsure[seq] = payload
            self._sent_at[seq] = time.monotonic()
        if self.link.connected.is_set():
            self.link.send(self._topic, payload)
        return True

    def wait(self, within_s: float) -> bool:
        """Wait until every batch is durable; False when it takes longer."""
        with self._changed:
            return self._wait_for(lambda: not self._unsure, within_s)

    @property
    def unsure(self) -> int:
        """Batches without a receipt."""
        return len(self._unsure)

    def _wait_for(self, true: Callable[[], bool], within_s: float) -> bool:
        """Holding the lock; sends again what has waited too long for its receipt."""
        deadline = time.monotonic() + within_s
        while not true():
            left = deadline - time.monotonic()
            if left <= 0 or self._stop.is_set():
                return False
            self._changed.wait(min(left, 0.2))
            self._overdue()
        return True

    def turn(self) -> None:
        """To be called now and then by a sender that does not wait: sends overdue batches again."""
        with self._changed:
            self._overdue()

    def _overdue(self) -> None:
        if not self.link.connected.is_set():
            return
        now = time.monotonic()
        for seq, payload in self._unsure.items():
            if now - self._sent_at[seq] > self._resend_s:
                self._sent_at[seq] = now
                self.link.send(self._topic, payload)

    def _again(self) -> None:
        """After every (re)connection everything unsure is sent, in order: a duplicate is known by its number."""
        with self._changed:
            waiting = list(self._unsure.items())
            for seq, _ in waiting:
                self._sent_at[seq] = time.monotonic()
        for _, payload in waiting:
            self.link.send(self._topic, payload)

    def _heard(self, message: mqtt.MQTTMessage, ack: Ack) -> None:
        ack()
        try:
            told = receipts.decode(bytes(message.payload))
        except ValueError as error:
            self._log.warning("sender.bad_receipt", error=str(error)[:200])
            return
        if told.epoch != self.epoch:
            return
        with self._changed:
            durable = [seq for seq in self._unsure if told.covers(seq)]
            for seq in durable:
                del self._unsure[seq], self._sent_at[seq]
            self._changed.notify_all()
        if durable:
            self._on_durable(durable)
