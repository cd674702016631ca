"""Suggestions on an order in a real browser: shown with reasons, taken over by a click, silent when not sure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from core.clock import wall_now
from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded, ticket
from tests.web.conftest import DEADLINE_MS, PHONE
from tests.web.windows import accessible, signed_in

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
PAST = (
    ("oil leaks at the seal", "mechanical", 2),
    ("no signal from the drive", "electrical", 4),
    ("belt runs askew", "machining", 3),
)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("triage")) as running:
        yield taught(seeded(running))


def taught(world: World) -> World:
    """Thirty closed incidents of each sort, before this week."""
    with world.database.tx(site_id=world.alpha) as conn:
        for text, skill, priority in PAST:
            for n in range(30):
                at = wall_now() - timedelta(days=14, minutes=n)
                conn.execute(
                    """insert into tickets (ref, kind, status, title, skill, priority, opened_at, closed_at)
                       values (%s, 'incident', 'closed', %s, %s, %s, %s, %s)""",
                    (f"T-{skill}-{n}", text, skill, priority, at, at),
                )
    return world


@pytest.fixture
def page(chromium: Browser, world: World) -> Iterator[Page]:
    """A planner's narrow window."""
    with signed_in(chromium, world, "planner", size=PHONE) as page:
        yield page


def test_a_suggestion_is_taken_over_by_a_click(world: World, page: Page) -> None:
    made = ticket(world, kind="incident", title="Seal leaks oil again", priority=3)
    page.goto(f"{world.address}/#/orders/{made['ticket_id']}")
    panel = page.locator("section", has=page.get_by_role("heading", name="Suggestions"))
    expect(panel.get_by_text("Learnt from closed orders")).to_be_visible()
    expect(panel.get_by_role("listitem").filter(has_text="mechanical")).to_contain_text("%")
    expect(panel.get_by_text("The text says").first).to_be_visible()
    accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    panel.get_by_role("button", name="Take over Skill: mechanical").click()
    expect(panel.get_by_role("button", name="Take over Skill: mechanical")).to_have_count(0)
    panel.get_by_role("button", name="Take over Urgency: priority 2").click()
    expect(page.get_by_role("heading", name="Suggestions")).to_have_count(0)
    now = world.as_("planner").get(f"{API}/tickets/{made['ticket_id']}").json()
    assert (now["skill"], now["priority"]) == ("mechanical", 2)


def test_it_is_silent_when_it_is_not_sure(world: World, page: Page) -> None:
    made = ticket(world, kind="request", title="Lunch", priority=2)
    with page.expect_response(lambda answer: answer.url.endswith("/triage")) as asked:
        page.goto(f"{world.address}/#/orders/{made['ticket_id']}")
    assert [each["answer"] for each in asked.value.json()["suggestions"]] == [None] * 4
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    expect(page.get_by_role("heading", name="Suggestions")).to_have_count(0)
