"""The chain: the same bytes before and after the database, and nothing changed without being noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickets import chain
from tickets.chain import canonical, problems, replay, seal
from tickets.errors import ChainBroken
from tickets.model import Actor, ActorKind, Audience, Event, Ticket

AT = datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC)
LIN = Actor(ActorKind.PERSON, 7, "Lin", "engineer")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4), inner)
    ),
    max_leaves=12,
)


def through_jsonb(text: str) -> Any:
    """What jsonb does to numbers: it keeps them as decimals and prints them without an exponent."""

    def number(digits: str) -> Any:
        plain = format(Decimal(digits), "f")
        return float(plain) if "." in plain else int(plain)

    return json.loads(text, parse_float=number)


@given(json_values)
def test_canonical_json_is_the_same_after_the_database(value: Any) -> None:
    assert canonical(through_jsonb(json.dumps(value))) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\0", "\ud800", {"\0": 1}, {"a": object()}, AT])
def test_what_jsonb_cannot_keep_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical(value)


def test_the_hash_covers_every_field() -> None:
    base = Event(1, 1, 2, AT, LIN, "comment", Audience.INTERNAL, {"text": "x"}, b"p", b"")
    others = [
        replace(base, ticket_id=2),
        replace(base, site_id=2),
        replace(base, seq=3),
        replace(base, at=AT + timedelta(microseconds=1)),
        replace(base, actor=replace(LIN, name="Wang")),
        replace(base, actor=replace(LIN, actor_id=8)),
        replace(base, actor=replace(LIN, kind=ActorKind.AGENT)),
        replace(base, kind="evidence"),
        replace(base, audience=Audience.REQUESTER),
        replace(base, body={"text": "y"}),
        replace(base, prev_hash=b"q"),
    ]
    hashes = {chain.event_hash(event) for event in [base, *others]}
    assert len(hashes) == 1 + len(others)
    shanghai = AT.astimezone(timezone(timedelta(hours=8)))
    assert chain.event_hash(replace(base, at=shanghai)) == chain.event_hash(base)


def timeline() -> list[Event]:
    bodies: list[dict[str, Any]] = [
        {
            "after": {
                "ref": "WO-2026-000001",
                "kind": "preventive",
                "status": "new",
                "priority": 3,
                "title": "Bearing",
                "description": "",
                "channel": "web",
                "fields": {},
                "assignment_reasons": [],
                "opened_at": chain.time_text(AT),
            }
        },
        {"before": {"status": "new"}, "after": {"status": "assigned", "assignee_id": 5}},
        {"text": "Parts are here."},
        {"before": {"verdict": None}, "after": {"verdict": "confirmed", "fields": {"hours": 2}}},
    ]
    events: list[Event] = []
    for seq, body in enumerate(bodies, start=1):
        prev = events[-1].hash if events else chain.GENESIS
        events.append(seal(Event(1, 1, seq, AT, LIN, "x", Audience.INTERNAL, body, prev, b"")))
    return events


def test_replay_folds_the_timeline_into_the_row() -> None:
    row = replay(timeline())
    assert (row.status, row.assignee_id, row.verdict, row.fields) == ("assigned", 5, "confirmed", {"hours": 2})
    assert (row.version, row.event_count, row.head_hash) == (3, 4, timeline()[-1].hash)
    assert row.opened_at == AT
    assert list(problems(row, timeline())) == []


def test_replay_needs_an_opening_event() -> None:
    with pytest.raises(ChainBroken):
        replay([])
    with pytest.raises(ChainBroken):
        replay(timeline()[1:])


def tamperings() -> dict[str, tuple[Ticket, list[Event]]]:
    events, row = timeline(), replay(timeline())
    extra = seal(Event(1, 1, 5, AT, LIN, "x", Audience.INTERNAL, {"text": "me too"}, events[-1].hash, b""))
    forged = seal(replace(events[1], body={"after": {"status": "closed"}}))
    relinked = [events[0], forged]
    for event in events[2:]:
        relinked.append(seal(replace(event, prev_hash=relinked[-1].hash)))
    return {
        "a body changed": (row, [*events[:2], replace(events[2], body={"text": "No parts."}), events[3]]),
        "a name changed": (row, [replace(events[0], actor=replace(LIN, name="Wang")), *events[1:]]),
        "the tail deleted": (row, events[:3]),
        "the middle deleted": (row, [events[0], *events[2:]]),
        "everything deleted": (row, []),
        "a tail added": (row, [*events, extra]),
        "one event doubled": (row, [*events, events[3]]),
        "two swapped": (row, [events[0], events[2], events[1], events[3]]),
        "the chain forged anew from the middle": (row, relinked),
        "the status of the row changed": (replace(row, status="closed"), events),
        "the fields of the row changed": (replace(row, fields={}), events),
        "the version of the row changed": (replace(row, version=9), events),
        "row and tail cut back together, but not the status": (
            replace(row, event_count=3, head_hash=events[2].hash),
            events[:3],
        ),
    }


@pytest.mark.parametrize("what", tamperings())
def test_tampering_is_noticed(what: str) -> None:
    row, events = tamperings()[what]
    assert list(problems(row, events)), what
