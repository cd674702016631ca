"""What an administrator sets in a real browser, each asked of the API afterwards, on an app of the file's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, problem, seeded, ticket
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import show, signed_in, watched

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("settings")) as running:
        yield seeded(running)


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    """An administrator's window, signed in."""
    with signed_in(chromium, world, "admin") as page:
        yield page


@pytest.fixture
def admin(window: Page) -> Iterator[Page]:
    """The window; at the end no script may have failed and axe has nothing to say."""
    with watched(window) as page:
        yield page


def test_a_step_that_is_taken_out_is_refused_by_the_api(world: World, admin: Page) -> None:
    show(admin, world, "/settings/lifecycles/inspection", "Life cycle: inspection")
    admin.get_by_role("button", name="Edit a draft").click()
    admin.get_by_role("button", name="Change Cancel:").click()
    admin.get_by_role("group", name="From").get_by_label("new", exact=True).uncheck()
    admin.get_by_role("button", name="Apply").click()
    admin.get_by_role("button", name="Show what would change").click()
    expect(admin.get_by_role("heading", name="What publishing would change")).to_be_visible()
    world.as_("manager").put(f"{API}/lifecycles/inspection/draft", json={"definition": {"initial": "new"}})
    admin.get_by_role("button", name="Keep the draft").click()
    expect(admin.get_by_role("alert")).to_contain_text("Manager changed this meanwhile.")
    admin.get_by_role("button", name="Go on with mine").click()
    admin.get_by_role("button", name="Show what would change").click()
    admin.get_by_label("Why (kept with the version)").fill("Nothing new is cancelled here")
    admin.get_by_role("button", name="Publish").click()
    expect(admin.get_by_role("row", name="Version 1 in force")).to_contain_text("Nothing new is cancelled here")
    made = ticket(world, kind="inspection")
    to = {"to": "cancelled", "fields": {"reason": "no"}}
    path = f"{API}/tickets/{made['ticket_id']}/transition"
    refused = world.as_("planner").post(path, json=to, headers={"if-match": f'"{made["version"]}"'})
    assert problem(refused)["code"] == "illegal_transition"
    admin.get_by_role("button", name="Compare built in").click()
    expect(admin.get_by_text("removed").first).to_be_visible()


def test_a_policy_is_previewed_on_open_tickets_and_changed_for_them(world: World, admin: Page) -> None:
    made = ticket(world, kind="request", priority=4)
    found = {each["code"]: each for each in world.as_("admin").get(f"{API}/sla/policies").json()}["any-4"]
    show(admin, world, f"/settings/sla/{found['sla_policy_id']}", found["name"])
    admin.get_by_label("finish (h)").fill("2")
    admin.get_by_role("button", name="Show what would change").click()
    expect(admin.get_by_role("link", name=made["ref"]).first).to_be_visible()
    path = f"{API}/sla/policies/{found['sla_policy_id']}"
    other = {key: found[key] for key in found.keys() - {"sla_policy_id", "version", "changed_at", "changed_by"}}
    changed = world.as_("manager").put(
        path, json=other | {"name": "Whenever"}, headers={"if-match": f'"{found["version"]}"'}
    )
    assert changed.status_code == 200, changed.text
    admin.get_by_label("open tickets too, from now on (never for the past)").check()
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_role("alert")).to_contain_text("Whenever")
    admin.get_by_role("button", name="Go on with mine").click()
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("Version 3")).to_be_visible()
    assert world.as_("admin").get(path).json()["resolution_s"] == 7200
    assert ticket(world, kind="request", priority=4)["resolve_by"] < made["resolve_by"]


def test_a_holiday_is_put_into_the_calendar(world: World, admin: Page) -> None:
    found = next(each for each in world.as_("admin").get(f"{API}/calendars").json() if each["is_default"])
    show(admin, world, f"/settings/calendars/{found['calendar_id']}", found["name"])
    admin.get_by_label("Form").select_option("yearly")
    admin.get_by_label("Date").fill("2026-12-25")
    admin.get_by_role("button", name="Add the holiday").click()
    admin.get_by_label("Saturday").fill("08:00-12:00")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("Version 2")).to_be_visible()
    now = world.as_("admin").get(f"{API}/calendars/{found['calendar_id']}").json()
    assert now["holidays"] == [{"yearly": "12-25"}]
    assert now["hours"]["5"] == [["08:00", "12:00"]]


def test_a_field_and_a_failure_code_are_defined(world: World, admin: Page) -> None:
    show(admin, world, "/settings/fields", "Custom fields")
    admin.get_by_role("button", name="New field").click()
    admin.get_by_label("Key").fill("oil_temperature")
    admin.get_by_label("Name (English)").fill("Oil temperature")
    admin.get_by_label("Type").select_option("number")
    admin.get_by_label("At most").fill("90")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_role("row", name="Oil temperature")).to_be_visible()
    hot = {"kind": "request", "title": "t", "fields": {"oil_temperature": 120}}
    (field,) = [
        one for one in world.as_("admin").get(f"{API}/fields").json()["items"] if one["key"] == "oil_temperature"
    ]
    admin.get_by_role("button", name="Change Oil temperature").click()
    admin.get_by_label("At most").fill("95")
    path, seen = f"{API}/fields/{field['field_id']}", {"if-match": '"1"'}
    assert world.as_("manager").patch(path, json={"low": 5}, headers=seen).status_code == 200
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_role("alert")).to_contain_text("Manager changed this meanwhile.")
    admin.get_by_role("button", name="Go on with mine").click()
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_role("row", name="Oil temperature")).to_contain_text("95")
    refused = world.as_("planner").post(f"{API}/tickets", json=hot)
    assert refused.status_code == 422
    assert "oil_temperature" in refused.text
    show(admin, world, "/settings/codes", "Failure codes")
    admin.get_by_label("Code", exact=False).first.fill("belt_glazed")
    admin.get_by_label("Name (English)").fill("Belt glazed")
    admin.get_by_role("button", name="Add", exact=True).click()
    admin.get_by_label("Find").fill("glazed")
    expect(admin.get_by_role("row", name="belt_glazed")).to_be_visible()
    codes = world.as_("engineer").get(f"{API}/failure-codes?part=mode").json()["items"]
    (made,) = [each for each in codes if each["code"] == "belt_glazed"]
    admin.get_by_role("button", name="Change belt_glazed").click()
    admin.get_by_label("Name (English)").fill("Glazing")
    path, name = f"{API}/failure-codes/{made['code_id']}", {"en": "Shiny belt", "zh": "皮带打滑"}
    assert world.as_("manager").patch(path, json={"name": name}, headers=seen).status_code == 200
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_role("alert")).to_contain_text("Shiny belt")
    admin.get_by_role("button", name="Take what stands there").click()
    expect(admin.get_by_label("Name (English)")).to_have_value("Shiny belt")


def test_a_checklist_gets_a_line_with_a_limit(world: World, admin: Page) -> None:
    show(admin, world, "/settings/checklists/pump-round", "Pump: walk-round inspection")
    admin.get_by_role("button", name="Add a line").click()
    admin.get_by_label("Text (English)").fill("Suction pressure")
    admin.get_by_label("Asks for").select_option("number")
    admin.get_by_label("At least").fill("0.5")
    (here,) = [
        one for one in world.as_("engineer").get(f"{API}/checklists").json()["items"] if one["code"] == "pump-round"
    ]
    other = {name: here[name] for name in ("asset_class", "mode", "kind", "items")} | {
        "title": {"en": "Pumps", "zh": "泵"}
    }
    path = f"{API}/checklists/{here['template_id']}"
    assert world.as_("planner").put(path, json=other, headers={"if-match": '"1"'}).status_code == 200
    admin.get_by_role("button", name="Publish the revision").click()
    expect(admin.get_by_role("alert")).to_contain_text("Planner changed this meanwhile.")
    admin.get_by_role("button", name="Go on with mine").click()
    admin.get_by_role("button", name="Publish the revision").click()
    expect(admin.get_by_text("No difference.")).to_be_visible()
    found = world.as_("engineer").get(f"{API}/checklists").json()["items"]
    made = next(each for each in found if each["code"] == "pump-round")
    assert made["revision"] == 3
    assert (made["items"][-1]["text"]["zh"], made["items"][-1]["low"]) == ("Suction pressure", 0.5)


def test_an_approval_is_decided_and_a_ticket_is_split_and_charged(world: World, admin: Page) -> None:
    made = ticket(world, kind="corrective", title="Gearbox")
    planner, path = world.as_("planner"), f"{API}/tickets/{made['ticket_id']}"
    planner.post(f"{path}/comments", json={"text": "The hoist squeaks too"})
    asked = planner.post(f"{path}/approvals", json={"why": "A new gearbox", "role": "admin"})
    assert asked.status_code == 201, asked.text
    show(admin, world, "/approvals", "Approvals")
    expect(admin.get_by_role("button", name=f"Decline {made['ref']}")).to_be_disabled()
    admin.get_by_role("button", name=f"Approve {made['ref']}").click()
    expect(admin.get_by_text("Nothing waits for you.")).to_be_visible()
    assert planner.get(f"{path}/approvals").json()["items"][0]["state"] == "approved"
    show(admin, world, f"/orders/{made['ticket_id']}", "Gearbox")
    admin.get_by_label("Amount").fill("120")
    admin.get_by_role("button", name="Enter the cost").click()
    expect(admin.get_by_text("120 in all")).to_be_visible()
    admin.get_by_role("button", name="Split off entries").click()
    admin.get_by_label("The hoist squeaks too").check()
    admin.get_by_label("Title of the new ticket").fill("Hoist")
    admin.get_by_role("button", name="Split off", exact=True).click()
    expect(admin.get_by_role("heading", name="Hoist", level=1)).to_be_visible()
    around = planner.get(f"{path}/around").json()
    assert around["cost"] == 120
    assert [each["title"] for each in around["near"] if each["how"] == "split_into"] == ["Hoist"]
