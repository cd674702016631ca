"""kill -9 of the detectors and of what works on their orders, while recorded samples flow; and races for one order.

    samples ──a piece at a time──> store ──> detectors, maintenance ──> alarms, orders
                                              ↑ kill -9 at random moments, started again at once

Judged are the samples that nobody ever looked at (``resume_gap``: each judged stretch is counted in the transaction
that judged it) and all that was concluded, against a twin that nobody interrupted.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any, LiteralString, Self

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from benchmarks.drills import maintenance_plant as plant
from benchmarks.drills import maintenance_races as races
from benchmarks.drills.maintenance_parts import JOB, READY, STARTED, Build, Counted, Job, Role, wire
from core import clock, places
from core.database import OWNER, Database, migrate
from core.embedded import DATABASE, Durability, EmbeddedServer
from core.processes import python_environment
from core.secrets import load_or_create
from maintenance import late, service
from plant.model import SampleBatch
from tickets import hooks

GOALS = {
    "orders_per_fault": "== 1",
    "least_orders": "== 1",
    "most_orders": "== 1",
    "control_orders_per_fault": ">= 1.01",
    "resume_gap": "== 0",
    "judged_twice": "== 0",
    "twin_difference": "<= 0.000000001",
    "twin_unmatched": "== 0",
    "second_orders": "== 0",
    "control_resume_gap": ">= 1",
    "control_twin_unmatched": ">= 1",
}
HOURS = 190.0
WORN, WELL = 3, 1
REST_S = (0.0, 0.25)  # between a sign of life and the kill
BEGUN_S = 2.0
WORKERS_SHARE = 0.2  # of the kills hit the worker
CONTROL_KILLS = 6
CONTROL_FAULTS = 60
TWIN_PIECES = 40
PIECES_A_KILL = 4
END_S, CONTROL_S = 180.0, 4.0  # what is not judged by then counts as a gap
TABLE: LiteralString = """
  create table drill_judged (asset_id int, after_us bigint, until_us bigint, samples int);
  grant all on drill_judged to millwright_app"""
SAID: Mapping[str, LiteralString] = {
    "bands": "select signal_id, at, '', expected, low, high from bands",
    "scores": """select asset_id, at, concat_ws('|', detector, version, kind, active, subject, mode), surprise, health
                 from findings where withdrawn_at is null""",
    "health": "select l.asset_id, p.at, p.detector, p.health from health_points p join alarms l using (alarm_id)",
}

Times = NDArray[np.int64]
Said = dict[tuple[Any, ...], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind."""

    gap: int
    twice: int
    second_orders: int
    orders: int
    said: Mapping[str, Said]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Judged in one transaction: the samples after one time and until another, so many."""

    after_us: int
    until_us: int
    samples: int


def looked_at(sent: Times, stretches: Sequence[Stretch]) -> tuple[int, int]:
    """(samples that nobody looked at, looks too many). ``sent`` is sorted.

    By where the stretches lie, so that a sample judged twice does not make up for one that was never judged.
    """
    looks = np.zeros(len(sent) + 1, np.int64)
    left_out = 0
    for each in stretches:
        first, last = np.searchsorted(sent, (each.after_us, each.until_us), side="right")
        looks[first] += 1
        looks[last] -= 1
        left_out += max(int(last - first) - each.samples, 0)
    times = np.cumsum(looks[:-1])
    return int(np.count_nonzero(times == 0)) + left_out, int(np.maximum(times - 1, 0).sum())


class Plant:
    """A database server with recorded machines, cloned for each run; nothing is left at the end of the block."""

    def __init__(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="millwright-drill-"))
        self.folder.chmod(0o755)
        self.seed = seed
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _build(self) -> None:
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "database").mkdir()
        secrets = load_or_create(self.folder / "database")
        self._ends.callback(places.forget, secrets.instance_id)
        self.server = EmbeddedServer(self.folder / "database", secrets, durability=Durability.THROWAWAY)
        self._ends.callback(self.server.destroy)
        dsns = self.server.start()
        migrate(dsns.owner)
        with psycopg.connect(dsns.superuser, autocommit=True) as conn:
            conn.execute(TABLE)
        with self._open(DATABASE) as database:
            with database.tx() as conn:
                row = conn.execute("insert into sites (code, name) values ('d', 'Drill') returning site_id").fetchone()
            assert row is not None
            self.site_id = int(row[0])
            with database.tx(site_id=self.site_id) as conn:
                self.pumps = plant.build(conn, worn=WORN, well=WELL)
        self.samples = plant.record(self.pumps, HOURS, self.seed)

    @contextmanager
    def _open(self, name: str) -> Iterator[Database]:
        dsns = self.server.dsns(database=name)
        found = Database(dsns.app, dsns.ingest, dsns.owner)
        try:
            yield found
        finally:
            found.close()

    @contextmanager
    def database(self, name: str) -> Iterator[Database]:
        """A database of its own with the machines, and no samples yet."""
        with psycopg.connect(self.server.dsn("postgres", database="postgres"), autocommit=True) as conn:
            conn.execute(
                sql.SQL("create database {} template {} owner {}").format(
                    sql.Identifier(name), sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
        with self._open(name) as found:
            yield found

    def feed(self, database: Database, piece: SampleBatch) -> None:
        """The plant runs on for a piece."""
        newest = plant.store(database, self.site_id, piece)
        with database.tx() as conn:
            clock.set_clock(conn, plant_now=newest, factor=1.0)

    def outcome(self, database: Database) -> Outcome:
        """What was judged, said and opened."""
        with database.tx(site_id=self.site_id) as conn:
            judged = conn.execute("select asset_id, after_us, until_us, samples from drill_judged").fetchall()
            counted = conn.execute(
                "select count(*) from tickets where kind = 'preventive' group by asset_id, mode"
            ).fetchall()
            said = {
                name: {tuple(row[:3]): tuple(row[3:]) for row in conn.execute(query)} for name, query in SAID.items()
            }
        looked = [
            looked_at(self.sent(pump), [Stretch(*row[1:]) for row in judged if row[0] == pump.asset_id])
            for pump in self.pumps
        ]
        orders = sum(row[0] for row in counted)
        return Outcome(sum(n for n, _ in looked), sum(n for _, n in looked), orders - len(counted), orders, said)

    def sent(self, pump: plant.Pump) -> Times:
        """When the samples of a machine were taken, sorted."""
        mine = np.isin(self.samples.signal_id, list(pump.signals.values()))
        return np.sort(self.samples.at_us[mine])


class Parts:
    """The processes that are killed: detectors, and the worker on what they opened."""

    def __init__(self, database: Database, site_id: int, build: Build, log: Path) -> None:
        job = Job(database.app_dsn, database.ingest_dsn, database.owner_dsn, site_id)
        self._log = log.open("wb")
        self._first = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.drills.maintenance_parts", build],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=python_environment({JOB: msgspec.json.encode(job).decode()}),
            text=True,
        )
        self._pids: dict[Role, int] = {}
        self._answer(READY)
        for role in Role:
            self.start(role)

    def start(self, role: Role) -> None:
        assert self._first.stdin is not None
        self._first.stdin.write(f"{role}\n")
        self._first.stdin.flush()
        self._pids[role] = int(self._answer(STARTED).split()[1])

    def kill(self, role: Role) -> None:
        """kill -9, and start another; raises ProcessLookupError when it was gone already."""
        os.kill(self._pids[role], signal.SIGKILL)
        self.start(role)

    def end(self) -> None:
        for pid in self._pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._first.kill()
        self._first.communicate()
        self._log.close()

    def _answer(self, word: str) -> str:
        assert self._first.stdout is not None
        line = self._first.stdout.readline()
        if not line.startswith(word):
            raise RuntimeError(f"the parts said {line!r} instead of {word!r}; see {self._log.name}")
        return line


def killed(site: Plant, kills: int, build: Build) -> Outcome:
    """Let the samples flow, kill at random moments, wait for the rest, and judge."""
    chance = random.Random(site.seed)  # noqa: S311 - a drill repeats itself
    with site.database(f"drill_{build}") as database, ExitStack() as ends:
        parts = Parts(database, site.site_id, build, site.folder / f"{build}.log")
        ends.callback(parts.end)
        pieces = iter(plant.cuts(site.samples, kills * PIECES_A_KILL))
        for _ in range(kills):
            flowing = threading.Thread(target=_flow, args=(site, database, list(islice(pieces, PIECES_A_KILL))))
            flowing.start()
            _wait_for_work(site, database)
            time.sleep(chance.uniform(*REST_S))
            parts.kill(Role.WORK if chance.random() < WORKERS_SHARE else Role.DETECT)
            flowing.join()
        _settle(site, database, within_s=END_S if build is Build.HONEST else CONTROL_S)
        return site.outcome(database)


def _flow(site: Plant, database: Database, pieces: Sequence[SampleBatch]) -> None:
    for piece in pieces:
        site.feed(database, piece)


def _wait_for_work(site: Plant, database: Database) -> None:
    """Until something new is judged: who is killed has begun; not for ever, a control may never begin."""
    before, deadline = _judged(site, database), time.monotonic() + BEGUN_S
    while time.monotonic() < deadline and _judged(site, database) == before:
        time.sleep(0.01)


def _judged(site: Plant, database: Database) -> int:
    with database.tx(site_id=site.site_id) as conn:
        row = conn.execute("select count(*) from drill_judged").fetchone()
    return int(row[0]) if row else 0


def _settle(site: Plant, database: Database, *, within_s: float) -> None:
    """Wait until the last sample is judged; a control may never come so far."""
    last_us, deadline = int(site.samples.at_us[-1]), time.monotonic() + within_s
    while time.monotonic() < deadline:
        with database.tx(site_id=site.site_id) as conn:
            row = conn.execute("select count(*) from asset_watermarks where watermark_us >= %s", (last_us,)).fetchone()
        if row is not None and row[0] >= len(site.pumps):
            return
        time.sleep(0.2)


def twin(site: Plant) -> Outcome:
    """The same samples, and nobody is killed."""
    with site.database("drill_twin") as database, hooks.only():
        wire()
        runner = Counted(database, clock.load, service.on_finding, late.on_rejudged)
        for piece in plant.cuts(site.samples, TWIN_PIECES):
            site.feed(database, piece)
            runner.run_once()
        return site.outcome(database)


def difference(one: Mapping[str, Said], other: Mapping[str, Said]) -> tuple[float, int]:
    """The largest difference of a number that both said, and how much only one of them said."""
    largest, unmatched = 0.0, 0
    for name, mine in one.items():
        theirs = other[name]
        unmatched += len(mine.keys() ^ theirs.keys())
        for key in mine.keys() & theirs.keys():
            pairs = zip(mine[key], theirs[key], strict=True)
            largest = max(largest, *(0.0 if a == b else abs(a - b) for a, b in pairs))
    return (largest if math.isfinite(largest) else 1e300), unmatched


def raced(site: Plant, faults: int, kind: races.Build) -> list[int]:
    """The orders of each fault."""
    with site.database(f"drill_races_{kind}") as database, hooks.only():
        with database.tx(site_id=site.site_id) as conn:
            made = races.build(conn, faults)
        return races.run(database, site.site_id, made, kind)


def figures(kills: int, faults: int, seed: int) -> dict[str, float | None]:
    """The drill and its controls."""
    with Plant(seed) as site:
        say = partial(print, flush=True)
        one, many = raced(site, faults, races.Build.HONEST), raced(site, CONTROL_FAULTS, races.Build.CHECKED)
        say(
            f"  {faults} races with {races.WORKERS} workers: {min(one)} to {max(one)} orders a fault; "
            f"checked first: {mean(many):.2f}"
        )
        whole = twin(site)
        honest = killed(site, kills, Build.HONEST)
        away, unmatched = difference(honest.said, whole.said)
        say(f"  {kills} kills: {honest.gap} samples never judged, {unmatched} conclusions of one twin alone")
        control = killed(site, min(kills, CONTROL_KILLS), Build.FORGETFUL)
        control_away, control_unmatched = difference(control.said, whole.said)
    return {
        "races": faults,
        "orders_per_fault": mean(one),
        "least_orders": min(one),
        "most_orders": max(one),
        "control_orders_per_fault": mean(many),
        "kills": kills,
        "samples": len(site.samples),
        "resume_gap": honest.gap,
        "judged_twice": honest.twice,
        "twin_difference": away,
        "twin_unmatched": unmatched,
        **{f"compared.{name}": len(said) for name, said in whole.said.items()},
        "orders": honest.orders,
        "second_orders": honest.second_orders,
        "control_resume_gap": control.gap,
        "control_twin_difference": control_away,
        "control_twin_unmatched": control_unmatched,
    }
