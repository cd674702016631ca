"""Child processes that never outlive us, their logs, and what they weigh.

A child is started through ``core/child.py``: it takes its final user first, then asks the kernel for a signal when the
parent ends. That signal also comes when only the *thread* that started it ends, so children start on the main thread.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from core.errors import MillwrightError

LAUNCHER = Path(__file__).with_name("child.py")
POLL_S = 0.01
LOG_BYTES = 5_000_000


class NotMainThread(MillwrightError):
    """Children must be started on the main thread: the kernel ends them with the thread that started them."""

    code = "not_main_thread"


class User(NamedTuple):
    """An account to run a child as."""

    name: str
    uid: int
    gid: int


def service_user(*names: str) -> User | None:
    """The first of ``names`` that has a passwd entry, when we are root; None (stay who we are) otherwise."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise MillwrightError(
        f"No account to run a server as: none of {', '.join(names)} has a passwd entry. Add one, for example with "
        "`useradd --system --no-create-home millwright`."
    )


@dataclass(slots=True)
class Child:
    """A started child. ``poll`` and ``stop`` never raise because it has already ended."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def poll(self) -> int | None:
        """Exit code (negative: ended by that signal), or None while it runs."""
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal unless it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def wait(self, within_s: float) -> int | None:
        """Exit code, or None when it still runs after ``within_s`` seconds."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, *steps: tuple[signal.Signals, float]) -> int:
        """Try each (signal, seconds to wait) in turn (default SIGTERM, 5 s), at last SIGKILL; returns the exit code."""
        for number, within_s in steps or ((signal.SIGTERM, 5.0),):
            self.send(number)
            code = self.wait(within_s)
            if code is not None:
                return code
        self.send(signal.SIGKILL)
        return self.process.wait()

    def rotate(self, *, most_bytes: int = LOG_BYTES) -> bool:
        """Move an overgrown log aside to ``NAME.1``; True when it did. The child appends, so it needs no telling."""
        return rotate(self.log, most_bytes=most_bytes)


def spawn(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    user: User | None = None,
    death: signal.Signals = signal.SIGKILL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    output: int | None = None,
) -> Child:
    """Start a child that gets ``death`` when we end, however we end. Its output is appended to ``log``, or goes to the
    open file ``output`` where one is given.

    It runs in a session of its own, so that Ctrl-C reaches only us and we stop it in order. Raises NotMainThread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise NotMainThread
    ids = (str(user.uid), str(user.gid)) if user else ("-1", "-1")
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("ab") as appended:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death)), *ids, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=appended if output is None else output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if env is None else dict(env),
            cwd=cwd,
            pass_fds=tuple(pass_fds),
        )
    return Child(process, log, time.monotonic())


def python_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment, in which `python -m core.…` also works from a checkout that is not installed."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.environ.get("PYTHONPATH", "")
    found = dict(os.environ) | dict(more or {})
    if root not in path.split(os.pathsep):
        found["PYTHONPATH"] = root + (os.pathsep + path if path else "")
    return found


def rotate(log: Path, *, most_bytes: int = LOG_BYTES) -> bool:
    """Copy a log over ``most_bytes`` to ``NAME.1`` and empty it in place; True when it did.

    On a full disk the old lines are given up rather than the space.
    """
    if not log.exists() or log.stat().st_size <= most_bytes:
        return False
    old = log.with_name(log.name + ".1")
    try:
        with log.open("rb") as source, old.open("wb") as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)
    except OSError:
        old.unlink(missing_ok=True)
    os.truncate(log, 0)
    return True


def tail(log: Path, *, lines: int = 20) -> str:
    """The last lines of a log, for an error message; empty when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - 16_384))
        return "\n".join(source.read().decode("utf-8", "replace").splitlines()[-lines:])


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return state(pid) not in ("", "Z", "X")


def state(pid: int) -> str:
    """The kernel's letter for a process (R, S, D, T, Z …), or '' when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text[text.rindex(")") + 2]


def command(pid: int) -> str:
    """The short name of a process's program, or '' when there is none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def title(pid: int) -> str:
    """What a process calls itself (its command line), or '' when there is none or it hides."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def tree(pid: int) -> list[int]:
    """The process and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in pids():
        parent = parent_of(entry)
        if parent is not None:
            children.setdefault(parent, []).append(entry)
    found = [pid] if alive(pid) else []
    for each in found:
        found.extend(children.get(each, ()))
    return found


def pids() -> list[int]:
    """Every process that /proc shows."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def working_in(folder: Path) -> list[int]:
    """Processes whose working directory is ``folder`` (as far as we may look): how a server's children are known.

    Those whose parent is none of them come first, whatever their numbers: these begin anew at the system's highest.
    """
    target = str(folder.resolve())
    found = [pid for pid in pids() if _link(pid, "cwd") == target]
    return sorted(found, key=lambda pid: parent_of(pid) in found)


def pss_mb(processes: Iterable[int]) -> float:
    """Proportional set size of the processes together, in MB (10^6 bytes); those that ended or hide count 0."""
    return sum(_pss_kb(pid) for pid in processes) * 1024 / 1e6


def _pss_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def parent_of(pid: int) -> int | None:
    """Pid of a process's parent; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(text[text.rindex(")") + 2 :].split()[1])


def _link(pid: int, name: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/{name}").readlink())
    except OSError:
        return ""
