"""Fields, requests, family, approvals and duplicates in a real browser, on an app of the file's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded, ticket
from tests.web.conftest import DEADLINE_MS, DESKTOP

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
CRANE = {"key": "crane", "label": {"en": "Crane needed", "zh": "需要吊车"}, "type": "boolean"}
SERIAL = {"key": "serial", "label": {"en": "Serial number", "zh": "序列号"}, "type": "text"}


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("kinds")) as running:
        seeded(running)
        for field in (CRANE, SERIAL):
            made = running.as_("admin").post(f"{API}/fields", json=field)
            assert made.status_code == 201, made.text
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


def show(page: Page, world: World, made: dict[str, Any]) -> None:
    page.goto(f"{world.address}/#/orders/{made['ticket_id']}")
    expect(page.get_by_role("heading", name=made["title"], level=1)).to_be_visible()


def test_a_request_is_filled_in_and_becomes_an_order(world: World, planner: Page) -> None:
    made = ticket(world, title="Gate squeaks", description="At noon")
    show(planner, world, made)
    fields = planner.locator("section", has=planner.get_by_role("heading", name="Fields"))
    fields.get_by_role("button", name="Edit").click()
    fields.get_by_label("Serial number").fill("=1+1")
    fields.get_by_role("button", name="Save").click()
    expect(fields.get_by_role("alert")).to_contain_text("spreadsheet formula")
    fields.get_by_label("Serial number").fill("A-17")
    fields.get_by_role("button", name="Save").click()
    expect(fields.get_by_text("A-17")).to_be_visible()
    planner.get_by_role("button", name="Approve: make an order").click()
    expect(planner.get_by_text("made from the request", exact=True)).to_be_visible()
    expect(planner.get_by_text("A-17", exact=True)).to_be_visible()
    assert not Axe().run(planner, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]


def test_tickets_are_linked_followed_and_merged_by_number(world: World, planner: Page) -> None:
    keep, drop = ticket(world, kind="inspection", title="Keep me"), ticket(world, kind="inspection", title="Drop me")
    show(planner, world, drop)
    family = planner.locator("section", has=planner.get_by_role("heading", name="Related tickets"))
    family.get_by_label("Number of the other ticket").fill("WO-1999-000001")
    family.get_by_role("button", name="Link", exact=True).click()
    expect(family.get_by_role("alert")).to_contain_text("There is no ticket")
    family.get_by_label("Number of the other ticket").fill(keep["ref"].lower())
    family.get_by_role("button", name="Link", exact=True).click()
    expect(family.get_by_role("link", name=f"{keep['ref']} Keep me")).to_be_visible()
    family.get_by_role("button", name="Follow", exact=True).click()
    expect(family.get_by_text("Followed by Planner")).to_be_visible()
    family.get_by_label("How they belong together").select_option("merge")
    family.get_by_label("Number of the other ticket").fill(keep["ref"])
    family.get_by_role("button", name="Link", exact=True).click()
    expect(planner.get_by_role("heading", name="Keep me", level=1)).to_be_visible()
    show(planner, world, drop)
    expect(planner.get_by_text("This ticket was merged")).to_be_visible()


def test_what_was_reported_before_is_offered_while_one_types(world: World, planner: Page) -> None:
    made = ticket(world, kind="incident", title="Seal of the feed pump drips oil")
    planner.goto(f"{world.address}/#/orders/new")
    planner.get_by_label("Title").fill("Oil drips from the pump seal")
    offered = planner.locator("section", has=planner.get_by_role("heading", name="Is it one of these?"))
    expect(offered.get_by_text(made["ref"])).to_be_visible()
    expect(planner.get_by_label("Crane needed")).to_be_visible()
    offered.get_by_role("button", name="Add to this one").first.click()
    expect(planner.get_by_role("heading", name=made["title"], level=1)).to_be_visible()
