"""The product's own app under its own server as a process of its own, on a PostgreSQL of its own, for benchmarks.

    with Served() as up:
        httpx.get(up.address + "/health/live")

The process measures itself: a heartbeat on the event loop says how late it came at worst (`Beat`), which is how long
the loop served nobody. Kill and start it again as often as you like; the database and its data stay.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from fastapi import FastAPI

from api import idempotency, identity, server, up
from api.app import create_app
from api.policies import ROLES
from benchmarks.hostile_wire import Wire
from core import log, places
from core.clock import wall_now
from core.database import Database, migrate
from core.embedded import EmbeddedServer
from core.ports import HOST, free, reserve
from core.processes import Child, alive, python_environment, spawn, tail, tree
from core.secrets import load_or_create
from core.settings import Settings
from tickets import seed

JOB = "MILLWRIGHT_SERVED_JOB"
BEAT_S = 0.005
READY_S = 120.0
SITE = "bench"


class Beat:
    """What the server's heartbeat found, in a file that both processes see: seconds late at worst, and processor time
    that the process used in that gap (what the gap took beyond it, the machine gave to others)."""

    SHAPE = struct.Struct("dd")

    def __init__(self, path: Path) -> None:
        path.touch()
        with path.open("r+b") as file:
            file.truncate(self.SHAPE.size)
            self._shared = mmap.mmap(file.fileno(), self.SHAPE.size)

    def worst(self) -> tuple[float, float]:
        """(seconds late, seconds of processor time meanwhile) since the last reset."""
        late, used = self.SHAPE.unpack(self._shared[:])
        return late, used

    def reset(self) -> None:
        self._shared[:] = self.SHAPE.pack(0.0, 0.0)

    async def go_on(self) -> None:
        """Beat until cancelled; runs in the server's process."""
        while True:
            due, used = time.perf_counter() + BEAT_S, time.process_time()
            await asyncio.sleep(BEAT_S)
            late = time.perf_counter() - due
            if late > self.worst()[0]:
                self._shared[:] = self.SHAPE.pack(late, time.process_time() - used)


class Build(StrEnum):
    """FORGETFUL is a control of a drill: it has one known defect, and takes no notice of an Idempotency-Key."""

    HONEST = "honest"
    FORGETFUL = "forgetful"


class Served:
    """Database, a site with a person a role (``tokens``), and the server's process; nothing is left at the end."""

    def __init__(self, *, build: Build = Build.HONEST, settings: Mapping[str, str] | None = None) -> None:
        self.build, self.settings = build, dict(settings or {})
        self.folder = Path(tempfile.mkdtemp(prefix="millwright-served-"))
        self.folder.chmod(0o755)
        self.tokens: dict[str, str] = {}
        self.site_id = 0
        self.port = reserve()
        self.child: Child | None = None
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "served.log"

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def start(self) -> None:
        """Start the server; returns when it answers. Raises TimeoutError with the end of its log."""
        job = {"dsns": list(self.dsns), "port": self.port, "folder": str(self.folder), "build": self.build}
        words = [sys.executable, "-m", "benchmarks.served"]
        self.child = spawn(words, log=self.log, env=python_environment({JOB: json.dumps(job)}))
        began = time.monotonic()
        while not self.answers():
            if time.monotonic() - began > READY_S or self.child.poll() is not None:
                raise TimeoutError(f"the server does not answer\n{tail(self.log, lines=60)}")
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9 of the server; returns when it is gone."""
        assert self.child is not None
        _kill(self.child)

    def kill_database(self) -> None:
        """kill -9 of the whole database; returns when it is gone. ``cluster.start()`` brings it back."""
        assert self.cluster.child is not None
        _kill(self.cluster.child)

    def empty(self) -> int:
        """Start an app with one route, GET /empty, under the same server; returns its port."""
        port = reserve()
        words = [sys.executable, "-m", "benchmarks.served"]
        child = spawn(words, log=self.log, env=python_environment({JOB: json.dumps({"port": port})}))
        self._ends.callback(child.stop, (signal.SIGTERM, 10.0))
        began = time.monotonic()
        while free(HOST, port) and time.monotonic() - began < READY_S:
            time.sleep(0.05)
        return port

    def answers(self) -> bool:
        try:
            with Wire(self.port) as line:
                return line.ask("GET", "/health/live", {}).status == HTTPStatus.OK
        except OSError:
            return False

    def rss_mb(self, field: str = "VmRSS") -> float:
        """Memory of the server's process; ``VmHWM``: its highest since ``forget_peak``."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        return 0.0

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def _build(self) -> None:
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        secrets = load_or_create(self.folder)
        self._ends.callback(places.forget, secrets.instance_id)
        self.cluster = EmbeddedServer(
            self.folder / "database", secrets, log=self.folder / "database.log", settings=self.settings
        )
        self._ends.callback(self.cluster.destroy)
        found = self.cluster.start()
        self.superuser = found.superuser
        self.dsns = (found.app, found.ingest, found.owner)
        migrate(found.owner)
        self.database = Database(*self.dsns)
        self._ends.callback(self.database.close)
        self._people()
        self.beat = Beat(self.folder / "beat")
        self._ends.callback(self._end)
        self.start()

    def _people(self) -> None:
        with self.database.tx() as conn:
            row = conn.execute(
                "insert into sites (code, name) values (%s, 'Bench') returning site_id", (SITE,)
            ).fetchone()
            assert row is not None
            self.site_id = int(row[0])
            for role in ROLES:
                identity.create_user(conn, login=role, name=role.title(), role=role, site_id=self.site_id)
                self.tokens[role] = identity.create_token(conn, role, name="bench", now=wall_now())
        with self.database.tx(site_id=self.site_id) as conn:
            seed.seed_site(conn)

    def _end(self) -> None:
        if self.child is not None:
            self.child.stop((signal.SIGTERM, 10.0))


def _kill(child: Child) -> None:
    pids = tree(child.pid)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.wait(10)
    while any(alive(pid) for pid in pids):
        time.sleep(0.002)


async def _serve(port: int, dsns: list[str], folder: Path) -> None:
    settings = Settings(data_dir=folder / "data")
    app = create_app(Database(*dsns), settings=settings)
    server.allow_files()
    server.settle()
    beat = asyncio.create_task(Beat(folder / "beat").go_on())
    await uvicorn.Server(server.config(app, host="127.0.0.1", port=port)).serve()
    beat.cancel()


async def _serve_empty(port: int) -> None:
    app = FastAPI(openapi_url=None)

    @app.get("/empty")
    async def empty() -> dict[str, str]:
        return {"status": "ok"}

    await uvicorn.Server(server.config(app, host=HOST, port=port)).serve()


def main() -> None:
    """The server's process."""
    job = json.loads(os.environ[JOB])
    log.configure("INFO")
    if "dsns" not in job:
        asyncio.run(_serve_empty(job["port"]))
        return
    if job["build"] == Build.FORGETFUL:
        idempotency.claim = lambda *_, **__: None
    up.wire()
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(job["port"], job["dsns"], Path(job["folder"])))


def _loop() -> asyncio.AbstractEventLoop:
    """The kind of loop that uvicorn would take."""
    factory = uvicorn.Config(lambda: None, loop="auto").get_loop_factory()
    return factory() if factory else asyncio.new_event_loop()


if __name__ == "__main__":
    main()
