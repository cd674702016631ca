"""The life cycle as data: what the definitions say, what they refuse, and that enforcement is the same for all."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets import lifecycle
from tickets.definitions import builtin
from tickets.errors import (
    BadDefinition,
    IllegalTransition,
    InvalidFields,
    MissingFields,
    NotAllowed,
    NotYours,
)
from tickets.lifecycle import PARTS
from tickets.model import TERMINAL, Actor, ActorKind, Ticket, TicketKind

ORDER = builtin()[TicketKind.PREVENTIVE]
LIN, WANG = 7, 8
DONE = {"verdict": "confirmed", "failure_code": "bearing_wear", "note": "Bearing changed."}


def person(role: str, user_id: int = 99) -> Actor:
    return Actor(ActorKind.PERSON, user_id, role, role)


def by_part(part: str) -> Actor:
    if part in ("system", "rule", "detector"):
        return Actor(ActorKind(part), None, part)
    return Actor(ActorKind.AGENT if part == "agent" else ActorKind.PERSON, 99, part, part)


def ticket(status: str = "new", *, kind: TicketKind = TicketKind.PREVENTIVE, **changes: Any) -> Ticket:
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    blank = Ticket(
        ticket_id=1,
        site_id=1,
        ref="WO-2026-000001",
        kind=kind,
        status=status,
        priority=3,
        title="Bearing",
        description="",
        asset_id=1,
        mode="bearing_wear",
        channel="web",
        requester_id=None,
        assignee_id=5,
        skill=None,
        opened_at=at,
        respond_by=None,
        resolve_by=None,
        responded_at=None,
        done_at=None,
        closed_at=None,
        held_from=None,
        hold_reason=None,
        verdict=None,
        failure_code=None,
        fields={},
        lifecycle_id=None,
        assignment_reasons=(),
        version=1,
        event_count=1,
        head_hash=b"",
        assignee_name="Lin",
        assignee_user_id=LIN,
    )
    return replace(blank, **changes)


def test_every_kind_has_a_life_cycle() -> None:
    assert set(builtin()) == set(TicketKind)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("assigned", ["accepted", "on_hold"]),
        ("accepted", ["arrived", "on_hold"]),
        ("arrived", ["on_hold", "done"]),
        ("reopened", ["accepted", "arrived"]),
        ("done", []),
        ("verifying", []),
        ("closed", []),
    ],
)
def test_what_the_assigned_engineer_may_do(status: str, expected: list[str]) -> None:
    assert [step.to for step in lifecycle.allowed(ORDER, ticket(status), person("engineer", LIN))] == expected


def test_a_colleague_may_do_nothing_and_is_told_why() -> None:
    mine = ticket("assigned")
    assert lifecycle.allowed(ORDER, mine, person("engineer", WANG)) == []
    with pytest.raises(NotYours, match="not assigned to you"):
        lifecycle.check(ORDER, mine, person("engineer", WANG), to="accepted", fields={})


def test_an_engineer_without_a_user_owns_nothing() -> None:
    nobody = ticket("assigned", assignee_user_id=None)
    anonymous = Actor(ActorKind.PERSON, None, "?", "engineer")
    with pytest.raises(NotYours):
        lifecycle.check(ORDER, nobody, anonymous, to="accepted", fields={})


def test_an_illegal_step_names_what_is_possible() -> None:
    with pytest.raises(IllegalTransition) as refused:
        lifecycle.check(ORDER, ticket("assigned"), person("engineer", LIN), to="done", fields=DONE)
    assert refused.value.extra["allowed"] == ["accepted", "on_hold"]
    assert "accepted, on_hold" in refused.value.message


@pytest.mark.parametrize("status", sorted(ORDER.states))
@pytest.mark.parametrize("part", sorted(PARTS))
def test_verifying_is_left_by_the_guard_or_by_a_planner_with_a_note(status: str, part: str) -> None:
    """However the ticket stands and whoever asks, *closed* is reached from *done* or *verifying* alone."""
    ways = [step.to for step in lifecycle.allowed(ORDER, ticket(status), by_part(part))]
    may_close = status in ("done", "verifying") and part in ("planner", "manager", "admin", "system", "detector")
    assert ("closed" in ways) == may_close


def test_a_planner_closes_a_verifying_order_only_with_a_note() -> None:
    with pytest.raises(MissingFields) as refused:
        lifecycle.check(ORDER, ticket("verifying"), person("planner"), to="closed", fields={})
    assert [problem["field"] for problem in refused.value.extra["errors"]] == ["note"]
    lifecycle.check(ORDER, ticket("verifying"), person("planner"), to="closed", fields={"note": "Measured by hand."})


def test_done_needs_verdict_and_note_and_a_code_when_a_fault_was_found() -> None:
    arrived, lin = ticket("arrived"), person("engineer", LIN)
    for fields, missing in (
        ({}, ["verdict", "note"]),
        ({"verdict": "confirmed", "note": "x"}, ["failure_code"]),
        ({"verdict": "other_fault", "note": ""}, ["note", "failure_code"]),
        ({"verdict": "nothing_found"}, ["note"]),
    ):
        with pytest.raises(MissingFields) as refused:
            lifecycle.check(ORDER, arrived, lin, to="done", fields=fields)
        assert [problem["field"] for problem in refused.value.extra["errors"]] == missing
    lifecycle.check(ORDER, arrived, lin, to="done", fields={"verdict": "nothing_found", "note": "All well."})
    step = next(step for step in lifecycle.allowed(ORDER, arrived, lin) if step.to == "done")
    assert step.requires == ("verdict", "note")
    assert [(r.field, dict(r.when)) for r in step.requires_when] == [
        ("failure_code", {"verdict": ("confirmed", "other_fault")})
    ]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"verdict": "maybe"}, "choice"),
        ({"verdict": 1}, "type"),
        ({"note": ["x"]}, "type"),
        ({"note": "   "}, "blank"),
        ({"note": "x" * 4001}, "too_long"),
        ({"colour": "red"}, "unknown_field"),
        ({"evidence": "text"}, "type"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: Mapping[str, Any], code: str) -> None:
    with pytest.raises(InvalidFields) as refused:
        lifecycle.check(ORDER, ticket("arrived"), person("engineer", LIN), to="done", fields={**DONE, **fields})
    assert [(problem["field"], problem["code"]) for problem in refused.value.extra["errors"]] == [
        (next(iter(fields)), code)
    ]


def test_hold_goes_back_to_where_it_came_from() -> None:
    held = ticket("on_hold", held_from="arrived")
    assert [step.to for step in lifecycle.allowed(ORDER, held, person("engineer", LIN))] == ["arrived"]
    with pytest.raises(IllegalTransition, match="put on hold from 'arrived'"):
        lifecycle.check(ORDER, held, person("engineer", LIN), to="accepted", fields={})


def test_an_agent_moves_nothing() -> None:
    for status in ORDER.states:
        assert lifecycle.allowed(ORDER, ticket(status), Actor(ActorKind.AGENT, 3, "copilot", "agent")) == []
    with pytest.raises(NotAllowed, match="Only"):
        lifecycle.check(ORDER, ticket("done"), Actor(ActorKind.AGENT, 3, "copilot", "agent"), to="closed", fields={})


def test_a_sensor_closes_its_own_ticket_from_any_working_state() -> None:
    flow = builtin()[TicketKind.SENSOR_FAULT]
    for status in ("new", "assigned", "accepted", "arrived", "on_hold", "reopened", "done"):
        standing = ticket(status, kind=TicketKind.SENSOR_FAULT)
        assert "closed" in [step.to for step in lifecycle.allowed(flow, standing, by_part("system"))]


def test_a_machine_fault_never_closes_without_work() -> None:
    for status in ("new", "assigned", "accepted", "arrived", "on_hold", "reopened"):
        for part in PARTS:
            assert "closed" not in [step.to for step in lifecycle.allowed(ORDER, ticket(status), by_part(part))]


@given(
    status=st.sampled_from(sorted(ORDER.states)),
    part=st.sampled_from(sorted(PARTS)),
    to=st.sampled_from(sorted(ORDER.states)),
    kind=st.sampled_from(list(TicketKind)),
    held=st.sampled_from([None, "assigned", "accepted", "arrived"]),
    assigned=st.booleans(),
)
def test_allowed_and_check_agree(
    status: str, part: str, to: str, kind: TicketKind, held: str | None, assigned: bool
) -> None:
    """What is offered is taken, and nothing else is, whoever asks."""
    flow = builtin()[kind]
    assignee = {} if assigned else {"assignee_id": None, "assignee_user_id": None}
    standing = ticket(status, kind=kind, held_from=held if status == "on_hold" else None, **assignee)
    actor = person("engineer", LIN) if part == "engineer" else by_part(part)
    offered = {step.to for step in lifecycle.allowed(flow, standing, actor)}
    try:
        step = lifecycle.check(flow, standing, actor, to=to, fields={**DONE, "reason": "waiting_parts"})
    except (IllegalTransition, NotAllowed, NotYours):
        assert to not in offered
    else:
        assert to in offered
        assert step.to == to
        assert status not in TERMINAL


# -- definitions ------------------------------------------------------------------------------------------------------


def definition() -> dict[str, Any]:
    order = tomllib.loads(files("tickets").joinpath("lifecycles.toml").read_text("utf-8"))["order"]
    return deepcopy({name: order[name] for name in ("initial", "states", "transitions")})


def test_the_built_in_definition_is_plain_data() -> None:
    parsed = lifecycle.parse("copy", definition(), lifecycle_id=4)
    assert parsed.states == ORDER.states
    assert parsed.transitions == ORDER.transitions
    assert parsed.lifecycle_id == 4


def break_(edit: str) -> dict[str, Any]:
    data = definition()
    first = data["transitions"][0]
    edits: dict[str, Callable[[], object]] = {
        "initial": lambda: data.update(initial="nowhere"),
        "no closed": lambda: data["states"].pop("closed"),
        "label": lambda: data["states"]["done"].update(label={"en": "done"}),
        "step label": lambda: first.update(label={"zh": "指派"}),
        "clock": lambda: data["states"]["done"].update(stops=["lunch"]),
        "role": lambda: first.update(roles=["wizard", "system"]),
        "nobody": lambda: data["transitions"][1].update(roles=[]),
        "guard": lambda: first.update(guards=["magic"]),
        "field": lambda: first.update(requires=["colour"]),
        "when": lambda: first.update(requires=[{"field": "note", "when": {"colour": ["red"]}}]),
        "from terminal": lambda: first["from"].append("closed"),
        "to": lambda: first.update(to="limbo"),
        "twice": lambda: data["transitions"].append(deepcopy(first)),
        "unreachable": lambda: data["states"].update(island={"label": {"en": "x", "zh": "x"}}),
        "dead end": lambda: (
            data["states"].update(pit={"label": {"en": "x", "zh": "x"}}),
            data["transitions"].append({**deepcopy(first), "from": ["new"], "to": "pit"}),
        ),
        "guard path": lambda: data.update(
            transitions=[step for step in data["transitions"] if step["to"] != "verifying"]
        ),
        "no routing": lambda: first.update(roles=["planner"]),
        "shape": lambda: data.update(states=["new", "closed"]),
        "missing part": lambda: data.pop("transitions"),
    }
    edits[edit]()
    return data


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ("initial", "initial state 'nowhere'"),
        ("no closed", "State 'closed' is missing"),
        ("label", "State 'done' needs a label"),
        ("step label", "needs a label"),
        ("clock", "unknown clock 'lunch'"),
        ("role", "no role 'wizard'"),
        ("nobody", "nobody may do it"),
        ("guard", "no guard 'magic'"),
        ("field", "no field 'colour'"),
        ("when", "no field 'colour'"),
        ("from terminal", "nothing leaves 'closed'"),
        ("to", "no state 'limbo'"),
        ("twice", "open to the same role"),
        ("unreachable", "'island' cannot be reached"),
        ("dead end", "'pit' never ends"),
        ("guard path", "from 'done' to 'verifying'"),
        ("no routing", "from 'new' to 'assigned'"),
        ("shape", "not of the right shape"),
        ("missing part", "not of the right shape"),
    ],
)
def test_a_definition_that_does_not_hold_together_is_refused(edit: str, sentence: str) -> None:
    with pytest.raises(BadDefinition, match=sentence):
        lifecycle.parse("broken", break_(edit))


def test_a_variant_replaces_the_same_way_and_adds_its_own() -> None:
    base = definition()
    fast = {
        "transitions": [
            {
                "from": ["accepted"],
                "to": "done",
                "label": {"en": "Done", "zh": "完成"},
                "roles": ["engineer"],
                "requires": ["note"],
            },
            {"from": ["done"], "to": "closed", "label": {"en": "Close", "zh": "关闭"}, "roles": ["engineer"]},
        ]
    }
    flow = lifecycle.parse("fast", lifecycle.extend(base, fast))
    assert [s.roles for s in flow.transitions if s.to == "closed" and "done" in s.sources] == [{"engineer"}]
    assert [step.to for step in lifecycle.allowed(flow, ticket("accepted"), person("engineer", LIN))] == [
        "arrived",
        "on_hold",
        "done",
    ]
