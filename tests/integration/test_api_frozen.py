"""A database that is stopped in the middle (SIGSTOP) hangs no client: 503 in time, not ready, and well again after."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from core.database import Database, migrate
from core.embedded import Durability, EmbeddedServer
from core.processes import tree
from core.secrets import load_or_create
from tests.api_world import API, World, living, problem

DEADLINE_S = 1.0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that nobody else needs while it is frozen."""
    server = EmbeddedServer(tmp_path, load_or_create(tmp_path), durability=Durability.THROWAWAY)
    server.start()
    try:
        with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as admin:
            admin.execute("create database plant owner millwright_owner")
        migrate(server.dsn("millwright_owner", database="plant"))
        yield server
    finally:
        server.destroy()


@pytest.fixture
def world(own_server: EmbeddedServer, tmp_path: Path) -> Iterator[World]:
    dsns = own_server.dsns(database="plant")
    database = Database(dsns.app, dsns.ingest, dsns.owner)
    with living(database, tmp_path, deadline_s=DEADLINE_S) as running:
        yield running
    database.close()


def send(server: EmbeddedServer, what: signal.Signals) -> None:
    assert server.pid
    for pid in tree(server.pid):
        os.kill(pid, what)


def test_a_frozen_database_hangs_nobody(own_server: EmbeddedServer, world: World) -> None:
    planner, watchdog = world.as_("planner"), world.as_(None)
    assert planner.get(f"{API}/me").status_code == 200
    send(own_server, signal.SIGSTOP)
    try:
        started = time.monotonic()
        answer = planner.get(f"{API}/me")
        assert time.monotonic() - started < DEADLINE_S + 1
        assert problem(answer)["code"] == "unavailable" and answer.headers["retry-after"]
        started = time.monotonic()
        assert watchdog.get("/health/ready").status_code == 503
        assert time.monotonic() - started < 5
        assert watchdog.get("/health/live").status_code == 200
        with ThreadPoolExecutor(60) as pool:  # more than the threads that answer requests would bear
            answers = list(pool.map(lambda _: planner.get(f"{API}/me").status_code, range(60)))
        assert set(answers) == {503}
    finally:
        send(own_server, signal.SIGCONT)
    deadline = time.monotonic() + 15
    while planner.get(f"{API}/me").status_code != 200 or watchdog.get("/health/ready").status_code != 200:
        assert time.monotonic() < deadline, "it does not recover"
        time.sleep(0.1)
