"""Plans, job plans, windows, meters and readiness over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api import cli, up
from core.embedded import EmbeddedServer
from core.settings import settings
from maintenance import plans
from tests.api_world import API, World, cloned, living, problem, seeded
from tests.api_world import ticket as opened
from tests.external_server import ExternalServer
from tickets.hooks import hooks

NEW = {"If-Match": '"0"'}
JOB = {"title": {"en": "Grease", "zh": "加脂"}, "minutes": 120, "permit": True, "steps": ["Stop", "Grease"]}


@pytest.fixture(scope="module")
def world(
    server: EmbeddedServer | ExternalServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("plans")) as made:
        yield seeded(made)
    hooks.become(kept)


@pytest.fixture(scope="module")
def pump(world: World) -> dict[str, Any]:
    body = {"code": "P-1", "name": "Pump", "asset_class": "pump"}
    made = world.as_("planner").post(f"{API}/assets", json=body)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


def match(shown: dict[str, Any], field: str = "version") -> dict[str, str]:
    return {"If-Match": f'"{shown[field]}"'}


def test_windows_are_kept_by_version_and_never_overlap(world: World, pump: dict[str, Any]) -> None:
    planner = world.as_("planner")
    night = {"zone": "Europe/Berlin", "weekdays": [0, 1, 2, 3, 4], "opens_min": 1320, "lasts_min": 480}
    body = {"asset_id": pump["asset_id"], "weekly": {**night, "first_day": "2026-01-05"}, "cost_h": 120}
    assert world.as_("engineer").post(f"{API}/windows", json=body).status_code == 403
    made = planner.post(f"{API}/windows", json=body)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert (shown["weekly"]["opens_min"], shown["version"], made.headers["etag"]) == (1320, 1, '"1"')
    again = problem(planner.post(f"{API}/windows", json=body))
    assert (again["code"], again["status"]) == ("bad_window", 422)
    assert "overlaps" in again["detail"]
    negative = planner.post(f"{API}/windows", json={**body, "cost_h": -1})
    assert negative.status_code == 422
    backwards = {"asset_id": pump["asset_id"], "begins": "2026-03-02T10:00:00Z", "ends": "2026-03-02T09:00:00Z"}
    assert problem(planner.post(f"{API}/windows", json=backwards))["code"] == "bad_window"
    assert problem(planner.post(f"{API}/windows", json={"asset_id": pump["asset_id"]}))["code"] == "invalid"
    path = f"{API}/windows/{shown['window_id']}"
    changed = planner.put(path, json={**body, "cost_h": 60}, headers=match(shown)).json()
    assert (changed["cost_h"], changed["version"]) == (60, 2)
    assert planner.put(path, json=body, headers=match(shown)).status_code == 412
    span = {"begins": "2026-03-02T00:00:00Z", "ends": "2026-03-09T00:00:00Z", "lasting_min": "480"}
    found = planner.get(f"{API}/assets/{pump['asset_id']}/stops", params=span).json()
    assert found["restricted"] is True
    assert (found["next"]["begins"], found["next_cost"]) == ("2026-03-02T21:00:00Z", 480)
    assert found["asked_cost"] is None
    assert planner.delete(path, headers=match(changed)).status_code == 204
    cost = f"{API}/assets/{pump['asset_id']}/stop-cost"
    assert planner.put(cost, json={"cost_h": 10}).status_code == 204
    free = planner.get(f"{API}/assets/{pump['asset_id']}/stops", params=span).json()
    assert (free["restricted"], free["own_cost_h"], free["asked_cost"]) == (False, 10, 1680)
    assert planner.put(cost, json={"cost_h": None}).status_code == 204


def test_a_plan_from_saving_to_its_order(world: World, pump: dict[str, Any]) -> None:
    planner = world.as_("planner")
    job = planner.put(f"{API}/job-plans/GREASE", json={"body": JOB}, headers=NEW)
    assert job.status_code == 200, job.text
    assert job.json()["body"]["steps"][0] == {"en": "Stop", "zh": "Stop"}
    today = world.as_("planner").get(f"{API}/plan-schedule").json()
    assert today["visits"] == []
    body = {
        "title": {"en": "Greasing", "zh": "润滑"},
        "assets": ["P-1"],
        "calendar": {"every": 1, "unit": "week", "first": "2026-01-05"},
        "job_plan": "GREASE",
        "lead_days": 6,
    }
    made = planner.put(f"{API}/preventive-plans/GREASE-W", json={"body": body}, headers=NEW)
    assert made.status_code == 200, made.text
    shown = made.json()
    assert shown["next_due"] and shown["open_due"] is None
    bad = planner.put(f"{API}/preventive-plans/X", json={"body": {**body, "job_plan": "NONE"}}, headers=NEW)
    assert problem(bad)["code"] == "never_ready"
    assert planner.get(f"{API}/preventive-plans/X").status_code == 404
    assert planner.put(f"{API}/preventive-plans/GREASE-W", json={"body": body}, headers=NEW).status_code == 412
    schedule = planner.get(f"{API}/plan-schedule", params={"weeks": 52}).json()
    assert 52 <= len(schedule["visits"]) <= 53
    assert (schedule["visits"][0]["minutes"], schedule["truncated"]) == (120, False)
    rarer = {**body, "calendar": {**body["calendar"], "every": 2}}  # type: ignore[dict-item]
    preview = planner.post(f"{API}/preventive-plans/GREASE-W/preview", json={"body": rarer}).json()
    assert preview["after"]["visits"] < preview["before"]["visits"]
    assert preview["before"]["hours"] == preview["before"]["visits"] * 2
    with world.database.tx(site_id=world.alpha) as conn:
        row = conn.execute("select max(look_at) from pm_plans").fetchone()
        assert row
        plans.ring(conn, row[0])
    (occurrence,) = planner.get(f"{API}/preventive-plans/GREASE-W/occurrences").json()["items"]
    assert occurrence["ticket_ref"] and occurrence["why"]["zh"].startswith("到期")
    (waiting,) = planner.get(f"{API}/readiness").json()["items"]
    assert (waiting["state"], waiting["job_plans"]) == ("to_plan", ["GREASE"])
    assert [each["kind"] for each in waiting["lacks"]] == ["permit"]
    path = f"{API}/tickets/{waiting['ticket_id']}"
    given = planner.put(f"{path}/permit", json={"note": "Q1"}, headers=match(waiting)).json()
    assert (given["ready"], given["state"], given["permit_by"]) == (True, "ready", "Planner")
    over = planner.put(f"{path}/window-override", json={"reason": "Leak"}, headers=match(given)).json()
    assert over["override"]["by_name"] == "Planner"
    kinds = [each["kind"] for each in planner.get(f"{path}/events").json()["items"]]
    assert {"plan", "job_plan", "permit", "window_override"} <= set(kinds)
    paused = planner.post(
        f"{API}/preventive-plans/GREASE-W/state", json={"state": "paused"}, headers=match(shown)
    ).json()
    assert paused["state"] == "paused"
    done = planner.post(f"{API}/preventive-plans/GREASE-W/done", json={}).json()
    assert done["last_done"]


def test_a_job_plan_is_applied_in_one_action(world: World, pump: dict[str, Any]) -> None:
    planner = world.as_("planner")
    ticket = opened(world, kind="corrective", asset_id=pump["asset_id"])
    path = f"{API}/tickets/{ticket['ticket_id']}"
    planner.put(f"{API}/job-plans/APPLY", json={"body": JOB}, headers=NEW)
    assert (
        world.as_("engineer").post(f"{path}/job-plans", json={"code": "APPLY"}, headers=match(ticket)).status_code
        == 403
    )
    made = planner.post(f"{path}/job-plans", json={"code": "APPLY"}, headers=match(ticket))
    assert made.status_code == 200, made.text
    assert planner.get(f"{path}/needs").json()["duration_s"] == 7200
    assert planner.get(f"{path}/job-plans").json()["items"][0]["revision"] == 1
    assert planner.get(f"{path}/readiness").json()["ready"] is False


def test_meters_are_read_by_hand(world: World, pump: dict[str, Any]) -> None:
    planner, engineer = world.as_("planner"), world.as_("engineer")
    body = {"asset_id": pump["asset_id"], "code": "hours", "name": "Running hours", "unit": "h"}
    made = planner.post(f"{API}/meters", json=body).json()
    assert planner.post(f"{API}/meters", json=body).status_code == 409
    path = f"{API}/meters/{made['meter_id']}"
    read = engineer.post(f"{path}/readings", json={"value": 100})
    assert (read.status_code, read.json()["total"]) == (201, 100)
    assert problem(engineer.post(f"{path}/readings", json={"value": 5}))["code"] == "bad_reading"
    renamed = planner.put(path, json={"name": "Hours", "unit": "h"}, headers=match(made))
    assert renamed.json()["name"] == "Hours"
    assert len(engineer.get(f"{path}/readings").json()["items"]) == 1
    assert engineer.get(f"{API}/meters").json()["items"][0]["asset"] == "P-1"


def test_another_site_sees_and_changes_nothing(world: World, pump: dict[str, Any]) -> None:
    stranger = world.as_("stranger")
    assert stranger.get(f"{API}/preventive-plans/GREASE-W").status_code == 404
    assert stranger.get(f"{API}/job-plans/GREASE").status_code == 404
    assert stranger.get(f"{API}/assets/{pump['asset_id']}/stops").status_code == 404
    assert stranger.get(f"{API}/readiness").json()["items"] == []


def test_plans_as_text_on_the_command_line(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("MILLWRIGHT_DATABASE_URL", world.database.app_dsn)
    monkeypatch.setenv("MILLWRIGHT_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    request.addfinalizer(settings.cache_clear)
    world.as_("planner").put(f"{API}/job-plans/TEXT", json={"body": JOB}, headers=NEW)
    file = tmp_path / "plans.toml"
    site = ["--site", "alpha"]
    assert cli.main(["plans", "export", str(file), *site]) == 0
    assert cli.main(["plans", "diff", str(file), *site]) == 0
    file.write_text(file.read_text("utf-8") + '\n[job_plan.MORE]\ntitle = "More"\n', "utf-8")
    assert cli.main(["plans", "diff", str(file), *site]) == 3
    assert cli.main(["plans", "apply", str(file), *site]) == 0
    assert "+ job_plan MORE (new)" in capsys.readouterr().out
    assert cli.main(["plans", "apply", str(file), *site]) == 0
    assert "nothing to change" in capsys.readouterr().out
