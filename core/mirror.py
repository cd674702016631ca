"""A second copy of the attachments for the backups: each content once, whatever happens to the first.

Contents never change once placed, so a file that is there need not be looked at again; a folder whose time of change
is as it was holds nothing new.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from core import backups
from core.backups import BackupBroken

CONTENT = re.compile(r"^[0-9a-f]{64}$")
SKIPPED = "incoming"


class Mirror:
    """Keeps ``root/files`` up to date with the folder of attachments."""

    def __init__(self, source: Path, root: Path) -> None:
        self.source, self.target = source, root / "files"
        self._seen: dict[Path, int] = {}

    def look(self) -> int:
        """Copy what is new; returns how many files. Folders that have not changed since the last look cost one stat."""
        copied = 0
        for folder in _folders(self.source):
            changed = folder.stat().st_mtime_ns
            if self._seen.get(folder) != changed:
                copied += sum(copy(path, self.target / path.relative_to(self.source)) for path in _files(folder))
                self._seen[folder] = changed
        return copied

    def prune(self, root: Path) -> None:
        """Delete copies that neither the instance nor a kept backup has."""
        named = {line for each in backups.catalogue(root) for line in listed(each.folder(root))}
        for path in paths(self.target):
            if path not in named and not (self.source / path).exists():
                (self.target / path).unlink()


def paths(folder: Path) -> list[str]:
    """Every file of a folder of attachments, relative to it."""
    return sorted(str(path.relative_to(folder)) for each in _folders(folder) for path in _files(each))


def listed(backup: Path) -> list[str]:
    """The attachments that a backup names."""
    return (backup / "files.txt").read_text("utf-8").splitlines()


def bring_back(root: Path, target: Path, names: list[str]) -> int:
    """Copy attachments that are missing from ``target`` out of the mirror; returns how many.

    Raises BackupBroken when one that is needed is missing or altered.
    """
    return sum(_one(root / "files" / name, target / name, name) for name in names)


def copy(source: Path, target: Path) -> bool:
    """Copy a file unless it is there; durable and whole under its name. False when it was there, or has just gone."""
    if target.exists():
        return False
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    try:
        shutil.copyfile(source, fresh)
    except FileNotFoundError:
        fresh.unlink(missing_ok=True)
        return False
    with fresh.open("rb") as written:
        os.fsync(written.fileno())
    fresh.replace(target)
    return True


def _one(source: Path, target: Path, name: str) -> bool:
    if target.exists():
        return False
    if not source.exists():
        raise BackupBroken(f"The attachment {name} is missing from the backup, and from the data directory.")
    if CONTENT.match(source.name) and backups.sha256(source) != source.name:
        raise BackupBroken(f"The attachment {name} in the backup is not what was written. Nothing was restored.")
    return copy(source, target)


def _folders(root: Path) -> Iterator[Path]:
    """Folders that hold files of attachments: two levels, SITE/ab."""
    for site in sorted(root.glob("*")):
        if site.is_dir() and site.name != SKIPPED:
            yield from (each for each in sorted(site.iterdir()) if each.is_dir())


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
