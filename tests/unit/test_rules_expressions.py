"""Expressions: what has no bound is refused, what is written wrong is explained, what sifts never hides a match."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickets.chain import BLANK
from tickets.rules import forms, speed
from tickets.rules.errors import BadExpression, BadRule, ExpressionFailed
from tickets.rules.expressions import LONGEST, compiled
from tickets.rules.matching import Index, Verdict, judge
from tickets.rules.model import Form, Rule, Status
from tickets.rules.world import NO_ASSET, Happening, World

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def world(**changes: Any) -> World:
    row = {**BLANK, "ref": "WO-1", "kind": "incident", "status": "new", "priority": 3, "title": "A leak",
           "description": "", "opened_at": NOW - timedelta(hours=3), "fields": {}, "tags": (), "cost": 0.0}  # fmt: skip
    happened = Happening("opened", 1, NOW, "person", 7, "Pat", {"after": {"kind": "incident"}, "to": "new"})
    return World(
        ticket_id=1, row={**row, **changes}, before=None, happening=happened, asset_of=lambda _: NO_ASSET, now=NOW
    )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("ticket.kind == 'incident' && ticket.priority in [1, 2, 3]", True),
        ("ticket.cost > 1000", False),
        ("ticket.cost >= 0 && ticket.open", True),
        ("now - ticket.opened_at > duration('2h')", True),
        ("has(fields.line) && fields.line == 'A'", False),
        ("fields.line == 'A' && ticket.kind == 'request'", False),  # false, whatever is missing beside it
        ("asset.class == 'pump' || asset.criticality > 3", False),
        ("before.status == null && event.kind == 'opened'", True),
        ("event.body.to == 'new' && 'kind' in event.changed", True),
        ("ticket.title.matches('(?i)LEAK') && actor.name == 'Pat'", True),
        ("!ticket.tags.exists(t, t == 'x')", True),
        ("r'\\d' != ticket.ref && \"it's\" != '' && ticket.assignee_id == null", True),
    ],
)
def test_what_people_write_is_understood(text: str, holds: bool) -> None:
    assert compiled(text).holds(world()) is holds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        ("ticket.prority == 1", "Did you mean 'priority'"),
        ("tiket.priority == 1", "Did you mean 'ticket'"),
        ("ticket.title.lower() == 'x'", "no function 'lower'"),
        ("ticket.priority == ", "no expression"),
        ("ticket.priority = 1", "not part of an expression"),
        ("true // all of them", "Comments"),
        ('"""x""" == ""', "triple quotes"),
        ("'a" * 3, "not part of an expression"),
        ("`x` == 1", "not part of an expression"),
        ("true && " * 600 + "true", str(LONGEST)),
        ("1+" * 300 + "1 > 2", "words and signs"),
        ("(" * 30 + "true" + ")" * 30, "nested too deeply"),
        ("!" * 20 + "true", "nested too deeply"),
        ("-" * 20 + "1 < 2", "nested too deeply"),
        ("[" * 30 + "]" * 30 + " == []", "nested too deeply"),
        ("fields" + ".a" * 20 + " == 1", "nested too deeply"),
        ("true ? " * 20 + "true" + " : true" * 20, "choices"),
        ("ticket.tags.all(a, ticket.tags.exists(b, a == b))", "not nested"),
        ("ticket.tags.map(a, ticket.tags.map(b, [a, b])) == []", "not nested"),
    ],
)
def test_what_has_no_bound_or_no_sense_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadExpression, match=sentence.replace("'", ".")):
        compiled(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("fields.line == 'A'", r"has\(fields\.line\)"),
        ("ticket.assignee_id > 3", "null"),
        ("ticket.priority + 1.5 > 3.0", "different kinds"),
        ("ticket.title", "is text"),
        ("ticket.tags[5] == 'x'", "."),
    ],
)
def test_what_goes_wrong_while_it_runs_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ExpressionFailed, match=sentence):
        compiled(text).holds(world())


@given(st.text(alphabet="ticket.priority()[]&|!?:=<>'\" \n\\01aé", max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        compiled(text).holds(world())
    except (BadExpression, ExpressionFailed) as error:
        assert error.message


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["incident", "corrective", "request"]),
    "status": st.sampled_from(["new", "done", "closed"]),
    "priority": st.integers(1, 5),
    "title": st.sampled_from(["leak 3", "drip", "4 leak 3"]),
    "mode": st.sampled_from([None, "mode_3", "mode_4"]),
    "cost": st.sampled_from([0.0, 900.0, 1500.0]),
    "fields": st.sampled_from([{}, {"line": "L3"}, {"line": 3}]),
}
LIBRARY = speed.compiled(60)
EVERY = [Rule(n, 1, Status.ENABLED, forms.parse(code, Form.RULE, data))
         for n, (code, data) in enumerate(speed.definitions(60))]  # fmt: skip


@given(st.fixed_dictionaries(VALUES))
@settings(max_examples=100, deadline=None)
def test_the_index_never_hides_a_rule_that_holds(changes: dict[str, Any]) -> None:
    seen = world(**changes)
    expected = {
        rule.code
        for rule in EVERY
        if "opened" in rule.definition.when.kinds and judge(rule, seen.fresh())[0] is Verdict.MATCHED
    }
    found = {rule.code for rule in Index(EVERY).candidates(seen) if judge(rule, seen)[0] is Verdict.MATCHED}
    assert found == expected


PARTS = (
    "ticket.kind == 'incident'",
    "'new' == ticket.status",
    "ticket.priority in [1, 2]",
    "ticket.priority != 3",
    "ticket.priority < 3",
    "3 <= ticket.priority",
    "ticket.cost > 899.5",
    "ticket.status == before.status",
    "ticket.status != before.status",
    "ticket.title.contains('leak')",
    "ticket.title.startsWith('leak')",
    "ticket.title.endsWith('3')",
    "ticket.title.matches('(?i)LEAK|Drip')",
    "ticket.title.matches('leak 3|drip')",
    "ticket.title.matches('^l.*k')",
    "has(fields.line)",
    "fields.line == 'L3'",
    "fields.line > 2",
    "ticket.mode == null",
    "ticket.mode != null",
    "ticket.open",
    "!ticket.open",
    "ticket.tags == before.tags",
    "size(ticket.tags) == 0",
    "now > ticket.opened_at",
    "true",
    "event.body.to == 'new'",
)
PROGRAMS = st.recursive(
    st.sampled_from(PARTS),
    lambda inner: st.builds("({}) {} ({})".format, inner, st.sampled_from(["&&", "||", "&&"]), inner),
    max_leaves=6,
)


@given(PROGRAMS, st.fixed_dictionaries(VALUES), st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_sieve_never_holds_back_what_holds(text: str, changes: dict[str, Any], opened: bool) -> None:
    expression = compiled(text)
    seen = world(**changes)
    if not opened:
        seen.before = dict(seen.row) | {"status": "new"}
    try:
        truth = expression.value(seen)
    except ExpressionFailed:
        return
    assert expression.sieve.admits(seen.fresh()) or truth is False


def test_the_index_hides_most_of_what_cannot_hold() -> None:
    assert len(LIBRARY.index.candidates(world())) < 20


def test_schedules_within_schedules_have_an_end() -> None:
    then: list[dict[str, Any]] = [{"do": "assign"}]
    for _ in range(7):
        then = [{"do": "schedule", "after": "1h", "then": then}]
    with pytest.raises(BadRule, match="deep"):
        forms.parse("deep", Form.RULE, {"when": {"on": ["opened"]}, "then": then})
