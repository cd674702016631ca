"""The web server: uvicorn on h11, which waits for nobody for ever and answers what is no HTTP with a problem document.

    connected ──HEAD_S──> request's head ──> the app (``api.app`` has its own deadlines) ──WRITE_S──> answer is read

Who holds a connection without sending a head gives way: after HEAD_S, or at once when MOST_CONNECTIONS are open.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import itemgetter
from typing import Any

import h11
import uvicorn
from pydantic_core import to_json
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.middleware import HEADERS
from api.problems import MEDIA_TYPE, document
from core import metrics
from core.errors import Invalid, MillwrightError

HEAD_S = 10.0
WRITE_S = 30.0
HEAD_BYTES = 16 * 1024
HEAD_LINES = 200
MOST_CONNECTIONS = 1000
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h
LARGE_BLOCK = 256 * 1024
FILES = 4096  # open files of this process: connections, and as many again for the rest


class NotHttp(Invalid):
    """This is no HTTP/1.1 request, or its head has more than 16 KiB or 200 lines."""

    code = "not_http"
    status = 400


class HeadTooSlow(MillwrightError):
    """The head of the request did not come within 10 seconds."""

    code = "head_too_slow"
    status = 408


class Timer:
    """Acts once, ``seconds`` after its start, unless stopped before; a start while it runs changes nothing."""

    def __init__(self, seconds: float, act: Callable[[], object]) -> None:
        self.seconds, self.act = seconds, act
        self._running: asyncio.TimerHandle | None = None

    @property
    def due(self) -> float | None:
        """On the clock of the loop; None while it does not run."""
        return self._running.when() if self._running else None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._running is None:
            self._running = loop.call_later(self.seconds, self.act)

    def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            self._running = None


class Door(H11Protocol):
    """One connection. Its timers: until the head is whole, and while the client does not read what is written."""

    def __init__(self, *options: Any, **more: Any) -> None:
        super().__init__(*options, **more)
        self.head = Timer(HEAD_S, lambda: self._refuse(HeadTooSlow()))
        self.write = Timer(WRITE_S, lambda: self.transport.abort())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > MOST_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.head.stop()
        self.write.stop()

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and data.partition(b"\r\n\r\n")[0].count(b"\n") > HEAD_LINES:
            self._refuse(NotHttp())  # each line is looked at by itself: thousands of them would hold up everybody
            return
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.write.start(self.loop)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.write.stop()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence, for which we have our own
        self._refuse(NotHttp())

    def _watch(self) -> None:
        """Between two requests uvicorn's own timer runs until a byte comes; from then on ours does."""
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.head.start(self.loop)
        else:
            self.head.stop()

    def _make_room(self) -> None:
        """The one that has owed us a head for longest gives way; when all are at work, the new one does."""
        waiting = [(each.head.due, each) for each in self.connections if isinstance(each, Door) and each.head.due]
        metrics.turned_away.inc()
        min(waiting, key=itemgetter(0))[1].transport.abort()  # this one waits too

    def _refuse(self, error: MillwrightError) -> None:
        """Answer and close; an answer that has begun is only cut."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self._answer(error))
        cycle = getattr(self, "cycle", None)  # None before the first request, whatever its type says
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # whoever works on an answer learns that nobody waits for it
            cycle.message_event.set()
        self.transport.close()

    def _answer(self, error: MillwrightError) -> bytes:
        body = to_json(document(error))
        headers = {**HEADERS, "content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close"}
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        events = (h11.Response(status_code=error.status, headers=sent), h11.Data(data=body), h11.EndOfMessage())
        return b"".join(self.conn.send(event) or b"" for event in events)


def config(app: ASGIApp, *, host: str, port: int, log_level: str = "warning", **more: Any) -> uvicorn.Config:
    """How the product serves ``app``; sign-in links and metrics are for this machine alone, so no proxy is believed."""
    fixed: Mapping[str, Any] = {
        "http": Door,
        "ws": "none",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 3,
        "h11_max_incomplete_event_size": HEAD_BYTES,
    }
    return uvicorn.Config(app, host=host, port=port, log_level=log_level, **{**fixed, **more})


def run(app: ASGIApp, *, host: str, port: int, log_level: str) -> None:
    """Serve until a signal says stop."""
    allow_files()
    settle()
    uvicorn.Server(config(app, host=host, port=port, log_level=log_level)).run()


def settle() -> None:
    """What was loaded stays: the collector need not look at it again, which takes 100 ms of everybody's time. What
    large bodies took goes back to the system as soon as they are gone."""
    gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
        libc.mallopt(M_ARENA_MAX, 2)


def allow_files() -> None:
    """As many open files as connections need, where the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
