"""The ledger and the detectors' figures, from orders that telemetry closed and failures that people recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from core.database import Database
from maintenance import feedback, ledger_store
from maintenance.guard import GUARD
from tests.integration.test_maintenance_guard import DONE, HOUR, T0, Plant
from tickets import hooks
from tickets import service as tickets
from tickets.model import Actor, ActorKind, Late, Ticket

PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
UNTIL = T0 + timedelta(days=60)


@pytest.fixture
def plant(database: Database, site: int) -> Iterator[Plant]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield Plant(database, site)


def closed(plant: Plant, *, verdict: str = "confirmed") -> Ticket:
    """An order with a forecast that says: fails within two days, more likely than not."""
    ticket = plant.fail()
    with plant.tx() as conn:
        conn.execute(
            """insert into predictions (asset_id, alarm_id, mode, made_at, p10_h, p50_h, p90_h, p_fail_horizon,
                 horizon_h, health, risk, cost_planned, cost_failure, currency, model, version)
               select asset_id, alarm_id, mode, %s, 24, 48, 96, 0.9, 168, 0.5, 1, 1000, 20000, 'EUR', 'trend', '1'
               from alarms where ticket_id = %s""",
            (T0 + 5 * HOUR, ticket.ticket_id),
        )
    plant.done(ticket, verdict=verdict)
    plant.run(DONE, 37, level=0.0)
    plant.check(37)
    assert plant.ticket(ticket).status == "closed"
    return plant.ticket(ticket)


def test_a_proven_repair_is_worth_its_chance_of_failure_less_its_cost(plant: Plant) -> None:
    ticket = closed(plant)
    with plant.tx() as conn:
        found = ledger_store.of(conn, since=T0, until=UNTIL)
    ((line, worth),) = found.lines
    assert (line.ticket_id, line.detector, line.version, line.false) == (ticket.ticket_id, "chain", "1", False)
    assert line.stop_at == T0 + DONE * HOUR + timedelta(days=7)  # no window, no plan: the planning week, no more
    assert 0.95 < line.p_fail < 1 and (line.loss, line.cost) == (20_000, 1_000)
    assert worth.expected == pytest.approx(0.75 * line.p_fail * 20_000 - 1_000)  # one verdict: three in four
    assert worth.low == -1_000 and found.sums["EUR"].expected == worth.expected


@pytest.mark.parametrize(("booked", "cost"), [(0.0, 0.0), (250.0, 250.0)])
def test_what_was_booked_is_the_cost_also_when_it_was_nothing(plant: Plant, booked: float, cost: float) -> None:
    ticket = closed(plant)
    with plant.tx() as conn:
        for total in (9.0, booked):
            tickets.record(conn, PLANNER, ticket.ticket_id, kind="cost", details={"n": total}, changes={"cost": total},
                           now=UNTIL, late=Late.TAKEN)  # fmt: skip
        ((line, _),) = ledger_store.of(conn, since=T0, until=UNTIL).lines
    assert line.cost == cost


def test_a_failure_of_another_part_after_the_repair_was_not_foreseen(plant: Plant) -> None:
    ticket = closed(plant)
    with plant.tx() as conn:
        for number, mode in enumerate(("seal_leak", ticket.mode)):
            at = ticket.opened_at + timedelta(days=4 + number)
            conn.execute(
                """insert into failures (asset_id, mode, failed_at, recorded_by, recorded_at)
                   values (%s, %s, %s, 'x', %s)""",
                (plant.asset_id, mode, at, UNTIL),
            )
        (figures,) = ledger_store.detected(conn, since=T0, until=UNTIL)
    assert (figures.foreseen, figures.failures, len(figures.missed)) == (1, 2, 1)


def test_no_more_is_claimed_than_until_the_next_window(plant: Plant) -> None:
    closed(plant)
    done = T0 + DONE * HOUR
    with plant.tx() as conn:
        for begins in (done - 2 * HOUR, done + 20 * HOUR):  # open just now, and tomorrow
            conn.execute(
                "insert into production_windows (asset_id, begins, ends) values (%s, %s, %s)",
                (plant.asset_id, begins, begins + 6 * HOUR),
            )
        ((line, _),) = ledger_store.of(conn, since=T0, until=UNTIL).lines
    assert line.stop_at == done + 20 * HOUR and 0.2 < line.p_fail < 0.5


def test_a_failure_before_the_next_stop_avoided_nothing_and_a_false_order_costs(plant: Plant) -> None:
    ticket = closed(plant)
    with plant.tx() as conn:
        conn.execute(
            """insert into failures (asset_id, mode, failed_at, recorded_by, recorded_at) values (%s, %s, %s, 'x', %s)""",  # noqa: E501
            (plant.asset_id, ticket.mode, T0 + timedelta(days=3), UNTIL),
        )
        ((line, worth),) = ledger_store.of(conn, since=T0, until=UNTIL).lines
        assert line.failed_after and worth.expected == -1_000
        (figures,) = ledger_store.detected(conn, since=T0, until=UNTIL)
    assert (figures.detector, figures.orders, figures.right, figures.wrong) == ("chain", 1, 1, 0)
    assert (figures.precision, figures.recall, figures.failures, figures.missed) == (1.0, 1.0, 1, ())
    lead_h = (T0 + timedelta(days=3) - ticket.opened_at) / HOUR
    assert figures.lead_h == lead_h and figures.false_month == 0


def test_nothing_found_is_a_false_order_and_a_failure_nobody_foresaw_is_missed(plant: Plant) -> None:
    ticket = plant.fail()
    with plant.tx() as conn:
        conn.execute(
            """insert into failures (asset_id, mode, failed_at, recorded_by, recorded_at)
               values (%s, 'imbalance', %s, 'x', %s) """,
            (plant.asset_id, T0 - timedelta(days=1), UNTIL),
        )
    plant.done(ticket, verdict="nothing_found")
    plant.run(DONE, 37, level=0.0)
    plant.check(37)
    with plant.tx() as conn:
        ((line, worth),) = ledger_store.of(conn, since=T0, until=UNTIL).lines
        (figures,) = ledger_store.detected(conn, since=T0 - timedelta(days=2), until=UNTIL)
    assert line.false and worth.expected == worth.high == -line.cost
    assert (figures.wrong, figures.precision, figures.recall, len(figures.missed)) == (1, 0.0, 0.0, 1)
    assert figures.false_month == pytest.approx(1 / (62 / 30.4375))
