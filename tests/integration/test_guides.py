"""Guides: revisions and publishing, the push into orders, what came of it, past orders, drafts from orders."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from psycopg import Connection

from core.errors import NotFound, Stale
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World, order, walk
from tickets import checklists, definitions, hooks, service
from tickets import store as ticket_store
from tickets.checklists import Entry
from tickets.errors import InvalidFields
from tickets.knowledge import articles, content, drafting, intervals, outcome, push, revisions, shelf, similar, store
from tickets.knowledge.store import Article, State
from tickets.model import SYSTEM, Ticket

GUIDE: dict[str, Any] = {
    "classes": ["pump"],
    "modes": ["bearing_wear"],
    "title": {"en": "Bearings of our pumps"},
    "body": {"en": "Heat the **bearing** to 110 °C."},
    "steps": [{"text": {"en": "Measure vibration"}, "unit": "mm/s", "high": 4.5}],
}


@pytest.fixture
def world(conn: Connection) -> Iterator[World]:
    with hooks.only(on_event=push.on_event):
        yield tickets_world.build(conn)


def made(conn: Connection, world: World, code: str = "house-bearing", **parts: Any) -> Article:
    return articles.make(conn, world.planner, code=code, given={**GUIDE, **parts}, now=NOW)


def published(conn: Connection, world: World, code: str = "house-bearing", **parts: Any) -> Article:
    found = made(conn, world, code, **parts)
    return articles.publish(conn, found.article_id, version=found.version)


def codes(conn: Connection, ticket: Ticket) -> list[str]:
    return [store.get(conn, each.article_id).code for each in push.of(conn, ticket)]


def repaired(conn: Connection, world: World, **changes: Any) -> Ticket:
    """An order that the machine itself closed."""
    ticket = walk(conn, world.lin, order(conn, world, **changes), "accepted", "arrived", "done")
    return _closed(conn, ticket)


def _closed(conn: Connection, ticket: Ticket) -> Ticket:
    ticket = service._verify(conn, ticket, definitions.of(conn, ticket), NOW) if ticket.status == "done" else ticket
    return service.transition(conn, SYSTEM, ticket.ticket_id, to="closed", fields={"evidence": {}}, now=NOW)


# -- texts ------------------------------------------------------------------------------------------------------------


def test_a_draft_is_published_edited_and_only_then_what_orders_get_changes(conn: Connection, world: World) -> None:
    draft = made(conn, world)
    assert (draft.state, draft.head, draft.published) == (State.DRAFT, 1, None)
    assert "house-bearing" not in codes(conn, order(conn, world, asset_id=world.pump))
    live = articles.publish(conn, draft.article_id, version=draft.version)
    with pytest.raises(articles.NothingToPublish):
        articles.publish(conn, draft.article_id, version=live.version)
    newer = {**GUIDE, "title": {"en": "Bearings, second edition"}}
    edited = articles.edit(conn, world.planner, live.article_id, given=newer, version=live.version, now=NOW)
    assert (edited.title["en"], edited.head, edited.published) == ("Bearings of our pumps", 2, 1)
    again = articles.edit(conn, world.planner, live.article_id, given=newer, version=edited.version, now=NOW)
    assert again.version == edited.version, "the same text again changes nothing"
    with pytest.raises(Stale) as stale:
        articles.edit(conn, world.planner, live.article_id, given=GUIDE, version=live.version, now=NOW)
    assert stale.value.extra["current"]["version"] == edited.version
    live = articles.publish(conn, edited.article_id, version=edited.version)
    assert (live.title["en"], live.published) == ("Bearings, second edition", 2)
    lines = content.difference(*(revisions.get(conn, live.article_id, each).content for each in (1, 2)))
    assert "-[en] Bearings of our pumps" in lines and "+[en] Bearings, second edition" in lines
    back = articles.restore(conn, world.planner, live.article_id, number=1, version=live.version, now=NOW)
    assert (back.head, articles.working(conn, back).title["en"]) == (3, "Bearings of our pumps")
    gone = articles.archive(conn, back.article_id, version=back.version)
    assert gone.state is State.ARCHIVED and "house-bearing" not in codes(conn, order(conn, world, mode="imbalance"))
    assert [each.by_name for each in revisions.of(conn, live.article_id)] == ["Pat"] * 3


def test_an_own_text_stands_before_a_newer_shipped_one(conn: Connection, world: World) -> None:
    stuck = store.by_code(conn, "sensor-stuck")
    assert stuck
    own = replace(stuck.content, title={"en": "Ours", "zh": "我们的"})
    mine = articles.edit(
        conn, world.planner, stuck.article_id, given=content.as_json(own), version=stuck.version, now=NOW
    )
    better = replace(stuck.content, body={"en": "Shorter.", "zh": "更短。"})
    assert articles.upgrade(conn, "sensor-stuck", better, now=NOW)
    assert not articles.upgrade(conn, "sensor-stuck", better, now=NOW)
    found = store.get(conn, stuck.article_id)
    assert (found.offered, found.head, found.content) == (3, mine.head, stuck.content)
    taken = articles.restore(conn, world.planner, stuck.article_id, number=3, version=found.version, now=NOW)
    assert taken.offered is None and articles.working(conn, taken) == better


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"classes": ["spaceship"]}, "no asset class 'spaceship'"),
        ({"modes": ["haunted"]}, "no failure mode 'haunted'"),
        ({"steps": [{"text": {"en": "  "}}]}, "Step 1 is empty"),
        ({"steps": [{"text": {"en": "x"}, "low": 2, "high": 1}]}, "lower limit 2 is above"),
        ({"steps": [{"text": {"en": "x"}, "high": float("nan")}]}, "is a number"),
        ({"steps": [{"text": {"en": "x"}, "picture": 99}]}, "no picture of this site"),
        ({"title": {"fr": "Palier"}}, "en and zh"),
        ({"title": {}}, "title is needed"),
        ({"body": {"en": ""}, "steps": []}, "says nothing in en"),
        ({"body": {"en": "x" * 1_000_000}}, "longer than 50000"),
        ({"title": {"en": "a", "zh": "b"}, "body": {"en": "x"}, "steps": []}, "says nothing in zh"),
        ({"extra": 1}, "no part 'extra'"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_a_sentence(
    conn: Connection, world: World, parts: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidFields, match=says):
        made(conn, world, **parts)
    assert store.by_code(conn, "house-bearing") is None


def test_a_code_is_taken_once(conn: Connection, world: World) -> None:
    made(conn, world)
    with pytest.raises(articles.ArticleTaken):
        made(conn, world)
    with pytest.raises(InvalidFields):
        made(conn, world, "No Code")


# -- the push ---------------------------------------------------------------------------------------------------------


def test_an_order_gets_the_best_guides_with_the_reason(conn: Connection, world: World) -> None:
    published(conn, world)
    ticket = order(conn, world)
    found = push.of(conn, ticket)
    assert set(codes(conn, ticket)[:2]) == {"house-bearing", "pump-bearing-wear"} and len(found) == shelf.MOST
    assert found[0].reason["en"].startswith("mode bearing_wear, class pump, words: ")
    assert found[0].reason["zh"].startswith("故障模式 bearing_wear，设备类别 pump，共同词语：")
    nothing = service.open(conn, world.planner, kind="request", title="New gloves for the office", now=NOW).ticket
    assert push.of(conn, nothing) == []


def test_choosing_guides_costs_an_opening_little_time(conn: Connection, world: World) -> None:
    for number in range(100):
        published(conn, world, f"house-{number}", title={"en": f"Bearing {number} of pumps, hot and loud"})
    ticket = order(conn, world, title="Pump is hot", description="The bearing is loud and hot. 轴承过热。")
    spent: list[float] = []
    for number in range(30):
        began = time.process_time()
        push.choose(conn, replace(ticket, title=f"Pump {number} is hot"), now=NOW)
        spent.append(time.process_time() - began)
    assert statistics.median(spent) < 0.01, "of the processor: other load changes it little"


def test_an_order_that_becomes_another_gets_other_guides_but_keeps_what_was_used(
    conn: Connection, world: World
) -> None:
    ticket = service.open(
        conn, world.planner, kind="incident", title="Mechanical seal of the pump leaks water", now=NOW
    ).ticket
    (seal, *_) = push.of(conn, ticket)
    assert codes(conn, ticket)[0] == "pump-seal-leak"
    push.used(conn, world.lin, ticket.ticket_id, seal.article_id, now=NOW)
    service.patch(
        conn, world.planner, ticket.ticket_id, changes={"title": "Belt slips on the drum of the conveyor"}, now=NOW
    )
    now_has = codes(conn, ticket_store.get(conn, ticket.ticket_id))
    assert {"conveyor-belt-slip", "pump-seal-leak"} <= set(now_has)


def test_the_index_is_built_anew_only_after_a_change(conn: Connection, world: World) -> None:
    order(conn, world)
    first = shelf.standing(conn, world.pump)
    assert first and first.shelf is getattr(shelf.standing(conn, None), "shelf", None) and first.asset_class == "pump"
    published(conn, world)
    second = shelf.standing(conn, world.pump)
    assert second and second.shelf is not first.shelf


def test_use_and_rating_are_kept_and_told_once(conn: Connection, world: World) -> None:
    ticket = order(conn, world)
    best = push.of(conn, ticket)[0].article_id
    push.opened(conn, ticket.ticket_id, best, now=NOW)
    for _ in range(2):
        push.used(conn, world.lin, ticket.ticket_id, best, now=NOW)
        push.rate(conn, world.lin, ticket.ticket_id, best, rating=4, now=NOW)
    kinds = [each.kind for each in ticket_store.timeline(conn, ticket.ticket_id)]
    assert (kinds.count("guide_used"), kinds.count("guide_rated")) == (1, 1)
    shown = push.of(conn, ticket)[0]
    assert (shown.used_at, shown.rating) == (NOW, 4)
    with pytest.raises(InvalidFields):
        push.rate(conn, world.lin, ticket.ticket_id, best, rating=6, now=NOW)
    with pytest.raises(NotFound):
        push.opened(conn, ticket.ticket_id, 99_999, now=NOW)
    other = next(each for each in store.find(conn) if each.code == "turbofan-unknown")
    push.opened(conn, ticket.ticket_id, other.article_id, now=NOW)
    assert codes(conn, ticket)[-1] == "turbofan-unknown", "what somebody looked up comes last"


# -- what came of it --------------------------------------------------------------------------------------------------


def test_usefulness_counts_verified_repairs_after_use(conn: Connection, world: World) -> None:
    used = order(conn, world)
    best = push.of(conn, used)[0].article_id
    push.used(conn, world.lin, used.ticket_id, best, now=NOW)
    _closed(conn, walk(conn, world.lin, used, "accepted", "arrived", "done"))
    by_hand = walk(conn, world.lin, order(conn, world), "accepted", "arrived", "done")
    service.transition(conn, world.planner, by_hand.ticket_id, to="closed", fields={"note": "seen"}, now=NOW)
    (row,) = outcome.usefulness(conn, best)
    assert (row.pushed, row.used) == (2, 1)
    assert (row.after_use.hits, row.after_use.count) == (1, 1)
    assert (row.without_use.hits, row.without_use.count) == (0, 1), "closed by hand is not verified"
    assert 0 < row.after_use.low < 1 == row.after_use.high


def test_held_out_orders_get_no_guide_and_are_drawn_the_same_way_again(conn: Connection, world: World) -> None:
    with pytest.raises(InvalidFields):
        outcome.hold_out(conn, 0.6)
    outcome.hold_out(conn, 0.5)
    tickets = [order(conn, world, mode=None, title=f"Bearing wear on the pump, {n}") for n in range(24)]
    without = [each for each in tickets if not push.of(conn, each)]
    assert 0 < len(without) < len(tickets)
    known = shelf.standing(conn, None)
    assert known and [each.ticket_id for each in without] == [
        e.ticket_id for e in tickets if known.holds_out(e.ticket_id)
    ]
    outcome.hold_out(conn, 0.0)
    service.patch(conn, world.planner, without[0].ticket_id, changes={"title": "Seal leaks, pump"}, now=NOW)
    assert push.of(conn, ticket_store.get(conn, without[0].ticket_id)) == [], "an order stays where it was drawn"
    found = outcome.effect(conn)
    assert (found.pushed.orders, found.held_out.orders) == (len(tickets) - len(without), len(without))
    assert found.sentence["en"].startswith("Too few orders")
    assert found.verified.value is None


def test_intervals_are_those_of_the_books() -> None:
    wilson = intervals.share(81, 263)
    assert (round(wilson.low, 4), round(wilson.high, 4)) == (0.2553, 0.3662)
    gap = intervals.of_shares(intervals.share(56, 70), intervals.share(48, 80))
    assert (round(gap.low or 0, 4), round(gap.high or 0, 4)) == (0.0524, 0.3339)
    assert intervals.share(0, 0).value is None
    assert intervals.of_means([1.0], [2.0, 3.0]).value is None


# -- the past ---------------------------------------------------------------------------------------------------------


def _checked(conn: Connection, world: World, ticket: Ticket) -> None:
    items = [{"code": "vib", "type": "number", "text": {"en": "Vibration", "zh": "振动"}, "unit": "mm/s", "high": 4.5}]
    template = checklists.publish(
        conn, code="pump-check", scope=("pump", "", ""), title={"en": "Pump", "zh": "泵"}, items=items,
        by_name="Pat", now=NOW,
    )  # fmt: skip
    listed = checklists.put(conn, SYSTEM, ticket, template, now=NOW)
    entry = Entry(item="vib", value=2.0, client_id="device-000001", answered_at=NOW)
    checklists.answer(conn, world.lin, listed or 0, entry, now=NOW)


def test_past_orders_say_what_fixed_them_proven_ones_first(conn: Connection, world: World) -> None:
    by_hand = walk(conn, world.lin, order(conn, world), "accepted", "arrived", "done")
    service.transition(conn, world.planner, by_hand.ticket_id, to="closed", fields={"note": "seen"}, now=NOW)
    proven = order(conn, world)
    walk(conn, world.lin, proven, "accepted", "arrived", "done")
    _closed(conn, ticket_store.get(conn, proven.ticket_id))
    repaired(conn, world, asset_id=world.motor, mode="imbalance", title="Imbalance on M-201")
    first, second, *rest = similar.past(conn, order(conn, world))
    assert (first.ref, first.verified, first.note, first.failure_code) == (
        proven.ref, True, "Bearing changed.", "bearing_wear",
    )  # fmt: skip
    assert (second.ref, second.verified, rest) == (by_hand.ref, False, [])


def test_a_guide_is_drafted_from_proven_orders_with_its_sources(conn: Connection, world: World) -> None:
    with pytest.raises(drafting.NothingToDraft):
        drafting.draft(conn, world.planner, asset_class="pump", mode="bearing_wear", now=NOW)
    ticket = order(conn, world)
    _checked(conn, world, ticket)
    service.comment(conn, world.lin, ticket.ticket_id, text="Seat was scored.", audience="internal", now=NOW)
    walk(conn, world.lin, ticket_store.get(conn, ticket.ticket_id), "accepted", "arrived", "done")
    _closed(conn, ticket_store.get(conn, ticket.ticket_id))
    drafted = drafting.draft(conn, world.planner, asset_class="pump", mode="bearing_wear", now=NOW)
    assert (drafted.state, drafted.code) == (State.DRAFT, "pump-bearing-wear-orders")
    (step,) = drafted.content.steps
    assert (step.text["zh"], step.high, step.unit, step.sources) == ("振动", 4.5, "mm/s", (ticket.ref,))
    for said in (
        f"Seat was scored. ({ticket.ref})",
        f"Bearing changed. ({ticket.ref})",
        f"bearing_wear × 1 ({ticket.ref})",
    ):
        assert said in drafted.content.body["en"]
    again = drafting.draft(conn, world.planner, asset_class="pump", mode="bearing_wear", now=NOW)
    assert again.code == "pump-bearing-wear-orders-2"
    assert drafted.code not in codes(conn, order(conn, world)), "nobody published it"
