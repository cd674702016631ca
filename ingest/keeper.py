"""Beside the pipeline, about once a second: last values, counts, rollups, and word of changed bindings.

Everything here is a cache or can be made again: when the database is away it is tried again a second later.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from datetime import timedelta

import psycopg
from psycopg import Connection

from core import clock, log
from core.database import INGEST, Database
from core.errors import Unavailable
from edge.codecs import health
from edge.reasons import DecodeError
from ingest import accounts, drops, faults, store
from ingest.pipeline import AWAY, Pipeline, Tally
from ingest.store import Sharing
from plant import engine, retention, rollups

EVERY_S = 1.0
ROLL_EVERY_S = 5.0
ROLL_SHARE = 0.1  # of the time goes into rollups at most
BEHIND_SHARE = 0.5  # unless there is more to do than one turn can
CHORES_EVERY_S = 3600.0
FIRST_BITE_S = 60.0  # after a start, retention waits for what is on its way
SETTLED_AFTER = timedelta(seconds=5)
KEEP_LEDGER = timedelta(days=7)
KEEP_BATCHES = timedelta(days=7)
CHANNEL = "millwright_plant"
LAG_S = 10.0  # plant seconds that a sample may take from its own time to the store
LATE_AFTER = timedelta(minutes=1)
LAST_VALUES = "last_values"  # notice of another process that stored samples


class Keeper:
    """Runs in a thread of its own; ``settle`` once more at the end leaves everything written."""

    def __init__(self, database: Database, pipeline: Pipeline) -> None:
        self.database, self.pipeline = database, pipeline
        self._listener: Connection | None = None
        self._last = time.monotonic()
        self._settled = 0
        self._next_roll = 0.0
        self._next_chores = time.monotonic() + 60.0
        self._next_bite = time.monotonic() + FIRST_BITE_S
        self._sharing = Sharing.SHARED if pipeline.lead.workers > 1 else Sharing.ALONE
        self._log = log.get("ingest")

    def run(self, stop: threading.Event) -> None:
        """Keep until ``stop`` is set."""
        self._say_engine()
        while not stop.is_set():
            try:
                self._hear()
                self.settle()
                self.pipeline.lead.renew()
                if self.pipeline.lead.held:
                    self._roll()
                    self._chores()
                    self._retain()
            except AWAY as error:
                self._log.warning("keeper.retry", error=" ".join(str(error).split())[:300])
                self._hang_up()
                self.pipeline.lead.give_up()
                stop.wait(EVERY_S)
        self._hang_up()
        self.pipeline.lead.give_up()

    def settle(self) -> None:
        """Write last values and counts; what could not be written stays to be written."""
        writer, pipeline = self.pipeline.writer, self.pipeline
        with writer.lock:
            batch, site_ids = writer.newest.take_dirty()
            last_batch = writer.last_batch
        missing, writer.missing = writer.missing, {}
        with pipeline.lock:
            tally, pipeline.tally = pipeline.tally, Tally()
        dropped = pipeline.drops.take()
        elapsed, self._last = time.monotonic() - self._last, time.monotonic()
        for counts in tally.counts.values():
            counts.rate = counts.samples / max(elapsed, 0.1)
        try:
            with self.database.ingest_tx() as conn:
                rollups.upsert_latest(conn, batch, site_ids=site_ids)
                accounts.beat(conn)
                accounts.fold(conn)
                if self._sharing is Sharing.SHARED and pipeline.lead.held:
                    accounts.rate(conn)
                store.write_status(
                    conn, tally.counts, most_lag_s=LAG_S * max(1.0, pipeline.clock.factor), shared=self._sharing
                )
                _write_reports(conn, tally.health)
                accounts.write_missing(conn, missing)
                faults.late(conn, after=LATE_AFTER)
                drops.write(conn, dropped)
                store.rest(conn, seen_within=timedelta(seconds=3 * EVERY_S))
                for site_id in sorted(set(site_ids.tolist())):
                    store.notify_live(conn, site_id, "telemetry")
                for site_id in sorted({site for (site, _), each in tally.counts.items() if each.quarantined}):
                    store.notify_live(conn, site_id, "quarantine")
                self.pipeline.clock = clock.load(conn)
        except (psycopg.Error, Unavailable):
            with writer.lock:
                writer.newest.put_back(batch)
            pipeline.give_back(tally)
            pipeline.drops.give_back(dropped)
            raise
        self._settled = last_batch

    def _hear(self) -> None:
        """Wait up to a second for word of a change; then read it all, and look at the quarantine."""
        if self._listener is None:
            self._listener = self.database.connect(role=INGEST)
            self._listener.execute("listen millwright_plant")
            told = {"all"}
        else:
            told = {notice.payload for notice in self._listener.notifies(timeout=EVERY_S, stop_after=1)}
            told |= {notice.payload for notice in self._listener.notifies(timeout=0)}
        if told:
            self.pipeline.reload()
        if told & {"all", "bindings"}:
            self.pipeline.release_wanted.set()
        if told & {"all", LAST_VALUES}:
            self.pipeline.writer.reload_newest()

    def _roll(self) -> None:
        """Rollups never go beyond batches whose last values are written: after a crash the rest is caught up."""
        if time.monotonic() < self._next_roll:
            return
        began = time.monotonic()
        looked_at = 1
        while looked_at and time.monotonic() - began < ROLL_EVERY_S:
            with self.database.ingest_tx() as conn:
                looked_at = rollups.roll(conn, until_batch=self._may_roll(conn))
        spent = time.monotonic() - began
        share = BEHIND_SHARE if looked_at else ROLL_SHARE
        self._next_roll = time.monotonic() + max(ROLL_EVERY_S, spent / share)

    def _may_roll(self, conn: Connection) -> int:
        """Batches up to this one have their last values written. Of other processes that is known by their age; what
        one that died did not write is taken from the samples."""
        if self.pipeline.lead.workers == 1:
            return self._settled
        if not self.pipeline.lead.all_alive(conn):
            rollups.catch_up_latest(conn)
        return rollups.last_batch(conn, older_than=SETTLED_AFTER)

    def _chores(self) -> None:
        if time.monotonic() < self._next_chores:
            return
        self._next_chores = time.monotonic() + CHORES_EVERY_S
        with self.database.ingest_tx() as conn:
            store.compact_ledger(conn, older_than=KEEP_LEDGER)
            rollups.forget_batches(conn, older_than=KEEP_BATCHES)

    def _retain(self) -> None:
        """One bite of what retention takes, hourly until it has enough: last values do not wait for the whole meal."""
        if time.monotonic() < self._next_bite:
            return
        with self.database.ingest_tx() as conn:
            taken = retention.apply(conn, now=self.pipeline.clock.now())
        if taken != retention.Applied():
            self._log.info(
                "retention", days=taken.days, samples=taken.samples, rollups=taken.rollups, waves=taken.waves
            )
        self._next_bite = time.monotonic() + (0.0 if taken.more else CHORES_EVERY_S)

    def _say_engine(self) -> None:
        with contextlib.suppress(*AWAY), self.database.ingest_tx() as conn:
            for feature in engine.describe(conn):
                self._log.info("store.engine", feature=feature.name, on=feature.on, why=feature.sentence["en"])

    def _hang_up(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _write_reports(conn: Connection, reports: Mapping[tuple[int, str], bytes]) -> None:
    """What gateways say of themselves; the codec has read each of them before."""
    for (site_id, source), payload in reports.items():
        with contextlib.suppress(DecodeError):
            accounts.write_report(conn, site_id, source, health.read(payload))
