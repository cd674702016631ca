"""The work at the machine on the engineer's phone: a checklist, a photo, time and a signature, online and off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests import file_kit as kit
from tests.web.conftest import Visitor, Web

pytestmark = pytest.mark.web
Visit = Callable[..., Visitor]
THUMB_PX = 48
TOO_SMALL = """least => [...document.querySelectorAll('.checklist button, .attach button, .fold summary, .fold button')]
  .filter(one => one.checkVisibility() && one.getBoundingClientRect().height < least)
  .map(one => one.outerHTML.slice(0, 120))"""


def arrived(visit: Visit) -> tuple[Visitor, dict[str, Any]]:
    """An engineer on the phone who has arrived at an inspection of a pump."""
    planner, engineer = visit("planner"), visit("engineer", phone=True)
    pump = next(each for each in planner.api("GET", "/assets")["items"] if each["asset_class"] == "pump")
    title = f"Round {uuid4().hex[:8]}"
    body = {"kind": "inspection", "title": title, "asset_id": pump["asset_id"]}
    made = planner.api("POST", "/tickets", body)
    mine = engineer.api("GET", "/me")["engineer_id"]
    path = f"/tickets/{made['ticket_id']}"
    if (made["assignee"] or {}).get("engineer_id") != mine:
        made = planner.api("POST", f"{path}/assign", {"engineer_id": mine}, version=made["version"])
    for to in ("accepted", "arrived"):
        made = engineer.api("POST", f"{path}/transition", {"to": to, "fields": {}}, version=made["version"])
    return engineer, made


def line(page: Page, words: str) -> Any:
    return page.locator(".checklist li").filter(has_text=words)


def test_a_round_on_the_phone(visit: Visit, web: Web, tmp_path: Any) -> None:
    visitor, made = arrived(visit)
    page, path = visitor.page, f"/tickets/{made['ticket_id']}"
    web.open(page, f"/my/{made['ticket_id']}")
    expect(page.locator(".checklist summary")).to_contain_text("3 open")
    line(page, "How does the pump stand?").get_by_role("button", name="Running", exact=True).tap()
    line(page, "Temperature of the hotter").get_by_role("textbox").fill("61.5")
    line(page, "Temperature of the hotter").get_by_role("button", name="Keep").tap()
    expect(line(page, "Temperature of the hotter")).to_contain_text("good")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    visitor.context.set_offline(True)
    line(page, "Oil at mid-glass").get_by_role("button", name="Yes").tap()
    expect(line(page, "Oil at mid-glass")).to_contain_text("✓")
    expect(page.get_by_role("status").filter(has_text="wait for the network")).to_be_visible()
    visitor.context.set_offline(False)
    expect(page.get_by_text("wait for the network")).to_have_count(0)
    line(page, "Leakage at the shaft seal").get_by_role("button", name="A stream").tap()
    expect(line(page, "Leakage at the shaft seal")).to_contain_text("no photo")
    photo = tmp_path / "seal.jpg"
    photo.write_bytes(kit.noise((400, 300)))
    line(page, "Leakage at the shaft seal").locator("input[type=file]").set_input_files(photo)
    expect(line(page, "Leakage at the shaft seal")).not_to_contain_text("no photo")
    expect(page.locator(".attachments img")).to_have_js_property("naturalWidth", 320)
    assert page.evaluate(TOO_SMALL, THUMB_PX - 0.5) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    answers = {each["item"]["code"]: each for each in visitor.api("GET", f"{path}/work")["checklists"][0]["lines"]}
    assert answers["oil"]["answer"]["outcome"] == "ok"
    assert answers["seal_leak"]["answer"]["photos"]
    assert visitor.api("GET", f"/tickets/{answers['seal_leak']['follow_up']}")["kind"] == "corrective"


def test_time_and_signature_on_the_phone_are_read_in_the_console(visit: Visit, web: Web) -> None:
    visitor, made = arrived(visit)
    page = visitor.page
    web.open(page, f"/my/{made['ticket_id']}")
    page.locator("summary", has_text="Time worked").tap()
    page.get_by_role("button", name="15 min", exact=True).tap()
    expect(page.locator("summary", has_text="15 min in all")).to_be_visible()
    page.get_by_role("button", name="30 min until now").tap()
    expect(page.get_by_role("heading", name="The machine stood")).to_contain_text("30 min")
    page.locator("summary", has_text="Signature").tap()
    page.get_by_label("Name of who signs").fill("Shift lead")
    pad = page.locator(".signature.pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(box["x"] + 20 + 20 * step, box["y"] + 20 + 30 * (step % 2))
    page.mouse.up()
    page.get_by_role("button", name="Sign", exact=True).tap()
    expect(page.get_by_role("img", name="Signature of Shift lead")).to_be_visible()
    console = visit("planner").page
    web.open(console, f"/orders/{made['ticket_id']}")
    expect(console.get_by_role("heading", name="Work done")).to_be_visible()
    expect(console.get_by_role("img", name="Signature of Shift lead")).to_be_visible()
