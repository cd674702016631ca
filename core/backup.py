"""Making a backup of the embedded server while it works: PostgreSQL's own base backup, and the small files beside it.

made = make(server, Plan(root, …), say=print)      # a complete, verified backup, or an error and nothing
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import Connection, sql

from core import archive, backups, health
from core.backups import Backup, LastTry
from core.clock import wall_now
from core.embedded import DATABASE, EmbeddedServer
from core.errors import MillwrightError
from core.mirror import Mirror, paths
from core.processes import spawn, tail

LOOK_S = 0.2
TELL_S = 2.0
SPARE = 1.1  # of the database's size
PROGRESS = re.compile(r"(\d+)/(\d+) kB \((\d+)%\)")
Say = Callable[[str], None]


class BackupFailed(MillwrightError):
    """The backup could not be made."""

    code = "backup_failed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What belongs to a backup. ``data`` are files of the data directory, relative to it.

    ``keep``: how many backups stay. ``tables``: whose rows are counted.
    """

    root: Path
    instance_id: str
    data_dir: Path
    data: Sequence[str]
    attachments: Path
    tables: Sequence[str]
    keep: int


def make(server: EmbeddedServer, plan: Plan, *, say: Say) -> Backup:
    """Back up the running server; returns when the backup is verified and counts.

    Raises BackupFailed (nothing counts then, and earlier backups stay), BackupRuns.
    """
    with backups.alone(plan.root):
        began = wall_now()
        try:
            made = _make(server, plan, began, say)
        except (MillwrightError, OSError, psycopg.Error) as error:
            backups.tell(plan.root, LastTry(began, str(error)))
            if isinstance(error, MillwrightError):
                raise
            raise BackupFailed(f"The backup could not be made: {error}") from error
        backups.tell(plan.root, LastTry(began, ""))
        return made


def _make(server: EmbeddedServer, plan: Plan, began: datetime, say: Say) -> Backup:
    backups.unfinished(plan.root)
    with psycopg.connect(server.dsn("postgres", database=DATABASE), autocommit=True, connect_timeout=5) as conn:
        era = archive.prepare(conn, server)
        _room(conn, plan, era)
        counts, schema = count(conn, plan.tables), _schema(conn)
    folder = plan.root / era / f"{began:{backups.STAMP}}"
    try:
        folder.mkdir(mode=0o700, parents=True)
        first = _base(server, folder / "base", say)
        say("verifying it …")
        verify_base(folder / "base")
        digests = _small(plan, folder) | {"base/backup_manifest": backups.sha256(folder / "base" / "backup_manifest")}
        size = backups.size_of(folder)
        names = (folder / "files.txt").read_text().splitlines()
        made = Backup(
            instance_id=plan.instance_id,
            era=era,
            name=folder.name,
            schema=schema,
            started=began,
            ended=wall_now(),
            first_segment=first,
            bytes=size,
            files=len(names),
            counts=counts,
            digests=digests,
        )
        backups.write(plan.root, made)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    gone = backups.prune(plan.root, era=era, keep=plan.keep)
    Mirror(plan.attachments, plan.root).prune(plan.root)
    if gone:
        say(f"deleted {len(gone)} old: {', '.join(gone)}")
    return made


def verify_base(folder: Path) -> None:
    """Every file of a base backup against PostgreSQL's manifest, and its log. Raises BackupBroken."""
    log = folder.parent / "verify.log"
    log.unlink(missing_ok=True)
    child = spawn([archive.tool("pg_verifybackup"), "--exit-on-error", "--quiet", folder], log=log, env=_plain())
    if child.process.wait() != 0:
        raise backups.BackupBroken(f"The copy of the database is damaged: {tail(log, lines=2)}")
    log.unlink(missing_ok=True)


def _base(server: EmbeddedServer, folder: Path, say: Say) -> str:
    """pg_basebackup; returns the first segment of the log that it needs."""
    log = folder.parent / "base.log"
    command: list[str | Path] = [
        *(archive.tool("pg_basebackup"), "--pgdata", folder, "--format=plain", "--wal-method=stream"),
        *("--checkpoint=fast", "--progress", "--no-password"),
    ]
    child = spawn([*command, *archive.address(server)], log=log, env=archive.environment(server))
    told = time.monotonic()
    while child.wait(LOOK_S) is None:
        if time.monotonic() - told > TELL_S:
            told = time.monotonic()
            _tell(log, say)
    if child.poll() != 0:
        raise BackupFailed(f"The database could not be copied: {tail(log, lines=3)}")
    log.unlink()
    return _first_segment(folder)


def _tell(log: Path, say: Say) -> None:
    found = PROGRESS.findall(tail(log, lines=3))
    if found:
        done, total, share = found[-1]
        say(f"{int(done) / 1e6:.1f} of {int(total) / 1e6:.1f} GB of the database ({share} %)")


def _first_segment(folder: Path) -> str:
    label = (folder / "backup_label").read_text()
    found = re.search(r"START WAL LOCATION: .* \(file ([0-9A-F]{24})\)", label)
    if found is None:
        raise BackupFailed("The copy of the database does not say where its log begins.")
    return found[1]


def _small(plan: Plan, folder: Path) -> dict[str, str]:
    """Attachments after the database, so that every row's file is there; then the small files. Returns digests."""
    Mirror(plan.attachments, plan.root).look()
    there = [name for name in paths(plan.attachments) if (plan.root / "files" / name).exists()]
    backups.durable_text(folder / "files.txt", "".join(f"{name}\n" for name in there))
    names = ["files.txt"]
    for name in plan.data:
        target = folder / "data" / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(plan.data_dir / name, target)
        names.append(f"data/{name}")
    return {name: backups.sha256(folder / name) for name in names}


def _room(conn: Connection, plan: Plan, era: str) -> None:
    """Refuse what cannot fit rather than fill the disk; an old backup gives way before that, the newest never."""
    row = conn.execute("select sum(pg_database_size(oid))::int8 from pg_database").fetchone()
    needed = int(row[0] * SPARE) if row else 0
    plan.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if health.disk(plan.root).free < needed and plan.keep > 1:
        backups.prune(plan.root, era=era, keep=max(1, plan.keep - 1))
    free = health.disk(plan.root).free
    if free < needed:
        raise BackupFailed(
            f"A backup needs {needed / 1e9:.1f} GB in {plan.root}; {free / 1e9:.1f} GB are free. Make room, or name "
            "another disk in MILLWRIGHT_BACKUP_DIR."
        )


def count(conn: Connection, tables: Sequence[str]) -> dict[str, int]:
    """Rows of those tables that are there, as a role that sees every site."""
    found: dict[str, int] = {}
    for table in tables:
        if conn.execute("select to_regclass(%s)", (table,)).fetchone() != (None,):
            row = conn.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
            found[table] = int(row[0]) if row else 0
    return found


def _schema(conn: Connection) -> str:
    if conn.execute("select to_regclass('alembic_version')").fetchone() == (None,):
        return "none"
    row = conn.execute("select version_num from alembic_version").fetchone()
    return str(row[0]) if row else "none"


def _plain() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
