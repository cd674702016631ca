"""Requests that become orders, links, parents, merge and split, duplicates, watchers, approvals, costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from psycopg import Connection

from core.database import Database
from core.errors import Conflict, MillwrightError, NotFound
from tests.integration import tickets_world
from tests.integration.one_database import conn, shared
from tests.integration.tickets_world import NOW, World, order, walk
from tickets import (
    approvals,
    chain,
    conversion,
    costs,
    duplicates,
    fields,
    following,
    hooks,
    likeness,
    links,
    merging,
    notify,
    service,
    store,
    watchers,
)
from tickets.errors import (
    AlreadyDecided,
    ApprovalPending,
    CannotMerge,
    Cyclic,
    InvalidFields,
    NotAllowed,
    NotARequest,
    NotYours,
    OpenChildren,
    OwnApproval,
    TicketClosed,
)
from tickets.model import SYSTEM, Actor, ActorKind, Audience, Step, Ticket
from tickets.watchers import Why

__all__ = ["conn", "shared"]  # fixtures
LABEL = {"en": "Serial", "zh": "序列号"}


class Healthy:
    """Telemetry that waits for the test."""

    def begin(self, conn: Connection, ticket: Ticket, now: datetime) -> None:
        assert ticket.status == "verifying"


@pytest.fixture(autouse=True)
def followed() -> Iterator[None]:
    with hooks.only(close_guard=Healthy()) as registered:
        registered.register_on_transition(conversion.follow)
        yield


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


def report(conn: Connection, world: World, **more: Any) -> Ticket:
    wanted: dict[str, Any] = {
        "kind": "request", "title": "Pump leaks", "description": "A puddle under P-101.", "asset_id": world.pump,
        "mode": "seal_leak", "requester_id": world.requester.actor_id, "now": NOW,
    }  # fmt: skip
    return service.open(conn, world.requester, **{**wanted, **more}).ticket


def incident(conn: Connection, world: World, title: str = "Noise", **more: Any) -> Ticket:
    return service.open(conn, world.planner, kind="incident", title=title, now=NOW, **more).ticket


def sound(conn: Connection, *tickets: Ticket) -> None:
    for each in tickets:
        assert store.verify_chain(conn, each.ticket_id) == []


def kinds(conn: Connection, ticket: Ticket, audience: Audience | None = None) -> list[str]:
    return [each.kind for each in store.timeline(conn, ticket.ticket_id, audience=audience)]


def notices(conn: Connection, actor: Actor) -> list[str]:
    assert actor.actor_id is not None
    return [each.kind for each in notify.inbox(conn, actor.actor_id)]


# -- request → order --------------------------------------------------------------------------------------------------


def test_a_request_becomes_an_order_and_nothing_is_lost(conn: Connection, world: World) -> None:
    fields.define(conn, key="serial", label=LABEL, type="text", audience="requester")
    fields.define(conn, key="floor", label=LABEL, type="text", audience="requester", kinds=["request"])
    request = report(conn, world, fields={"serial": "A-1", "floor": "2"})
    service.comment(conn, world.requester, request.ticket_id, text="It is getting worse", audience="requester", now=NOW)
    service.comment(conn, world.planner, request.ticket_id, text="Ask @wang", audience="internal", now=NOW)
    marks = {"safety": True, "tags": ("oil",)}
    service.record(conn, world.planner, request.ticket_id, kind="marked", details={}, changes=marks, now=NOW)
    opened = conversion.convert(conn, world.planner, request.ticket_id, reason="needed", now=NOW)
    made, asked = opened.ticket, store.get(conn, request.ticket_id)
    assert opened.created and made.kind == "corrective" and asked.status == "approved"
    for name in ("title", "description", "asset_id", "requester_id", "priority", "channel"):
        assert getattr(made, name) == getattr(request, name), name
    assert (made.mode, asked.mode) == ("seal_leak", None)  # one fault, one open ticket
    assert (made.fields, made.safety, made.tags) == ({"serial": "A-1"}, True, ("oil",))
    events = store.timeline(conn, made.ticket_id)
    assert next(e.body["fields"] for e in events if e.kind == "taken_over") == {"floor": "2"}
    said = [(e.body["text"], e.body["origin"]["by"], e.audience) for e in events if e.kind == "comment"]
    assert said == [("It is getting worse", "Rita", "requester"), ("Ask @wang", "Pat", "internal")]
    assert [each.why for each in watchers.of(conn, made.ticket_id)] == [Why.CONVERTED]
    assert [(each.how, each.ref) for each in links.of(conn, made.ticket_id)] == [("converted_from", request.ref)]
    assert [(each.how, each.ref) for each in links.of(conn, request.ticket_id)] == [("converted_to", made.ref)]
    again = conversion.convert(conn, world.planner, request.ticket_id, now=NOW)
    assert (again.created, again.ticket.ticket_id) == (False, made.ticket_id)
    sound(conn, made, asked)


def test_the_request_follows_its_order_to_the_end(conn: Connection, world: World) -> None:
    request = report(conn, world)
    made = conversion.convert(conn, world.planner, request.ticket_id, now=NOW).ticket
    made = service.assign(conn, world.planner, made.ticket_id, assignee_id=world.lin_id, now=NOW)
    made = walk(conn, world.lin, made, "accepted", "arrived", "on_hold", "arrived", "done")
    made = service.transition(conn, SYSTEM, made.ticket_id, to="closed", now=NOW)
    public = store.timeline(conn, request.ticket_id, audience=Audience.REQUESTER)
    told = [each.body["state"] for each in public if each.kind == "order_moved"]
    assert told == ["in_work", "waiting", "in_work", "checked", "closed"]
    assert store.get(conn, request.ticket_id).status == "closed" and "closed" in notices(conn, world.requester)
    sound(conn, made, request)


def test_a_cancelled_order_ends_the_request_with_a_reason(conn: Connection, world: World) -> None:
    request = report(conn, world)
    made = conversion.convert(conn, world.planner, request.ticket_id, now=NOW).ticket
    service.transition(conn, world.planner, made.ticket_id, to="cancelled", fields={"reason": "scrapped"}, now=NOW)
    ended = store.get(conn, request.ticket_id)
    assert ended.status == "cancelled"
    assert made.ref in store.timeline(conn, ended.ticket_id)[-1].body["reason"]


def test_a_request_is_declined_with_a_reason_that_the_requester_reads(conn: Connection, world: World) -> None:
    request = report(conn, world)
    with pytest.raises(InvalidFields):
        conversion.decline(conn, world.planner, request.ticket_id, reason=" ", now=NOW)
    with pytest.raises(NotAllowed):
        conversion.decline(conn, world.lin, request.ticket_id, reason="no", now=NOW)
    declined = conversion.decline(conn, world.planner, request.ticket_id, reason="Is a puddle of rain", now=NOW)
    last = store.timeline(conn, declined.ticket_id, audience=Audience.REQUESTER)[-1]
    assert (declined.status, last.body["reason"]) == ("cancelled", "Is a puddle of rain")
    with pytest.raises(NotARequest):
        conversion.convert(conn, world.planner, request.ticket_id, now=NOW)


def test_only_a_planner_converts_only_a_request_and_a_failure_leaves_nothing(conn: Connection, world: World) -> None:
    request, other = report(conn, world), order(conn, world)
    for actor in (world.requester, world.lin, Actor(ActorKind.AGENT, 1, "Bot", "agent")):
        with pytest.raises(NotAllowed):
            conversion.convert(conn, actor, request.ticket_id, now=NOW)
    with pytest.raises(NotARequest):
        conversion.convert(conn, world.planner, other.ticket_id, now=NOW)
    with pytest.raises(InvalidFields):
        conversion.convert(conn, world.planner, request.ticket_id, kind="request", now=NOW)
    assert store.get(conn, request.ticket_id) == request


# -- approvals --------------------------------------------------------------------------------------------------------


def test_what_waits_for_an_approval_goes_no_further_whoever_asks(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    boss = Actor(ActorKind.PERSON, tickets_world.user(conn, "boss"), "Bo", "manager")
    query = "insert into memberships (user_id, site_id, role) values (%s, current_site(), 'manager')"
    conn.execute(query, (boss.actor_id,))
    why = {"en": "It costs more than 1000", "zh": "费用超过1000"}
    asked = approvals.demand(conn, ticket.ticket_id, why, role="manager", key="rule:7", now=NOW)
    assert approvals.demand(conn, ticket.ticket_id, why, role="manager", key="rule:7", now=NOW) == asked
    assert notices(conn, boss) == ["approval"] and approvals.waiting(conn, boss) == [asked]
    for actor in (world.lin, world.planner):
        with pytest.raises(ApprovalPending, match=r"costs more than 1000.*manager decides"):
            service.transition(conn, actor, ticket.ticket_id, to="accepted", now=NOW)
    for actor in (world.planner, world.lin, SYSTEM, Actor(ActorKind.AGENT, boss.actor_id, "Bot", "manager")):
        with pytest.raises(NotAllowed):
            approvals.decide(conn, actor, asked.approval_id, state="approved", now=NOW)
    with pytest.raises(InvalidFields):
        approvals.decide(conn, boss, asked.approval_id, state="declined", now=NOW)
    approvals.decide(conn, boss, asked.approval_id, state="declined", reason="Too dear", now=NOW)
    with pytest.raises(ApprovalPending, match="Too dear"):
        service.transition(conn, world.lin, ticket.ticket_id, to="accepted", now=NOW)
    with pytest.raises(AlreadyDecided):
        approvals.decide(conn, boss, asked.approval_id, state="approved", now=NOW)
    approvals.ask_again(conn, world.planner, asked.approval_id, now=NOW)
    approvals.decide(conn, boss, asked.approval_id, state="approved", reason="Well then", now=NOW)
    assert service.transition(conn, world.lin, ticket.ticket_id, to="accepted", now=NOW).status == "accepted"
    assert approvals.demand(conn, ticket.ticket_id, why, role="manager", key="rule:7", now=NOW).state == "approved"
    sound(conn, ticket)


def test_nobody_approves_what_they_asked_for_or_made_necessary(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    boss = Actor(ActorKind.PERSON, tickets_world.user(conn, "boss"), "Bo", "planner")
    query = "insert into memberships (user_id, site_id, role) values (%s, current_site(), 'planner')"
    conn.execute(query, (boss.actor_id,))
    asked = approvals.demand(conn, ticket.ticket_id, "Dear", role="planner", actor=world.planner, now=NOW)
    assert asked.asked_by == (world.planner.actor_id,) and notices(conn, boss) == ["approval"]
    assert approvals.waiting(conn, world.planner) == [] and notices(conn, world.planner) == []
    with pytest.raises(OwnApproval, match="somebody else gives it"):
        approvals.decide(conn, world.planner, asked.approval_id, state="approved", now=NOW)
    approvals.decide(conn, world.planner, asked.approval_id, state="declined", reason="Not so", now=NOW)
    approvals.ask_again(conn, boss, asked.approval_id, now=NOW)
    for actor in (boss, world.planner):  # both have asked by now
        with pytest.raises(OwnApproval):
            approvals.decide(conn, actor, asked.approval_id, state="approved", now=NOW)
    alone: dict[str, Any] = {"role": "planner", "own": "allowed"}
    single = approvals.demand(conn, ticket.ticket_id, "One person", **alone, actor=world.planner, now=NOW)
    given = approvals.decide(conn, world.planner, single.approval_id, state="approved", now=NOW)
    assert given.state == "approved"
    sound(conn, ticket)


def test_not_even_the_database_lets_it_pass(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    approvals.demand(conn, ticket.ticket_id, "why", role="manager", now=NOW)
    with pytest.raises(psycopg.errors.CheckViolation), conn.transaction():
        store.save(conn, store.get(conn, ticket.ticket_id), SYSTEM, NOW, Step("forged", {"status": "done"}))
    request = report(conn, world)
    approvals.demand(conn, request.ticket_id, "why", user_id=world.lin.actor_id, now=NOW)
    for actor, whom in ((world.planner, world.lin_id), (SYSTEM, None)):
        with pytest.raises(ApprovalPending):
            service.assign(conn, actor, request.ticket_id, assignee_id=whom, now=NOW)
    with pytest.raises(ApprovalPending):
        conversion.convert(conn, world.planner, request.ticket_id, now=NOW)
    assert conversion.decline(conn, world.planner, request.ticket_id, reason="no", now=NOW).status == "cancelled"


def test_telemetry_is_not_stopped_and_the_order_closes_with_the_approval(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, order(conn, world), "accepted", "arrived", "done")
    asked = approvals.demand(conn, ticket.ticket_id, "dear", user_id=world.wang.actor_id, now=NOW)
    found = {"evidence": {"vibration": 1.0}}
    kept = service.transition(conn, SYSTEM, ticket.ticket_id, to="closed", fields=found, now=NOW)
    assert kept.status == "verifying"
    approvals.decide(conn, world.wang, asked.approval_id, state="approved", now=NOW)
    closed = store.get(conn, ticket.ticket_id)
    assert closed.status == "closed"
    assert store.timeline(conn, ticket.ticket_id)[-1].body["evidence"] == {"vibration": 1}
    sound(conn, closed)


# -- links, parents ---------------------------------------------------------------------------------------------------


def test_links_are_seen_from_both_sides_and_taken_away(conn: Connection, world: World) -> None:
    one, other = incident(conn, world, "One"), incident(conn, world, "Other")
    links.link(conn, world.planner, one.ticket_id, kind="blocks", to_id=other.ticket_id, now=NOW)
    links.link(conn, world.planner, other.ticket_id, kind="relates", to_id=one.ticket_id, now=NOW)
    links.link(conn, world.planner, one.ticket_id, kind="relates", to_id=other.ticket_id, now=NOW)  # stands already
    assert [each.how for each in links.of(conn, one.ticket_id)] == ["blocks", "relates"]
    assert sorted(each.how for each in links.of(conn, other.ticket_id)) == ["blocked_by", "relates"]
    assert links.blockers(conn, other.ticket_id) == [one.ticket_id]
    found = links.of(conn, one.ticket_id)[0]
    assert found.link_id is not None
    links.unlink(conn, world.planner, other.ticket_id, found.link_id, now=NOW)
    assert links.blockers(conn, other.ticket_id) == []
    with pytest.raises(NotFound):
        links.unlink(conn, world.planner, one.ticket_id, found.link_id, now=NOW)
    assert kinds(conn, other).count("linked") == 2 and kinds(conn, other).count("unlinked") == 1
    sound(conn, one, other)


def test_a_circle_is_refused_by_name(conn: Connection, world: World) -> None:
    a, b, c = (incident(conn, world, title) for title in "abc")
    links.set_parent(conn, world.planner, b.ticket_id, parent_id=a.ticket_id, now=NOW)
    links.set_parent(conn, world.planner, c.ticket_id, parent_id=b.ticket_id, now=NOW)
    before = [store.get(conn, each.ticket_id) for each in (a, b, c)]
    with pytest.raises(Cyclic, match=f"{c.ref} is part of {b.ref} is part of {a.ref}"):
        links.set_parent(conn, world.planner, a.ticket_id, parent_id=c.ticket_id, now=NOW)
    with pytest.raises(Cyclic):
        links.set_parent(conn, world.planner, a.ticket_id, parent_id=a.ticket_id, now=NOW)
    assert [store.get(conn, each.ticket_id) for each in (a, b, c)] == before
    links.link(conn, world.planner, a.ticket_id, kind="blocks", to_id=b.ticket_id, now=NOW)
    links.link(conn, world.planner, b.ticket_id, kind="blocks", to_id=c.ticket_id, now=NOW)
    with pytest.raises(Cyclic, match=f"{a.ref} blocks {b.ref} blocks {c.ref}"):
        links.link(conn, world.planner, c.ticket_id, kind="blocks", to_id=a.ticket_id, now=NOW)
    for wrong in ("converted_from", "likes"):
        with pytest.raises(InvalidFields):
            links.link(conn, world.planner, a.ticket_id, kind=wrong, to_id=c.ticket_id, now=NOW)
    with pytest.raises(Cyclic):
        links.link(conn, world.planner, a.ticket_id, kind="relates", to_id=a.ticket_id, now=NOW)


def test_a_parent_is_finished_after_its_parts(conn: Connection, world: World) -> None:
    parent = order(conn, world)
    part = incident(conn, world)
    links.set_parent(conn, world.planner, part.ticket_id, parent_id=parent.ticket_id, now=NOW)
    parent = walk(conn, world.lin, store.get(conn, parent.ticket_id), "accepted", "arrived")
    with pytest.raises(OpenChildren, match=part.ref):
        walk(conn, world.lin, parent, "done")
    service.transition(conn, world.planner, part.ticket_id, to="cancelled", fields={"reason": "x"}, now=NOW)
    done = walk(conn, world.lin, parent, "done")
    assert done.status == "verifying"
    late = incident(conn, world)
    with pytest.raises(Conflict, match="send it back"):
        links.set_parent(conn, world.planner, late.ticket_id, parent_id=parent.ticket_id, now=NOW)
    closed = service.transition(conn, SYSTEM, parent.ticket_id, to="closed", now=NOW)
    with pytest.raises(TicketClosed):
        links.set_parent(conn, world.planner, late.ticket_id, parent_id=closed.ticket_id, now=NOW)
    assert links.set_parent(conn, world.planner, part.ticket_id, parent_id=None, now=NOW).parent_id is None
    sound(conn, closed, part)


# -- merge, split, duplicates -----------------------------------------------------------------------------------------


def test_a_merge_moves_everything_and_points_on(conn: Connection, world: World) -> None:
    keep, drop = incident(conn, world, "Noise at pump"), report(conn, world, mode=None)
    third, part = incident(conn, world, "Third"), incident(conn, world, "Part")
    service.comment(conn, world.requester, drop.ticket_id, text="Louder now", audience="requester", now=NOW)
    following.follow(conn, world.lin, drop.ticket_id, user_id=world.lin.actor_id or 0, now=NOW)
    links.link(conn, world.planner, drop.ticket_id, kind="caused_by", to_id=third.ticket_id, now=NOW)
    links.link(conn, world.planner, drop.ticket_id, kind="relates", to_id=keep.ticket_id, now=NOW)
    links.set_parent(conn, world.planner, part.ticket_id, parent_id=drop.ticket_id, now=NOW)
    into = merging.merge(conn, world.planner, drop.ticket_id, into_id=keep.ticket_id, now=NOW)
    gone = store.get(conn, drop.ticket_id)
    assert (gone.status, gone.merged_into) == ("cancelled", keep.ticket_id)
    assert merging.standing(conn, gone).ticket_id == into.ticket_id
    texts = [each.body.get("text") for each in store.timeline(conn, keep.ticket_id) if each.kind == "comment"]
    assert texts == ["Louder now"]
    taken = next(each.body for each in store.timeline(conn, keep.ticket_id) if each.kind == "taken_over")
    assert (taken["ref"], taken["description"]) == (drop.ref, drop.description)
    assert {each.user_id for each in watchers.of(conn, keep.ticket_id)} == {world.lin.actor_id, drop.requester_id}
    near = {(each.how, each.ref) for each in links.of(conn, keep.ticket_id)}
    assert near == {("caused_by", third.ref), ("part", part.ref), ("duplicated_by", drop.ref)}
    assert merging.merge(conn, world.planner, drop.ticket_id, into_id=keep.ticket_id, now=NOW) == into  # once
    with pytest.raises(CannotMerge, match=f"merge into {keep.ref}"):
        merging.merge(conn, world.planner, third.ticket_id, into_id=drop.ticket_id, now=NOW)
    with pytest.raises(CannotMerge):
        merging.merge(conn, world.planner, keep.ticket_id, into_id=keep.ticket_id, now=NOW)
    with pytest.raises(NotAllowed):
        merging.merge(conn, world.lin, third.ticket_id, into_id=keep.ticket_id, now=NOW)
    sound(conn, into, gone, third, part)


def test_a_split_takes_chosen_words_along(conn: Connection, world: World) -> None:
    ticket = incident(conn, world, "Noise and leak", asset_id=world.pump)
    said = service.comment(conn, world.lin, ticket.ticket_id, text="The seal drips", audience="internal", now=NOW)
    opened = merging.split(
        conn, world.planner, ticket.ticket_id, seqs=[said.event_count], title="Seal drips", kind="corrective", now=NOW
    ).ticket
    assert "Lin" in opened.description and "The seal drips" in opened.description and opened.asset_id == world.pump
    assert [each.how for each in links.of(conn, opened.ticket_id)] == ["split_from"]
    for wrong in ([], [99], [2, 999]):
        with pytest.raises(InvalidFields):
            merging.split(conn, world.planner, ticket.ticket_id, seqs=wrong, title="x", now=NOW)
    sound(conn, ticket, opened)


@pytest.mark.parametrize(
    ("query", "alike", "other"),
    [
        ("pump makes loud noise", "Strange noise at the pumps", "Conveyor belt torn"),
        ("水泵异响，振动大", "泵振动偏大有异响", "传送带撕裂"),
        ("P-101 leaking oil at the seal", "Oil leak, seal of P-101", "Door of hall 2 does not close"),
        ("电机过热停机", "电机温度过高，自动停机", "照明灯不亮"),
    ],
)
def test_alike_is_what_sounds_alike_in_both_languages(query: str, alike: str, other: str) -> None:
    near, far = likeness.scores(query, [alike, other])
    assert near > 0.2 and near > 3 * far
    assert likeness.scores(query, [query])[0] == pytest.approx(1) and likeness.scores("", [query]) == [0.0]


def test_a_duplicate_is_offered_on_the_machine_its_parts_and_its_line(conn: Connection, world: World) -> None:
    seal = tickets_world.asset(conn, "P-101-S", "seal")
    conn.execute("update assets set parent_id = %s, level = 'component' where asset_id = %s", (world.pump, seal))
    there = incident(conn, world, "水泵漏油", asset_id=world.pump, description="密封处滴油")
    part = incident(conn, world, "Seal drips oil", asset_id=seal)
    incident(conn, world, "Motor hums", asset_id=world.motor)
    incident(conn, world, "Pump hums", asset_id=world.pump)

    def offered(text: str, asset_id: int | None) -> list[str]:
        return [each.ref for each in duplicates.offer(conn, text=text, asset_id=asset_id, now=NOW)]

    assert offered("密封漏油", seal) == [there.ref]
    assert offered("oil drips from the seal", world.pump) == [part.ref]
    assert offered("oil drips from the seal", None) == [part.ref]
    assert offered("oil drips from the seal", world.motor) == []
    service.transition(conn, world.planner, part.ticket_id, to="cancelled", fields={"reason": "x"}, now=NOW)
    assert offered("oil drips from the seal", world.pump) == [part.ref]  # closed just now: it may not have helped
    with pytest.raises(TicketClosed):
        duplicates.join(conn, world.requester, part.ticket_id, title="Again", now=NOW)
    joined = duplicates.join(conn, world.requester, there.ticket_id, title="也漏", text="地上有油", now=NOW)
    assert watchers.follows(conn, joined.ticket_id, world.requester.actor_id or 0)
    assert kinds(conn, joined, Audience.REQUESTER)[-1] == "reported_again"


def test_duplicates_are_found_within_a_second_among_thousands() -> None:
    texts = [f"Ticket {n}: pump {n % 97} makes noise {n % 13}, bearing hot, 振动大 {n}" * 3 for n in range(2500)]
    begun = time.perf_counter()
    likeness.scores("pump 5 makes a loud noise and is hot 振动", texts)
    assert time.perf_counter() - begun < 5  # measured 0.2 s; the bound leaves room for a busy machine


# -- watchers, costs --------------------------------------------------------------------------------------------------


def test_who_is_named_hears_of_it_and_follows(conn: Connection, world: World) -> None:
    ticket = report(conn, world)
    say = "Please look, @wang and @requester (not x@lin or @nobody)."
    service.comment(conn, world.planner, ticket.ticket_id, text=say, audience="internal", now=NOW)
    assert notices(conn, world.wang) == ["mentioned"] and notices(conn, world.lin) == []
    assert notices(conn, world.requester) == []  # an internal comment is not for requesters
    service.comment(conn, world.planner, ticket.ticket_id, text="We come on Monday", audience="requester", now=NOW)
    assert notices(conn, world.wang) == ["commented", "mentioned"] and notices(conn, world.requester) == ["commented"]
    service.transition(conn, world.planner, ticket.ticket_id, to="approved", now=NOW)
    assert notices(conn, world.wang)[0] == "moved" and "moved" not in notices(conn, world.planner)
    following.unfollow(conn, world.wang, ticket.ticket_id, user_id=world.wang.actor_id or 0, now=NOW)
    service.comment(conn, world.planner, ticket.ticket_id, text="Tuesday", audience="requester", now=NOW)
    assert len(notices(conn, world.wang)) == 3
    with pytest.raises(NotAllowed):
        following.follow(conn, world.lin, ticket.ticket_id, user_id=world.wang.actor_id or 0, now=NOW)
    with pytest.raises(NotFound):
        following.follow(conn, world.planner, ticket.ticket_id, user_id=999_999, now=NOW)
    sound(conn, ticket)


def test_costs_add_up(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    costs.add(conn, world.lin, ticket.ticket_id, kind="contractor", amount=1200.5, note="Crane", now=NOW)
    costs.add(conn, world.planner, ticket.ticket_id, kind="travel", amount=0.1, now=NOW)
    ticket = costs.add(conn, world.planner, ticket.ticket_id, kind="contractor", amount=-200.5, note="Credit", now=NOW)
    assert ticket.cost == 1000.1 and [each.amount for each in costs.of(conn, ticket.ticket_id)] == [1200.5, 0.1, -200.5]
    wrong: list[dict[str, Any]] = [
        {"kind": "wine", "amount": 1}, {"kind": "other", "amount": 0}, {"kind": "other", "amount": -2000},
        {"kind": "other", "amount": float("nan")}, {"kind": "other", "amount": 1e9}, {"kind": "other", "amount": True},
        {"kind": "other", "amount": 1, "note": "=HYPERLINK(1)"},
    ]  # fmt: skip
    for given in wrong:
        with pytest.raises(InvalidFields):
            costs.add(conn, world.planner, ticket.ticket_id, now=NOW, **given)
    with pytest.raises(NotYours):
        costs.add(conn, world.wang, ticket.ticket_id, kind="other", amount=1, now=NOW)
    with pytest.raises(NotAllowed):
        costs.add(conn, world.requester, ticket.ticket_id, kind="other", amount=1, now=NOW)
    assert store.get(conn, ticket.ticket_id).cost == 1000.1
    sound(conn, ticket)


# -- any sequence of these verbs --------------------------------------------------------------------------------------


class Family(RuleBasedStateMachine):
    """Drives a handful of tickets by the verbs of this file; whatever is refused leaves nothing behind."""

    conn: Connection
    world: World
    pick = st.integers(0, 6)

    def __init__(self) -> None:
        super().__init__()
        self.undo = self.conn.transaction(force_rollback=True)
        self.undo.__enter__()

    def teardown(self) -> None:
        self.undo.__exit__(None, None, None)

    @initialize()
    def open(self) -> None:
        self.ids = [report(self.conn, self.world, mode=f"m{n}", title=f"Leak {n}").ticket_id for n in range(4)]

    def at(self, number: int) -> int:
        return self.ids[number % len(self.ids)]

    def attempt(self, verb: Any, *args: Any, **given: Any) -> Any:
        before = [(store.get(self.conn, each)) for each in self.ids]
        try:
            with self.conn.transaction():
                return verb(self.conn, self.world.planner, *args, **given, now=NOW)
        except MillwrightError as refused:
            assert refused.message
            assert [store.get(self.conn, each) for each in self.ids] == before
        return None

    @rule(n=pick, m=pick, kind=st.sampled_from(["relates", "blocks", "caused_by", "converted_from"]))
    def link(self, n: int, m: int, kind: str) -> None:
        self.attempt(links.link, self.at(n), kind=kind, to_id=self.at(m))

    @rule(n=pick, m=st.none() | pick)
    def parent(self, n: int, m: int | None) -> None:
        self.attempt(links.set_parent, self.at(n), parent_id=None if m is None else self.at(m))

    @rule(n=pick, m=pick)
    def merge(self, n: int, m: int) -> None:
        self.attempt(merging.merge, self.at(n), into_id=self.at(m))

    @rule(n=pick)
    def convert(self, n: int) -> None:
        opened = self.attempt(conversion.convert, self.at(n))
        if opened is not None and opened.created:
            self.ids.append(opened.ticket.ticket_id)

    @rule(n=pick, to=st.sampled_from(["approved", "cancelled", "accepted", "done"]))
    def move(self, n: int, to: str) -> None:
        given = {"reason": "x", "note": "x", "verdict": "nothing_found"}
        self.attempt(service.transition, self.at(n), to=to, fields=given)

    @rule(n=pick, amount=st.sampled_from([5, -3, 0.1]))
    def cost(self, n: int, amount: float) -> None:
        self.attempt(costs.add, self.at(n), kind="other", amount=amount)

    @rule(n=pick, text=st.sampled_from(["@wang", "hello"]), audience=st.sampled_from(["internal", "requester"]))
    def say(self, n: int, text: str, audience: str) -> None:
        self.attempt(service.comment, self.at(n), text=text, audience=audience)

    @rule(n=pick, a=st.none() | st.floats(-1e6, 1e6))
    def edit(self, n: int, a: float | None) -> None:
        self.attempt(service.patch, self.at(n), changes={"fields": {"a": a}})

    @invariant()
    def every_timeline_is_its_row(self) -> None:
        for each in self.ids:
            row, events = store.get(self.conn, each), store.timeline(self.conn, each)
            assert chain.replay(events) == chain.row_of(row)
            assert list(chain.problems(row, events)) == []

    @invariant()
    def no_ticket_is_part_of_itself(self) -> None:
        parents = {each: store.get(self.conn, each).parent_id for each in self.ids}
        for each in self.ids:
            seen, at = {each}, parents[each]
            while at is not None:
                assert at not in seen
                seen.add(at)
                at = parents.get(at)


def test_any_sequence_keeps_every_timeline_whole(conn: Connection, world: World) -> None:
    run_state_machine_as_test(
        type("Bound", (Family,), {"conn": conn, "world": world}),
        settings=settings(
            max_examples=8,
            stateful_step_count=15,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_at_last_eight_callers_at_once_convert_once(shared: tuple[Database, int]) -> None:
    """It commits, so it stands after the tests that share its database."""
    database, site_id = shared
    with database.tx(site_id=site_id) as conn:
        world = tickets_world.build(conn)
        request = report(conn, world)

    def convert(_: int) -> tuple[int, bool]:
        with database.tx(site_id=site_id) as conn:
            opened = conversion.convert(conn, world.planner, request.ticket_id, now=NOW)
            return opened.ticket.ticket_id, opened.created

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(convert, range(8)))
    assert len({ident for ident, _ in answers}) == 1 and sum(created for _, created in answers) == 1
    with database.tx(site_id=site_id) as conn:
        assert len(store.find(conn, store.Filter()).items) == 2 and store.verify_site(conn) == {}
