"""Review queue, cost curves and maintenance policies over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from api import up
from core.embedded import EmbeddedServer
from maintenance import policies
from maintenance.policies import Scope
from tests.api_world import API, World, cloned, living, problem, seeded
from tests.external_server import ExternalServer
from tests.integration.test_maintenance import T0, Pump, persist
from tickets.hooks import hooks


@pytest.fixture(scope="module")
def world(
    server: EmbeddedServer | ExternalServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("review")) as made:
        yield seeded(made)
    hooks.become(kept)


def propose(world: World, code: str) -> dict[str, Any]:
    """A proposal about a new pump, as the planner sees it."""
    with world.database.tx(site_id=world.alpha) as conn:
        if not policies.rows_of(conn):
            policies.create(conn, Scope("pump"), {"opening": "review"}, by="manager", now=T0)
        persist(conn, Pump(conn, world.alpha, code))
    found = world.as_("planner").get(f"{API}/review", params={"q": code})
    assert found.status_code == 200, found.text
    (item,) = found.json()["items"]
    made: dict[str, Any] = item
    return made


def seen(item: dict[str, Any]) -> dict[str, str]:
    return {"If-Match": f'"{item["version"]}"'}


def test_a_planner_accepts_and_the_second_is_told(world: World) -> None:
    item = propose(world, "P-1")
    assert item["moment"]["what"] in ("now", "window", "wait") and item["p_fail_horizon"] is not None
    path = f"{API}/review/{item['review_id']}/accept"
    assert world.as_("engineer").post(path, headers=seen(item)).status_code == 403
    assert world.as_("planner").post(path).status_code == 428
    made = world.as_("planner").post(path, headers=seen(item))
    assert made.status_code == 200 and made.json()["ref"].startswith("WO-")
    told = problem(world.as_("manager").post(path, headers=seen(item)))
    assert told["code"] == "review_decided" and "Planner" in told["detail"] and made.json()["ref"] in told["detail"]


def test_merge_snooze_and_reject(world: World) -> None:
    item, planner = propose(world, "P-2"), world.as_("planner")
    place = f"{API}/review/{item['review_id']}"
    until = (T0 + timedelta(days=10_000)).isoformat()
    refused = problem(planner.post(f"{place}/snooze", json={"owner": "Wang", "until": until}, headers=seen(item)))
    assert refused["code"] == "bad_review"
    assert problem(planner.post(f"{place}/merge", json={"ticket_id": 10**6}, headers=seen(item)))["status"] == 404
    no = {"why": "nothing_found", "reason": "we looked: all well"}
    done = planner.post(f"{place}/reject", json=no, headers=seen(item))
    assert done.json()["state"] == "rejected" and "all well" in done.json()["reason"]
    assert item["review_id"] in [
        each["review_id"] for each in planner.get(f"{API}/review?state=decided").json()["items"]
    ]


def test_every_prediction_shows_its_curve_and_its_path(world: World) -> None:
    item, engineer = propose(world, "P-3"), world.as_("engineer")
    curve = engineer.get(f"{API}/predictions/{item['prediction_id']}/curve").json()
    totals = [each["total"] for each in curve["points"]]
    assert curve["chosen"]["total"] == min(totals) and curve["currency"] == "EUR" and curve["reasons"]
    path = engineer.get(f"{API}/predictions/{item['prediction_id']}").json()
    assert path["decisions"][-1]["action"] == "propose" and path["policies"] and path["model"]
    assert engineer.get(f"{API}/predictions/999999/curve").status_code == 404
    assert world.as_("stranger").get(f"{API}/predictions/{item['prediction_id']}").status_code == 404


def test_policies_are_edited_with_versions_and_tried_first(world: World) -> None:
    manager, place = world.as_("manager"), f"{API}/maintenance/policies"
    names = {each["name"] for each in manager.get(f"{place}/settings").json()}
    assert {"opening", "cost_failure", "stop_cost_h"} <= names
    body: dict[str, Any] = {"asset_class": "fan", "settings": {"travel": 120}}
    assert world.as_("planner").post(place, json=body).status_code == 403
    assert problem(manager.post(place, json=body))["code"] == "unproven", "orders would open otherwise, unseen"
    body |= {"grounds": "override", "reason": "the fare has risen"}
    made = manager.post(place, json=body)
    assert made.status_code == 201 and made.headers["etag"] == '"1"'
    assert problem(manager.post(place, json=body))["code"] == "policy_taken"
    one = f"{place}/{made.json()['policy_id']}"
    bad = problem(manager.put(one, json={"settings": {"travel": -1}}, headers={"If-Match": '"1"'}))
    assert bad["code"] == "bad_policy" and "not negative" in bad["detail"]
    other = {**body, "settings": {"travel": 80}}
    other.pop("asset_class")
    assert manager.put(one, json=other, headers={"If-Match": '"1"'}).json()["version"] == 2
    assert problem(manager.delete(one, headers={"If-Match": '"1"'}))["code"] == "stale"
    force = manager.get(f"{place}/in-force", params={"asset_class": "fan"}).json()
    assert force["settings"]["travel"] == 80 and force["made_of"][0]["version"] == 2
    tried = manager.post(f"{place}/preview", json={"asset_class": "fan", "settings": {"persist_h": 4}, "days": 30})
    assert tried.status_code == 200 and tried.json()["alarms"] == 0
    assert manager.delete(one, headers={"If-Match": '"2"'}).status_code == 204
    versions = manager.get(f"{one}/versions").json()
    assert [each["active"] for each in versions] == [False, True, True]
    assert [each["grounds"] for each in versions] == ["", "override", "override"]
