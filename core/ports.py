"""Loopback ports of an instance: the preferred one, else the next free; remembered, and never taken by two at once."""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import tempfile
from itertools import chain
from pathlib import Path

from core import places
from core.errors import MillwrightError

NAME = "ports.json"
HOST = "127.0.0.1"
TRIES = 200
# Where any port will do. Below the range from which systems take ports for outgoing connections: a port that was free
# a moment ago cannot become the near end of somebody's connection before the server listens on it.
ANYWHERE = range(20_000, 24_000)
RESERVED = range(24_000, 28_000)


class NoPort(MillwrightError):
    """No free port was found near the preferred one. Set another with MILLWRIGHT_PORT or MILLWRIGHT_BROKER_PORT."""

    code = "no_port"


class Ports:
    """Ports by name (`web`, `broker`), kept in ``data_dir/ports.json``.

    A claim is held until this object is closed or the process ends, so that two instances that start in the same
    moment do not choose the same port before either listens on it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._claims: list[int] = []

    def choose(self, name: str, preferred: int, *, host: str = HOST) -> int:
        """The port remembered for ``name`` where it is free, else the next free one from ``preferred`` on (0: any)."""
        kept = kept_ports(self._path.parent)
        wanted: list[int] = [kept[name]] if name in kept else []
        start = preferred or random.choice(ANYWHERE)  # noqa: S311 - no secret
        taken = {port for other, port in kept.items() if other != name}
        for port in chain(wanted, range(start, min(start + TRIES, 65536))):
            if port not in taken and self._claim(host, port):
                self._keep(kept | {name: port})
                return port
        raise NoPort

    def close(self) -> None:
        """Let the claims go."""
        while self._claims:
            os.close(self._claims.pop())

    def _claim(self, host: str, port: int) -> bool:
        handle = _claimed(host, port)
        if handle is not None:
            self._claims.append(handle)
        return handle is not None

    def _keep(self, ports: dict[str, int]) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(ports))
        fresh.replace(self._path)


def kept_ports(data_dir: Path) -> dict[str, int]:
    """Ports remembered in a data directory."""
    try:
        found = json.loads((data_dir / NAME).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): port for name, port in found.items() if isinstance(port, int)}


def free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            link.bind((host, port))
        except OSError:
            return False
    return True


def reserve(host: str = HOST) -> int:
    """Any free port, given to nobody else until this process ends; for servers that start and stop within its life.

    An instance that is told to use it may still claim it. Raises NoPort when all of ``RESERVED`` are taken.
    """
    start = random.randrange(len(RESERVED))  # noqa: S311 - no secret
    for port in chain(RESERVED[start:], RESERVED[:start]):
        if _claimed(host, port, of="reserved-") is not None:  # the handle stays open, and with it the claim
            return port
    raise NoPort


def _claimed(host: str, port: int, *, of: str = "") -> int | None:
    """The handle that holds a claim of the port; None where another holds it or something listens."""
    handle = os.open(_folder() / f"{of}{port}", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if not free(host, port):
        os.close(handle)
        return None
    return handle


def _folder() -> Path:
    path = Path(tempfile.gettempdir()) / f"millwright-ports-{os.geteuid()}"
    places.own(path, None)
    return path
