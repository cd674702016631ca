"""Background jobs on PgQueuer: enqueued on the caller's own connection, so that a rollback leaves none behind.

    tickets.service ──later(conn, …)──┐  same transaction
                                      ▼
    pgqueuer table ──NOTIFY──> Worker ──thread──> handler(conn, payload, now)   one transaction: fence + effect

A job may be delivered twice (a worker was killed); its fence row makes the effect happen once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver, SyncPsycopgDriver
from pgqueuer.adapters.persistence.queries import SyncQueries
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Job
from psycopg import Connection, sql

from core import clock, log, timers
from core.database import APP, Database, site_ids, tx
from core.errors import ConfigError, Unavailable

Handler = Callable[[Connection, dict[str, Any], datetime], None]
ATTEMPTS = 8
LONGEST_SLEEP_S = 1.0
DEFERRED = "select extract(epoch from min(execute_after) - now()) from pgqueuer where status = 'queued'"
WAKE = """select pg_notify('ch_pgqueuer', json_build_object('channel', 'ch_pgqueuer', 'operation', 'insert',
  'sent_at', now(), 'table', 'pgqueuer', 'type', 'table_changed_event')::text)"""

LOST = (psycopg.OperationalError, psycopg.InterfaceError, Unavailable)  # what a database that goes away raises

logger = log.get("jobs")


class DuplicateJob(ConfigError):
    """Two handlers have the same job name. Rename one of them."""

    code = "duplicate_job"


@dataclass(frozen=True, slots=True)
class Periodic:
    name: str
    seconds: float
    handler: Handler
    wake: str | None = None


HANDLERS: dict[str, Handler] = {}
PERIODIC: dict[str, Periodic] = {}


def job(name: str) -> Callable[[Handler], Handler]:
    """Register ``fn(conn, payload, now)`` for jobs called ``name``.

    It runs in one transaction on the site ``payload["site_id"]``; ``now`` is plant time. It may raise: the job is
    tried again with growing pauses, at most ATTEMPTS times, then kept as failed.
    """

    def register(handler: Handler) -> Handler:
        if HANDLERS.setdefault(name, handler) is not handler:
            raise DuplicateJob(f"Two handlers are named {name!r}.")
        return handler

    return register


def every(*, seconds: float, name: str, wake: str | None = None) -> Callable[[Handler], Handler]:
    """Run ``fn(conn, {}, now)`` about every ``seconds`` of wall time, once a site, by one worker at a time; and at once
    when a transaction that notified the channel ``wake`` has committed."""

    def register(handler: Handler) -> Handler:
        if name in PERIODIC and PERIODIC[name].handler is not handler:
            raise DuplicateJob(f"Two periodic jobs are named {name!r}.")
        PERIODIC[name] = Periodic(name, seconds, handler, wake)
        return handler

    return register


def later(conn: Connection, name: str, payload: dict[str, Any], *, key: str | None = None) -> None:
    """Run job ``name`` soon after the current transaction commits; jobs waiting under the same ``key`` are one."""
    _enqueue(conn, name, payload, delay=None, key=key)


def at(conn: Connection, when_plant: datetime, name: str, payload: dict[str, Any], *, key: str | None = None) -> None:
    """Run job ``name`` at plant time ``when_plant`` (turned into wall time now); at once if that is past."""
    delay = clock.load(conn).wall(when_plant) - clock.wall_now()
    _enqueue(conn, name, payload, delay=max(delay, timedelta(0)) + _age(conn), key=key)


def _age(conn: Connection) -> timedelta:
    """How old the transaction is: PgQueuer counts a delay from its beginning."""
    row = conn.execute("select clock_timestamp() - now()").fetchone()
    return row[0] if row else timedelta(0)


def _enqueue(conn: Connection, name: str, payload: dict[str, Any], *, delay: timedelta | None, key: str | None) -> None:
    if name not in HANDLERS:
        raise ConfigError(f"There is no job {name!r}.")
    row = conn.execute("select current_site()").fetchone()
    site_id = row[0] if row else None
    if payload.get("site_id", site_id) != site_id:
        raise ConfigError(f"The job {name!r} would run on another site than the one it is asked for on.")
    body = {**payload, "site_id": site_id, "effect": str(uuid.uuid4())}
    SyncQueries(SyncPsycopgDriver(conn)).enqueue(
        name, json.dumps(body).encode(), execute_after=delay, dedupe_key=key, on_conflict="skip"
    )


def run_job(database: Database, name: str, body: dict[str, Any]) -> bool:
    """One delivery of a job: its fence and its effect in one transaction. False = it had been done before."""
    with tx(database.app, site_id=body.get("site_id")) as conn:
        fenced = conn.execute(
            "insert into jobs_done (effect, name) values (%s, %s) on conflict do nothing", (body["effect"], name)
        )
        if fenced.rowcount == 0:
            return False
        HANDLERS[name](conn, body, clock.load(conn).now())
    return True


def run_due(database: Database) -> int:
    """Run every job that is due, one after another, in this thread; returns how many had an effect. For tests."""
    done = 0
    while True:
        with tx(database.app) as conn:
            row = conn.execute(
                """delete from pgqueuer where id = (select id from pgqueuer where status = 'queued'
                   and execute_after <= clock_timestamp() order by execute_after, id limit 1 for update skip locked)
                   returning entrypoint, payload"""
            ).fetchone()
        if row is None:
            return done
        done += run_job(database, row[0], json.loads(row[1]))


def run_periodic(database: Database, name: str) -> None:
    """One round of a periodic job over all sites; a round that another worker is at is left to it."""
    periodic = PERIODIC[name]
    with tx(database.app) as conn:
        sites = site_ids(conn)
    for site_id in sites:
        with tx(database.app, site_id=site_id) as conn:
            row = conn.execute(
                "select pg_try_advisory_xact_lock(hashtext(%s), %s)", (f"periodic:{name}", site_id)
            ).fetchone()
            if row and row[0]:
                periodic.handler(conn, {}, clock.load(conn).now())


class Worker:
    """Runs timers, jobs and periodic jobs until stopped. Handlers run in threads, so that heartbeats never stall."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._queue: PgQueuer | None = None
        self._stopping = asyncio.Event()
        self._woken = {each.name: asyncio.Event() for each in PERIODIC.values() if each.wake}

    async def run(self) -> None:
        """Work until :meth:`stop`; a database that is away is waited for. Timers have a connection of their own."""
        watch = timers.Watch(self.database)
        ringing = asyncio.create_task(asyncio.to_thread(watch.run))
        try:
            while not self._stopping.is_set():
                try:
                    await self._serve()
                except LOST as error:
                    logger.warning("the queue lost the database", error=str(error))
                    await asyncio.sleep(timers.RETRY_S)
        finally:
            watch.stop()
            await ringing

    async def _serve(self) -> None:
        """Work the queue until :meth:`stop`; raises one of LOST when the connection is lost."""
        conn = await psycopg.AsyncConnection.connect(self.database.app_dsn, autocommit=True)
        if not self.database.app_dsn_is(APP):
            await conn.execute(sql.SQL("set role {}").format(sql.Identifier(APP)))
        self._queue = queue = PgQueuer(PsycopgDriver(conn))
        for name in HANDLERS:
            queue.qm.entrypoint(name, on_failure="hold")(self._entry(name))
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self._periodic(p)) for p in PERIODIC.values()]
        if self._woken:
            tasks.append(asyncio.create_task(self._hear()))
        tasks += [asyncio.create_task(self._wake_deferred()), asyncio.create_task(queue.qm.run(batch_size=10))]
        tasks.append(asyncio.create_task(self._stopping.wait()))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        queue.qm.shutdown.set()
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await conn.close()
        for task in done:
            task.result()

    def stop(self) -> None:
        self._stopping.set()

    def _entry(self, name: str) -> Callable[[Job], Any]:
        async def handle(item: Job) -> None:
            try:
                await asyncio.to_thread(run_job, self.database, name, json.loads(item.payload or b"{}"))
            except Exception as error:
                logger.warning("job failed", job=name, attempt=item.attempts, error=str(error))
                if item.attempts >= ATTEMPTS:
                    raise
                raise RetryRequested(delay=timedelta(seconds=0.5 * 2**item.attempts)) from error

        return handle

    async def _periodic(self, periodic: Periodic) -> None:
        while True:
            began = time.monotonic()
            woken = self._woken.get(periodic.name)
            if woken:
                woken.clear()
            try:
                await asyncio.to_thread(run_periodic, self.database, periodic.name)
            except Exception as error:  # noqa: BLE001 - the next round tries again; the failure is logged
                logger.warning("periodic job failed", job=periodic.name, error=str(error))
            pause = max(0.05, periodic.seconds - (time.monotonic() - began))
            if woken is None:
                await asyncio.sleep(pause)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), pause)

    async def _hear(self) -> None:
        """Wake periodic jobs by their channels; ends when the connection is lost, like the worker."""
        async with await psycopg.AsyncConnection.connect(self.database.app_dsn, autocommit=True) as conn:
            for channel in sorted({each.wake for each in PERIODIC.values() if each.wake}):
                await conn.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
            async for notice in conn.notifies():
                for each in PERIODIC.values():
                    if each.wake == notice.channel:
                        self._woken[each.name].set()

    async def _wake_deferred(self) -> None:
        """PgQueuer looks for deferred jobs when it happens to wake; this wakes it when the next one is due."""
        while True:
            wait_s = await asyncio.to_thread(self._next_due_s)
            if wait_s <= 0:
                await asyncio.to_thread(self._notify)
            await asyncio.sleep(min(max(wait_s, 0.2), LONGEST_SLEEP_S))

    def _next_due_s(self) -> float:
        with tx(self.database.app) as conn:
            row = conn.execute(DEFERRED).fetchone()
        return LONGEST_SLEEP_S if row is None or row[0] is None else float(row[0])

    def _notify(self) -> None:
        with tx(self.database.app) as conn:
            conn.execute(WAKE)
