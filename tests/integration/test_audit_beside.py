"""Rows beside a ticket (approvals, clocks, costs, parts, links, work) that were changed past the program are named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, LiteralString

import pytest
from psycopg import Connection, sql

from core.database import Database
from tests import file_kit as kit
from tests.integration import tickets_world
from tests.integration.tickets_world import HOUR, NOW, World, order, walk
from tickets import (
    approvals,
    attachments,
    audit,
    checklists,
    clocks,
    costs,
    following,
    held,
    held_rows,
    hooks,
    labour,
    links,
    merging,
    service,
    signatures,
    sniff,
    stock,
    store,
    stores,
)
from tickets.attachments import Received
from tickets.checklist import Outcome
from tickets.checklists import Entry
from tickets.errors import ApprovalPending
from tickets.files import Files, digest_of
from tickets.model import Actor, ActorKind, Audience, Ticket
from tickets.signatures import Purpose

Given = dict[str, Any]
LATER = NOW + HOUR
STROKES = "M1 1 L2 2 L3 3 L4 4 L5 5"


@dataclass(frozen=True)
class Book:
    """A site with one of everything."""

    database: Database
    site: int
    conn: Connection  # a superuser's
    world: World
    ticket: Ticket
    boss: Actor

    def found(self) -> list[str]:
        part = audit.tickets(self.conn, now=LATER)
        assert part.last_id is not None
        return list(part.problems)


@pytest.fixture
def book(database: Database, site: int, superuser: Connection, tmp_path: Path) -> Iterator[Book]:
    with database.tx(site_id=site) as conn, hooks.only(on_event=checklists.on_event):
        world = tickets_world.build(conn)
        boss = Actor(ActorKind.PERSON, tickets_world.user(conn, "boss"), "Bo", "manager")
        ticket = walk(conn, world.lin, order(conn, world, requester_id=world.requester.actor_id), "accepted", "arrived")
        _spend(conn, world, ticket)
        _work(conn, world, ticket, tmp_path)
        _near(conn, world, ticket)
        asked = approvals.demand(conn, ticket.ticket_id, "Dear", role="manager", actor=world.planner, now=NOW)
        approvals.decide(conn, boss, asked.approval_id, state="declined", reason="No", now=LATER)
        approvals.ask_again(conn, world.planner, asked.approval_id, now=LATER)
        approvals.decide(conn, boss, asked.approval_id, state="approved", now=LATER)
        ticket = store.get(conn, ticket.ticket_id)
    superuser.execute("set session_replication_role = replica")  # no trigger and no foreign key stands in the way
    yield Book(database, site, superuser, world, ticket, boss)


def _spend(conn: Connection, world: World, ticket: Ticket) -> None:
    ident, at = ticket.ticket_id, Given(now=NOW)
    costs.add(conn, world.planner, ident, kind="travel", amount=12.5, note="Taxi", **at)
    shop = stores.put_store(conn, code="main", name="Main", allow_negative=False).store_id
    part = stores.put_part(conn, code="6205", name="Bearing", unit="pcs", price=40, lead_s=86_400).part_id
    stock.receive(conn, world.planner, store_id=shop, part_id=part, quantity=10, **at)
    stock.reserve(conn, world.planner, ident, part_id=part, quantity=4, **at)
    stock.consume(conn, world.planner, ident, part_id=part, quantity=3, **at)
    stock.give_back(conn, world.planner, ident, part_id=part, store_id=shop, quantity=1, **at)
    spent: Given = {"began_at": NOW - HOUR, "note": "Alone"}
    hours: Given = {"engineer_id": world.lin_id, "minutes": 30, "usual_rate": 60.0}
    labour.work(conn, world.planner, ident, **spent, **hours, entry_id="phone-l-01", **at)
    other = labour.work(conn, world.planner, ident, began_at=NOW - 3 * HOUR, **hours, entry_id="phone-l-02", **at)
    labour.void_work(conn, world.planner, other.labour_id, reason="Twice", now=LATER)
    down = labour.stood(conn, world.lin, ident, **spent, ended_at=NOW, entry_id="phone-d-01", **at)
    labour.void_downtime(conn, world.planner, down.downtime_id, reason="No", now=LATER)


def _work(conn: Connection, world: World, ticket: Ticket, folder: Path) -> None:
    words = {"en": "Guard", "zh": "护罩"}
    items = [{"code": "guard", "type": "tick", "text": words, "on_failure": "follow_up"}]
    items += [{"code": "heat", "type": "number", "text": words, "unit": "°C", "need": "optional"}]
    made = checklists.publish(conn, code="own", scope=("", "", ""), title=words, items=items, by_name="Pat", now=NOW)
    list_id = checklists.put(conn, world.planner, ticket, made, now=NOW)
    assert list_id is not None
    (folder / "photo.png").write_bytes(kit.picture("PNG"))
    seen = sniff.look((folder / "photo.png").read_bytes())
    received = Received(folder / "photo.png", digest_of(folder / "photo.png"), seen, None)
    kept, _ = attachments.attach(
        conn,
        world.lin,
        ticket.ticket_id,
        files=Files(folder),
        received=received,
        name="photo.png",
        audience=Audience.INTERNAL,
        note="Drive end",
        now=NOW,
    )
    photos = (kept.attachment_id,)
    failed = Entry("guard", "phone-a-01", NOW + 2 * HOUR, value=False, outcome=Outcome.FAILED, note="Gone")
    checklists.answer(conn, world.lin, list_id, failed, now=LATER)
    checklists.answer(conn, world.lin, list_id, Entry("heat", "phone-a-02", NOW, value=71.5, photos=photos), now=LATER)
    signatures.sign(
        conn,
        world.lin,
        ticket.ticket_id,
        purpose=Purpose.PERFORMED,
        name="Lin",
        strokes=STROKES,
        seen=store.get(conn, ticket.ticket_id).head_hash,
        entry_id="phone-s-01",
        signed_at=NOW,
        now=LATER,
    )


def _near(conn: Connection, world: World, ticket: Ticket) -> None:
    """Links of every make: by hand, by a split, and moved by a merge; one was taken away again."""
    said = service.comment(conn, world.planner, ticket.ticket_id, text="Also the motor", audience="internal", now=NOW)
    merging.split(conn, world.planner, ticket.ticket_id, seqs=[said.event_count], title="Motor", now=NOW)
    one, two, far = (
        service.open(conn, world.planner, kind="incident", title=title, now=NOW).ticket.ticket_id
        for title in ("One", "Two", "Far")
    )
    links.link(conn, world.planner, one, kind="blocks", to_id=two, now=NOW)
    links.link(conn, world.planner, far, kind="relates", to_id=one, now=NOW)
    links.link(conn, world.planner, one, kind="caused_by", to_id=far, now=NOW)
    (found,) = (each for each in links.of(conn, one) if each.how == "caused_by")
    assert found.link_id is not None
    links.unlink(conn, world.planner, one, found.link_id, now=LATER)
    _follow(conn, world, ticket, one)
    merging.merge(conn, world.planner, one, into_id=ticket.ticket_id, now=LATER)


def _follow(conn: Connection, world: World, ticket: Ticket, merged: int) -> None:
    """By a click, by being named, by the merge that follows; one went again."""
    planner, lin = world.planner.actor_id, world.lin.actor_id
    assert planner is not None and lin is not None
    following.follow(conn, world.planner, ticket.ticket_id, user_id=planner, now=NOW)
    following.unfollow(conn, world.planner, ticket.ticket_id, user_id=planner, now=LATER)
    service.comment(conn, world.planner, ticket.ticket_id, text="@lin, look", audience="internal", now=LATER)
    following.follow(conn, world.planner, merged, user_id=planner, now=LATER)


def rows(book: Book) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Every row beside every ticket, by table."""
    ids = [row[0] for row in book.conn.execute("select ticket_id from tickets order by 1")]
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {table: [] for table in held_rows.QUERIES}
    for tables in held_rows.of(book.conn, ids).values():
        for table, kept in tables.items():
            found[table] += kept.items()
    return found


def test_what_nobody_touched_is_whole_and_covered_to_the_last_column(book: Book) -> None:
    part = audit.tickets(book.conn, now=LATER)
    assert (part.problems, sum(part.uncovered.values())) == ((), 0)
    assert {table for table, kept in rows(book).items() if kept} == set(held.TABLES)


def test_with_life_going_on_it_stays_whole(book: Book) -> None:
    """Clocks pause, ring, are breached, withdrawn and reviewed; a file is carried; the order ends."""
    with book.database.tx(site_id=book.site) as conn:
        one = order(conn, book.world, asset_id=book.world.motor, priority=2)
        walk(conn, book.world.lin, one, "accepted", "on_hold", now=NOW + HOUR)
        service.transition(conn, book.world.lin, one.ticket_id, to="accepted", now=NOW + 2 * HOUR)
        service.patch(conn, book.world.planner, one.ticket_id, changes={"priority": 1}, now=NOW + 3 * HOUR)
        service.move_deadline(
            conn, book.world.planner, one.ticket_id, resolve_by=NOW + 9 * HOUR, reason="x", now=NOW + 4 * HOUR
        )
        clocks.ring(conn, NOW + timedelta(days=30))
        walk(conn, book.world.lin, store.get(conn, one.ticket_id), "arrived", "done", now=NOW + timedelta(days=31))
    assert book.found() == []


def test_every_column_that_is_altered_is_named(book: Book) -> None:
    """All columns of all tables, one after the other, each taken back before the next."""
    kept = rows(book)
    columns = [(table, *each) for table in held.TABLES for each in _columns(book, table, kept[table])]
    assert len(columns) > 80
    for table, column, kind in columns:
        other = _other(table, column, kind)
        change = sql.SQL("update {} set {} = {}").format(sql.Identifier(table), sql.Identifier(column), sql.SQL(other))
        with book.conn.transaction(force_rollback=True):
            _without_checks(book, table)
            book.conn.execute(change)
            told = [each for each in book.found() if f"{table}" in each]
        assert told and told[0].startswith(("WO-", "INC-")), (table, column, told)
        assert any(f"{table}.{column}" in each or "is in no event" in each for each in told), (column, told)


def _columns(book: Book, table: str, kept: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """What a row is compared by, as the database has it: ids of its own and of its site are how it is found."""
    names = {name for _, row in kept for name in row}
    found = book.conn.execute(
        "select column_name, data_type from information_schema.columns where table_name = %s and is_identity = 'NO'",
        (table,),
    )
    return [(name, kind) for name, kind in found if name in names]


def _other(table: str, column: str, kind: str) -> LiteralString:
    if kind.startswith("timestamp"):
        return f"coalesce({column}, '2020-01-01') - interval '90 days'"
    if kind in ("integer", "double precision", "bigint"):
        return f"coalesce({column}, 0) + 7"
    if kind == "jsonb":
        return '\'{"en": "Another"}\''
    if kind == "ARRAY":
        return "'{7}'"
    if kind == "bytea":
        return r"decode(repeat('ab', 32), 'hex')"
    return f"coalesce({column}, '') || 'x'"


def _without_checks(book: Book, table: str) -> None:
    named = book.conn.execute(
        "select conname from pg_constraint where conrelid = %s::regclass and contype in ('c', 'u')", (table,)
    ).fetchall()
    for (name,) in named:
        book.conn.execute(
            sql.SQL("alter table {} drop constraint {} cascade").format(sql.Identifier(table), sql.Identifier(name))
        )


def test_a_row_that_is_deleted_or_put_in_is_named(book: Book) -> None:
    for table in held.TABLES:
        with book.conn.transaction(force_rollback=True):
            book.conn.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
            assert any(f"{table}: row " in each and "was deleted" in each for each in book.found())
        with book.conn.transaction(force_rollback=True):
            _put_in(book, table)
            told = book.found()
            assert any(f"{table}: row " in each and "is in no event" in each for each in told), told


def _put_in(book: Book, table: str) -> None:
    """A copy of a row, for another ticket or under another name."""
    _without_checks(book, table)
    changed: dict[str, LiteralString] = {
        "checklist_answers": "client_id = 'phone-a-99', answer_id = 990",
        "checklists": "code = 'other', checklist_id = 991",
        "checklist_follow_ups": "item = 'heat'",
        "sla_clocks": "kind = 'resolution', clock_id = 992",
        "ticket_links": "kind = 'blocks', link_id = 993",
        "ticket_parts": "store_id = 994",
        "ticket_watchers": "user_id = 995",
        "stock_moves": "move_id = 995, seq = 995, ticket_id = (select ticket_id from ticket_parts limit 1)",
    }
    key = {"approvals": "approval_id", "cost_lines": "line_id", "labour": "labour_id", "downtimes": "downtime_id"}
    key |= {"signatures": "signature_id", "attachments": "attachment_id"}
    named = sql.Identifier(table)
    change = sql.SQL(changed[table]) if table in changed else sql.SQL("{} = 995").format(sql.Identifier(key[table]))
    book.conn.execute(sql.SQL("create temp table copy on commit drop as select * from {} limit 1").format(named))
    if table == "sla_clocks":
        book.conn.execute("delete from sla_clocks where kind = 'resolution'")
        book.conn.execute("update ticket_events set body = body #- '{rows,sla_clocks,resolution}'")
    book.conn.execute(sql.SQL("update copy set ") + change)
    book.conn.execute(sql.SQL("insert into {} overriding system value select * from copy").format(named))


def test_a_change_that_a_later_step_would_cover_up_is_named(book: Book) -> None:
    """The clock is set back by hand, then the program goes on from there."""
    book.conn.execute("update sla_clocks set used_s = used_s + 500 where ticket_id = %s", (book.ticket.ticket_id,))
    with book.database.tx(site_id=book.site) as conn:
        walk(conn, book.world.lin, book.ticket, "done", now=LATER)
    assert any("sla_clocks.used_s of row resolution was changed before event" in each for each in book.found())


def test_older_events_that_hold_less_are_counted_as_not_covered(book: Book) -> None:
    """As an older version wrote them: no clocks, no rate, no key."""
    book.conn.execute("update ticket_events set body = body - 'rows' - 'rate' - 'key' - 'role' - 'taken_at'")
    part = audit.tickets(book.conn, now=LATER)
    assert not [each for each in part.problems if "row " in each]
    counts = {table: count for table, count in part.uncovered.items() if count}
    assert counts["sla_clocks"] >= 3 and counts["approvals"] == 1 and counts["labour"] == 2
    assert counts["attachments"] == 1 and "cost_lines" not in counts
    book.conn.execute("update cost_lines set amount = 1")
    assert any("cost_lines.amount" in each for each in book.found())


def test_an_approval_that_the_timeline_does_not_hold_opens_no_door(book: Book) -> None:
    with book.database.tx(site_id=book.site) as conn:
        asked = approvals.demand(conn, book.ticket.ticket_id, "Dearer", role="manager", now=LATER)
    book.conn.execute("update approvals set state = 'approved' where approval_id = %s", (asked.approval_id,))
    for tampering in ("select 1", "delete from approvals"):
        book.conn.execute(tampering)
        with pytest.raises(ApprovalPending, match="audit verify"), book.database.tx(site_id=book.site) as conn:
            walk(conn, book.world.lin, book.ticket, "done", now=LATER)
