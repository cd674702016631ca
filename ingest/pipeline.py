"""From the inbox into the store: decode, gather, flush, then ack and send receipts.

    sources ──> Inbox (bounded) ──Gatherer: decode──> batch ──Writer.flush──> committed ──> ack, receipt, counts
                                  (a thread of its own)       (this thread)

A flush that fails because the database is away keeps its batch and tries again; nothing is acked meanwhile. One that
the database refuses is halved until the poisonous message stands alone, and that one is quarantined.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg

from core import log
from core.clock import LIVE, Clock
from core.database import Database
from core.errors import Unavailable
from edge import topics
from edge.delivery import Delivery, Fault, Lane, Message, Origin, Raw
from edge.inbox import Inbox
from edge.reasons import Reason
from edge.receipts import Receipt
from ingest import admit, store
from ingest.counts import From
from ingest.drops import Drops
from ingest.gather import Batch, Gatherer, Item
from ingest.lead import Lead
from ingest.prepared import prepare
from ingest.release import waiting
from ingest.resolve import Heard, Resolved, Snapshot, Standing, nameless, resolve, unknown
from ingest.writer import Doubt, Kept, Writer
from plant.telemetry import to_us

WAIT_S = 0.2
RELOAD_S = 0.25
BACKOFF_S = (0.05, 2.0)
FINISH_S = 5.0
MOST_TOLD = 10_000
FRESH_S = 2.0  # of the wall: what was measured before may be late for the detectors (their HOLD_S is longer)
# the database is there and says that these very data are wrong
REFUSED = (psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError, ValueError, OverflowError)
AWAY = (psycopg.Error, Unavailable, OSError)

HEALTH = "health"  # the codec of what gateways say of themselves

Publish = Callable[[str, bytes], None]


@dataclass(slots=True)
class Tally:
    """What happened since the last look, a source each; guarded by the pipeline's lock. ``health``: what gateways last
    said of themselves, as it came."""

    counts: dict[tuple[int, str], store.Counts] = field(default_factory=dict)
    health: dict[tuple[int, str], bytes] = field(default_factory=dict)

    def of(self, site_id: int, source: str) -> store.Counts:
        return self.counts.setdefault((site_id, source), store.Counts())


class Pipeline:
    """The one thread that stores. ``publish(topic, payload)`` sends a receipt; it must not block."""

    def __init__(
        self,
        database: Database,
        *,
        batch_rows: int,
        linger_s: float,
        most_messages: int,
        publish: Publish | None = None,
        lead: Lead | None = None,
    ) -> None:
        self.database = database
        self.lead = Lead(database, worker=1, workers=1) if lead is None else lead
        self.inbox = Inbox(most_messages=most_messages)
        self._line = database.line()
        self.writer = Writer(database, line=self._line)
        self.writer.fresh_us = self._fresh_us
        self.writer.shared = self.lead.workers > 1
        self.publish = publish
        self._gatherer = Gatherer(self.inbox, self._admit, self._prepare, batch_rows=batch_rows, linger_s=linger_s)
        self._failure: BaseException | None = None
        self.lock = threading.Lock()
        self.tally = Tally()
        self.drops = Drops()
        self.heard: dict[tuple[int, str], float] = {}  # source → when it was last heard, monotonic; read by the watch
        self.stored_at = time.monotonic()  # when this thread last stored, or had nothing to store
        self.clock: Clock = LIVE
        self.release_wanted = threading.Event()
        self._snapshot = Snapshot()
        self._site_codes: dict[int, str] = {}
        self._told_otherwise: set[tuple[int, str]] = set()
        self._loaded = 0.0
        self._log = log.get("ingest")

    def prepare(self) -> None:
        """Read what must be known before the first message. Raises when the database is away."""
        self.writer.recover()
        self.reload()

    def reload(self) -> None:
        """Read sites, devices, bindings and the plant clock."""
        with self.database.ingest_tx() as conn:
            snapshot = store.snapshot(conn)
        self._snapshot = snapshot
        self._site_codes = {site_id: code for code, site_id in snapshot.sites.items()}
        self._loaded = time.monotonic()

    def now_us(self) -> int:
        """The plant's time."""
        return to_us(self.clock.now())

    def _fresh_us(self) -> int:
        return self.now_us() - int(FRESH_S * 1e6 * max(self.clock.factor, 1.0))

    def give_back(self, tally: Tally) -> None:
        """Counts that could not be written are counted on."""
        with self.lock:
            for (site_id, source), counts in tally.counts.items():
                self.tally.of(site_id, source).add(counts)
            self.tally.health = tally.health | self.tally.health

    def run(self, stop: threading.Event) -> None:
        """Store until ``stop`` is set; what is left unstored then was not acked. Raises what ended the decoding."""
        decoding = threading.Thread(target=self._decode_all, args=(stop,), name="ingest-decode", daemon=True)
        decoding.start()
        while not stop.is_set() and self._failure is None:
            batch = self._gatherer.take(within_s=WAIT_S)
            self.stored_at = time.monotonic()
            if batch is not None:
                self._keep(batch, stop)
            elif self.release_wanted.is_set() and self.lead.held:
                self.release_wanted.clear()
                self._release(stop)
        self.inbox.close()
        if self._failure is not None:
            raise self._failure
        decoding.join(FINISH_S)
        self._line.close()

    def _decode_all(self, stop: threading.Event) -> None:
        try:
            self._gatherer.run(stop)
        except BaseException as error:  # noqa: BLE001 - raised again by run()
            self._failure = error

    def _admit(self, delivery: Delivery) -> Item | None:
        """Decode one delivery. One of an unknown site is counted and dropped."""
        site_id = self._snapshot.sites.get(delivery.site)
        if site_id is None and self._is_stale():
            self._try_reload()
            site_id = self._snapshot.sites.get(delivery.site)
        if site_id is None:
            self._drop(delivery, Reason.UNKNOWN_SITE)
            return None
        message = admit.read(delivery, site_id=site_id, keys=self._snapshot.keys)
        if admit.is_suspect(message) and self._is_stale():
            self._try_reload()
            message = admit.read(delivery, site_id=site_id, keys=self._snapshot.keys)
        heard = Heard(site_id, delivery.source, message, delivery.origin, delivery.topic)
        return Item(delivery, heard, admit.rows(message))

    def _drop(self, delivery: Delivery, reason: Reason) -> None:
        self.drops.count(reason, site=delivery.site, device=delivery.source, topic=delivery.topic)
        delivery.ack()

    def _prepare(self, items: Sequence[Item]) -> Batch:
        """Look everything up and make it ready to be stored."""
        heard = [item.heard for item in items]
        if self._is_stale() and unknown(heard, self._snapshot):
            self._try_reload()
        heard = [nameless(each, self._snapshot) for each in heard]
        resolved = resolve(heard, self._snapshot, now_us=self.now_us())
        return Batch(items, heard, resolved, prepare(resolved))

    def _keep(self, batch: Batch, stop: threading.Event) -> None:
        """Store a batch whatever happens, then ack; returns unstored only when ``stop`` is set."""
        try:
            kept = self._insist(batch, stop)
        except REFUSED as error:
            self._split(batch.items, error, stop)
            return
        if kept is not None:
            self._settle(batch, kept)

    def _split(self, items: Sequence[Item], error: Exception, stop: threading.Event) -> None:
        if len(items) == 1:
            self._poison(items[0], error, stop)
            return
        middle = len(items) // 2
        self._keep(self._prepare(items[:middle]), stop)
        self._keep(self._prepare(items[middle:]), stop)

    def _poison(self, item: Item, error: Exception, stop: threading.Event) -> None:
        """The store refuses this very message: keep it aside, so that it never comes again."""
        self._log.error("ingest.poison", source=item.heard.source, topic=item.heard.topic, error=str(error)[:300])
        detail = f"{type(error).__name__}: {error}"
        fault = Fault("", Reason.POISON, detail, _raw(item.delivery), item.rows)
        message = item.heard.message
        kept_aside = Message((), (fault,), message.epoch, message.seq, message.lane)
        heard = Heard(item.heard.site_id, item.heard.source, kept_aside, item.heard.origin, item.heard.topic)
        batch = self._prepare([Item(item.delivery, heard, item.rows)])
        try:
            kept = self._insist(batch, stop)
        except REFUSED:
            self._drop(item.delivery, Reason.POISON)
            return
        if kept is not None:
            self._settle(batch, kept)

    def _insist(
        self,
        batch: Batch,
        stop: threading.Event,
        *,
        doubt: Doubt = Doubt.NONE,
        origin: From = From.WIRE,
        also: Callable[[psycopg.Connection], None] | None = None,
    ) -> Kept | None:
        """Flush until it is done; None when ``stop`` came first. Raises one of REFUSED."""
        pause = BACKOFF_S[0]
        while not stop.is_set():
            try:
                return self.writer.flush(
                    batch.heard, batch.resolved, prepared=batch.prepared, doubt=doubt, origin=origin, also=also
                )
            except REFUSED:
                raise
            except AWAY as error:
                self._log.warning("ingest.retry", error=" ".join(str(error).split())[:300], messages=len(batch.heard))
                doubt = Doubt.ALL
                self.writer.forget()
                self._line.close()
                self.database.close()  # a pool backs off for up to minutes; a new one connects at once
                stop.wait(pause)
                pause = min(pause * 2, BACKOFF_S[1])
        return None

    def _settle(self, batch: Batch, kept: Kept) -> None:
        """After the commit: ack every message once, tell the publishers, count."""
        for item in batch.items:
            item.delivery.ack()
        if self.publish is not None:
            for site_id, source, receipt in kept.receipts:
                self._tell(self.publish, site_id, source, receipt)
        self._count(batch, kept)
        for index in kept.otherwise:
            self._note_otherwise(batch.items[index])

    def _note_otherwise(self, item: Item) -> None:
        """A number that came before with other content: it is not stored, counted among the drops, and told once."""
        delivery, message = item.delivery, item.heard.message
        self.drops.count(Reason.BAD_SEQUENCE, site=delivery.site, device=delivery.source, topic=delivery.topic)
        key = (item.heard.site_id, item.heard.source)
        if key not in self._told_otherwise and len(self._told_otherwise) < MOST_TOLD:
            self._told_otherwise.add(key)
            self._log.warning(
                "ingest.number_said_twice", source=delivery.source, epoch=message.epoch, seq=message.seq,
                detail="This number came before with other content: the sender must not use one twice.",
            )  # fmt: skip

    def _tell(self, publish: Publish, site_id: int, source: str, receipt: Receipt) -> None:
        code = self._site_codes.get(site_id)
        if code is not None:
            publish(topics.receipt(code, source), receipt.encode())

    def _count(self, batch: Batch, kept: Kept) -> None:
        refused: dict[int, int] = {}
        for entry in batch.resolved.entries:
            if kept.new[entry.message]:
                refused[entry.message] = refused.get(entry.message, 0) + entry.readings
        newest = _newest(batch.resolved)
        now_us, heard_at = self.now_us(), time.monotonic()
        with self.lock:
            for index, item in enumerate(batch.items):
                counts = self._count_one(item, kept.samples_of.get(index, 0), refused.get(index, 0))
                if index in newest and item.heard.message.lane is Lane.LIVE:
                    _note_newest(counts, newest[index], now_us)
                self._note_life(item, heard_at)

    def _count_one(self, item: Item, stored: int, refused: int) -> store.Counts:
        """Gauges; what is summed up is written by the flush itself."""
        heard = item.heard
        counts = self.tally.of(heard.site_id, heard.source)
        counts.kind = item.delivery.kind
        counts.messages += 1
        counts.samples += stored
        counts.quarantined += refused
        counts.duplicates += max(item.rows - stored - refused, 0)
        counts.unsequenced += heard.message.seq is None
        return counts

    def _note_life(self, item: Item, heard_at: float) -> None:
        """A registered sender was heard; a gateway's word on itself is kept for the keeper."""
        key = (item.heard.site_id, item.heard.source)
        if item.heard.origin is Origin.DEVICE and self._snapshot.devices.get(key) is not Standing.REGISTERED:
            return
        self.heard[key] = heard_at
        content = item.delivery.content
        if isinstance(content, Raw) and content.codec == HEALTH and not item.heard.message.faults:
            self.tally.health[key] = content.payload

    def _release(self, stop: threading.Event) -> None:
        """Store what waited in quarantine for its binding; settles the entries in the same transaction."""
        after = 0
        while not stop.is_set():
            try:
                self.reload()
                found = waiting(self.database, self._snapshot, after=after)
            except AWAY as error:
                self._log.warning("ingest.release", error=str(error)[:300])
                self.release_wanted.set()
                return
            if found.last is None:
                return
            after = found.last
            if not found.ids:
                continue
            resolved = resolve(found.heard, self._snapshot, now_us=self.now_us())
            batch = Batch((), found.heard, resolved, prepare(resolved))
            kept = self._insist(batch, stop, doubt=Doubt.ALL, origin=From.QUARANTINE, also=found.settle)
            if kept is not None:
                self._log.info("ingest.released", entries=len(found.ids), samples=kept.stored)

    def _is_stale(self) -> bool:
        return time.monotonic() - self._loaded > RELOAD_S

    def _try_reload(self) -> None:
        try:
            self.reload()
        except AWAY as error:
            self._log.warning("ingest.reload", error=str(error)[:300])


def _newest(resolved: Resolved) -> dict[int, int]:
    """Message index → its newest sample's time. Rows are resolved message by message."""
    if not len(resolved.message):
        return {}
    starts = np.flatnonzero(np.diff(resolved.message, prepend=-1))
    newest = np.maximum.reduceat(resolved.batch.at_us, starts)
    return dict(zip(resolved.message[starts].tolist(), newest.tolist(), strict=True))


def _note_newest(counts: store.Counts, at_us: int, now_us: int) -> None:
    if at_us >= (counts.last_sample_us or at_us):
        counts.last_sample_us = at_us
        counts.lag_s = (now_us - at_us) / 1e6  # to when it was stored


def _raw(delivery: Delivery) -> bytes:
    return delivery.content.payload if isinstance(delivery.content, Raw) else b""
