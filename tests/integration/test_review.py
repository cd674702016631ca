"""The review queue, policies and the moment that is kept with each prediction, on the real database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from core.database import Database
from core.errors import Conflict, NotFound, Stale
from maintenance import (
    decision_path,
    feedback,
    gate,
    machine,
    moments,
    policies,
    policy_preview,
    queries,
    review,
    review_queue,
    store,
    verdicts,
)
from maintenance.errors import BadPolicy, BadReview, ReviewDecided
from maintenance.gate import Standing
from maintenance.guard import GUARD
from maintenance.model import Action
from maintenance.policies import PolicyTaken, Scope
from maintenance.review import Rejection
from plant import assets
from tests.integration.test_maintenance import HOUR, PLANNER, T0, Pump, all_tickets, evidence, persist, say
from tickets import engineers, hooks
from tickets import service as tickets
from tickets import store as tickets_store

NOW = T0 + 6 * HOUR
REVIEWED = {"opening": "review"}


@pytest.fixture
def wired() -> Iterator[None]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield


@pytest.fixture
def pump(conn: Connection, site: int, wired: None) -> Pump:
    return reviewed(conn, site)


def reviewed(conn: Connection, site: int) -> Pump:
    engineers.create(conn, name="Wang", skills={"mechanical": 3}, user_id=None)
    policies.create(conn, Scope("pump"), REVIEWED, by="planner", now=T0)
    return Pump(conn, site)


def queue(conn: Connection, **more: Any) -> list[dict[str, Any]]:
    return review_queue.items(conn, **{"state": "open", "now": NOW, **more})


def proposed(conn: Connection, pump: Pump) -> dict[str, Any]:
    assert [each.action for each in persist(conn, pump)][-1] is Action.PROPOSE
    (item,) = queue(conn)
    return item


# -- proposing --------------------------------------------------------------------------------------------------------


def test_a_planner_is_asked_where_the_policy_says_so(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    assert all_tickets(conn) == []
    assert (item["asset"]["code"], item["mode"]["code"], item["why"]) == ("P-101", "bearing_wear", "policy")
    assert item["risk"] > 0 and item["p50_h"] > 0 and item["cost"]["failure"] == 24_000
    assert item["moment"]["start_at"] >= T0 and item["contributions"][0]["code"] == "vibration"
    assert any("计划员" in each["zh"] for each in item["reasons"])


def test_every_further_forecast_brings_the_same_item_up_to_date(conn: Connection, pump: Pump) -> None:
    before = proposed(conn, pump)
    for hour in range(4, 8):
        say(conn, pump.finding(hour, health=0.72 - 0.08 * (hour - 4)))
    (after,) = queue(conn)
    assert after["review_id"] == before["review_id"] and after["prediction_id"] > before["prediction_id"]
    assert after["p50_h"] < before["p50_h"] and after["risk"] >= before["risk"]


def test_an_alarm_that_ends_leaves_the_queue(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    say(conn, pump.finding(5, active=False, health=0.95))
    assert queue(conn) == [] and review_queue.item(conn, item["review_id"])["state"] == "ended"


def test_other_classes_open_by_themselves(conn: Connection, site: int, wired: None) -> None:
    policies.create(conn, Scope("fan"), REVIEWED, by="planner", now=T0)
    assert Action.OPEN in [each.action for each in persist(conn, Pump(conn, site))]
    assert queue(conn) == []


def test_automatic_needs_a_proven_precision_where_one_is_asked_for(conn: Connection, site: int, wired: None) -> None:
    policies.create(conn, Scope("pump"), {"proven": 0.75}, by="planner", now=T0)
    pump = Pump(conn, site)
    persist(conn, pump)
    (item,) = queue(conn)
    assert item["why"] == "unproven"
    policy = policies.of(conn, assets.asset(conn, pump.asset_id), "bearing_wear")
    before = review.proven(conn, "bank", pump.asset_id, policy)
    ticket = review.accept(conn, PLANNER, item["review_id"], version=1, now=NOW)
    for number in range(20):
        conn.execute(
            """insert into verdicts (ticket_id, asset_id, detector, mode, verdict, given_by, given_at)
               values (%s, %s, 'bank', 'bearing_wear', 'confirmed', 'Wang', %s)""",
            (ticket.ticket_id + 1000 + number, pump.asset_id, NOW),
        )
    after = review.proven(conn, "bank", pump.asset_id, policy)
    assert before < 0.75 < after < 1


@pytest.mark.parametrize(("standing", "action"), [(Standing.SHADOW, Action.NONE), (Standing.REVIEW, Action.PROPOSE)])
def test_the_gate_is_asked_before_an_order(
    conn: Connection, site: int, wired: None, monkeypatch: pytest.MonkeyPatch, standing: Standing, action: Action
) -> None:
    monkeypatch.setattr(gate, "standing", lambda *_: standing)
    made = persist(conn, Pump(conn, site))
    assert made[-1].action is action and all_tickets(conn) == []


# -- deciding ---------------------------------------------------------------------------------------------------------


def test_accepting_opens_the_order_with_all_its_evidence(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    ticket = review.accept(conn, PLANNER, item["review_id"], version=item["version"], now=NOW)
    (found,) = all_tickets(conn)
    assert (found.ticket_id, found.kind, found.mode) == (ticket.ticket_id, "preventive", "bearing_wear")
    (why,) = evidence(conn, ticket.ticket_id, "evidence")
    assert why["detector"] == "bank" and why["forecast"] and why["decision"]["reasons"]
    (who,) = evidence(conn, ticket.ticket_id, "review")
    assert "Planner" in who["text"]["en"] and queue(conn) == []
    later = say(conn, pump.finding(7, health=0.6))
    assert later and later.action is Action.UPDATE
    (past,) = queue(conn, state="decided")
    assert past["state"] == "accepted" and past["ticket"]["ref"] == found.ref


def test_two_planners_accept_at_once_and_one_is_told(database: Database, site: int, wired: None) -> None:
    with database.tx(site_id=site) as conn:
        item = proposed(conn, reviewed(conn, site))

    def accept(_: int) -> str:
        try:
            with database.tx(site_id=site) as conn:
                return review.accept(conn, PLANNER, item["review_id"], version=item["version"], now=NOW).ref
        except ReviewDecided as told:
            assert "accepted by Planner as WO-" in told.message
            return ""

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(accept, range(6)))
    assert sorted(map(bool, said)) == [False] * 5 + [True]
    with database.tx(site_id=site) as conn:
        assert len(all_tickets(conn)) == 1 and tickets_store.verify_site(conn) == {}


def test_an_order_that_is_open_can_carry_it(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    other = Pump(conn, pump.site, "P-102")
    line = assets.create_asset(conn, code="L-1", name="Line", asset_class="", level="line")
    for each in (pump, other):
        conn.execute("update assets set parent_id = %s where asset_id = %s", (line, each.asset_id))
    with pytest.raises(NotFound):
        review.merge(conn, PLANNER, item["review_id"], 10**6, version=1, now=NOW)
    persist(conn, other)
    (first,) = [each for each in queue(conn) if each["asset"]["code"] == "P-102"]
    ticket = review.accept(conn, PLANNER, first["review_id"], version=1, now=NOW)
    review.merge(conn, PLANNER, item["review_id"], ticket.ticket_id, version=1, now=NOW)
    assert len(all_tickets(conn)) == 1 and queue(conn) == []
    assert {each["ticket"]["ref"] for each in queries.alarms(conn)} == {ticket.ref}


def test_an_order_of_another_line_does_not_carry_it(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    other = assets.create_asset(conn, code="P-102", name="Pump", asset_class="pump")
    part = assets.create_asset(conn, code="B-1", name="Bearing", asset_class="", parent_id=pump.asset_id)
    far, near = (
        tickets.open(conn, PLANNER, kind="inspection", title="Look", asset_id=each, now=NOW).ticket
        for each in (other, part)
    )
    with pytest.raises(BadReview, match="another line"):
        review.merge(conn, PLANNER, item["review_id"], far.ticket_id, version=1, now=NOW)
    review.merge(conn, PLANNER, item["review_id"], near.ticket_id, version=1, now=NOW)


def test_each_rejection_of_an_alarm_counts(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    reason = "looked at it, all well"
    review.reject(conn, PLANNER, item["review_id"], why=Rejection.NOTHING_FOUND, reason=reason, version=1, now=NOW)
    again = conn.execute(
        """insert into review_items (asset_id, alarm_id, prediction_id, mode, risk, why, proposed_at, due_at)
           select asset_id, alarm_id, prediction_id, mode, risk, why, %(at)s, %(at)s from review_items
           returning review_id""",
        {"at": NOW + 300 * HOUR},
    ).fetchone()
    assert again
    then = NOW + 301 * HOUR
    review.reject(conn, PLANNER, again[0], why=Rejection.NOTHING_FOUND, reason=reason, version=1, now=then)
    assert [each.judged for each in verdicts.precision(conn)] == [2]


def test_a_snooze_has_an_owner_and_ends(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    for owner, until in (("", NOW + HOUR), ("Wang", NOW), ("Wang", NOW + timedelta(days=91))):
        with pytest.raises(BadReview):
            review.snooze(conn, item["review_id"], owner=owner, until=until, reason="", version=1, now=NOW)
    review.snooze(conn, item["review_id"], owner="Wang", until=NOW + 24 * HOUR, reason="part", version=1, now=NOW)
    assert queue(conn) == [] and queue(conn, state="snoozed")[0]["owner"] == "Wang"
    say(conn, pump.finding(7, health=0.6))
    assert queue(conn) == [] and review_queue.counts(conn, NOW) == {"open": 0, "snoozed": 1}
    assert len(queue(conn, now=NOW + 25 * HOUR)) == 1


@pytest.mark.parametrize(("why", "labels"), [(Rejection.NOTHING_FOUND, {"nothing_found": 1}), (Rejection.KNOWN, {})])
def test_a_rejection_is_a_label_and_a_silence(
    conn: Connection, pump: Pump, why: Rejection, labels: dict[str, int]
) -> None:
    item = proposed(conn, pump)
    with pytest.raises(BadReview):
        review.reject(conn, PLANNER, item["review_id"], why=why, reason=" ", version=1, now=NOW)
    review.reject(conn, PLANNER, item["review_id"], why=why, reason="looked at it, all well", version=1, now=NOW)
    counted = conn.execute("select verdict, count(*) from verdicts group by verdict").fetchall()
    assert dict(counted) == labels
    again = say(conn, pump.finding(7, health=0.7))
    assert again and again.action is Action.NONE and again.reasons[0].key.startswith("muted_")
    assert queue(conn) == [] and all_tickets(conn) == []


@pytest.mark.parametrize("why", [Rejection.NOTHING_FOUND, Rejection.SENSOR])
def test_the_verdict_of_a_rejection_can_be_corrected(conn: Connection, pump: Pump, why: Rejection) -> None:
    """It has no order, so there is no timeline to write on; counts and silence follow all the same."""
    item = proposed(conn, pump)
    review.reject(conn, PLANNER, item["review_id"], why=why, reason="looked at it, all well", version=1, now=NOW)
    (said,) = verdicts.listed(conn)
    assert said.ticket_id is None

    def correct(verdict: str, code: str | None, at: datetime) -> None:
        before = verdicts.get(conn, said.verdict_id)
        given = replace(before, verdict=verdict, failure_code=code)
        feedback.correct(conn, PLANNER, said.verdict_id, given, reason="it broke", version=before.version, now=at)

    def muted(at: datetime) -> bool:
        return machine.muted(conn, store.alarm(conn, said.alarm_id), at) is not None

    assert muted(NOW + HOUR)
    correct("confirmed", None, NOW + HOUR)
    assert not muted(NOW + HOUR)
    assert [each.precision for each in verdicts.precision(conn)] == [1.0]
    assert len(verdicts.changes(conn, said.verdict_id)) == 1
    correct("nothing_found", None, NOW + 2 * HOUR)
    assert muted(NOW + 3 * HOUR)
    assert [each.precision for each in verdicts.precision(conn)] == [0.0]


def test_what_was_seen_before_a_change_cannot_be_decided(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    review.snooze(conn, item["review_id"], owner="Wang", until=NOW + HOUR, reason="", version=1, now=NOW)
    with pytest.raises(Stale):
        review.accept(conn, PLANNER, item["review_id"], version=1, now=NOW)
    with pytest.raises(NotFound):
        review.accept(conn, PLANNER, 10**6, version=1, now=NOW)


def test_the_top_twenty_of_ten_thousand_come_at_once(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    conn.execute(
        """insert into alarms (asset_id, kind, mode, detector, started_at, raised_at, last_at, deviating_since,
             surprise, health) select asset_id, kind, mode || n, detector, started_at, raised_at, last_at,
             deviating_since, surprise, health from alarms, generate_series(1, 10000) n where alarm_id = %s""",
        (item["alarm_id"],),
    )
    conn.execute(
        """insert into review_items (asset_id, alarm_id, prediction_id, mode, risk, why, proposed_at, due_at)
           select asset_id, alarm_id, %s, mode, (alarm_id * 7919) %% 100000, 'policy', %s, %s from alarms
           where alarm_id <> %s""",
        (item["prediction_id"], T0, T0, item["alarm_id"]),
    )
    began = time.perf_counter()
    found = queue(conn)
    taken = time.perf_counter() - began
    risks = [each["risk"] for each in found]
    assert len(found) == 20 and risks == sorted(risks, reverse=True) and risks[-1] > 99_000
    assert taken < 1.0
    assert len(queue(conn, search="P-10")) == 20 and queue(conn, search="100%") == []


# -- moments ----------------------------------------------------------------------------------------------------------


def test_each_prediction_keeps_its_curve_and_its_path(conn: Connection, pump: Pump) -> None:
    item = proposed(conn, pump)
    shown = moments.shown(conn, item["prediction_id"])
    assert shown["currency"] == "EUR" and len(shown["points"]) >= 40
    assert shown["chosen"]["total"] == pytest.approx(item["moment"]["total"], abs=0.01)
    assert {each["what"] for each in shown["alternatives"]} >= {"now", "wait"}
    assert [each["chosen"] for each in shown["alternatives"]].count(True) == 1
    assert all(each["en"] and each["zh"] for each in shown["reasons"])
    path = decision_path.of(conn, item["prediction_id"])
    assert (path["detector"], path["detector_version"], path["model"]) == ("bank", "1", shown["forecast"]["model"])
    assert path["policies"] == shown["policies"] and len(path["policies"]) == 1
    assert [each["action"] for each in path["decisions"]] == ["propose"]
    with pytest.raises(NotFound):
        moments.shown(conn, 10**6)


def test_windows_and_missing_parts_enter_the_curve(conn: Connection, pump: Pump) -> None:
    conn.execute(
        "insert into production_windows (asset_id, begins, ends) values (%s, %s, %s)",
        (pump.asset_id, T0 + 30 * HOUR, T0 + 42 * HOUR),
    )
    (part,) = conn.execute(
        "insert into parts (code, name, lead_s) values ('6312', 'bearing', 86400) returning part_id"
    ).fetchone() or (0,)
    conn.execute("insert into kits (class, mode, part_id, quantity) values ('pump', '*', %s, 1)", (part,))
    shown = moments.shown(conn, proposed(conn, pump)["prediction_id"])
    assert shown["lead_h"] == 24 and shown["points"][0]["hours"] == 24
    assert shown["windows"][0]["start_at"] == T0 + 30 * HOUR
    assert any(each["in_window"] and each["stopping"] == 0 for each in shown["points"])
    assert max(each["stopping"] for each in shown["points"]) > 0


# -- policies ---------------------------------------------------------------------------------------------------------


def test_the_special_lies_over_the_general(conn: Connection, pump: Pump) -> None:
    asset = assets.asset(conn, pump.asset_id)
    policies.create(conn, Scope("pump", "bearing_wear"), {"travel": 100, "persist_h": 3}, by="planner", now=T0)
    policies.create(conn, Scope(asset_id=asset.asset_id), {"travel": 70}, by="planner", now=T0)
    worn, other = policies.of(conn, asset, "bearing_wear"), policies.of(conn, asset, "cavitation")
    assert (worn.opening, worn.travel, worn.persist) == ("review", 70, 3 * HOUR)
    assert (other.opening, other.travel, other.persist) == ("review", 70, policies.SHIPPED.persist)


def test_policies_are_versioned_and_refuse_what_cannot_be_meant(conn: Connection, pump: Pump) -> None:
    (kept,) = policies.rows_of(conn)
    with pytest.raises(PolicyTaken):
        policies.create(conn, Scope("pump"), {}, by="manager", now=NOW)
    with pytest.raises(BadPolicy):
        policies.change(conn, kept.policy_id, {"travel": -1}, version=1, by="manager", now=NOW)
    made = policies.change(conn, kept.policy_id, {"travel": 5}, version=1, by="manager", now=NOW)
    assert made.version == 2 and policies.of(conn, assets.asset(conn, pump.asset_id), "*").opening == "automatic"
    with pytest.raises(Stale):
        policies.change(conn, kept.policy_id, {}, version=1, by="manager", now=NOW)
    policies.retire(conn, kept.policy_id, version=2, by="manager", now=NOW)
    assert [each["version"] for each in policies.versions(conn, kept.policy_id)] == [3, 2, 1]
    assert policies.of(conn, assets.asset(conn, pump.asset_id), "*") == policies.SHIPPED
    with pytest.raises(BadPolicy, match="cost_failure is below"):
        policies.create(conn, Scope("pump", "cavitation"), {"cost_planned": 9, "cost_failure": 1}, by="m", now=NOW)
    assert issubclass(PolicyTaken, Conflict)


def test_a_policy_is_tried_on_what_was_recorded_before_it_applies(conn: Connection, pump: Pump) -> None:
    persist(conn, pump, range(30))
    same = policy_preview.preview(conn, Scope("pump"), REVIEWED, days=30, now=NOW)
    assert (same.alarms, same.opens_now, same.would_open, same.different) == (1, 1, 1, [])
    slow = policy_preview.preview(conn, Scope("pump"), {"persist_h": 20}, days=30, now=NOW)
    assert (slow.opens_now, slow.would_open, slow.later) == (1, 1, 1)
    assert slow.different[0]["would_open_at"] >= T0 + 19 * HOUR
    never = policy_preview.preview(conn, Scope("pump"), {"persist_h": 40}, days=30, now=NOW)
    assert (never.would_open, never.different[0]["would_open_at"]) == (0, None)
    assert policies.of(conn, assets.asset(conn, pump.asset_id), "*").persist == policies.SHIPPED.persist
