"""Windows of signed-in people on an app of a test file's own (``tests.api_world.living``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.api_world import World
from tests.web.conftest import DEADLINE_MS, DESKTOP

WCAG = {"runOnly": ["wcag2a", "wcag2aa"]}


@contextmanager
def signed_in(chromium: Browser, world: World, role: str, *, size: ViewportSize = DESKTOP) -> Iterator[Page]:
    """A window of the console, signed in as that role."""
    context = chromium.new_context(viewport=size, locale="en-GB")
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto(f"{world.address}/#/link/{world.link(role)}")
    page.wait_for_selector(".shell", timeout=DEADLINE_MS)
    yield page
    context.close()


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """The window; at the end no script may have failed and axe has nothing to say."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    accessible(page)
    assert errors == []


def accessible(page: Page) -> None:
    """Axe has nothing to say."""
    found = Axe().run(page, options=WCAG).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def show(page: Page, world: World, path: str, heading: str) -> None:
    """Go to a page of the console and wait for its heading."""
    page.goto(f"{world.address}/#{path}")
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
