"""The work at the machine: checklists on orders, time, downtime and signatures, with everything in the chain."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from tests import file_kit as kit
from tests.integration import tickets_world
from tests.integration.tickets_world import HOUR, NOW, World, order, walk
from tickets import attachments, checklist_store, checklists, hooks, labour, service, signatures, sniff, store
from tickets.attachments import Received
from tickets.checklist import Outcome
from tickets.checklist_store import ChecklistOpen, OnOrder
from tickets.checklists import Entry, IdReused
from tickets.errors import InvalidFields, NotAllowed
from tickets.files import Files
from tickets.labour import Overlap
from tickets.model import Audience, Ticket
from tickets.signatures import Purpose, SignedAnother

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(conn: Connection) -> Iterator[World]:
    with hooks.only(on_event=checklists.on_event):
        yield tickets_world.build(conn)


def text(words: str) -> dict[str, str]:
    return {"en": words, "zh": words}


LINES: list[dict[str, Any]] = [
    {"code": "guard", "type": "tick", "text": text("Guard is on")},
    {"code": "heat", "type": "number", "text": text("Bearing"), "unit": "°C", "high": 80, "photo": "on_failure"},
    {"code": "remark", "type": "text", "need": "optional", "text": text("Remark")},
]


def publish(conn: Connection, **changes: Any) -> checklist_store.Template:
    wanted = {
        "code": "own",
        "scope": ("motor", "", ""),
        "title": text("Own"),
        "items": LINES,
        "by_name": "Pat",
        "now": NOW,
    }
    return checklists.publish(conn, **{**wanted, **changes})


def listed(conn: Connection, ticket: Ticket, code: str = "own") -> OnOrder:
    return next(each for each in checklist_store.of_ticket(conn, ticket.ticket_id) if each.template.code == code)


def motor_order(conn: Connection, world: World) -> Ticket:
    return order(conn, world, asset_id=world.motor)


def say(conn: Connection, world: World, found: OnOrder, item: str, value: Any, **more: Any) -> OnOrder:
    now = more.pop("now", NOW + HOUR)
    wanted = {"client_id": f"phone-{item}-{value}", "answered_at": now, **more}
    return checklists.answer(conn, world.lin, found.checklist_id, Entry(item, value=value, **wanted), now=now)


def photo(conn: Connection, world: World, ticket: Ticket, files: Files, colour: str = "red") -> attachments.Attachment:
    path, data = files.incoming(), kit.picture("PNG", colour=colour)
    path.write_bytes(data)
    received = Received(path, attachments.digest_of(path), sniff.look(data), None)
    made, _ = attachments.attach(
        conn, world.lin, ticket.ticket_id, files=files, received=received, name="p", audience=Audience.INTERNAL, now=NOW
    )
    return made


def test_an_order_gets_what_fits_at_the_revision_of_its_opening(conn: Connection, world: World) -> None:
    publish(conn)
    publish(conn, code="other-mode", scope=("motor", "misalignment", ""))
    publish(conn, code="other-kind", scope=("motor", "", "inspection"))
    publish(conn, code="gone", state="retired")
    first = motor_order(conn, world)
    codes = {each.template.code for each in checklist_store.of_ticket(conn, first.ticket_id)}
    assert codes == {"own"}
    assert publish(conn).revision == 1  # nothing differs
    assert publish(conn, items=LINES[:1]).revision == 2
    assert listed(conn, first).template.revision == 1
    second = order(conn, world, asset_id=world.motor, mode="misalignment")
    assert listed(conn, second).template.revision == 2
    assert listed(conn, second, "other-mode").template.revision == 1
    assert service.open(conn, world.requester, kind="request", title="x", asset_id=world.motor, now=NOW).created
    assert store.verify_site(conn) == {}


def test_no_order_is_done_while_mandatory_lines_are_open(conn: Connection, world: World) -> None:
    publish(conn)
    ticket = walk(conn, world.lin, motor_order(conn, world), "accepted", "arrived")
    with pytest.raises(ChecklistOpen, match=r"Guard is on \(no answer\); Bearing \(no answer\)") as caught:
        walk(conn, world.lin, ticket, "done")
    assert [each["field"] for each in caught.value.extra["errors"]] == ["guard", "heat"]
    assert "未填写" in caught.value.extra["sentence"]["zh"]
    say(conn, world, listed(conn, ticket), "guard", True)
    with pytest.raises(ChecklistOpen, match="Bearing"):
        walk(conn, world.lin, store.get(conn, ticket.ticket_id), "done")
    say(conn, world, listed(conn, ticket), "heat", 71.5)
    assert walk(conn, world.lin, store.get(conn, ticket.ticket_id), "done").status == "done"


def test_a_failed_line_opens_one_linked_ticket_and_wants_its_photo(
    conn: Connection, world: World, tmp_path: Any
) -> None:
    publish(conn)
    ticket = walk(conn, world.lin, motor_order(conn, world), "accepted", "arrived")
    say(conn, world, listed(conn, ticket), "guard", True)
    found = say(conn, world, listed(conn, ticket), "heat", 95)
    again = say(conn, world, found, "heat", 96, now=NOW + 2 * HOUR)
    assert found.follow_ups == again.follow_ups
    opened = store.get(conn, found.follow_ups["heat"])
    assert (opened.kind, opened.asset_id, opened.channel) == ("corrective", world.motor, "checklist")
    assert "95.0 °C" in opened.description
    assert ticket.ref in opened.description
    with pytest.raises(ChecklistOpen, match=r"Bearing \(no photo\)"):
        walk(conn, world.lin, store.get(conn, ticket.ticket_id), "done")
    picture = photo(conn, world, ticket, Files(tmp_path))
    say(conn, world, found, "heat", 97, photos=(picture.attachment_id,), now=NOW + 3 * HOUR)
    assert walk(conn, world.lin, store.get(conn, ticket.ticket_id), "done").status == "done"
    assert store.verify_site(conn) == {}


def test_a_photo_of_another_ticket_is_none(conn: Connection, world: World, tmp_path: Any) -> None:
    publish(conn)
    ticket, other = motor_order(conn, world), order(conn, world)
    strange = photo(conn, world, other, Files(tmp_path))
    with pytest.raises(InvalidFields, match="attached to this ticket"):
        say(conn, world, listed(conn, ticket), "heat", 90, photos=(strange.attachment_id,))


def test_answers_from_offline_are_kept_once_and_the_newest_by_device_time_counts(
    conn: Connection, world: World
) -> None:
    publish(conn)
    ticket = motor_order(conn, world)
    found = listed(conn, ticket)
    late = {"client_id": "phone-a-0001", "answered_at": NOW + 2 * MINUTE, "now": NOW + HOUR}
    early = {"client_id": "phone-a-0000", "answered_at": NOW + MINUTE, "now": NOW + 2 * HOUR}
    say(conn, world, found, "remark", "second", **late)
    before = store.get(conn, ticket.ticket_id)
    found = say(conn, world, found, "remark", "second", **late)
    assert store.get(conn, ticket.ticket_id) == before
    found = say(conn, world, found, "remark", "first", **early)
    assert found.answers["remark"].judged.value == "second"
    with pytest.raises(IdReused):
        say(conn, world, found, "guard", True, **late)
    future = {"client_id": "phone-a-0002", "answered_at": NOW + 900 * HOUR, "now": NOW + 3 * HOUR}
    assert say(conn, world, found, "remark", "third", **future).answers["remark"].answered_at == NOW + 3 * HOUR


def test_an_answer_is_taken_after_the_order_is_closed(conn: Connection, world: World) -> None:
    publish(conn, items=LINES[2:])
    ticket = motor_order(conn, world)
    closed = service.transition(
        conn, world.planner, ticket.ticket_id, to="cancelled", fields={"reason": "double"}, now=NOW + HOUR
    )
    assert say(conn, world, listed(conn, closed), "remark", "seen").answers["remark"].judged.outcome is Outcome.OK
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_shipped_checklists_follow_the_program_until_somebody_changes_them(conn: Connection, world: World) -> None:
    assert checklists.seed(conn, now=NOW) == 0  # seeded with the site
    shipped = checklist_store.newest(conn, "pump-round")
    assert shipped is not None
    assert (shipped.shipped, shipped.kind, shipped.revision) == (True, "inspection", 1)
    round_ = order(conn, world, kind="inspection", mode=None)
    assert listed(conn, round_, "pump-round").template.template_id == shipped.template_id
    publish(conn, code="pump-round", scope=shipped.scope)
    assert checklists.seed(conn, now=NOW) == 0
    changed = checklist_store.newest(conn, "pump-round")
    assert changed is not None
    assert (changed.shipped, changed.revision) == (False, 2)


def enter(conn: Connection, world: World, ticket: Ticket, **changes: Any) -> labour.Labour:
    wanted = {"engineer_id": world.lin_id, "began_at": NOW, "minutes": 90, "entry_id": "phone-w-01", "usual_rate": 40.0}
    actor = changes.pop("actor", world.lin)
    return labour.work(conn, actor, ticket.ticket_id, **{**wanted, "now": NOW + 3 * HOUR, **changes})


def test_work_costs_what_the_engineer_costs_and_is_entered_once(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    assert enter(conn, world, ticket).cost == 60.0
    assert enter(conn, world, ticket).cost == 60.0
    assert store.get(conn, ticket.ticket_id).cost == 60.0
    conn.execute("update engineers set hourly_rate = 60 where engineer_id = %s", (world.wang_id,))
    other = enter(conn, world, ticket, engineer_id=world.wang_id, entry_id="phone-w-02", actor=world.wang)
    assert (other.cost, store.get(conn, ticket.ticket_id).cost) == (90.0, 150.0)
    for _ in range(2):
        labour.void_work(conn, world.wang, other.labour_id, reason="not me", now=NOW + 4 * HOUR)
    assert store.get(conn, ticket.ticket_id).cost == 60.0
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_nobody_works_twice_at_a_time_nor_enters_for_others(conn: Connection, world: World) -> None:
    one, other = order(conn, world), motor_order(conn, world)
    first = enter(conn, world, one)
    with pytest.raises(Overlap, match=one.ref):
        enter(conn, world, other, entry_id="phone-w-03", began_at=NOW + HOUR)
    enter(conn, world, other, entry_id="phone-w-04", began_at=NOW + 90 * MINUTE)
    labour.void_work(conn, world.lin, first.labour_id, reason="wrong order", now=NOW + 4 * HOUR)
    enter(conn, world, other, entry_id="phone-w-05", began_at=NOW)
    with pytest.raises(NotAllowed):
        enter(conn, world, other, entry_id="phone-w-06", actor=world.wang)
    with pytest.raises(NotAllowed):
        labour.void_work(conn, world.wang, first.labour_id, reason="x", now=NOW)
    with pytest.raises(IdReused):
        enter(conn, world, one, entry_id="phone-w-04")
    with pytest.raises(InvalidFields, match="future"):
        enter(conn, world, one, entry_id="phone-w-07", began_at=NOW + 2 * HOUR)


def stood(conn: Connection, world: World, ticket: Ticket, start: int, end: int) -> labour.Downtime:
    span = {"began_at": NOW + start * HOUR, "ended_at": NOW + end * HOUR, "entry_id": f"phone-d-{start}-{end}"}
    return labour.stood(conn, world.wang, ticket.ticket_id, **span, now=NOW + 10 * HOUR)


def test_downtime_is_what_its_spans_cover_together(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    stood(conn, world, ticket, 0, 2)
    middle = stood(conn, world, ticket, 1, 4)
    stood(conn, world, ticket, 6, 7)
    stood(conn, world, ticket, 6, 7)
    assert store.get(conn, ticket.ticket_id).downtime_s == 5 * 3600
    labour.void_downtime(conn, world.wang, middle.downtime_id, reason="was running", now=NOW + 10 * HOUR)
    assert store.get(conn, ticket.ticket_id).downtime_s == 3 * 3600
    with pytest.raises(InvalidFields, match="ends after"):
        stood(conn, world, ticket, 3, 3)
    assert store.verify_chain(conn, ticket.ticket_id) == []


STROKES = "M1 1 L2 2 L3 3 L4 2 L5 1 M6 1 L7 2"


def sign(conn: Connection, world: World, ticket: Ticket, **changes: Any) -> signatures.Signature:
    wanted = {"purpose": Purpose.ACCEPTED, "name": "Shift lead", "strokes": STROKES, "entry_id": "phone-s-01"}
    wanted |= {"seen": ticket.head_hash, "signed_at": NOW + HOUR, "now": NOW + HOUR}
    return signatures.sign(conn, world.lin, ticket.ticket_id, **{**wanted, **changes})


def test_a_signature_stands_under_what_was_shown(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, order(conn, world), "accepted", "arrived", "done")
    made = sign(conn, world, ticket)
    assert sign(conn, world, ticket) == made
    assert (made.signed_seq, made.signed_hash) == (ticket.event_count, ticket.head_hash)
    assert signatures.problems(conn, made) == []
    event = store.timeline(conn, ticket.ticket_id)[-1]
    assert (event.kind, event.body["signed_hash"]) == ("signed", ticket.head_hash.hex())
    with pytest.raises(SignedAnother):
        sign(conn, world, ticket, seen=b"\1" * 32, entry_id="phone-s-02")
    for strokes in ("M1 1 L2 2", "<script>", "M1 1 L2 2 L3 3 L4 4 L5 5 Z", "M0 0 L1 1 L2 2 L3 3 L4 4 url(#x)"):
        with pytest.raises(InvalidFields):
            sign(conn, world, ticket, strokes=strokes, entry_id="phone-s-03")


def test_changed_strokes_are_noticed(database: Any, site: int, superuser: Connection) -> None:
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        ticket = order(conn, world)
        sign(conn, world, ticket)
    superuser.execute("update signatures set strokes = strokes || ' L9 9'")
    with database.tx(site_id=site) as conn:
        (found,) = signatures.of(conn, ticket.ticket_id)
        assert signatures.problems(conn, found) == ["The strokes of Shift lead are not those that were drawn."]
