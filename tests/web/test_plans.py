"""Plans, job plans, readiness and windows in a real browser, on an app of the file's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, ViewportSize, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded, ticket
from tests.web.conftest import DEADLINE_MS, DESKTOP

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
NARROW = ViewportSize(width=390, height=844)
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


@pytest.fixture
def planner(chromium: Browser, world: World) -> Iterator[Page]:
    """A planner's window, signed in; at the end no script may have failed."""
    context = chromium.new_context(viewport=DESKTOP, locale="en-GB")
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{world.address}/#/link/{world.link('planner')}")
    page.wait_for_selector(".shell", timeout=DEADLINE_MS)
    yield page
    context.close()
    assert errors == []


def look(page: Page, name: str) -> None:
    """Axe is clean on the desktop and on a phone, nothing is wider than the phone; a picture where one is asked for."""
    for viewport in (DESKTOP, NARROW):
        page.set_viewport_size(viewport)
        assert Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], name
        if folder := os.environ.get("MILLWRIGHT_PICTURES"):
            page.screenshot(path=Path(folder) / f"{name}-{viewport['width']}.png", full_page=True)
    page.set_viewport_size(DESKTOP)


def test_plans_are_seen_ahead_and_another_interval_is_tried(world: World, planner: Page) -> None:
    planner.goto(f"{world.address}/#/plans")
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


def test_a_job_plan_is_changed_by_lines(world: World, planner: Page) -> None:
    planner.goto(f"{world.address}/#/plans/job/GREASE")
    planner.get_by_label("Tools").fill("Grease gun | 黄油枪")
    look(planner, "job")
    planner.get_by_role("button", name="Save").click()
    expect(planner.get_by_text("revision 2")).to_be_visible()


def test_what_is_not_ready_says_why_and_a_name_gives_the_permit(world: World, planner: Page) -> None:
    planner.goto(f"{world.address}/#/plans/ready")
    row = planner.get_by_role("row", name="Noise at P-1")
    expect(row).to_contain_text("A permit is needed")
    look(planner, "ready")
    row.get_by_role("button", name="Give permit").click()
    expect(row).to_contain_text("Permit given by Planner")
    row.get_by_role("link").click()
    expect(planner.get_by_role("heading", name="Ready or not")).to_be_visible()


def test_windows_are_drawn_and_added(world: World, planner: Page) -> None:
    planner.goto(f"{world.address}/#/plans/windows")
    expect(planner.get_by_text("It may stop in windows only.")).to_be_visible()
    expect(planner.get_by_text("window 22:00–24:00").first).to_be_visible()
    look(planner, "windows")
    planner.get_by_role("button", name="Switch to dark").click()
    planner.get_by_role("button", name="Switch the language to Chinese").click()
    expect(planner.get_by_role("heading", name="生产窗口")).to_be_visible()
    look(planner, "windows-zh-dark")
    planner.get_by_role("button", name="添加").click()
    expect(planner.get_by_text("星期六，22:00–06:00")).to_be_visible()
    planner.get_by_role("button", name="添加").click()
    expect(planner.get_by_role("alert")).to_contain_text("overlaps this one")
