"""Files come as bodies of their own: received on disk before the request's transaction begins.

    POST …/attachments ──> who is it? ──> chunks ──> incoming/NAME (fsynced) ──> the route looks at it and keeps it

A phone may need minutes for a video; no connection of the database waits for it, and the deadline of an answer begins
only then. Everything else goes through ``api.gate``.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api import auth
from api.errors import NotSignedIn, TooMany
from api.gate import BODY_DIGEST, UPLOAD, BodyTooSlow, Gone, replay
from api.identity import who
from api.policies import RULES, Grant
from api.problems import respond
from core.clock import wall_now
from core.database import Database
from core.errors import Forbidden, Invalid, MillwrightError, Unavailable
from core.settings import Settings
from tickets.attachments import Limits
from tickets.file_errors import FileTooLarge
from tickets.files import Files, root_of, synchronise

PATHS = re.compile(r"/api/v1/(?:tickets/[0-9]{1,10}/attachments|attachments/scan|asset-table)")
RIGHT = "attachment.add"
SILENCE_S = 30.0
WITHIN_S = 1800.0
AT_ONCE = 16
PIECE = 1 << 20
SPARE_BYTES = 1 << 30
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A received file; whoever placed it elsewhere has moved it away."""

    path: Path
    size: int


def files_of(settings: Settings) -> Files:
    """The folder that the settings name."""
    return Files(root_of(settings))


def limits_of(settings: Settings) -> Limits:
    """How large a file of each kind may be."""
    return Limits(
        image=int(settings.attachment_image_mb * MB),
        audio=int(settings.attachment_audio_mb * MB),
        video=int(settings.attachment_video_mb * MB),
        document=int(settings.attachment_document_mb * MB),
        pixels=int(settings.attachment_megapixels * MB),
    )


class Uploads:
    """Receives the body of a route that takes files, from people who may add some; refuses what is large or slow."""

    def __init__(self, app: ASGIApp, *, database: Database, files: Files, settings: Settings) -> None:
        self.app, self.database, self.files = app, database, files
        self.most = limits_of(settings).most
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not PATHS.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._serve(scope, receive, send)
        except MillwrightError as error:
            await respond(error, scope, {"connection": "close"})(scope, receive, send)
        except Gone:
            return
        finally:
            self._under_way -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._under_way > AT_ONCE:
            raise TooMany("Too many files are coming in. Send it again in a moment.", retry_after_s=5)
        _declared(Headers(scope=scope), self.most)
        await run_in_threadpool(self._admit, Request(scope))
        path = await run_in_threadpool(self.files.incoming)
        try:
            scope[UPLOAD], scope[BODY_DIGEST] = await _in_time(receive, path, self.most)
            await self.app(scope, replay(b"", receive), send)
        finally:
            await run_in_threadpool(_discard, path)

    def _admit(self, request: Request) -> None:
        """Before a byte is kept. The route decides again, on its site and ticket."""
        secret = auth.credential(request)
        with self.database.tx() as conn:
            person = who(conn, secret.secret, kind=secret.kind, now=wall_now())
        if person is None:
            raise NotSignedIn
        if all(RULES[RIGHT].get(role, Grant.NO) is Grant.NO for role in person.roles.values()):
            raise Forbidden
        self.files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self.files.root).free < self.most + SPARE_BYTES:
            raise Unavailable("The disk for files is almost full. Tell an administrator.")


def _declared(headers: Headers, most: int) -> None:
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit() and len(declared) <= 15):
        raise Invalid("The Content-Length is no number.")
    if int(declared) > most:
        raise FileTooLarge(f"The file has more than {most // MB} MB, the most that is taken of any type.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Invalid("Compressed bodies are not taken. Send the file as it is.")


async def _in_time(receive: Receive, path: Path, most: int) -> tuple[Upload, bytes]:
    try:
        async with asyncio.timeout(WITHIN_S):
            return await _receive(receive, path, most)
    except TimeoutError:
        raise BodyTooSlow("The file stopped coming. Send it again where the network is better.") from None


async def _receive(receive: Receive, path: Path, most: int) -> tuple[Upload, bytes]:
    """Write the body to ``path``; returns it with its digest."""
    digest, size, piece, more = hashlib.sha256(), 0, bytearray(), True
    with await run_in_threadpool(path.open, "xb") as file:
        while more:
            async with asyncio.timeout(SILENCE_S):
                message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size > most:
                raise FileTooLarge(f"The file has more than {most // MB} MB, the most that is taken of any type.")
            digest.update(chunk)
            piece += chunk
            if len(piece) >= PIECE or not more:
                await run_in_threadpool(file.write, bytes(piece))
                piece.clear()
    await run_in_threadpool(synchronise, path)
    return Upload(path, size), digest.digest()


def _discard(path: Path) -> None:
    for each in (*path.parent.glob(f"{path.name}.*"), path):
        each.unlink(missing_ok=True)
