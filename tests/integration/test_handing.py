"""From hand to hand: the pool, handing over, on call, absences, and what proven fixes weigh in routing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from psycopg import Connection

from core.database import Database
from tests.integration.tickets_world import HOUR, NOW, World, build, order, user, walk
from tickets import engineers, handing, store
from tickets.errors import AlreadyTaken, LacksSkill, NotAllowed, NotYours
from tickets.hooks import hooks
from tickets.model import Actor, ActorKind, Ticket, Verdict


def mode(conn: Connection, routing: str) -> None:
    conn.execute(
        """insert into dispatch_settings (routing) values (%s)
           on conflict (site_id) do update set routing = excluded.routing""",
        (routing,),
    )


def test_in_pool_mode_an_order_waits_for_whoever_takes_it(conn: Connection) -> None:
    world = build(conn)
    mode(conn, "pool")
    ticket = order(conn, world)
    assert (ticket.status, ticket.assignee_id) == ("new", None)
    assert "pool" in ticket.assignment_reasons[0]["en"]
    assert [each.ticket_id for each in handing.pool(conn, limit=10, cursor=None).items] == [ticket.ticket_id]
    taken = handing.grab(conn, world.wang, ticket.ticket_id, now=NOW)
    assert (taken.status, taken.assignee_id) == ("assigned", world.wang_id)
    assert len(taken.assignment_reasons) > 1
    with pytest.raises(AlreadyTaken):
        handing.grab(conn, world.lin, ticket.ticket_id, now=NOW)
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_in_push_mode_planners_are_told(conn: Connection) -> None:
    world = build(conn)
    mode(conn, "push")
    ticket = order(conn, world)
    assert ticket.assignee_id is None
    told = conn.execute("select count(*) from notifications where ticket_id = %s", (ticket.ticket_id,)).fetchone()
    assert told == (1,)


def test_only_who_can_takes_it(conn: Connection) -> None:
    world = build(conn)
    mode(conn, "pool")
    ticket = order(conn, world, skill="electrical")
    with pytest.raises(LacksSkill):
        handing.grab(conn, world.lin, ticket.ticket_id, now=NOW)
    with pytest.raises(NotAllowed):
        handing.grab(conn, world.planner, ticket.ticket_id, now=NOW)


def test_of_eight_who_grab_at_once_one_has_it(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        world = build(conn)
        mode(conn, "pool")
        people = []
        for number in range(8):
            ident = user(conn, f"e{number}")
            engineers.create(conn, name=f"E{number}", skills={"mechanical": 2}, user_id=ident)
            people.append(Actor(ActorKind.PERSON, ident, f"E{number}", "engineer"))
        ticket = order(conn, world)

    def grab(actor: Actor) -> bool:
        try:
            with database.tx(site_id=site) as conn:
                handing.grab(conn, actor, ticket.ticket_id, now=NOW)
        except AlreadyTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(grab, people)) == [False] * 7 + [True]


def test_handing_over_keeps_the_note_and_the_reasons(conn: Connection) -> None:
    world = build(conn)
    ticket = walk(conn, world.lin, order(conn, world), "accepted")
    with pytest.raises(NotYours):
        handing.hand_over(conn, world.wang, ticket.ticket_id, note="mine", now=NOW)
    given = handing.hand_over(conn, world.lin, ticket.ticket_id, note="Shift ends, seal half out.", now=NOW + HOUR)
    assert (given.status, given.assignee_id) == ("assigned", world.wang_id)
    assert "seal half out" in given.assignment_reasons[0]["en"]
    (how,) = conn.execute(
        "select body->>'how' from ticket_events where ticket_id = %s order by seq desc limit 1", (ticket.ticket_id,)
    ).fetchone() or ("",)
    assert how == "hand_over"
    assert store.verify_chain(conn, ticket.ticket_id) == []


def fixed(conn: Connection, world: World, ticket: Ticket) -> None:
    """As if telemetry had verified the repair."""
    closed = replace(ticket, status="closed", verdict=Verdict("confirmed"), assignee_id=world.wang_id)
    handing.on_transition(conn, replace(ticket, status="verifying"), closed, NOW)


def test_proven_fixes_of_this_mode_weigh_and_are_said(conn: Connection) -> None:
    world = build(conn)
    ticket = order(conn, world)
    assert ticket.assignee_id == world.lin_id  # the expert
    for _ in range(5):
        fixed(conn, world, ticket)
    ranking = engineers.suggest(
        conn, skill="mechanical", priority=3, asset_id=world.motor, mode="bearing_wear", now=NOW
    )
    assert ranking.best is not None
    assert ranking.best.engineer_id == world.wang_id
    assert "5 times" in " ".join(reason["en"] for reason in ranking.best.reasons)
    other = engineers.suggest(conn, skill="mechanical", priority=3, mode="imbalance", now=NOW)
    assert all("Fixed" not in reason["en"] for choice in other.choices for reason in choice.reasons)
    assert handing.proven(conn)[0]["fixes"] == 5


def test_only_what_telemetry_verified_is_proven(conn: Connection) -> None:
    world = build(conn)
    ticket = order(conn, world)
    closed = replace(ticket, status="closed", verdict=Verdict("confirmed"))
    handing.on_transition(conn, replace(ticket, status="done"), closed, NOW)
    unfound = replace(closed, verdict=Verdict("nothing_found"))
    handing.on_transition(conn, replace(ticket, status="verifying"), unfound, NOW)
    assert handing.proven(conn) == []


def test_who_is_away_waits_and_who_is_on_call_does_not(conn: Connection) -> None:
    world = build(conn)
    conn.execute(
        "insert into absences (engineer_id, begins, ends, kind) values (%s, %s, %s, 'sick')",
        (world.lin_id, NOW - HOUR, NOW + timedelta(days=2)),
    )
    assert order(conn, world).assignee_id == world.wang_id
    conn.execute(
        "insert into on_call (engineer_id, begins, ends) values (%s, %s, %s)", (world.wang_id, NOW, NOW + HOUR)
    )
    ranking = engineers.suggest(conn, skill="mechanical", priority=1, now=NOW)
    assert [choice.engineer_id for choice in ranking.choices] == [world.wang_id, world.lin_id]
    assert "On call" in [reason["en"] for reason in ranking.choices[0].reasons]
    assert any("Away" in reason["en"] for reason in ranking.choices[1].reasons)


def test_the_way_to_the_machine_is_in_the_reasons(conn: Connection) -> None:
    world = build(conn)
    conn.execute("insert into asset_places (asset_id, x_m, y_m) values (%s, 3000, 4000)", (world.pump,))
    conn.execute("update engineers set x_m = 3000, y_m = 4000 where engineer_id = %s", (world.wang_id,))
    ranking = engineers.suggest(conn, skill="mechanical", priority=3, asset_id=world.pump, now=NOW)
    by_id = {choice.engineer_id: " ".join(reason["en"] for reason in choice.reasons) for choice in ranking.choices}
    assert "5.0 km away" in by_id[world.lin_id]
    assert "0.0 km away" in by_id[world.wang_id]


def test_the_hook_is_wired() -> None:
    from api import up

    before = hooks.copy()
    try:
        up.wire()
        assert handing.on_transition in hooks.on_transition
    finally:
        hooks.become(before)
