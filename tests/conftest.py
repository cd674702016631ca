"""Real parts for every test: one PostgreSQL a worker, a fresh database a test, a real mosquitto.

The PostgreSQL is embedded, or the server that ``TEST_DATABASE_URL`` names (``tests/external_server.py``).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import Connection, sql

from core.database import Database, migrate
from core.embedded import Durability, EmbeddedServer
from core.ports import reserve
from core.secrets import Secrets, load_or_create
from tests.external_server import ExternalServer, clone, drop, from_environment

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines are shared
settings.load_profile("house")

TEMPLATE = "millwright_template"
CLONES = count(1)


def missing(part: str, remedy: str) -> None:
    """Skip for want of a system part; in CI that is a failure."""
    if os.environ.get("MILLWRIGHT_REQUIRE_ALL") == "1":
        pytest.fail(f"{part} is missing. {remedy}")
    pytest.skip(f"{part} is missing. {remedy}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer | ExternalServer]:
    """The worker's PostgreSQL, with a migrated template database; its data are thrown away."""
    external = from_environment()
    if external is None:
        yield from _embedded(tmp_path_factory)
        return
    external.prepare()
    try:
        yield external
    finally:
        external.destroy()


def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    data_dir = tmp_path_factory.mktemp("pg")
    embedded = EmbeddedServer(data_dir, load_or_create(data_dir), durability=Durability.THROWAWAY)
    embedded.start()
    try:
        with psycopg.connect(embedded.dsn("postgres", database="postgres"), autocommit=True) as conn:
            conn.execute(sql.SQL("create database {} owner millwright_owner").format(sql.Identifier(TEMPLATE)))
        migrate(embedded.dsn("millwright_owner", database=TEMPLATE))
        yield embedded
    finally:
        embedded.destroy()


@pytest.fixture(scope="session")
def template(server: EmbeddedServer | ExternalServer) -> str:
    """The migrated database that tests clone theirs from."""
    return server.template if isinstance(server, ExternalServer) else TEMPLATE


@contextmanager
def _cloned(server: EmbeddedServer | ExternalServer, template: str) -> Iterator[Database]:
    name = f"test_{os.getpid()}_{next(CLONES)}"
    admin = server.dsn("postgres", database="postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        clone(conn, name, template)
    dsns = server.dsns(database=name)
    handle = Database(dsns.app, dsns.ingest, dsns.owner)
    try:
        yield handle
    finally:
        handle.close()
        with psycopg.connect(admin, autocommit=True) as conn:
            drop(conn, name)


def _add_site(database: Database) -> int:
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('plant', 'Test plant') returning site_id").fetchone()
    assert row
    return int(row[0])


@pytest.fixture
def database(server: EmbeddedServer | ExternalServer, template: str) -> Iterator[Database]:
    """A database of the test's own, cloned from the template."""
    with _cloned(server, template) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Shared:
    """A database of the worker's, with a site: for tests that leave nothing behind."""

    database: Database
    site: int


@pytest.fixture(scope="session")
def shared(server: EmbeddedServer | ExternalServer, template: str) -> Iterator[Shared]:
    with _cloned(server, template) as made:
        yield Shared(made, _add_site(made))


@pytest.fixture
def superuser(server: EmbeddedServer | ExternalServer, database: Database) -> Iterator[Connection]:
    """A superuser's connection to the test's database, for looking behind the policies."""
    name = psycopg.conninfo.conninfo_to_dict(database.app_dsn)["dbname"]
    with psycopg.connect(server.dsn("postgres", database=str(name)), autocommit=True) as conn:
        yield conn


@pytest.fixture
def site(request: pytest.FixtureRequest) -> int:
    """A site's id, in the test's own database if it has one."""
    if "database" in request.fixturenames:
        return _add_site(request.getfixturevalue("database"))
    found: Shared = request.getfixturevalue("shared")
    return found.site


class RolledBack(Exception):
    """Ends the test's transaction."""


@pytest.fixture
def conn(request: pytest.FixtureRequest, site: int) -> Iterator[Connection]:
    """The app role in a transaction on ``site`` that is rolled back at the end.

    A test that asks for no more than this needs no database of its own, which would take most of its time.
    """
    own = "database" in request.fixturenames
    made: Database = request.getfixturevalue("database") if own else request.getfixturevalue("shared").database
    try:
        with made.tx(site_id=site) as connection:
            yield connection
            raise RolledBack
    except RolledBack:
        pass


@dataclass(frozen=True, slots=True)
class RunningBroker:
    host: str
    port: int
    folder: Path


def wait_for_port(port: int, *, within_s: float = 10.0) -> None:
    """Return when something listens on the loopback port; raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[RunningBroker]:
    """A real mosquitto on a free loopback port that lets anybody in."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        missing("mosquitto", "Install it: apt-get install mosquitto")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    port = reserve()
    config = folder / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"{user}listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 1000000\n"
        "max_inflight_messages 200\n"
        f"persistence true\npersistence_location {folder}/\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), "-c", str(config)], stdout=log, stderr=log)
        try:
            wait_for_port(port)
            yield RunningBroker("127.0.0.1", port, folder)
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    return load_or_create(tmp_path_factory.mktemp("secrets"))
