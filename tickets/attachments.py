"""Files of a ticket: received, looked at, kept once by content, and named in the timeline with their hash.

    received file ──sniff──cut──(pictures: child process)──> place ──row──event     the row in the caller's transaction

A file is placed before its row is committed; one whose transaction failed has no row and is collected later. An
advisory lock on the content keeps collecting and placing apart.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import puremagic
from psycopg import Connection
from psycopg.types.json import Jsonb

from tickets import images, service, sniff, store, words
from tickets.chain import time_text
from tickets.file_errors import FileTooLarge, FileTypeRefused, TooManyFiles
from tickets.files import Files, digest_of, written_at
from tickets.images import Code, Picture
from tickets.model import Actor, Audience, Late
from tickets.rows import one
from tickets.sniff import Kind, Seen
from tickets.verbs import verb

GRACE = timedelta(days=1)
MOST_COLLECTED = 500  # a round
MOST_FILES = 500  # a ticket
LONGEST_NAME = 200
SELECT: LiteralString = """
  select attachment_id, ticket_id, digest, name, media, kind, bytes, width, height, audience, note, codes, user_id,
    by_name, taken_at, made_at, site_id from attachments """


@dataclass(frozen=True, slots=True)
class Limits:
    """Most bytes of a file of each kind, and most pixels of a picture."""

    image: int
    audio: int
    video: int
    document: int
    pixels: int

    @property
    def most(self) -> int:
        return max(self.image, self.audio, self.video, self.document)


@dataclass(frozen=True, slots=True)
class Received:
    """A file that was looked at and may be kept; it lies at ``path``, its thumbnails beside it."""

    path: Path
    digest: bytes
    seen: Seen
    picture: Picture | None

    @property
    def codes(self) -> tuple[Code, ...]:
        return self.picture.codes if self.picture else ()

    def discard(self) -> None:
        """Remove what was not placed."""
        for each in (*self.path.parent.glob(f"{self.path.name}.*"), self.path):
            each.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a ticket. ``codes``: what QR and DataMatrix codes in the picture say."""

    attachment_id: int
    ticket_id: int
    digest: bytes
    name: str
    media: str
    kind: Kind
    bytes: int
    width: int | None
    height: int | None
    audience: Audience
    note: str
    codes: tuple[Code, ...]
    user_id: int | None
    by_name: str
    taken_at: datetime
    made_at: datetime
    site_id: int


# -- looking ----------------------------------------------------------------------------------------------------------


def receive(path: Path, limits: Limits) -> Received:
    """Look at a file that was just received; it may be cut to where its format ends.

    Raises FileEmpty, FileTypeRefused, FileTooLarge, TwoFilesInOne, TooManyPixels, FileDamaged.
    """
    seen = _look(path)
    size = path.stat().st_size
    most = {Kind.IMAGE: limits.image, Kind.AUDIO: limits.audio, Kind.VIDEO: limits.video}.get(
        seen.kind, limits.document
    )
    if size > most:
        raise FileTooLarge(f"The file has {_mb(size)} MB; of {seen.media} at most {_mb(most)} MB are taken.")
    if seen.end < size:
        os.truncate(path, seen.end)
    picture = None
    if seen.kind is Kind.IMAGE:
        images.refuse_large(seen.width or 0, seen.height or 0, most_pixels=limits.pixels)
        picture = images.decode(path, path, most_pixels=limits.pixels)
    return Received(path, digest_of(path), seen, picture)


def _look(path: Path) -> Seen:
    if path.stat().st_size == 0:
        return sniff.look(b"")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return sniff.look(data)
        except FileTypeRefused as error:
            if str(error) != str(FileTypeRefused()):
                raise
            raise FileTypeRefused(_what(data[:4096]) + str(error)) from error


def _what(head: bytes) -> str:
    """What else it seems to be, for people."""
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return ""
    return f"This looks like: {found[0].name}. " if found and found[0].name else ""


def _mb(size: int) -> float:
    return round(size / 1_000_000, 1)


# -- keeping ----------------------------------------------------------------------------------------------------------


@verb
def attach(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    files: Files,
    received: Received,
    name: str,
    audience: Audience,
    note: str = "",
    taken_at: datetime | None = None,
    now: datetime,
) -> tuple[Attachment, bool]:
    """Keep a received file with a ticket; returns it, and whether it is new there. It is taken in every state.

    The event ``attached`` holds the content's sha256, so that the chain covers it. Raises NotFound, InvalidFields,
    TooManyFiles.
    """
    ticket = store.lock(conn, ticket_id)
    found = _same(conn, ticket_id, received.digest, audience)
    if found is not None:
        return found, False
    if len(of(conn, ticket_id)) >= MOST_FILES:
        raise TooManyFiles
    _place(conn, files, ticket.site_id, received)
    named = clean_name(name, received.seen)
    note = words.text("note", note, longest=2000, needed=False)
    taken = min(taken_at or now, now)
    kept = _insert(conn, actor, ticket_id, received, (named, audience, note, taken), now)
    details = {
        "attachment_id": kept.attachment_id,
        "sha256": received.digest.hex(),
        "name": named,
        "media": received.seen.media,
        "bytes": received.seen.end,
        "note": note,
        "taken_at": time_text(taken),
    }
    service.record(
        conn, actor, ticket_id, kind="attached", details=details, audience=audience, late=Late.TAKEN, now=now
    )
    return kept, True


@verb
def carry(conn: Connection, actor: Actor, from_id: int, to_id: int, *, now: datetime) -> int:
    """Let another ticket have the files of this one too, as when a request becomes an order; returns how many are new.

    One event ``attachments_carried`` names their hashes. Raises NotFound.
    """
    source = store.get(conn, from_id)
    store.lock(conn, to_id)
    rows = conn.execute(
        """insert into attachments (ticket_id, digest, name, media, kind, bytes, width, height, audience, note, codes,
             user_id, by_name, taken_at, made_at)
           select %s, digest, name, media, kind, bytes, width, height, audience, note, codes, user_id, by_name,
             taken_at, %s from attachments where ticket_id = %s order by attachment_id
           on conflict do nothing returning attachment_id, digest, name, media, bytes, audience, note, taken_at,
             user_id, by_name""",
        (to_id, now, from_id),
    ).fetchall()
    if rows:
        carried = [_carried(row) for row in rows]
        details = {"from": source.ref, "attachments": carried}
        service.record(conn, actor, to_id, kind="attachments_carried", details=details, late=Late.TAKEN, now=now)
    return len(rows)


def _carried(row: tuple[Any, ...]) -> dict[str, Any]:
    ident, digest, *rest, taken_at, user_id, by_name = row
    told = dict(zip(("name", "media", "bytes", "audience", "note"), rest, strict=True))
    told |= {"attachment_id": ident, "sha256": bytes(digest).hex()}
    return told | {"taken_at": time_text(taken_at), "user_id": user_id, "by_name": by_name}


def clean_name(name: str, seen: Seen) -> str:
    """The sender's name for the file without folders, control characters and what would turn text around."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(sign for sign in last if sign.isprintable()).strip(" .")
    return plain[-LONGEST_NAME:] or f"{seen.kind}.{seen.media.rpartition('/')[2]}"


def _place(conn: Connection, files: Files, site_id: int, received: Received) -> None:
    _lock_content(conn, received.digest)
    target = files.path(site_id, received.digest)
    for size in received.picture.thumbs if received.picture else ():
        made = received.path.with_name(f"{received.path.name}.{size}.webp")
        files.place(made, files.thumb(site_id, received.digest, size))
    if not target.exists():
        files.place(received.path, target)


def _lock_content(conn: Connection, digest: bytes) -> None:
    conn.execute("select pg_advisory_xact_lock(%s)", (int.from_bytes(digest[:8], "big", signed=True),))


def _insert(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    received: Received,
    said: tuple[str, Audience, str, datetime],
    now: datetime,
) -> Attachment:
    name, audience, note, taken_at = said
    seen = received.seen
    codes = Jsonb([{"format": each.format, "text": each.text} for each in received.codes])
    of_file = (received.digest, name, seen.media, seen.kind, seen.end, seen.width, seen.height)
    (ident,) = one(
        conn,
        """insert into attachments (ticket_id, digest, name, media, kind, bytes, width, height, audience, note, codes,
             user_id, by_name, taken_at, made_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning attachment_id""",
        (ticket_id, *of_file, audience, note, codes, actor.actor_id, actor.name, taken_at, now),
    )
    return get(conn, ident)


# -- reading ----------------------------------------------------------------------------------------------------------


def of(conn: Connection, ticket_id: int, *, audience: Audience | None = None) -> list[Attachment]:
    """A ticket's files, oldest first; ``audience`` requester leaves the internal ones out."""
    rows = conn.execute(
        SELECT + "where ticket_id = %s and (%s::text is null or audience = %s) order by attachment_id",
        (ticket_id, audience, audience),
    )
    return [_attachment(row) for row in rows]


def get(conn: Connection, attachment_id: int) -> Attachment:
    """One file's row; raises NotFound."""
    missing = f"There is no attachment {attachment_id} on this site."
    return _attachment(one(conn, SELECT + "where attachment_id = %s", (attachment_id,), missing=missing))


def belonging(conn: Connection, ticket_id: int, wanted: Sequence[int]) -> list[Attachment]:
    """Those of the wanted that are files of this ticket."""
    rows = conn.execute(
        SELECT + "where ticket_id = %s and attachment_id = any(%s)",
        (ticket_id, list(wanted)),
    )
    return [_attachment(row) for row in rows]


def _same(conn: Connection, ticket_id: int, digest: bytes, audience: Audience) -> Attachment | None:
    row = conn.execute(
        SELECT + "where ticket_id = %s and digest = %s and audience = %s",
        (ticket_id, digest, audience),
    ).fetchone()
    return _attachment(row) if row else None


def _attachment(row: tuple[Any, ...]) -> Attachment:
    values = dict(zip(Attachment.__slots__, row, strict=True))
    values["digest"] = bytes(values["digest"])
    values["kind"], values["audience"] = Kind(values["kind"]), Audience(values["audience"])
    values["codes"] = tuple(Code(**each) for each in values["codes"])
    return Attachment(**values)


# -- collecting -------------------------------------------------------------------------------------------------------


def collect(conn: Connection, files: Files, *, wall_now: datetime, grace: timedelta = GRACE) -> int:
    """Delete the current site's files that no row names and that are older than ``grace``; returns how many."""
    before = wall_now - grace
    for path in files.abandoned(before=before):
        path.unlink(missing_ok=True)
    (site_id,) = one(conn, "select current_site()")
    gone = 0
    for digest, path in files.stored(site_id):
        if gone < MOST_COLLECTED and written_at(path) < before and not _named(conn, digest):
            _lock_content(conn, digest)
            if not _named(conn, digest):
                files.remove(site_id, digest)
                gone += 1
    return gone


def _named(conn: Connection, digest: bytes) -> bool:
    row = conn.execute("select exists (select 1 from attachments where digest = %s)", (digest,)).fetchone()
    return bool(row and row[0])
