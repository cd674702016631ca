"""Triage learns from the site's own closed tickets, alone from them, and begins anew when one of them was none."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import datetime, timedelta

import pytest
from psycopg import Connection

from api import ahead
from core import clock
from core.embedded import EmbeddedServer
from tests.api_world import API, cloned, living, problem, seeded
from tests.api_world import ticket as opened_ticket
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World, order
from tickets.model import Ticket
from tickets.rows import one
from tickets.triage import store
from tickets.triage.suggest import Suggestion, Target


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


def close(conn: Connection, text: str, *, engineer: int, skill: str, at: datetime, count: int = 15) -> None:
    """Tickets as they stand after the work, a minute apart."""
    for n in range(count):
        moment = at + timedelta(minutes=n)
        conn.execute(
            """insert into tickets (ref, kind, status, title, assignee_id, skill, priority, mode, verdict, opened_at,
                 closed_at) values (%s, 'incident', 'closed', %s, %s, %s, 2, 'leak', 'nothing_found', %s, %s)""",
            (f"T-{text}-{at:%d%H%M}-{n}", text, engineer, skill, moment, moment),
        )


def taught(conn: Connection, world: World) -> None:
    for week in (3, 2):
        at = NOW - timedelta(weeks=week)
        close(conn, "oil leaks at the seal", engineer=world.lin_id, skill="mechanical", at=at)
        close(conn, "no signal from the drive", engineer=world.wang_id, skill="electrical", at=at + timedelta(hours=1))


def asked(conn: Connection, ticket: Ticket, *, now: datetime = NOW) -> dict[Target, Suggestion]:
    return {each.target: each for each in store.suggest(conn, ticket, now=now)}


def test_closed_tickets_say_who_with_which_skill_and_how_urgent(conn: Connection, world: World) -> None:
    taught(conn, world)
    ticket = order(conn, world, kind="incident", title="Seal leaks oil again", mode=None)
    found = asked(conn, ticket)
    assert (found[Target.SKILL].answer, found[Target.PRIORITY].answer) == ("mechanical", "2")
    assert found[Target.ENGINEER].answer == str(world.lin_id)
    assert found[Target.ENGINEER].choices[0].reasons[0]["en"].startswith("The text says")
    assert found[Target.MODE].lessons == 0 and found[Target.MODE].choices == ()  # nobody found a fault
    conn.execute("update engineers set active = false where engineer_id = %s", (world.lin_id,))
    assert asked(conn, ticket)[Target.ENGINEER].choices[0].label == str(world.wang_id)
    assert asked(conn, ticket)[Target.ENGINEER].answer is None


def test_what_is_open_teaches_nothing(conn: Connection, world: World) -> None:
    taught(conn, world)
    conn.execute("update tickets set status = 'verifying', closed_at = null")
    ticket = order(conn, world, kind="incident", title="Seal leaks oil again")
    assert {each.lessons for each in asked(conn, ticket).values()} == {0}


def test_what_was_kept_says_the_same_as_what_is_learnt_anew(conn: Connection, world: World) -> None:
    ticket = order(conn, world, kind="incident", title="Seal leaks oil again")
    taught(conn, world)
    before = asked(conn, ticket)
    close(conn, "no oil at the seal", engineer=world.wang_id, skill="electrical", at=NOW)
    later = asked(conn, ticket)
    assert later[Target.SKILL].lessons == before[Target.SKILL].lessons + 15
    store._kept.clear()
    assert asked(conn, ticket) == later
    conn.execute("update tickets set status = 'reopened', closed_at = null where closed_at >= %s", (NOW,))
    assert asked(conn, ticket) == before


def test_a_new_week_learns_the_newest_anew(conn: Connection, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_LESSONS", 25)
    ticket = order(conn, world, kind="incident", title="Seal leaks oil again")
    taught(conn, world)
    assert asked(conn, ticket)[Target.SKILL].lessons == 25
    close(conn, "oil leaks at the seal", engineer=world.lin_id, skill="mechanical", at=NOW)
    assert asked(conn, ticket)[Target.SKILL].lessons == 40
    found = asked(conn, ticket, now=NOW + timedelta(weeks=1))[Target.SKILL]
    assert found.lessons == 25 and found.answer == "mechanical"


def test_triage_over_http(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("triage")) as running:
        world = seeded(running)
        path = f"{API}/tickets/{opened_ticket(world, title='oil leaks')['ticket_id']}/triage"
        found = world.as_("engineer").get(path).json()["suggestions"]
        assert [each["target"] for each in found] == ["engineer", "skill", "priority", "mode"]
        assert all(each["answer"] is None for each in found)
        assert problem(world.as_("requester").get(path))["code"] == "forbidden"
        assert world.as_("planner").get(f"{API}/tickets/999999/triage").status_code == 404


def test_what_is_taken_over_is_an_ordinary_change_and_a_mode_stays(
    server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("taken")) as api:
        made = opened_ticket(seeded(api), kind="incident", title="Seal leaks oil again")
        path, planner = f"{API}/tickets/{made['ticket_id']}", api.as_("planner")
        head = {"if-match": f'"{made["version"]}"'}
        taken = planner.patch(path, json={"skill": "mechanical", "mode": "leak"}, headers=head).json()
        assert (taken["skill"], taken["mode"]["code"]) == ("mechanical", "leak")
        head = {"if-match": f'"{taken["version"]}"'}
        refused = problem(planner.patch(path, json={"mode": "noise"}, headers=head))
        assert (refused["code"], refused["errors"][0]["field"]) == ("invalid_fields", "mode")
        assert api.as_("engineer").patch(path, json={"skill": "machining"}, headers=head).status_code in (403, 404)


def test_what_is_studied_ahead_is_what_a_question_would_learn(conn: Connection, world: World) -> None:
    taught(conn, world)
    close(conn, "no oil at the seal", engineer=world.wang_id, skill="electrical", at=NOW - timedelta(minutes=20))
    ticket = order(conn, world, kind="incident", title="Seal leaks oil again")
    learnt = asked(conn, ticket)
    assert store.course(conn, now=NOW) is None  # nothing is left to learn
    store._kept.clear()
    course = store.course(conn, now=NOW)
    assert course is not None
    store.study(course, pause=lambda _: True)
    assert store.course(conn, now=NOW) == course  # given up: nothing is kept
    took: list[float] = []
    store.study(course, pause=lambda took_s: bool(took.append(took_s)))
    assert len(took) == len(course.rows) == 75 and min(took) > 0
    (kept,) = store._kept.values()
    assert asked(conn, ticket) == learnt
    assert kept.count == 75
    store.study(course, pause=lambda _: False)
    assert list(store._kept.values()) == [kept]  # whoever learnt first stays


def test_the_api_learns_ahead_and_ends_at_once(
    server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "FIRST_S", 0.0)
    monkeypatch.setattr(store, "_kept", OrderedDict())
    with cloned(server) as database:
        with database.tx() as conn:
            (site_id,) = one(conn, "insert into sites (code, name) values ('a', 'a') returning site_id")
        with database.tx(site_id=site_id) as conn:
            taught(conn, tickets_world.build(conn))
        learning = ahead.Ahead(database, clock.load)
        learning.start()
        deadline = time.monotonic() + 20
        while not store._kept:
            assert time.monotonic() < deadline, "nothing is learnt"
            time.sleep(0.02)
        learning.end()
        assert not learning._thread.is_alive()
        assert [each.count for each in store._kept.values()] == [60]
