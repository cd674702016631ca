"""A client-side deadline for database connections: a frozen server, or a network that swallows everything, answers no
timeout of its own, and libpq waits for ever. Whoever overstays has the socket cut, and gets an OperationalError.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import psycopg
from psycopg import Connection

TICK_S = 0.1


class Watchdog:
    """Cuts connections from a thread of its own, which runs from the first ``watch`` on."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[float, Connection]] = {}
        self._lock = threading.Lock()
        self._numbers = count()
        self._busy = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, conn: Connection, within_s: float) -> Iterator[None]:
        """Cut ``conn`` when the block takes longer; its next use, or the one it hangs in, raises OperationalError."""
        number = next(self._numbers)
        with self._lock:
            self._watched[number] = (time.monotonic() + within_s, conn)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadline", daemon=True)
                self._thread.start()
        self._busy.set()
        try:
            yield
        finally:
            with self._lock:
                self._watched.pop(number, None)

    def _run(self) -> None:
        while True:
            self._busy.wait()
            with self._lock:
                if not self._watched:
                    self._busy.clear()
                self._cut_overdue(time.monotonic())
            time.sleep(TICK_S)

    def _cut_overdue(self, now: float) -> None:
        """Holding the lock: a connection that is still watched is still open, so the descriptor is its own."""
        for number, (deadline, conn) in list(self._watched.items()):
            if now > deadline:
                del self._watched[number]
                cut(conn)


def cut(conn: Connection) -> None:
    """Shut the socket of a connection that another thread may be waiting on."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(conn.pgconn.socket)) as own:
        own.shutdown(socket.SHUT_RDWR)
