"""An instance of the product in a folder of its own, started and ended as a user would, for benchmarks and drills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from api.instance import Endpoints, Instance
from api.supervisor import Status, read_status
from core.processes import alive, pss_mb, tree
from core.settings import Settings
from simulators import stage
from simulators.client import ApiClient

ROOT = Path(__file__).resolve().parent.parent
READY_S = 120.0
STOP_S = 20.0
IDLE_S = 8.0


class NotReady(Exception):
    """The instance did not come up in time; the message holds the end of its log."""


def wait_until(condition: Callable[[], object], *, within_s: float, what: str) -> float:
    """Poll until ``condition``; returns the seconds it took. Raises NotReady naming ``what``."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise NotReady(f"{what}: not within {within_s:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


class Running:
    """``millwright up`` as a child process; ``with Running(folder) as up:`` ends it and deletes its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self.settings = Settings(data_dir=folder)
        self.ready_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.instance.database.close()
        self.stop()
        self.command("reset", "--yes")

    def start(self) -> None:
        """Start, and wait for the web server. Raises NotReady."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "up"], cwd=ROOT, env=self._environment(), stdout=log, stderr=log
            )
        try:
            self.ready_s = wait_until(self._answers, within_s=READY_S, what="the web server")
        except NotReady as error:
            self.stop()
            raise NotReady(f"{error}\n{self.log.read_text()[-4000:]}") from None

    def stop(self) -> None:
        """SIGTERM, as Ctrl-C would; SIGKILL when that does not end it."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @cached_property
    def instance(self) -> Instance:
        return Instance(self.settings)

    @property
    def endpoints(self) -> Endpoints:
        return self.instance.running()

    def status(self) -> Status:
        """What the supervisor last wrote of its parts."""
        found = read_status(self.folder)
        if found is None:
            raise NotReady("there is no status file")
        return found

    def pid_of(self, part: str) -> int:
        """Pid of a running part (database, broker, ingest, detect, worker, serve); 0 while it is down."""
        pid = next((each.pid or 0 for each in self.status().parts if each.name == part), 0)
        return pid if alive(pid) else 0  # what the supervisor wrote may be a moment old

    def kill(self, part: str) -> int:
        """kill -9 of a part; returns the pid it had, 0 when it was down anyway."""
        pid = self.pid_of(part)
        if pid:
            os.kill(pid, signal.SIGKILL)
        return pid

    def pss_idle_mb(self) -> float:
        """Memory of the whole idle process tree: PSS summed, after a moment of rest."""
        time.sleep(IDLE_S)
        assert self._process is not None
        return pss_mb(tree(self._process.pid))

    def command(self, *words: str) -> str:
        """Run a verb of the command line; returns what it printed. Raises CalledProcessError."""
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *words],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout

    def admin(self) -> ApiClient:
        """The API as the administrator."""
        token = self.command("token", "admin").split()[-1]
        return ApiClient(self.endpoints.address, token=token, site=self.settings.site)

    def wire(self) -> stage.Wire:
        """What simulators need to know."""
        found = self.endpoints
        password = self.instance.secrets.mqtt_simulator
        return stage.Wire(found.address, found.broker_host, found.broker_port, self.settings.site, password)

    def _environment(self) -> dict[str, str]:
        own = {"MILLWRIGHT_DATA_DIR": str(self.folder), "MILLWRIGHT_PORT": "18080", "MILLWRIGHT_BROKER_PORT": "11883"}
        return dict(os.environ) | own | {"PYTHONPATH": str(ROOT)}

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise NotReady(f"`millwright up` has ended.\n{self.log.read_text()[-4000:]}")
        found = self.instance.endpoints
        if found is None:
            return False
        try:
            return httpx.get(f"{found.address}/health/live", timeout=2.0, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


class Simulator:
    """``python -m simulators KIND CONFIG`` as a child process; its events are lines of its log."""

    def __init__(self, kind: str, config_file: Path) -> None:
        self.log = config_file.with_suffix(".log")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "simulators", kind, str(config_file)], cwd=ROOT, stdout=log, stderr=log
            )

    def has_said(self, event: str) -> bool:
        """Whether the event came. Raises NotReady when the process has failed."""
        if self._process.poll() not in (None, 0):
            raise NotReady(f"the simulator failed.\n{self.log.read_text()[-3000:]}")
        return f'"event": "{event}"' in self.log.read_text()

    def stop(self, *, within_s: float = 60.0) -> None:
        """SIGTERM; what is under way gets its receipts first."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(within_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
