"""The console's alarms: list, common causes, what is held, and hygiene; accessible, and by keyboard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, ViewportSize, expect

from core.clock import wall_now
from core.embedded import EmbeddedServer
from detectors.base import Finding, FindingKind, Sentence
from maintenance import grouping, service, works
from plant import assets
from tests.api_world import World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS, DESKTOP

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
PHONE = ViewportSize(width=390, height=844)
PAGES = ("", "/groups", "/groups/1", "/held", "/hygiene")
LOOKS = [("en", "light", DESKTOP, "Alarms"), ("zh", "dark", PHONE, "报警")]


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("alarms")) as running:
        fill(seeded(running))
        yield running


def fill(world: World) -> None:
    """Six pumps on one supply that began together, and one that is locked out."""
    now = wall_now()
    with world.database.tx(site_id=world.alpha) as conn:
        supply = assets.create_asset(conn, code="AIR-1", name="Compressed air", asset_class="")
        for number in range(7):
            pump = assets.create_asset(conn, code=f"FL-{number}", name="Feed pump", asset_class="pump")
            signal = assets.create_signal(conn, asset_id=pump, code="p", name="p", quantity="pressure", unit="bar")
            if number < 6:
                works.feed(conn, pump, supply, "air")
            else:
                works.begin(conn, "Li", pump, kind="lockout", reason="belt", since=now - timedelta(hours=1), until=None)
            at = now - timedelta(seconds=120 - number)
            service.on_finding(conn, Finding(
                "bank", "1", FindingKind.MACHINE, pump, world.alpha, None, at, at, 5.0, True, {signal: 1.0},
                {signal: -1}, 0.2 + 0.1 * number, Sentence("drift", {"signal": "pressure"}),
            ), at)  # fmt: skip
        grouping.settle(conn, now, service.POLICY)


def window(chromium: Browser, world: World, language: str, scheme: str, size: ViewportSize) -> Page:
    locale = {"en": "en-GB", "zh": "zh-CN"}[language]
    context = chromium.new_context(viewport=size, locale=locale, color_scheme="dark" if scheme == "dark" else "light")
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.add_init_script(f"localStorage.setItem('millwright.language', '{language}')")
    page.goto(f"{world.address}/#/link/{world.link('planner')}")
    page.wait_for_selector(".shell", timeout=DEADLINE_MS)
    return page


@pytest.mark.parametrize(("language", "scheme", "size", "title"), LOOKS)
def test_pages_are_accessible_and_fit(
    chromium: Browser, world: World, language: str, scheme: str, size: ViewportSize, title: str
) -> None:
    page = window(chromium, world, language, scheme, size)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in PAGES:
        page.goto(f"{world.address}/#/alarms{path}")
        expect(page.locator("main h1")).to_have_text(title)
        page.wait_for_function("() => !document.querySelector('main .bone')", timeout=DEADLINE_MS)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag22aa"]}).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == [], path
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
        if folder := os.environ.get("MILLWRIGHT_SHOTS"):
            page.screenshot(path=str(Path(folder) / f"alarms{path.replace('/', '-')}-{language}-{scheme}.png"))
    assert errors == []
    page.context.close()


def test_an_alarm_is_shelved_and_a_figure_opens_its_alarms(chromium: Browser, world: World) -> None:
    page = window(chromium, world, "en", "light", DESKTOP)
    page.goto(f"{world.address}/#/alarms")
    row = page.get_by_role("row", name="FL-0")
    expect(row).to_contain_text("critical")
    row.get_by_role("button", name="Shelve").click()
    page.get_by_label("Reason").fill("valve on order")
    page.get_by_role("dialog").get_by_role("button", name="Shelve").click()
    expect(row).to_contain_text("shelved")
    row.get_by_role("button", name="Bring back").click()
    expect(row).to_contain_text("active")
    page.goto(f"{world.address}/#/alarms/hygiene")
    page.get_by_role("button", name="Show alarms: Alarms", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="Alarms", level=2)).to_be_visible()
    expect(page.get_by_role("row", name="FL-6")).to_be_visible()
    page.context.close()
