"""Signatures: a name and drawn strokes under everything that the timeline said at that moment.

What is signed is the hash of the ticket's last event, which covers all before it: whoever changes, deletes or inserts
anything earlier breaks the chain that the signature stands on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection

from core.errors import Conflict
from tickets import service, store, words
from tickets.checklists import IdReused, client_id
from tickets.model import Actor, Late
from tickets.rows import one
from tickets.verbs import verb

STROKES = re.compile(r"M[\d.]+ [\d.]+(?: ?[ML][\d.]+ [\d.]+)*\Z")
LONGEST_STROKES = 40_000
FEWEST_POINTS = 4
SELECT: LiteralString = """
  select signature_id, ticket_id, purpose, name, strokes, signed_seq, signed_hash, client_id, signed_at, made_at,
    by_name from signatures """


class Purpose(StrEnum):
    """What somebody signs for."""

    PERFORMED = "performed"  # that the work was done so
    ACCEPTED = "accepted"  # that it is good


class SignedAnother(Conflict):
    """The ticket has changed since it was shown for signing. Look at it again, then sign."""

    code = "signed_another"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed what, and when by the device's clock."""

    signature_id: int
    ticket_id: int
    purpose: Purpose
    name: str
    strokes: str
    signed_seq: int
    signed_hash: bytes
    client_id: str
    signed_at: datetime
    made_at: datetime
    by_name: str


@verb
def sign(
    conn: Connection,
    actor: Actor,
    ticket_id: int,
    *,
    purpose: Purpose,
    name: str,
    strokes: str,
    seen: bytes,
    entry_id: str,
    signed_at: datetime,
    now: datetime,
) -> Signature:
    """Sign the ticket as it was ``seen`` (its head hash then). The event holds the hash of the strokes.

    The ticket may have moved on since, as while a phone was offline: any event of its timeline may be the last that
    was seen. Raises InvalidFields, NotFound, SignedAnother, IdReused.
    """
    ticket = store.lock(conn, ticket_id)
    row = conn.execute(SELECT + "where client_id = %s", (client_id(entry_id),)).fetchone()
    if row is not None:
        return _same(_signature(row), ticket_id)
    named, drawn = words.text("name", name, longest=200), check_strokes(strokes)
    seq = _seq_of(conn, ticket_id, seen)
    at = min(signed_at, now)
    (ident,) = one(
        conn,
        """insert into signatures (ticket_id, purpose, name, strokes, signed_seq, signed_hash, client_id, signed_at,
             made_at, user_id, by_name) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning signature_id""",
        (ticket_id, purpose, named, drawn, seq, seen, entry_id, at, now, actor.actor_id, actor.name),
    )
    details = {
        "signature_id": ident,
        "purpose": purpose.value,
        "name": named,
        "signed_seq": seq,
        "signed_hash": seen.hex(),
        "strokes_sha256": _digest(drawn),
        "signed_at": at.isoformat(),
        "client_id": entry_id,
    }
    service.record(conn, actor, ticket.ticket_id, kind="signed", details=details, late=Late.TAKEN, now=now)
    return _signature(one(conn, SELECT + "where signature_id = %s", (ident,)))


def of(conn: Connection, ticket_id: int) -> list[Signature]:
    """The signatures under a ticket, oldest first."""
    rows = conn.execute(SELECT + "where ticket_id = %s order by signature_id", (ticket_id,))
    return [_signature(row) for row in rows]


def problems(conn: Connection, signature: Signature) -> list[str]:
    """What does not hold about a signature, as sentences: its strokes or what it stands under were changed."""
    found = []
    for event in store.timeline(conn, signature.ticket_id):
        if event.seq == signature.signed_seq and event.hash != signature.signed_hash:
            found.append(f"Event {event.seq}, which {signature.name} signed, is not what it was.")
        ours = event.kind == "signed" and event.body.get("signature_id") == signature.signature_id
        if ours and event.body.get("strokes_sha256") != _digest(signature.strokes):
            found.append(f"The strokes of {signature.name} are not those that were drawn.")
    return found


def check_strokes(strokes: str) -> str:
    """An SVG path of moves and lines alone. Raises InvalidFields."""
    drawn = strokes.strip()
    if len(drawn) > LONGEST_STROKES:
        raise words.refuse("strokes", f"The strokes are longer than {LONGEST_STROKES} characters.", code="too_long")
    if not STROKES.match(drawn):
        raise words.refuse("strokes", "The strokes are an SVG path of moves and lines: M10 12 L11 14 …")
    if drawn.count("L") < FEWEST_POINTS:
        raise words.refuse("strokes", "That is a dot, not a signature. Sign with your finger.", code="required")
    return drawn


def _seq_of(conn: Connection, ticket_id: int, seen: bytes) -> int:
    row = conn.execute("select seq from ticket_events where ticket_id = %s and hash = %s", (ticket_id, seen)).fetchone()
    if row is None:
        raise SignedAnother("What was signed is not in this ticket's timeline. Look at the ticket again, then sign.")
    return int(row[0])


def _same(known: Signature, ticket_id: int) -> Signature:
    if known.ticket_id != ticket_id:
        raise IdReused
    return known


def _digest(strokes: str) -> str:
    return hashlib.sha256(strokes.encode()).hexdigest()


def _signature(row: tuple[Any, ...]) -> Signature:
    values: dict[str, Any] = dict(zip(Signature.__slots__, row, strict=True))
    return Signature(**values | {"purpose": Purpose(values["purpose"]), "signed_hash": bytes(values["signed_hash"])})
