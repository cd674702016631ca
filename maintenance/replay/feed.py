"""Samples of the live store, in the order in which they arrived, into the sandbox as ingest stores them.

What was late is held back until the moment at which it was brought in live, and then comes all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from core.database import Database
from plant import rollups, telemetry
from plant.model import SampleBatch
from plant.times import HOUR_US

CHUNK_US = 12 * HOUR_US
ALL_BATCHES = 2**62


@dataclass(frozen=True, slots=True)
class Arrival:
    """Samples of (from, until] that came late, and which rejudging of their asset had them (``None``: none yet)."""

    asset_id: int
    signals: Sequence[int]
    from_us: int
    until_us: int
    released_us: int | None


def first_us(conn: Connection) -> int | None:
    """Time of the site's oldest kept sample."""
    row = conn.execute("select (extract(epoch from min(at)) * 1000000)::int8 from samples").fetchone()
    return None if row is None else row[0]


def arrivals(conn: Connection) -> list[Arrival]:
    """Every late arrival, with the moment at which its asset was judged again after it had come."""
    rows = conn.execute(
        """select asset_id, signals, from_us, until_us,
             (select (extract(epoch from min(m.at)) * 1000000)::int8 from replay_marks m
              where m.what = 'rejudged' and m.asset_id = a.asset_id and m.wall_at >= a.noted_at)
           from late_arrivals a order by arrival_id"""
    )
    return [Arrival(*row) for row in rows]


class Feed:
    """Moves samples forward; ``to`` everything up to a time that was not late, ``release`` what was."""

    def __init__(self, live: Database, sandbox: Database, site_id: int, *, begin_us: int, late: Sequence[Arrival]):
        self._live, self._sandbox, self._site = live, sandbox, site_id
        self.at_us = self._read_us = begin_us
        self._late = list(late)
        self._held: list[SampleBatch] = []
        self._chunk = _empty()
        self.samples = 0
        with live.tx(site_id=site_id) as conn:
            self._ids = [row[0] for row in conn.execute("select signal_id from signals order by 1")]

    def to(self, until_us: int) -> int:
        """Store what was there by then; returns how many samples."""
        count = 0
        while self.at_us < until_us:
            if self._read_us <= self.at_us:
                self._read(self.at_us)
            end_us = min(until_us, self._read_us)
            rows = np.flatnonzero((self._chunk.at_us > self.at_us) & (self._chunk.at_us <= end_us))
            count += self._store(_take(self._chunk, rows), np.ones(len(rows), np.bool_))
            self.at_us = end_us
        return count

    def release(self, asset_id: int, at_us: int) -> int:
        """Store what came late and was brought in at this moment; returns how many samples."""
        mine = [each for each in self._late if each.asset_id == asset_id and each.released_us == at_us]
        count = 0
        for batch in self._held:
            rows = np.flatnonzero(_within(batch, mine))
            count += self._store(_take(batch, rows), None)
        self._held = [_take(batch, np.flatnonzero(~_within(batch, mine))) for batch in self._held]
        self._late = [each for each in self._late if each not in mine]
        return count

    def roll(self) -> None:
        """Bring minutes and hours up to date, for those who compare signals before and after a repair."""
        with self._sandbox.ingest_tx() as conn:
            while rollups.roll(conn, until_batch=ALL_BATCHES):
                pass

    def _read(self, after_us: int) -> None:
        with self._live.tx(site_id=self._site) as conn:
            self._chunk = telemetry.read_frame_samples(conn, self._ids, after_us, after_us + CHUNK_US)
        self._read_us = after_us + CHUNK_US
        held = _within(self._chunk, [each for each in self._late if each.until_us > after_us])
        if held.any():
            self._held.append(_take(self._chunk, np.flatnonzero(held)))
            self._chunk = _take(self._chunk, np.flatnonzero(~held))

    def _store(self, batch: SampleBatch, fresh: npt.NDArray[np.bool_] | None) -> int:
        if not len(batch):
            return 0
        sites = np.full(len(batch), self._site, np.int16)
        newest = _newest(batch)
        with self._sandbox.ingest_tx() as conn:
            telemetry.ensure_days(conn, np.unique(batch.at_us // telemetry.DAY_US).tolist())
            telemetry.write(conn, batch, site_ids=sites)
            rollups.upsert_latest(conn, _take(batch, newest), site_ids=sites[newest])
            rollups.note(conn, rollups.touched(batch, fresh=fresh))
        self.samples += len(batch)
        return len(batch)


def _within(batch: SampleBatch, late: Sequence[Arrival]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(batch), np.bool_)
    for each in late:
        found |= (batch.at_us >= each.from_us) & (batch.at_us <= each.until_us) & np.isin(batch.signal_id, each.signals)
    return found


def _newest(batch: SampleBatch) -> npt.NDArray[np.intp]:
    """The row of each signal's newest sample."""
    order = np.lexsort((batch.at_us, batch.signal_id))
    last = np.flatnonzero(np.diff(batch.signal_id[order], append=-1))
    return order[last]


def _take(batch: SampleBatch, rows: npt.NDArray[np.intp]) -> SampleBatch:
    return SampleBatch(batch.signal_id[rows], batch.at_us[rows], batch.value[rows], batch.quality[rows])


def _empty() -> SampleBatch:
    return SampleBatch(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8))
