"""Custom fields: typed and validated for every caller, required where the site says so, never half-written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from core.errors import MillwrightError, NotFound
from tests.integration import tickets_world
from tests.integration.one_database import conn, shared
from tests.integration.tickets_world import NOW, World, order, walk
from tickets import chain, failure_codes, fields, service, store
from tickets.errors import CodeKnown, FieldTaken, InvalidFields, MissingFields
from tickets.field_types import Definition, FieldType, Option, looks_like_formula, value
from tickets.model import SYSTEM, Ticket

LABEL = {"en": "Serial number", "zh": "序列号"}
COLOURS = [{"value": each, "label": {"en": each, "zh": each}} for each in ("red", "green", "blue")]


__all__ = ["conn", "shared"]  # fixtures


@pytest.fixture
def world(conn: Connection) -> World:
    return tickets_world.build(conn)


def define(conn: Connection, key: str, **more: Any) -> Definition:
    return fields.define(conn, key=key, **{"label": LABEL, "type": "text", **more})


def edit(conn: Connection, world: World, ticket: Ticket, **values: Any) -> Ticket:
    return service.patch(conn, world.planner, ticket.ticket_id, changes={"fields": values}, now=NOW)


GOOD: list[tuple[dict[str, Any], Any, Any]] = [
    ({"type": "text"}, " A-17 ", "A-17"),
    ({"type": "long_text"}, "line\nline", "line\nline"),
    ({"type": "number", "unit": "bar", "low": 0, "high": 16}, 2.5, 2.5),
    ({"type": "integer"}, 3.0, 3),
    ({"type": "boolean"}, False, False),
    ({"type": "date"}, "2026-03-31", "2026-03-31"),
    ({"type": "datetime"}, "2026-03-31T10:00:00+02:00", "2026-03-31T08:00:00Z"),
    ({"type": "choice", "options": COLOURS}, "red", "red"),
    ({"type": "multi_choice", "options": COLOURS}, ["blue", "red", "red"], ["red", "blue"]),
    ({"type": "url"}, "https://example.org/a?b=1", "https://example.org/a?b=1"),
]
BAD: list[tuple[dict[str, Any], Any, str]] = [
    ({"type": "text"}, "=1+1", "formula"),
    ({"type": "text"}, "@SUM(A1)", "formula"),
    ({"type": "text"}, "two\nlines", "one line"),
    ({"type": "text"}, 5, "must be text"),
    ({"type": "text"}, "x" * 301, "longer"),
    ({"type": "number", "unit": "bar", "low": 0, "high": 16}, 17, "goes from 0 to 16 in bar"),
    ({"type": "number"}, "3", "must be a number"),
    ({"type": "number"}, True, "must be a number"),
    ({"type": "number"}, 1e300, "too large"),
    ({"type": "integer"}, 2.5, "whole number"),
    ({"type": "boolean"}, 1, "true or false"),
    ({"type": "date"}, "31.03.2026", "a day like"),
    ({"type": "date"}, "2026-02-30", "a day like"),
    ({"type": "datetime"}, "2026-03-31T10:00:00", "with its zone"),
    ({"type": "datetime"}, "0001-01-01T00:00:00+23:59", "with its zone"),
    ({"type": "choice", "options": COLOURS}, "pink", "one of red, green, blue"),
    ({"type": "multi_choice", "options": COLOURS}, "red", "list of choices"),
    ({"type": "asset"}, 2**31, "id of a asset"),
    ({"type": "person"}, "Pat", "id of a person"),
    ({"type": "url"}, "javascript:alert(1)", "an address"),
    ({"type": "url"}, "http://[", "an address"),
]


def shaped(more: dict[str, Any]) -> Definition:
    options = tuple(Option(each["value"], each["label"]) for each in more.get("options", ()))
    return Definition(None, "serial", LABEL, **{**more, "type": FieldType(more["type"]), "options": options})


@pytest.mark.parametrize(("more", "given_", "kept"), GOOD)
def test_a_value_of_its_type_is_kept(more: dict[str, Any], given_: Any, kept: Any) -> None:
    taken = value(shaped(more), given_)
    assert taken == kept and type(taken) is type(kept)


@pytest.mark.parametrize(("more", "given_", "sentence"), BAD)
def test_any_other_is_refused_with_a_sentence(more: dict[str, Any], given_: Any, sentence: str) -> None:
    with pytest.raises(InvalidFields, match=sentence):
        value(shaped(more), given_)


def test_a_ticket_keeps_every_type_and_nothing_of_what_is_refused(conn: Connection, world: World) -> None:
    for number, (more, _, _) in enumerate(GOOD):
        define(conn, f"f{number}", **more)
    ticket = order(conn, world, fields={f"f{number}": given_ for number, (_, given_, _) in enumerate(GOOD)})
    assert ticket.fields == {f"f{number}": kept for number, (_, _, kept) in enumerate(GOOD)}
    with pytest.raises(InvalidFields):
        edit(conn, world, ticket, f0="new", f2=17)
    assert store.get(conn, ticket.ticket_id) == ticket
    assert edit(conn, world, ticket, **dict.fromkeys(ticket.fields)).fields == {}
    assert store.verify_chain(conn, ticket.ticket_id) == []


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(list(FieldType)),
    given_=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
)
def test_a_value_either_fits_for_good_or_is_refused(kind: FieldType, given_: Any) -> None:
    """What was taken is taken again unchanged, can be kept as JSON, and a line is never a formula."""
    definition = Definition(None, "x", LABEL, kind, low=-10.0 if kind is FieldType.NUMBER else None)
    try:
        kept = value(definition, given_)
    except InvalidFields as refused:
        assert refused.message and refused.extra["errors"]
        return
    assert value(definition, kept) == kept
    assert chain.canonical(kept)
    assert kind is not FieldType.TEXT or not looks_like_formula(kept)


def test_an_unknown_field_is_refused_for_every_caller(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    for actor in (world.planner, world.lin, SYSTEM, world.detector):
        with pytest.raises(InvalidFields, match="no field 'wish'") as refused:
            service.patch(conn, actor, ticket.ticket_id, changes={"fields": {"wish": 1}}, now=NOW)
        assert refused.value.extra["errors"][0]["code"] == "unknown_field"
    with pytest.raises(InvalidFields, match="no field 'wish'"):
        service.transition(conn, world.lin, ticket.ticket_id, to="accepted", custom={"wish": 1}, now=NOW)
    with pytest.raises(InvalidFields, match="no field 'title_zh'"):  # the product's own, for machines alone
        edit(conn, world, ticket, title_zh="x")
    assert store.get(conn, ticket.ticket_id).version == ticket.version


def test_a_field_belongs_to_its_kinds(conn: Connection, world: World) -> None:
    define(conn, "serial", kinds=["request"])
    with pytest.raises(InvalidFields, match="kind preventive has no field 'serial'"):
        order(conn, world, fields={"serial": "A"})
    request = order(conn, world, kind="request", mode=None, fields={"serial": "A"})
    assert request.fields == {"serial": "A"}


def test_what_opening_requires_is_asked_of_people_and_of_a_machines_order_when_it_is_done(
    conn: Connection, world: World
) -> None:
    serial = define(conn, "serial", required="open")
    define(conn, "shift", required="open", default="day")
    with pytest.raises(MissingFields, match=r"Serial number \(serial\)"):
        service.open(conn, world.planner, kind="incident", title="Noise", now=NOW)
    ticket = walk(conn, world.lin, order(conn, world), "accepted", "arrived")  # a detector's: it has no answers
    assert ticket.fields == {"shift": "day"}
    with pytest.raises(MissingFields):
        walk(conn, world.lin, ticket, "done")
    done = service.transition(
        conn, world.lin, ticket.ticket_id, to="done", fields=tickets_world.DONE, custom={"serial": "A"}, now=NOW
    )
    assert done.fields == {"shift": "day", "serial": "A"} and store.verify_chain(conn, ticket.ticket_id) == []
    assert serial.field_id is not None
    fields.retire(conn, serial.field_id, at=NOW)
    assert service.open(conn, world.planner, kind="incident", title="Noise", now=NOW).created


def test_a_required_value_cannot_be_taken_away(conn: Connection, world: World) -> None:
    define(conn, "serial", required="open")
    ticket = order(conn, world, fields={"serial": "A"})
    with pytest.raises(MissingFields):
        edit(conn, world, ticket, serial=None)


def test_a_state_may_require_a_field_of_people(conn: Connection, world: World) -> None:
    define(conn, "serial", required="transition", required_to=["accepted"])
    ticket = order(conn, world)
    with pytest.raises(MissingFields, match="To become 'accepted'"):
        walk(conn, world.lin, ticket, "accepted")
    moved = service.transition(conn, world.lin, ticket.ticket_id, to="accepted", custom={"serial": "A"}, now=NOW)
    assert (moved.status, moved.fields, moved.version) == ("accepted", {"serial": "A"}, ticket.version + 1)


def test_a_requester_has_the_fields_that_are_meant_for_requesters(conn: Connection, world: World) -> None:
    define(conn, "serial", required="open")
    define(conn, "hurts", type="boolean", audience="requester")
    report = {"kind": "request", "title": "Noise", "requester_id": world.requester.actor_id, "now": NOW}
    with pytest.raises(InvalidFields, match="known are hurts"):
        service.open(conn, world.requester, fields={"serial": "A"}, **report)
    assert service.open(conn, world.requester, fields={"hurts": True}, **report).ticket.fields == {"hurts": True}
    assert [each.key for each in fields.definitions(conn, actor=world.requester)] == ["hurts"]


def test_assets_and_persons_are_of_this_site(conn: Connection, world: World) -> None:
    define(conn, "machine", type="asset")
    define(conn, "owner", type="person")
    ticket = order(conn, world, fields={"machine": world.motor, "owner": world.lin.actor_id})
    for wrong in ({"machine": 999_999}, {"owner": 999_999}):
        with pytest.raises(NotFound):
            edit(conn, world, ticket, **wrong)


def test_a_list_is_filtered_by_any_field(conn: Connection, world: World) -> None:
    define(conn, "serial")
    define(conn, "colours", type="multi_choice", options=COLOURS)
    define(conn, "pressure", type="number")
    one = order(conn, world, mode="m1", fields={"serial": "A", "colours": ["red", "blue"], "pressure": 2.5})
    other = order(conn, world, mode="m2", fields={"serial": "B", "pressure": 7})
    order(conn, world, mode="m3")

    def found(**wanted: str) -> list[int]:
        page = store.find(conn, store.Filter(fields=fields.filters(conn, wanted)))
        return sorted(each.ticket_id for each in page.items)

    assert found(serial="A") == found(colours="blue") == found(pressure="..3") == [one.ticket_id]
    assert found(serial="B") == found(pressure="7") == found(pressure="3..") == [other.ticket_id]
    assert found(pressure="2..7") == [one.ticket_id, other.ticket_id]
    assert found(serial="A", colours="green") == []
    edit(conn, world, one, serial="C", colours=None)
    assert found(serial="A") == found(colours="red") == [] and found(serial="C") == [one.ticket_id]
    for wrong in ({"nothing": "A"}, {"pressure": "much"}, {"serial": "a..b"}):
        if wrong == {"serial": "a..b"}:
            assert found(**wrong) == []  # a text may hold dots
            continue
        with pytest.raises(InvalidFields):
            found(**wrong)


def test_a_definition_that_contradicts_itself_is_refused(conn: Connection, world: World) -> None:
    wrong: list[dict[str, Any]] = [
        {"key": "Serial"}, {"key": "a b"}, {"key": "x" * 49}, {"type": "wish"}, {"label": {"en": "only"}},
        {"label": {"en": "=1", "zh": "x"}}, {"unit": "bar"}, {"type": "number", "low": 2, "high": 1},
        {"type": "choice"}, {"options": COLOURS}, {"type": "choice", "options": [*COLOURS, COLOURS[0]]},
        {"required": "transition"},
        {"required_to": ["done"]}, {"required": "transition", "required_to": ["cancelled"]}, {"kinds": ["wish"]},
        {"type": "number", "default": "x"}, {"audience": "all"}, {"colour": "red"},
    ]  # fmt: skip
    for more in wrong:
        with pytest.raises(InvalidFields):
            define(conn, **{"key": "serial", **more})
    define(conn, "serial")
    for taken in ("serial", "alarm_id", "failure_cause"):
        with pytest.raises(FieldTaken):
            define(conn, taken)
    assert [each.key for each in fields.definitions(conn)][-3:] == ["serial", "failure_mechanism", "failure_cause"]


def test_a_field_is_changed_and_retired_and_keeps_what_tickets_say(conn: Connection, world: World) -> None:
    made = define(conn, "colour", type="choice", options=COLOURS)
    assert made.field_id is not None
    ticket = order(conn, world, fields={"colour": "red"})
    fields.change(conn, made.field_id, options=COLOURS[1:], label={"en": "Colour", "zh": "颜色"})
    assert edit(conn, world, ticket, colour="red", hall=1).fields == {"colour": "red", "hall": 1}  # said before
    with pytest.raises(InvalidFields):
        order(conn, world, mode="other", fields={"colour": "red"})
    fields.retire(conn, made.field_id, at=NOW)
    with pytest.raises(InvalidFields, match="no field 'colour'"):
        edit(conn, world, ticket, colour="blue")
    assert edit(conn, world, ticket, hall=2).fields["colour"] == "red"
    with pytest.raises(FieldTaken):
        define(conn, "colour")
    assert fields.retire(conn, made.field_id, at=None).retired_at is None
    with pytest.raises(MillwrightError):
        fields.change(conn, 999_999, unit="bar")


def test_a_finished_order_names_a_known_fault(conn: Connection, world: World) -> None:
    ticket = walk(conn, world.lin, order(conn, world), "accepted", "arrived")
    given_ = {**tickets_world.DONE, "failure_code": "gremlins"}
    with pytest.raises(InvalidFields, match="no failure code 'gremlins'"):
        service.transition(conn, world.lin, ticket.ticket_id, to="done", fields=given_, now=NOW)
    made = failure_codes.add(
        conn, part="mode", code="gremlins", name={"en": "Gremlins", "zh": "小精灵"}, asset_class="pump"
    )
    said = {"failure_mechanism": "2.4", "failure_cause": "3.4"}
    done = service.transition(conn, world.lin, ticket.ticket_id, to="done", fields=given_, custom=said, now=NOW)
    assert (done.failure_code, done.fields) == ("gremlins", said)
    assert made in failure_codes.catalogue(conn, part=failure_codes.Part.MODE, asset_class="pump")
    assert made not in failure_codes.catalogue(conn, asset_class="motor")
    with pytest.raises(CodeKnown):
        failure_codes.add(conn, part="cause", code="3.4", name=LABEL)
    assert made.code_id is not None
    failure_codes.retire(conn, made.code_id, at=NOW)
    assert made not in failure_codes.catalogue(conn)


def test_every_mode_of_the_library_is_a_failure_code() -> None:
    from maintenance import library

    known = {(each.asset_class, each.code) for each in failure_codes.shipped() if each.part is failure_codes.Part.MODE}
    for asset_class in library.classes():
        for mode in library.modes(asset_class):
            assert (asset_class, mode.code) in known or ("", mode.code) in known, (asset_class, mode.code)
