"""The database: pools for the app and the ingest role, and ``tx``, the only place where a transaction begins and ends.

with database.tx(site_id=3) as conn:      # app role, sees site 3 alone
    conn.execute(...)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import psycopg
from psycopg import Connection, sql
from psycopg_pool import ConnectionPool, PoolTimeout

from core import locks
from core.deadline import Watchdog
from core.errors import ConfigError, Unavailable

APP = "millwright_app"
INGEST = "millwright_ingest"
OWNER = "millwright_owner"
CONNECT_S = 5
AGAIN_S = 0.05  # between two tries when the server went away
BEGIN = b"begin; select set_config('app.site_id', '%s', true)"  # one message: no parameters


class UnsafeRole(ConfigError):
    """The application's database role is a superuser or owns the tables, so that row-level security would not hold."""

    code = "unsafe_role"


class Database:
    """DSNs of the three roles. Pools open lazily and belong to this process.

    ``deadline_s``: an ingest transaction that takes longer has its connection cut; None waits for ever.
    """

    def __init__(self, app: str, ingest: str, owner: str, *, statement_timeout_s: float = 30.0, max_size: int = 8):
        self.app_dsn, self.ingest_dsn, self.owner_dsn = app, ingest, owner
        self.statement_timeout_s = statement_timeout_s
        self.max_size = max_size
        self.deadline_s: float | None = None
        self._watchdog = Watchdog()
        self._pools: dict[str, Pool] = {}
        self._opening = threading.Lock()

    @property
    def app(self) -> Pool:
        return self._pool_of(APP, self.app_dsn)

    @property
    def ingest(self) -> Pool:
        return self._pool_of(INGEST, self.ingest_dsn)

    @contextmanager
    def tx(self, *, site_id: int | None = None) -> Iterator[Connection]:
        """One transaction as the app role on one site (None = identity and clock only); rolls back on error."""
        with tx(self.app, site_id=site_id) as conn:
            yield conn

    @contextmanager
    def ingest_tx(self) -> Iterator[Connection]:
        """One transaction as the ingest role, which hears all sites."""
        with tx(self.ingest, watch=self.watch) as conn:
            yield conn

    def line(self) -> Line:
        """A connection of the ingest role for one thread that stores again and again."""
        return Line(lambda: self.connect(role=INGEST), self.watch)

    def watch(self, conn: Connection) -> AbstractContextManager[None]:
        """Cut ``conn`` when the block takes longer than ``deadline_s``."""
        return nullcontext() if self.deadline_s is None else self._watchdog.watch(conn, self.deadline_s)

    def connect(self, *, role: str = APP) -> Connection:
        """A connection of one's own in autocommit, for LISTEN; the caller closes it."""
        dsn = {APP: self.app_dsn, INGEST: self.ingest_dsn, OWNER: self.owner_dsn}[role]
        conn = psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_S)
        with self._watchdog.watch(conn, CONNECT_S):
            _become(conn, role)
        return conn

    def app_dsn_is(self, role: str) -> bool:
        """Whether the app DSN logs in as ``role`` itself rather than as a member of it."""
        return psycopg.conninfo.conninfo_to_dict(self.app_dsn).get("user") == role

    def close(self) -> None:
        """Close the pools; the next use opens new ones."""
        with self._opening:
            while self._pools:
                self._pools.popitem()[1].close()

    def _pool_of(self, role: str, dsn: str) -> Pool:
        """One pool a role, also when several threads come first."""
        with self._opening:
            if role not in self._pools:
                self._pools[role] = self._pool(dsn, role)
            return self._pools[role]

    def _pool(self, dsn: str, role: str) -> Pool:
        def configure(conn: Connection) -> None:
            with self._watchdog.watch(conn, CONNECT_S):
                _become(conn, role)
                conn.execute(
                    sql.SQL("set statement_timeout = {}").format(sql.Literal(int(self.statement_timeout_s * 1000)))
                )

        return Pool(dsn, self._watchdog, configure, max_size=self.max_size)


class Pool(ConnectionPool[Connection]):
    """Connections of one role. That one still lives shows when its transaction begins: asking before would cost a round
    trip more."""

    def __init__(self, dsn: str, watchdog: Watchdog, configure: Callable[[Connection], None], *, max_size: int) -> None:
        self._watchdog = watchdog
        super().__init__(
            dsn,
            min_size=1,
            max_size=max_size,
            kwargs={
                "autocommit": True,
                "connect_timeout": CONNECT_S,
                "keepalives_idle": 5,
                "tcp_user_timeout": 10_000,
            },
            configure=configure,
            timeout=CONNECT_S,
            open=True,
        )

    def begin(self, site_id: int | None) -> Connection:
        """A connection in a new transaction on this site, for the caller to put back. Raises PoolTimeout."""
        until = time.monotonic() + self.timeout
        while True:
            conn = self.getconn(until - time.monotonic())
            try:
                with self._watchdog.watch(conn, CONNECT_S):
                    conn.execute(BEGIN % _named(site_id).encode(), prepare=False)
                return conn
            except psycopg.OperationalError:
                self.drain()  # the server went away: all are dead, and trying them one by one takes seconds
                self.putconn(conn)
                time.sleep(AGAIN_S)
            except BaseException:
                self.putconn(conn)
                raise


class Line:
    """One connection that its thread keeps: nothing is asked before a transaction, and a broken one is made anew."""

    def __init__(
        self, connect: Callable[[], Connection], watch: Callable[[Connection], AbstractContextManager[None]]
    ) -> None:
        self._connect, self._watch = connect, watch
        self._conn: Connection | None = None

    @contextmanager
    def tx(self) -> Iterator[Connection]:
        """One transaction; rolls back on error. After an error of the connection the next one connects."""
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        with self._watch(self._conn), self._conn.transaction():
            yield self._conn

    def close(self) -> None:
        """Hang up; the next transaction connects."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None


@contextmanager
def tx(
    pool: Pool,
    *,
    site_id: int | None = None,
    watch: Callable[[Connection], AbstractContextManager[None]] = lambda _conn: nullcontext(),
) -> Iterator[Connection]:
    """One transaction on a pooled connection; the site holds until its end and never leaks into the next.

    Raises Unavailable when no connection comes in time.
    """
    try:
        conn = pool.begin(site_id)
    except PoolTimeout as error:
        raise Unavailable("The database does not answer in time. Try again soon.") from error
    try:
        with watch(conn), _ended(conn):
            yield conn
    finally:
        pool.putconn(conn)


@contextmanager
def _ended(conn: Connection) -> Iterator[None]:
    """Commit what has begun, or undo it when the block raises."""
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):  # a broken connection undoes by itself, and the first error is the one to tell
            conn.rollback()
        raise
    conn.commit()


@contextmanager
def savepoint(conn: Connection) -> Iterator[None]:
    """Within a transaction: what the block wrote is undone when it raises, and what was before stays."""
    with conn.transaction():
        yield


@contextmanager
def rehearsal(conn: Connection) -> Iterator[None]:
    """Within a transaction: what the block wrote is checked (deferred constraints too) and undone at its end."""
    with conn.transaction(force_rollback=True):
        yield
        conn.execute("set constraints all immediate")


def use_site(conn: Connection, site_id: int | None) -> None:
    """Set the current site for the rest of the transaction."""
    conn.execute("select set_config('app.site_id', %s, true)", (_named(site_id),))


def _named(site_id: int | None) -> str:
    return "" if site_id is None else str(int(site_id))


def site_ids(conn: Connection) -> list[int]:
    """Every site, oldest first."""
    return [row[0] for row in conn.execute("select site_id from sites order by site_id")]


def _become(conn: Connection, role: str) -> None:
    """Log-ins of one's own server may be members of our roles instead of being them."""
    row = conn.execute("select current_user = %s", (role,)).fetchone()
    if not (row and row[0]):
        conn.execute(sql.SQL("set role {}").format(sql.Identifier(role)))


def migrate(owner_dsn: str, *, to: str = "head") -> str:
    """Bring the schema to the newest version, or as far as ``to``; returns it.

    Safe to run again and from several processes at once.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(
        "postgresql+psycopg://",
        poolclass=NullPool,
        creator=lambda: psycopg.connect(owner_dsn, connect_timeout=CONNECT_S),
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"select pg_advisory_lock({locks.MIGRATING})")
        connection.commit()
        ensure_roles(connection.connection.driver_connection)  # type: ignore[arg-type]
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        connection.commit()
        row = connection.exec_driver_sql("select version_num from alembic_version").fetchone()
        connection.exec_driver_sql(f"select pg_advisory_unlock({locks.MIGRATING})")
    engine.dispose()
    return str(row[0]) if row else "none"


def ensure_roles(conn: Connection) -> None:
    """On one's own server, make the group roles that the policies name, if the log-in may."""
    have = {row[0] for row in conn.execute("select rolname from pg_roles where rolname like 'millwright_%'")}
    for role in (APP, INGEST):
        if role not in have:
            conn.execute(sql.SQL("create role {} nologin nosuperuser nobypassrls").format(sql.Identifier(role)))
            conn.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))


def refuse_unsafe_role(conn: Connection) -> None:
    """Raise UnsafeRole when row-level security would not hold for this connection."""
    row = conn.execute(
        """select r.rolsuper or r.rolbypassrls or exists (
             select 1 from pg_class c where c.relname = 'tickets' and c.relowner = r.oid)
           from pg_roles r where r.rolname = current_user"""
    ).fetchone()
    if row is None or row[0]:
        raise UnsafeRole
