"""Old data through the lane that forgets nothing and doubles nothing: the same day twice changes nothing.

columns(database, site_id=1, source="historian", columns={"P-1/t": (at_us, value)})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from psycopg import Connection

from core import clock
from core.database import Database
from edge.delivery import Lane, Message, Origin
from ingest import store
from ingest.keeper import CHANNEL, LAST_VALUES
from ingest.newest import sort_and_drop_twins
from ingest.release import waiting
from ingest.resolve import Heard, Resolved, resolve
from ingest.writer import Doubt, Writer
from plant import rollups
from plant.model import Quality, Reading, SampleBatch
from plant.telemetry import to_us

BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Totals:
    """Samples stored, there already, and kept aside."""

    stored: int
    twins: int
    quarantined: int

    def __add__(self, other: Totals) -> Totals:
        return Totals(self.stored + other.stored, self.twins + other.twins, self.quarantined + other.quarantined)


def columns(
    database: Database,
    *,
    site_id: int,
    source: str,
    columns: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
) -> Totals:
    """Store whole columns: tag → (µs since epoch int64[n], value float64[n]). Their tags should be bound."""
    return readings(database, site_id=site_id, source=source, readings=_readings(source, columns))


def readings(database: Database, *, site_id: int, source: str, readings: Iterable[Reading]) -> Totals:
    """Store readings of any time between 1900 and 2200, in commits of about ``BATCH_ROWS`` samples.

    Every sample is looked up first, so ingest may run beside. Raises what psycopg raises; then do it again.
    """
    lane = BackfillLane(database, site_id=site_id, source=source)
    total = Totals(0, 0, 0)
    for part in _parts(readings):
        total += lane.store(part)
    return total


class BackfillLane:
    """Stores piece after piece of one source; the bindings are those of its making."""

    def __init__(self, database: Database, *, site_id: int, source: str) -> None:
        self._writer, self._site_id, self._source = Writer(database), site_id, source
        with database.ingest_tx() as conn:
            self._snapshot = store.snapshot(conn)
            self._now_us = to_us(clock.load(conn).now())

    def is_bound(self, tag: str) -> bool:
        """Whether the source's tag brings a signal."""
        return (self._site_id, self._source, tag) in self._snapshot.bound

    def bound_tags(self) -> list[str]:
        """The source's tags that bring signals, by name."""
        return sorted(
            tag for site, source, tag in self._snapshot.bound if (site, source) == (self._site_id, self._source)
        )

    def store(self, readings: tuple[Reading, ...], *, also: Callable[[Connection], None] | None = None) -> Totals:
        """Store readings in one transaction, which ``also`` joins. Raises what psycopg raises; then do it again."""
        heard = [Heard(self._site_id, self._source, Message(readings, lane=Lane.HISTORY), Origin.CONFIGURED)]
        return _flush(self._writer, heard, resolve(heard, self._snapshot, now_us=self._now_us), also)


def release(database: Database) -> Totals:
    """Store what waits in quarantine and is bound by now, where no ingest process runs to do so."""
    writer = Writer(database)
    total = Totals(0, 0, 0)
    with database.ingest_tx() as conn:
        snapshot = store.snapshot(conn)
        now_us = to_us(clock.load(conn).now())
    last: int | None = 0
    while last is not None:
        found = waiting(database, snapshot, after=last)
        last = found.last
        if not found.ids:
            continue
        resolved = resolve(found.heard, snapshot, now_us=now_us)
        kept = writer.flush(found.heard, resolved, doubt=Doubt.ALL, also=found.settle)
        total += Totals(kept.stored, kept.twins, kept.quarantined)
    return total


def _flush(
    writer: Writer, heard: list[Heard], resolved: Resolved, also: Callable[[Connection], None] | None = None
) -> Totals:
    def tell(conn: Connection) -> None:
        if also is not None:
            also(conn)
        batch, order = sort_and_drop_twins(resolved.batch)
        last = np.flatnonzero(np.diff(batch.signal_id, append=-1))
        newest = SampleBatch(batch.signal_id[last], batch.at_us[last], batch.value[last], batch.quality[last])
        rollups.upsert_latest(conn, newest, site_ids=resolved.site_ids[order][last])
        conn.execute("select pg_notify(%s, %s)", (CHANNEL, LAST_VALUES))

    kept = writer.flush(heard, resolved, doubt=Doubt.ALL, also=tell)
    return Totals(kept.stored, kept.twins, kept.quarantined)


def _readings(source: str, columns: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]) -> Iterable[Reading]:
    for tag, (at_us, value) in columns.items():
        at, values = np.asarray(at_us, np.int64), np.asarray(value, np.float64)
        for start in range(0, len(at), BATCH_ROWS):
            rows = slice(start, start + BATCH_ROWS)
            quality = np.full(len(at[rows]), Quality.GOOD, np.uint8)
            yield Reading(source, tag, at[rows], values[rows], quality)


def _parts(readings: Iterable[Reading]) -> Iterable[tuple[Reading, ...]]:
    """Readings in groups of about a commit's size."""
    source = iter(readings)
    while first := tuple(islice(source, 1)):
        part, rows = list(first), len(first[0].at_us)
        while rows < BATCH_ROWS and (more := tuple(islice(source, 1))):
            part.extend(more)
            rows += len(more[0].at_us)
        yield tuple(part)
