"""Policies with conditions, three clocks, escalations, and steps that a phone made while it was offline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from core import clock, jobs
from core.database import Database
from tests.integration import tickets_world
from tests.integration.tickets_world import DONE, HOUR, NOW, World, order, walk
from tickets import clocks, notify, service, sla, store
from tickets.errors import InvalidFields
from tickets.hooks import only
from tickets.model import Ticket
from tickets.sla import ClockKind, State
from tickets.sla_policy import conditions, marks, pauses

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    with only():
        yield


def policy(conn: Connection, code: str, **columns: Any) -> None:
    """A policy around the clock, before all others."""
    row = {
        "name": code.title(),
        "position": 1,
        "kind": "*",
        "priority": None,
        "response_s": 1800,
        "update_s": None,
        "resolution_s": 28800,
        "conditions": {},
        "marks": [{"fraction": 0.8}, {"offset_s": 0}],
        "pauses": None,
        **columns,
    }
    conn.execute(
        """insert into sla_policies (code, name, position, kind, priority, calendar_id, response_s, update_s,
             resolution_s, conditions, marks, pauses)
           select %s, %s, %s, %s, %s, calendar_id, %s, %s, %s, %s, %s, %s
           from calendars where name = 'Around the clock'""",
        (
            *(code, row["name"], row["position"], row["kind"], row["priority"], row["response_s"], row["update_s"]),
            *(row["resolution_s"], Jsonb(row["conditions"]), Jsonb(row["marks"])),
            None if row["pauses"] is None else Jsonb(row["pauses"]),
        ),
    )


def asked(conn: Connection, world: World, **changes: Any) -> Ticket:
    """An order that somebody waits for."""
    return order(conn, world, requester_id=world.requester.actor_id, **changes)


def clock_of(conn: Connection, ticket: Ticket, kind: str) -> sla.Clock:
    return next(kept.clock for kept in clocks.of(conn, ticket.ticket_id) if kept.clock.kind == kind)


def told(conn: Connection, ticket: Ticket) -> list[tuple[str, str, str]]:
    events = store.timeline(conn, ticket.ticket_id)
    return [
        (each.kind, each.body["clock"], each.body.get("mark", ""))
        for each in events
        if each.kind.startswith("sla_") and each.kind != "sla_policy"
    ]


def inbox(conn: Connection, user_id: int | None) -> list[str]:
    kinds = [each.kind for each in notify.inbox(conn, user_id or 0)]
    return [kind for kind in reversed(kinds) if kind.startswith("sla_")]


# -- which policy, and why --------------------------------------------------------------------------------------------


def test_the_first_policy_in_order_whose_conditions_all_hold_counts_and_says_why(
    conn: Connection, world: World
) -> None:
    conn.execute("update assets set criticality = 5 where asset_id = %s", (world.pump,))
    policy(conn, "rare", position=1, conditions={"criticality": [5], "tags": ["vip"]}, response_s=60)
    policy(conn, "critical", position=2, conditions={"criticality": [4, 5]}, response_s=120)
    policy(conn, "later", position=3, response_s=180)
    critical = clock_of(conn, order(conn, world), "response")
    assert (critical.target, critical.terms.name) == (2 * MINUTE, "Critical")
    assert [each["en"] for each in critical.terms.why] == ["criticality 5"]
    other = clock_of(conn, order(conn, world, asset_id=world.motor), "response")
    assert (other.terms.name, other.terms.why[0]["en"]) == ("Later", "every ticket")


def test_areas_are_those_above_the_asset_and_teams_those_of_the_requester(conn: Connection, world: World) -> None:
    hall = tickets_world.asset(conn, "HALL-1", "")
    conn.execute("update assets set parent_id = %s where asset_id = %s", (hall, world.pump))
    team = conn.execute("insert into teams (name) values ('Paint shop') returning team_id").fetchone()
    assert team
    conn.execute("insert into team_members (team_id, user_id) values (%s, %s)", (team[0], world.requester.actor_id))
    policy(conn, "area", conditions={"areas": ["HALL-1"], "teams": ["Paint shop"]}, response_s=60)
    found = clock_of(conn, asked(conn, world), "response")
    assert [each["en"] for each in found.terms.why] == ["area HALL-1", "requester's team Paint shop"]
    assert clock_of(conn, order(conn, world, mode="x"), "response").terms.name != "Area"


def test_the_default_calendar_counts_where_a_policy_names_none(conn: Connection, world: World) -> None:
    policy(conn, "plain", response_s=8 * 3600)
    conn.execute("update sla_policies set calendar_id = null where code = 'plain'")
    assert order(conn, world).respond_by == NOW + 8 * HOUR  # office hours of a Monday: 9 to 17


@pytest.mark.parametrize(
    "row",
    [
        {"fraction": 0.5, "offset_s": 60},
        {},
        {"fraction": 0},
        {"fraction": True},
        {"offset_s": 1e9},
        {"fraction": 0.5, "whom": ["everybody"]},
        {"fraction": 0.5, "whom": ["role:king"]},
        {"fraction": 0.5, "do": "explode"},
        {"fraction": 0.5, "clock": "lunch"},
        {"fraction": 0.5, "colour": "red"},
        "80%",
    ],
)
def test_a_mark_that_makes_no_sense_is_refused(row: object) -> None:
    with pytest.raises(InvalidFields):
        marks([row])


def test_double_marks_and_unknown_conditions_and_clocks_are_refused() -> None:
    with pytest.raises(InvalidFields, match="two rows 80%"):
        marks([{"fraction": 0.8}, {"fraction": 0.8, "clock": "response"}])
    with pytest.raises(InvalidFields):
        conditions({"weather": ["rain"]})
    with pytest.raises(InvalidFields):
        conditions({"criticality": ["high"]})
    with pytest.raises(InvalidFields):
        pauses({"lunch": ["dinner"]})


# -- escalations ------------------------------------------------------------------------------------------------------


def test_each_mark_tells_its_people_once_before_and_after_the_breach(conn: Connection, world: World) -> None:
    manager = tickets_world.user(conn, "mona")
    conn.execute("insert into memberships values (%s, current_site(), 'manager')", (manager,))
    policy(
        conn,
        "loud",
        resolution_s=None,
        marks=[
            {"fraction": 0.5, "whom": ["assignee"]},
            {"offset_s": -300, "whom": ["assignee", "planners"]},
            {"offset_s": 0, "whom": ["planners"]},
            {"offset_s": 3600, "whom": ["role:manager"]},
        ],
    )
    ticket = order(conn, world)
    for minutes in (14, 15, 20, 25, 29, 30, 31, 89, 90, 300):
        clocks.ring(conn, NOW + minutes * MINUTE)
    assert told(conn, ticket) == [
        ("sla_warning", "response", "50%"),
        ("sla_warning", "response", "-300s"),
        ("sla_breached", "response", ""),
        ("sla_escalated", "response", "+3600s"),
    ]
    assert inbox(conn, world.lin.actor_id) == ["sla_warning", "sla_warning"]
    assert inbox(conn, world.planner.actor_id) == ["sla_warning", "sla_breached"]
    assert inbox(conn, manager) == ["sla_escalated"]


def test_escalations_reach_the_team_of_the_asset_and_planners_where_nobody_is_meant(
    conn: Connection, world: World
) -> None:
    hall = tickets_world.asset(conn, "HALL-1", "")
    conn.execute("update assets set parent_id = %s where asset_id = %s", (hall, world.pump))
    policy(conn, "team", resolution_s=None, marks=[{"fraction": 0.5, "whom": ["team"]}])
    order(conn, world)
    clocks.ring(conn, NOW + 20 * MINUTE)
    assert inbox(conn, world.planner.actor_id) == ["sla_warning"]  # nobody looks after the hall
    team = conn.execute("insert into teams (name) values ('Hall 1') returning team_id").fetchone()
    assert team
    conn.execute("insert into asset_teams (asset_id, team_id) values (%s, %s)", (hall, team[0]))
    conn.execute("insert into team_members (team_id, user_id) values (%s, %s)", (team[0], world.wang.actor_id))
    order(conn, world, mode="x")
    clocks.ring(conn, NOW + 20 * MINUTE)
    assert inbox(conn, world.wang.actor_id) == ["sla_warning"]


def test_an_escalation_raises_the_priority_or_gives_the_job_to_another(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        rows = [{"fraction": 0.5, "do": "raise_priority"}, {"fraction": 0.6, "do": "reassign"}, {"offset_s": 0}]
        policy(conn, "hard", marks=rows)
        ticket = order(conn, world)
        clocks.ring(conn, NOW + 20 * MINUTE)
        clocks.ring(conn, NOW + 21 * MINUTE)
        clock.set_clock(conn, plant_now=NOW + 21 * MINUTE, factor=1.0)
    assert jobs.run_due(database) == 2
    with database.tx(site_id=site) as conn:
        after = store.get(conn, ticket.ticket_id)
        assert (after.priority, after.assignee_id) == (2, world.wang_id)
        assert store.verify_chain(conn, ticket.ticket_id) == []


# -- the update clock -------------------------------------------------------------------------------------------------


def test_as_shipped_who_reports_something_ordinary_hears_of_it_every_two_working_days(
    conn: Connection, world: World
) -> None:
    shipped = asked(conn, world, kind="request", priority=3)
    assert clock_of(conn, shipped, "update").target == 18 * HOUR
    unasked = order(conn, world, kind="request", priority=3, mode="x")
    assert "update" not in {kept.clock.kind for kept in clocks.of(conn, unasked.ticket_id)}


def test_the_update_clock_runs_for_whoever_asked_and_restarts_with_each_word_to_them(
    conn: Connection, world: World
) -> None:
    policy(conn, "talk", response_s=None, resolution_s=None, update_s=3600)
    assert clocks.of(conn, order(conn, world, mode="x").ticket_id) == []  # nobody to tell
    ticket = asked(conn, world)
    clocks.ring(conn, NOW + 61 * MINUTE)
    assert told(conn, ticket) == [("sla_warning", "update", "80%"), ("sla_breached", "update", "")]
    for actor, audience, restarts in (
        (world.lin, "internal", False),
        (world.requester, "requester", False),
        (world.lin, "requester", True),
    ):
        before = clock_of(conn, ticket, "update").round
        service.comment(conn, actor, ticket.ticket_id, text="Hello", audience=audience, now=NOW + 70 * MINUTE)
        assert (clock_of(conn, ticket, "update").round > before) is restarts
    again = clock_of(conn, ticket, "update")
    assert (again.due_at, again.breaches, sla.state(again, NOW + 71 * MINUTE)) == (NOW + 130 * MINUTE, 1, State.RUNNING)
    walk(conn, world.lin, ticket, "accepted", now=NOW + 100 * MINUTE)
    assert clock_of(conn, ticket, "update").due_at == NOW + 160 * MINUTE
    clocks.ring(conn, NOW + 150 * MINUTE)
    assert told(conn, ticket).count(("sla_warning", "update", "80%")) == 2  # a new round warns anew
    done = walk(conn, world.lin, store.get(conn, ticket.ticket_id), "arrived", "done", now=NOW + 151 * MINUTE)
    assert clock_of(conn, done, "update").stopped_at is not None
    service.comment(conn, world.lin, ticket.ticket_id, text="Bye", audience="requester", now=NOW + 152 * MINUTE)
    assert clock_of(conn, done, "update").running_since is None


# -- pauses -----------------------------------------------------------------------------------------------------------


def test_a_policy_says_which_reasons_pause_which_clocks(conn: Connection, world: World) -> None:
    policy(conn, "strict", update_s=3600, pauses={"lunch": ["resolution"], "waiting_parts": ["update"]})
    ticket = walk(conn, world.lin, asked(conn, world), "accepted", now=NOW + 10 * MINUTE)
    hold = {"reason": "lunch"}
    held = service.transition(conn, world.lin, ticket.ticket_id, to="on_hold", fields=hold, now=NOW + 20 * MINUTE)
    resolution = clock_of(conn, held, "resolution")
    assert sla.state(resolution, NOW + 9 * HOUR) is State.PAUSED
    assert sla.used(resolution, NOW + 9 * HOUR) == 20 * MINUTE  # what was used stays used
    assert sla.state(clock_of(conn, held, "update"), NOW + 30 * MINUTE) is State.RUNNING
    back = walk(conn, world.lin, held, "accepted", now=NOW + 50 * MINUTE)
    assert back.resolve_by == NOW + 8 * HOUR + 30 * MINUTE
    waiting = walk(conn, world.lin, back, "on_hold", now=NOW + 51 * MINUTE)  # waiting_parts
    assert clock_of(conn, waiting, "resolution").running_since is not None
    assert sla.state(clock_of(conn, waiting, "update"), NOW + 99 * HOUR) is State.PAUSED


# -- offline ----------------------------------------------------------------------------------------------------------


def test_a_step_made_offline_counts_when_it_was_made_and_takes_back_the_breach(conn: Connection, world: World) -> None:
    ticket = order(conn, world, priority=1)  # respond in 30 minutes
    clocks.ring(conn, NOW + 40 * MINUTE)
    assert ("sla_breached", "response", "") in told(conn, ticket)
    made = NOW + 10 * MINUTE
    accepted = service.transition(conn, world.lin, ticket.ticket_id, to="accepted", at=made, now=NOW + HOUR)
    assert accepted.responded_at == made
    response = clock_of(conn, accepted, "response")
    assert (sla.state(response, NOW + HOUR), response.breaches) == (State.MET, 0)
    kinds = [each.kind for each in store.timeline(conn, ticket.ticket_id)]
    assert kinds[-2:] == ["sla_withdrawn", "transition"]  # said openly; the breach's own event stays
    assert store.timeline(conn, ticket.ticket_id)[-1].at == NOW + HOUR
    assert "sla_withdrawn" in inbox(conn, world.planner.actor_id)
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_a_step_made_too_late_offline_leaves_the_breach(conn: Connection, world: World) -> None:
    ticket = order(conn, world, priority=1)
    clocks.ring(conn, NOW + 40 * MINUTE)
    late = service.transition(conn, world.lin, ticket.ticket_id, to="accepted", at=NOW + 35 * MINUTE, now=NOW + HOUR)
    assert sla.state(clock_of(conn, late, "response"), NOW + HOUR) is State.BREACHED
    assert all(kind != "sla_withdrawn" for kind, *_ in told(conn, ticket))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (NOW + 5 * HOUR, "future"),
        (NOW - MINUTE, "before"),  # before it was assigned
        (NOW - timedelta(days=8), "old"),
        (NOW + 9 * MINUTE, "before"),  # before the step that came first
    ],
)
def test_a_device_time_that_cannot_be_true_counts_as_the_arrival_with_a_note(
    conn: Connection, world: World, given: datetime, why: str
) -> None:
    ticket = walk(conn, world.lin, order(conn, world), "accepted", now=NOW + 10 * MINUTE)
    arrived = service.transition(conn, world.lin, ticket.ticket_id, to="arrived", at=given, now=NOW + HOUR)
    body = store.timeline(conn, ticket.ticket_id)[-1].body
    assert body["device_doubt"]["why"] == why
    assert "device_at" not in body
    done = service.transition(
        conn, world.lin, arrived.ticket_id, to="done", fields=DONE, at=NOW + 90 * MINUTE, now=NOW + 2 * HOUR
    )
    assert done.done_at == NOW + 90 * MINUTE
    assert clock_of(conn, done, ClockKind.RESOLUTION).stopped_at == NOW + 90 * MINUTE


def test_clocks_that_are_hardly_apart_are_the_same(conn: Connection, world: World) -> None:
    accepted = service.transition(
        conn, world.lin, order(conn, world).ticket_id, to="accepted", at=NOW - MINUTE, now=NOW + MINUTE / 2
    )
    assert accepted.responded_at == NOW + MINUTE / 2
    assert not {"device_at", "device_doubt"} & store.timeline(conn, accepted.ticket_id)[-1].body.keys()


def test_a_word_said_offline_restarts_the_update_clock_when_it_was_said(conn: Connection, world: World) -> None:
    policy(conn, "talk", response_s=None, resolution_s=None, update_s=3600)
    ticket = asked(conn, world)
    clocks.ring(conn, NOW + 61 * MINUTE)
    said = NOW + 50 * MINUTE
    service.comment(
        conn, world.lin, ticket.ticket_id, text="Soon", audience="requester", at=said, now=NOW + 70 * MINUTE
    )
    update = clock_of(conn, ticket, "update")
    assert (update.due_at, update.breaches) == (said + HOUR, 0)
    assert ("sla_withdrawn", "update", "") in told(conn, ticket)
