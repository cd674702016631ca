"""The hostile bodies are what they say, and the gate refuses each that no field may hold."""

from __future__ import annotations

import json

import pytest

from benchmarks.hostile_bodies import Body, bombs, example, small
from core.strict_json import JsonRefused, loads

FAMILIES = {
    "number",
    "literal",
    "structure",
    "text",
    "huge number",
    "half a character",
    "twice",
    "bytes",
    "coding",
    "truncated",
}


def test_every_family_is_there_and_a_seed_gives_the_same() -> None:
    made = small(1, mutations=50)
    assert {body.family for body in made} >= FAMILIES | {"mutated"}
    assert made == small(1, mutations=50) != small(2, mutations=50)
    assert len({body.data for body in made if body.family == "mutated"}) == 50


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_gate_refuses_what_is_no_json_and_takes_what_is_plain(family: str) -> None:
    """What the standard decoder takes may still be too much for us; what it does not take never comes in."""
    for body in small(1, mutations=0):
        if body.family == family:
            assert refused(body) or body.is_json is not False, body


DANGEROUS = ("huge number", "half a character", "twice")


def test_the_gate_refuses_numbers_halves_and_doubles_that_are_json() -> None:
    assert [body for body in small(1, mutations=0) if body.family in DANGEROUS and not refused(body)] == []


def test_bombs_are_refused_but_for_those_within_the_limits() -> None:
    taken = [body.name for body in bombs() if body.family != "long" and not refused(body)]
    within = ("lists 63", "objects 63", "9999", "long ones", "49000", "9000")
    assert taken and [name for name in taken if not name.startswith(within)] == []


def refused(body: Body) -> bool:
    try:
        loads(body.data)
    except JsonRefused:
        return True
    return False


def test_an_example_has_what_the_schema_requires() -> None:
    definitions = {"Kind": {"enum": ["request"]}}
    schema = {
        "type": "object",
        "required": ["kind", "names"],
        "properties": {
            "kind": {"$ref": "#/components/schemas/Kind"},
            "names": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "left": {"type": "integer"},
        },
    }
    assert json.dumps(example(schema, definitions)) == '{"kind": "request", "names": ["x"]}'
