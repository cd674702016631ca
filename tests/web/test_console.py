"""The planner's console in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.conftest import HEADERS, Visitor, Web

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]
Job = Callable[[str], dict[str, Any]]
PREDICTION_MS = 240_000  # a living plant needs a while until its first fault is seen


def predicted(web: Web, page: Page) -> None:
    web.open(page, "/predictions")
    page.wait_for_selector("table.predictions tbody tr", timeout=PREDICTION_MS)


def test_predictions_answer_what_when_how_sure_and_why_before_a_click(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    predicted(web, page)
    row = page.locator("table.predictions tbody tr").first
    expect(row.locator("a.title")).not_to_be_empty()
    expect(row.locator("td.why")).to_contain_text(re.compile(r"\w+ \w+"))
    expect(row.locator("td.sure")).to_contain_text(re.compile(r"\d+ %"))
    when = row.locator("td.when")
    known = when.get_by_role("img").or_(when.get_by_text("no time yet"))
    expect(known.first).to_be_visible()
    losses = page.locator("table.predictions .risk b").all_inner_texts()
    amounts = [float(re.sub(r"[^\d.]", "", text)) for text in losses]
    assert amounts == sorted(amounts, reverse=True)


def test_a_click_opens_the_plot_with_band_and_moment_of_detection(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    predicted(web, page)
    page.locator("table.predictions a.title").first.click()
    plot = page.locator("figure").first
    expect(plot.locator("canvas")).to_be_visible()
    expect(plot.get_by_role("img")).to_have_attribute("aria-label", re.compile(r": latest -?\d"))
    expect(plot.locator("figcaption")).to_contain_text("detected")
    page.get_by_role("radiogroup", name="Time range").get_by_text("7 d").click()
    expect(plot.locator("canvas")).to_be_visible()


def test_keyboard_searches_walks_and_opens(web: Web, visit: Visit, job: Job) -> None:
    title = f"Keyboard {uuid4().hex[:8]}"
    made = job(title)
    page = visit("planner").page
    web.open(page, "/orders")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type(title)
    page.keyboard.press("Enter")
    expect(page.locator("table tbody tr")).to_have_count(1)
    page.locator("#search").press("Escape")
    page.keyboard.press("j")
    expect(page.locator("a.title").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    assert page.url.endswith(f"/orders/{made['ticket_id']}")


def test_orders_are_filtered_by_kind_and_status(web: Web, visit: Visit, job: Job) -> None:
    made = job(f"Filter {uuid4().hex[:8]}")
    page = visit("planner").page
    web.open(page, "/orders")
    row = page.get_by_role("row", name=re.compile(made["ref"]))
    expect(row).to_be_visible()
    page.get_by_label("Kind", exact=True).select_option("inspection")
    expect(row).to_have_count(0)
    page.get_by_label("Kind", exact=True).select_option("corrective")
    page.get_by_label("Status", exact=True).select_option("assigned")
    expect(row).to_be_visible()


def test_an_order_shows_clocks_people_and_timeline_and_takes_a_comment(web: Web, visit: Visit, job: Job) -> None:
    made = job(f"Detail {uuid4().hex[:8]}")
    page = visit("planner").page
    web.open(page, f"/orders/{made['ticket_id']}")
    expect(page.get_by_role("heading", name="Deadlines")).to_be_visible()
    expect(page.get_by_role("heading", name="Assigned to")).to_be_visible()
    expect(page.locator(".timeline > li").first).to_contain_text("opened the order")
    said = f"Bring the long ladder, {uuid4().hex[:6]}"
    page.get_by_label("Your comment").fill(said)
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator(".timeline .said").last).to_have_text(said)
    expect(page.get_by_label("Your comment")).to_have_value("")


def test_a_ticket_by_hand(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    title = f"Noise at the gate {uuid4().hex[:8]}"
    web.open(page, "/orders/new")
    page.get_by_role("button", name="Open ticket").click()
    expect(page.get_by_text("Please fill this in.")).to_be_visible()
    page.get_by_label("Title").fill(title)
    page.get_by_label("What do you see").fill("A squeak <b>every</b> turn")
    page.get_by_role("button", name="Open ticket").click()
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_text("A squeak <b>every</b> turn").first).to_be_visible()


def test_a_stale_version_shows_what_changed_and_goes_on(web: Web, visit: Visit, job: Job) -> None:
    made = job(f"Conflict {uuid4().hex[:8]}")
    path = f"/tickets/{made['ticket_id']}"
    planner, colleague = visit("planner"), visit("planner")
    web.open(planner.page, f"/orders/{made['ticket_id']}")
    deaf = True  # this window hears of no change until it has sent its own

    def hear(route: Route) -> None:
        if deaf:
            route.abort()
        else:
            route.continue_()

    def send(route: Route) -> None:
        nonlocal deaf
        deaf = False
        route.continue_()

    planner.page.route(f"**/api/v1{path}", hear)
    planner.page.route("**/transition", send)
    colleague.api("PATCH", path, {"priority": 1}, version=made["version"])
    planner.page.get_by_role("button", name="Put on hold").click()
    planner.page.get_by_label("Reason").select_option("waiting_parts")
    planner.page.get_by_role("button", name="Put on hold").last.click()
    conflict = planner.page.get_by_role("alert")
    expect(conflict).to_contain_text("Someone else changed this order")
    expect(conflict).to_contain_text("Priority: was high → is now urgent")
    conflict.get_by_role("button", name="Take the new state").click()
    expect(planner.page.get_by_label("Reason")).to_have_value("waiting_parts")
    planner.page.get_by_role("button", name="Put on hold").last.click()
    expect(planner.page.locator(".page-head")).to_contain_text("on hold")


def test_a_step_without_an_answer_is_sent_again_with_the_same_key(web: Web, visit: Visit, job: Job) -> None:
    made = job(f"Lost answer {uuid4().hex[:8]}")
    page = visit("planner").page
    keys: list[str] = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/transition", lose_the_first)
    web.open(page, f"/orders/{made['ticket_id']}")
    page.get_by_role("button", name="Put on hold").click()
    page.get_by_label("Reason").select_option("waiting_access")
    page.get_by_role("button", name="Put on hold").last.click()
    expect(page.get_by_role("alert")).to_contain_text("Not sent. What you typed is kept.")
    expect(page.get_by_label("Reason")).to_have_value("waiting_access")
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".page-head")).to_contain_text("on hold")
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_assets_show_health_and_the_age_of_their_data(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    web.open(page, "/assets")
    machine = page.locator("tbody tr").filter(has=page.locator(".pips")).first
    expect(machine).to_contain_text(re.compile("normal|watch|alarm|no fresh data|not known yet"))
    expect(machine).to_contain_text(re.compile("ago|just now|no data yet"))
    machine.locator("a.title").click()
    signals = page.locator(".signal")
    expect(signals.first).to_be_visible()
    expect(page.locator("figure canvas").first).to_be_visible()
    expect(signals.filter(has_text=re.compile(r"\d (mm/s|°C|A|bar|%|rpm)")).first).to_be_visible()


def test_an_unknown_tag_is_bound_by_a_click(web: Web, visit: Visit) -> None:
    tag = web.unknown_tag()
    page = visit("planner").page
    web.open(page, "/quarantine")
    row = page.locator("tbody tr").filter(has_text=tag)
    expect(row).to_contain_text("tag not bound", timeout=60_000)
    row.get_by_role("button", name="Bind").click()
    dialog = page.get_by_role("dialog")
    if not dialog.get_by_role("combobox", name="Asset").input_value():
        dialog.get_by_role("combobox", name="Asset").click()
        page.get_by_role("option").last.click()
    dialog.get_by_role("combobox", name="Signal").click()
    page.get_by_role("option").first.click()
    dialog.get_by_role("button", name="Bind").click()
    expect(page.get_by_text("Bound. Its waiting samples are being taken in.")).to_be_visible()
    expect(row).to_have_count(0, timeout=60_000)


def test_system_and_detectors_report(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    web.open(page, "/system")
    expect(page.get_by_role("heading", name="Parts")).to_be_visible()
    expect(page.locator("tbody tr").first).to_contain_text("running")
    web.open(page, "/detectors")
    row = page.locator("tbody tr").or_(page.get_by_text("No detector has reported yet."))
    expect(row.first).to_be_visible()


def test_language_and_scheme_are_switched_and_kept(web: Web, visit: Visit) -> None:
    page = visit("planner").page
    web.open(page, "/orders")
    page.get_by_role("button", name="Switch the language to Chinese").click()
    expect(page.get_by_role("heading", name="工单")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_role("button", name="切换到深色").click()
    page.reload()
    expect(page.get_by_role("heading", name="工单")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.mantineColorScheme") == "dark"


def test_the_door(web: Web, visit: Visit) -> None:
    visitor = visit(None)
    page = visitor.page
    page.goto(web.base_url)
    page.get_by_label("Login").fill("nobody")
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Login or password is wrong.")
    page.goto(f"{web.base_url}/#/link/not-a-link")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("was used or has expired")


def test_an_ended_session_comes_back_to_the_door(web: Web, visit: Visit) -> None:
    visitor = visit("planner", fresh=True)
    web.open(visitor.page, "/orders")
    visitor.context.request.delete(f"{web.base_url}/api/v1/session", headers=HEADERS)
    visitor.page.goto(f"{web.base_url}/#/assets")
    expect(visitor.page.get_by_text("Your session has ended.")).to_be_visible()


def test_signing_out_leaves_nothing_behind(web: Web, visit: Visit) -> None:
    page = visit("planner", fresh=True).page
    web.open(page, "/orders")
    page.wait_for_function("() => localStorage.getItem('millwright.kept') !== null")
    page.get_by_role("button", name=re.compile("Account")).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert page.evaluate("localStorage.getItem('millwright.kept')") is None


def test_a_server_that_does_not_answer_leaves_the_last_known_state(web: Web, visit: Visit, job: Job) -> None:
    made = job(f"Stale {uuid4().hex[:8]}")
    page = visit("planner").page
    web.open(page, f"/orders/{made['ticket_id']}")
    page.route("**/api/v1/**", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("heading", name=made["title"])).to_be_visible()
    expect(page.locator(".stale-bar").first).to_contain_text("Shown as of")
