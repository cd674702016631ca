"""What planners set up for stock, reports and people in a real browser, each asked of the API afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import show, signed_in, watched

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("setup")) as running:
        yield seeded(running)


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    """A manager's window, signed in."""
    with signed_in(chromium, world, "manager") as page:
        yield page


@pytest.fixture
def manager(window: Page) -> Iterator[Page]:
    """The window; at the end no script may have failed and axe has nothing to say."""
    with watched(window) as page:
        yield page


def test_a_part_is_set_up_counted_asked_for_and_put_into_a_kit(world: World, manager: Page) -> None:
    api = world.as_("planner")
    show(manager, world, "/stock/stores", "Stores")
    manager.get_by_role("button", name="New store").click()
    manager.get_by_label("Number").fill("HALL-2")
    manager.get_by_label("Name").fill("Hall 2")
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("row", name="Hall 2")).to_contain_text("never below zero")
    show(manager, world, "/stock/parts/new", "New part")
    manager.get_by_label("Number").fill("SEAL-77")
    manager.get_by_label("Name").fill("Shaft seal")
    manager.get_by_label("Price of one").fill("12.5")
    manager.get_by_label("Smallest quantity (pcs)").fill("0.5")
    manager.get_by_role("button", name="Save", exact=True).click()
    shelf = manager.get_by_role("region", name="Hall 2")
    shelf.get_by_label("Counted").fill("3")
    shelf.get_by_role("button", name="Enter the count").click()
    expect(shelf.get_by_text("3 pcs")).to_be_visible()
    shelf.get_by_label("Minimum").fill("4")
    shelf.get_by_label("Fill up to").fill("10")
    shelf.get_by_role("button", name="Save the limits").click()
    expect(manager.get_by_role("status").get_by_text("SEAL-77 · Hall 2")).to_be_visible()
    (level,) = [each for each in api.get(f"{API}/stock").json()["items"] if each["code"] == "SEAL-77"]
    assert (level["on_hand"], level["minimum"], level["target"], level["price"]) == (3, 4, 10, 12.5)
    (part,) = [each for each in api.get(f"{API}/parts").json()["items"] if each["code"] == "SEAL-77"]
    assert part["smallest"] == 0.5
    moved = {"store_id": level["store_id"], "part_id": level["part_id"], "quantity": 2}
    shelf.get_by_label("Counted").fill("4")
    assert api.post(f"{API}/stock/receive", json=moved).status_code == 204
    shelf.get_by_role("button", name="Enter the count").click()
    expect(shelf.get_by_role("alert")).to_contain_text("Meanwhile the books say 5 pcs")
    show(manager, world, "/stock/kits", "Kits")
    manager.get_by_role("button", name="New kit").click()
    manager.get_by_label("Asset class").select_option("pump")
    line = manager.get_by_role("group", name="line 1")
    line.get_by_label("Part").fill("SEAL-77")
    manager.get_by_role("option", name="SEAL-77 Shaft seal").click()
    line.get_by_label("How many").fill("2")
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("row", name="pump · every failure mode")).to_contain_text("2 × SEAL-77")
    kits = api.get(f"{API}/kits").json()["items"]
    assert [(each["asset_class"], each["mode"], each["quantity"]) for each in kits if each["code"] == "SEAL-77"] == [
        ("pump", "*", 2)
    ]


WEEKLY = {"measures": ["opened"], "dimensions": ["kind"], "period": {"from": "today-90d", "until": "now"}}


def test_a_report_by_the_clock_is_made_changed_and_paused(world: World, manager: Page) -> None:
    api = world.as_("manager")
    wanted = {"kind": "report", "name": "Weekly intake", "audience": "shared", "body": WEEKLY}
    assert api.post(f"{API}/saved", json=wanted).status_code == 201
    show(manager, world, "/reports/schedules/new", "New schedule")
    manager.get_by_label("Format").select_option("xlsx")
    manager.get_by_label("Planner (planner)").check()
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_text("No file yet.")).to_be_visible()
    (made,) = api.get(f"{API}/reports/schedules").json()
    assert (made["format"], made["every"], len(made["recipients"])) == ("xlsx", "week", 2)
    path = f"{API}/reports/schedules/{made['schedule_id']}"
    api.patch(path, json={"hour": 4}, headers={"if-match": f'"{made["version"]}"'})
    manager.get_by_label("How often").select_option("day")
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("alert")).to_contain_text("every Monday, 04:00")
    manager.get_by_role("button", name="Go on with mine").click()
    with manager.expect_response(lambda answer: answer.request.method == "PATCH"):
        manager.get_by_role("button", name="Save", exact=True).click()
    show(manager, world, "/reports/schedules", "Reports by the clock")
    manager.get_by_role("button", name="Pause Weekly intake").click()
    expect(manager.get_by_role("row", name="Weekly intake")).to_contain_text("paused")
    (now,) = api.get(f"{API}/reports/schedules").json()
    assert (now["paused"], now["every"], now["hour"]) == (True, "day", 6)


def test_a_dashboard_is_composed_of_saved_reports(world: World, manager: Page) -> None:
    api = world.as_("manager")
    for name in ("By kind", "By kind again"):
        api.post(f"{API}/saved", json={"kind": "report", "name": name, "audience": "shared", "body": WEEKLY})
    show(manager, world, "/reports/dashboards/new", "Compose a dashboard")
    manager.reload()
    manager.get_by_label("Name").fill("Morning")
    manager.get_by_label("for everybody").check()
    for name in ("By kind", "By kind again"):
        manager.get_by_label("Saved report").select_option(label=name)
        manager.get_by_role("button", name="Add as a tile").click()
    manager.get_by_role("group", name="tile 2").get_by_label("Width").select_option("3")
    manager.get_by_role("group", name="tile 2").get_by_role("button").first.click()
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("heading", name="Morning", level=1)).to_be_visible()
    (kept,) = world.as_("planner").get(f"{API}/saved?kind=dashboard").json()
    assert [(each["title"], each["width"]) for each in kept["body"]["tiles"]] == [("By kind again", 3), ("By kind", 1)]
    newer = {"body": {"tiles": kept["body"]["tiles"][:1]}}
    api.patch(f"{API}/saved/{kept['saved_id']}", json=newer, headers={"if-match": f'"{kept["version"]}"'})
    manager.get_by_role("group", name="tile 1").get_by_label("Title").fill("Intake")
    manager.get_by_role("button", name="Save", exact=True).click()
    expect(manager.get_by_role("alert")).to_contain_text("changed this meanwhile")
    manager.get_by_role("button", name="Take what stands there").click()
    expect(manager.get_by_role("group", name="tile 2")).to_have_count(0)


def test_somebody_is_sick_for_three_days_and_a_new_plan_is_asked_for(world: World, manager: Page) -> None:
    api = world.as_("manager")
    lin = api.post(f"{API}/engineers", json={"login": "engineer", "name": "Lin"}).json()
    show(manager, world, "/dispatch", "Dispatch")
    manager.get_by_role("button", name="Somebody is sick").click()
    dialog = manager.get_by_role("dialog")
    dialog.get_by_label("Person").click()
    manager.get_by_role("option", name="Lin").click()
    dialog.get_by_label("Away for").select_option("3")
    dialog.get_by_role("button", name="Re-plan").click()
    expect(dialog).to_have_count(0)
    (sick,) = api.get(f"{API}/dispatch/times/absences").json()["items"]
    assert (sick["owner_id"], sick["kind"]) == (lin["engineer_id"], "sick")
    days = datetime.fromisoformat(sick["ends"]) - datetime.fromisoformat(sick["begins"])
    assert timedelta(days=2.9) < days < timedelta(days=3.1)
