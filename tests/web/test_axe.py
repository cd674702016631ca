"""WCAG 2.2 AA by axe on every main page, light and dark, in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

from tests.web.conftest import Visitor, Web

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]
Job = Callable[[str], dict[str, Any]]
OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}
CONSOLE = ("/predictions", "/orders", "/orders/new", "/assets", "/sources", "/quarantine", "/detectors", "/system")
LOOKS = [("en", False), ("zh", True)]


@pytest.mark.parametrize(("language", "dark"), LOOKS)
def test_console_pages(web: Web, visit: Visit, job: Job, language: str, dark: bool) -> None:
    made = job(f"Axe {uuid4().hex[:8]}")
    visitor = visit("planner", language=language, dark=dark)
    paths = [*CONSOLE, f"/orders/{made['ticket_id']}", *machine_pages(visitor)]
    assert {path: found for path in paths if (found := violations(web, visitor.page, path))} == {}


@pytest.mark.parametrize(("language", "dark"), LOOKS)
def test_phone_pages(web: Web, visit: Visit, job: Job, language: str, dark: bool) -> None:
    made = job(f"Axe {uuid4().hex[:8]}")
    page = visit("engineer", phone=True, language=language, dark=dark).page
    paths = ("/my", f"/my/{made['ticket_id']}", f"/my/{made['ticket_id']}/finish")
    assert {path: found for path in paths if (found := violations(web, page, path))} == {}


@pytest.mark.parametrize("dark", [False, True])
def test_the_door(web: Web, visit: Visit, dark: bool) -> None:
    page = visit(None, dark=dark).page
    assert violations(web, page, "/") == []


def test_open_panels_and_dialogs(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    web.open(page, "/orders")
    for name in ("Notices", "Account"):
        page.get_by_role("button", name=name).first.click()
        assert run(page) == [], name
        page.keyboard.press("Escape")


def machine_pages(visitor: Visitor) -> list[str]:
    """A machine with signals, and the first prediction where there is one."""
    machines = [each for each in visitor.api("GET", "/assets")["items"] if each["asset_class"]]
    predictions = visitor.api("GET", "/predictions")["items"]
    return [f"/assets/{machines[0]['asset_id']}"] + [f"/predictions/{p['alarm_id']}" for p in predictions[:1]]


def violations(web: Web, page: Page, path: str) -> list[str]:
    web.open(page, path)
    return run(page)


def run(page: Page) -> list[str]:
    results = Axe().run(page, options=OPTIONS).response
    return [
        f"{each['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for each in results["violations"]
        for node in each["nodes"]
    ]
