"""The console's alarms: list, causes, what holds them, hygiene, and how they are designed; accessible, by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from core.clock import wall_now
from core.embedded import EmbeddedServer
from detectors.base import Finding, FindingKind, Sentence
from maintenance import grouping, service, tunings, works
from plant import assets
from tests.api_world import API, World, cloned, living, seeded
from tests.web.conftest import DEADLINE_MS, DESKTOP
from tests.web.windows import NARROW, choose, look, show, signed_in, watched

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
PAGES = ("", "/groups", "/groups/1", "/held", "/hygiene", "/works", "/suppression", "/tuning", "/feeds")


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("alarms")) as running:
        fill(seeded(running))
        yield running


def fill(world: World) -> None:
    """Six pumps on one supply that began together, and one that is locked out."""
    now = wall_now()
    with world.database.tx(site_id=world.alpha) as conn:
        supply = assets.create_asset(conn, code="AIR-1", name="Compressed air", asset_class="")
        for number in range(7):
            pump = assets.create_asset(conn, code=f"FL-{number}", name="Feed pump", asset_class="pump")
            signal = assets.create_signal(conn, asset_id=pump, code="p", name="p", quantity="pressure", unit="bar")
            if number < 6:
                works.feed(conn, pump, supply, "air")
            else:
                works.begin(conn, "Li", pump, kind="lockout", reason="belt", since=now - timedelta(hours=1), until=None)
            at = now - timedelta(seconds=120 - number)
            service.on_finding(conn, Finding(
                "bank", "1", FindingKind.MACHINE, pump, world.alpha, None, at, at, 5.0, True, {signal: 1.0},
                {signal: -1}, 0.2 + 0.1 * number, Sentence("drift", {"signal": "pressure"}),
            ), at)  # fmt: skip
        grouping.settle(conn, now, service.POLICY)


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    with signed_in(chromium, world, "planner") as page:
        yield page


@pytest.fixture
def planner(window: Page) -> Iterator[Page]:
    with watched(window) as page:
        yield page


@pytest.mark.parametrize(("language", "title", "size"), [("en", "Alarms", DESKTOP), ("zh", "报警", NARROW)])
def test_pages_are_accessible_and_fit(
    chromium: Browser, world: World, language: str, title: str, size: ViewportSize
) -> None:
    with signed_in(chromium, world, "planner", language=language) as window, watched(window) as page:
        if size is NARROW:
            page.emulate_media(color_scheme="dark")
        for path in PAGES:
            show(page, world, f"/alarms{path}", title)
            look(page, f"alarms{path.replace('/', '-')}-{language}", sizes=[size])


def test_an_alarm_is_shelved_and_a_figure_opens_its_alarms(world: World, planner: Page) -> None:
    show(planner, world, "/alarms", "Alarms")
    planner.get_by_label("Held").select_option("")
    row = planner.get_by_role("row", name="FL-0")
    expect(row).to_contain_text("critical")
    row.get_by_role("button", name="Shelve").click()
    planner.get_by_label("Reason").fill("valve on order")
    planner.get_by_role("dialog").get_by_role("button", name="Shelve").click()
    expect(row).to_contain_text("shelved")
    row.get_by_role("button", name="Bring back").click()
    expect(row).to_contain_text("active")
    show(planner, world, "/alarms/hygiene", "Alarms")
    planner.get_by_role("button", name="Show alarms: Alarms", exact=True).press("Enter")
    expect(planner.get_by_role("heading", name="Alarms", level=2)).to_be_visible()
    expect(planner.get_by_role("row", name="FL-6")).to_be_visible()


def test_a_tuning_is_refused_kept_and_not_written_over_another(world: World, planner: Page) -> None:
    show(planner, world, "/alarms/tuning", "Alarms")
    planner.get_by_role("button", name="New tuning").click()
    planner.get_by_label("Asset class").select_option("pump")
    planner.get_by_label("On-delay (s)").fill("90000")
    planner.get_by_role("button", name="Save").click()
    expect(planner.get_by_role("alert")).to_contain_text("86400")
    planner.get_by_label("On-delay (s)").fill("30")
    planner.get_by_role("button", name="Save").click()
    card = planner.get_by_role("region", name="pump")
    expect(card).to_contain_text("30 s")
    card.get_by_role("button", name="Change: pump").click()
    planner.get_by_label("Off-delay (s)").fill("20")
    with world.database.tx(site_id=world.alpha) as conn:
        tunings.save(
            conn, "Wang", asset_class="pump", signal="", values={"on_delay_s": 45.0}, version=1, now=wall_now()
        )
    planner.get_by_role("button", name="Save").click()
    expect(planner.get_by_role("alert")).to_contain_text("Wang changed this meanwhile.")
    expect(planner.get_by_label("Off-delay (s)")).to_have_value("20")
    planner.get_by_role("button", name="Go on with mine").click()
    planner.get_by_role("button", name="Save").click()
    expect(card).to_contain_text("20 s")
    assert [each["on_delay_s"] for each in world.as_("planner").get(f"{API}/alarm-tunings").json()] == [30.0]


def test_a_rule_suppresses_and_alarms_leave_service_and_return(world: World, planner: Page) -> None:
    show(planner, world, "/alarms/suppression", "Alarms")
    planner.get_by_role("button", name="New rule").click()
    form = planner.get_by_role("form", name="Edit a suppression rule")
    form.get_by_label("Name").fill("Line is stopped")
    form.get_by_label("State codes").fill("0, 2")
    form.get_by_role("button", name="Save").click()
    expect(planner.get_by_role("region", name="Line is stopped")).to_contain_text("is in state 0, 2")
    out = planner.get_by_role("region", name="Out of service")
    choose(out, planner, "Machine", "FL-3")
    out.get_by_label("Reason").fill("sensor is away")
    out.get_by_role("button", name="Take out of service").click()
    expect(out.get_by_role("row", name="FL-3")).to_contain_text("sensor is away")
    out.get_by_role("button", name="Return: FL-3").click()
    expect(out.get_by_role("row", name="FL-3")).to_have_count(0)


def test_an_engineer_declares_a_lock_out_and_a_planner_a_supply(chromium: Browser, world: World, planner: Page) -> None:
    with signed_in(chromium, world, "engineer") as engineer:
        engineer.goto(f"{world.address}/#/alarms/works")
        form = engineer.get_by_role("form", name="Declare a lock-out or start-up")
        choose(form, engineer, "Machine", "FL-1")
        form.get_by_label("Reason").fill("new seal")
        form.get_by_role("button", name="Begin").click()
        row = engineer.get_by_role("row", name="FL-1")
        expect(row).to_contain_text("until somebody ends it")
        row.get_by_role("button", name="End").click()
        expect(row).to_have_count(0)
    show(planner, world, "/alarms/feeds", "Alarms")
    form = planner.get_by_role("form", name="Declare a supply")
    choose(form, planner, "Feeds", "FL-6")
    choose(form, planner, "Is fed", "AIR-1")
    form.get_by_role("button", name="Add").click()
    row = planner.get_by_role("row", name="FL-6 power AIR-1")
    expect(row).to_be_visible()
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
