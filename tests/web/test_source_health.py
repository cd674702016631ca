"""The page of the sources: what each says, at a desk and in the hand."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Visitor, Web

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]
LEAST_TARGET = 48


def test_every_source_tells_its_state_rate_age_and_lag_in_words(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    web.open(page, "/sources")
    row = page.locator("table.cards tbody tr").first
    expect(row.locator("th")).to_contain_text(re.compile(r"\d+ tags"))
    cells = row.locator("td")
    expect(cells.nth(0)).to_contain_text(re.compile("heard|connected|silent|lost"))
    expect(cells.nth(1)).to_contain_text(re.compile(r"[\d.,]+ /s"))
    expect(cells.nth(2)).to_contain_text(re.compile("now|ago|no data"))
    expect(cells.nth(3)).to_contain_text(re.compile(r"\d+ (s|min|h|d)|–"))


def test_the_balance_is_asked_for_and_told(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    web.open(page, "/sources")
    button = page.get_by_role("button", name="Check now")
    box = button.bounding_box()
    assert box is not None and box["height"] >= LEAST_TARGET
    button.click()
    expect(page.get_by_role("status").filter(has_text=re.compile("adds up|missing"))).to_be_visible()


def test_it_fits_a_hand(web: Web, visit: Visit) -> None:
    page = visit("planner", language="zh").page
    page.set_viewport_size({"width": 390, "height": 844})
    web.open(page, "/sources")
    expect(page.locator("table.cards tbody tr").first).to_contain_text(re.compile("正常接收|已连接|无数据"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
