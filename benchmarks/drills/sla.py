"""kill -9 of the job worker and the database, and jumps of the plant clock, while thousands of SLA timers fall due.

Every ticket's marks are known beforehand: the clocks run around the clock, so a mark's time is plain arithmetic, and
the drill needs nothing of the product to say what must have been told, when, and how often. How late something was told
is the commit's time in the database against the first moment at which the plant clock had reached the mark.
"""

from __future__ import annotations

import bisect
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from benchmarks.drills.sla_parts import JOB, OPENED, READY, Build, Job
from core import clock, places
from core.database import Database, migrate
from core.embedded import EmbeddedServer
from core.processes import Child, alive, python_environment, spawn, tail, tree
from core.secrets import load_or_create
from tickets import seed, service
from tickets.model import SYSTEM

GOALS = {
    "lost": "== 0",
    "double": "== 0",
    "early": "== 0",
    "untold": "== 0",
    "late_p99_s": "<= 2",
    "control_lost": ">= 1",
}
MARKS = 12  # of a clock: eleven warnings and the breach
CLOCKS = ("response", "resolution")
SPREAD = {"response": 1.0, "resolution": 1.04}  # of the drill's length, so that the two clocks' marks lie apart
PER_KILL_S = 1.3
REST_S = (0.05, 0.7)  # between a part's coming back and the next kill
FAR = timedelta(days=3)
BACK = timedelta(hours=2)
AT_ONCE = 80  # timers that a jump at the end makes due
READY_S = 60.0
UNSYNCED = {"fsync": "off", "full_page_writes": "off"}

Key = tuple[int, str, str]  # ticket, clock, mark


@dataclass(slots=True)
class Told:
    """The marks that must be told, with their plant times; and the plant clock as it was set: (wall, plant) anchors."""

    due: dict[Key, datetime] = field(default_factory=dict)
    anchors: list[tuple[datetime, datetime]] = field(default_factory=list)

    def reached(self, mark: datetime) -> datetime:
        """The first wall time at which the plant clock had reached ``mark``."""
        for (wall, plant), following in zip(self.anchors, [*self.anchors[1:], None], strict=True):
            at = wall + max(mark - plant, timedelta(0))
            if following is None or at < following[0]:
                return at
        raise AssertionError("there is no clock")


class Plant:
    """A database, a worker and tickets whose marks fall due; nothing is left at the end of the block."""

    def __init__(self, build: Build, settings: Mapping[str, str]) -> None:
        self.build, self.settings = build, settings
        self.folder = Path(tempfile.mkdtemp(prefix="millwright-drill-"))
        self.folder.chmod(0o755)
        self.told = Told()
        self.kills: Counter[str] = Counter()
        self.jumps = 0
        self.parts: dict[Build, Child] = {}
        self._started: Counter[Build] = Counter()
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
        more = {"track_commit_timestamp": "on", "max_wal_size": "256MB", "min_wal_size": "64MB"}
        log_file = self.folder / "database.log"
        self.server = EmbeddedServer(
            self.folder / "database", secrets, log=log_file, settings={**more, **self.settings}
        )
        self._ends.callback(self.server.destroy)
        self.dsns = self.server.start()
        migrate(self.dsns.owner)
        with psycopg.connect(self.dsns.superuser, autocommit=True) as conn:
            conn.execute("checkpoint")  # what was just made is on the disk: the first recovery is like all others
        with self.database() as database, database.tx() as conn:
            row = conn.execute("insert into sites (code, name) values ('drill', 'Drill') returning site_id").fetchone()
        assert row is not None
        self.site_id = int(row[0])
        self._ends.callback(self._end_parts)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """As the product's roles."""
        found = Database(self.dsns.app, self.dsns.ingest, self.dsns.owner)
        try:
            yield found
        finally:
            found.close()

    # -- what happens ---------------------------------------------------------------------------------------------

    def open(self, tickets: int, length_s: float) -> None:
        """Tickets whose marks fall due evenly over the next ``length_s``."""
        length = timedelta(seconds=length_s)
        with self.database() as database, database.tx(site_id=self.site_id) as conn:
            seed.seed_site(conn)
            self._promise(conn, length)
            begin = clock.wall_now()
            for number in range(tickets):
                at = begin + length * (number / tickets / MARKS)
                opened = service.open(conn, SYSTEM, kind="incident", title=f"Drill {number}", priority=1, now=at)
                self._expect(opened.ticket.ticket_id, at, length)
            then = clock.set_clock(conn, plant_now=begin, factor=1.0)  # opening took a while
            self.told.anchors = [(then.wall_anchor, then.plant_anchor)]
            conn.execute("select pg_notify(%s, '')", (OPENED,))

    def _promise(self, conn: psycopg.Connection, length: timedelta) -> None:
        user = conn.execute("insert into users (login, name) values ('pat', 'Pat') returning user_id").fetchone()
        assert user is not None
        conn.execute("insert into memberships values (%s, current_site(), 'planner')", user)
        marks = [{"fraction": number / MARKS, "whom": ["planners"]} for number in range(1, MARKS)]
        conn.execute(
            """insert into sla_policies (code, name, position, kind, calendar_id, response_s, resolution_s, marks)
               select 'drill', 'Drill', 1, 'incident', calendar_id, %s, %s, %s from calendars
               where name = 'Around the clock'""",
            (*(round(length.total_seconds() * SPREAD[name]) for name in CLOCKS), Jsonb([*marks, {"offset_s": 0}])),
        )

    def _expect(self, ticket_id: int, at: datetime, length: timedelta) -> None:
        for name in CLOCKS:
            target = timedelta(seconds=round(length.total_seconds() * SPREAD[name]))
            for number in range(1, MARKS + 1):
                key = "breach" if number == MARKS else f"{number / MARKS * 100:g}%"
                self.told.due[ticket_id, name, key] = at + target * (number / MARKS)

    def start(self, build: Build) -> None:
        """Start a part; returns when its program is loaded."""
        job = Job(self.dsns.app, self.dsns.ingest, self.dsns.owner, self.site_id)
        self.parts[build] = spawn(
            [sys.executable, "-m", "benchmarks.drills.sla_parts", build],
            log=self._log_of(build),
            env=python_environment({JOB: msgspec.json.encode(job).decode()}),
        )
        self._started[build] += 1
        self.wait(lambda: self._log(build).count(READY) >= self._started[build], what=f"the part {build}")

    def kill(self, build: Build) -> None:
        """kill -9, and start another."""
        self._kill(self.parts[build])
        self.kills[build] += 1
        self.start(build)

    def kill_database(self) -> None:
        """kill -9 of the whole server; it is started again as its supervisor does."""
        assert self.server.child is not None
        self._kill(self.server.child)
        self.kills["database"] += 1
        self.dsns = self.server.start()
        for build, part in list(self.parts.items()):
            if part.poll() is not None:  # a control does not outlive its database
                self.start(build)

    def jump(self, by: timedelta) -> None:
        """Set the plant clock forward or back."""
        with self.database() as database, database.tx() as conn:
            plant = clock.load(conn)
            then = clock.set_clock(conn, plant_now=plant.now() + by, factor=1.0)
        late = clock.wall_now() - then.wall_anchor  # until the commit the old clock counted
        self.told.anchors.append((then.wall_anchor + late, then.plant_anchor + late))
        self.jumps += 1

    def waiting(self) -> int:
        """Marks that the plant clock has not reached."""
        now = self.plant_now()
        return sum(due > now for due in self.told.due.values())

    def plant_now(self) -> datetime:
        wall, plant = self.told.anchors[-1]
        return plant + (clock.wall_now() - wall)

    def wait(self, true: Callable[[], object], *, within_s: float = READY_S, what: str) -> None:
        """Poll; raises TimeoutError with the end of the worker's log."""
        deadline = time.monotonic() + within_s
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {within_s:.0f} s\n{tail(self._log_of(self.build), lines=50)}")
            time.sleep(0.02)

    # -- what came of it ------------------------------------------------------------------------------------------

    def settle(self, *, within_s: float) -> None:
        """Wait until everything was told, or nothing has been for a while."""
        with suppress(TimeoutError):
            self.wait(lambda: self.count() >= len(self.told.due), within_s=within_s, what="the rest")

    def judge(self) -> dict[str, float | None]:
        """What must have been told against what was."""
        rows = self._query(
            """select ticket_id, body->>'clock', coalesce(body->>'mark', 'breach'), at, pg_xact_commit_timestamp(xmin)
               from ticket_events where kind in ('sla_warning', 'sla_breached', 'sla_escalated')"""
        )
        seen = Counter((ticket_id, name, mark) for ticket_id, name, mark, *_ in rows)
        late = [
            (committed - self.told.reached(self.told.due[ticket_id, name, mark])).total_seconds()
            for ticket_id, name, mark, _, committed in rows
        ]
        early = sum(at < self.told.due[ticket_id, name, mark] for ticket_id, name, mark, at, _ in rows)
        notices = self._query("select count(*) from notifications where kind like 'sla_%'")[0][0]
        return {
            "timers": len(self.told.due),
            "lost": len(self.told.due.keys() - seen.keys()),
            "double": sum(count - 1 for count in seen.values()),
            "early": early,
            "untold": len(self.told.due) - int(notices),
            "late_p50_s": _percentile(late, 50),
            "late_p99_s": _percentile(late, 99),
            "late_max_s": _percentile(late, 100),
        }

    def count(self) -> int:
        """Marks told so far; -1 while nobody answers."""
        try:
            return int(self._query("select count(*) from ticket_events where kind like 'sla_%'")[0][0])
        except psycopg.Error:
            return -1

    def _query(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsns.superuser, autocommit=True, connect_timeout=3) as conn:
            return conn.execute(text.encode()).fetchall()

    def _log_of(self, build: Build) -> Path:
        return self.folder / f"{build}.log"

    def _log(self, build: Build) -> str:
        path = self._log_of(build)
        return path.read_text(errors="replace") if path.exists() else ""

    def _kill(self, child: Child) -> None:
        pids = tree(child.pid)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.process.wait(10)
        self.wait(lambda: not any(alive(pid) for pid in pids), what="the end of a part")

    def _end_parts(self) -> None:
        for part in self.parts.values():
            part.stop((signal.SIGTERM, 10.0))


def _percentile(values: list[float], share: float) -> float | None:
    return round(float(np.percentile(values, share)), 3) if values else None


def run(
    kills: int,
    jumps: int,
    seed_: int,
    *,
    build: Build = Build.HONEST,
    tickets: int | None = None,
    settings: Mapping[str, str] = {},
) -> dict[str, Any]:
    """Kill and jump at random moments, let the rest fall due by jumps, and judge.

    ``settings`` of the server: UNSYNCED measures the timers alone. kill -9 takes nothing from the disk's cache, but a
    recovery waits for the disk, which on a busy one takes longer than anything here.
    """
    chance = random.Random(seed_)  # noqa: S311 - a drill repeats itself
    length_s = max(kills * PER_KILL_S, 6.0)
    with Plant(build, settings) as plant:
        plant.start(build)
        if build is Build.HONEST:
            plant.start(Build.STAND_BY)
        plant.open(tickets or max(20, kills), length_s)
        plant.wait(lambda: plant.count() > 0, what="the first mark")
        moments = sorted(chance.sample(range(kills), min(max(jumps - 1, 0) // 2, kills)))
        for number, victim in enumerate(_victims(plant, kills, chance)):
            time.sleep(chance.uniform(*REST_S))
            victim()
            if bisect.bisect_left(moments, number) != bisect.bisect_right(moments, number):
                _back_and_forth(plant, chance)
        while plant.waiting() > AT_ONCE:
            plant.jump(_reach(plant))
            time.sleep(1.0)
        plant.jump(FAR)
        plant.settle(within_s=30.0 if build is Build.HONEST else 3.0)
        found = plant.judge()
        each = {f"kills.{name}": count for name, count in sorted(plant.kills.items())}
        return {"kills": sum(plant.kills.values()), **each, "jumps": plant.jumps, **found}


def _victims(plant: Plant, kills: int, chance: random.Random) -> list[Callable[[], None]]:
    """Each part as often as the database, in random order."""
    victims: list[Callable[[], None]] = [plant.kill_database]
    victims += [partial(plant.kill, build) for build in plant.parts]
    found = [victims[number % len(victims)] for number in range(kills)]
    chance.shuffle(found)
    return found


def _back_and_forth(plant: Plant, chance: random.Random) -> None:
    """Two hours or some seconds back, and a little later so far forward, and some seconds more."""
    back = chance.choice([BACK, timedelta(seconds=chance.uniform(1, 30))])
    plant.jump(-back)
    time.sleep(chance.uniform(0.1, 0.5))
    plant.jump(back + timedelta(seconds=chance.uniform(0, 3)))


def _reach(plant: Plant) -> timedelta:
    """How far the next AT_ONCE marks lie ahead."""
    now = plant.plant_now()
    ahead = sorted(due for due in plant.told.due.values() if due > now)
    return ahead[min(AT_ONCE, len(ahead)) - 1] - now


def figures(kills: int, jumps: int, seed_: int, *, settings: Mapping[str, str]) -> dict[str, float | None]:
    """The drill, and the control that must lose."""
    honest = run(kills, jumps, seed_, settings=settings)
    control = run(4, 2, seed_, build=Build.MEMORY, tickets=20, settings=UNSYNCED)
    return {**honest, "control_lost": control["lost"], "control_double": control["double"]}
