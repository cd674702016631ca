"""Learning ahead: triage of every site is ready before somebody asks, at a pace that requests do not feel.

One thread of the process that answers: a while after the start, and then now and again, since a week begins anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
from psycopg import Connection

from core import log
from core.clock import Clock
from core.database import Database, site_ids
from tickets.triage import store

logger = log.get("api")
FIRST_S = 20.0  # after the start, when there is enough to do
AGAIN_S = 600.0
REST = 4.0  # for each second of learning: a fifth of a core


class Ahead:
    """Studies what closed tickets teach, site by site, until it is ended."""

    def __init__(self, database: Database, clock_source: Callable[[Connection], Clock]) -> None:
        self._database, self._clock_source = database, clock_source
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="ahead")

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """No more is learnt; what was begun is dropped."""
        self._ended.set()
        self._thread.join(1)

    def once(self) -> None:
        """Every site whose lessons are not learnt yet, as many as are kept."""
        with self._database.tx() as conn:
            sites = site_ids(conn)
        for site_id in sites[: store.KEPT]:
            with self._database.tx(site_id=site_id) as conn:
                course = store.course(conn, now=self._clock_source(conn).now())
            if course is not None:
                store.study(course, pause=self._pause)

    def _run(self) -> None:
        wait_s = FIRST_S
        while not self._ended.wait(wait_s):
            wait_s = AGAIN_S
            try:
                self.once()
            except psycopg.Error as error:  # the question itself will learn
                logger.info("not learnt ahead", error=type(error).__name__)

    def _pause(self, took_s: float) -> bool:
        return self._ended.wait(took_s * REST)
