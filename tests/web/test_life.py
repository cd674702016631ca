"""How good predictions were, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Visitor, Web
from tests.web.test_axe import run

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]


def test_the_record_of_predictions_stands_under_their_list(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    web.open(page, "/predictions")
    records = page.get_by_role("region", name="How good predictions were")
    expect(records).to_be_visible()
    assert run(page) == []
    row = page.locator("table.predictions tbody tr").first
    row.get_by_role("link").first.click()
    record = page.get_by_role("region", name="Record of this model")
    expect(record).to_be_visible()
    record.get_by_role("button", name="It has failed").click()
    expect(record.get_by_role("button", name="Record the failure")).to_be_visible()
    assert run(page) == []
    record.get_by_role("button", name="Record the failure").click()
    expect(record.get_by_text("held.")).to_be_visible()
