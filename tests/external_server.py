"""The tests on a PostgreSQL of one's own: ``TEST_DATABASE_URL`` names a superuser of a server that may be scribbled on.

It gets the three roles with a password for tests, a template database a worker, and a clone a test, which are dropped
again. Where the server offers TimescaleDB, the template has the extension.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psycopg
from psycopg import Connection, errors, sql
from psycopg.conninfo import make_conninfo

from core.database import migrate
from core.embedded import Dsns

ROLES = ("millwright_owner", "millwright_app", "millwright_ingest")
PASSWORD = "for-tests-only"
TEMPLATE = "millwright_template"
WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class ExternalServer:
    """As much of ``EmbeddedServer`` as tests ask for."""

    url: str
    template: str

    def dsn(self, role: str, *, database: str = "postgres") -> str:
        """One connection string; ``postgres`` is the superuser of the URL."""
        if role not in ROLES:
            return make_conninfo(self.url, dbname=database)
        return make_conninfo(self.url, dbname=database, user=role, password=PASSWORD)

    def dsns(self, *, database: str) -> Dsns:
        return Dsns(
            app=self.dsn("millwright_app", database=database),
            ingest=self.dsn("millwright_ingest", database=database),
            owner=self.dsn("millwright_owner", database=database),
            superuser=self.dsn("postgres", database=database),
        )

    def prepare(self) -> None:
        """Make the roles and this worker's migrated template."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            _make_roles(conn)
            drop(conn, self.template)
            conn.execute(sql.SQL("create database {} owner millwright_owner").format(sql.Identifier(self.template)))
        with psycopg.connect(self.dsn("postgres", database=self.template), autocommit=True) as conn:
            if conn.execute("select 1 from pg_available_extensions where name = 'timescaledb'").fetchone():
                conn.execute("create extension if not exists timescaledb")
        migrate(self.dsn("millwright_owner", database=self.template))
        self._seal()

    def destroy(self) -> None:
        """Drop the template; the roles stay, for other workers may use them."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(sql.SQL("alter database {} with is_template false").format(sql.Identifier(self.template)))
            drop(conn, self.template)

    def _seal(self) -> None:
        """A database is cloned only while nobody is in it, and TimescaleDB's scheduler comes back: close it."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(
                sql.SQL("alter database {} with allow_connections false").format(sql.Identifier(self.template))
            )
            deadline = time.monotonic() + WAIT_S
            while conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (self.template,)
            ).fetchall():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"somebody does not leave {self.template}")
                time.sleep(0.05)


def from_environment() -> ExternalServer | None:
    """The server that TEST_DATABASE_URL names, with a template of this worker's own; None without the variable."""
    url = os.environ.get("TEST_DATABASE_URL")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return ExternalServer(url, f"{TEMPLATE}_{worker}_{os.getpid()}") if url else None


def clone(conn: Connection, name: str, template: str) -> None:
    """Create a database from the template, by file: it is small."""
    statement = sql.SQL("create database {} template {} owner millwright_owner strategy file_copy")
    conn.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))


def drop(conn: Connection, name: str) -> None:
    """Drop a database and whoever is in it; a background worker may come between, so again until it is gone."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            conn.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        except errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _make_roles(conn: Connection) -> None:
    conn.execute("select pg_advisory_lock(7418530)")
    for role in ROLES:
        known = conn.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
        verb = sql.SQL("alter role {} with {} {}" if known else "create role {} with {} {}")
        rights = sql.SQL("login nosuperuser nobypassrls nocreatedb nocreaterole password")
        conn.execute(verb.format(sql.Identifier(role), rights, sql.Literal(PASSWORD)))
    conn.execute("select pg_advisory_unlock(7418530)")
