"""Rules at work: they act in the transaction of what they follow, know their cause, and always end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

import tickets.rules.jobs  # noqa: F401 - registers the handlers
from core import jobs
from core.database import Database
from tests.integration.tickets_world import NOW, World, build, order
from tickets import fields, notify, service, store
from tickets.hooks import only
from tickets.model import Actor, ActorKind, Ticket
from tickets.rules import endless, engine, runs
from tickets.rules import service as rules
from tickets.rules.errors import BadRule, RuleWithoutEnd
from tickets.rules.model import Form
from tickets.rules.runs import Outcome

MANAGER = Actor(ActorKind.PERSON, None, "Mia", "manager")


@pytest.fixture
def world(conn: Connection) -> Iterator[World]:
    built = build(conn)
    with only(on_event=engine.on_event):
        yield built


def enabled(conn: Connection, code: str, definition: dict[str, Any], form: Form = Form.RULE) -> int:
    kept = rules.make(conn, MANAGER, code=code, form=form, definition=definition, now=NOW)
    rules.enable(conn, MANAGER, kept.rule_id, now=NOW)
    return kept.rule_id


def rule(*kinds: str, then: list[dict[str, Any]], if_: str | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"when": {"on": list(kinds)}, "then": then, **more}
    return found if if_ is None else {**found, "if": if_}


def outcomes(conn: Connection, rule_id: int) -> list[Outcome]:
    return [run.outcome for run in reversed(runs.listed(conn, rule_id=rule_id))]


def incident(conn: Connection, world: World, **changes: Any) -> Ticket:
    wanted: dict[str, Any] = {"kind": "incident", "title": "Oil on the floor", "now": NOW}
    return service.open(conn, world.planner, **{**wanted, **changes}).ticket


def test_a_rule_sets_the_skill_and_names_the_mode_where_none_was(conn: Connection, world: World) -> None:
    then = [{"do": "set", "values": {"skill": "electrical", "mode": "oil_leak"}}]
    rule_id = enabled(conn, "name", rule("opened", then=then))
    bare, named = incident(conn, world), incident(conn, world, mode="noise")
    assert (bare.skill, bare.mode) == ("electrical", "oil_leak")
    assert (named.skill, named.mode) == (None, "noise")  # all of the action or nothing
    assert outcomes(conn, rule_id) == [Outcome.DONE, Outcome.FAILED]


def test_a_rule_acts_in_the_same_verb_and_its_cause_is_kept(conn: Connection, world: World) -> None:
    definition = rule("opened", if_="ticket.kind == 'incident' && asset.class == 'pump'", then=[
        {"do": "set", "values": {"priority": 1}}, {"do": "comment", "text": "Look at {asset.code} first."},
        {"do": "tag", "add": ["urgent"]},
    ])  # fmt: skip
    rule_id = enabled(conn, "pump-first", definition)
    ticket = incident(conn, world, asset_id=world.pump)
    assert (ticket.priority, ticket.tags) == (1, ("urgent",))
    events = store.timeline(conn, ticket.ticket_id)
    mine = [event for event in events if event.actor.kind is ActorKind.RULE]
    assert [event.kind for event in mine] == ["edited", "comment", "tagged"]
    assert {event.actor.name for event in mine} == {"pump-first"}
    assert all(event.body["cause"] == {"root": f"{ticket.ref}#1", "rules": [rule_id]} for event in mine)
    assert mine[1].body["text"] == "Look at P-101 first."
    assert outcomes(conn, rule_id) == [Outcome.DONE]
    other = incident(conn, world, asset_id=world.motor)
    assert (other.priority, other.tags) == (3, ())
    assert store.verify_chain(conn, ticket.ticket_id) == []


def test_a_refused_action_leaves_nothing_of_its_list_and_never_fails_the_verb(conn: Connection, world: World) -> None:
    definition = rule("opened", then=[
        {"do": "set", "values": {"priority": 1}}, {"do": "assign", "engineer": "Nobody"},
        {"do": "tag", "add": ["never"]},
    ])  # fmt: skip
    broken = enabled(conn, "a-broken", definition)
    told = enabled(conn, "b-listener", rule("edited", then=[{"do": "tag", "add": ["edited"]}]))
    ticket = incident(conn, world)
    assert (ticket.priority, ticket.tags) == (3, ())
    (run,) = runs.listed(conn, rule_id=broken)
    assert run.outcome is Outcome.FAILED
    assert "assign" in run.sentence
    assert "Nobody" in run.sentence
    assert runs.listed(conn, rule_id=told) == []  # what was undone was told to nobody


def test_an_expression_that_fails_is_a_line_in_the_log(conn: Connection, world: World) -> None:
    rule_id = enabled(conn, "missing", rule("opened", if_="fields.hall == 'A'", then=[{"do": "tag", "add": ["x"]}]))
    assert incident(conn, world).tags == ()
    (run,) = runs.listed(conn, rule_id=rule_id)
    assert run.outcome is Outcome.ERROR
    assert "has(fields.hall)" in run.sentence
    incident(conn, world)
    assert len(runs.listed(conn, rule_id=rule_id)) == 1  # a flood of the same is one line a minute


def test_a_drafted_disabled_or_changed_rule_is_in_force_at_once(conn: Connection, world: World) -> None:
    kept = rules.make(
        conn, MANAGER, code="t", form=Form.RULE, definition=rule("opened", then=[{"do": "tag", "add": ["a"]}]), now=NOW
    )
    assert incident(conn, world).tags == ()
    rules.enable(conn, MANAGER, kept.rule_id, now=NOW)
    assert incident(conn, world).tags == ("a",)
    rules.edit(
        conn, MANAGER, kept.rule_id, definition=rule("opened", then=[{"do": "tag", "add": ["b"]}]), version=1, now=NOW
    )
    assert incident(conn, world).tags == ("b",)
    rules.disable(conn, MANAGER, kept.rule_id, now=NOW)
    assert incident(conn, world).tags == ()


def test_people_are_told_once_and_approvals_are_asked(conn: Connection, world: World) -> None:
    enabled(conn, "tell", rule("opened", then=[
        {"do": "notify", "to": ["planners", "user:lin"],
         "text": {"en": "Mind {ticket.ref}", "zh": "注意 {ticket.ref}"}},
    ]))  # fmt: skip
    ticket = incident(conn, world)
    assert world.lin.actor_id is not None
    (notice,) = [n for n in notify.inbox(conn, world.lin.actor_id) if n.kind == "rule"]
    assert f"Mind {ticket.ref}" in notice.body["en"]


def test_another_ticket_is_opened_and_linked(conn: Connection, world: World) -> None:
    enabled(conn, "follow", rule("opened", if_="ticket.kind == 'incident'", then=[
        {"do": "create", "kind": "inspection", "title": "Check {asset.code}", "link": "caused_by", "priority": 4},
    ]))  # fmt: skip
    incident(conn, world, asset_id=world.pump)
    (made,) = [t for t in store.find(conn, store.Filter()).items if t.kind == "inspection"]
    assert (made.title, made.priority, made.channel, made.asset_id) == ("Check P-101", 4, "rule", world.pump)


# -- ends -------------------------------------------------------------------------------------------------------------


def test_a_rule_runs_once_for_a_ticket_in_a_chain(conn: Connection, world: World) -> None:
    fields.define(conn, key="pieces", label={"en": "Pieces", "zh": "件"}, type="integer")
    up = [{"do": "set", "values": {"fields": {"pieces": {"cel": "fields.pieces + 1"}}}}]
    rule_id = enabled(conn, "up", rule("edited", if_="has(fields.pieces)", then=up))
    ticket = incident(conn, world, fields={"pieces": 1})
    edited = service.patch(conn, world.planner, ticket.ticket_id, changes={"priority": 2}, now=NOW)
    assert edited.fields["pieces"] == 2
    assert outcomes(conn, rule_id) == [Outcome.DONE, Outcome.REPEATED]


def test_two_rules_that_wake_each_other_end(conn: Connection, world: World) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        enabled(conn, one, rule("tagged", "opened", then=[
            {"do": "tag", "add": [one], "remove": [other]}, {"do": "comment", "text": one},
        ]))  # fmt: skip
    ticket = incident(conn, world)
    assert len(store.timeline(conn, ticket.ticket_id)) < 20


def test_a_rule_without_end_is_refused_when_it_is_written(conn: Connection, world: World) -> None:
    create = {"do": "create", "kind": "incident", "title": "Again"}
    with pytest.raises(RuleWithoutEnd, match="loop → loop"):
        enabled(conn, "loop", rule("opened", then=[create]))
    with pytest.raises(RuleWithoutEnd):
        enabled(conn, "loop", rule("opened", if_="ticket.kind == 'incident'", then=[create]))
    enabled(conn, "no-loop", rule("opened", if_="ticket.channel != 'rule'", then=[create]))
    first = {"do": "create", "kind": "inspection", "title": "1"}
    enabled(conn, "first", rule("opened", if_="ticket.kind == 'request'", then=[first]))
    with pytest.raises(RuleWithoutEnd, match="second → first → second"):
        second = {"do": "create", "kind": "request", "title": "2"}
        enabled(conn, "second", rule("opened", if_="ticket.kind == 'inspection'", then=[second]))


def test_a_rule_without_end_that_nobody_could_foresee_is_stopped_and_named(
    conn: Connection, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = _manager(conn)
    monkeypatch.setattr(endless, "refuse", lambda _: None)  # as if it had not been foreseen
    create = {"do": "create", "kind": "incident", "title": "Again {ticket.title}", "asset": "none"}
    rule_id = enabled(conn, "loop", rule("opened", then=[create], limits={"per_minute": 1000}))
    first = incident(conn, world)
    assert outcomes(conn, rule_id) == [Outcome.DONE] * 10 + [Outcome.ENDLESS]
    assert rules.store.get(conn, rule_id).status == "stopped"
    assert "loop → loop" in rules.store.get(conn, rule_id).stopped_why
    assert {run.root for run in runs.listed(conn, rule_id=rule_id)} == {f"{first.ref}#1"}
    assert any(n.kind == "rule" and "stopped" in n.title["en"] for n in notify.inbox(conn, manager))
    before = len(store.find(conn, store.Filter(), limit=200).items)
    incident(conn, world)
    assert len(store.find(conn, store.Filter(), limit=200).items) == before + 1


def test_a_rule_beside_a_circle_stays_enabled(conn: Connection, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endless, "refuse", lambda _: None)
    create = {"do": "create", "kind": "incident", "title": "Again {ticket.title}", "asset": "none"}
    tag = {"do": "tag", "add": ["seen"]}
    beside = enabled(conn, "beside", rule("opened", then=[tag], limits={"per_minute": 1000}))
    circle = enabled(conn, "circle", rule("opened", then=[create], limits={"per_minute": 1000}))
    incident(conn, world)
    assert rules.store.get(conn, circle).status == "stopped"
    assert rules.store.get(conn, beside).status == "enabled"
    assert sorted(outcomes(conn, beside)) == sorted([Outcome.DONE] * 10 + [Outcome.ENDLESS])


@pytest.mark.parametrize("seed", range(4))
def test_any_set_of_rules_ends(conn: Connection, world: World, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Random rules that wake each other: bounded depth, once a ticket and chain, and timelines that hold."""
    monkeypatch.setattr(endless, "refuse", lambda _: None)
    chance = random.Random(seed)
    for n in range(12):
        on = chance.sample(["opened", "edited", "tagged", "comment", "*"], 2)
        then = [chance.choice(DEEDS)(n) for _ in range(chance.randint(1, 2))]
        enabled(conn, f"r{n}", rule(*on, then=then, limits={"per_minute": 6}))
    ticket = incident(conn, world)
    seen = runs.listed(conn, limit=10_000)
    assert 0 < len(seen) < 12 * 20
    assert max(run.depth for run in seen) <= 10
    done = [(run.rule_id, run.ticket_id) for run in seen if run.outcome is Outcome.DONE and run.depth == 0]
    assert done
    for event in store.timeline(conn, ticket.ticket_id):
        assert len(event.body.get("cause", {"rules": []})["rules"]) <= 11
    assert store.verify_site(conn) == {}


DEEDS: list[Callable[[int], dict[str, Any]]] = [
    lambda n: {"do": "tag", "add": [f"t{n}"], "remove": [f"t{n - 1}", f"t{n + 1}"]},
    lambda n: {"do": "comment", "text": f"{n}"},
    lambda n: {"do": "set", "values": {"priority": n % 5 + 1}},
    lambda n: {"do": "create", "kind": "incident", "title": f"{n}", "asset": "none"},
]


def test_a_rule_keeps_its_limits(conn: Connection, world: World) -> None:
    limits = {"per_minute": 3}
    rule_id = enabled(conn, "often", rule("opened", then=[{"do": "tag", "add": ["x"]}], limits=limits))
    tagged = [bool(incident(conn, world).tags) for _ in range(5)]
    assert tagged == [True, True, True, False, False]
    assert outcomes(conn, rule_id) == [Outcome.DONE] * 3 + [Outcome.LIMITED]
    assert incident(conn, world, now=NOW + timedelta(minutes=2)).tags == ("x",)


# -- later ------------------------------------------------------------------------------------------------------------


def test_what_is_scheduled_happens_only_if_it_still_holds(database: Database, site: int) -> None:
    steps = [
        {"do": "tag", "add": ["late"]},
        {"do": "schedule", "after": "1h", "then": [{"do": "tag", "add": ["very"]}]},
    ]
    definition = {"when": {"on": ["opened"], "after": "30m"}, "if": "ticket.status == 'new'", "then": steps}
    with only(on_event=engine.on_event):
        with database.tx(site_id=site) as conn:
            world = build(conn)
            rule_id = enabled(conn, "late", definition)
            waits, moves = (incident(conn, world, kind="request") for _ in range(2))
            timers = dict(conn.execute("select ticket_id, timer_id from rule_timers").fetchall())
            service.transition(conn, world.planner, moves.ticket_id, to="cancelled", fields={"reason": "no"}, now=NOW)
            engine.ring(conn, timers[waits.ticket_id], NOW + timedelta(minutes=29))
            assert store.get(conn, waits.ticket_id).tags == ()  # too early
        with database.tx(site_id=site) as conn:
            engine.tick(conn, NOW + timedelta(minutes=31))
            assert store.get(conn, waits.ticket_id).tags == ("late",)
            assert store.get(conn, moves.ticket_id).tags == ()
            engine.tick(conn, NOW + timedelta(minutes=32))
            engine.tick(conn, NOW + timedelta(minutes=92))
            assert store.get(conn, waits.ticket_id).tags == ("late", "very")
            states = conn.execute("select state, why from rule_timers order by timer_id").fetchall()
            assert [state for state, _ in states] == ["done", "cancelled", "done"]
            assert outcomes(conn, rule_id) == [Outcome.WAITING] * 2 + [Outcome.DONE] * 2
        assert jobs.run_due(database) >= 0  # the timers' own jobs find nothing left to do


def test_a_rule_runs_by_the_clock(conn: Connection, world: World) -> None:
    definition = {"when": {"every": "1h"}, "if": "now - ticket.opened_at > duration('2h')", "then": [
        {"do": "tag", "add": ["old"]},
    ]}  # fmt: skip
    rule_id = enabled(conn, "hourly", definition)
    ticket = order(conn, world)
    engine.tick(conn, NOW + timedelta(hours=1))
    assert store.get(conn, ticket.ticket_id).tags == ()
    engine.tick(conn, NOW + timedelta(hours=1, minutes=30))  # not yet again
    engine.tick(conn, NOW + timedelta(hours=3))
    assert store.get(conn, ticket.ticket_id).tags == ("old",)
    assert outcomes(conn, rule_id) == [Outcome.DONE]


def test_a_bad_definition_is_refused_with_a_sentence(conn: Connection, world: World) -> None:
    tag = [{"do": "tag", "add": ["x"]}]
    bad: list[tuple[dict[str, Any], str]] = [
        ({"when": {"on": ["opened"]}, "then": []}, "1 to 20 actions"),
        ({"when": {"on": ["opened"]}, "then": [{"do": "fly"}]}, "one of set"),
        ({"when": {"on": []}, "then": tag}, "kinds of events"),
        ({"when": {"every": "5s"}, "then": tag}, "a minute at least"),
        ({"when": {"every": "yes"}, "then": tag}, "length of time"),
        ({"when": {"on": ["opened"]}, "then": tag, "unless": "x"}, "'unless'"),
        ({"when": {"on": ["opened"]}, "then": [{"do": "notify", "to": ["boss"], "text": "x"}]}, "is nobody"),
        ({"when": {"on": ["opened"]}, "then": [{"do": "comment", "text": "{machine.name}"}]}, "no {machine.name}"),
        ({"when": {"on": ["opened"]}, "then": [{"do": "set", "values": {"status": "done"}}]}, "table of"),
    ]
    for definition, sentence in bad:
        with pytest.raises(BadRule, match=sentence.replace("{", r"\{")):
            enabled(conn, "bad", definition)


def _manager(conn: Connection) -> int:
    row = conn.execute("insert into users (login, name) values ('mia', 'Mia') returning user_id").fetchone()
    assert row
    conn.execute("insert into memberships (user_id, site_id, role) values (%s, current_site(), 'manager')", row)
    return int(row[0])
