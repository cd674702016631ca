"""Two sites with a person in every role, and clients that speak to the real app on the real database."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
import uvicorn
from fastapi import FastAPI

from api import identity
from api.app import create_app
from api.policies import ROLES
from api.server import config
from core.clock import wall_now
from core.database import Database
from core.embedded import EmbeddedServer
from core.settings import Settings
from tests.external_server import TEMPLATE, ExternalServer, clone, drop
from tickets import seed

BASE = "http://127.0.0.1"
API = "/api/v1"
CLONES = count(1)
PASSWORD = "a long enough passphrase"


class World:
    """Sites `alpha` and `beta`; on alpha one person a role (login = role), on beta an admin `stranger`."""

    def __init__(self, database: Database, folder: Path, **options: Any) -> None:
        self.database = database
        self.app: FastAPI = create_app(database, settings=Settings(data_dir=folder), **options)
        with database.tx() as conn:
            self.alpha, self.beta = (
                int(row[0])
                for code in ("alpha", "beta")
                if (
                    row := conn.execute(
                        "insert into sites (code, name) values (%s, %s) returning site_id", (code, code)
                    ).fetchone()
                )
            )
            for role in ROLES:
                identity.create_user(conn, login=role, name=role.title(), role=role, site_id=self.alpha)
            identity.create_user(conn, login="stranger", name="Stranger", role="admin", site_id=self.beta)
            self.tokens = {
                login: identity.create_token(conn, login, name="test", now=wall_now()) for login in (*ROLES, "stranger")
            }
        self._clients: dict[str | None, httpx.Client] = {}
        self._lock = threading.Lock()
        self.address = ""

    def as_(self, login: str | None) -> httpx.Client:
        """A client that sends this person's token (None: nothing)."""
        with self._lock:
            if login not in self._clients:
                headers = {"authorization": f"Bearer {self.tokens[login]}"} if login else {}
                self._clients[login] = httpx.Client(base_url=self.address, headers=headers, timeout=20)
            return self._clients[login]

    def browser(self) -> httpx.Client:
        """A client with a cookie jar of its own and no token; the caller closes it."""
        return httpx.Client(base_url=self.address, timeout=20)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def password(self, login: str) -> str:
        with self.database.tx() as conn:
            identity.set_password(conn, login, PASSWORD)
        return PASSWORD

    def link(self, login: str) -> str:
        with self.database.tx() as conn:
            return identity.create_link(conn, login, now=wall_now())


@contextmanager
def cloned(server: EmbeddedServer | ExternalServer) -> Iterator[Database]:
    """A database like the fixture's, for as long as the block: one for the tests of a whole file."""
    name = f"world_{os.getpid()}_{next(CLONES)}"
    with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as admin:
        clone(admin, name, server.template if isinstance(server, ExternalServer) else TEMPLATE)
        dsns = server.dsns(database=name)
        database = Database(dsns.app, dsns.ingest, dsns.owner)
        try:
            yield database
        finally:
            database.close()
            drop(admin, name)


@contextmanager
def living(database: Database, folder: Path, **options: Any) -> Iterator[World]:
    """A world whose app is served on loopback."""
    world = World(database, folder, **options)
    with served(world.app) as world.address:
        try:
            yield world
        finally:
            world.close()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a real uvicorn on loopback; gives its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(config(app, host="127.0.0.1", port=0, timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "uvicorn does not start"
            time.sleep(0.01)
        yield f"{BASE}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document of an error, whose shape is checked."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body: dict[str, Any] = response.json()
    assert body["status"] == response.status_code
    assert {"type", "title", "detail", "code", "instance"} <= body.keys()
    assert body["type"] == f"urn:millwright:error:{body['code']}"
    return body


def seeded(world: World) -> World:
    with world.database.tx(site_id=world.alpha) as conn:
        seed.seed_site(conn)
    return world


def tickets(world: World) -> int:
    with world.database.tx(site_id=world.alpha) as conn:
        row = conn.execute("select count(*) from tickets").fetchone()
    return int(row[0]) if row else 0


def ticket(world: World, **more: Any) -> dict[str, Any]:
    made = world.as_("planner").post(f"{API}/tickets", json={"kind": "request", "title": "t", **more})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found
