"""What may enter as a request body: JSON that passes ``core.strict_json``, streamed against the limit.

server ──> RequestLog ──> KnownHost ──> Uploads ──> Deadline ──> GZip ──> StrictJson ──> routes
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import respond
from core.errors import MillwrightError
from core.strict_json import MAX_BYTES, JsonMalformed, JsonTooLarge, loads

BODY_DIGEST = "millwright.body_digest"
BODY_VALUE = "millwright.body_value"  # what the body says: nobody decodes it again
UPLOAD = "millwright.upload"  # a body that ``api.uploads`` has received as a file
BODY_WITHIN_S = 30.0
LARGE = 64 * 1024
LARGE_AT_ONCE = 1  # is looked at; the others wait
MOST_HELD = 8 * 1024 * 1024  # bytes of large bodies in memory, all requests together


class NotJson(MillwrightError):
    """A request body must be JSON: `Content-Type: application/json`, in UTF-8, not compressed."""

    code = "not_json"
    status = 415


class BodyTooSlow(MillwrightError):
    """The body did not come within 30 seconds."""

    code = "body_too_slow"
    status = 408


class Gone(Exception):
    """The client closed the connection before its body was complete."""


class TooManyLarge(MillwrightError):
    """Too many large bodies are coming in at once. Send it again in a moment."""

    code = "too_many_large"
    status = 429


class Decoded(Request):
    """A request whose JSON is what the gate read."""

    async def json(self) -> Any:
        return self.scope[BODY_VALUE] if BODY_VALUE in self.scope else await super().json()


class StrictJson:
    """Reads each body once, refuses what is no strict JSON of at most 1 MiB, and leaves digest and value in the scope.

    Large bodies count together: they are looked at beside the event loop, few at once, and too many are refused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or UPLOAD in scope or not _has_body(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            whole = await self._take(scope, receive, body)
            await self.app(scope, replay(whole, receive), send)
        except MillwrightError as error:
            await respond(error, scope, {"connection": "close"})(scope, receive, send)
        except Gone:
            return
        finally:
            self._held -= _counted(len(body))

    async def _take(self, scope: Scope, receive: Receive, body: bytearray) -> bytes:
        """The whole body, by way of ``body``; its digest and value go into the scope."""
        headers = Headers(scope=scope)
        _declared(headers)
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                await self._read(receive, body)
        except TimeoutError:
            raise BodyTooSlow from None
        whole = bytes(body)
        scope[BODY_DIGEST] = hashlib.sha256(whole).digest()
        if whole:
            _require_json(headers)
            scope[BODY_VALUE] = await self._value(whole)
        return whole

    async def _read(self, receive: Receive, body: bytearray) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunk, more = message.get("body", b""), message.get("more_body", False)
            if len(body) + len(chunk) > MAX_BYTES:
                raise JsonTooLarge
            self._held += _counted(len(body) + len(chunk)) - _counted(len(body))
            body += chunk
            if self._held > MOST_HELD:
                raise TooManyLarge(retry_after_s=2)

    async def _value(self, body: bytes) -> Any:
        if len(body) <= LARGE:
            return loads(body)
        async with self._large:
            return await run_in_threadpool(loads, body)


def _counted(size: int) -> int:
    """A body's share of what may be held; small ones are free."""
    return size if size > LARGE else 0


def _declared(headers: Headers) -> None:
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise JsonMalformed("The Content-Length is no number.")
    if len(declared) > 10 or int(declared) > MAX_BYTES:
        raise JsonTooLarge


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _require_json(headers: Headers) -> None:
    kind, _, parameters = headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "')
    if kind.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise NotJson
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise NotJson("Compressed bodies are not taken. Send the JSON as it is.")


def replay(body: bytes, receive: Receive) -> Receive:
    """What gives the body once more to whoever comes next."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
