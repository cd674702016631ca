"""Back-tests in processes of their own: the worker begins the next, a child runs it, tells how far it is, and ends.

worker ──every 2 s, or at once──> `backtest --run N` ──replay in a sandbox──> result
                                      └─ every BEAT_S: so far; was it cancelled? does the worker still live?
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from psycopg import Connection

from api.instance import Instance
from core import clock, log
from core.errors import MillwrightError
from core.jobs import every
from maintenance import backtest, backtest_runs
from maintenance.backtest_runs import Kept
from maintenance.replay import run as running
from maintenance.replay import service as replaying
from maintenance.replay.run import Progress

BEAT_S = 2.0
STOP_S = 10.0
NICENESS = 10  # orders come first
CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # by site
logger = log.get("backtest")


@every(seconds=2, name="backtests", wake=backtest_runs.CHANNEL)
def begin(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    """Begin the next of the site, and give up those whose process is gone."""
    backtest_runs.give_up(conn, now)
    row = conn.execute("select site_id, code from sites where site_id = current_site()").fetchone()
    waiting = backtest_runs.next_waiting(conn)
    if row is None or waiting is None or _at_work(row[0]):
        return
    CHILDREN[row[0]] = subprocess.Popen(
        ["nice", "-n", str(NICENESS), sys.executable, "-m", "api.cli", "backtest", "--run", str(waiting),
         "--site", row[1]],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _at_work(site_id: int) -> bool:
    child = CHILDREN.get(site_id)
    return child is not None and child.poll() is None


def stop() -> None:
    """End what this process began; each drops its sandbox first."""
    for child in CHILDREN.values():
        child.terminate()
    for child in CHILDREN.values():
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    CHILDREN.clear()


def run(instance: Instance, admin_dsn: str, site_id: int, kept: Kept, tell: Progress | None = None) -> dict[str, Any]:
    """Run one that was taken; its result, or why it failed, is kept.

    Raises what went wrong, and KeyboardInterrupt when it was cancelled or interrupted.
    """
    with _kept_up_to_date(instance, site_id, kept.backtest_id) as beats:

        def progress(at: datetime, share: float) -> None:
            beats.at, beats.share = at, share
            if tell is not None:
                tell(at, share)

        return _run(instance, admin_dsn, site_id, kept, progress)


def _run(instance: Instance, admin_dsn: str, site_id: int, kept: Kept, progress: Progress) -> dict[str, Any]:
    database = instance.database
    with database.tx(site_id=site_id) as conn:
        period = running.period(conn, start=kept.from_at, end=kept.until_at)
        replaying.refuse_small_disk(conn, instance.data_dir, period)
    change = backtest_runs.change_of(kept)
    found = replaying.replay(database, admin_dsn, site_id, period=period, change=change, progress=progress)
    with database.tx(site_id=site_id) as conn:
        result = backtest.judge(conn, found.rows["orders"], period, change.scope)
        backtest_runs.finish(conn, kept.backtest_id, result, now=clock.load(conn).now())
    return result


@contextmanager
def _kept_up_to_date(instance: Instance, site_id: int, backtest_id: int) -> Iterator[Beats]:
    beats = Beats(instance, site_id, backtest_id)
    beats.start()
    try:
        yield beats
    except KeyboardInterrupt:
        _ended(instance, site_id, backtest_id, "It was interrupted where it ran. Start it again.")
        raise
    except Exception as error:
        known = isinstance(error, MillwrightError)
        logger.warning("a back-test failed", backtest=backtest_id, error=str(error))
        why = str(error) if known else "Something went wrong that has no name; the log of the worker says more."
        _ended(instance, site_id, backtest_id, why)
        raise
    finally:
        beats.stop()


def _ended(instance: Instance, site_id: int, backtest_id: int, why: str) -> None:
    with instance.database.tx(site_id=site_id) as conn:
        backtest_runs.fail(conn, backtest_id, why, now=clock.load(conn).now())


class Beats(threading.Thread):
    """Says every BEAT_S how far it is; ends the process's work when it was cancelled or its parent has gone."""

    def __init__(self, instance: Instance, site_id: int, backtest_id: int) -> None:
        super().__init__(name="beats", daemon=True)
        self.share = 0.0
        self.at: datetime | None = None
        self._instance, self._site, self._backtest = instance, site_id, backtest_id
        self._over = threading.Event()
        self._parent = os.getppid()

    def run(self) -> None:
        """Until :meth:`stop`; a database that does not answer is asked again."""
        while not self._over.wait(BEAT_S):
            try:
                wanted = self._beat()
            except Exception as error:  # noqa: BLE001 - the next beat tries again
                logger.warning("a beat was not heard", error=str(error))
                continue
            if not wanted and not self._over.is_set():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def stop(self) -> None:
        """No more beats."""
        self._over.set()
        self.join()

    def _beat(self) -> bool:
        if os.getppid() != self._parent:
            return False
        with self._instance.database.tx(site_id=self._site) as conn:
            return backtest_runs.beat(conn, self._backtest, progress=self.share, reached_at=self.at)
