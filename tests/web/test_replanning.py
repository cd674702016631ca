"""A proposal that nobody asked for, on the dispatch board: why it is there, what moves, adopted by a click."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from api import up
from core.embedded import EmbeddedServer
from core.jobs import run_due
from tests.api_world import API, World, cloned, living, seeded, ticket
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import accessible, signed_in
from tickets.dispatch import planning
from tickets.hooks import hooks

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("replanning")) as running:
        yield seeded(running)
    hooks.become(kept)


@pytest.fixture
def page(chromium: Browser, world: World) -> Iterator[Page]:
    with signed_in(chromium, world, "manager") as page:
        yield page


def test_an_urgent_order_makes_a_proposal_that_is_adopted_by_a_click(
    world: World, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "REPLAN_S", 0.2)
    api = world.as_("manager")
    assert api.post(f"{API}/engineers", json={"login": "engineer", "name": "Lin"}).status_code == 200
    for number in range(5):
        ticket(world, kind="corrective", title=f"Job {number}")
    plan = api.post(f"{API}/plans", json={"seconds": 1}).json()["plan_id"]
    run_due(world.database)
    assert api.post(f"{API}/plans/{plan}/accept").status_code == 200
    urgent = ticket(world, kind="corrective", title="Burst pipe", priority=1)
    run_due(world.database)
    page.goto(f"{world.address}/#/dispatch")
    expect(page.get_by_role("status").filter(has_text="Proposed by itself")).to_contain_text(urgent["ref"])
    expect(page.locator("button.visit", has_text=urgent["ref"])).to_be_visible()
    moved = page.locator("button.visit.moved")
    if moved.count():
        moved.first.click()
        expect(page.get_by_role("dialog")).to_contain_text("Before")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_label("After a surprise").select_option("adopt")
    accessible(page)
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)
    assert api.get(f"{API}/plans").json()["items"][0]["status"] == "accepted"
    assert api.get(f"{API}/dispatch/settings").json()["replanning"] == "adopt"
