"""Dispatch and stock over the API: rights, shapes, the secret calendar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.embedded import EmbeddedServer
from core.jobs import run_due
from tests.api_world import API, World, cloned, living, problem, seeded
from tests.external_server import ExternalServer
from tickets import engineers


@pytest.fixture(scope="module")
def world(server: EmbeddedServer | ExternalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("dispatch")) as made:
        yield seeded(made)


@pytest.fixture(scope="module")
def engineer_id(world: World) -> int:
    with world.database.tx(site_id=world.alpha) as conn:
        row = conn.execute("select user_id from users where login = 'engineer'").fetchone()
        assert row
        return engineers.create(conn, name="Engineer", skills={"mechanical": 2}, user_id=row[0])


def order(world: World) -> int:
    made = world.as_("planner").post(f"{API}/tickets", json={"kind": "corrective", "title": "Seal leaks"})
    assert made.status_code == 201, made.text
    return int(made.json()["ticket_id"])


def test_plan_accept_and_calendar(world: World, engineer_id: int) -> None:
    planner = world.as_("planner")
    ticket_id = order(world)
    needs = {"duration_s": 1800, "crew": 1, "level": 1}
    assert planner.put(f"{API}/tickets/{ticket_id}/needs", json=needs).json()["duration_s"] == 1800
    asked = planner.post(f"{API}/plans", json={"seconds": 1})
    assert (asked.status_code, asked.json()["status"]) == (202, "planning")
    plan = f"{API}/plans/{asked.json()['plan_id']}"
    run_due(world.database)
    shown = planner.get(plan).json()
    assert shown["status"] == "draft"
    assert ticket_id in {visit["ticket_id"] for visit in shown["visits"]}
    assert all(visit["reasons"] for visit in shown["visits"])
    accepted = planner.post(f"{plan}/accept")
    assert (accepted.status_code, accepted.json()["not_given"]) == (200, [])
    assert problem(planner.post(f"{plan}/accept"))["code"] == "plan_not_draft"
    made = world.as_("engineer").post(f"{API}/engineers/{engineer_id}/calendar")
    with world.browser() as nobody:
        calendar = nobody.get(made.json()["path"])
        assert (calendar.status_code, calendar.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
        assert "BEGIN:VEVENT" in calendar.text
        assert nobody.get(made.json()["path"].replace(".ics", "x.ics")).status_code == 404
        assert world.as_("engineer").delete(f"{API}/engineers/{engineer_id}/calendar").status_code == 204
        assert nobody.get(made.json()["path"]).status_code == 404


def test_the_pool_and_handing_over(world: World, engineer_id: int) -> None:
    planner, engineer = world.as_("planner"), world.as_("engineer")
    setting = planner.get(f"{API}/dispatch/settings").json()
    assert planner.put(f"{API}/dispatch/settings", json={**setting, "routing": "pool"}).status_code == 200
    ticket_id = order(world)
    assert ticket_id in [each["ticket_id"] for each in engineer.get(f"{API}/pool").json()["items"]]
    taken = engineer.post(f"{API}/tickets/{ticket_id}/grab")
    assert taken.json()["assignee"]["engineer_id"] == engineer_id
    assert problem(engineer.post(f"{API}/tickets/{ticket_id}/grab"))["code"] == "already_taken"
    refused = engineer.post(
        f"{API}/tickets/{ticket_id}/hand-over", json={"note": "x"}, headers={"if-match": f'"{taken.json()["version"]}"'}
    )
    assert problem(refused)["code"] == "lacks_skill"  # nobody else
    assert planner.put(f"{API}/dispatch/settings", json=setting).status_code == 200
    assert engineer.get(f"{API}/tickets/{ticket_id}/suggestions").json()["items"][0]["reasons"]


def test_stock_over_the_api(world: World, engineer_id: int) -> None:
    planner, engineer = world.as_("planner"), world.as_("engineer")
    store_id = planner.put(f"{API}/stores", json={"code": "main", "name": "Main"}).json()["store_id"]
    part_id = planner.put(f"{API}/parts", json={"code": "6205", "name": "Bearing", "price": 40}).json()["part_id"]
    received = {"store_id": store_id, "part_id": part_id, "quantity": 3}
    assert planner.post(f"{API}/stock/receive", json=received).status_code == 204
    ticket_id = order(world)
    booking = {"move": "consume", "part_id": part_id, "quantity": 2}
    used = engineer.post(f"{API}/tickets/{ticket_id}/parts", json=booking).json()["items"]
    assert [(each["code"], each["consumed"], each["amount"]) for each in used] == [("6205", 2, 80)]
    assert problem(engineer.post(f"{API}/tickets/{ticket_id}/parts", json=booking))["code"] == "short_of_stock"
    back = engineer.post(f"{API}/tickets/{ticket_id}/parts", json={**booking, "move": "return", "quantity": 1})
    assert back.json()["items"][0]["consumed"] == 1
    assert planner.get(f"{API}/stock").json()["items"][0]["on_hand"] == 2
    assert [each["code"] for each in engineer.get(f"{API}/parts", params={"q": "bear"}).json()["items"]] == ["6205"]
    kit = {"asset_class": "pump", "mode": "*", "parts": [{"part_id": part_id, "quantity": 1}]}
    line = planner.put(f"{API}/kits", json=kit).json()["items"][0]
    assert (line["code"], line["version"], line["changed_by"]) == ("6205", 1, "Planner")
    assert planner.get(f"{API}/purchase-requests").json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/plans", {}),
        ("PUT", "/stores", {"code": "x", "name": "x"}),
        ("POST", "/stock/receive", {"store_id": 1, "part_id": 1, "quantity": 1}),
        ("PUT", "/dispatch/settings", {}),
    ],
)
def test_engineers_do_not_plan_or_keep_the_store(world: World, method: str, path: str, body: object) -> None:
    assert world.as_("engineer").request(method, f"{API}{path}", json=body).status_code == 403


def test_times_are_added_listed_and_taken_back(world: World, engineer_id: int) -> None:
    planner = world.as_("planner")
    times = {"begins": "2126-01-01T08:00:00Z", "ends": "2126-01-02T08:00:00Z"}
    for table, owner in (("absences", engineer_id), ("on-call", engineer_id)):
        made = planner.post(f"{API}/dispatch/times/{table}", json={**times, "owner_id": owner})
        assert made.status_code == 201, made.text
        listed = planner.get(f"{API}/dispatch/times/{table}", params={"begins": times["begins"]}).json()["items"]
        assert [each["owner_id"] for each in listed] == [owner]
        assert planner.delete(f"{API}/dispatch/times/{table}/{made.json()['ident']}").status_code == 204
    turned = {"owner_id": engineer_id, "begins": times["ends"], "ends": times["begins"]}
    assert planner.post(f"{API}/dispatch/times/absences", json=turned).status_code == 422
    strange = {**times, "owner_id": 999_999}
    assert planner.post(f"{API}/dispatch/times/windows", json=strange).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/stores", {"code": "van", "name": "Van"}),
        ("/parts", {"code": "SEAL", "name": "Seal"}),
        ("/kits", {"asset_class": "fan", "mode": "*", "parts": []}),
    ],
)
def test_what_stands_is_changed_by_who_looked_at_it(world: World, path: str, body: dict[str, Any]) -> None:
    planner = world.as_("planner")
    if path == "/kits":
        part = planner.put(f"{API}/parts", json={"code": "BELT", "name": "Belt"}).json()["part_id"]
        body = {**body, "parts": [{"part_id": part, "quantity": 1}]}
    assert planner.put(f"{API}{path}", json=body).status_code == 200
    other = {**body, "parts": [{**body["parts"][0], "quantity": 2}]} if "parts" in body else {**body, "name": "Other"}
    assert problem(planner.put(f"{API}{path}", json=other))["status"] == 428
    assert planner.put(f"{API}{path}", json=other, headers={"if-match": '"1"'}).status_code == 200
    stale = problem(planner.put(f"{API}{path}", json=body, headers={"if-match": '"1"'}))
    assert (stale["status"], stale["current"]["version"], stale["current"]["changed_by"]) == (412, 2, "Planner")
    assert planner.put(f"{API}{path}", json=body, headers={"if-match": '"2"'}).status_code == 200


def test_an_engineer_is_read_and_replaced_whole(world: World, engineer_id: int) -> None:
    planner, where = world.as_("planner"), f"{API}/engineers/{engineer_id}"
    before = planner.get(where)
    assert before.headers["etag"] == f'"{before.json()["version"]}"'
    seen = {"if-match": before.headers["etag"]}
    night = {"weekday": 4, "starts": "22:00", "ends": "06:00"}
    held = {"code": "crane", "valid_until": "2126-01-01T00:00:00Z"}
    body = {
        "name": "Engineer",
        "skills": {"mechanical": 3},
        "shifts": [night],
        "certificates": [held],
        "x_m": 5,
        "y_m": 7,
    }
    assert problem(planner.put(where, json=body))["status"] == 428
    made = planner.put(where, json=body, headers=seen).json()
    assert (made["skills"], made["shifts"], made["x_m"], made["y_m"]) == ({"mechanical": 3}, [night], 5, 7)
    assert (made["certificates"], made["changed_by"]) == ([held], "Planner")
    stale = problem(planner.put(where, json={**body, "skills": {}}, headers=seen))
    assert (stale["status"], stale["current"]["skills"]) == (412, {"mechanical": 3})
    for part, given in (("home", {"x_m": 1, "y_m": 2}), ("certificates", {"certificates": []})):
        assert problem(planner.put(f"{where}/{part}", json=given, headers=seen))["status"] == 412
    twice = {**body, "certificates": [held, held]}
    now = {"if-match": f'"{made["version"]}"'}
    assert problem(planner.put(where, json=twice, headers=now))["status"] == 422
    assert world.as_("engineer").put(where, json=body, headers=now).status_code == 403
    away = {"owner_id": engineer_id, "begins": "2020-01-01T00:00:00Z", "ends": "2126-01-01T00:00:00Z", "kind": "sick"}
    ident = planner.post(f"{API}/dispatch/times/absences", json=away).json()["ident"]
    (shown,) = [e for e in planner.get(f"{API}/engineers").json()["items"] if e["engineer_id"] == engineer_id]
    assert ([each["ident"] for each in shown["absences"]], shown["on_shift"]) == ([ident], False)
    assert planner.delete(f"{API}/dispatch/times/absences/{ident}").status_code == 204
    moved = planner.put(f"{where}/home", json={"x_m": 1, "y_m": 2}, headers=now).json()
    assert (moved["x_m"], moved["version"]) == (1, made["version"] + 1)


def test_an_engineer_is_not_made_anew_by_who_did_not_look(world: World, engineer_id: int) -> None:
    planner = world.as_("planner")
    standing = planner.get(f"{API}/engineers/{engineer_id}").json()
    body = {"login": "engineer", "name": "Engineer", "skills": standing["skills"], "shifts": standing["shifts"]}
    assert problem(planner.post(f"{API}/engineers", json=body))["status"] == 428
    old = {"if-match": f'"{standing["version"] + 9}"'}
    assert problem(planner.post(f"{API}/engineers", json=body, headers=old))["status"] == 412
    seen = {"if-match": f'"{standing["version"]}"'}
    made = planner.post(f"{API}/engineers", json=body, headers=seen).json()
    assert (made["engineer_id"], made["version"]) == (engineer_id, standing["version"] + 1)


def test_the_site_says_what_follows_a_surprise(world: World, engineer_id: int) -> None:
    planner = world.as_("planner")
    setting = planner.get(f"{API}/dispatch/settings").json()
    assert setting["replanning"] == "propose"
    changed = planner.put(f"{API}/dispatch/settings", json={**setting, "replanning": "adopt"})
    assert changed.json()["replanning"] == "adopt"
    assert problem(planner.put(f"{API}/dispatch/settings", json={**setting, "replanning": "x"}))["status"] == 422
    assert planner.put(f"{API}/dispatch/settings", json=setting).status_code == 200
    asked = planner.post(f"{API}/plans", json={"seconds": 1}).json()
    assert (asked["by_itself"], asked["because"]) == (False, [])
    run_due(world.database)
    planner.post(f"{API}/plans/{asked['plan_id']}/accept")
    away = {"owner_id": engineer_id, "begins": "2020-01-01T00:00:00Z", "ends": "2126-01-01T00:00:00Z", "kind": "sick"}
    ident = planner.post(f"{API}/dispatch/times/absences", json=away).json()["ident"]
    run_due(world.database)
    newest = planner.get(f"{API}/plans").json()["items"][0]
    assert (newest["by_itself"], newest["because"]) == (True, [{"cause": "sickness", "name": "Engineer"}])
    assert [each["kind"] for each in planner.get(f"{API}/notifications").json()["items"]].count("replan") == 1
    assert planner.delete(f"{API}/dispatch/times/absences/{ident}").status_code == 204
    assert planner.post(f"{API}/plans/{newest['plan_id']}/discard").status_code == 200
