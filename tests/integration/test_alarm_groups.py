"""Alarms that began together: one order for their cause, and one for each fault hidden among them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from detectors.base import Finding, FindingKind, Sentence
from maintenance import feedback, grouping, grouping_store, service, works
from maintenance.guard import GUARD
from maintenance.model import Action, Decision
from plant import assets
from tickets import hooks
from tickets import service as tickets
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Ticket

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
SIGNALS = {
    "vibration": ("vibration_velocity", "mm/s"),
    "bearing_temp": ("temperature", "°C"),
    "current": ("current", "A"),
}
DIP = {"current": -0.8, "bearing_temp": 0.1, "vibration": 0.1}
WEAR = {"vibration": 0.6, "bearing_temp": 0.4}


class Line:
    """Twelve pumps in two lines, one supply that feeds nine of them, and a voice to say findings about them."""

    def __init__(self, conn: Connection, site: int) -> None:
        self.conn, self.site = conn, site
        self.lines = [
            assets.create_asset(conn, code=f"L{n}", name="Line", asset_class="", level="line") for n in (1, 2)
        ]
        self.supply = assets.create_asset(conn, code="MCC-1", name="Switchgear", asset_class="")
        self.pumps = [self._pump(number) for number in range(12)]
        for pump in self.pumps[:9]:
            works.feed(conn, pump, self.supply, "power")

    def _pump(self, number: int) -> int:
        pump = assets.create_asset(
            self.conn, code=f"P-{number}", name="Pump", asset_class="pump", parent_id=self.lines[number % 2]
        )
        for code, (quantity, unit) in SIGNALS.items():
            assets.create_signal(self.conn, asset_id=pump, code=code, name=code, quantity=quantity, unit=unit)
        return pump

    def say(
        self, number: int, hours: float, shares: dict[str, float], *, started: float = 0, active: bool = True,
        health: float = 0.7, kind: FindingKind = FindingKind.MACHINE,
    ) -> Decision | None:  # fmt: skip
        pump, at = self.pumps[number], T0 + hours * HOUR
        ids = {each.code: each.signal_id for each in assets.signals(self.conn, pump)}
        return service.on_finding(self.conn, Finding(
            "bank", "1", kind, pump, self.site, "silent" if kind is FindingKind.SENSOR else None, T0 + started * SECOND,
            at, 5.0, active, {ids[name]: abs(share) for name, share in shares.items()},
            {ids[name]: 1 if share > 0 else -1 for name, share in shares.items()}, health, Sentence("drift", {}),
        ), at)  # fmt: skip

    def everybody(self, hours: float, *, but: dict[int, dict[str, float]] | None = None, active: bool = True) -> None:
        """The nine that are fed deviate, those of ``but`` otherwise."""
        for number in range(9):
            self.say(number, hours, (but or {}).get(number, DIP), started=number, active=active)
        grouping.settle(self.conn, T0 + hours * HOUR + 2 * grouping.GATHER, service.POLICY)


@pytest.fixture
def line(conn: Connection, site: int) -> Iterator[Line]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield Line(conn, site)


def orders(conn: Connection) -> list[Ticket]:
    return sorted(tickets_store.find(conn, tickets_store.Filter()).items, key=lambda ticket: ticket.ticket_id)


def test_a_common_cause_gets_one_order_that_lists_its_members(conn: Connection, line: Line) -> None:
    for hour in range(4):
        line.everybody(hour / 1)
    (order,) = orders(conn)
    assert order.asset_id == line.supply and order.mode == "common:power" and order.kind == "inspection"
    (said,) = [each.body["body"] for each in tickets_store.timeline(conn, order.ticket_id) if each.kind == "evidence"]
    assert [each["asset"] for each in said["members"]] == [f"P-{number}" for number in range(9)]
    assert "9 of 9 machines" in said["text"]["en"] and "9 台设备" in said["text"]["zh"]
    decision = line.say(3, 5, DIP)
    assert decision and decision.action is Action.NONE and decision.reasons[0].key == "grouped"


def test_few_or_one_after_another_are_no_common_cause(conn: Connection, line: Line) -> None:
    for hour in range(4):
        for number in range(4):
            line.say(number, hour, DIP, started=number)
        for number in range(4, 9):
            line.say(number, hour + 0.5, DIP, started=-3000 * number)
        grouping.settle(conn, T0 + (hour + 0.6) * HOUR, service.POLICY)
    assert grouping_store.holding(conn) == [] and len(orders(conn)) == 9


def test_a_fault_elsewhere_in_the_same_minute_gets_its_own_order(conn: Connection, line: Line) -> None:
    for hour in range(4):
        line.say(10, hour, WEAR, started=4)
        line.everybody(hour + 0.1)
    assert {order.asset_id for order in orders(conn)} == {line.supply, line.pumps[10]}


def test_a_fault_that_began_before_gets_its_own_order(conn: Connection, line: Line) -> None:
    for hour in range(4):
        line.say(2, hour, DIP, started=-20_000)
        line.everybody(hour + 0.1)
    assert {order.asset_id for order in orders(conn)} == {line.supply, line.pumps[2]}


def test_a_member_with_a_signature_of_its_own_breaks_out(conn: Connection, line: Line) -> None:
    mixed = {"current": -0.3, "vibration": 0.45, "bearing_temp": 0.25}
    for hour in range(5):
        line.everybody(hour, but={5: mixed})
    first, second = orders(conn)
    assert (first.asset_id, second.asset_id) == (line.supply, line.pumps[5])
    said = [
        each.body["body"]["text"]["en"]
        for each in tickets_store.timeline(conn, first.ticket_id)
        if each.kind == "evidence"
    ]
    assert any("P-5 deviates in a way that the others do not" in each for each in said)


def test_a_member_that_is_much_worse_breaks_out(conn: Connection, line: Line) -> None:
    for hour in range(5):
        line.everybody(hour)
        line.say(6, hour + 0.1, DIP, health=0.2)
    assert {order.asset_id for order in orders(conn)} == {line.supply, line.pumps[6]}


def test_what_persists_after_the_cause_has_ended_breaks_out(conn: Connection, line: Line) -> None:
    for hour in range(3):
        line.everybody(hour)
    for number in range(8):
        line.say(number, 3, DIP, active=False, health=0.95)
    grouping.settle(conn, T0 + 3.5 * HOUR, service.POLICY)
    assert line.say(8, 4, DIP).reasons[0].key == "grouped"  # type: ignore[union-attr]
    assert line.say(8, 5.2, DIP).action is Action.OPEN  # type: ignore[union-attr]
    assert {order.asset_id for order in orders(conn)} == {line.supply, line.pumps[8]}


def test_a_cancelled_common_order_sets_everybody_free(conn: Connection, line: Line) -> None:
    for hour in range(3):
        line.everybody(hour)
    (order,) = orders(conn)
    tickets.transition(conn, PLANNER, order.ticket_id, to="cancelled", fields={"reason": "no"}, now=T0 + 3 * HOUR)
    grouping.settle(conn, T0 + 3.5 * HOUR, service.POLICY)
    assert line.say(1, 4, DIP).action is Action.OPEN  # type: ignore[union-attr]


def test_silent_sensors_of_many_machines_share_one_order(conn: Connection, line: Line) -> None:
    works.feed(conn, line.lines[0], line.supply, "network")
    works.feed(conn, line.lines[1], line.supply, "network")
    for number in range(12):
        line.say(number, 0.01, {"current": 1.0}, started=number, kind=FindingKind.SENSOR)
    grouping.settle(conn, T0 + 0.02 * HOUR, service.POLICY)
    assert len(orders(conn)) == 1  # more may follow: for a minute it is seen how many there are
    grouping.settle(conn, T0 + 0.03 * HOUR, service.POLICY)
    grouping.merge_singles(conn, T0 + 0.03 * HOUR)
    found = orders(conn)
    assert len(found) <= 3 and [each.mode for each in found if each.is_open] == ["common:network"]
