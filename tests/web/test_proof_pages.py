"""The week in one page, an order's evidence and the gate in a real browser, over an order that telemetry closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from api import up
from core.clock import wall_now
from core.embedded import EmbeddedServer
from core.seals import Seal
from maintenance import backtest_runs, evidence, evidence_pack, gate
from maintenance.evidence import What
from maintenance.replay.model import Period
from plant import assets
from tests.api_world import API, World, cloned, living, seeded
from tests.integration.test_maintenance_guard import DONE, HOUR, T0, Plant
from tests.web.conftest import DEADLINE_MS
from tests.web.windows import look, show, signed_in, watched
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
    with signed_in(chromium, world, "manager") as page:
        yield page


@pytest.fixture
def page(window: Page) -> Iterator[Page]:
    with watched(window) as page:
        yield page


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
    kept = chain_2(world)
    card = page.get_by_role("region", name="Detector chain 2")
    expect(card).to_contain_text("It opens nothing")
    card.get_by_role("button", name="Change the standing").click()
    page.get_by_label("Reason").fill("9 of 10 right")
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("or override with a reason")
    page.get_by_label("On what grounds").select_option("override")
    wanted = {"standing": "review", "reason": "look first"}
    path, match = f"{API}/maintenance/gate/{kept.gate_id}/standing", {"if-match": f'"{kept.row_version}"'}
    assert world.as_("admin").put(path, json=wanted, headers=match).status_code == 200
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("look first")
    page.get_by_role("button", name="Seen; decide again").click()
    page.get_by_role("button", name="Decide", exact=True).click()
    expect(page.get_by_role("button", name="Decide", exact=True)).to_have_count(0)
    assert (chain_2(world).standing, chain_2(world).reason) == ("live", "9 of 10 right")


def test_a_back_test_is_started_said_in_words_and_relied_upon(world: World, order: Ticket, page: Page) -> None:
    kept = chain_2(world)
    match = {"if-match": f'"{kept.row_version}"'}
    path, wanted = f"{API}/maintenance/gate/{kept.gate_id}/standing", {"standing": "shadow", "reason": "again"}
    assert world.as_("admin").put(path, json=wanted, headers=match).status_code == 200
    show(page, world, "/detectors/gate", "Gate for detector versions")
    runs = page.get_by_role("region", name="Back-tests")
    found = "would have opened 12 orders, 9 of them before real failures, with a lead of 5.4 d (median), and 0.05 false"
    expect(runs.get_by_role("region", name="Back-test 1", exact=True)).to_contain_text(found)
    expect(runs).to_contain_text("It foresaw 4 of 5 failures.")
    runs.get_by_role("button", name="Run a back-test").click()
    expect(runs.get_by_role("region", name="Back-test 2")).to_contain_text("It waits for those before it.")
    runs.get_by_role("button", name="Cancel: Back-test 2").click()
    expect(runs.get_by_role("region", name="Back-test 2")).to_contain_text("cancelled")
    card = page.get_by_role("region", name="Detector chain 2")
    card.get_by_role("button", name="Change the standing").click()
    card.get_by_label("On what grounds").select_option("backtest")
    card.get_by_role("button", name="Run a back-test").click()
    expect(card.get_by_text("It waits for those before it.")).to_be_visible()
    with world.database.tx(site_id=world.alpha) as conn:
        backtest_runs.take(conn, 3)
        backtest_runs.finish(conn, 3, {"orders": 2, "before_real_faults": 2, "false_month": 0.0}, now=wall_now())
    card.get_by_role("radio", name="Over the 90 days").check()
    card.get_by_label("Reason").fill("both were right")
    look(page, "gate")
    card.get_by_role("button", name="Decide", exact=True).click()
    expect(card.get_by_role("button", name="Decide", exact=True)).to_have_count(0)
    card.get_by_role("button", name="Earlier decisions").click()
    expect(card.get_by_role("listitem").first).to_contain_text("a back-test of just this (Back-test 3)")


def chain_2(world: World) -> gate.Gated:
    with world.database.tx(site_id=world.alpha) as conn:
        return next(each for each in gate.listed(conn) if (each.detector, each.version) == ("chain", "2"))
