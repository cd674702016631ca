"""Search, filters, views, many orders at once and reports, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Visitor, Web
from tests.web.test_axe import run

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]
Job = Callable[[str], dict[str, Any]]


def test_a_slip_of_the_pen_finds_the_order(web: Web, visit: Visit, job: Job) -> None:
    made = job("Squeaking gangway")
    page = visit("planner").page
    web.open(page, "/orders")
    page.keyboard.press("/")
    page.keyboard.type("squeekign gangway")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name=re.compile(made["ref"]))).to_be_visible()
    expect(page.get_by_text("Shown instead: squeaking")).to_be_visible()
    assert run(page) == []


def test_a_filter_a_view_and_several_orders_at_once(web: Web, visit: Visit, job: Job) -> None:
    word = f"bulk{uuid4().hex[:8]}"
    made = [job(f"{word} {number}") for number in range(2)]
    page = visit("planner").page
    web.open(page, "/orders")
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_label("Field").select_option("title")
    page.get_by_label("Comparison").select_option("contains")
    page.get_by_label("Value").fill(word)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Save this view").click()
    page.get_by_label("Name").fill(word)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("Saved view")).to_contain_text(word)
    assert run(page) == []
    for each in made:
        page.get_by_label(f"Choose {each['ref']}").check()
    bar = page.get_by_role("region", name="Change several")
    bar.get_by_label("Priority").select_option("1")
    bar.get_by_role("button", name="Show what changes").click()
    expect(bar.locator("tbody tr")).to_have_count(2)
    assert run(page) == []
    bar.get_by_role("button", name="Change them").click()
    expect(page.get_by_text("2 of 2 changed")).to_be_visible()
    bar.get_by_role("button", name="Take the last change back").click()
    expect(page.get_by_text("2 of 2 taken back")).to_be_visible()


def test_reports_are_shown_and_regrouped(web: Web, visit: Visit, job: Job) -> None:
    job(f"Report {uuid4().hex[:8]}")
    page = visit("manager").page
    web.open(page, "/reports")
    build = page.get_by_role("region", name="Your own report")
    expect(build.get_by_role("row", name=re.compile("corrective"))).to_be_visible()
    build.get_by_label("And by").select_option("priority")
    expect(build.get_by_role("columnheader", name="Priority")).to_be_visible()
    build.get_by_label("By", exact=True).select_option("week")
    expect(build.get_by_role("rowheader", name=re.compile(r"\d{4}-W\d\d")).first).to_be_visible()
    assert run(page) == []
