"""The composition root: the only place where rooms are wired to each other.

detectors.runner ──finding──> maintenance.service ──> tickets.service
tickets.hooks    <──close guard, closed── maintenance.guard, maintenance.feedback
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn
from psycopg import Connection

import maintenance.jobs
import tickets.jobs
from api import identity
from api.app import create_app
from api.instance import Instance
from core import clock, jobs
from core.database import Database, migrate, refuse_unsafe_role
from core.settings import Settings
from detectors.runner import Runner
from ingest import run as ingest_run
from maintenance import feedback, guard, service
from tickets import hooks, seed

ADMIN = "admin"
JOB_MODULES = (maintenance.jobs, tickets.jobs)  # importing them registers their handlers


def wire() -> None:
    """Register what lower rooms need from higher ones; to be called once a process."""
    hooks.register_close_guard(guard.GUARD)
    hooks.register_on_closed(feedback.on_closed)


def first_start(database: Database, settings: Settings) -> bool:
    """Make the first site, its defaults, the plant clock and an administrator without a password.

    Does nothing when a site exists. True when it did.
    """
    with database.tx() as conn:
        refuse_unsafe_role(conn)
        conn.execute("select pg_advisory_xact_lock(7418530)")
        if conn.execute("select 1 from sites limit 1").fetchone():
            return False
        site_id = make_site(conn, code=settings.site, name=settings.site_name, timezone=settings.timezone)
        if settings.instance_factor != 1.0:
            clock.set_clock(conn, plant_now=clock.wall_now(), factor=settings.instance_factor)
        identity.create_user(conn, login=ADMIN, name="Administrator", role="admin", site_id=site_id)
    with database.tx(site_id=site_id) as conn:
        seed.seed_site(conn)
    return True


def make_site(conn: Connection, *, code: str, name: str, timezone: str) -> int:
    """Insert a site; returns its id."""
    row = conn.execute(
        "insert into sites (code, name, timezone) values (%s, %s, %s) returning site_id", (code, name, timezone)
    ).fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    return int(row[0])


def prepare(instance: Instance, *, owner_dsn: str, database: Database) -> bool:
    """Schema and first start; True when this was the first."""
    migrate(owner_dsn)
    return first_start(database, instance.settings)


def run_ingest(instance: Instance) -> None:
    """Hear and keep until a signal says stop."""
    access = instance.broker()
    broker = ingest_run.Broker(access.host, access.port, access.user, access.password, access.kind)
    ingest_run.run(database=instance.database, broker=broker, instance=instance.short_id, stop=stop_event())


def run_detect(instance: Instance) -> None:
    """Judge until a signal says stop."""
    wire()
    Runner(instance.database, clock.load, service.on_finding).run_forever(stop_event())


def run_worker(instance: Instance) -> None:
    """Run jobs until a signal says stop."""
    wire()

    async def work() -> None:
        worker = jobs.Worker(instance.database)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()

    asyncio.run(work())


def run_serve(instance: Instance, *, host: str, port: int) -> None:
    """Serve API and web until a signal says stop."""
    wire()
    app = create_app(instance.database, settings=instance.settings)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level=instance.settings.log_level.lower(),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set; call it on the main thread."""
    stop = threading.Event()
    on_signal: Callable[[int, FrameType | None], None] = lambda _number, _frame: stop.set()  # noqa: E731
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop
