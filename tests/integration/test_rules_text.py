"""Rules as text, and the dry run over recorded history."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

import tickets.rules.jobs  # noqa: F401 - registers the handlers
from core.errors import Stale
from tests.integration.tickets_world import NOW, World, build, order, walk
from tickets import store
from tickets.errors import NotAllowed
from tickets.hooks import only
from tickets.model import Actor, ActorKind
from tickets.rules import engine, exchange, forms, rehearsal, runs, shelf, speed
from tickets.rules import service as rules
from tickets.rules.errors import BadRule
from tickets.rules.exchange import Prune, What
from tickets.rules.model import Form

MANAGER = Actor(ActorKind.PERSON, None, "Mia", "manager")
TEXT = """
[rules."pump.first"]
enabled = true
name = {en = "Pumps first", zh = "泵优先"}
when = {on = ["opened"]}
if = 'ticket.kind == "incident" && asset.class == "pump"'
then = [
  {do = "set", values = {priority = 1, fields = {hall = {cel = "'A'"}}}},
  {do = "schedule", after = "2h", if = "ticket.status == 'new'", then = [{do = "notify", to = ["planners"], text = "“{ticket.ref}” \\n waits"}]},
]
limits = {per_minute = 5, again = "once"}

[guards.dear]
entering = ["done"]
if = "ticket.cost > 1000"
approval = {topic = "finance", role = "manager", amount = "ticket.cost"}
"""  # noqa: E501 - one line each, as people write it


def pumps(**changes: Any) -> dict[str, Any]:
    found = {"when": {"on": ["opened"]}, "if": "asset.class == 'pump'", "then": [{"do": "tag", "add": ["x"]}]}
    return {**found, **changes}


def test_applying_twice_changes_nothing_and_what_is_exported_is_what_was_applied(conn: Connection) -> None:
    first = exchange.apply(conn, MANAGER, TEXT, now=NOW)
    assert [(each.code, each.what) for each in first] == [("dear", What.NEW), ("pump.first", What.NEW)]
    assert any("dry run" in warning for each in first for warning in each.warnings)
    before = conn.execute("select count(*) from rule_changes").fetchone()
    mark = conn.execute("select mark from rule_marks").fetchone()
    assert exchange.apply(conn, MANAGER, TEXT, now=NOW) == []
    exported = exchange.export(conn)
    assert exchange.apply(conn, MANAGER, exported, prune=Prune.RETIRE, now=NOW) == []
    assert {each.what for each in exchange.diff(conn, exported)} == {What.SAME}
    assert conn.execute("select count(*) from rule_changes").fetchone() == before
    assert conn.execute("select mark from rule_marks").fetchone() == mark
    assert [rule.code for rule in shelf.current(conn).guards] == []  # it was not enabled
    assert set(exchange.read(exported)[0].definition) == set(exchange.read(TEXT)[0].definition)


def test_a_difference_shows_lines_and_pruning_retires(conn: Connection) -> None:
    exchange.apply(conn, MANAGER, TEXT, now=NOW)
    kept = rules.make(conn, MANAGER, code="by-hand", form=Form.RULE, definition=pumps(), now=NOW)
    changed = TEXT.replace("per_minute = 5", "per_minute = 6")
    found = {each.code: each for each in exchange.diff(conn, changed)}
    assert (found["by-hand"].what, found["dear"].what, found["pump.first"].what) == (
        What.ONLY_HERE, What.SAME, What.CHANGED,
    )  # fmt: skip
    assert '+limits = {again = "once", per_minute = 6}' in found["pump.first"].lines
    exchange.apply(conn, MANAGER, changed, now=NOW)
    assert rules.store.get(conn, kept.rule_id).status == "draft"
    exchange.apply(conn, MANAGER, changed, prune=Prune.RETIRE, now=NOW)
    assert rules.store.get(conn, kept.rule_id).status == "retired"
    made = rules.store.by_code(conn, "pump.first")
    assert made is not None
    assert [change.what for change in rules.store.changes(conn, made.rule_id)] == ["edited", "enabled", "made"]
    assert {change.by for change in rules.store.changes(conn, made.rule_id)} == {"Mia"}


def test_a_bad_text_names_every_problem_and_changes_nothing(conn: Connection) -> None:
    bad = """
    [rules.a]
    when = {on = ["opened"]}
    if = "ticket.prio == 1"
    then = [{do = "assign"}]
    [rules.b]
    enabled = true
    when = {on = ["opened"]}
    then = [{do = "create", kind = "incident", title = "x"}]
    [rules.c]
    when = {on = ["opened"]}
    then = [{do = "assign"}]
    """
    with pytest.raises(BadRule) as refused:
        exchange.apply(conn, MANAGER, bad, now=NOW)
    assert "Did you mean 'priority'" in refused.value.message
    assert "without end" in refused.value.message
    assert rules.store.every(conn) == []
    for text in ("[rule.a]\n", "= 1", "rules = 3"):
        with pytest.raises(BadRule):
            exchange.read(text)


def test_who_may_change_what(conn: Connection) -> None:
    planner, engineer = (Actor(ActorKind.PERSON, None, role, role) for role in ("planner", "engineer"))
    kept = rules.make(conn, planner, code="p", form=Form.RULE, definition=pumps(), now=NOW)
    for actor in (planner, engineer, Actor(ActorKind.RULE, 1, "sly"), Actor(ActorKind.AGENT, 1, "Agent", "admin")):
        with pytest.raises(NotAllowed):
            rules.enable(conn, actor, kept.rule_id, now=NOW)
    rules.enable(conn, MANAGER, kept.rule_id, now=NOW)
    with pytest.raises(NotAllowed):
        rules.edit(conn, planner, kept.rule_id, definition=pumps(**{"if": "true"}), now=NOW)
    with pytest.raises(Stale):
        rules.edit(conn, MANAGER, kept.rule_id, definition=pumps(**{"if": "true"}), version=7, now=NOW)


# -- dry run ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def world(conn: Connection) -> World:
    return build(conn)


def history(conn: Connection, world: World) -> None:
    """Three orders over ten days, one of them finished."""
    for day, asset in ((0, world.pump), (3, world.motor), (9, world.pump)):
        now = NOW + timedelta(days=day)
        ticket = order(conn, world, asset_id=asset, mode=f"m{day}", now=now)
        if day == 0:
            walk(conn, world.lin, ticket, "accepted", "arrived", "done", now=now + timedelta(hours=1))


def test_a_dry_run_says_what_would_have_happened_and_changes_nothing(conn: Connection, world: World) -> None:
    with only():
        history(conn, world)
    before = conn.execute("select count(*), max(event_id) from ticket_events").fetchone()
    now = NOW + timedelta(days=10)
    report = rehearsal.rehearse(conn, forms.parse("p", Form.RULE, pumps()), days=30, now=now)
    assert (report.matched, report.errors, len(report.tickets), report.complete) == (2, 0, 2, True)
    assert report.per_day == {"2026-03-02": 1, "2026-03-11": 1}
    assert [example.event for example in report.examples] == ["opened", "opened"]
    assert rehearsal.rehearse(conn, forms.parse("p", Form.RULE, pumps()), days=5, now=now).matched == 1
    done = pumps(when={"on": ["transition"]}, **{"if": "ticket.status == 'done' && before.status == 'arrived'"})
    assert rehearsal.rehearse(conn, forms.parse("d", Form.RULE, done), days=30, now=now).matched == 1
    broken = pumps(**{"if": "fields.hall == 'A'"})
    failed = rehearsal.rehearse(conn, forms.parse("b", Form.RULE, broken), days=30, now=now)
    assert (failed.matched, failed.errors) == (0, 3)
    assert "has(fields.hall)" in failed.failures[0].sentence
    assert conn.execute("select count(*), max(event_id) from ticket_events").fetchone() == before
    assert runs.listed(conn) == []


def test_the_dry_run_and_the_live_engine_agree(conn: Connection, world: World) -> None:
    """Every rule of the mixed set matches live exactly where the replay says it would."""
    conditions = [text.replace("{n}", "3").replace("{kind}", "preventive").replace("{state}", "done")
                  for text in (*speed.OPEN_ENDED, *speed.LOOKED_UP)]  # fmt: skip
    conditions += ["before.status == null", "event.changed.exists(c, c == 'status')", "asset.class == 'pump'"]
    ids = {}
    for i, text in enumerate(conditions):
        definition = {"when": {"on": ["*"], "after": "300d"}, "if": text, "log": "all", "then": [{"do": "assign"}],
                      "limits": {"per_minute": 10_000, "per_ticket_hour": 1_000}}  # fmt: skip
        ids[text] = rules.make(conn, MANAGER, code=f"r{i}", form=Form.RULE, definition=definition, now=NOW).rule_id
        rules.enable(conn, MANAGER, ids[text], now=NOW)
    with only(on_event=engine.on_event):
        history(conn, world)
    for text, rule_id in ids.items():
        live = conn.execute(
            "select count(*) from rule_runs where rule_id = %s and outcome = 'waiting'", (rule_id,)
        ).fetchone()
        kept = rules.store.get(conn, rule_id)
        report = rehearsal.rehearse(
            conn, forms.parse(kept.code, Form.RULE, kept.definition), days=60, now=NOW + timedelta(days=12)
        )
        assert live == (report.matched,), text


def test_many_rules_are_fast_enough_to_be_no_burden(conn: Connection, world: World) -> None:
    with only():
        history(conn, world)
    assert speed.rule_events_s(conn, rules=200, events=1_000, clock=time.process_time) > 1_000
    assert store.verify_site(conn) == {}
