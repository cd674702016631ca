"""What the machine itself says: disk, memory, clock, who listens on a port. Linux; reads /proc and asks the kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core.processes import command, pids

TIME_ERROR = 5
STA_UNSYNC = 0x0040
TIMEX_BYTES = 256
STATUS_AT = 40  # offset of `int status` in struct timex on 64-bit Linux
LISTENING = "0A"


class Sync(StrEnum):
    """Whether the kernel's clock is disciplined by a time server."""

    SYNCHRONISED = "synchronised"
    FREE = "free"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Disk:
    """Space of the file system that holds ``path``, in bytes; ``free`` is what an ordinary user may use."""

    path: Path
    total: int
    free: int

    @property
    def share_free(self) -> float:
        return self.free / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Listener:
    """Who listens on a port; ``pid`` None when the process is not ours to see."""

    pid: int | None
    name: str


def disk(path: Path) -> Disk:
    """Space where ``path`` lies, or would lie once made."""
    while not path.exists():
        path = path.parent
    found = shutil.disk_usage(path)
    return Disk(path, found.total, found.free)


def writable(folder: Path) -> bool:
    """Whether files can be made in ``folder`` (or in the nearest parent that exists): tried, not guessed."""
    while not folder.exists():
        folder = folder.parent
    probe = folder / f".millwright-{os.getpid()}"
    try:
        probe.touch(0o600)
        probe.unlink()
    except OSError as error:
        return error.errno == errno.ENOSPC  # full is another complaint
    return True


def memory_available_mb() -> float | None:
    """Memory that programs can still get without swapping, in MB; None where the kernel does not say."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def clock_sync() -> Sync:
    """Ask the kernel (adjtimex, reading only) whether a time server keeps its clock right."""
    buffer = ctypes.create_string_buffer(TIMEX_BYTES)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    if state < 0 or ctypes.sizeof(ctypes.c_long) != 8:
        return Sync.UNKNOWN
    status = int.from_bytes(buffer.raw[STATUS_AT : STATUS_AT + 4], "little")
    return Sync.FREE if state == TIME_ERROR or status & STA_UNSYNC else Sync.SYNCHRONISED


def listener(port: int) -> Listener | None:
    """The process that listens on a TCP port of this machine; None when nobody does."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    if not inodes:
        return None
    targets = {f"socket:[{inode}]" for inode in inodes}
    for pid in pids():
        if targets & _links(pid):
            return Listener(pid, command(pid))
    return Listener(None, "a process of another user")


def _listening(table: str, port: int) -> list[str]:
    path = Path(f"/proc/net/{table}")
    if not path.exists():
        return []
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return [row[9] for row in rows if row[3] == LISTENING and int(row[1].rsplit(":", 1)[1], 16) == port]


def _links(pid: int) -> set[str]:
    """What a process has open; empty when it is not ours to see. One that closes meanwhile hides no other."""
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return set()
    return {target for entry in entries if (target := _target(entry))}


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
