"""The verbs on a real database: what they change, what they refuse, whom they tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from core.database import Database
from core.errors import Invalid, NotFound, Stale
from tests.integration import tickets_world
from tests.integration.tickets_world import DONE, HOUR, NOW, World, order, walk
from tickets import definitions, engineers, notify, service, store
from tickets.errors import (
    BadDeadline,
    IllegalTransition,
    InvalidFields,
    MissingFields,
    NotAllowed,
    NotYours,
    TicketClosed,
)
from tickets.hooks import Hooks, SecondCloseGuard, only
from tickets.model import SYSTEM, Actor, ActorKind, Audience, Step, Ticket, TicketKind


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[Hooks]:
    with only() as registered:
        yield registered


@dataclass
class Guard:
    """A close guard that remembers."""

    begun: list[tuple[int, str, datetime]] = field(default_factory=list)

    def begin(self, conn: Connection, ticket: Ticket, now: datetime) -> None:
        self.begun.append((ticket.ticket_id, ticket.status, now))


def kinds(conn: Connection, ticket: Ticket) -> list[str]:
    return [event.kind for event in store.timeline(conn, ticket.ticket_id)]


# -- open -------------------------------------------------------------------------------------------------------------


def test_an_order_is_opened_with_number_clocks_engineer_and_reasons(conn: Connection, world: World) -> None:
    opened = order(conn, world)
    assert (opened.ref, opened.status, opened.version) == ("WO-2026-000001", "assigned", 2)
    assert (opened.assignee_id, opened.assignee_name) == (world.lin_id, "Lin")
    assert opened.assignment_reasons[0]["en"] == "Skill “mechanical” at level 3 (expert)"
    assert opened.respond_by == NOW + 4 * HOUR
    assert opened.resolve_by is not None
    assert kinds(conn, opened) == ["opened", "assigned"]
    assert store.verify_chain(conn, opened.ticket_id) == []
    assert [notice.title["en"] for notice in notify.inbox(conn, world.lin.actor_id or 0)] == ["WO-2026-000001 is yours"]


def test_numbers_count_by_prefix_and_year(conn: Connection, world: World) -> None:
    incident = order(conn, world, kind="incident", asset_id=None, mode=None)
    request = order(conn, world, kind="request", asset_id=None, mode=None)
    first = order(conn, world)
    second = order(conn, world, mode="cavitation")
    later = order(conn, world, mode="seal_leak", now=NOW + timedelta(days=365))
    refs = [ticket.ref for ticket in (incident, request, first, second, later)]
    assert refs == ["INC-2026-000001", "REQ-2026-000001", "WO-2026-000001", "WO-2026-000002", "WO-2027-000001"]


def test_a_request_waits_for_a_planner(conn: Connection, world: World) -> None:
    asked = order(conn, world, kind="request")
    assert (asked.status, asked.assignee_id) == ("new", None)


def test_one_fault_has_one_open_order(conn: Connection, world: World) -> None:
    first = service.open(conn, world.detector, kind="preventive", title="A", asset_id=world.pump, mode="x", now=NOW)
    again = service.open(conn, world.detector, kind="corrective", title="B", asset_id=world.pump, mode="x", now=NOW)
    other = service.open(conn, world.detector, kind="preventive", title="C", asset_id=world.motor, mode="x", now=NOW)
    assert (first.created, again.created, other.created) == (True, False, True)
    assert again.ticket == first.ticket
    assert other.ticket.ref == "WO-2026-000002"


def test_what_a_person_reports_again_is_kept_on_the_open_order(conn: Connection, world: World) -> None:
    first = order(conn, world)
    said: dict[str, Any] = {
        "kind": "incident",
        "title": "It screams",
        "description": "Since noon",
        "asset_id": world.pump,
    }
    again = service.open(
        conn, world.requester, **said, mode="bearing_wear", requester_id=world.requester.actor_id, now=NOW
    )
    assert (again.created, again.ticket.ticket_id, again.ticket.version) == (False, first.ticket_id, first.version)
    event = store.timeline(conn, first.ticket_id)[-1]
    assert (event.kind, event.body["title"], event.body["description"]) == (
        "reported_again",
        "It screams",
        "Since noon",
    )


def test_a_new_order_may_follow_a_closed_one(conn: Connection, world: World) -> None:
    first = order(conn, world)
    cancelled = service.transition(
        conn, world.planner, first.ticket_id, to="cancelled", fields={"reason": "wrong machine"}, now=NOW
    )
    assert cancelled.closed_at == NOW
    assert order(conn, world).ticket_id != first.ticket_id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "  "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"title": "a\ud800"}, "title"),
        ({"priority": 0}, "priority"),
        ({"priority": True}, "priority"),
        ({"kind": "wish"}, "kind"),
        ({"mode": "bearing wear!"}, "mode"),
        ({"skill": "x" * 65}, "skill"),
        ({"fields": {"a": float("nan")}}, "fields"),
        ({"fields": {"a": "x" * 70_000}}, "fields"),
        ({"fields": [1]}, "fields"),
        ({"description": 5}, "description"),
    ],
)
def test_bad_input_is_refused_by_field(conn: Connection, world: World, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        order(conn, world, **changes)
    assert refused.value.extra["errors"][0]["field"] == field
    assert store.find(conn, store.Filter()).items == []


def test_ids_of_another_site_are_as_good_as_missing(database: Database, conn: Connection, world: World) -> None:
    with database.tx() as other:
        row = other.execute("insert into sites (code, name) values ('far', 'Far') returning site_id").fetchone()
        assert row
        elsewhere = int(row[0])
    with database.tx(site_id=elsewhere) as other:
        foreign_asset = tickets_world.asset(other, "P-9", "pump")
        foreign_user = tickets_world.user(other, "stranger")
    with pytest.raises(NotFound, match="no asset"):
        order(conn, world, asset_id=foreign_asset)
    with pytest.raises(NotFound, match="no user"):
        order(conn, world, requester_id=foreign_user)
    with pytest.raises(NotFound, match="no ticket"):
        store.get(conn, 999)


# -- assign -----------------------------------------------------------------------------------------------------------


def test_nobody_suitable_leaves_it_unassigned_with_a_reason_and_tells_the_planner(
    conn: Connection, world: World
) -> None:
    ticket = order(conn, world, skill="electrical")
    assert (ticket.status, ticket.assignee_id) == ("new", None)
    assert ticket.assignment_reasons[0]["zh"] == "没有具备“电气”技能的工程师。"
    notice = notify.inbox(conn, world.planner.actor_id or 0)[0]
    assert (notice.kind, notice.title["en"]) == ("unassigned", f"{ticket.ref} has nobody")
    engineers.create(conn, name="Elektra", skills={"electrical": 2}, user_id=None)
    given = service.assign(conn, world.planner, ticket.ticket_id, version=ticket.version, now=NOW)
    assert given.assignee_name == "Elektra"


def test_load_moves_the_next_order_to_the_other_engineer(conn: Connection, world: World) -> None:
    names = [order(conn, world, mode=f"m{n}").assignee_name for n in range(6)]
    assert names == ["Lin", "Lin", "Lin", "Lin", "Wang", "Lin"]


def test_a_planner_chooses_and_both_engineers_are_told(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    given = service.assign(
        conn, world.planner, ticket.ticket_id, assignee_id=world.wang_id, version=ticket.version, now=NOW
    )
    assert (given.assignee_name, given.status) == ("Wang", "assigned")
    assert given.assignment_reasons[0]["en"] == "Chosen by Pat"
    assert [notice.kind for notice in notify.inbox(conn, world.wang.actor_id or 0)] == ["assigned"]
    assert [notice.kind for notice in notify.inbox(conn, world.lin.actor_id or 0)] == ["withdrawn", "assigned"]
    same = service.assign(conn, world.planner, ticket.ticket_id, assignee_id=world.wang_id, version=None, now=NOW)
    assert same == given


def test_a_new_engineer_has_to_accept_again(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, order(conn, world), "accepted", "arrived")
    given = service.assign(conn, world.planner, ticket.ticket_id, assignee_id=world.wang_id, version=None, now=NOW)
    assert given.status == "assigned"
    assert given.responded_at == NOW  # somebody had responded in time; that stays true
    with pytest.raises(NotYours):
        service.transition(conn, world.lin, ticket.ticket_id, to="accepted", fields={}, now=NOW)


def test_on_hold_a_ticket_changes_hands_and_stays_on_hold(conn: Connection, world: World) -> None:
    held = walk(conn, world.lin, order(conn, world), "accepted", "arrived", "on_hold")
    given = service.assign(conn, world.planner, held.ticket_id, assignee_id=world.wang_id, version=None, now=NOW)
    assert (given.status, given.held_from, given.assignee_name) == ("on_hold", "assigned", "Wang")
    back = service.transition(conn, world.wang, held.ticket_id, to="assigned", fields={}, now=NOW)
    assert (back.status, back.held_from, back.hold_reason) == ("assigned", None, None)


def test_who_may_not_assign(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    for actor in (world.lin, world.requester, Actor(ActorKind.AGENT, 1, "copilot", "agent")):
        with pytest.raises(NotAllowed):
            service.assign(conn, actor, ticket.ticket_id, assignee_id=world.wang_id, version=None, now=NOW)
    with pytest.raises(NotFound):
        service.assign(conn, world.planner, ticket.ticket_id, assignee_id=777, version=None, now=NOW)
    done = walk(conn, world.lin, ticket, "accepted", "arrived", "done")
    with pytest.raises(IllegalTransition):
        service.assign(conn, world.planner, done.ticket_id, assignee_id=world.wang_id, version=None, now=NOW)


# -- transition -------------------------------------------------------------------------------------------------------


def test_the_whole_way_of_an_order_with_telemetry(conn: Connection, world: World) -> None:
    guard, closed = Guard(), []
    with only(close_guard=guard) as hooks:
        hooks.register_on_closed(lambda _conn, ticket, _now: closed.append((ticket.ref, ticket.status)))
        ticket = walk(conn, world.lin, order(conn, world), "accepted", "arrived", "done", now=NOW + HOUR)
        assert (ticket.status, ticket.verdict, ticket.done_at) == ("verifying", "confirmed", NOW + HOUR)
        assert guard.begun == [(ticket.ticket_id, "verifying", NOW + HOUR)]
        states = [event.body["to"] for event in store.timeline(conn, ticket.ticket_id) if event.kind == "transition"]
        assert states == ["accepted", "arrived", "done", "verifying"]
        with pytest.raises(NotAllowed):
            service.transition(conn, world.lin, ticket.ticket_id, to="closed", fields={}, now=NOW)
        again = service.transition(
            conn, SYSTEM, ticket.ticket_id, to="reopened", fields={"evidence": {"vibration": 4.2}}, now=NOW + 2 * HOUR
        )
        assert (again.done_at, again.verdict) == (None, "confirmed")
        assert [n.kind for n in notify.inbox(conn, world.planner.actor_id or 0)] == ["reopened"]
        ticket = walk(conn, world.lin, again, "arrived", "done", now=NOW + 3 * HOUR)
        ticket = service.transition(
            conn, SYSTEM, ticket.ticket_id, to="closed", fields={"evidence": {}}, now=NOW + 4 * HOUR
        )
    assert (ticket.status, ticket.closed_at, closed) == ("closed", NOW + 4 * HOUR, [(ticket.ref, "closed")])
    assert store.verify_chain(conn, ticket.ticket_id) == []
    assert store.timeline(conn, ticket.ticket_id)[-1].audience == "requester"


def test_without_telemetry_the_planner_closes(conn: Connection, world: World) -> None:
    with only(close_guard=Guard()):
        ticket = order(conn, world, mode=None)  # no failure mode: nothing to verify against
        done = walk(conn, world.lin, ticket, "accepted", "arrived", "done")
        assert done.status == "done"
        assert walk(conn, world.planner, done, "closed").status == "closed"


def test_a_sensor_fault_closes_itself(conn: Connection, world: World) -> None:
    ticket = order(conn, world, kind="sensor-fault", mode="sensor:vibration:stuck")
    closed = service.transition(conn, SYSTEM, ticket.ticket_id, to="closed", fields={"verdict": "sensor"}, now=NOW)
    assert (closed.status, closed.verdict) == ("closed", "sensor")


def test_an_error_of_a_hook_undoes_the_step(conn: Connection, world: World) -> None:
    class Broken(Exception):
        pass

    def fail(conn: Connection, before: Ticket, ticket: Ticket, now: datetime) -> None:
        raise Broken

    ticket = order(conn, world)
    with only() as hooks, pytest.raises(Broken), conn.transaction():
        hooks.register_on_transition(fail)
        walk(conn, world.lin, ticket, "accepted")
    assert store.get(conn, ticket.ticket_id) == ticket
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_there_is_one_close_guard_only() -> None:
    guard = Guard()
    with only() as hooks:
        hooks.register_close_guard(guard)
        hooks.register_close_guard(guard)
        with pytest.raises(SecondCloseGuard):
            hooks.register_close_guard(Guard([(1, "x", NOW)]))


def test_refusals_leave_no_trace(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    for actor, to, fields, error in (
        (world.lin, "done", DONE, IllegalTransition),
        (world.lin, "flying", {}, IllegalTransition),
        (world.lin, "assigned", {}, IllegalTransition),
        (world.wang, "accepted", {}, NotYours),
        (world.requester, "accepted", {}, NotAllowed),
        (world.lin, "on_hold", {}, MissingFields),
        (world.lin, "on_hold", {"reason": "x", "price": 3}, InvalidFields),
        (world.lin, "cancelled", {"reason": "no time"}, NotAllowed),
    ):
        with pytest.raises(error):
            service.transition(conn, actor, ticket.ticket_id, to=to, fields=fields, now=NOW)
    assert store.get(conn, ticket.ticket_id) == ticket


def test_a_stale_version_is_told_what_the_ticket_has_become(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    walk(conn, world.lin, ticket, "accepted")
    verbs: list[Callable[[], Ticket]] = [
        lambda: service.transition(conn, world.lin, ticket.ticket_id, to="arrived", version=ticket.version, now=NOW),
        lambda: service.patch(
            conn, world.planner, ticket.ticket_id, changes={"title": "x"}, version=ticket.version, now=NOW
        ),
        lambda: service.assign(conn, world.planner, ticket.ticket_id, version=ticket.version, now=NOW),
    ]
    for verb in verbs:
        with pytest.raises(Stale) as refused:
            verb()
        assert refused.value.extra["current"]["status"] == "accepted"
        assert refused.value.extra["current"]["version"] == ticket.version + 1


def test_a_row_that_changed_behind_the_caller_is_stale(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    walk(conn, world.lin, ticket, "accepted")
    with pytest.raises(Stale), conn.transaction():
        store.save(conn, ticket, world.planner, NOW, Step("edited", {"title": "lost update"}))
    assert store.verify_chain(conn, ticket.ticket_id) == []


# -- comment, evidence, deadline, patch -------------------------------------------------------------------------------


def test_a_comment_never_collides_with_a_step(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    said = service.comment(conn, world.wang, ticket.ticket_id, text=" 轴承在库 ", audience="internal", now=NOW)
    assert said.version == ticket.version
    assert store.timeline(conn, ticket.ticket_id)[-1].body == {"text": "轴承在库"}
    assert walk(conn, world.lin, ticket, "accepted").status == "accepted"  # with the version from before the comment
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_a_requester_speaks_on_their_own_ticket_and_reads_what_is_for_them(conn: Connection, world: World) -> None:
    mine = order(conn, world, kind="request", requester_id=world.requester.actor_id)
    service.comment(conn, world.planner, mine.ticket_id, text="Too dear?", audience="internal", now=NOW)
    service.comment(conn, world.requester, mine.ticket_id, text="Please", audience="requester", now=NOW)
    shown = store.timeline(conn, mine.ticket_id, audience=Audience.REQUESTER)
    assert [(event.kind, event.body.get("text")) for event in shown] == [("opened", None), ("comment", "Please")]
    other = order(conn, world, mode="seal_leak")
    with pytest.raises(NotAllowed):
        service.comment(conn, world.requester, other.ticket_id, text="Hi", audience="requester", now=NOW)
    with pytest.raises(NotAllowed):
        service.comment(conn, world.requester, mine.ticket_id, text="Hi", audience="internal", now=NOW)
    with pytest.raises(InvalidFields):
        service.comment(conn, world.planner, mine.ticket_id, text="Hi", audience="everybody", now=NOW)
    with pytest.raises(InvalidFields):
        service.comment(conn, world.planner, mine.ticket_id, text=" ", audience="internal", now=NOW)


def test_evidence_is_kept_as_it_was(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    body = {"sentence": {"en": "Vibration rises.", "zh": "振动上升。"}, "share": [0.7, 1e-07, 3.0, 1e22, -0.0]}
    service.note_evidence(conn, world.detector, ticket.ticket_id, kind="finding", body=body, now=NOW)
    event = store.timeline(conn, ticket.ticket_id)[-1]
    assert (event.kind, event.body["kind"], event.body["body"]["sentence"]) == ("evidence", "finding", body["sentence"])
    assert store.verify_chain(conn, ticket.ticket_id) == []
    with pytest.raises(InvalidFields):
        service.note_evidence(conn, world.detector, ticket.ticket_id, kind="x", body={"p": float("inf")}, now=NOW)


def test_what_telemetry_cannot_decide_is_told_to_the_planners(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    service.note_evidence(conn, SYSTEM, ticket.ticket_id, kind="needs_person", body={}, now=NOW)
    (notice,) = notify.inbox(conn, world.planner.actor_id or 0)
    assert (notice.kind, notice.title["zh"]) == ("needs_person", f"{ticket.ref}：请人工判断")


def test_a_planner_edits_and_the_engineer_only_their_part(conn: Connection, world: World) -> None:
    ticket = order(conn, world, fields={"hall": 3, "gate": "A"})
    edited = service.patch(
        conn,
        world.planner,
        ticket.ticket_id,
        changes={"title": " New ", "fields": {"gate": None, "crane": True}},
        version=ticket.version,
        now=NOW,
    )
    assert (edited.title, edited.fields, edited.version) == ("New", {"hall": 3, "crane": True}, ticket.version + 1)
    mine = service.patch(conn, world.lin, ticket.ticket_id, changes={"description": "Left side"}, version=None, now=NOW)
    assert mine.description == "Left side"
    same = service.patch(conn, world.planner, ticket.ticket_id, changes={"title": "New"}, version=None, now=NOW)
    assert same == mine
    for actor, changes, error in (
        (world.lin, {"priority": 1}, NotAllowed),
        (world.wang, {"description": "x"}, NotYours),
        (world.requester, {"title": "x"}, NotAllowed),
        (world.planner, {"status": "closed"}, InvalidFields),
        (world.planner, {"priority": 9}, InvalidFields),
    ):
        with pytest.raises(error):
            service.patch(conn, actor, ticket.ticket_id, changes=changes, version=None, now=NOW)
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_a_finished_ticket_is_not_edited_but_may_be_commented(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    service.transition(conn, world.planner, ticket.ticket_id, to="cancelled", fields={"reason": "x"}, now=NOW)
    with pytest.raises(TicketClosed):
        service.patch(conn, world.planner, ticket.ticket_id, changes={"title": "x"}, version=None, now=NOW)
    with pytest.raises(TicketClosed):
        service.move_deadline(
            conn, world.planner, ticket.ticket_id, resolve_by=NOW + HOUR, reason={"en": "", "zh": ""}, now=NOW
        )
    service.comment(conn, world.planner, ticket.ticket_id, text="It was the other pump.", audience="internal", now=NOW)
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_only_preventive_orders_move_with_a_forecast_and_never_into_the_past(conn: Connection, world: World) -> None:
    reason = {"en": "Wear is faster.", "zh": "磨损加快。"}
    repair = order(conn, world, kind="corrective")
    with pytest.raises(BadDeadline, match="only preventive"):
        service.move_deadline(conn, world.detector, repair.ticket_id, resolve_by=NOW + HOUR, reason=reason, now=NOW)
    ticket = order(conn, world, mode="cavitation", deadline=NOW + 72 * HOUR)
    assert ticket.resolve_by == NOW + 72 * HOUR
    for wrong in (NOW, NOW - HOUR, (NOW + HOUR).replace(tzinfo=None)):
        with pytest.raises(BadDeadline, match="future"):
            service.move_deadline(conn, world.detector, ticket.ticket_id, resolve_by=wrong, reason=reason, now=NOW)
    with pytest.raises(NotAllowed):
        service.move_deadline(conn, world.lin, ticket.ticket_id, resolve_by=NOW + HOUR, reason=reason, now=NOW)
    moved = service.move_deadline(
        conn, world.detector, ticket.ticket_id, resolve_by=NOW + 30 * HOUR, reason=reason, now=NOW
    )
    event = store.timeline(conn, ticket.ticket_id)[-1]
    assert moved.resolve_by == NOW + 30 * HOUR
    assert (event.kind, event.body["reason"]["zh"]) == ("deadline", "磨损加快。")
    done = walk(conn, world.lin, moved, "accepted", "arrived", "done")
    with pytest.raises(BadDeadline, match="done"):
        service.move_deadline(conn, SYSTEM, done.ticket_id, resolve_by=NOW + 9 * HOUR, reason=reason, now=NOW)


# -- definitions of a site --------------------------------------------------------------------------------------------


def test_a_site_publishes_its_own_life_cycle_for_tickets_to_come(conn: Connection, world: World) -> None:
    before = order(conn, world)
    shipped = definitions.builtin()[TicketKind.PREVENTIVE]
    definition = {
        "initial": "new",
        "states": {name: {"label": dict(state.label)} for name, state in shipped.states.items()},
        "transitions": [
            {
                "from": sorted(step.sources),
                "to": step.to,
                "label": dict(step.label),
                "roles": sorted(step.roles | {"engineer"}) if step.to == "cancelled" else sorted(step.roles),
                "guards": list(step.guards),
            }
            for step in shipped.transitions
        ],
    }
    definitions.publish(conn, TicketKind.PREVENTIVE, definition)
    second = definitions.publish(conn, TicketKind.PREVENTIVE, definition)
    after = order(conn, world, mode="cavitation")
    assert (before.lifecycle_id, after.lifecycle_id) == (None, second.lifecycle_id)
    assert service.transition(conn, world.lin, after.ticket_id, to="cancelled", now=NOW).status == "cancelled"
    with pytest.raises(NotAllowed):
        service.transition(conn, world.lin, before.ticket_id, to="cancelled", now=NOW)
    versions = conn.execute("select version, active from lifecycles order by version").fetchall()
    assert versions == [(1, False), (2, True)]


# -- lists ------------------------------------------------------------------------------------------------------------


def test_a_list_filters_and_pages_without_gaps(conn: Connection, world: World) -> None:
    opened = [order(conn, world, mode=f"m{n}", title=f"Order {n} 100%") for n in range(7)]
    walk(conn, world.lin, opened[0], "accepted")
    service.transition(conn, world.planner, opened[6].ticket_id, to="cancelled", fields={"reason": "x"}, now=NOW)
    seen: list[int] = []
    cursor = None
    while True:
        page = store.find(conn, store.Filter(which=store.Which.OPEN), limit=4, cursor=cursor)
        seen += [ticket.ticket_id for ticket in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == [ticket.ticket_id for ticket in reversed(opened[:6])]

    def found(**wanted: Any) -> list[str]:
        return [ticket.mode or "" for ticket in store.find(conn, store.Filter(**wanted)).items]

    assert found(statuses=("accepted",)) == ["m0"]
    assert found(which=store.Which.FINISHED) == ["m6"]
    assert found(kinds=("incident",)) == []
    assert found(asset_id=world.pump, mode="m3") == ["m3"]
    assert found(assignee_id=world.wang_id) == ["m6", "m4"]
    assert found(priority=2) == []
    assert found(q="order 2") == ["m2"]
    assert found(q="WO-2026-000005") == ["m4"]
    assert found(q="100%") == [f"m{n}" for n in range(6, -1, -1)]
    assert found(q="_rder") == []


@pytest.mark.parametrize("cursor", ["x", "!!!", "dA", "dC0x", "dDEuNQ", "ü", "dDk5OTk5OTk5OTk5OTk"])
def test_a_cursor_of_somebody_else_is_refused(conn: Connection, cursor: str) -> None:
    with pytest.raises(Invalid, match="cursor"):
        store.find(conn, store.Filter(), cursor=cursor)


def test_notices_are_read_by_their_owner_only(conn: Connection, world: World) -> None:
    order(conn, world)
    lin = world.lin.actor_id or 0
    (notice,) = notify.inbox(conn, lin, unread_only=True)
    with pytest.raises(NotFound):
        notify.mark_read(conn, world.wang.actor_id or 0, notice.notification_id, now=NOW)
    notify.mark_read(conn, lin, notice.notification_id, now=NOW)
    assert notify.inbox(conn, lin, unread_only=True) == []
    assert notify.inbox(conn, lin)[0].read_at == NOW
