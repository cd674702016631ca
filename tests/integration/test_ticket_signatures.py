"""A signature under a ticket: drawn, refused, sent twice, signed late, verified; tampering is found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, LiteralString

import pytest
from psycopg import Connection

from core.database import Database
from tests.integration.tickets_world import HOUR, NOW, World, build, order, user, walk
from tickets import audit, service, signatures, store
from tickets.checklists import IdReused
from tickets.errors import InvalidFields
from tickets.model import Ticket
from tickets.signatures import Purpose, Signature, SignedAnother

DRAWN = "M10 12 L11 14 L13.5 15 L20 9 L22 8"
TAMPERED: dict[LiteralString, str] = {
    "update signatures set strokes = 'M1 1 L2 2 L3 3 L4 4 L9 9'": "not those that were drawn",
    "update ticket_events set hash = decode(repeat('ab', 32), 'hex') where seq = 1": "is not what it was",
    "update signatures set name = 'Somebody'": "signatures.name",
    "update signatures set signed_at = signed_at - interval '1 day'": "signatures.signed_at",
    "delete from signatures": "was deleted",
}


def signed(conn: Connection, world: World, ticket: Ticket, **more: Any) -> Signature:
    values: dict[str, Any] = {
        "purpose": Purpose.PERFORMED,
        "name": "  Lin  Wei ",
        "strokes": DRAWN,
        "seen": ticket.head_hash,
        "entry_id": "phone-sign-1",
        "signed_at": NOW,
        "now": NOW + HOUR,
    }
    return signatures.sign(conn, world.lin, ticket.ticket_id, **values | more)


def test_it_stands_under_what_was_seen_also_when_the_ticket_has_moved_on(conn: Connection) -> None:
    world = build(conn)
    seen = walk(conn, world.lin, order(conn, world), "accepted")
    service.comment(conn, world.planner, seen.ticket_id, text="Later", audience="internal", now=NOW)
    made = signed(conn, world, seen)
    assert (made.signed_seq, made.signed_hash) == (seen.event_count, seen.head_hash)
    assert (made.by_name, made.purpose, made.strokes) == (world.lin.name, Purpose.PERFORMED, DRAWN)
    last = store.timeline(conn, seen.ticket_id)[-1]
    assert (last.kind, last.body["signature_id"], DRAWN in str(last.body)) == ("signed", made.signature_id, False)
    assert signatures.of(conn, seen.ticket_id) == [made] and signatures.problems(conn, made) == []


def test_sent_again_it_is_the_same_and_for_another_ticket_refused(conn: Connection) -> None:
    world = build(conn)
    first, other = order(conn, world), order(conn, world, mode="cavitation")
    made = signed(conn, world, first)
    assert signed(conn, world, first, name="Another", strokes="no strokes") == made
    assert len(signatures.of(conn, first.ticket_id)) == 1
    with pytest.raises(IdReused):
        signed(conn, world, other)


def test_nobody_signs_what_this_ticket_never_was(conn: Connection) -> None:
    world = build(conn)
    first, other = order(conn, world), order(conn, world, mode="cavitation")
    for seen in (other.head_hash, b"", b"x" * 32):
        with pytest.raises(SignedAnother):
            signed(conn, world, first, seen=seen)
    assert signatures.of(conn, first.ticket_id) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strokes", "M1 1 L2 2"),
        ("strokes", "M1 1" + " L2 2" * 10_000),
        ("strokes", "M1 1 L2 2 L3 3 L4 4<script/>"),
        ("strokes", "M1 1 L2 2 L3 3 L4 4 C1 1 2 2 3 3"),
        ("strokes", ""),
        ("name", "   "),
        ("name", "x" * 201),
    ],
)
def test_what_is_no_signature_is_refused_and_leaves_nothing(conn: Connection, field: str, value: str) -> None:
    world = build(conn)
    ticket = order(conn, world)
    with pytest.raises(InvalidFields) as caught:
        signed(conn, world, ticket, **{field: value})
    assert [each["field"] for each in caught.value.extra["errors"]] == [field]
    assert store.get(conn, ticket.ticket_id).event_count == ticket.event_count


def test_a_device_whose_clock_runs_ahead_signs_now(conn: Connection) -> None:
    world = build(conn)
    ticket = order(conn, world)
    assert signed(conn, world, ticket, signed_at=NOW + timedelta(days=3)).signed_at == NOW + HOUR


def test_what_was_tampered_with_is_found(database: Database, site: int, superuser: Connection) -> None:
    with database.tx(site_id=site) as conn:
        world = build(conn)
        ticket = order(conn, world)
        signed(conn, world, ticket, seen=store.timeline(conn, ticket.ticket_id)[0].hash)
        assert user(conn, "witness")
    superuser.execute("set session_replication_role = replica")
    for change, told in TAMPERED.items():
        with superuser.transaction(force_rollback=True):
            superuser.execute(change)
            kept = signatures.of(superuser, ticket.ticket_id)
            problems = [each for one in kept for each in signatures.problems(superuser, one)]
            problems += audit.ticket(superuser, ticket.ticket_id, now=NOW).problems
            assert any(told in each for each in problems), (change, problems)
    assert audit.ticket(superuser, ticket.ticket_id, now=NOW).problems == []
