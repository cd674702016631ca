"""Windows of signed-in people on an app of a test file's own (``tests.api_world.living``)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.api_world import World
from tests.web.conftest import DEADLINE_MS, DESKTOP

WCAG = {"runOnly": ["wcag2a", "wcag2aa"]}
NARROW = ViewportSize(width=390, height=844)
THUMB = 48  # px
SMALL = """least => [...document.querySelectorAll("main :is(.mantine-Button-root, .mantine-Input-input, "
  + ".mantine-Checkbox-body, .mantine-Radio-body)")].filter(each => each.checkVisibility()
  && each.getBoundingClientRect().height < least - 0.5).map(each => each.outerHTML.slice(0, 200))"""


@contextmanager
def signed_in(
    chromium: Browser, world: World, role: str, *, size: ViewportSize = DESKTOP, language: str = "en"
) -> Iterator[Page]:
    """A window, signed in as that role: of the console, or of the phone app for an engineer."""
    context = chromium.new_context(viewport=size, locale={"en": "en-GB", "zh": "zh-CN"}[language])
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.add_init_script(f"if (location.protocol !== 'about:') localStorage['millwright.language'] ??= '{language}'")
    page.goto(f"{world.address}/#/link/{world.link(role)}")
    page.wait_for_selector(".shell, .phone", timeout=DEADLINE_MS)
    yield page
    context.close()


@contextmanager
def watched(page: Page) -> Iterator[Page]:
    """The window; at the end no script may have failed and axe has nothing to say."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    accessible(page)
    assert errors == [], errors


def accessible(page: Page) -> None:
    """Axe has nothing to say."""
    found = Axe().run(page, options=WCAG).response["violations"]
    told = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    assert told == [], told


def show(page: Page, world: World, path: str, heading: str) -> None:
    """Go to a page of the console, drawn anew, and wait for its heading."""
    page.goto("about:blank")
    page.goto(f"{world.address}/#{path}")
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


def look(page: Page, name: str, *, sizes: Sequence[ViewportSize] = (DESKTOP, NARROW)) -> None:
    """In these sizes axe is content and nothing is wider than the window; on a phone every control is as large as a
    thumb. MILLWRIGHT_PICTURES names a folder for pictures."""
    for size in sizes:
        page.set_viewport_size(size)
        page.wait_for_function("() => !document.querySelector('main .bone')", timeout=DEADLINE_MS)
        if folder := os.environ.get("MILLWRIGHT_PICTURES"):
            page.screenshot(path=Path(folder) / f"{name}-{size['width']}.png", full_page=True)
        accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
        if size is NARROW:
            assert page.evaluate(SMALL, THUMB) == [], name
    page.set_viewport_size(DESKTOP)


def choose(within: Locator, page: Page, label: str, code: str) -> None:
    """A machine of a list that is searched by typing."""
    within.get_by_role("combobox", name=label).fill(code)
    page.get_by_role("option", name=code).click()
