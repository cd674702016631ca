"""Plays rows of numbers through a broker as a machine would: numbered batches, each kept until its receipt has come.

    Recording ──> batches (all at once, or each row when it is due) ──> broker
                       kept until <── receipt ──┘   no receipt: sent again

Lost connections, a restarting ingest and lost messages only cost time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np

from core import log
from core.errors import Unavailable
from edge import receipts, topics
from edge.codecs import json as codec
from edge.delivery import Lane, Message
from edge.link import Ack, Link, Session
from plant.model import Floats, Int64s, Reading

BATCH_SAMPLES = 10_000  # about half of what a message may hold
WINDOW = 16  # batches under way at once
RESEND_S = 10.0
PATIENCE_S = 120.0  # without any receipt
CONNECT_S = 30.0  # a device registered just now is known to the broker a moment later
TICK_S = 0.25
logger = log.get("edge")

PlantNow = Callable[[], int]  # plant time in µs


class NoBroker(Unavailable):
    """The broker does not let us in."""

    code = "no_broker"


class NoReceipt(Unavailable):
    """Ingest does not say that the data are stored."""

    code = "no_receipt"


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows to be played: ``at_us`` int64[n] ascending, µs since the epoch, the times they shall have; ``values``
    float64[n,k] in the ``units`` of their ``tags``, NaN = nothing to send. ``epoch`` names this play: the same epoch
    and rows again are stored once. ``due_us`` int64[n] ascending: plant times at which the rows go; None = at once."""

    epoch: str
    tags: tuple[str, ...]
    units: tuple[str, ...]
    at_us: Int64s
    values: Floats
    lane: Lane
    due_us: Int64s | None = None

    def __len__(self) -> int:
        return len(self.at_us)

    def batch_rows(self) -> int:
        """Rows of a full batch."""
        return max(1, BATCH_SAMPLES // max(1, len(self.tags)))

    def message(self, device: str, seq: int, rows: slice) -> Message:
        """Batch ``seq``; a signal that has no value in these rows is left out."""
        readings = []
        for column, (tag, unit) in enumerate(zip(self.tags, self.units, strict=True)):
            values = self.values[rows, column]
            known = np.isfinite(values)
            if known.any():
                quality = np.zeros(int(known.sum()), np.uint8)
                readings.append(Reading(device, tag, self.at_us[rows][known], values[known], quality, unit))
        return Message(tuple(readings), epoch=self.epoch, seq=seq, lane=self.lane)


@dataclass(frozen=True, slots=True)
class State:
    """How far a play has come: rows and samples sent, of so many batches so many with a receipt."""

    rows: int = 0
    samples: int = 0
    batches: int = 0
    receipts: int = 0


@dataclass(slots=True)
class _Parcel:
    payload: bytes
    sent_s: float


class Outbox:
    """The batches of one epoch under way. Pure: time is an argument; safe for several threads."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._parcels: dict[int, _Parcel] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._parcels)

    def put(self, seq: int, payload: bytes, *, now_s: float) -> None:
        """Keep a batch that is sent now."""
        with self._lock:
            self._parcels[seq] = _Parcel(payload, now_s)

    def confirm(self, receipt: receipts.Receipt) -> int:
        """Forget what is durable; how many batches that were. Receipts of other epochs say nothing here."""
        if receipt.epoch != self._epoch:
            return 0
        with self._lock:
            done = [seq for seq in self._parcels if receipt.covers(seq)]
            for seq in done:
                del self._parcels[seq]
        return len(done)

    def overdue(self, *, now_s: float, after_s: float) -> list[bytes]:
        """What was sent at least ``after_s`` ago, in order; it counts as sent now."""
        with self._lock:
            late = [self._parcels[seq] for seq in sorted(self._parcels)]
            late = [parcel for parcel in late if now_s - parcel.sent_s >= after_s]
            for parcel in late:
                parcel.sent_s = now_s
        return [parcel.payload for parcel in late]


class Publisher:
    """A connection over which one recording is played. A context manager: leaving it hangs up."""

    def __init__(
        self,
        recording: Recording,
        *,
        host: str,
        port: int,
        device: str,
        password: str,
        site: str,
        on_state: Callable[[State], None] = lambda _state: None,
        resend_s: float = RESEND_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.recording = recording
        self.state = State()
        self._device, self._topic, self._on_state = device, topics.batch(site, device), on_state
        self._resend_s, self._patience_s = resend_s, patience_s
        self._outbox = Outbox(recording.epoch)
        self._ready, self._stop, self._news = threading.Event(), threading.Event(), threading.Event()
        self._seq = self._confirmed = 0
        self._news_s = time.monotonic()
        self._link = Link(
            host=host,
            port=port,
            user=device,
            password=password,
            client_id=f"publish-{device}-{recording.epoch}"[:64],
            session=Session.CLEAN,
            subscriptions=[topics.receipt(site, device)],
            on_message=lambda message, ack: self._on_receipt(bytes(message.payload), ack),
            on_connect=self._connected,
        )
        self._thread = threading.Thread(target=self._link.run, args=(self._stop,), name="publish", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def play(self, stop: threading.Event, plant_now: PlantNow) -> State:
        """Send every row when it is due, or as fast as receipts come, and wait for every receipt.

        Returns early when ``stop`` is set. Raises NoBroker, NoReceipt.
        """
        self._connect(stop)
        self._news_s = time.monotonic()
        due_us = self.recording.due_us
        for rows in self._all_at_once() if due_us is None else self._when_due(due_us, plant_now, stop):
            if stop.is_set():
                break
            self._send(rows)
            while len(self._outbox) >= WINDOW and not stop.is_set():
                self._wait()
        while len(self._outbox) and not stop.is_set():
            self._wait()
        self._tell()
        return self.state

    def _all_at_once(self) -> Iterator[slice]:
        step = self.recording.batch_rows()
        for first in range(0, len(self.recording), step):
            yield slice(first, min(first + step, len(self.recording)))

    def _when_due(self, due_us: Int64s, plant_now: PlantNow, stop: threading.Event) -> Iterator[slice]:
        sent, total, most = 0, len(self.recording), self.recording.batch_rows()
        while sent < total and not stop.is_set():
            ripe = int(np.searchsorted(due_us, plant_now(), side="right"))
            if ripe > sent:
                upto = min(ripe, sent + most)
                yield slice(sent, upto)
                sent = upto
            else:
                self._wait()

    def _connect(self, stop: threading.Event) -> None:
        deadline = time.monotonic() + CONNECT_S
        while not self._ready.wait(TICK_S) and not stop.is_set():
            if time.monotonic() > deadline:
                raise NoBroker(
                    f"The broker at {self._link.host}:{self._link.port} does not let the device {self._device!r} in "
                    f"({self._link.trouble or 'no answer'}). `millwright doctor` says what is wrong."
                )

    def _send(self, rows: slice) -> None:
        message = self.recording.message(self._device, self._seq + 1, rows)
        if not message.readings:  # rows without any value
            self.state = replace(self.state, rows=rows.stop)
            return
        self._seq += 1
        payload = codec.encode(message)
        if not len(self._outbox):
            self._news_s = time.monotonic()  # patience counts from when something is awaited
        self._outbox.put(self._seq, payload, now_s=time.monotonic())
        self._link.send(self._topic, payload)
        samples = self.state.samples + sum(len(reading.values) for reading in message.readings)
        self.state = State(rows.stop, samples, self._seq, self._confirmed)
        self._tell()

    def _wait(self) -> None:
        """A moment; then send again what has no receipt for too long. Raises NoReceipt."""
        self._news.wait(TICK_S if len(self._outbox) else TICK_S / 5)
        self._news.clear()
        self._tell()
        now_s = time.monotonic()
        if len(self._outbox) and now_s - self._news_s > self._patience_s:
            raise NoReceipt(
                f"{len(self._outbox)} batches have no receipt after {self._patience_s:.0f} s, so ingest may be down "
                f"({self._link.trouble or 'the broker answers'}). `millwright doctor` says what is wrong."
            )
        if self._link.connected.is_set():
            for payload in self._outbox.overdue(now_s=now_s, after_s=self._resend_s):
                self._link.send(self._topic, payload)

    def _tell(self) -> None:
        self.state = replace(self.state, receipts=self._confirmed)
        self._on_state(self.state)

    def _connected(self) -> None:
        """What was under way on the old connection may be lost: ``_wait`` sends it again when it is overdue."""
        self._ready.set()
        self._news.set()

    def _on_receipt(self, payload: bytes, ack: Ack) -> None:
        ack()
        try:
            done = self._outbox.confirm(receipts.decode(payload))
        except ValueError as error:
            logger.warning("receipt not understood", why=str(error))
            return
        if done:
            self._confirmed += done
            self._news_s = time.monotonic()
            self._news.set()
