"""What surrounds every request: its id and log line, the headers of every answer, the known hosts, the deadline."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Collection
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import UnknownHost
from api.problems import REQUEST_ID, Unexpected, respond
from core import log, metrics
from core.errors import Unavailable

REQUEST_ID_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
MOST_ABANDONED = 24  # of the 40 threads that answer requests

logger = log.get("api")


class RequestLog:
    """Outermost: gives each request an id, each answer the safe headers and one log line, and catches what nobody did.

    The line names the matched route, never the query, body or headers, so that no secret can reach it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        scope[REQUEST_ID] = request_id = given if REQUEST_ID_GIVEN.fullmatch(given) else secrets.token_hex(8)
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["x-request-id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            try:
                await self.app(scope, receive, send_with_headers)
            except Exception:
                logger.exception("unexpected", route=_route(scope))
                if status:
                    raise
                await respond(Unexpected(), scope)(scope, receive, send_with_headers)
            finally:
                _observe(scope, status, time.perf_counter() - started)


def _observe(scope: Scope, status: int, seconds: float) -> None:
    route = _route(scope)
    metrics.requests.labels(scope["method"] if scope["method"] in METHODS else "other", route, str(status)).inc()
    metrics.request_seconds.labels(route).observe(seconds)
    say = logger.warning if status >= 500 else logger.info
    say("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1), by=_caller(scope))


METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


def _route(scope: Scope) -> str:
    """The matched route's pattern; never the path as sent, which may be anything."""
    return str(getattr(scope.get("route"), "path_format", "web" if "endpoint" not in scope else "other"))


def _caller(scope: Scope) -> Any:
    return scope.get("state", {}).get("caller")


class KnownHost:
    """Answers only to the names that the server is known by (DNS rebinding, poisoned links)."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._known(Headers(scope=scope).getlist("host")):
            await respond(UnknownHost(), scope)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _known(self, sent: list[str]) -> bool:
        return len(sent) == 1 and host_name(sent[0]) in self.hosts


HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


def host_name(header: str) -> str | None:
    """The host of a Host header without its port, in lower case; None when it is malformed."""
    match = HOST.fullmatch(header.lower())
    return match[1] if match else None


class Deadline:
    """An answer begins within ``seconds``, or 503: a frozen database must not hang its clients.

    The thread that waits cannot be ended from outside; it is left behind, counted, and with too many of them new
    requests are refused at once. A write left behind may still happen: retry it with its Idempotency-Key.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self.app, self.seconds = app, seconds
        self._left: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if len(self._left) >= MOST_ABANDONED:
            await respond(SLOW, scope)(scope, receive, send)
            return
        await self._race(scope, receive, send)

    async def _race(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, late = asyncio.Event(), False

        async def send_unless_late(message: Message) -> None:
            if late:
                return
            begun.set()
            await send(message)

        answer = asyncio.ensure_future(self.app(scope, receive, send_unless_late))
        try:
            await _first(answer, begun, self.seconds)
            if begun.is_set() or answer.done():
                await answer
                return
        except asyncio.CancelledError:
            answer.cancel()
            raise
        late = True
        self._leave(answer)
        await respond(SLOW, scope)(scope, receive, send)

    def _leave(self, answer: asyncio.Future[None]) -> None:
        self._left.add(answer)
        metrics.abandoned.set(len(self._left))
        answer.add_done_callback(self._ended)

    def _ended(self, answer: asyncio.Future[None]) -> None:
        self._left.discard(answer)
        metrics.abandoned.set(len(self._left))
        if not answer.cancelled() and answer.exception():
            logger.warning("abandoned request failed", error=type(answer.exception()).__name__)


SLOW = Unavailable("The answer did not begin in time. A change may or may not have happened: repeat it with its key.")


async def _first(answer: asyncio.Future[None], begun: asyncio.Event, seconds: float) -> None:
    """Wait until the answer begins or ends, at most ``seconds``."""
    beginning: asyncio.Future[Any] = asyncio.ensure_future(begun.wait())
    try:
        await asyncio.wait([answer, beginning], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        beginning.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beginning
