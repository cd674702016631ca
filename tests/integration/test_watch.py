"""The watch against a real database, in a time of its own: cut off, stalled, restarted."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pytest
from psycopg import Connection

from core.database import Database
from ingest import faults
from ingest.pipeline import Pipeline
from ingest.watch import EVERY_S, Watch
from plant.model import SampleBatch
from tests.integration.ingest_kit import make_plant

Fault = tuple[str, str, datetime | None, dict[str, object]]


@dataclass
class Bench:
    """A watch over one gateway with six signals; time passes only when told to."""

    database: Database
    site: int
    tags: dict[str, int]
    now: float = field(default_factory=lambda: float(round(time.monotonic())))
    up: bool = True
    storing: bool = True
    sends: bool = True
    watch: Watch = field(init=False)
    pipeline: Pipeline = field(init=False)

    def start(self) -> None:
        """A new ingest process."""
        self.pipeline = Pipeline(self.database, batch_rows=100, linger_s=0.1, most_messages=10)
        self.watch = Watch(self.database, self.pipeline, lambda: self.up, settle_s=1.0)
        self.watch._begin()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / EVERY_S)):
            self.now = round(self.now + EVERY_S, 1)  # errors that add up would make it miss its seconds
            if self.storing:
                self.pipeline.stored_at = self.now
            if self.sends and self.up and self.storing and round(self.now * 10) % 10 == 0:
                self._hear()
            self.watch.look(self.now)

    def _hear(self) -> None:
        ids = np.array(sorted(self.tags.values()), np.int32)
        at_us = np.full(len(ids), round(self.now * 1e6), np.int64)
        batch = SampleBatch(ids, at_us, np.ones(len(ids)), np.zeros(len(ids), np.uint8))
        with self.pipeline.writer.lock:
            self.pipeline.writer.newest.advance(batch, np.full(len(ids), self.site, np.int16))
        with self.pipeline.lock:
            self.pipeline.heard[self.site, "gw"] = self.now


@pytest.fixture
def bench(database: Database, site: int) -> Bench:
    made = Bench(database, site, make_plant(database, site, machines=2))
    made.start()
    made.run(15)
    return made


def told(conn: Connection) -> list[Fault]:
    return conn.execute("select kind, source, ended_at, detail from source_faults order by fault_id").fetchall()


def test_cut_off_from_the_broker_is_one_fault_that_ends_with_the_data(bench: Bench, superuser: Connection) -> None:
    bench.up = False
    bench.run(9)
    assert told(superuser) == []
    bench.run(30)
    ((kind, source, ended_at, detail),) = told(superuser)
    assert (kind, source, ended_at, detail["why"]) == ("many", "", None, "broker")
    bench.up = True
    bench.run(5)
    ((*_, ended_at, _),) = told(superuser)
    assert ended_at is not None


def test_while_we_cannot_store_nobody_is_silent(bench: Bench, superuser: Connection) -> None:
    bench.storing = False
    bench.run(60)
    bench.storing = True
    bench.run(10)
    bench.now += 300  # stopped ourselves, and woken again
    bench.run(10)
    assert told(superuser) == []


def test_a_fault_outlives_us_and_is_not_opened_twice(bench: Bench, superuser: Connection) -> None:
    bench.sends = False
    bench.run(5)
    assert [(kind, source) for kind, source, *_ in told(superuser)] == [("source", "gw")]
    bench.start()  # killed and begun anew
    bench.run(30)
    assert len(told(superuser)) == 1
    bench.sends = True
    bench.run(5)
    assert told(superuser)[0][2] is not None


def test_a_source_that_ingest_cannot_reach_is_said_with_the_reason(bench: Bench, superuser: Connection) -> None:
    superuser.execute("insert into sources (site_id, name, kind, url) values (%s, 'plc', 'opcua', 'x')", (bench.site,))
    superuser.execute(
        """insert into source_status (site_id, source, kind, state, detail, state_since)
           values (%s, 'plc', 'opcua', 'lost', 'connection refused', now() - interval '6 s')""",
        (bench.site,),
    )
    bench.run(2)
    ((kind, source, _, detail),) = told(superuser)
    assert (kind, source, detail["why"]) == ("source", "plc", "connection refused")
    superuser.execute("update source_status set state = 'connected' where source = 'plc'")
    bench.run(2)
    assert told(superuser)[0][2] is not None


def test_the_pace_of_tags_outlives_a_restart(bench: Bench, database: Database) -> None:
    with database.ingest_tx() as conn:
        assert set(faults.paces(conn)) == set(bench.tags.values())
