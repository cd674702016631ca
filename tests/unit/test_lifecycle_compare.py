"""Life cycles as text and side by side: what is written reads back, and every difference is said."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import merkle
from tests.unit.test_tickets_lifecycle import ticket
from tickets import definitions, lifecycle_text
from tickets.errors import BadDefinition, MissingFields
from tickets.lifecycle import Lifecycle, build, check, parse
from tickets.lifecycle_compare import compare
from tickets.lifecycle_edit import check as problems_of
from tickets.model import Actor, ActorKind, TicketKind

SHIPPED = definitions.builtin()
ORDER = SHIPPED[TicketKind.CORRECTIVE]


def data() -> dict[str, Any]:
    return deepcopy(lifecycle_text.definition_of(ORDER))


def changed(**edit: Any) -> Lifecycle:
    return build("changed", {**data(), **edit})


@pytest.mark.parametrize("kind", TicketKind)
@pytest.mark.parametrize("write", [lifecycle_text.to_toml, lifecycle_text.to_json])
def test_what_is_written_reads_back(kind: TicketKind, write: Any) -> None:
    definition = lifecycle_text.definition_of(SHIPPED[kind])
    again = lifecycle_text.read(write(definition))
    assert again == definition
    flow = parse("again", again)
    assert (flow.states, flow.transitions) == (SHIPPED[kind].states, SHIPPED[kind].transitions)


@given(label=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_label_survives_toml(label: str) -> None:
    words = {"en": label, "zh": label}
    step = {"from": ["new"], "to": "new", "label": words, "roles": ["planner"]}
    definition = {"initial": "new", "states": {"new": {"label": words}}, "transitions": [step]}
    assert lifecycle_text.read(lifecycle_text.to_toml(definition)) == definition


@pytest.mark.parametrize("text", ["initial = ", "{", "[[", "\x00", "{" * 5000])
def test_what_is_no_text_of_ours_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(BadDefinition, match="neither TOML nor JSON"):
        lifecycle_text.read(text)


@pytest.mark.parametrize(
    "hostile",
    [None, [], "new", 7, {}, {"initial": 1}, {"initial": "new", "states": {"new": 1}, "transitions": [1]},
     {"initial": "new", "states": {"NEW!": {}}, "transitions": {}},
     {"initial": "new", "states": {"new": {"label": {"en": 1}}}, "transitions": [{"from": "new", "to": "x"}]},
     {"initial": "new", "states": {"new": {"label": "x", "stops": "x"}}, "transitions": [
         {"from": "new", "to": 3, "label": 3, "roles": 3, "guards": 3, "requires": [{"field": "x"}], "more": 1}]}],
)  # fmt: skip
def test_hostile_data_gets_sentences_and_no_crash(hostile: Any) -> None:
    found = problems_of(hostile)
    assert found and all(each.endswith((".", "`).", ")")) for each in found), found


def test_nothing_differs_from_itself() -> None:
    same = compare(ORDER, changed())
    assert same.is_empty and same.touched == frozenset()


def test_every_difference_is_said_in_words() -> None:
    edit = data()
    edit["states"]["parked"] = {"label": {"en": "parked", "zh": "搁置"}}
    edit["states"]["accepted"] = {"label": {"en": "taken", "zh": "已接受"}}
    edit["transitions"] = [step for step in edit["transitions"] if step["label"]["en"] != "I am there"]
    edit["transitions"][0]["roles"].append("engineer")
    edit["transitions"][1]["requires"] = ["note"]
    found = compare(ORDER, build("edit", edit))
    said = [each["en"] for each in found.sentences]
    assert "State parked is new." in said
    assert "State accepted is called “taken” instead of “accepted”." in said
    assert "State accepted no longer stops the clock response." in said
    assert any(
        each.startswith("engineer may now move a ticket from") and each.endswith("to assigned.") for each in said
    )
    assert "engineer may no longer move a ticket from accepted or reopened to arrived." in said
    assert "planner, from assigned to accepted: now needs note." in said
    assert found.states_added == ("parked",) and "accepted" in found.touched and "done" not in found.touched
    assert all(each["zh"] for each in found.sentences)


def test_a_step_may_ask_for_what_the_ticket_itself_must_hold() -> None:
    edit = data()
    done = next(step for step in edit["transitions"] if step["to"] == "done")
    done["requires"] = ["note", "fields.serial", {"field": "ticket.skill", "when": {"fields.hall": ["A"]}}]
    flow = parse("edit", edit)
    planner = Actor(ActorKind.PERSON, 1, "Pat", "planner")
    bare = ticket("arrived")
    with pytest.raises(MissingFields, match=r"fields\.serial"):
        check(flow, bare, planner, to="done", fields={"note": "x"})
    full = ticket("arrived", fields={"serial": "A-1", "hall": "A"}, skill=None)
    with pytest.raises(MissingFields, match=r"ticket\.skill"):
        check(flow, full, planner, to="done", fields={"note": "x"})
    check(flow, ticket("arrived", fields={"serial": 0}), planner, to="done", fields={"note": "x"})


@pytest.mark.parametrize("count", range(10))
def test_a_root_says_what_and_in_which_order(count: int) -> None:
    things = [bytes([n]) for n in range(count)]
    root = merkle.root(things)
    assert root == merkle.root(list(things))
    for n in range(count):
        assert merkle.root([*things[:n], b"x", *things[n + 1 :]]) != root
        assert merkle.root(things[:n] + things[n + 1 :]) != root
    assert count < 2 or merkle.root(things[::-1]) != root


def test_the_tree_is_the_standard_one() -> None:
    """The test vector of Certificate Transparency: the tree of one empty leaf."""
    assert merkle.root([b""]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
