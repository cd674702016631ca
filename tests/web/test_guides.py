"""Guides in a real browser: written, looked at, published, compared; on an app of the file's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api import up
from core.embedded import EmbeddedServer
from tests import file_kit as kit
from tests.api_world import API, World, cloned, living, seeded, ticket
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import signed_in, watched
from tickets.hooks import hooks

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("guides")) as running:
        yield seeded(running)
    hooks.become(kept)


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


def test_a_guide_is_written_previewed_published_and_compared(world: World, manager: Page) -> None:
    manager.goto(f"{world.address}/#/guides/new")
    manager.get_by_label("Code").fill("house-bearing")
    manager.get_by_label("Title").fill("Bearings of our pumps")
    manager.get_by_label("Text", exact=True).fill("<img src=x onerror=alert(1)>\n\nHeat the **bearing**.")
    manager.get_by_role("button", name="Add a step").click()
    manager.get_by_label("Step 1", exact=True).last.fill("Measure vibration")
    manager.get_by_label("At most").fill("4.5")
    manager.get_by_label("Unit").fill("mm/s")
    preview = manager.locator("section", has=manager.get_by_role("heading", name="Preview"))
    expect(preview.get_by_text("≤ 4.5 mm/s")).to_be_visible()
    expect(preview.get_by_text("<img src=x")).to_be_visible()
    manager.get_by_role("button", name="Save revision").click()
    manager.get_by_role("button", name="Publish").click()
    expect(manager.get_by_text("Published", exact=True).first).to_be_visible()
    manager.get_by_label("Title").fill("Bearings, second edition")
    manager.get_by_role("button", name="Save revision").click()
    expect(manager.get_by_text("Newer text not published")).to_be_visible()
    expect(manager.locator(".guide-diff .plus", has_text="second edition")).to_be_visible()
    rows = world.as_("manager").get(f"{API}/articles").json()["items"]
    (mine,) = [each for each in rows if each["code"] == "house-bearing"]
    assert (mine["state"], mine["unpublished"], mine["title"]["en"]) == ("published", True, "Bearings of our pumps")


def test_a_step_gets_a_picture_of_an_order(world: World, manager: Page, tmp_path: Path) -> None:
    ticket(world, kind="corrective", title="Another order")
    order = ticket(world, kind="corrective", title="Photographed seal")
    ticket(world, kind="corrective", title="The newest order")
    photo = tmp_path / "seal.jpg"
    photo.write_bytes(kit.noise((400, 300)))
    manager.goto(f"{world.address}/#/guides/new")
    manager.get_by_label("Code").fill("seal-photo")
    manager.get_by_label("Title").fill("Seals of our pumps")
    manager.get_by_label("Text", exact=True).fill("Look at the seal.")
    for _ in range(2):
        manager.get_by_role("button", name="Add a step").click()
    for n in (1, 2):
        manager.get_by_label(f"Step {n}", exact=True).last.fill("Compare it")
    manager.get_by_role("button", name="Choose a picture: Step 1").click()
    manager.get_by_label("Find the order").fill("Photographed")
    expect(manager.get_by_label("Order", exact=True)).to_have_value(str(order["ticket_id"]))
    expect(manager.get_by_text("This order has no pictures yet.")).to_be_visible()
    manager.get_by_label("Upload a picture").set_input_files(photo)
    expect(manager.get_by_alt_text("Picture of step 1")).to_have_js_property("naturalWidth", 320)
    manager.get_by_role("button", name="Choose a picture: Step 2").click()
    manager.get_by_label("Find the order").fill("Photographed")
    manager.get_by_role("button", name="Use seal.jpg").click()
    manager.get_by_role("button", name="Remove the picture: Step 1").click()
    manager.get_by_role("button", name="Save revision").click()
    expect(manager.get_by_role("button", name="Publish")).to_be_visible()
    (kept,) = world.as_("manager").get(f"{API}/tickets/{order['ticket_id']}/attachments").json()["items"]
    rows = world.as_("manager").get(f"{API}/articles").json()["items"]
    (mine,) = [each for each in rows if each["code"] == "seal-photo"]
    text = world.as_("manager").get(f"{API}/articles/{mine['article_id']}/revisions/1").json()["content"]
    assert [each.get("picture") for each in text["steps"]] == [None, kept["attachment_id"]]


def test_the_list_says_what_helped_and_the_order_why(world: World, manager: Page) -> None:
    order = ticket(world, kind="incident", mode="bearing_wear", title="Bearing of the pump is loud")
    manager.goto(f"{world.address}/#/orders/{order['ticket_id']}")
    expect(manager.get_by_text("Why this guide: mode bearing_wear")).to_be_visible()
    manager.goto(f"{world.address}/#/guides")
    expect(manager.get_by_role("heading", name="Do guides help?")).to_be_visible()
    expect(manager.get_by_text("Too few orders to say")).to_be_visible()
    manager.get_by_label("Filter guides").fill("house")
    expect(manager.get_by_role("row")).to_have_count(2)
    manager.get_by_label("Share held out").fill("10")
    manager.get_by_role("button", name="Set", exact=True).click()
    expect(manager.get_by_role("button", name="Set", exact=True)).to_be_disabled()
    assert world.as_("manager").get(f"{API}/articles/settings").json() == {"hold_out": 0.1}


def test_what_is_typed_outlives_anothers_revision(world: World, manager: Page) -> None:
    api = world.as_("manager")
    content = {"classes": [], "modes": [], "title": {"en": "Belts"}, "body": {"en": "Look."}, "steps": []}
    made = api.post(f"{API}/articles", json={"code": "belts", "content": content, "note": ""}).json()
    where = f"{API}/articles/{made['article_id']}"
    manager.goto(f"{world.address}/#/guides/{made['article_id']}")
    manager.get_by_label("Text", exact=True).fill("Look at the belt.")
    theirs = {"content": {**content, "title": {"en": "Belts and pulleys"}}, "note": ""}
    seen = {"if-match": f'"{made["version"]}"'}
    assert world.as_("planner").put(where, json=theirs, headers=seen).status_code == 200
    manager.get_by_role("button", name="Save revision").click()
    alert = manager.locator(".problem", has_text="changed this meanwhile")
    expect(alert).to_contain_text("Belts and pulleys")
    expect(manager.get_by_label("Text", exact=True)).to_have_value("Look at the belt.")
    alert.get_by_role("button", name="Go on with mine").click()
    with manager.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
        manager.get_by_role("button", name="Save revision").click()
    assert api.get(where).json()["head"] == 3
