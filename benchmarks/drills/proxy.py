"""A TCP proxy whose line can go bad: passed on, swallowed without a word, or reset."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from contextlib import suppress
from enum import StrEnum

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST


class Line(StrEnum):
    """GOOD passes on. BLACK_HOLE takes everything and passes nothing on; new connections are accepted and lost too."""

    GOOD = "good"
    BLACK_HOLE = "black_hole"


class Proxy:
    """Listens on a port of its own in front of ``port``; one thread. What a black hole swallowed is gone: when the line
    is good again its connections are reset."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self.port = int(self._server.getsockname()[1])
        self._line = Line.GOOD
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def set(self, line: Line) -> None:
        """The line as it is from now on."""
        with self._lock:
            if self._line is Line.BLACK_HOLE and line is Line.GOOD:
                self._reset_all()
            self._line = line

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)
        with self._lock:
            self._reset_all()
        self._server.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for key, _ in self._selector.select(0.1):
                with self._lock:
                    if key.fileobj is self._server:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._pairs:
                        self._pass_on(key.fileobj)

    def _accept(self) -> None:
        try:
            near, _ = self._server.accept()
            far = socket.create_connection(("127.0.0.1", self._target), timeout=2.0)
        except OSError:
            return
        for one, other in ((near, far), (far, near)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(CHUNK)
            if data and self._line is Line.GOOD:
                self._pairs[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one)
        self._pairs.pop(other, None)
        for each in (one, other):
            with suppress(KeyError, ValueError):
                self._selector.unregister(each)
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            each.close()

    def _reset_all(self) -> None:
        while self._pairs:
            self._drop(next(iter(self._pairs)))
