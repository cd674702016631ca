"""The work at the machine over the real API: who may, what a phone sends, what it gets back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api import up
from core.embedded import EmbeddedServer
from tests import file_kit as kit
from tests.api_world import API, World, cloned, living, problem, seeded, ticket
from tickets import engineers, hooks

SOON = "2020-01-01T00:00:00Z"
STROKES = "M1 1 L2 2 L3 3 L4 2 L5 1"


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with cloned(server) as database, living(database, folder) as running, hooks.only():
        up.wire()
        seeded(running)
        with database.tx(site_id=running.alpha) as conn:
            row = conn.execute("select user_id from users where login = 'engineer'").fetchone()
            assert row
            engineers.create(conn, name="Engineer", skills={"mechanical": 2}, user_id=row[0])
        yield running


@pytest.fixture(scope="module")
def pump(world: World) -> int:
    body = {"code": "P-101", "name": "Feed pump", "asset_class": "pump"}
    return int(world.as_("planner").post(f"{API}/assets", json=body).json()["asset_id"])


@pytest.fixture
def inspection(world: World, pump: int) -> dict[str, Any]:
    return ticket(world, kind="inspection", asset_id=pump)


def post(world: World, path: str, body: dict[str, Any], *, by: str = "engineer") -> Any:
    return world.as_(by).post(f"{API}{path}", json=body)


def test_a_round_is_answered_line_by_line_until_it_is_done(world: World, inspection: dict[str, Any]) -> None:
    ident, client = inspection["ticket_id"], world.as_("engineer")
    (found,) = client.get(f"{API}/tickets/{ident}/work").json()["checklists"]
    assert (found["code"], found["revision"]) == ("pump-round", 1)
    assert {line["item"]["code"] for line in found["lines"] if line["lacks"]} == {"running", "seal_leak", "oil"}
    answers = f"/checklists/{found['checklist_id']}/answers"
    base = {"answered_at": SOON}
    running = {**base, "item": "running", "client_id": "c-000001", "value": "running"}
    shown = post(world, answers, running).json()
    assert {line["item"]["code"] for line in shown["lines"] if line["applies"]} > {"vibration", "noise"}
    refused = problem(post(world, answers, {**base, "item": "vibration", "client_id": "c-000002", "value": "much"}))
    assert (refused["code"], refused["errors"][0]["field"]) == ("invalid_fields", "value")
    bad = post(world, answers, {**base, "item": "vibration", "client_id": "c-000003", "value": 11.2}).json()
    (line,) = [each for each in bad["lines"] if each["item"]["code"] == "vibration"]
    assert (line["answer"]["outcome"], line["answer"]["value"]) == ("failed", 11.2)
    opened = client.get(f"{API}/tickets/{line['follow_up']}").json()
    assert (opened["kind"], opened["asset"]["code"]) == ("corrective", "P-101")
    photo = client.post(f"{API}/tickets/{ident}/attachments", content=kit.picture("JPEG")).json()["attachment_id"]
    for number, (item, value, photos) in enumerate(
        [("seal_leak", "drops", [photo]), ("bearing_temperature", 61, []), ("noise", "even", []), ("oil", True, [])]
    ):
        body = {**base, "item": item, "client_id": f"c-10000{number}", "value": value, "photos": photos}
        shown = post(world, answers, body).json()
    assert shown["open"] == 0


def test_done_names_the_open_lines_over_the_api(world: World, inspection: dict[str, Any]) -> None:
    ident, client = inspection["ticket_id"], world.as_("engineer")
    for to, fields in (("accepted", {}), ("arrived", {}), ("done", {"note": "Walked."})):
        version = client.get(f"{API}/tickets/{ident}").json()["version"]
        moved = client.post(
            f"{API}/tickets/{ident}/transition", json={"to": to, "fields": fields}, headers={"if-match": f'"{version}"'}
        )
    refused = problem(moved)
    assert (refused["status"], refused["code"]) == (409, "checklist_open")
    assert "oil" in {each["field"] for each in refused["errors"]}


def test_time_downtime_and_a_signature_are_shown_with_the_work(world: World, inspection: dict[str, Any]) -> None:
    ident, client = inspection["ticket_id"], world.as_("engineer")
    mine = client.get(f"{API}/me").json()["engineer_id"]
    rated = world.as_("planner").put(f"{API}/engineers/{mine}/rate", json={"hourly_rate": 48})
    assert (rated.status_code, rated.text) == (204, "")
    assert client.put(f"{API}/engineers/{mine}/rate", json={"hourly_rate": 90}).status_code == 403
    worked = {"client_id": "w-000001", "began_at": SOON, "minutes": 25, "note": "Greased"}
    made = post(world, f"/tickets/{ident}/labour", worked)
    assert (made.status_code, made.json()["engineer"]) == (201, "Engineer")
    span = {"client_id": "d-000001", "began_at": SOON, "ended_at": "2020-01-01T01:00:00Z"}
    assert post(world, f"/tickets/{ident}/downtime", span).status_code == 201
    seen = client.get(f"{API}/tickets/{ident}/work").json()["head_hash"]
    body = {"client_id": "s-000001", "purpose": "accepted", "name": "Lead", "strokes": STROKES, "signed_at": SOON}
    signed = post(world, f"/tickets/{ident}/signatures", {**body, "seen": seen})
    assert signed.status_code == 201, signed.text
    work = client.get(f"{API}/tickets/{ident}/work").json()
    assert (work["downtime_s"], work["cost"], [each["minutes"] for each in work["labour"]]) == (3600, 20, [25])
    assert [(each["holds"], each["since"]) for each in work["signatures"]] == [(True, 1)]
    voided = post(world, f"/labour/{made.json()['labour_id']}/void", {"reason": "wrong order"})
    assert voided.json()["voided_at"] is not None


def test_requesters_and_other_sites_see_no_work(world: World, inspection: dict[str, Any]) -> None:
    ident = inspection["ticket_id"]
    assert world.as_("requester").get(f"{API}/tickets/{ident}/work").status_code == 403
    assert world.as_("stranger").get(f"{API}/tickets/{ident}/work").status_code == 404
    (found,) = world.as_("planner").get(f"{API}/tickets/{ident}/work").json()["checklists"]
    body = {"item": "oil", "client_id": "x-000001", "answered_at": SOON, "value": True}
    assert post(world, f"/checklists/{found['checklist_id']}/answers", body, by="stranger").status_code == 404
    assert post(world, f"/checklists/{found['checklist_id']}/answers", body, by="agent").status_code == 403


def test_planners_write_checklists_and_put_them_on_orders(world: World, pump: int) -> None:
    said = {"en": "Tight", "zh": "紧固"}
    body = {
        "code": "bolts",
        "asset_class": "motor",
        "title": said,
        "items": [{"code": "a", "type": "tick", "text": said}],
    }
    made = post(world, "/checklists", body, by="planner")
    assert (made.status_code, made.json()["revision"]) == (201, 1)
    assert post(world, "/checklists", body, by="planner").status_code == 200
    other = {**body, "mode": "x"}
    assert problem(post(world, "/checklists", other, by="planner"))["code"] == "checklist_known"
    path, planner = f"{API}/checklists/{made.json()['template_id']}", world.as_("planner")
    change = {name: other[name] for name in other.keys() - {"code"}}
    assert problem(planner.put(path, json=change))["code"] == "if_match_missing"
    second = planner.put(path, json=change, headers={"if-match": '"1"'})
    assert (second.headers["etag"], second.json()["code"], second.json()["mode"]) == ('"2"', "bolts", "x")
    late = problem(world.as_("admin").put(path, json=change | {"mode": ""}, headers={"if-match": '"1"'}))
    assert (late["code"], late["current"]["revision"], late["current"]["by"]) == ("stale", 2, "Planner")
    assert post(world, "/checklists", body).status_code == 403
    wrong = {**body, "items": [{"code": "a", "type": "tick", "text": said, "high": 3}]}
    assert problem(post(world, "/checklists", wrong, by="planner"))["code"] == "invalid_fields"
    codes = [each["code"] for each in world.as_("engineer").get(f"{API}/checklists").json()["items"]]
    assert {"bolts", "pump-round"} <= set(codes)
    order = ticket(world, kind="corrective", asset_id=pump)
    put = {"template_id": made.json()["template_id"]}
    for _ in range(2):
        work = post(world, f"/tickets/{order['ticket_id']}/checklists", put, by="planner").json()
        assert [each["code"] for each in work["checklists"]] == ["bolts"]
    request = ticket(world, kind="request")
    assert post(world, f"/tickets/{request['ticket_id']}/checklists", put, by="planner").status_code == 422
