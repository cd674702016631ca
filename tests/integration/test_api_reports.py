"""The doors to reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem, seeded, ticket


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("world")) as running:
        yield seeded(running)


def test_reports_by_role(world: World) -> None:
    ticket(world)
    manager = world.as_("manager")
    catalogue = manager.get(f"{API}/reports/catalogue").json()
    assert len(catalogue["measures"]) * len(catalogue["dimensions"]) >= 200
    asked = {"measures": ["opened", "mttr"], "dimensions": ["kind", "day"]}
    shown = manager.post(f"{API}/reports/run", json=asked).json()
    assert (shown["rows"][0][0], shown["rows"][0][2:], shown["totals"]) == ("request", [1.0, None], [1.0, None])
    assert manager.get(f"{API}/reports/problems?by=count").json() == []
    assert world.as_("stranger").post(f"{API}/reports/run", json=asked).json()["totals"] == [0.0, None]
    for login in ("requester", "agent", "gateway"):
        assert problem(world.as_(login).post(f"{API}/reports/run", json=asked))["status"] == 403


def test_a_kept_report_as_a_file_and_by_the_clock(world: World) -> None:
    planner = world.as_("planner")
    me = planner.get(f"{API}/me").json()["user_id"]
    body: dict[str, Any] = {
        "kind": "report",
        "name": "Week / 周",
        "body": {"measures": ["cost"], "dimensions": ["kind"]},
    }
    kept = planner.post(f"{API}/saved", json=body).json()
    for form, begins in (("csv", b"\xef\xbb\xbf"), ("xlsx", b"PK")):
        got = planner.get(f"{API}/reports/saved/{kept['saved_id']}/file?form={form}")
        assert got.content.startswith(begins) and "Week%20%2F%20%E5%91%A8" in got.headers["content-disposition"]
    assert problem(world.as_("engineer").get(f"{API}/reports/saved/{kept['saved_id']}/file"))["status"] == 404
    wanted = {"saved_id": kept["saved_id"], "format": "pdf", "every": "week", "recipients": [me]}
    schedule = planner.post(f"{API}/reports/schedules", json=wanted).json()
    assert [each["schedule_id"] for each in planner.get(f"{API}/reports/schedules").json()] == [schedule["schedule_id"]]
    where = f"{API}/reports/schedules/{schedule['schedule_id']}"
    assert planner.get(f"{where}/files").json() == []
    assert problem(world.as_("engineer").get(f"{where}/files"))["status"] == 404
    assert problem(world.as_("engineer").delete(where))["status"] == 403
    assert problem(world.as_("engineer").patch(where, json={"paused": True}))["status"] == 403
    crew = {each["role"]: each["user_id"] for each in planner.get(f"{API}/reports/readers").json()}
    assert crew.keys() == {"engineer", "planner", "manager", "admin"}
    assert problem(planner.patch(where, json={"hour": 9}))["code"] == "if_match_missing"
    seen = {"if-match": '"1"'}
    changed = planner.patch(
        where, headers=seen, json={"hour": 9, "paused": True, "recipients": [me, crew["engineer"]]}
    ).json()
    assert (changed["hour"], changed["paused"], changed["format"]) == (9, True, "pdf")
    assert changed["recipients"] == sorted([me, crew["engineer"]])
    stale = problem(planner.delete(where, headers=seen))
    assert (stale["status"], stale["current"]["hour"], stale["current"]["changed_by"]) == (412, 9, "Planner")
    seen = {"if-match": f'"{changed["version"]}"'}
    strange = planner.patch(where, headers=seen, json={"recipients": [10**6]})
    assert problem(strange)["code"] == "invalid_fields"
    assert planner.delete(where, headers=seen).status_code == 204


@pytest.mark.parametrize(
    "body",
    [{}, {"measures": ["x"]}, {"measures": ["open"], "dimensions": ["a", "b", "c"]}, {"measures": ["open"], "sql": "x"},
     {"measures": ["open"], "period": {"from": "now"}}, {"measures": ["open"], "filter": [{"field": "x"}]}],
)  # fmt: skip
def test_a_strange_report_is_refused_plainly(world: World, body: dict[str, Any]) -> None:
    assert problem(world.as_("manager").post(f"{API}/reports/run", json=body))["status"] == 422
