"""The people that orders are given to, teams, and forms that a newer version does not wipe, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import accessible, signed_in

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("people")) as running:
        yield seeded(running)


@pytest.fixture(scope="module")
def manager(chromium: Browser, world: World) -> Iterator[Page]:
    """A manager's window, signed in."""
    with signed_in(chromium, world, "manager") as page:
        yield page


def test_an_engineers_terms_are_edited_and_anothers_change_is_shown(world: World, manager: Page) -> None:
    api = world.as_("planner")
    lin = api.post(f"{API}/engineers", json={"login": "engineer", "name": "Lin"}).json()
    where = f"{API}/engineers/{lin['engineer_id']}"
    manager.goto(f"{world.address}/#/people/{lin['engineer_id']}")
    expect(manager.get_by_role("heading", name="Lin", level=1)).to_be_visible()
    manager.get_by_label("Another skill").select_option("vibration")
    manager.get_by_role("button", name="Add", exact=True).first.click()
    manager.get_by_label("Level of vibration analysis").select_option("3")
    manager.get_by_label("Monday").fill("06:00-14:00")
    manager.get_by_role("button", name="Add a certificate").click()
    held = manager.get_by_role("group", name="Certificate 1")
    held.get_by_label("Code").fill("crane")
    held.get_by_label("Valid until").fill("2020-01-31")
    expect(held).to_contain_text("crane: has ended")
    terms = {key: lin[key] for key in ("name", "skills", "shifts", "certificates", "y_m")} | {"x_m": 30}
    seen = {"if-match": f'"{lin["version"]}"'}
    assert api.put(where, json=terms, headers=seen).status_code == 200
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("alert")).to_contain_text("Planner changed this meanwhile")
    expect(manager.get_by_role("alert")).to_contain_text("30 / 0 m")
    accessible(manager)
    manager.get_by_role("button", name="Go on with mine").click()
    with manager.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        manager.get_by_role("button", name="Save", exact=True).click()
    now = api.get(where).json()
    assert (now["skills"], now["shifts"]) == ({"vibration": 3}, [{"weekday": 0, "starts": "06:00", "ends": "14:00"}])
    assert (now["certificates"][0]["code"], now["changed_by"], now["x_m"]) == ("crane", "Manager", 0)
    away = manager.get_by_role("region", name="Absences")
    away.get_by_label("From").fill("2126-03-02T08:00")
    away.get_by_label("Until").fill("2126-03-03T08:00")
    away.get_by_role("button", name="Add").click()
    expect(away.get_by_role("listitem")).to_contain_text("on leave")
    feed = manager.get_by_role("region", name="Calendar")
    feed.get_by_role("button", name="Make an address").click()
    expect(feed.get_by_role("button", name="Void the address")).to_be_visible()
    manager.goto(f"{world.address}/#/people")
    row = manager.get_by_role("row", name="Lin engineer")
    expect(row).to_contain_text("vibration analysis (expert)")
    expect(row).to_contain_text("crane: has ended")


def test_a_team_is_made_and_changed(world: World, manager: Page) -> None:
    manager.goto(f"{world.address}/#/people")
    manager.get_by_role("button", name="New team").click()
    manager.get_by_label("Name").fill("Hall 1")
    manager.get_by_role("combobox", name="Members").click()
    manager.get_by_role("option", name="Requester (requester)").click()
    manager.get_by_role("heading", name="New team").click()
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("row", name="Hall 1")).to_contain_text("Requester")
    accessible(manager)
    manager.get_by_role("button", name="Change Hall 1").click()
    manager.get_by_role("combobox", name="Members").click()
    manager.get_by_role("option", name="Planner (planner)").click()
    manager.get_by_role("heading", name="Hall 1", level=3).click()
    taken = {"name": "Hall 1", "user_ids": []}
    assert world.as_("manager").put(f"{API}/teams", json=taken, headers={"if-match": '"1"'}).status_code == 200
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("alert")).to_contain_text("Manager changed this meanwhile")
    manager.get_by_role("button", name="Go on with mine").click()
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("heading", name="Hall 1", level=3)).to_have_count(0)
    (team,) = world.as_("manager").get(f"{API}/teams").json()
    assert (len(team["user_ids"]), team["version"]) == (2, 3)


def test_a_background_refetch_does_not_wipe_a_calendar_form(world: World, manager: Page) -> None:
    api = world.as_("manager")
    (usual,) = [each for each in api.get(f"{API}/calendars").json() if each["is_default"]]
    where = f"{API}/calendars/{usual['calendar_id']}"
    manager.goto(f"{world.address}/#/settings/calendars/{usual['calendar_id']}")
    manager.get_by_label("Monday").fill("07:00-11:00")
    body = {name: usual[name] for name in ("name", "timezone", "hours")} | {"holidays": ["2126-01-01"]}
    assert api.put(where, json=body, headers={"if-match": f'"{usual["version"]}"'}).status_code == 200
    manager.evaluate("window.dispatchEvent(new Event('visibilitychange'))")
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("alert")).to_contain_text("manager changed this meanwhile")
    expect(manager.get_by_label("Monday")).to_have_value("07:00-11:00")
    accessible(manager)
    manager.get_by_role("button", name="Take what stands there").click()
    expect(manager.get_by_label("Monday")).not_to_have_value("07:00-11:00")


def test_a_drafts_differences_are_drawn_and_named(world: World, manager: Page) -> None:
    manager.goto(f"{world.address}/#/settings/lifecycles/inspection")
    drawn = manager.get_by_role("region", name="Drawn").last
    expect(drawn.get_by_role("img")).to_contain_text("assigned")
    manager.get_by_role("button", name="Edit a draft").click()
    manager.get_by_role("button", name="Remove Put on hold").first.click()
    expect(drawn.get_by_role("img")).to_contain_text("removed: Put on hold")
    accessible(manager)
