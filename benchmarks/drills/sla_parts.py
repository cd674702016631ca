"""The job worker of the SLA drill and who stands by for it: the product's own, or a control with timers in memory only.

A drill whose control does not fail proves nothing. The defect exists only here.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from psycopg import Connection

import tickets.jobs  # noqa: F401 - registers the timer
from core import clock, jobs, log, timers
from core.database import Database
from tickets import clocks

JOB = "MILLWRIGHT_DRILL_JOB"
READY = "worker ready"
OPENED = "drill_opened"


class Build(StrEnum):
    """HONEST: the product. STAND_BY: the product's timers in another process. MEMORY: reads its timers once, when told
    that tickets were opened."""

    HONEST = "honest"
    STAND_BY = "stand_by"
    MEMORY = "memory"


class Job(msgspec.Struct):
    """What the worker must know."""

    app: str
    ingest: str
    owner: str
    site_id: int


def honest(job: Job) -> None:
    """Be the job worker."""

    async def work() -> None:
        running = jobs.Worker(Database(job.app, job.ingest, job.owner))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.stop)
        await running.run()

    asyncio.run(work())


def stand_by(job: Job) -> None:
    """Be what rings while no worker does, as the server of the API is."""
    timers.Watch(Database(job.app, job.ingest, job.owner), timers.Role.STAND_BY).run()


def memory(job: Job) -> None:
    """The known defect: what waits is a heap of this process."""
    database = Database(job.app, job.ingest, job.owner)
    conn = database.connect()
    conn.execute("listen drill_opened")
    waiting: list[tuple[datetime, int]] = []
    while True:
        if list(conn.notifies(timeout=0.05, stop_after=1)):
            waiting = _load(conn, job.site_id)
            heapq.heapify(waiting)
        with database.tx(site_id=job.site_id) as tx:
            now = clock.load(tx).now()
            while waiting and waiting[0][0] <= now:
                _, ticket_id = heapq.heappop(waiting)
                _ring(tx, ticket_id, now, waiting)


def _load(conn: Connection, site_id: int) -> list[tuple[datetime, int]]:
    conn.execute("select set_config('app.site_id', %s, false)", (str(site_id),))
    return conn.execute("select next_at, ticket_id from sla_clocks where next_at is not null").fetchall()


def _ring(conn: Connection, ticket_id: int, now: datetime, waiting: list[tuple[datetime, int]]) -> None:
    before = {kept.clock_id: kept.clock.next_at for kept in clocks.of(conn, ticket_id)}
    clocks.settle_one(conn, ticket_id, now)
    for kept in clocks.of(conn, ticket_id):
        if kept.clock.next_at is not None and kept.clock.next_at != before.get(kept.clock_id):
            heapq.heappush(waiting, (kept.clock.next_at, ticket_id))


BUILDS = {Build.HONEST: honest, Build.STAND_BY: stand_by, Build.MEMORY: memory}


def main(argv: Sequence[str]) -> int:
    """``BUILD``, its job in the environment."""
    log.configure("WARNING", "json")
    print(f"{READY} {time.monotonic():.3f}", flush=True)
    BUILDS[Build(argv[0])](msgspec.json.decode(os.environ[JOB], type=Job))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
