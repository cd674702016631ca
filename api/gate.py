"""What may enter as a request body: JSON that passes ``core.strict_json``, streamed against the limit.

server ──> RequestLog ──> KnownHost ──> Uploads ──> Deadline ──> GZip ──> StrictJson ──> routes
"""

from __future__ import annotations

import asyncio
import hashlib

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import respond
from core.errors import MillwrightError
from core.strict_json import MAX_BYTES, JsonMalformed, JsonTooLarge, check

BODY_DIGEST = "millwright.body_digest"
UPLOAD = "millwright.upload"  # a body that ``api.uploads`` has received as a file
BODY_WITHIN_S = 30.0
LARGE = 64 * 1024


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


class StrictJson:
    """Reads each body once, refuses what is no strict JSON of at most 1 MiB, and leaves its digest in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or UPLOAD in scope or not _has_body(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        try:
            body = await self._body(Headers(scope=scope), receive)
        except MillwrightError as error:
            await respond(error, scope, {"connection": "close"})(scope, receive, send)
            return
        except Gone:
            return
        scope[BODY_DIGEST] = hashlib.sha256(body).digest()
        await self.app(scope, replay(body, receive), send)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        declared = headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()):
            raise JsonMalformed("The Content-Length is no number.")
        if len(declared) > 10 or int(declared) > MAX_BYTES:
            raise JsonTooLarge
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                body = await _read(receive)
        except TimeoutError:
            raise BodyTooSlow from None
        if body:
            _require_json(headers)
            await _check(body)
        return body


async def _check(body: bytes) -> None:
    """A large body is looked at beside the event loop, which has others to serve."""
    if len(body) > LARGE:
        await run_in_threadpool(check, body)
    else:
        check(body)


async def _read(receive: Receive) -> bytes:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BYTES:
            raise JsonTooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


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
