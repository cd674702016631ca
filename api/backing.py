"""Backups of this instance: what belongs to one, when the nightly one is due, and how they fare.

tree ──> Archive (the log, always)      Nightly (a child, once a night)      Mirror (attachments, each minute)
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from prometheus_client import CollectorRegistry, Gauge

from api.checks import Check, State
from api.commands.audit import problems, seal_of
from api.health import NEWEST
from api.instance import Instance
from api.supervisor import Supervisor
from core import backups
from core.archive import Archive, era_of, forget
from core.backup import Plan, Say
from core.backups import Backup
from core.clock import wall_now
from core.database import Database
from core.embedded import Dsns, EmbeddedServer
from core.errors import ConfigError
from core.mirror import Mirror
from core.processes import Child, python_environment, spawn
from core.settings import Settings
from tickets.files import root_of

FOLDER = "backups"
NOT_COPIED = frozenset({"postgres", "broker", "logs", "lock", "run.json", "status.json", "attachments", FOLDER})
COUNTED = ("sites", "assets", "tickets", "ticket_events", "audit_roots")
FIRST_AFTER_S = 900.0
AGAIN_AFTER_S = 3600.0  # when one failed
DUE_LOOK_S = 10.0
MIRROR_S = 60.0
OLD = timedelta(hours=30)
OWN_SERVER = (
    "The database is your own server, which Millwright does not back up. Use its own tools (pg_basebackup with an "
    "archive of the log, or your provider's), and keep {} and {} with it."
)


class OwnServer(ConfigError):
    """The database is your own server, which Millwright does not back up."""

    code = "own_server"


def folder_of(settings: Settings) -> Path:
    """Where backups are kept."""
    return (settings.backup_dir or settings.data_dir.expanduser() / FOLDER).resolve()


def plan_of(instance: Instance) -> Plan:
    """What belongs to a backup of this instance."""
    return Plan(
        root=folder_of(instance.settings),
        instance_id=instance.secrets.instance_id,
        data_dir=instance.data_dir,
        data=_small_files(instance),
        attachments=root_of(instance.settings),
        tables=COUNTED,
        keep=instance.settings.backup_keep,
    )


def refuse_own_server(instance: Instance) -> None:
    """Raise OwnServer, with what to do instead, unless the embedded database is used."""
    if instance.settings.database_url:
        raise OwnServer(OWN_SERVER.format(instance.data_dir, root_of(instance.settings)))


def attached(instance: Instance) -> EmbeddedServer:
    """The embedded server that another process of ours runs, to speak with it. Raises NotRunning."""
    found = instance.running()
    server = EmbeddedServer(instance.data_dir, instance.secrets)
    server.attach(Path(found.database_host))
    return server


def checker(instance: Instance, say: Say) -> Callable[[Dsns], Iterator[str]]:
    """What is wrong with a restored database: every timeline and signed root of every site."""

    def check(dsns: Dsns) -> Iterator[str]:
        database = Database(dsns.app, dsns.ingest, dsns.owner)
        try:
            with database.connect() as conn:
                row = conn.execute("select version_num from alembic_version").fetchone()
            if row and row[0] == NEWEST:
                yield from problems(database, seal_of(instance))
            else:
                say("it has another version's schema: run `millwright audit verify` once it is migrated")
        finally:
            database.close()

    return check


def start(instance: Instance, supervisor: Supervisor, server: EmbeddedServer | None, say: Say) -> None:
    """Keep backups from now on, or let the server forget that somebody did."""
    if server is None:
        say(OWN_SERVER.format(instance.data_dir, root_of(instance.settings)))
        return
    if instance.settings.backup == "off":
        with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as conn:
            forget(conn)
        say("note: backups are off (MILLWRIGHT_BACKUP)")
        return
    root = folder_of(instance.settings)
    supervisor.start(Archive(server, root))
    supervisor.start(Nightly(instance, server))
    mirror = Mirror(root_of(instance.settings), root)

    def look() -> None:
        mirror.look()

    supervisor.every(MIRROR_S, look)


class Nightly:
    """Starts ``millwright backup`` when it is due; a part that is never down."""

    name = "backup"

    def __init__(self, instance: Instance, server: EmbeddedServer) -> None:
        self.log_file = instance.data_dir / "logs" / "backup.log"
        self._instance, self._server = instance, server
        self._zone = ZoneInfo(instance.settings.timezone)
        self._hour, self._minute = (int(part) for part in instance.settings.backup_at.split(":"))
        self._child: Child | None = None
        self._look = 0.0

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.poll() is None else None

    def start(self) -> None:
        self._look = time.monotonic() + FIRST_AFTER_S

    def poll(self) -> int | None:
        """Always None; on the way it starts what is due."""
        now = time.monotonic()
        if self.pid is None and now >= self._look:
            self._look = now + DUE_LOOK_S
            if self._due():
                self._look = now + AGAIN_AFTER_S
                environment = {"MILLWRIGHT_DATA_DIR": str(self._instance.data_dir), "PYTHONUNBUFFERED": "1"}
                command = [sys.executable, "-m", "api.cli", "backup", "make"]
                self._child = spawn(command, log=self.log_file, env=python_environment(environment))
        return None

    def stop(self, within_s: float) -> None:
        if self._child:
            self._child.stop((signal.SIGTERM, within_s))
            self._child = None

    def _due(self) -> bool:
        newest = _newest(folder_of(self._instance.settings), era_of(self._server.cluster))
        now = wall_now().astimezone(self._zone)
        return backups.due(now, newest.started if newest else None, hour=self._hour, minute=self._minute)


def check(instance: Instance) -> list[Check]:
    """For the doctor: the age of the last good backup, and why the last try failed."""
    settings = instance.settings
    if settings.database_url:
        return [Check("backup", State.OK, OWN_SERVER.format(instance.data_dir, root_of(settings)))]
    if settings.backup == "off":
        return [Check("backup", State.WARN, "Backups are off.", "Unset MILLWRIGHT_BACKUP, or make your own.")]
    root = folder_of(settings)
    newest, last = _newest(root, None), backups.last_try(root)
    remedy = "Run `millwright backup make`."
    if last and last.problem and (newest is None or newest.ended < last.at):
        return [Check("backup", State.FAIL, f"The last backup failed: {last.problem}", remedy)]
    if newest is None:
        return [Check("backup", State.WARN, "There is no backup yet; the first is made by itself.", remedy)]
    age = wall_now() - newest.ended
    sentence = f"The last good backup is {age.total_seconds() / 3600:.1f} h old ({newest.bytes / 1e9:.2f} GB, {root})."
    return [Check("backup", State.WARN if age > OLD else State.OK, sentence, remedy if age > OLD else "")]


def show(registry: CollectorRegistry, settings: Settings) -> None:
    """Gauges for Prometheus."""
    root = folder_of(settings)
    newest, last = _newest(root, None), backups.last_try(root)
    failed = Gauge("millwright_backup_failed", "1 while the last try to back up failed.", registry=registry)
    failed.set(bool(last and last.problem))
    if newest:
        age = Gauge("millwright_backup_age_seconds", "Age of the last good backup.", registry=registry)
        age.set((wall_now() - newest.ended).total_seconds())
        size = Gauge("millwright_backup_bytes", "Size of the last good backup.", registry=registry)
        size.set(newest.bytes)


def _newest(root: Path, era: str | None) -> Backup | None:
    found = [each for each in backups.catalogue(root) if era in (None, each.era)]
    return found[-1] if found else None


def _small_files(instance: Instance) -> list[str]:
    """Whatever the data directory holds that has no way of its own into a backup."""
    apart = {folder_of(instance.settings), root_of(instance.settings).resolve()}
    found = []
    for top in sorted(instance.data_dir.iterdir()):
        if top.name in NOT_COPIED or top.resolve() in apart or top.suffix == ".new":
            continue
        inside = sorted(top.rglob("*")) if top.is_dir() else [top]
        found += [
            str(each.relative_to(instance.data_dir)) for each in inside if each.is_file() and not each.is_symlink()
        ]
    return found
