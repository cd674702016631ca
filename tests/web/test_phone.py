"""The engineer's phone at 360 × 740 in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.conftest import Visitor, Web

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]
Job = Callable[[str], dict[str, Any]]
THUMB_PX = 48
TARGETS = (
    "a, button, select, summary, textarea:not([aria-hidden]), label:has(input), [role=button],"
    " input:not([type=radio], [type=checkbox], [type=file], [type=hidden])"
)
TOO_SMALL = """([targets, least]) => [...document.querySelectorAll(targets)]
  .filter(one => one.checkVisibility() && one.getBoundingClientRect().width > 2)
  .filter(one => one.getBoundingClientRect().height < least || one.getBoundingClientRect().width < least)
  .map(one => one.outerHTML.slice(0, 120))"""
LIVE_MS = 10_000  # well below the 30 s after which a page asks by itself


def test_the_engineer_starts_at_my_jobs(visit: Visit, job: Job) -> None:
    made = job(f"Start {uuid4().hex[:8]}")
    page = visit("engineer", phone=True).page
    card = page.locator(".job-card").filter(has_text=made["ref"])
    expect(card).to_contain_text(made["title"])
    expect(card).to_contain_text(re.compile("left|over|–"))
    fits(page)


def test_a_new_job_makes_itself_known(visit: Visit, job: Job) -> None:
    page = visit("engineer", phone=True).page
    expect(page.locator(".job-card, .state").first).to_be_visible()
    page.wait_for_timeout(500)  # the stream is opened after the first list
    title = f"Known {uuid4().hex[:8]}"
    made = job(title)
    expect(page.locator(".toast")).to_contain_text(f"New job: {title}", timeout=LIVE_MS)
    card = page.locator(".job-card").filter(has_text=made["ref"])
    expect(card).to_contain_text("New")
    page.locator(".toast").get_by_role("link", name="Open").tap()
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    page.get_by_role("link", name="Back").tap()
    expect(card).to_be_visible()
    expect(card).not_to_contain_text("● New")


def test_three_taps_to_start_and_few_to_finish(visit: Visit, job: Job) -> None:
    made = job(f"Taps {uuid4().hex[:8]}")
    visitor = visit("engineer", phone=True)
    page = visitor.page
    page.locator(".job-card").filter(has_text=made["ref"]).tap()  # 1
    big(page, "Accept").tap()  # 2
    big(page, "I am there").tap()  # 3
    big(page, "Done").tap()
    expect(page.get_by_role("heading", name="Finish the job")).to_be_visible()
    assert page.locator("form input[type=radio], form select, form textarea").count() <= 4 + 2
    page.get_by_text("Nothing found").tap()
    page.get_by_role("button", name="Checked, all in order.").tap()
    fits(page)
    big(page, "Finish").tap()
    expect(page.locator(".toast")).to_contain_text("Done.")
    after = visitor.api("GET", f"/tickets/{made['ticket_id']}")
    assert after["status"] in {"done", "verifying", "closed"}
    assert after["verdict"] == "nothing_found"


def test_a_confirmed_fault_asks_for_its_code(visit: Visit, job: Job, web: Web) -> None:
    made = job(f"Code {uuid4().hex[:8]}")
    visitor = visit("engineer", phone=True)
    page = visitor.page
    arrive(visitor, made)
    web.open(page, f"/my/{made['ticket_id']}/finish")
    page.get_by_text("Fault confirmed").tap()
    page.get_by_role("button", name="Part replaced.").tap()
    big(page, "Finish").tap()
    expect(page.get_by_text("Please fill this in.")).to_be_visible()
    page.get_by_label("Fault found").select_option(index=1)
    big(page, "Finish").tap()
    expect(page.locator(".toast")).to_contain_text("Done.")


def test_what_was_typed_survives_a_lost_answer_and_a_reload(visit: Visit, job: Job, web: Web) -> None:
    made = job(f"Kept {uuid4().hex[:8]}")
    visitor = visit("engineer", phone=True)
    page = visitor.page
    arrive(visitor, made)
    keys: list[str] = []
    lost = True

    def lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if lost:
            route.abort()
        else:
            route.continue_()

    page.route("**/transition", lose)
    web.open(page, f"/my/{made['ticket_id']}/finish")
    page.get_by_text("Nothing found").tap()
    page.get_by_label("What was done").fill("Listened for ten minutes.")
    big(page, "Finish").tap()
    expect(page.get_by_role("alert")).to_contain_text("Not sent. What you typed is kept.")
    page.reload()
    expect(page.get_by_label("What was done")).to_have_value("Listened for ten minutes.")
    expect(page.get_by_role("alert")).to_contain_text("Not sent.")
    lost = False
    page.get_by_role("button", name="Send again").tap()
    expect(page.locator(".toast")).to_contain_text("Done.")
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_jobs_open_without_a_network(visit: Visit, job: Job) -> None:
    made = job(f"Offline {uuid4().hex[:8]}")
    visitor = visit("engineer", phone=True)
    page = visitor.page
    expect(page.locator(".job-card").filter(has_text=made["ref"])).to_be_visible()
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_function(
        "title => (localStorage.getItem('millwright.kept') ?? '').includes(title)", arg=made["title"]
    )
    visitor.context.set_offline(True)
    page.reload()
    page.locator(".job-card").filter(has_text=made["ref"]).tap()
    expect(page.get_by_role("heading", name=made["title"])).to_be_visible()
    expect(page.locator(".stale-bar").first).to_contain_text("Offline. Shown as of")
    visitor.context.set_offline(False)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_phone_page_fits_360_pixels(visit: Visit, job: Job, web: Web, language: str) -> None:
    made = job(f"Narrow {uuid4().hex[:8]}")
    page = visit("engineer", phone=True, language=language).page
    for path in ("/my", f"/my/{made['ticket_id']}", f"/my/{made['ticket_id']}/finish"):
        web.open(page, path)
        fits(page)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert page.evaluate(TOO_SMALL, [TARGETS, THUMB_PX - 0.5]) == [], path


def big(page: Page, name: str) -> Any:
    """The one button of the next step: wide and high enough for a glove."""
    button = page.locator(".action-bar").get_by_role("button", name=name, exact=True)
    expect(button).to_be_visible()
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= THUMB_PX
    assert box["width"] >= 160
    return button


def arrive(visitor: Visitor, made: dict[str, Any]) -> None:
    """Accept the job and arrive, as the engineer, without the screen."""
    path = f"/tickets/{made['ticket_id']}/transition"
    accepted = visitor.api("POST", path, {"to": "accepted", "fields": {}}, version=made["version"])
    visitor.api("POST", path, {"to": "arrived", "fields": {}}, version=accepted["version"])


def fits(page: Page) -> None:
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
