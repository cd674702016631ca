"""How good predictions were, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Visitor, Web
from tests.web.test_axe import run

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]
PREDICTED_S = 240.0  # until the demo's first machine has a forecast with a date


def dated(visitor: Visitor) -> int:
    """The alarm of a prediction that says when."""
    deadline = time.monotonic() + PREDICTED_S
    while time.monotonic() < deadline:
        found = visitor.api("GET", "/predictions")["items"]
        if ready := [each["alarm_id"] for each in found if each["p50_h"] is not None]:
            return int(ready[0])
        time.sleep(1.0)
    raise AssertionError(f"no prediction says when after {PREDICTED_S:.0f} s")


def test_the_record_stands_under_the_list_and_a_failure_is_recorded(web: Web, visit: Visit) -> None:
    visitor = visit("planner")
    page = visitor.page
    web.open(page, "/predictions")
    expect(page.get_by_role("region", name="How good predictions were")).to_be_visible()
    expect(page.get_by_role("region", name="Models learnt from this plant's failures")).to_be_visible()
    assert run(page) == []
    web.open(page, f"/predictions/{dated(visitor)}")
    record = page.get_by_role("region", name="Record of this model")
    record.get_by_role("button", name="It has failed").click()
    assert run(page) == []
    record.get_by_role("button", name="Record the failure").click()
    expect(record.get_by_text("held.")).to_be_visible()
