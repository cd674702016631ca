"""The review queue, the cost curve and the policy editor in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from api import up
from core.embedded import EmbeddedServer
from maintenance import policies
from maintenance.policies import Scope
from tests.api_world import API, World, cloned, living, seeded
from tests.integration.test_maintenance import T0, Pump, persist
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import look, show, signed_in, watched
from tickets.hooks import hooks

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("review")) as made:
        seeded(made)
        with database.tx(site_id=made.alpha) as conn:
            policies.create(conn, Scope("pump"), {"opening": "review"}, by="manager", now=T0)
            for number in range(4):
                persist(conn, Pump(conn, made.alpha, f"P-20{number}"))
        yield made
    hooks.become(kept)


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    with signed_in(chromium, world, "manager") as page:
        yield page


@pytest.fixture
def page(window: Page) -> Iterator[Page]:
    with watched(window) as page:
        yield page


def test_one_key_or_one_click_accepts(world: World, page: Page) -> None:
    show(page, world, "/review", "Review queue")
    card = page.get_by_role("region", name="P-200 Bearing wear")
    expect(card).to_contain_text("Best moment")
    card.get_by_role("button", name="Accept").click()
    expect(card).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("P-201")
    expect(page.get_by_role("region", name="P-202 Bearing wear")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="P-201 Feed pump: Bearing wear").focus()
    page.keyboard.press("a")
    expect(page.get_by_text("Nothing waits for a decision.")).to_be_visible()
    decided = world.as_("planner").get(f"{API}/review?state=decided").json()["items"]
    assert sorted(each["asset"]["code"] for each in decided if each["state"] == "accepted") == ["P-200", "P-201"]


def test_a_rejection_takes_two_clicks_and_the_curve_one(world: World, page: Page) -> None:
    show(page, world, "/review", "Review queue")
    card = page.get_by_role("region", name="P-202 Bearing wear")
    card.get_by_role("button", name="Best moment for the work").click()
    expect(card.get_by_role("img", name="Expected cost")).to_be_visible()
    expect(card.get_by_role("row", name="Now")).to_be_visible()
    card.get_by_role("button", name="Reject…").click()
    card.get_by_label("Reason (kept with the label)").fill("cleaned yesterday")
    card.get_by_role("button", name="Reject", exact=True).click()
    expect(card).to_have_count(0)


def test_a_policy_is_tried_before_it_is_kept(world: World, page: Page) -> None:
    show(page, world, "/settings/policies", "Maintenance policies")
    page.get_by_role("button", name="New policy").click()
    page.get_by_label("Asset class").fill("fan")
    page.get_by_label("Travel (money)").fill("-5")
    page.get_by_role("button", name="Try on the last 90 days").click()
    expect(page.get_by_role("alert")).to_contain_text("not negative")
    page.get_by_label("Travel (money)").fill("80")
    page.get_by_role("button", name="Try on the last 90 days").click()
    expect(page.get_by_role("status").filter(has_text="alarms")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    relied(page, "the planner agreed")
    expect(page.get_by_role("region", name="fan")).to_contain_text("80")


def test_one_machine_differs_and_what_holds_there_is_shown(world: World, page: Page) -> None:
    items = world.as_("manager").get(f"{API}/assets").json()["items"]
    asset_id = next(each["asset_id"] for each in items if each["code"] == "P-203")
    show(page, world, f"/settings/policies/asset/{asset_id}", "Maintenance policy of P-203")
    page.get_by_text("What holds for this machine").click()
    expect(page.get_by_text("Made of: as shipped → pump")).to_be_visible()
    page.get_by_role("button", name="New policy").click()
    page.get_by_label("Travel (money)").fill("120")
    look(page, "policy-asset")
    page.get_by_role("button", name="Try on the last 90 days").click()
    expect(page.get_by_role("status").filter(has_text="alarms")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    relied(page, "far away")
    expect(page.get_by_role("region", name="P-203")).to_contain_text("120")
    expect(page.get_by_text("Made of: as shipped → pump → P-203")).to_be_visible()


def relied(page: Page, reason: str) -> None:
    """Where orders would open otherwise, grounds are asked for."""
    asked = page.get_by_label("On what grounds")
    saved = page.get_by_text("Policy saved")
    expect(asked.or_(saved).first).to_be_visible()
    if saved.count() == 0:
        asked.select_option("override")
        page.get_by_label("Reason").fill(reason)
        page.get_by_role("button", name="Save").click()
    expect(saved.last).to_be_visible()
