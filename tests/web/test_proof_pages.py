"""The week in one page, an order's evidence and the gate in a real browser, over an order that telemetry closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from api import up
from core.embedded import EmbeddedServer
from core.seals import Seal
from maintenance import backtest_runs, evidence, evidence_pack, gate
from maintenance.evidence import What
from maintenance.replay.model import Period
from plant import assets
from tests.api_world import API, World, cloned, living, seeded
from tests.integration.test_maintenance_guard import DONE, HOUR, T0, Plant
from tests.web.conftest import DEADLINE_MS, DESKTOP
from tickets.hooks import hooks
from tickets.model import Ticket

pytestmark = pytest.mark.web
expect.set_options(timeout=DEADLINE_MS)
WEEK = "/week?days=7&last=2026-03-05"


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    kept = hooks.copy()
    up.wire()
    evidence_pack.sign_with(Seal("a secret of the test", purpose="audit"))
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("proof")) as made:
        yield seeded(made)
    evidence_pack.sign_with(None)
    hooks.become(kept)


@pytest.fixture(scope="module")
def order(world: World) -> Ticket:
    """Closed by telemetry, frozen at both ends; its detector has a newer version in the shadow, and a back-test."""
    plant = Plant(world.database, world.alpha)
    ticket = plant.fail()
    plant.done(ticket)
    plant.run(DONE, 37, level=0.0)
    plant.check(37)
    with plant.tx() as conn:
        evidence.freeze(conn, ticket.ticket_id, What.OPENED, now=ticket.opened_at)
        evidence.freeze(conn, ticket.ticket_id, What.CLOSED, now=T0 + 38 * HOUR)
        gate.standing(conn, "chain", "2", assets.asset(conn, plant.asset_id))
        period = Period(T0, T0, T0 + timedelta(days=2))
        result = {"orders": 12, "before_real_faults": 9, "failures": 5, "failures_foreseen": 4, "lead_h": 130.0}
        number = backtest_runs.insert(conn, {}, period, by="Planner", now=T0 + 40 * HOUR)
        backtest_runs.take(conn, number)
        backtest_runs.finish(conn, number, {**result, "false_month": 0.05}, now=T0 + 40 * HOUR)
    return plant.ticket(ticket)


@pytest.fixture(scope="module")
def window(chromium: Browser, world: World) -> Iterator[Page]:
    """A manager's window, signed in."""
    context = chromium.new_context(viewport=DESKTOP, locale="en-GB")
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto(f"{world.address}/#/link/{world.link('manager')}")
    page.wait_for_selector(".shell", timeout=DEADLINE_MS)
    yield page
    context.close()


@pytest.fixture
def page(window: Page) -> Iterator[Page]:
    """The window; at the end no script may have failed and axe has nothing to say."""
    errors: list[str] = []
    window.on("pageerror", lambda error: errors.append(str(error)))
    yield window
    found = Axe().run(window, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert errors == []


def show(page: Page, world: World, path: str, heading: str) -> None:
    page.goto("about:blank")
    page.goto(f"{world.address}/#{path}")
    expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()


def test_each_number_of_the_week_opens_its_rows(world: World, order: Ticket, page: Page) -> None:
    show(page, world, WEEK, "The week in one page")
    figures = page.get_by_role("region", name="Figures of maintenance")
    expect(figures.get_by_role("row", name="Availability")).to_contain_text("100 %")
    figures.get_by_role("button", name="Mean operating time between failures").press("Enter")
    rows = page.get_by_role("region", name="Rows of: Mean operating time between failures")
    expect(rows.get_by_role("row", name="The whole span")).to_contain_text("168")
    detectors = page.get_by_role("region", name="Detectors by version")
    expect(detectors).to_contain_text("1 right of 1")
    detectors.get_by_role("button", name="Show orders").click()
    expect(detectors.get_by_role("link", name=f"Order #{order.ticket_id}")).to_be_visible()
    ledger = page.get_by_role("region", name="Ledger of avoided downtime")
    expect(ledger.get_by_role("row", name=order.ref)).to_contain_text("90 %:")
    with page.expect_download() as loading:
        ledger.get_by_role("link", name="Download as CSV").click()
    assert order.ref in loading.value.path().read_text(encoding="utf-8")


def test_an_order_shows_its_frozen_evidence_and_the_proof(world: World, order: Ticket, page: Page) -> None:
    show(page, world, f"/orders/{order.ticket_id}", order.title)
    proof = page.get_by_role("region", name="Evidence", exact=True)
    expect(proof).to_contain_text("Frozen at opening")
    expect(proof).to_contain_text("Frozen at closing")
    expect(page.get_by_text("of 12 h of running time needed")).to_be_visible()
    expect(page.get_by_text("Decided by telemetry.")).to_be_visible()
    expect(page.get_by_text("Before and after the repair")).to_be_visible()
    with page.expect_download() as loading:
        proof.get_by_role("link", name="Download the signed pack").click()
    assert loading.value.path().read_bytes()[:2] == b"PK"


def test_a_version_is_let_with_a_reason_and_not_over_another_decision(world: World, order: Ticket, page: Page) -> None:
    show(page, world, "/detectors/gate", "Gate for detector versions")
    expect(page.get_by_role("region", name="Back-tests").get_by_role("row", name="Planner")).to_contain_text("5.4 d")
    with world.database.tx(site_id=world.alpha) as conn:
        kept = next(each for each in gate.listed(conn) if (each.detector, each.version) == ("chain", "2"))
    card = page.get_by_role("region", name="Detector chain 2")
    expect(card).to_contain_text("It opens nothing")
    card.get_by_role("button", name="Change the standing").click()
    page.get_by_label("Reason").fill("9 of 10 right")
    wanted = {"standing": "review", "reason": "look first"}
    path, match = f"{API}/maintenance/gate/{kept.gate_id}/standing", {"if-match": f'"{kept.row_version}"'}
    assert world.as_("admin").put(path, json=wanted, headers=match).status_code == 200
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("look first")
    page.get_by_role("button", name="Seen; decide again").click()
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.get_by_role("button", name="Decide", exact=True)).to_have_count(0)
    with world.database.tx(site_id=world.alpha) as conn:
        assert (gate.get(conn, kept.gate_id).standing, gate.get(conn, kept.gate_id).reason) == ("live", "9 of 10 right")
