"""The doors of alarms: list and filter, shelve and bring back, rules, out of service, feeds, groups, hygiene."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from core.clock import wall_now
from core.embedded import EmbeddedServer
from detectors.base import Finding, FindingKind, Sentence
from maintenance import grouping, service, works
from plant import assets
from tests.api_world import API, World, cloned, living, problem, seeded

RULE = {"name": "Line stopped", "asset_class": "pump", "whose": "parent", "states": [0]}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


@pytest.fixture(scope="module")
def flood(world: World) -> list[int]:
    """Six pumps on one supply that began together two minutes ago; returns their asset ids."""
    now = wall_now()
    with world.database.tx(site_id=world.alpha) as conn:
        supply = assets.create_asset(conn, code="AIR-1", name="Air", asset_class="")
        made = []
        for number in range(6):
            pump = assets.create_asset(conn, code=f"FL-{number}", name="Pump", asset_class="pump")
            signal = assets.create_signal(conn, asset_id=pump, code="p", name="p", quantity="pressure", unit="bar")
            works.feed(conn, pump, supply, "air")
            at = now - timedelta(seconds=120 - number)
            service.on_finding(conn, Finding(
                "bank", "1", FindingKind.MACHINE, pump, world.alpha, None, at, at, 5.0, True, {signal: 1.0},
                {signal: -1}, 0.4, Sentence("drift", {}),
            ), at)  # fmt: skip
            made.append(pump)
        grouping.settle(conn, now, service.POLICY)
    return made


def rows(world: World, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = world.as_("planner").get(f"{API}{path}", params=query)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    listed: list[dict[str, Any]] = found["items"] if isinstance(found, dict) else found
    return listed


def test_a_common_cause_is_listed_with_its_members_and_why(world: World, flood: list[int]) -> None:
    (group,) = rows(world, "/alarm-groups")
    assert group["scope"]["en"] == "AIR-1" and group["members"] == 6 and "6 of 6 machines" in group["why"]["en"]
    one = world.as_("engineer").get(f"{API}/alarm-groups/{group['group_id']}").json()
    assert {each["asset_id"] for each in one["who"]} == set(flood)
    assert one["ticket"]["ref"] and all(each["why"]["zh"] for each in one["who"])
    assert world.as_("stranger").get(f"{API}/alarm-groups/{group['group_id']}").status_code == 404


def test_alarms_are_filtered(world: World, flood: list[int]) -> None:
    every = rows(world, "/alarms", state="open", limit=200)
    assert {each["asset_id"] for each in every} >= set(flood)
    assert {each["severity"] for each in rows(world, "/alarms", severity=2)} == {2}
    assert rows(world, "/alarms", kind="sensor") == [] and rows(world, "/alarms", held="suppressed") == []
    assert problem(world.as_("planner").get(f"{API}/alarms", params={"held": "x"}))["status"] == 422


def test_shelving_once_and_bringing_back(world: World, flood: list[int]) -> None:
    (alarm,) = rows(world, "/alarms", asset_id=flood[0])
    planner, path = world.as_("planner"), f"{API}/alarms/{alarm['alarm_id']}"
    body = {"until": (wall_now() + timedelta(hours=2)).isoformat(), "reason": "valve on order"}
    assert world.as_("engineer").post(f"{path}/shelve-once", json=body).status_code == 403
    shelved = planner.post(f"{path}/shelve-once", json=body).json()
    assert (shelved["state"], shelved["shelf"], shelved["shelved_by"]) == ("shelved", "once", "Planner")
    assert [each["alarm_id"] for each in rows(world, "/alarms", state="shelved")] == [alarm["alarm_id"]]
    assert planner.post(f"{path}/unshelve").json()["state"] == "active"
    assert problem(planner.post(f"{path}/unshelve"))["code"] == "illegal_alarm_move"


def test_rules_are_made_changed_and_retired(world: World) -> None:
    planner = world.as_("planner")
    assert world.as_("engineer").post(f"{API}/suppression-rules", json=RULE).status_code == 403
    made = planner.post(f"{API}/suppression-rules", json=RULE)
    assert made.status_code == 201, made.text
    path = f"{API}/suppression-rules/{made.json()['rule_id']}"
    assert planner.put(path, json=RULE).status_code == 428
    changed = planner.put(path, json={**RULE, "states": [0, 3]}, headers={"if-match": '"1"'})
    assert changed.json()["states"] == [0, 3] and changed.json()["version"] == 2
    assert problem(planner.put(path, json=RULE, headers={"if-match": '"1"'}))["code"] == "stale_tuning"
    mistakes: list[dict[str, Any]] = [
        {"states": []},
        {"states": [-1]},
        {"whose": "x"},
        {"name": ""},
        {"asset_id": 999_999},
    ]
    for wrong in mistakes:
        assert planner.post(f"{API}/suppression-rules", json={**RULE, **wrong}).status_code in (404, 422)
    assert planner.delete(path).status_code == 204 and rows(world, "/suppression-rules") == []


def test_tunings_are_said_and_taken_back(world: World) -> None:
    planner = world.as_("planner")
    made = planner.post(f"{API}/alarm-tunings", json={"asset_class": "pump", "dead_band": 0.05, "on_delay_s": 60})
    assert made.status_code == 201, made.text
    assert problem(planner.post(f"{API}/alarm-tunings", json={"asset_class": "pump"}))["code"] == "stale_tuning"
    for wrong in ({"dead_band": 0.6}, {"on_delay_s": -1}, {"chatter_per_minute": 1}, {"stale_h": 0}):
        assert planner.post(f"{API}/alarm-tunings", json=wrong).status_code == 422
    changed = planner.put(f"{API}/alarm-tunings", json={"asset_class": "pump"}, headers={"if-match": '"1"'})
    assert (changed.json()["version"], changed.json()["dead_band"]) == (2, None)
    assert planner.delete(f"{API}/alarm-tunings/{made.json()['tuning_id']}").status_code == 204


def test_out_of_service_lock_outs_and_feeds(world: World, flood: list[int]) -> None:
    planner, asset = world.as_("planner"), {"asset_id": flood[1]}
    out = planner.post(f"{API}/alarms-out-of-service", json={**asset, "reason": "meter removed"})
    assert out.status_code == 201 and [each["asset_id"] for each in rows(world, "/alarms-out-of-service")] == [flood[1]]
    assert planner.post(f"{API}/alarms-out-of-service/{out.json()['out_id']}/return").status_code == 204
    work = world.as_("engineer").post(f"{API}/asset-works", json={**asset, "kind": "lockout", "reason": "belt"})
    assert work.status_code == 201 and rows(world, "/asset-works")[0]["kind"] == "lockout"
    assert world.as_("engineer").post(f"{API}/asset-works/{work.json()['work_id']}/end").status_code == 204
    feed: dict[str, Any] = {**asset, "feeder_id": flood[2], "medium": "water"}
    assert planner.post(f"{API}/feeds", json=feed).json()["feeder_code"] == "FL-2"
    circle = planner.post(f"{API}/feeds", json={"asset_id": flood[2], "feeder_id": flood[1], "medium": "water"})
    assert problem(circle)["code"] == "bad_feed"
    assert planner.delete(f"{API}/feeds", params=feed).status_code == 204
    assert rows(world, "/alarm-holds") == []


def test_hygiene_figures_open_their_alarms(world: World, flood: list[int]) -> None:
    report = world.as_("planner").get(f"{API}/alarm-hygiene").json()
    figures = {each["figure"]: each for each in report["figures"]}
    behind = rows(world, "/alarm-hygiene/alarms")
    assert figures["alarms"]["value"] == sum(each["count"] for each in behind) >= len(flood)
    assert figures["flood_share"]["target"] == "<= 0.01" and figures["stale"]["met"] is True
    wrong = {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
    assert world.as_("planner").get(f"{API}/alarm-hygiene", params=wrong).status_code == 422
    assert world.as_("planner").get(f"{API}/alarm-hygiene/nothing").status_code == 422
