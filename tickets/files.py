"""Files by their content: each site's folder holds every content once, under its sha256.

    incoming/NAME ──fsync──rename──> SITE/ab/abcdef…    beside it abcdef….small.webp, abcdef….large.webp

A name that a person gave never becomes part of a path. Who may see a file is a row's business (``attachments``); a file
without a row is collected after a while.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.settings import Settings

CHUNK = 1 << 20
PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Files:
    """The folder of an instance."""

    root: Path

    def incoming(self) -> Path:
        """A new path for what is being received; the caller removes it in the end."""
        folder = self.root / "incoming"
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        return folder / secrets.token_hex(16)

    def path(self, site_id: int, digest: bytes) -> Path:
        """Where this content lies, or would."""
        name = digest.hex()
        return self.root / str(site_id) / name[:2] / name

    def thumb(self, site_id: int, digest: bytes, size: str) -> Path:
        """Where the thumbnail of that size lies, or would."""
        return self.path(site_id, digest).with_name(f"{digest.hex()}.{size}.webp")

    def place(self, source: Path, target: Path) -> None:
        """Move a received file to where it stays; durable when this returns."""
        target.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        synchronise(source)
        source.replace(target)
        synchronise(target.parent)

    def stored(self, site_id: int) -> Iterator[tuple[bytes, Path]]:
        """(digest, path) of every content of a site."""
        for path in sorted((self.root / str(site_id)).glob("??/*")):
            if "." not in path.name:
                yield bytes.fromhex(path.name), path

    def remove(self, site_id: int, digest: bytes) -> None:
        """Delete a content with its thumbnails."""
        path = self.path(site_id, digest)
        for each in (*path.parent.glob(f"{digest.hex()}.*"), path):
            each.unlink(missing_ok=True)

    def abandoned(self, *, before: datetime) -> Iterator[Path]:
        """What was being received when its process was killed."""
        for path in sorted((self.root / "incoming").glob("*")):
            if written_at(path) < before:
                yield path


def root_of(settings: Settings) -> Path:
    """The folder that the settings name."""
    return settings.attachments_dir or settings.data_dir.expanduser().resolve() / "attachments"


def written_at(path: Path) -> datetime:
    """When a file was last written, by the wall; now-like for one that has just gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return datetime.max.replace(tzinfo=UTC)


def digest_of(path: Path) -> bytes:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def synchronise(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
