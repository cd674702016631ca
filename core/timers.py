"""Timers that are rows: what is due is read from the tables by the plant clock. Neither a kill nor a jump of the clock
loses one or rings it twice.

    @timer("sla")
    def ring(conn, now) -> the plant time of the next, or None      one transaction a site and round
    Watch: wait until the earliest of them, LOOK_S at most ──> ring ──> …       one thread of the worker

What a ring does must be recorded in its transaction, in the rows that made it due: that is what makes it happen once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

import psycopg
from psycopg import Connection

from core import clock, log
from core.database import APP, Database, Line, site_ids, use_site
from core.errors import ConfigError

Ring = Callable[[Connection, datetime], datetime | None]
LOOK_S = 0.5  # a jump of the clock, or an earlier timer, is seen within this
AGAIN_S = 0.02  # between rounds when there is more to do at once
RETRY_S = 0.1
PATIENCE_S = 30.0  # a statement that takes longer is given up


class DuplicateTimer(ConfigError):
    """Two timers have the same name. Rename one of them."""

    code = "duplicate_timer"


TIMERS: dict[str, Ring] = {}
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

    def __init__(self, database: Database) -> None:
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

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """Hang up; the next round connects."""
        self._line.close()

    def round(self) -> float:
        """One round over all sites and timers; returns the wall seconds to wait."""
        with self._line.tx() as conn:
            sites = site_ids(conn)
        waits = [self._ring(name, site_id) for site_id in sites for name in TIMERS]
        return min(waits, default=LOOK_S)

    def _ring(self, name: str, site_id: int) -> float:
        with self._line.tx() as conn:
            use_site(conn, site_id)
            row = conn.execute("select pg_try_advisory_xact_lock(hashtext(%s), %s)", (f"timer:{name}", site_id))
            if not row.fetchone()[0]:  # type: ignore[index]
                return LOOK_S  # another worker is at it
            plant = clock.load(conn)
            following = TIMERS[name](conn, plant.now())
            return wait(plant, following)

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
    watch = Watch(database)
    while watch.round() <= AGAIN_S:
        pass
    watch.close()
