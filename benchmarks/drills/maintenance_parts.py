"""The detectors of the maintenance drill, killed and started again: the product's, or a control that forgets.

A first process loads the program and then makes a child for each start, so that a start costs what the product's own
start-up costs after its libraries are loaded. It is the child that is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np
from psycopg import Connection
from typing_extensions import override

import maintenance.jobs  # noqa: F401 - registers what the worker runs
import tickets.jobs  # noqa: F401
from benchmarks.drills import maintenance_plant
from core import clock, jobs, log
from core.database import Database
from detectors import runner, store
from detectors.line import Line
from detectors.runner import Patience, Runner
from detectors.store import samples_of
from maintenance import feedback, late, service
from maintenance.guard import GUARD
from plant import assets, telemetry
from plant.model import SampleBatch
from tickets.hooks import hooks

JOB = "MILLWRIGHT_DRILL_JOB"
READY = "ready"
STARTED = "started"


class Build(StrEnum):
    """HONEST: the product. FORGETFUL: begins with what comes after its start, as a plain subscriber does."""

    HONEST = "honest"
    FORGETFUL = "forgetful"


class Role(StrEnum):
    DETECT = "detect"
    WORK = "work"


class Job(msgspec.Struct):
    """What a part must know."""

    app: str
    ingest: str
    owner: str
    site_id: int


class Counted(Runner):
    """The product's runner that also counts, in the same transaction, the samples it judged for the first time."""

    _batch: SampleBatch

    @override
    def _advance(self, site: runner._Site, due: Sequence[runner._Due], batch: SampleBatch, end_us: int) -> int:
        self._batch = batch
        return super()._advance(site, due, batch, end_us)

    @override
    def _write(self, conn: Connection, site: runner._Site, those: Sequence[runner._Judged]) -> None:
        super()._write(conn, site, those)
        for each in those:
            line = each.line
            mine = samples_of(self._batch, line.signals, line.muted_us)
            fresh = int(np.count_nonzero(mine.at_us <= line.position_us))
            if fresh:
                conn.execute(
                    "insert into drill_judged (asset_id, after_us, until_us, samples) values (%s, %s, %s, %s)",
                    (each.asset_id, line.muted_us, line.position_us, fresh),
                )


class Forgetful(Counted):
    """The known defect: what came while it was down is never looked at, and its memory is gone."""

    @override
    def _line(self, site: runner._Site, due: runner._Due) -> Line | None:
        asset_id = due.asset.asset_id
        if asset_id not in self._lines:
            with self._database.tx(site_id=site.site_id) as conn:
                newest = max(store.watermarks(conn).get(asset_id, 0), due.until_us)
            self._lines[asset_id] = Line(due.asset, due.signals, position_us=newest, muted_us=newest)
        return self._lines[asset_id]


RUNNERS = {Build.HONEST: Counted, Build.FORGETFUL: Forgetful}


def wire() -> None:
    """As the product's processes do."""
    hooks.register_close_guard(GUARD)
    hooks.register_on_closed(feedback.on_closed)


def detect(database: Database, build: Build) -> None:
    """Be the process that judges and decides."""
    made = RUNNERS[build](database, clock.load, service.on_finding, late.on_rejudged)
    made.run_forever(threading.Event(), patience=Patience.LIVE)


def work(database: Database) -> None:
    """Be the job worker: alarms that time moves, groups, repairs being verified."""
    asyncio.run(jobs.Worker(database).run())


def main(argv: Sequence[str]) -> int:
    """``BUILD``; each line read names a role to start, and is answered with the new process's id."""
    log.configure("ERROR", "json")
    build = Build(argv[0])
    job = msgspec.json.decode(os.environ[JOB], type=Job)
    wire()
    warm(job)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who is killed leaves nothing behind
    print(READY, flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _child(Role(line.strip()), build, job)
        print(f"{STARTED} {pid}", flush=True)
    return 0


def warm(job: Job) -> None:
    """Load what judging needs, on samples of no machine."""
    conn = Database(job.app, job.ingest, job.owner).connect()
    with conn:
        conn.execute("select set_config('app.site_id', %s, false)", (str(job.site_id),))
        asset = assets.assets(conn)[0]
        signals = assets.signals(conn, asset.asset_id)
    pump = maintenance_plant.Pump(asset.asset_id, {each.code: each.signal_id for each in signals}, 1.0)
    line = Line(asset, signals, position_us=telemetry.to_us(maintenance_plant.T0), muted_us=0)
    batch = maintenance_plant.record([pump], 80.0, 1)
    line.advance(batch, [], until_us=int(batch.at_us[-1]))
    line.load(line.dump())


def _child(role: Role, build: Build, job: Job) -> None:
    os.close(0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    database = Database(job.app, job.ingest, job.owner)
    try:
        detect(database, build) if role is Role.DETECT else work(database)
    finally:
        os._exit(1)  # whatever ended it: the first process's loop is not ours


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
