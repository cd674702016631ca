"""Where backups lie, what each one says of itself, and which ones are kept. Files only, no database.

    ROOT/ERA/wal                  the database's log since the era began, as it is written
    ROOT/ERA/STAMP/base           a copy of the cluster, with PostgreSQL's own manifest
    ROOT/ERA/STAMP/data           small files of the data directory: secrets, certificates, configuration
    ROOT/ERA/STAMP/files.txt      the attachments that belong to it, one path a line
    ROOT/ERA/STAMP/backup.json    written last: a folder without it is no backup
    ROOT/files                    every attachment, by its content, for all backups

An *era* is one life of a cluster: a restore begins a new one, so that two pasts never mix in one log.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from core.errors import ConfigError, Conflict, NotFound

FORMAT = 1
MANIFEST = "backup.json"
LAST_TRY = "last-try.json"
STAMP = "%Y%m%dT%H%M%SZ"
NAMED = re.compile(r"^\d{8}T\d{6}Z$")
ERA = re.compile(r"^era-\d{8}T\d{6}Z-[0-9a-f]{8}$")
SEGMENT = re.compile(r"^[0-9A-F]{24}$")
SEGMENTS_A_FILE = 256  # of 16 MB, PostgreSQL's default


class BackupBroken(ConfigError):
    """This backup is damaged. Take another one: `millwright backup list`."""

    code = "backup_broken"


class BackupForeign(ConfigError):
    """This backup belongs to another instance."""

    code = "backup_foreign"


class BackupRuns(Conflict):
    """A backup or a restore is under way in this folder. Wait until it ends."""

    code = "backup_runs"


class NoBackup(NotFound):
    """There is no backup to restore from. `millwright backup list` shows what there is."""

    code = "no_backup"


@dataclass(frozen=True, slots=True)
class Backup:
    """What ``backup.json`` says. Times are wall time (UTC); ``counts`` are rows at its beginning, by table.

    ``digests``: sha256 of the lists and small files that belong to it, by path in its folder.
    """

    instance_id: str
    era: str
    name: str
    schema: str
    started: datetime
    ended: datetime
    first_segment: str
    bytes: int
    files: int
    counts: Mapping[str, int]
    digests: Mapping[str, str]
    format: int = FORMAT

    def folder(self, root: Path) -> Path:
        return root / self.era / self.name


@dataclass(frozen=True, slots=True)
class LastTry:
    """How the last try to make a backup ended; ``problem`` is empty when it went well."""

    at: datetime
    problem: str


def catalogue(root: Path) -> list[Backup]:
    """Every complete backup, oldest first; what cannot be read is left out (``read`` says why)."""
    found = []
    for folder in sorted(root.glob("era-*/*")):
        if NAMED.match(folder.name) and (folder / MANIFEST).exists():
            try:
                found.append(read(folder))
            except BackupBroken:
                continue
    return sorted(found, key=lambda each: each.ended)


def read(folder: Path) -> Backup:
    """One backup's own words, its small files checked against them. Raises BackupBroken with what is wrong."""
    try:
        told = json.loads((folder / MANIFEST).read_text("utf-8"))
        times = {name: datetime.fromisoformat(told[name]) for name in ("started", "ended")}
        found = Backup(**{**told, **times})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BackupBroken(f"The backup {folder} cannot be read ({error}). Take another one.") from error
    if found.format != FORMAT:
        raise BackupBroken(f"The backup {folder} has format {found.format}; this version reads {FORMAT}.")
    for name, digest in found.digests.items():
        path = folder / name
        if not path.is_file() or sha256(path) != digest:
            raise BackupBroken(f"The backup {folder} is damaged: {name} is not what was written. Take another one.")
    return found


def write(root: Path, backup: Backup) -> None:
    """Make a backup count; durable when this returns."""
    folder = backup.folder(root)
    times = {"started": backup.started.isoformat(), "ended": backup.ended.isoformat()}
    durable_text(folder / MANIFEST, json.dumps(asdict(backup) | times, indent=1))


def tell(root: Path, last: LastTry) -> None:
    """Note how the last try ended, for the doctor."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable_text(root / LAST_TRY, json.dumps({"at": last.at.isoformat(), "problem": last.problem}))


def last_try(root: Path) -> LastTry | None:
    """How the last try ended; None before the first."""
    try:
        told = json.loads((root / LAST_TRY).read_text("utf-8"))
        return LastTry(datetime.fromisoformat(told["at"]), str(told["problem"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def choose(found: Sequence[Backup], *, to: datetime | None, era: str | None = None) -> Backup:
    """The backup to restore from: the newest that had ended before the point, of one era where it is named.

    ``to`` None: the newest. Raises NoBackup with the earliest point that can be had.
    """
    of_era = [each for each in found if era is None or each.era == era]
    fitting = [each for each in of_era if to is None or each.ended <= to]
    if fitting:
        return max(fitting, key=lambda each: each.ended)
    if not of_era:
        raise NoBackup
    first = min(each.ended for each in of_era)
    raise NoBackup(
        f"No backup is old enough for {to:%Y-%m-%d %H:%M:%S} UTC; the earliest point is {first.isoformat()}."
    )


def too_many(found: Sequence[Backup], *, era: str, keep: int) -> list[Backup]:
    """What may go: all but the newest ``keep`` of the present era; earlier eras once that has ``keep`` of its own."""
    present = sorted((each for each in found if each.era == era), key=lambda each: each.ended)
    old = present[:-keep] if len(present) > keep else []
    return old + ([each for each in found if each.era != era] if len(present) >= keep else [])


def due(now: datetime, newest: datetime | None, *, hour: int, minute: int) -> bool:
    """Whether the nightly moment (in ``now``'s zone) has come since the newest backup began."""
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    latest = moment if moment <= now else moment - timedelta(days=1)
    return newest is None or newest < latest


def prune(root: Path, *, era: str, keep: int) -> list[str]:
    """Delete backups beyond ``keep``, and logs that no kept backup needs; returns the backups' names."""
    gone = too_many(catalogue(root), era=era, keep=keep)
    for each in gone:
        (each.folder(root) / MANIFEST).unlink()  # first: half deleted is no backup
        shutil.rmtree(each.folder(root))
    kept = catalogue(root)
    for folder in root.glob("era-*"):
        of_era = [each for each in kept if each.era == folder.name]
        if of_era:
            _prune_log(folder / "wal", min(each.first_segment[8:] for each in of_era))
        elif folder.name != era:
            shutil.rmtree(folder)
    return [each.name for each in gone]


def unfinished(root: Path) -> None:
    """Delete folders that never became a backup; only while nobody else makes one."""
    for folder in root.glob("era-*/*"):
        if NAMED.match(folder.name) and not (folder / MANIFEST).exists():
            shutil.rmtree(folder)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """One backup or restore at a time. Raises BackupRuns."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BackupRuns from error
    finally:
        os.close(handle)


def log_of(folder: Path, first: str) -> list[Path]:
    """The files of a log from segment ``first`` on, the last one perhaps not full. Raises BackupBroken at a gap."""
    named = {path.name.removesuffix(".partial"): path for path in sorted(folder.glob("*"), reverse=True)}
    names = sorted(name for name in named if SEGMENT.match(name) and name >= first)
    if names and names[0] != first:
        raise BackupBroken(f"The log in {folder} begins at {names[0]}; this backup needs it from {first} on.")
    for before, after in itertools.pairwise(names):
        if following(before) != after:
            raise BackupBroken(f"The log in {folder} has a gap after {before}. Restore to a time before it was made.")
    return [named[name] for name in names]


def following(segment: str) -> str:
    """The name of the next segment of a log."""
    number = int(segment[8:16], 16) * SEGMENTS_A_FILE + int(segment[16:], 16) + 1
    return f"{segment[:8]}{number // SEGMENTS_A_FILE:08X}{number % SEGMENTS_A_FILE:08X}"


def size_of(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sha256(path: Path) -> str:
    """In hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def durable_text(path: Path, text: str) -> None:
    """The old content or the new, never a part, also after a power cut."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    fresh.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _prune_log(folder: Path, oldest: str) -> None:
    for path in folder.glob("*"):
        if SEGMENT.match(path.name) and path.name[8:] < oldest:
            path.unlink()
