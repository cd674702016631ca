"""The database's log, kept as it is written: ``pg_receivewal`` beside the embedded server.

What has been committed is in the archive within milliseconds, whole segments and the one that is being written. A
replication slot makes the server wait with recycling while the receiver is away, up to ``max_slot_wal_keep_size``;
after that the log has a gap, and a new era begins with a backup of its own.
"""

from __future__ import annotations

import secrets as random
import signal
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict

from core import backups
from core.clock import wall_now
from core.embedded import EmbeddedServer, binaries_for
from core.processes import Child, spawn

SLOT = "millwright_backup"
ERA_FILE = "millwright.era"
REPORT_S = 2


class Archive:
    """A part of the process tree (``api.supervisor.Part``) that keeps the log of ``server`` under ``root``."""

    name = "archive"

    def __init__(self, server: EmbeddedServer, root: Path, *, log_file: Path | None = None) -> None:
        self.server, self.root = server, root
        self.log_file = log_file or server.data_dir / "logs" / "archive.log"
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.poll() is None else None

    def start(self) -> None:
        """Never raises for what an archive can have: nothing else waits for it, and the supervisor tries again."""
        self._child = None
        try:
            with psycopg.connect(self.server.dsn("postgres", database="postgres"), autocommit=True) as conn:
                folder = self.root / prepare(conn, self.server) / "wal"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (psycopg.Error, OSError) as error:
            with self.log_file.open("a") as log:
                log.write(f"the archive cannot start: {error}\n")
            return
        command: list[str | Path] = [
            *(tool("pg_receivewal"), "--directory", folder, "--slot", SLOT, "--no-password"),
            *("--status-interval", str(REPORT_S)),
        ]
        self._child = spawn([*command, *address(self.server)], log=self.log_file, env=environment(self.server))

    def poll(self) -> int | None:
        return self._child.poll() if self._child else 1

    def stop(self, within_s: float) -> None:
        if self._child:
            self._child.stop((signal.SIGINT, within_s))
            self._child = None


def prepare(conn: Connection, server: EmbeddedServer) -> str:
    """The slot and the era of the running cluster, made where they are missing; returns the era.

    A slot whose log the server had to give up begins a new era.
    """
    row = conn.execute("select wal_status from pg_replication_slots where slot_name = %s", (SLOT,)).fetchone()
    if row and row[0] == "lost":
        forget(conn)
        (server.cluster / ERA_FILE).unlink(missing_ok=True)
    if row is None or row[0] == "lost":
        conn.execute("select pg_create_physical_replication_slot(%s, true)", (SLOT,))
    return era_of(server.cluster) or new_era(server.cluster)


def forget(conn: Connection) -> None:
    """Nobody keeps the log any more: the server need not either."""
    conn.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s and not active",
        (SLOT,),
    )


def era_of(cluster: Path) -> str | None:
    """Which era the cluster lives in; None before its archive first started."""
    try:
        found = (cluster / ERA_FILE).read_text().strip()
    except OSError:
        return None
    return found if backups.ERA.match(found) else None


def new_era(cluster: Path) -> str:
    """Begin one."""
    era = f"era-{wall_now():{backups.STAMP}}-{random.token_hex(4)}"
    backups.durable_text(cluster / ERA_FILE, era)
    (cluster / ERA_FILE).chmod(0o644)
    return era


def tool(name: str) -> Path:
    """One of PostgreSQL's own programs, of the embedded server's version."""
    return binaries_for(None) / name


def address(server: EmbeddedServer) -> list[str]:
    """Options by which PostgreSQL's programs reach the server."""
    return ["--host", server.host, "--port", str(server.listen_port), "--username", "postgres"]


def environment(server: EmbeddedServer) -> dict[str, str]:
    """Nothing of ours leaks in; the password is in no command line."""
    password = conninfo_to_dict(server.dsn("postgres"))["password"]
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PGPASSWORD": str(password)}
