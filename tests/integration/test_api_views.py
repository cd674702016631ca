"""The doors to lists and to what people keep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem, seeded, ticket


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


def test_a_list_by_filter_sort_and_columns(world: World) -> None:
    for priority in (3, 1, 2, 1):
        ticket(world, priority=priority, title=f"=cmd p{priority}")
    wanted = json.dumps([{"field": "priority", "op": "le", "value": 2}])
    query = {"filter": wanted, "sort": "-priority", "columns": "ref,cost", "limit": "2", "count": "true"}
    first = world.as_("engineer").get(f"{API}/lists/tickets", params=query).json()
    assert [each["priority"] for each in first["items"]] == [2, 1]
    assert (first["total"], set(first["items"][0]["values"])) == (3, {"ref", "cost"})
    rest = world.as_("engineer").get(f"{API}/lists/tickets", params=query | {"cursor": first["next"]}).json()
    assert ([each["priority"] for each in rest["items"]], rest["next"]) == ([1], None)
    fields = {each["name"]: each for each in world.as_("planner").get(f"{API}/lists/fields").json()}
    assert fields["opened_at"]["sortable"] and "between" in fields["opened_at"]["ops"]


def test_files(world: World) -> None:
    ticket(world, title="=cmd")
    got = world.as_("planner").get(f"{API}/lists/tickets.csv", params={"columns": "ref,title", "excel": "true"})
    assert got.headers["content-type"].startswith("text/csv")
    assert got.content.startswith(b"\xef\xbb\xbfNumber,Title\r\n") and b",'=cmd" in got.content
    for name in ("assets", "engineers", "articles"):
        assert world.as_("planner").get(f"{API}/lists/{name}.csv?locale=zh").status_code == 200
    for login in ("requester", "agent", "device"):
        assert problem(world.as_(login).get(f"{API}/lists/tickets.csv"))["status"] == 403


def test_what_people_keep(world: World) -> None:
    planner, engineer = world.as_("planner"), world.as_("engineer")
    body: dict[str, Any] = {"kind": "view", "name": "Mine", "body": {"sort": ["-cost"]}}
    kept = planner.post(f"{API}/saved", json=body).json()
    where = f"{API}/saved/{kept['saved_id']}"
    assert problem(planner.post(f"{API}/saved", json=body))["code"] == "name_taken"
    assert problem(engineer.patch(where, json={"name": "x"}, headers={"if-match": '"1"'}))["status"] == 404
    shared = planner.patch(where, json={"audience": "shared"}, headers={"if-match": '"1"'}).json()
    assert (
        engineer.post(f"{API}/saved/default", json={"kind": "view", "saved_id": shared["saved_id"]}).status_code == 204
    )
    seen = engineer.get(f"{API}/saved?kind=view").json()
    assert [(each["name"], each["mine"], each["is_default"]) for each in seen] == [("Mine", False, True)]
    assert world.as_("stranger").get(f"{API}/saved?kind=view").json() == []
    assert planner.delete(where).status_code == 204


def test_many_tickets_at_once(world: World) -> None:
    planner = world.as_("planner")
    chosen = [{"ticket_id": ticket(world)["ticket_id"]} for _ in range(2)]
    body: dict[str, Any] = {"tickets": [*chosen, {"ticket_id": 9999}], "changes": {"set": {"priority": 1}}}
    rows = planner.post(f"{API}/bulk/preview", json=body).json()
    assert [(each["after"]["priority"], each["code"]) for each in rows[:2]] == [(1, None)] * 2
    assert (rows[2]["after"], rows[2]["code"]) == ({}, "not_found")
    unseen = problem(planner.post(f"{API}/bulk", json=body))
    assert (unseen["status"], unseen["code"], len(unseen["tickets"])) == (428, "version_missing", 3)
    body["tickets"] = [{"ticket_id": row["ticket_id"], "version": row["version"]} for row in rows[:2]]
    body["tickets"].append({"ticket_id": 9999, "version": 1})
    refused = problem(planner.post(f"{API}/bulk", json=body))
    assert (refused["code"], refused["errors"][0]["ticket_id"]) == ("bulk_refused", 9999)
    done = planner.post(f"{API}/bulk", json=body | {"how": "each"}).json()
    undone = planner.post(f"{API}/bulk/{done['bulk_id']}/undo").json()
    assert [each["after"]["priority"] for each in undone] == [3, 3]
    named = {"tickets": chosen, "changes": {"set": {"skill": "electrical", "mode": "oil_leak"}}}
    shown = planner.post(f"{API}/bulk/preview", json=named).json()
    assert [(row["after"].get("skill"), row["after"].get("mode")) for row in shown] == [("electrical", "oil_leak")] * 2
    assert problem(world.as_("engineer").post(f"{API}/bulk", json=body))["status"] == 403
    assert problem(world.as_("stranger").post(f"{API}/bulk/{done['bulk_id']}/undo"))["status"] == 404


@pytest.mark.parametrize(
    "query",
    ["filter=%00", "filter=[", 'filter=[{"field":1}]', "filter=NaN", "sort=x", "cursor=e30", "columns=x,,", "limit=0"],
)
def test_strange_lists_are_refused_plainly(world: World, query: str) -> None:
    assert 400 <= problem(world.as_("planner").get(f"{API}/lists/tickets?{query}"))["status"] < 500
