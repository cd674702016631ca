"""What it costs to look at the store: a day of one signal, the newest of ten thousand, bytes a sample.

python -m benchmarks.store_figures [--quick] [--seed N] [--database-url URL]

Ten million samples of one day, each signal every second, go in by the COPY of the lane, 100 seconds a commit, and are
rolled up as ingest does it. ``view_day_ms`` is a plot of one signal over that day, a point a minute, another signal
each time; ``view_day_raw_ms`` the same from the samples themselves; ``latest_10k_ms`` the newest values of 10,000
signals. All as the app role under row-level security, from the call to numpy columns or objects; medians. *Cold* is the
first view after the server was started anew, its files put out of the page cache and a fresh connection; only of a
server that this benchmark runs itself. The URL is a superuser's: a database of its own is made there and dropped.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.result import finish
from core import log, places
from core.database import Database, migrate
from core.embedded import EmbeddedServer
from core.secrets import load_or_create
from plant import engine, rollups, telemetry
from plant.assets import create_asset
from plant.model import SampleBatch
from plant.telemetry import Resolution
from plant.times import DAY_US, from_us

ROWS, QUICK_ROWS = 10_000_000, 1_000_000
DAY_S = 86_400
COMMIT_S = 100
START_US = 1_704_067_200_000_000  # a midnight, far from the days that other benchmarks fill
LATEST = 10_000
REPEATS, COLD_REPEATS = 31, 3
GOALS = {"view_day_ms": "<= 20", "latest_10k_ms": "<= 50"}


def main(argv: list[str] | None = None) -> int:
    """Fill a store, measure it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the sample values")
    parser.add_argument("--database-url", help="a superuser's URL of a server of your own; unset = embedded")
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    rows = QUICK_ROWS if chosen.quick else ROWS
    place = embedded() if chosen.database_url is None else external(chosen.database_url)
    with place as (database, restart):
        found = figures(database, rows=rows, seed=chosen.seed, restart=restart)
        print(f"  samples lie {store_of(database)}")
        database.close()
    finish("store_figures", broker="none", figures=found, goals=GOALS)
    return 0


def figures(
    database: Database, *, rows: int = ROWS, seed: int = 1, restart: Callable[[], None] | None = None
) -> dict[str, float]:
    """Fill a migrated database with about so many rows of a day of its own, and look at it.

    ``restart`` stops the server, makes it forget its files, and starts it; without it nothing is measured cold.
    """
    site_id, signal_ids = make_plant(database, max(1, round(rows / DAY_S)))
    count = DAY_S * len(signal_ids)
    copying, rolling = fill(database, site_id, signal_ids, seed)
    found = {
        "rows": float(count),
        "copy_rows_s": round(count / copying),
        "roll_s_per_m_rows": round(rolling / (count / 1e6), 3),
        "bytes_per_sample": round(bytes_on_disk(database) / count, 2),
    }
    found |= look(database, site_id, signal_ids)
    if restart is not None:
        found["view_day_cold_ms"] = cold(database, site_id, signal_ids, restart)
    return found


def make_plant(database: Database, count: int) -> tuple[int, list[int]]:
    """A site with ``count`` signals that have samples, and as many more as make ten thousand last values."""
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('store', 'Store') returning site_id").fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    site_id = int(row[0])
    with database.tx(site_id=site_id) as conn:
        asset_id = create_asset(conn, code="store", name="Store", asset_class="")
        ids = conn.execute(
            """insert into signals (asset_id, code, name, quantity, unit)
               select %s, 's' || i, 's' || i, 'generic', '1' from generate_series(1, %s) i returning signal_id""",
            (asset_id, max(count, LATEST)),
        ).fetchall()
    return site_id, [signal_id for (signal_id,) in ids][:count]


def fill(database: Database, site_id: int, signal_ids: list[int], seed: int) -> tuple[float, float]:
    """A day of every signal; seconds in the transactions that store, and in those that roll up."""
    chance = np.random.default_rng(seed)
    levels = chance.uniform(10.0, 90.0, len(signal_ids))
    site_ids = np.full(COMMIT_S * len(signal_ids), site_id, np.int16)
    copying = rolling = 0.0
    for second in range(0, DAY_S, COMMIT_S):
        batch = piece(signal_ids, levels, second, chance)
        began = time.perf_counter()
        with database.ingest_tx() as conn:
            telemetry.ensure_days(conn, [START_US // DAY_US])
            telemetry.write(conn, batch, site_ids=site_ids)
            rollups.note(conn, rollups.touched(batch, fresh=np.ones(len(batch), bool)))
        copying += time.perf_counter() - began
        if second % (36 * COMMIT_S) == 35 * COMMIT_S:
            rolling += roll(database)
    with database.ingest_tx() as conn:
        everyone = conn.execute("select signal_id from signals where site_id = %s", (site_id,)).fetchall()
        ids = np.array(everyone, np.int32)[:, 0]
        newest = SampleBatch(
            ids, np.full(len(ids), START_US, np.int64), np.ones(len(ids)), np.zeros(len(ids), np.uint8)
        )
        rollups.upsert_latest(conn, newest, site_ids=np.full(len(ids), site_id, np.int16))
    return copying, rolling + roll(database)


def piece(signal_ids: list[int], levels: np.ndarray, second: int, chance: np.random.Generator) -> SampleBatch:
    """One commit, by signal and time: each signal wanders about its level, with two decimals as sensors have."""
    at = START_US + (second + np.arange(COMMIT_S, dtype=np.int64)) * 1_000_000
    noise = chance.normal(0.0, 0.5, (len(signal_ids), COMMIT_S))
    return SampleBatch(
        np.repeat(np.array(signal_ids, np.int32), COMMIT_S),
        np.tile(at, len(signal_ids)),
        (levels[:, None] + noise).round(2).ravel(),
        np.zeros(COMMIT_S * len(signal_ids), np.uint8),
    )


def roll(database: Database) -> float:
    """Seconds until everything is rolled up."""
    began = time.perf_counter()
    looked_at = 1
    while looked_at:
        with database.ingest_tx() as conn:
            looked_at = rollups.roll(conn, until_batch=2**62)
    return time.perf_counter() - began


def bytes_on_disk(database: Database) -> int:
    """Of the day's samples with their indexes."""
    with database.ingest_tx() as conn:
        row = conn.execute("select sum(bytes) from sample_days(%s, %s)", (from_us(START_US).date(),) * 2).fetchone()
    return int(row[0]) if row and row[0] else 0


def look(database: Database, site_id: int, signal_ids: list[int]) -> dict[str, float]:
    """Warm medians; every view is of another signal than the one before, and nothing keeps a result."""
    with database.tx(site_id=site_id) as conn:
        everyone = [
            row[0] for row in conn.execute("select signal_id from signals order by signal_id limit %s", (LATEST,))
        ]
        asked = [signal_ids[number % len(signal_ids)] for number in range(REPEATS)]
        view_day(conn, signal_ids[-1])
        day = [clocked(lambda each=each: view_day(conn, each)) for each in asked]  # type: ignore[misc]
        raw = [clocked(lambda each=each: view_day(conn, each, Resolution.RAW)) for each in asked[:3]]  # type: ignore[misc]
        telemetry.latest(conn, everyone)
        latest = [clocked(lambda: check(len(telemetry.latest(conn, everyone)), LATEST)) for _ in range(REPEATS)]
    return {"view_day_ms": median(day), "view_day_raw_ms": median(raw), "latest_10k_ms": median(latest)}


def view_day(conn: psycopg.Connection, signal_id: int, resolution: Resolution = Resolution.AUTO) -> None:
    """A plot of the day; fails when it is not what was stored."""
    points = DAY_S if resolution is Resolution.RAW else DAY_S // 60
    start = from_us(START_US)
    end = start + timedelta(days=1)
    found = telemetry.read(conn, [signal_id], start, end, resolution=resolution, max_points=points)[signal_id]
    check(len(found.at_us), points)


def cold(database: Database, site_id: int, signal_ids: list[int], restart: Callable[[], None]) -> float:
    """The first view after a start, each time of another signal; the connection is opened before the clock starts."""
    found = []
    for number in range(COLD_REPEATS):
        database.close()
        restart()
        with database.tx(site_id=site_id) as conn:
            found.append(clocked(lambda: view_day(conn, signal_ids[number * 7 % len(signal_ids)])))  # noqa: B023
    return median(found)


def clocked(call: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def median(values: list[float]) -> float:
    return round(float(np.median(values)), 2)


def check(found: int, wanted: int) -> None:
    """A figure counts only if the answer was right."""
    if found != wanted:
        raise AssertionError(f"{found} came instead of {wanted}")


def store_of(database: Database) -> str:
    """In a word, what carries the samples."""
    with database.tx() as conn:
        return {
            engine.Kind.NATIVE: "in native day partitions",
            engine.Kind.HYPERTABLE: "in a hypertable, as rows",
            engine.Kind.COMPRESSING: "in a hypertable, compressed as they come",
        }[engine.kind_of(conn)]


Place = Iterator[tuple[Database, Callable[[], None] | None]]


@contextmanager
def embedded() -> Place:
    """An embedded server with its default settings, and how to make it cold."""
    with tempfile.TemporaryDirectory(prefix="millwright-bench-") as folder:
        secrets = load_or_create(Path(folder))
        server = EmbeddedServer(Path(folder), secrets)
        try:
            dsns = server.start()
            migrate(dsns.owner)

            def restart() -> None:
                server.stop()
                put_out_of_cache(server.cluster)
                server.start()

            yield Database(dsns.app, dsns.ingest, dsns.owner), restart
        finally:
            server.destroy()
            places.forget(secrets.instance_id)


@contextmanager
def external(url: str) -> Place:
    """A database of our own on a given server, with TimescaleDB where that offers it."""
    name = f"millwright_bench_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        ours = make_conninfo(url, dbname=name)
        try:
            with psycopg.connect(ours, autocommit=True) as conn:
                if conn.execute("select 1 from pg_available_extensions where name = 'timescaledb'").fetchone():
                    conn.execute("create extension if not exists timescaledb")
            migrate(ours)
            yield Database(ours, ours, ours), None
        finally:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def put_out_of_cache(folder: Path) -> None:
    """The operating system forgets what it kept of these files in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
