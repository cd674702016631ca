"""The console's alarms: list, common causes, what is held, and hygiene; accessible, and by keyboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from tests.web.conftest import Visitor, Web

pytestmark = pytest.mark.web
PAGES = ("/alarms", "/alarms/groups", "/alarms/held", "/alarms/hygiene")
OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}


@pytest.mark.parametrize(("language", "dark", "title"), [("en", False, "Alarms"), ("zh", True, "报警")])
def test_pages_are_accessible_and_complete(
    web: Web, visit: Callable[..., Visitor], language: str, dark: bool, title: str
) -> None:
    page = visit("planner", language=language, dark=dark).page
    for path in PAGES:
        web.open(page, path)
        expect(page.locator("main h1")).to_have_text(title)
        found = [each["id"] for each in Axe().run(page, options=OPTIONS).response["violations"]]
        assert found == [], path


def test_a_figure_opens_its_alarms_by_keyboard(web: Web, visit: Callable[..., Visitor]) -> None:
    page = visit("planner").page
    web.open(page, "/alarms/hygiene")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("main section h2")).to_have_text("Alarms")
