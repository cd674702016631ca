"""Plans, job plans, readiness and windows in a real browser, on an app of the file's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.clock import wall_now
from core.embedded import EmbeddedServer
from maintenance import meters
from plant import assets
from plant.model import Role
from tests.api_world import API, World, cloned, living, seeded, ticket
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import choose, look, show, signed_in, watched

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
NEW = {"If-Match": '"0"'}
JOB = {
    "title": {"en": "Grease the bearings", "zh": "轴承加脂"},
    "minutes": 90,
    "permit": True,
    "steps": ["Stop", "Grease"],
}
PLAN = {
    "title": {"en": "Greasing", "zh": "润滑"},
    "assets": ["P-1"],
    "calendar": {"every": 1, "unit": "week", "first": "2026-01-05"},
    "job_plan": "GREASE",
}
NIGHT = {"zone": "UTC", "weekdays": [0, 1, 2, 3, 4], "opens_min": 1320, "lasts_min": 480, "first_day": "2026-01-05"}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("plans")) as running:
        seeded(running)
        planner = running.as_("planner")
        asset = planner.post(f"{API}/assets", json={"code": "P-1", "name": "Pump", "asset_class": "pump"}).json()
        assert planner.put(f"{API}/job-plans/GREASE", json={"body": JOB}, headers=NEW).status_code == 200
        assert planner.put(f"{API}/preventive-plans/GREASE-W", json={"body": PLAN}, headers=NEW).status_code == 200
        window = {"asset_id": asset["asset_id"], "weekly": NIGHT, "cost_h": 120}
        assert planner.post(f"{API}/windows", json=window).status_code == 201
        made = ticket(running, kind="corrective", title="Noise at P-1", asset_id=asset["asset_id"])
        applied = planner.post(
            f"{API}/tickets/{made['ticket_id']}/job-plans",
            json={"code": "GREASE"},
            headers={"If-Match": f'"{made["version"]}"'},
        )
        assert applied.status_code == 200, applied.text
        yield running


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    with signed_in(chromium, world, "planner") as page:
        yield page


@pytest.fixture
def planner(window: Page) -> Iterator[Page]:
    with watched(window) as page:
        yield page


def test_plans_are_seen_ahead_and_another_interval_is_tried(world: World, planner: Page) -> None:
    show(planner, world, "/plans", "Plans")
    expect(planner.get_by_role("heading", name="The next 52 weeks")).to_be_visible()
    planner.locator(".weeks button").nth(3).click()
    expect(planner.get_by_text("P-1 · GREASE-W · 90 min × 1")).to_be_visible()
    look(planner, "plans")
    planner.get_by_role("link", name="Greasing").click()
    planner.get_by_label("Every", exact=True).fill("2")
    planner.get_by_role("button", name="What would change?").click()
    expect(planner.get_by_role("row", name="Visits of this plan")).to_contain_text(re.compile("2[67]$"))
    look(planner, "plan")
    planner.get_by_label("Opened days before").fill("60")
    planner.get_by_role("button", name="Save").click()
    expect(planner.get_by_role("alert")).to_contain_text("lead time must be shorter")
    planner.get_by_label("Opened days before").fill("5")
    planner.get_by_role("button", name="Save").click()
    expect(planner.get_by_text("Plan saved")).to_be_visible()
    planner.get_by_role("button", name="Done without an order").click()
    planner.get_by_role("button", name="Record it").click()
    expect(planner.get_by_text("the next due day is counted from it")).to_be_visible()


def test_a_job_plan_is_changed_by_lines(world: World, planner: Page) -> None:
    show(planner, world, "/plans/job/GREASE", "Grease the bearings")
    planner.get_by_label("Tools").fill("Grease gun | 黄油枪")
    look(planner, "job")
    planner.get_by_role("button", name="Save").click()
    expect(planner.get_by_text("revision 2")).to_be_visible()


def test_what_is_not_ready_says_why_and_a_name_gives_the_permit(world: World, planner: Page) -> None:
    show(planner, world, "/plans/ready", "Ready or not")
    row = planner.get_by_role("row", name="Noise at P-1")
    expect(row).to_contain_text("A permit is needed")
    look(planner, "ready")
    row.get_by_role("button", name="Give permit").click()
    expect(row).to_contain_text("Permit given by Planner")
    row.get_by_role("link").click()
    expect(planner.get_by_role("heading", name="Ready or not")).to_be_visible()


def test_windows_are_drawn_added_and_changed_in_their_place(world: World, planner: Page) -> None:
    show(planner, world, "/plans/windows", "Production windows")
    expect(planner.get_by_text("It may stop in windows only.")).to_be_visible()
    expect(planner.get_by_text("window 22:00–24:00").first).to_be_visible()
    planner.get_by_role("button", name="Change Monday").click()
    form = planner.get_by_role("form", name="Change it")
    form.get_by_label("Weeks apart").fill("2")
    look(planner, "windows")
    standing = world.as_("planner").get(f"{API}/windows").json()["items"][0]
    other = {"asset_id": standing["asset_id"], "weekly": standing["weekly"], "cost_h": 140}
    match = {"If-Match": f'"{standing["version"]}"'}
    assert world.as_("planner").put(f"{API}/windows/{standing['window_id']}", json=other, headers=match).is_success
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("140")
    form.get_by_role("button", name="Go on with mine").click()
    form.get_by_role("button", name="Save").click()
    expect(planner.get_by_text("every 2 weeks")).to_be_visible()
    planner.get_by_role("button", name="Switch to dark").click()
    planner.get_by_role("button", name="Switch the language to Chinese").click()
    expect(planner.get_by_role("heading", name="生产窗口")).to_be_visible()
    look(planner, "windows-zh-dark")
    planner.get_by_role("button", name="添加").click()
    expect(planner.get_by_text("星期六，22:00–06:00")).to_be_visible()
    planner.get_by_role("button", name="添加").click()
    expect(planner.get_by_role("alert")).to_contain_text("overlaps this one")
    planner.get_by_role("button", name="切换为英文").click()


def test_a_meter_is_made_read_and_counts_up_only(world: World, planner: Page) -> None:
    show(planner, world, "/plans/meters", "Meters")
    planner.get_by_role("button", name="New meter").click()
    form = planner.get_by_role("form", name="New meter")
    choose(form, planner, "Asset", "P-1")
    form.get_by_label("Code").fill("STROKES")
    form.get_by_label("Name").fill("Strokes")
    form.get_by_label("Unit").fill("n")
    form.get_by_role("button", name="Save").click()
    read = planner.get_by_role("form", name="Enter a reading")
    read.get_by_label("Reading (n)").fill("1250.5")
    look(planner, "meter")
    read.get_by_role("button", name="Enter").click()
    expect(planner.get_by_role("region", name="History")).to_contain_text("1,250.5 n")
    read.get_by_label("Reading (n)").fill("12")
    expect(read).to_contain_text("It stood at 1,250.5 n before.")
    read.get_by_role("button", name="Enter").click()
    expect(read.get_by_role("alert")).to_contain_text("A meter counts up")
    read.get_by_label("The meter was replaced").check()
    read.get_by_role("button", name="Enter").click()
    expect(planner.get_by_role("region", name="Where it stands")).to_contain_text("1,262.5 n")
    planner.get_by_role("link", name="Meters").click()
    expect(planner.get_by_role("row", name="Strokes")).to_contain_text("1,262.5 n")
    look(planner, "meters")


def test_running_hours_are_counted_and_not_typed(world: World, planner: Page) -> None:
    with world.database.tx(site_id=world.alpha) as conn:
        pump = assets.create_asset(conn, code="P-2", name="Second pump", asset_class="pump")
        state = assets.create_signal(
            conn, asset_id=pump, code="state", name="state", quantity="state", unit="1", role=Role.STATE
        )
        meter = meters.create(
            conn, asset_id=pump, code="HOURS", name="Hours", unit="h", way="running_hours", signal_id=state,
            now=wall_now(),
        )  # fmt: skip
        meters.record(conn, meter.meter_id, value=4200.0, at=wall_now(), by_name="Li")
    show(planner, world, f"/plans/meters/{meter.meter_id}", "P-2 · Hours")
    expect(planner.get_by_role("region", name="Counted by itself")).to_contain_text("nobody types it")
    expect(planner.get_by_role("form", name="Enter a reading")).to_have_count(0)
