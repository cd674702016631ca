"""Which of several ingest processes does what must be done once: rollups, chores, releasing the quarantine.

Each process holds an advisory lock of its own while it lives, and one of them the lock of the lead. A process that dies
loses both with its connection, and another takes the lead within about a second.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import Connection

from core import locks
from core.database import INGEST, Database
from core.errors import Unavailable


class Lead:
    """Asked from one thread, ``held`` from any. A process that is alone always leads."""

    def __init__(self, database: Database, *, worker: int, workers: int) -> None:
        self.held = workers == 1
        self.workers = workers
        self._database, self._worker = database, worker
        self._conn: Connection | None = None
        self._alive = False

    def renew(self) -> None:
        """Take the lead if nobody has it. Raises what psycopg raises when the database is away: then it is lost."""
        if self.workers == 1:
            return
        try:
            if self._conn is None:
                self._conn = self._database.connect(role=INGEST)
            with self._database.watch(self._conn):
                if not self.held:
                    self.held = _try(self._conn, "select pg_try_advisory_lock(%s)", locks.LEAD)
                if not self._alive:
                    self._alive = _try(self._conn, "select pg_try_advisory_lock(%s, %s)", locks.ALIVE, self._worker)
                self._conn.execute("select 1")  # the connection, and so the locks, are still ours
        except (psycopg.Error, Unavailable, OSError):
            self.give_up()
            raise

    def all_alive(self, conn: Connection) -> bool:
        """Whether every process is there: one that died may have left last values unwritten."""
        if self.workers == 1:
            return True
        row = conn.execute(
            """select count(distinct objid) from pg_locks where locktype = 'advisory' and classid = %s and granted
                 and database = (select oid from pg_database where datname = current_database())""",
            (locks.ALIVE,),
        ).fetchone()
        return bool(row and row[0] >= self.workers)

    def give_up(self) -> None:
        """Hang up, and with it let go of the lead."""
        self.held, self._alive = self.workers == 1, False
        if self._conn is not None:
            self._conn.close()
            self._conn = None


def _try(conn: Connection, query: LiteralString, *keys: int) -> bool:
    row = conn.execute(query, keys).fetchone()
    return bool(row and row[0])
