"""Assets from a table, failure modes by class and verdicts, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import show, signed_in, watched

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
CSV = b"Code,Name,Parent,Level,Class\nW-1,West line,,line,\nW-2,West pump,W-1,equipment,pump\n"


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("assets")) as running:
        yield seeded(running)


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    with signed_in(chromium, world, "admin") as page:
        yield page


@pytest.fixture
def admin(window: Page) -> Iterator[Page]:
    with watched(window) as page:
        yield page


def choose(page: Page, data: bytes) -> None:
    page.locator("input[type=file]").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": data})


def test_a_table_is_looked_at_then_taken_over(world: World, admin: Page) -> None:
    show(admin, world, "/assets/import", "Import and export")
    choose(admin, CSV + b"W-3,Lost,NOWHERE,,\n")
    admin.get_by_role("button", name="Dry run").click()
    expect(admin.get_by_role("row", name="4 Parent")).to_contain_text("There is no asset NOWHERE")
    expect(admin.get_by_role("button", name="Take over")).to_be_disabled()
    choose(admin, CSV)
    admin.get_by_role("button", name="Dry run").click()
    expect(admin.get_by_role("row", name="W-2")).to_contain_text("new")
    admin.get_by_role("button", name="Take over").click()
    expect(admin.get_by_role("heading", name="Taken over")).to_be_visible()
    codes = {each["code"] for each in world.as_("admin").get(f"{API}/assets").json()["items"]}
    assert {"W-1", "W-2"} <= codes and "W-3" not in codes


def test_a_machine_is_weighed_with_a_reason(world: World, admin: Page) -> None:
    items = world.as_("admin").get(f"{API}/assets").json()["items"]
    asset_id = next(each["asset_id"] for each in items if each["code"] == "W-2")
    show(admin, world, f"/assets/{asset_id}", "W-2 West pump")
    admin.get_by_role("button", name="Weigh anew").click()
    admin.get_by_label("Consequence of failure").select_option("5")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_text("Consequence 5 × likelihood 3 propose 3.")).to_be_visible()
    more = admin.get_by_role("region", name="More of this machine")
    expect(more.get_by_role("link", name="Maintenance policy")).to_have_attribute(
        "href", f"#/settings/policies/asset/{asset_id}"
    )
    more.get_by_label("Evidence of").fill("2025")
    year = more.get_by_role("link", name="Download the year's evidence")
    expect(year).to_have_attribute("href", f"/api/v1/assets/{asset_id}/evidence/pack?year=2025")


def test_the_failure_modes_of_a_class_and_a_file_that_does_not_fit(world: World, admin: Page) -> None:
    show(admin, world, "/assets/classes", "Failure modes by class")
    admin.get_by_label("Library as TOML").fill("asset_class = 3")
    admin.get_by_role("button", name="Check").click()
    expect(admin.get_by_role("alert")).to_contain_text("asset_class is a word")
    admin.get_by_role("link", name="Pump", exact=True).click()
    expect(admin.get_by_role("heading", name="Cavitation")).to_be_visible()


def test_verdicts_are_empty_at_first(world: World, admin: Page) -> None:
    show(admin, world, "/detectors/verdicts", "Verdicts")
    expect(admin.get_by_text("Nobody has judged an order yet.")).to_be_visible()
