"""What planners set up for stock, reports and people in a real browser, each asked of the API afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS, DESKTOP

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("setup")) as running:
        yield seeded(running)


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    """A manager's window, signed in."""
    context = chromium.new_context(viewport=DESKTOP, locale="en-GB")
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto(f"{world.address}/#/link/{world.link('manager')}")
    page.wait_for_selector(".shell", timeout=DEADLINE_MS)
    yield page
    context.close()


@pytest.fixture
def manager(window: Page) -> Iterator[Page]:
    """The window; at the end no script may have failed and axe has nothing to say."""
    errors: list[str] = []
    window.on("pageerror", lambda error: errors.append(str(error)))
    yield window
    found = Axe().run(window, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert errors == []


def show(page: Page, world: World, path: str, heading: str) -> None:
    page.goto(f"{world.address}/#{path}")
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


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
    moved = {"store_id": level["store_id"], "part_id": level["part_id"], "quantity": 2}
    assert api.post(f"{API}/stock/receive", json=moved).status_code == 204
    shelf.get_by_label("Counted").fill("4")
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
