"""The process tree of ``millwright up``: starts the parts in order, restarts a dead one, stops all in reverse.

    with Supervisor(data_dir) as supervisor:
        supervisor.start(ServerPart("database", server))
        supervisor.start(CommandPart("ingest", [sys.executable, "-m", "api.cli", "ingest"], …))
        supervisor.run()           # until SIGTERM, SIGINT or SIGHUP

Every part is a child with a parent-death signal, so nothing survives even a kill -9 of this process. What runs is
written to ``status.json`` for the doctor and the system page.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

import structlog

from core.clock import wall_now
from core.errors import MillwrightError
from core.processes import Child, python_environment, rotate, spawn

STATUS = "status.json"
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_S = 60.0
TICK_S = 0.5
WAIT_TICK_S = 0.05
STATUS_S = 2.5
STOP_S = 10.0
PART_STOP_S = 3.0
LAST_RESERVE_S = 3.0
CHORE_END_S = 0.5
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
log = structlog.get_logger(__name__)


class Part(Protocol):
    """Something that runs as a child of ours. ``start`` returns when it is usable, or raises a MillwrightError."""

    name: str
    log_file: Path

    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def poll(self) -> int | None: ...
    def stop(self, within_s: float) -> None: ...


class Server(Protocol):
    """What ``ServerPart`` needs of core.embedded.EmbeddedServer and core.broker.Broker."""

    @property
    def pid(self) -> int | None: ...
    def start(self) -> object: ...
    def poll(self) -> int | None: ...
    def stop(self, *, within_s: float) -> None: ...


@dataclass(slots=True)
class ServerPart:
    """The embedded database or the managed broker as a part."""

    name: str
    server: Server
    log_file: Path

    @property
    def pid(self) -> int | None:
        return self.server.pid

    def start(self) -> None:
        self.server.start()

    def poll(self) -> int | None:
        return self.server.poll()

    def stop(self, within_s: float) -> None:
        self.server.stop(within_s=within_s)


@dataclass(slots=True)
class CommandPart:
    """A command line of ours as a part; it dies with us by SIGKILL, since every part of ours survives that."""

    name: str
    command: Sequence[str | Path]
    log_file: Path
    env: Mapping[str, str] = field(default_factory=dict)
    child: Child | None = None

    @property
    def pid(self) -> int | None:
        return self.child.pid if self.child and self.child.poll() is None else None

    def start(self) -> None:
        self.child = spawn(self.command, log=self.log_file, env=python_environment(self.env))

    def poll(self) -> int | None:
        return self.child.poll() if self.child else 0

    def stop(self, within_s: float) -> None:
        if self.child:
            self.child.stop((signal.SIGTERM, within_s))
            self.child = None


class State(StrEnum):
    """What a part does now. WAITING: it ended and starts again after its backoff."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part in the status file. ``last_exit`` in words, None while it never ended."""

    name: str
    state: State
    pid: int | None
    restarts: int
    since: datetime
    last_exit: str | None
    log_file: str


@dataclass(frozen=True, slots=True)
class Status:
    """The whole tree. ``pid`` is the supervisor's; ``at`` the time of writing, every few seconds."""

    pid: int
    started: datetime
    at: datetime
    parts: tuple[PartStatus, ...]


@dataclass(slots=True)
class _Watched:
    part: Part
    state: State
    since: datetime
    up_since: float = 0.0
    restarts: int = 0
    failures: int = 0
    due: float = 0.0
    last_exit: str | None = None


class Supervisor:
    """Parts in the order they were started. Use as a context manager on the main thread."""

    def __init__(self, data_dir: Path, *, every: Sequence[tuple[float, Callable[[], None]]] = ()) -> None:
        self._path = data_dir / STATUS
        self._parts: list[_Watched] = []
        self._chores = [_Chore(seconds, work) for seconds, work in every]
        self._started = wall_now()
        self._stopping = False
        self._old: dict[signal.Signals, Any] = {}
        self._written = 0.0

    def __enter__(self) -> Self:
        self._ears, self._bell = socket.socketpair()
        for end in (self._ears, self._bell):
            end.setblocking(False)
        self._old_wakeup = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        for number in (*STOPS, signal.SIGCHLD):
            self._old[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._ears.close()
        self._bell.close()

    @property
    def stopping(self) -> bool:
        """Whether somebody asked us to stop; a long start looks at it between its steps."""
        return self._stopping

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """Do ``work`` from now on every so many seconds, on a thread of its own; it may start no children."""
        self._chores.append(_Chore(seconds, work))
        self._chores[-1].begin()

    def start(self, part: Part) -> None:
        """Start a part and watch it from now on; what its first start raises is the caller's. Nothing when stopping."""
        if self._stopping:
            return
        watched = _Watched(part, State.STARTING, wall_now())
        self._parts.append(watched)
        self._write()
        part.start()
        self._now(watched, State.RUNNING)
        log.info("part.started", part=part.name, pid=part.pid)

    def run(self) -> None:
        """Watch until SIGTERM, SIGINT or SIGHUP; the parts are stopped when the ``with`` block ends."""
        for chore in self._chores:
            chore.begin()
        while not self._stopping:
            self._watch(TICK_S)

    def wait_for(self, condition: Callable[[], bool], *, within_s: float) -> bool:
        """Watch the parts until ``condition`` holds; False when the time is up or somebody asks us to stop."""
        deadline = time.monotonic() + within_s
        while not self._stopping and time.monotonic() < deadline:
            if condition():
                return True
            self._watch(WAIT_TICK_S)
        return False

    def stop(self) -> None:
        """Stop all parts, last started first, within 10 s; what does not go is killed."""
        self._stopping = True
        deadline = time.monotonic() + STOP_S
        for chore in self._chores:
            chore.end()
        for watched in reversed(self._parts):
            if watched.state is not State.STOPPED:
                watched.part.stop(self._patience(watched, deadline))
                self._now(watched, State.STOPPED)
                log.info("part.stopped", part=watched.part.name)

    def status(self) -> Status:
        """The tree as it is now."""
        parts = tuple(
            PartStatus(
                each.part.name,
                each.state,
                each.part.pid,
                each.restarts,
                each.since,
                each.last_exit,
                str(each.part.log_file),
            )
            for each in self._parts
        )
        return Status(os.getpid(), self._started, wall_now(), parts)

    def _watch(self, seconds: float) -> None:
        """Look at every part once, then sleep until something happens, at most ``seconds``."""
        for watched in self._parts:
            self._look(watched)
        if time.monotonic() - self._written > STATUS_S:
            self._write()
        self._listen(seconds)

    def _look(self, watched: _Watched) -> None:
        """One step of a part: notice its end, or start it again when its time has come."""
        if watched.state is State.RUNNING:
            code = watched.part.poll()
            if code is not None:
                self._ended(watched, in_words(code))
            elif watched.failures and time.monotonic() - watched.up_since > STEADY_S:
                watched.failures = 0
            rotate(watched.part.log_file)
        elif watched.state is State.WAITING and time.monotonic() >= watched.due:
            self._again(watched)

    def _again(self, watched: _Watched) -> None:
        watched.restarts += 1
        self._now(watched, State.STARTING)
        try:
            watched.part.start()
        except (MillwrightError, OSError) as error:
            self._ended(watched, str(error))
            return
        self._now(watched, State.RUNNING)
        log.info("part.restarted", part=watched.part.name, pid=watched.part.pid, restarts=watched.restarts)

    def _ended(self, watched: _Watched, why: str) -> None:
        pause = BACKOFF_S[min(watched.failures, len(BACKOFF_S) - 1)]
        watched.failures += 1
        watched.last_exit = why
        watched.due = time.monotonic() + pause
        self._now(watched, State.WAITING)
        log.warning("part.ended", part=watched.part.name, why=why, again_in_s=pause, log=str(watched.part.log_file))

    def _patience(self, watched: _Watched, deadline: float) -> float:
        """How long this part may take, so that the first one (the database) still has time to write everything down."""
        left = max(deadline - time.monotonic(), 0.5)
        if watched is self._parts[0]:
            return max(left - 1.0, 0.5)
        return max(0.2, min(PART_STOP_S, (left - LAST_RESERVE_S) / 2))

    def _now(self, watched: _Watched, state: State) -> None:
        watched.state, watched.since = state, wall_now()
        if state is State.RUNNING:
            watched.up_since = time.monotonic()
        self._write()

    def _listen(self, seconds: float) -> None:
        """Sleep, but wake at once for a signal."""
        if select.select([self._ears], [], [], seconds)[0]:
            self._ears.recv(4096)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if number in STOPS:
            self._stopping = True

    def _write(self) -> None:
        """A full disk must not end the supervisor: the parts matter more than their picture."""
        self._written = time.monotonic()
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(asdict(self.status()), default=datetime.isoformat, indent=1))
            fresh.replace(self._path)
        except OSError as error:
            log.warning("status.not_written", why=error.strerror)


class _Chore:
    """Work done again and again on a thread of its own: a database that hangs must not hang the supervisor."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self.seconds, self.work = seconds, work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        if not self._thread.is_alive() and not self._ended.is_set():
            self._thread.start()

    def end(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(CHORE_END_S)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.work()
            except (MillwrightError, OSError) as error:
                log.warning("chore.failed", why=str(error))
            self._ended.wait(self.seconds)


def read_status(data_dir: Path) -> Status | None:
    """What the supervisor of a data directory last wrote; None when there is nothing readable."""
    try:
        found = json.loads((data_dir / STATUS).read_text())
        parts = tuple(
            PartStatus(**(each | {"state": State(each["state"]), "since": datetime.fromisoformat(each["since"])}))
            for each in found["parts"]
        )
        return Status(
            found["pid"], datetime.fromisoformat(found["started"]), datetime.fromisoformat(found["at"]), parts
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def in_words(code: int) -> str:
    """An exit code as a sentence: `exit code 1`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
