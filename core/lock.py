"""One Millwright a data directory: an advisory lock that the kernel lets go when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import MillwrightError

NAME = "lock"


class AlreadyRunning(MillwrightError):
    """A Millwright already runs on this data directory."""

    code = "already_running"
    status = 409


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock. ``address`` is empty until the web server has one."""

    pid: int
    address: str = ""


class Lock:
    """Held from ``with Lock(data_dir):`` to its end. Raises AlreadyRunning in words when another process has it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self._file = -1

    def __enter__(self) -> Self:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.data_dir / NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise AlreadyRunning(_sentence(self.data_dir, _read(self.data_dir / NAME))) from None
        self._file = handle
        self.tell("")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = -1

    def tell(self, address: str) -> None:
        """Write down the address for whoever finds the lock taken."""
        text = json.dumps(asdict(Holder(os.getpid(), address))).encode()
        os.pwrite(self._file, text.ljust(512), 0)


def holder(data_dir: Path) -> Holder | None:
    """Who holds the lock of a data directory now; None when nobody does (a dead holder is nobody)."""
    path = data_dir / NAME
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path) or Holder(0)
    finally:
        os.close(handle)
    return None


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        return None


def _sentence(data_dir: Path, found: Holder | None) -> str:
    who = f" as process {found.pid}" if found else ""
    where = f" at {found.address}" if found and found.address else ""
    return (
        f"Millwright already runs on {data_dir}{who}{where}. Stop it first, or start a second one beside it with "
        "MILLWRIGHT_DATA_DIR set to another folder."
    )
