"""Lag is told within a second of the truth; late data for a minute are an alert that ends with data in time."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

from psycopg import Connection

from core.database import Database
from ingest import accounts, faults, store
from ingest.counts import Counted
from ingest.store import Sharing
from tests.conftest import RunningBroker
from tests.integration.ingest_kit import make_plant, publisher, running_ingest, wait_until

AT_ONCE = timedelta(0)


def test_lag_is_told_as_it_is_and_alerted(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path, superuser: Connection
) -> None:
    make_plant(database, site)
    with running_ingest(database, mosquitto.port, tmp_path / "log"), publisher(mosquitto.port) as client:

        def send(age_s: float) -> float:
            """Publish a sample that is so old; its lag as told once it is."""
            payload = {"v": age_s, "t_us": time.time_ns() // 1000 - round(age_s * 1e6)}
            client.publish("mw/v1/plant/gw/s/M-0/s0", json.dumps(payload), qos=1).wait_for_publish(10)
            kept = "select count(*) from samples where value = %s"
            wait_until(lambda: superuser.execute(kept, (age_s,)).fetchone() == (1,), what="the sample")
            asked = "select lag_s from source_status where lag_s between %s and %s"
            near = (age_s - 1, age_s + 1)
            wait_until(lambda: superuser.execute(asked, near).fetchone() is not None, within_s=5, what="the lag")
            row = superuser.execute(asked, near).fetchone()
            assert row is not None
            return float(row[0])

        assert 0 <= send(0.001) < 1
        assert superuser.execute("select lagging_since from source_status").fetchone() == (None,)
        assert 100 <= send(100.0) < 101
        with database.ingest_tx() as conn:
            faults.late(conn, after=timedelta(minutes=1))
            assert conn.execute("select count(*) from source_faults").fetchone() == (0,)
            faults.late(conn, after=AT_ONCE)
            faults.late(conn, after=AT_ONCE)
        row = superuser.execute("select kind, source, (detail->>'lag_s')::float from source_faults").fetchone()
        assert row is not None and row[:2] == ("lag", "gw") and 100 <= row[2] < 101
        assert send(0.002) < 1  # newer than the late one
        wait_until(
            lambda: superuser.execute("select ended_as from source_faults").fetchone() == ("heard",),
            within_s=5,
            what="the end of the alert",
        )


def test_the_rate_that_several_processes_share_is_told_by_one(
    database: Database, site: int, superuser: Connection
) -> None:
    with database.ingest_tx() as conn:
        for rate in (5.0, 7.0):
            counts = {(site, "gw"): store.Counts(messages=1, samples=5, rate=rate)}
            store.write_status(conn, counts, most_lag_s=10.0, shared=Sharing.SHARED)
            accounts.count(conn, [Counted(site, "gw", heard=50, messages=1, samples=50)])
            accounts.fold(conn)
        accounts.rate(conn)
        conn.execute("update source_status set rated_at = now() - interval '2 s', rated = 40")
        accounts.rate(conn)
    assert superuser.execute("select rate, samples from source_status").fetchone() == (30.0, 100)
