"""Alarm rules in a real browser: written in a form and as text, previewed, enabled; both languages, both widths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.embedded import EmbeddedServer
from tests.api_world import API, World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import look, show, signed_in, watched

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("alarm_rules")) as running:
        seeded(running)
        yield running


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    with signed_in(chromium, world, "manager") as page:
        yield page


def test_a_rule_is_written_previewed_enabled_and_changed_as_text(window: Page, world: World) -> None:
    with watched(window) as page:
        show(page, world, "/detectors/rules", "Alarm rules")
        page.get_by_role("button", name="New alarm rule").click()
        form = page.get_by_role("form", name="Alarm rule")
        form.get_by_label("Name").fill("Hot bearing")
        form.get_by_role("textbox", name="Code", exact=True).fill("hot")
        first = form.get_by_role("group", name="Condition 1.1")
        first.get_by_label("Signal (code)").fill("bearing_temp")
        first.get_by_label("Unit").fill("°C")
        first.get_by_label("Limit (°C)").fill("80")
        first.get_by_label("Wait (min)").fill("10")
        first.get_by_role("button", name="Farther limit, shorter wait").click()
        first.get_by_label("Limit (°C)").last.fill("90")
        look(page, "alarm-rule-form")
        form.get_by_role("button", name="Preview over 30 days").click()
        expect(form.get_by_role("status")).to_contain_text("Would have raised nothing in 30 days")
        form.get_by_role("button", name="Save").click()
        one = page.get_by_role("region", name="Hot bearing")
        expect(one).to_contain_text("Not in force")
        expect(one).to_contain_text("above 80 °C for 10 min, or 90 °C at once")
        one.get_by_role("button", name="Preview over 30 days: Hot bearing").click()
        one.get_by_role("button", name="Enable: Hot bearing").click()
        expect(one).to_contain_text("In force since")
        one.get_by_role("button", name="Change: Hot bearing").click()
        form.get_by_role("button", name="As text").click()
        text = page.get_by_label("TOML")
        text.fill(text.input_value().replace("limit = 90", "limit = 70"))
        page.get_by_role("button", name="Take it over").click()
        expect(page.get_by_role("alert")).to_contain_text("farther out")
        text.fill(text.input_value().replace("limit = 70", "limit = 95"))
        page.get_by_role("button", name="Take it over").click()
        form.get_by_role("button", name="Save").click()
        expect(one).to_contain_text("An earlier revision is in force")
        expect(one).to_contain_text("95 °C at once")
        look(page, "alarm-rules")
    assert [each["in_force"] for each in world.as_("manager").get(f"{API}/alarm-rules").json()] == [1]


def test_in_chinese_an_engineer_s_planner_reads_it(chromium: Browser, world: World) -> None:
    with signed_in(chromium, world, "planner", language="zh") as page, watched(page):
        show(page, world, "/detectors/rules", "报警规则")
        page.get_by_role("button", name="新建报警规则").click()
        look(page, "alarm-rules-zh")
