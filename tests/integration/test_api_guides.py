"""Guides over HTTP: who may do what, versions, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api import up
from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem, seeded
from tests.api_world import ticket as opened
from tests.external_server import ExternalServer
from tickets.hooks import hooks

GUIDE: dict[str, Any] = {
    "classes": ["pump"],
    "modes": ["bearing_wear"],
    "title": {"en": "Bearings of our pumps"},
    "body": {"en": "<script>alert(1)</script> Heat the **bearing**."},
    "steps": [{"text": {"en": "Measure vibration"}, "unit": "mm/s", "high": 4.5}],
}


@pytest.fixture(scope="module")
def world(
    server: EmbeddedServer | ExternalServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("guides")) as made:
        yield seeded(made)
    hooks.become(kept)


def match(shown: dict[str, Any]) -> dict[str, str]:
    return {"If-Match": f'"{shown["version"]}"'}


def test_a_guide_from_draft_to_order_and_back(world: World) -> None:
    engineer, planner = world.as_("engineer"), world.as_("planner")
    made = engineer.post(f"{API}/articles", json={"code": "house-bearing", "content": GUIDE})
    assert made.status_code == 201 and made.json()["body"]["en"].startswith("<script>"), "text stays text"
    shown, path = made.json(), f"{API}/articles/{made.json()['article_id']}"
    assert (shown["state"], shown["languages"], shown["body"]["zh"]) == ("draft", ["en"], shown["body"]["en"])
    assert problem(world.as_("agent").get(path))["code"] == "not_allowed"
    assert path.rsplit("/", 1)[1] not in str(
        [each["article_id"] for each in world.as_("agent").get(f"{API}/articles").json()["items"]]
    )
    assert engineer.post(f"{path}/publish", headers=match(shown)).status_code == 403
    shown = planner.post(f"{path}/publish", headers=match(shown)).json()
    newer = {**GUIDE, "title": {"en": "Second"}}
    edited = planner.put(path, json={"content": newer, "note": "better"}, headers=match(shown))
    assert edited.json()["unpublished"] and edited.json()["title"]["en"] == "Bearings of our pumps"
    conflict = planner.put(path, json={"content": GUIDE}, headers=match(shown))
    assert conflict.status_code == 412 and problem(conflict)["current"]["version"] == edited.json()["version"]
    agent = world.as_("agent")
    assert [each["number"] for each in agent.get(f"{path}/revisions").json()] == [1], "a reader sees what is published"
    assert agent.get(f"{path}/revisions/1").json()["title"]["en"] == "Bearings of our pumps"
    assert agent.get(f"{path}/revisions/2").status_code == 403
    assert agent.get(f"{path}/diff?before=1&after=2").status_code == 403
    rows = planner.get(f"{path}/revisions").json()
    assert [(each["number"], each["by_name"], each["note"]) for each in rows] == [
        (2, "Planner", "better"), (1, "Engineer", ""),
    ]  # fmt: skip
    assert planner.get(f"{path}/revisions/2").json()["content"]["title"] == {"en": "Second"}
    lines = planner.get(f"{path}/diff", params={"before": 1, "after": 2}).json()["lines"]
    assert "+[en] Second" in lines

    order = opened(world, kind="incident", mode="bearing_wear", title="Bearing of the pump is loud")
    guides = planner.get(f"{API}/tickets/{order['ticket_id']}/guides").json()
    mine = next(each for each in guides if each["article_id"] == shown["article_id"])
    assert "mode bearing_wear" in mine["reason"]["en"] and "words: bearing" in mine["reason"]["en"]
    of_order = f"{API}/tickets/{order['ticket_id']}/guides/{shown['article_id']}"
    for step, body in (("opened", None), ("used", None), ("rating", {"rating": 5})):
        assert engineer.post(f"{of_order}/{step}", json=body).status_code == 204
    detail = planner.get(f"{API}/tickets/{order['ticket_id']}").json()
    best = next(each for each in detail["articles"] if each["article_id"] == shown["article_id"])
    assert (best["used"], best["rating"]) == (True, 5)
    (row,) = planner.get(f"{API}/articles/usefulness", params={"article_id": shown["article_id"]}).json()
    assert (row["pushed"], row["opened"], row["used"], row["rating"]) == (1, 1, 1, 5.0)
    assert planner.get(f"{API}/tickets/{order['ticket_id']}/similar").json() == []

    back = planner.post(f"{path}/restore", json={"revision": 1}, headers=match(edited.json())).json()
    gone = planner.post(f"{path}/archive", headers=match(back)).json()
    assert gone["state"] == "archived"


def test_what_does_not_fit_is_refused_with_a_sentence(world: World) -> None:
    planner = world.as_("planner")
    for content, says in (
        ({**GUIDE, "classes": ["spaceship"]}, "no asset class"),
        ({**GUIDE, "steps": [{"text": {"en": ""}}]}, "Step 1 is empty"),
        ({**GUIDE, "body": {"en": "x" * 60_000}}, "longer than 50000"),
    ):
        refused = planner.post(f"{API}/articles", json={"code": "bad", "content": content})
        assert refused.status_code == 422 and says in problem(refused)["detail"]
    huge = planner.post(f"{API}/articles", json={"code": "bad", "content": {**GUIDE, "body": {"en": "x" * 1_100_000}}})
    assert huge.status_code in (413, 422) and problem(huge)["detail"]
    none = planner.post(f"{API}/articles/draft", json={"asset_class": "pump", "mode": "cavitation"})
    assert problem(none)["code"] == "nothing_to_draft"
    assert world.as_("stranger").post(f"{API}/articles/1/publish", headers={"If-Match": '"1"'}).status_code == 404


def test_the_hold_out_is_the_managers(world: World) -> None:
    assert world.as_("planner").put(f"{API}/articles/settings", json={"hold_out": 0.1}).status_code == 403
    assert world.as_("manager").put(f"{API}/articles/settings", json={"hold_out": 0.6}).status_code == 422
    assert world.as_("manager").put(f"{API}/articles/settings", json={"hold_out": 0.1}).json() == {"hold_out": 0.1}
    effect = world.as_("planner").get(f"{API}/articles/effect").json()
    assert effect["hold_out"] == 0.1 and effect["sentence"]["zh"].startswith("工单太少")
    world.as_("manager").put(f"{API}/articles/settings", json={"hold_out": 0})
