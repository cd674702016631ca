"""Bringing a backup back: into a fresh folder, checked there, and only then in the place of the cluster.

    copy base ──verify──> + log up to the point ──PostgreSQL recovers──> counts, audit ──ok──> swapped in
                                                                                     └──not──> deleted, nothing changed

The cluster that was there stays beside it as ``cluster.before-STAMP`` until the next restore.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import psycopg

from core import archive, backups, health, places
from core.backup import Say, count, verify_base
from core.backups import Backup
from core.clock import wall_now
from core.embedded import DatabaseDown, Dsns, EmbeddedServer
from core.errors import Conflict
from core.mirror import bring_back, listed, paths
from core.processes import User

FRESH = "cluster.restored"
LOG_FOLDER = "restored.log"
BEFORE = "cluster.before-"
SEGMENT_BYTES = 16 << 20
LONGEST_S = 6 * 3600.0
COPY_BYTES = 1 << 20
TELL_S = 2.0
MOST_TOLD = 5
EXCHANGE, HERE = 2, -100  # renameat2: RENAME_EXCHANGE, AT_FDCWD
TOO_SHORT = "recovery ended before configured recovery target was reached"
REACHED = re.compile(r"last completed transaction was at log time ([^\n]+)")


class RestoreRefused(Conflict):
    """The backup was not restored; nothing has changed."""

    code = "restore_refused"


class Point(StrEnum):
    """LATEST: all that the log holds. BACKUP: as it was when the backup ended."""

    LATEST = "latest"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which backup, up to when (wall time), and where the attachments go."""

    root: Path
    backup: Backup
    to: datetime | Point
    attachments: Path


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done. ``bytes``: copied; ``before``: where the former cluster lies, None when there was none."""

    bytes: int
    files: int
    counts: Mapping[str, int]
    copy_s: float
    recover_s: float
    check_s: float
    before: Path | None


def restore(server: EmbeddedServer, wanted: Wanted, *, check: Callable[[Dsns], Iterable[str]], say: Say) -> Restored:
    """Restore while no server runs on the data directory; ``check`` names what is wrong with the restored database.

    Raises BackupForeign, BackupBroken, RestoreRefused (nothing has changed then), BackupRuns.
    """
    if wanted.backup.instance_id != server.secrets.instance_id:
        raise backups.BackupForeign(
            f"The backup {wanted.backup.name} belongs to instance {wanted.backup.instance_id}, this data directory to "
            f"{server.secrets.instance_id}. Restore it into a data directory of its own (MILLWRIGHT_DATA_DIR)."
        )
    with backups.alone(wanted.root):
        home = places.home(server.data_dir, "postgres", instance_id=wanted.backup.instance_id, user=server.user)
        try:
            return _restore(server, wanted, home, check, say)
        finally:
            for name in (FRESH, LOG_FOLDER):
                if (home / name).exists():
                    shutil.rmtree(home / name)


def _restore(
    server: EmbeddedServer, wanted: Wanted, home: Path, check: Callable[[Dsns], Iterable[str]], say: Say
) -> Restored:
    began = time.monotonic()
    source = wanted.backup.folder(wanted.root)
    segments = _segments(server, wanted)
    _room(home, wanted.backup.bytes + len(segments) * SEGMENT_BYTES)
    size = _copy(source / "base", home / FRESH, say)
    say("verifying the copy …")
    verify_base(home / FRESH)
    size += _log(segments, home / LOG_FOLDER, server.user)
    names = sorted({*listed(source), *paths(wanted.root / "files")})
    files = bring_back(wanted.root, wanted.attachments, names)
    (home / FRESH / "recovery.signal").touch(0o600)
    _own(home / FRESH, server.user)
    copied = time.monotonic()
    say(f"recovering to {_told(wanted.to)} …")
    fresh = EmbeddedServer(
        server.data_dir, server.secrets, log=home / "restore.log", settings=_target(wanted.to), folder=FRESH
    )
    fresh.patience_s = 0.0  # nobody else can have it: what fails at first fails again
    dsns = _recover(fresh, wanted)
    recovered = time.monotonic()
    try:
        say("checking what came back …")
        counts = _counted(dsns, wanted.backup)
        _refuse(list(_first(check(dsns))))
    finally:
        fresh.stop(within_s=120.0)
    archive.new_era(home / FRESH)
    before = _swap(home)
    fresh.log.unlink(missing_ok=True)
    return Restored(size, files, counts, copied - began, recovered - copied, time.monotonic() - recovered, before)


def _recover(fresh: EmbeddedServer, wanted: Wanted) -> Dsns:
    fresh.log.unlink(missing_ok=True)
    try:
        return fresh.start(within_s=LONGEST_S)
    except DatabaseDown as error:
        fresh.stop()
        text = fresh.log.read_text(errors="replace") if fresh.log.exists() else ""
        if TOO_SHORT not in text:
            raise RestoreRefused(f"PostgreSQL cannot recover from this backup; nothing has changed. {error}") from error
        last = REACHED.findall(text)
        until = f"The last change it holds is of {last[-1]}." if last else "It holds no change after the backup."
        raise RestoreRefused(
            f"The log of this backup does not reach {_told(wanted.to)}; nothing has changed. {until} "
            "Ask for an earlier time, or for `latest`."
        ) from error


def _counted(dsns: Dsns, backup: Backup) -> dict[str, int]:
    """Rows of the tables that the backup counted; these tables only grow."""
    with psycopg.connect(dsns.superuser, autocommit=True) as conn:
        found = count(conn, list(backup.counts))
    _refuse(
        [
            f"{table} has {found.get(table, 0):,} rows, the backup had {rows:,}."
            for table, rows in backup.counts.items()
            if found.get(table, 0) < rows
        ]
    )
    return found


def _refuse(problems: list[str]) -> None:
    if problems:
        raise RestoreRefused(f"What came back is not whole; nothing has changed. {' '.join(problems)}")


def _first(problems: Iterable[str]) -> Iterable[str]:
    for number, problem in enumerate(problems):
        if number == MOST_TOLD:
            yield "And more."
            return
        yield problem


def _target(to: datetime | Point) -> dict[str, str]:
    if isinstance(to, datetime):
        target = {"recovery_target_time": to.isoformat()}
    else:
        target = {Point.LATEST: {}, Point.BACKUP: {"recovery_target": "immediate"}}[to]
    return {
        **target,
        "restore_command": f"cp ../{LOG_FOLDER}/%f %p",
        "recovery_target_action": "promote",
        "recovery_target_timeline": "current",
        "hot_standby": "off",
    }


def _segments(server: EmbeddedServer, wanted: Wanted) -> dict[str, Path]:
    """The log from the backup on, by name: the archive's, and from the cluster itself what it has not got yet."""
    if wanted.to is Point.BACKUP:
        return {}
    first = wanted.backup.first_segment
    found = {path.name: path for path in backups.log_of(wanted.root / wanted.backup.era / "wal", first)}
    whole = {name: path for name, path in found.items() if backups.SEGMENT.match(name)}
    if archive.era_of(server.cluster) == wanted.backup.era:
        for path in sorted((server.cluster / "pg_wal").glob(f"{first[:8]}*")):
            if backups.SEGMENT.match(path.name) and path.name >= first and path.name not in whole and _holds(path):
                whole[path.name] = path
    for name, path in found.items():
        whole.setdefault(name.removesuffix(".partial"), path)
    return whole


def _holds(path: Path) -> bool:
    """Whether a segment of a cluster's log is that segment, not an older one renamed to be written over."""
    with path.open("rb") as file:
        head = file.read(16)
    _, _, line, address = struct.unpack("<HHIQ", head) if len(head) == 16 else (0, 0, 0, 0)
    number = int(path.name[8:16], 16) * backups.SEGMENTS_A_FILE + int(path.name[16:], 16)
    return bool(line == int(path.name[:8], 16) and address == number * SEGMENT_BYTES)


def _log(segments: Mapping[str, Path], folder: Path, user: User | None) -> int:
    """Put the log where the server can read it: links, or copies where it runs as somebody else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    for name, path in segments.items():
        if user is None:
            (folder / name).symlink_to(path.resolve())
        else:
            shutil.copyfile(path, folder / name)
            (folder / name).chmod(0o600)
    _own(folder, user)
    return sum(path.stat().st_size for path in segments.values())


def _room(home: Path, needed: int) -> None:
    free = health.disk(home).free
    if free < needed:
        raise RestoreRefused(
            f"Restoring needs {needed / 1e9:.1f} GB beside the present database; {free / 1e9:.1f} GB are free where "
            f"{home} lies. Make room and try again; nothing has changed."
        )


def _copy(source: Path, target: Path, say: Say) -> int:
    """Copy a base backup; returns its bytes."""
    shutil.rmtree(target, ignore_errors=True)
    total, done, told = backups.size_of(source), 0, time.monotonic()
    for folder, _, files in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(mode=0o700)
        for name in files:
            shutil.copyfile(Path(folder) / name, there / name)
            (there / name).chmod(0o600)
            done += (there / name).stat().st_size
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                say(f"copied {done / 1e9:.2f} of {total / 1e9:.2f} GB")
    return done


def _own(folder: Path, user: User | None) -> None:
    """Give a folder with all in it to the account that the server runs as."""
    if user is None:
        return
    for base, _, files in os.walk(folder):
        os.chown(base, user.uid, user.gid)
        for name in files:
            os.chown(Path(base) / name, user.uid, user.gid, follow_symlinks=False)


def _swap(home: Path) -> Path | None:
    """The restored cluster takes the place of the present one; at no moment is there none."""
    present, fresh = home / "cluster", home / FRESH
    for old in home.glob(f"{BEFORE}*"):
        shutil.rmtree(old)
    if not present.exists():
        fresh.rename(present)
        return None
    before = home / f"{BEFORE}{wall_now():{backups.STAMP}}"
    if _exchange(present, fresh):
        fresh.rename(before)
    else:
        present.rename(before)
        fresh.rename(present)
    handle = os.open(home, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return before


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names in one step; False where the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    done: bool = renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0
    return done


def _told(to: datetime | Point) -> str:
    if isinstance(to, datetime):
        return f"{to:%Y-%m-%d %H:%M:%S.%f} UTC"
    return {Point.LATEST: "the last commit", Point.BACKUP: "the backup's own end"}[to]
