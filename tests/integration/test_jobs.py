"""Jobs are enqueued by the caller's transaction and take effect once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from core import clock, jobs
from core.database import Database

NOTE = """insert into ref_counters (prefix, year, last) values (%s, 2026, 1)
  on conflict (site_id, prefix, year) do update set last = ref_counters.last + 1"""


@pytest.fixture
def handlers() -> Iterator[None]:
    kept, kept_periodic = dict(jobs.HANDLERS), dict(jobs.PERIODIC)
    yield
    jobs.HANDLERS.clear()
    jobs.HANDLERS.update(kept)
    jobs.PERIODIC.clear()
    jobs.PERIODIC.update(kept_periodic)


def effects(database: Database, site: int, prefix: str) -> int:
    with database.tx(site_id=site) as conn:
        row = conn.execute("select last from ref_counters where prefix = %s", (prefix,)).fetchone()
    return row[0] if row else 0


def note(prefix: str) -> Any:
    def handler(conn: Connection, payload: dict[str, Any], now: Any) -> None:
        conn.execute(NOTE, (prefix,))

    return handler


class Undo(Exception):
    pass


def test_a_rollback_leaves_no_job(database: Database, site: int, handlers: None) -> None:
    jobs.job("t.one")(note("ONE"))
    with pytest.raises(Undo), database.tx(site_id=site) as conn:
        jobs.later(conn, "t.one", {})
        raise Undo
    assert jobs.run_due(database) == 0
    with database.tx(site_id=site) as conn:
        jobs.later(conn, "t.one", {})
    assert jobs.run_due(database) == 1
    assert effects(database, site, "ONE") == 1


def test_a_job_delivered_twice_takes_effect_once(database: Database, site: int, handlers: None) -> None:
    jobs.job("t.twice")(note("TWICE"))
    body = {"site_id": site, "effect": "6e9d9d60-3f2f-4a5e-9d53-6b8f6d6f3c11"}
    assert jobs.run_job(database, "t.twice", body) is True
    assert jobs.run_job(database, "t.twice", body) is False
    assert effects(database, site, "TWICE") == 1


def test_plant_time_is_turned_into_wall_time(database: Database, site: int, handlers: None) -> None:
    jobs.job("t.due")(note("DUE"))
    with database.tx(site_id=site) as conn:
        now = clock.set_clock(conn, plant_now=clock.wall_now(), factor=3600.0).now()
        jobs.at(conn, now + timedelta(hours=2), "t.due", {})
        jobs.at(conn, now - timedelta(hours=2), "t.due", {})
        rows = conn.execute(
            "select extract(epoch from execute_after - now()) from pgqueuer order by execute_after"
        ).fetchall()
    assert float(rows[0][0]) == pytest.approx(0, abs=0.1)
    assert float(rows[1][0]) == pytest.approx(2, abs=0.3)


def test_waiting_jobs_under_one_key_are_one(database: Database, site: int, handlers: None) -> None:
    jobs.job("t.key")(note("KEY"))
    with database.tx(site_id=site) as conn:
        jobs.later(conn, "t.key", {}, key="same")
        jobs.later(conn, "t.key", {}, key="same")
    assert jobs.run_due(database) == 1


def test_the_worker_runs_jobs_retries_failures_and_keeps_periods(database: Database, site: int, handlers: None) -> None:
    failures = iter([True, False])

    def flaky(conn: Connection, payload: dict[str, Any], now: Any) -> None:
        conn.execute(NOTE, ("FLAKY",))
        if next(failures, False):
            raise ValueError("once")

    jobs.job("t.flaky")(flaky)
    jobs.job("t.soon")(note("SOON"))
    jobs.every(seconds=0.1, name="t.tick")(note("TICK"))
    with database.tx(site_id=site) as conn:
        jobs.later(conn, "t.flaky", {})
        jobs.at(conn, clock.wall_now() + timedelta(seconds=0.7), "t.soon", {})

    async def work() -> None:
        worker = jobs.Worker(database)
        task = asyncio.create_task(worker.run())
        for _ in range(200):
            done = [effects(database, site, name) for name in ("FLAKY", "SOON", "TICK")]
            if done[0] and done[1] and done[2] > 2:
                break
            await asyncio.sleep(0.05)
        worker.stop()
        await task

    asyncio.run(work())
    assert effects(database, site, "FLAKY") == 1  # the failed try was rolled back
    assert effects(database, site, "SOON") == 1
    assert effects(database, site, "TICK") > 2


def test_the_payload_names_the_site(database: Database, site: int, handlers: None) -> None:
    jobs.job("t.site")(note("SITE"))
    with database.tx(site_id=site) as conn:
        jobs.later(conn, "t.site", {"x": 1})
        row = conn.execute("select payload from pgqueuer").fetchone()
    assert row
    assert json.loads(row[0])["site_id"] == site
