"""Rules over HTTP: draft, check, dry run, enable, log, text; and who may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import up
from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem, seeded
from tests.external_server import ExternalServer
from tickets.hooks import hooks

RULE: dict[str, Any] = {
    "name": {"en": "Leaks first", "zh": "泄漏优先"},
    "when": {"on": ["opened"]},
    "if": "ticket.title.contains('leak')",
    "then": [{"do": "set", "values": {"priority": 1}}],
}
GUARD: dict[str, Any] = {
    "leaving": ["new"],
    "entering": ["done", "closed"],
    "if": "ticket.priority == 1",
    "approval": {"topic": "finance", "role": "manager"},
}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer | ExternalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    try:
        with cloned(server) as database, living(database, tmp_path_factory.mktemp("api")) as built:
            yield seeded(built)
    finally:
        hooks.become(kept)


def made(world: World, code: str, definition: dict[str, Any], form: str = "rule") -> dict[str, Any]:
    answer = world.as_("manager").post(f"{API}/rules", json={"code": code, "form": form, "definition": definition})
    assert answer.status_code == 201, answer.text
    assert answer.headers["etag"] == '"1"'
    found: dict[str, Any] = answer.json()
    return found


def step(world: World, rule_id: int, verb: str, *, version: int, login: str = "manager") -> httpx.Response:
    return world.as_(login).post(f"{API}/rules/{rule_id}/{verb}", headers={"if-match": f'"{version}"'}, json={})


def ticket(world: World, title: str) -> dict[str, Any]:
    answer = world.as_("planner").post(f"{API}/tickets", json={"kind": "request", "title": title})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_draft_dry_run_enabled_log(world: World) -> None:
    earlier = ticket(world, "An old leak")
    rule = made(world, "leaks", RULE)
    assert (rule["status"], rule["name"]["zh"]) == ("draft", "泄漏优先")
    assert ticket(world, "A leak")["priority"] == 3
    assert "dry run" in rule["warnings"][0]
    tried = world.as_("planner").post(f"{API}/rules/{rule['rule_id']}/rehearse", json={"days": 30})
    assert tried.status_code == 200, tried.text
    assert (tried.json()["matched"], tried.json()["examples"][0]["ref"]) == (2, earlier["ref"])
    enabled = step(world, rule["rule_id"], "enable", version=1).json()
    assert (enabled["status"], enabled["warnings"], enabled["rehearsed"]["matched"]) == ("enabled", [], 2)
    new = ticket(world, "Another leak")
    assert new["priority"] == 1
    (run,) = world.as_("planner").get(f"{API}/rules/runs", params={"ticket_id": new["ticket_id"]}).json()["items"]
    assert (run["code"], run["outcome"], run["actions"]) == ("leaks", "done", [{"do": "set", "set": {"priority": 1}}])
    changed = world.as_("manager").put(
        f"{API}/rules/{rule['rule_id']}", headers={"if-match": '"1"'}, json={"definition": {**RULE, "if": "false"}}
    )
    assert (changed.json()["version"], changed.json()["status"]) == (2, "enabled")
    assert ticket(world, "No leak any more")["priority"] == 3
    stale = world.as_("manager").put(
        f"{API}/rules/{rule['rule_id']}", headers={"if-match": '"1"'}, json={"definition": RULE}
    )
    assert problem(stale)["current"]["version"] == 2
    what = [each["what"] for each in world.as_("planner").get(f"{API}/rules/{rule['rule_id']}/changes").json()]
    assert what == ["edited", "enabled", "rehearsed", "made"]
    assert step(world, rule["rule_id"], "disable", version=2).json()["status"] == "disabled"


def test_a_guard_holds_over_the_api_whoever_asks(world: World) -> None:
    guard = made(world, "dear", GUARD, "guard")
    assert step(world, guard["rule_id"], "enable", version=1).status_code == 200
    opened = (
        world.as_("planner").post(f"{API}/tickets", json={"kind": "request", "title": "Dear", "priority": 1}).json()
    )
    path = f"{API}/tickets/{opened['ticket_id']}"
    detail = world.as_("admin").get(path)
    refused = world.as_("admin").post(
        f"{path}/transition", headers={"if-match": detail.headers["etag"]}, json={"to": "approved", "fields": {}}
    )
    assert refused.status_code in (409, 422), refused.text
    assert world.as_("admin").get(path).json()["status"] == "new"
    assert step(world, guard["rule_id"], "retire", version=1).json()["status"] == "retired"


def test_who_may(world: World) -> None:
    for login in ("engineer", "requester", "agent"):
        assert world.as_(login).get(f"{API}/rules").status_code == 403
    draft = world.as_("planner").post(f"{API}/rules", json={"code": "planned", "definition": RULE})
    assert draft.status_code == 201
    assert step(world, draft.json()["rule_id"], "enable", version=1, login="planner").status_code == 403
    refused = world.as_("planner").post(f"{API}/rules", json={"code": "g", "form": "guard", "definition": GUARD})
    assert problem(refused)["code"] == "not_allowed"
    assert world.as_("stranger").get(f"{API}/rules/{draft.json()['rule_id']}").status_code == 404


def test_what_is_wrong_is_said_while_it_is_written(world: World) -> None:
    planner = world.as_("planner")

    def said(definition: dict[str, Any]) -> str:
        checked = planner.post(f"{API}/rules/check", json={"definition": definition}).json()
        assert checked["good"] is (checked["problem"] is None)
        return str(checked["problem"] or "")

    assert said(RULE) == ""
    assert "Did you mean 'priority'" in said({**RULE, "if": "ticket.prority == 1"})
    assert "character" in said({**RULE, "if": "ticket.priority == 1 " + "&& true " * 500})
    assert "without end" in said({**RULE, "if": "true", "then": [{"do": "create", "kind": "request", "title": "x"}]})
    assert said({**RULE, "then": [{"do": ["set"]}]})
    assert said({**RULE, "then": {"do": "set"}})
    assert said({**RULE, "description": 3})
    refused = planner.post(f"{API}/rules", json={"code": "bad", "definition": {**RULE, "if": "ticket.prority == 1"}})
    assert (refused.status_code, problem(refused)["code"]) == (422, "bad_expression")
    words = planner.get(f"{API}/rules/words").json()
    assert "priority" in words["parts"]["ticket"]
    assert {"set", "notify", "schedule"} <= {each["do"] for each in words["actions"]}


def test_text_goes_out_and_in_and_in_again(world: World) -> None:
    manager = world.as_("manager")
    text = manager.get(f"{API}/rules/text").text
    assert manager.post(f"{API}/rules/apply", json={"text": text}).json() == []
    more = text + '\n[rules.from-git]\nwhen = {on = ["opened"]}\nthen = [{do = "tag", add = ["git"]}]\n'
    (difference,) = [d for d in manager.post(f"{API}/rules/diff", json={"text": more}).json() if d["what"] != "same"]
    assert (difference["code"], difference["what"]) == ("from-git", "new")
    assert [d["code"] for d in manager.post(f"{API}/rules/apply", json={"text": more}).json()] == ["from-git"]
    assert manager.post(f"{API}/rules/apply", json={"text": more}).json() == []
    assert world.as_("planner").post(f"{API}/rules/apply", json={"text": more}).status_code == 403
    nul = more + '[rules.nul]\nwhen = {on = ["opened"]}\nif = "ticket.title == \'\\u0000\'"\nthen = [{do = "assign"}]\n'
    assert problem(manager.post(f"{API}/rules/apply", json={"text": nul}))["code"] == "bad_rule"
    trial = {"definition": RULE, "days": 10}
    assert world.as_("planner").post(f"{API}/rules/rehearse", json=trial).json()["complete"] is True


def test_webhooks_show_their_secret_once(world: World, tmp_path: Path) -> None:
    manager = world.as_("manager")
    hook = manager.post(f"{API}/webhooks", json={"code": "erp", "url": "https://erp.example.com/in"}).json()
    assert hook["secret"].startswith("whsec_")
    (shown,) = manager.get(f"{API}/webhooks").json()
    assert "secret" not in shown
    renewed = manager.post(f"{API}/webhooks/{hook['endpoint_id']}/secret", json={}).json()
    assert renewed["secret"] != hook["secret"]
    off = manager.post(f"{API}/webhooks/{hook['endpoint_id']}", json={"status": "off"}).json()
    assert (off["status"], off["url"]) == ("off", "https://erp.example.com/in")
    assert manager.get(f"{API}/webhooks/{hook['endpoint_id']}/deliveries").json()["items"] == []
    for bad in ("ftp://x.example/yyy", "https://user:pw@x.example/"):
        refused = manager.post(f"{API}/webhooks", json={"code": "bad", "url": bad})
        assert problem(refused)["code"] == "bad_webhook"
    assert (
        world.as_("planner").post(f"{API}/webhooks", json={"code": "x", "url": "https://x.example/"}).status_code == 403
    )
