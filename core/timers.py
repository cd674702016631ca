"""Timers that are rows: what is due is read from the tables by the plant clock. Neither a kill nor a jump of the clock
loses one or rings it twice.

    @timer("sla")
    def ring(conn, now) -> the plant time of the next, or None      one transaction a site and round
    Watch: wait until the earliest of them, LOOK_S at most ──> ring ──> …       one thread of the worker

One worker leads, by a lock of its session that dies with it; another process stands by and rings while nobody leads.
What a ring does must be recorded in its transaction, in the rows that made it due: that is what makes it happen once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

import psycopg
from psycopg import Connection

from core import clock, locks, log
from core.database import APP, Database, Line, site_ids, use_site
from core.errors import ConfigError

Ring = Callable[[Connection, datetime], datetime | None]
LOOK_S = 0.5  # a jump of the clock, or an earlier timer, is seen within this
AGAIN_S = 0.02  # between rounds when there is more to do at once
RETRY_S = 0.1
PATIENCE_S = 30.0  # a statement that takes longer is given up


class Role(StrEnum):
    """LEAD: rings as soon as no other leads. STAND_BY: rings only while nobody leads."""

    LEAD = "lead"
    STAND_BY = "stand_by"


class DuplicateTimer(ConfigError):
    """Two timers have the same name. Rename one of them."""

    code = "duplicate_timer"


TIMERS: dict[str, Ring] = {}
TRY = {
    Role.LEAD: "pg_try_advisory_lock(%s)",
    Role.STAND_BY: "pg_try_advisory_xact_lock(%s)",
}
logger = log.get("timers")


def timer(name: str) -> Callable[[Ring], Ring]:
    """Register ``fn(conn, now)``: act on what is due by the plant time ``now`` (a bounded part of it), and return when
    the next is due: ``now`` or earlier when more waits, None when nothing does."""

    def register(ring: Ring) -> Ring:
        if TIMERS.setdefault(name, ring) is not ring:
            raise DuplicateTimer(f"Two timers are named {name!r}.")
        return ring

    return register


class Watch:
    """Rings every timer when it is due until told to stop; a lost connection is made anew."""

    def __init__(self, database: Database, role: Role = Role.LEAD) -> None:
        self._role = role
        self._line = Line(lambda: self._connect(database), database.watch)
        self._stop = threading.Event()

    def run(self) -> None:
        """In a thread of its own."""
        while not self._stop.is_set():
            try:
                wait_s = self.round()
            except psycopg.OperationalError as error:
                logger.warning("timers lost the database", error=str(error))
                self._line.close()
                wait_s = RETRY_S
            except Exception as error:  # noqa: BLE001 - the next round tries again; the failure is logged
                logger.error("a timer failed", error=str(error))
                wait_s = LOOK_S
            self._stop.wait(wait_s)
        self.close()

    def start(self) -> None:
        """Run in a thread that ends with the process."""
        threading.Thread(target=self.run, name="timers", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """Hang up; the next round connects."""
        self._line.close()

    def round(self) -> float:
        """One round over all sites and timers; returns the wall seconds to wait."""
        with self._line.tx() as conn:
            sites = site_ids(conn) if self._may_ring(conn) else []
        waits = [self._ring(name, site_id) for site_id in sites for name in TIMERS]
        return min(waits, default=LOOK_S)

    def _ring(self, name: str, site_id: int) -> float:
        with self._line.tx() as conn:
            if not self._may_ring(conn):
                return LOOK_S
            use_site(conn, site_id)
            plant = clock.load(conn)
            return wait(plant, TIMERS[name](conn, plant.now()))

    def _may_ring(self, conn: Connection) -> bool:
        """A leader holds its lock until its session ends, and takes it again and again at no cost (it counts); who
        stands by holds it for a transaction."""
        row = conn.execute(f"select {TRY[self._role]}", (locks.TIMERS,)).fetchone()
        return bool(row and row[0])

    @staticmethod
    def _connect(database: Database) -> Connection:
        conn = database.connect(role=APP)
        conn.execute(f"set statement_timeout = {int(PATIENCE_S * 1000)}")
        return conn


def wait(plant: clock.Clock, following: datetime | None) -> float:
    """Wall seconds until the plant time ``following``, between AGAIN_S and LOOK_S."""
    if following is None:
        return LOOK_S
    until = (plant.wall(following) - clock.wall_now()).total_seconds()
    return min(max(until, AGAIN_S), LOOK_S)


def ring_all(database: Database) -> None:
    """Ring until nothing is due, in this thread. For tests and tools."""
    watch = Watch(database, Role.STAND_BY)
    while watch.round() <= AGAIN_S:
        pass
    watch.close()
