"""What holds an alarm: rules, people, work on the machine. It is kept, listed, and judged again afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from core.database import Database
from core.errors import NotFound
from detectors.base import Finding, FindingKind, Sentence
from maintenance import feedback, holding, queries, service, suppress, tunings, works
from maintenance.errors import BadFeed, IllegalAlarmMove, StaleTuning
from maintenance.guard import GUARD
from maintenance.model import Action, Decision
from plant import assets
from plant.model import Role
from tickets import engineers, hooks
from tickets import service as tickets
from tickets.model import Actor, ActorKind

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
RULE = {"name": "Line stopped", "asset_class": "pump", "asset_id": None, "mode": "", "states": [0], "enabled": True}


class Machine:
    """A pump on a line that tells its state."""

    def __init__(self, conn: Connection, site: int) -> None:
        self.conn, self.site = conn, site
        self.line = assets.create_asset(conn, code="L1", name="Line", asset_class="", level="line")
        self.state_of_line = self._signal(self.line, "running", "generic", "1", Role.STATE)
        self.pump = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump", parent_id=self.line)
        self.vibration = self._signal(self.pump, "vibration", "vibration_velocity", "mm/s", Role.MEASURED)

    def _signal(self, asset_id: int, code: str, quantity: str, unit: str, role: Role) -> int:
        return assets.create_signal(
            self.conn, asset_id=asset_id, code=code, name=code, quantity=quantity, unit=unit, role=role
        )

    def say(self, hours: float, *, active: bool = True, health: float = 0.7) -> Decision | None:
        at = T0 + hours * HOUR
        return service.on_finding(self.conn, Finding(
            "bank", "1", FindingKind.MACHINE, self.pump, self.site, None, at, at, 5.0, active,
            {self.vibration: 1.0}, {self.vibration: 1}, health, Sentence("drift", {}),
        ), at)  # fmt: skip

    def decisions(self, *hours: float) -> list[tuple[Action, str]]:
        found = [self.say(each) for each in hours]
        return [(each.action, each.reasons[0].key) for each in found if each is not None]

    def alarm(self) -> dict[str, Any]:
        (found,) = queries.alarms(self.conn)
        return found


@pytest.fixture
def machine(conn: Connection, site: int) -> Iterator[Machine]:
    with hooks.only(close_guard=GUARD) as registered:
        registered.register_on_closed(feedback.on_closed)
        yield Machine(conn, site)


def states(conn: Connection, superuser: Connection, machine: Machine, value: int) -> None:
    """What the line tells of itself; only ingest writes last values, so the test does it as the superuser."""
    superuser.execute(
        """insert into last_values (signal_id, site_id, at, value, quality) values (%s, %s, %s, %s, 0)
           on conflict (signal_id) do update set value = excluded.value""",
        (machine.state_of_line, machine.site, T0, value),
    )


def moves(conn: Connection) -> list[str]:
    return [row[0] for row in conn.execute("select what from alarm_moves order by move_id")]


def test_while_its_line_is_stopped_an_alarm_is_suppressed_and_listed(
    database: object, conn: Connection, superuser: Connection, machine: Machine
) -> None:
    rule = suppress.add(conn, "Li", {**RULE, "whose": "parent"}, now=T0)
    states(conn, superuser, machine, 0)
    assert machine.decisions(0, 1, 2, 3) == [(Action.NONE, "suppressed")] * 4
    assert machine.alarm()["held"] == "suppressed" and machine.alarm()["state"] == "active"
    (held,) = holding.listed(conn)
    assert held["ref"] == str(rule) and held["until"] is None and "Line stopped" in held["why"]["zh"]
    assert suppress.listed(conn)[0]["now"] == 1
    states(conn, superuser, machine, 1)
    assert holding.settle(conn, T0 + 3.5 * HOUR) == 1
    assert machine.alarm()["held"] == "" and suppress.listed(conn)[0]["now"] == 0
    assert machine.decisions(4)[0][0] is Action.OPEN
    assert moves(conn) == ["raised", "held", "released"]


def test_a_rule_for_others_suppresses_nothing(
    database: object, conn: Connection, superuser: Connection, machine: Machine
) -> None:
    states(conn, superuser, machine, 0)
    for other in (
        {"asset_class": "fan"},
        {"mode": "cavitation"},
        {"states": [3]},
        {"enabled": False},
        {"whose": "own"},
    ):
        suppress.add(conn, "Li", {**RULE, "whose": "parent", **other}, now=T0)
    assert machine.decisions(0, 1, 2)[-1][0] is Action.OPEN


def test_a_rule_changes_by_version(conn: Connection, machine: Machine) -> None:
    rule = suppress.add(conn, "Li", {**RULE, "whose": "parent"}, now=T0)
    suppress.change(conn, rule, {**RULE, "whose": "own"}, version=1)
    with pytest.raises(StaleTuning):
        suppress.change(conn, rule, {**RULE, "whose": "own"}, version=1)
    suppress.retire(conn, rule, now=T0)
    with pytest.raises(NotFound):
        suppress.retire(conn, rule, now=T0)
    with pytest.raises(NotFound):
        suppress.change(conn, rule, {**RULE, "whose": "own"}, version=2)


def test_out_of_service_until_somebody_returns_it(conn: Connection, machine: Machine) -> None:
    out = works.take_out(conn, "Li", machine.pump, mode="", reason="meter removed", now=T0)
    with pytest.raises(IllegalAlarmMove):
        works.take_out(conn, "Li", machine.pump, mode="", reason="meter removed", now=T0)
    assert machine.decisions(0, 1, 2, 3) == [(Action.NONE, "out_of_service")] * 4
    works.put_back(conn, "Wang", out, now=T0 + 3 * HOUR)
    assert machine.decisions(4)[0][0] is Action.OPEN
    with pytest.raises(NotFound):
        works.put_back(conn, "Wang", out, now=T0)


@pytest.mark.parametrize("kind", ["lockout", "startup"])
def test_after_a_lock_out_it_is_judged_again_from_its_end(conn: Connection, machine: Machine, kind: str) -> None:
    work = works.begin(conn, "Li", machine.line, kind=kind, reason="belt", since=T0, until=None)
    assert machine.decisions(0, 1, 2, 3) == [(Action.NONE, kind)] * 4
    works.end(conn, "Li", work, now=T0 + 3 * HOUR)
    assert machine.decisions(3.5, 5.4) == [(Action.WAIT, "after_work")] * 2
    assert machine.decisions(5.6)[0][0] is Action.OPEN


def test_an_alarm_during_work_opens_no_order_and_says_on_which(conn: Connection, machine: Machine) -> None:
    engineers.create(conn, name="Wang", skills={"mechanical": 3}, user_id=None)
    order = tickets.open(
        conn, PLANNER, kind="corrective", title="Belt", asset_id=machine.pump, mode="belt", skill="mechanical", now=T0
    ).ticket
    for to in ("accepted", "arrived"):
        tickets.transition(conn, PLANNER, order.ticket_id, to=to, fields={}, now=T0)
    decision = machine.say(0)
    assert decision and decision.reasons[0].key == "work" and decision.reasons[0].values["ref"] == order.ref
    assert machine.alarm()["held"] == "work"
    done = {"verdict": "other_fault", "failure_code": "bearing_wear", "note": "new belt"}
    tickets.transition(conn, PLANNER, order.ticket_id, to="done", fields=done, now=T0 + HOUR)
    assert holding.settle(conn, T0 + HOUR) == 1
    waits = [(Action.WAIT, "not_yet"), (Action.WAIT, "after_work"), (Action.WAIT, "after_work")]
    assert machine.decisions(1.1, 2, 2.9) == waits
    assert machine.decisions(3.1)[0][0] is Action.OPEN


def test_an_on_delay_holds_the_order_back(conn: Connection, machine: Machine) -> None:
    values = dict.fromkeys(tunings.FIELDS) | {"on_delay_s": 14_400.0}
    tunings.save(conn, "Li", asset_class="pump", signal="vibration", values=values, version=None, now=T0)
    assert machine.decisions(0, 1, 2, 3.9)[-1] == (Action.WAIT, "on_delay")
    assert machine.decisions(4)[0][0] is Action.OPEN


def test_within_the_dead_band_it_does_not_come_back(conn: Connection, machine: Machine) -> None:
    values = dict.fromkeys(tunings.FIELDS) | {"dead_band": 0.1}
    tunings.save(conn, "Li", asset_class="", signal="", values=values, version=None, now=T0)
    machine.say(0)
    machine.say(0.5, active=False, health=0.95)
    machine.say(0.6, health=0.9)
    assert machine.alarm()["returns"] == 0 and machine.alarm()["returned_at"] is not None
    machine.say(0.7, health=0.8)
    assert machine.alarm()["returns"] == 1 and machine.alarm()["returned_at"] is None


def test_without_a_dead_band_a_milder_return_is_one_too(conn: Connection, machine: Machine) -> None:
    """A detector may end its deviation at a health below that at which it begins the next."""
    machine.say(0, health=0.7)
    machine.say(0.5, active=False, health=0.8)
    service.settle(conn, T0 + 48 * HOUR)
    assert machine.alarm()["state"] == "cleared"
    machine.say(48.5, health=0.9)
    assert machine.alarm()["state"] == "active" and machine.alarm()["returned_at"] is None
    assert machine.alarm()["returns"] == 1


def test_a_tuning_changes_by_version(conn: Connection, machine: Machine) -> None:
    values: dict[str, float | None] = dict.fromkeys(tunings.FIELDS)
    made = tunings.save(conn, "Li", asset_class="", signal="", values=values, version=None, now=T0)
    with pytest.raises(StaleTuning):
        tunings.save(conn, "Li", asset_class="", signal="", values=values, version=None, now=T0)
    assert tunings.save(conn, "Li", asset_class="", signal="", values=values, version=1, now=T0)["version"] == 2
    tunings.drop(conn, made["tuning_id"])
    with pytest.raises(NotFound):
        tunings.drop(conn, made["tuning_id"])


def test_feeds_are_no_circle(conn: Connection, machine: Machine) -> None:
    supply = assets.create_asset(conn, code="S", name="Supply", asset_class="")
    works.feed(conn, machine.line, supply, "air")
    works.feed(conn, machine.line, supply, "air")
    for asset_id, feeder in ((supply, machine.line), (supply, supply)):
        with pytest.raises(BadFeed):
            works.feed(conn, asset_id, feeder, "air")
    assert len(works.feeds(conn)) == 1
    works.unfeed(conn, machine.line, supply, "air")
    with pytest.raises(NotFound):
        works.unfeed(conn, machine.line, supply, "air")


def test_a_shelf_is_logged_extended_expires_and_is_brought_back(conn: Connection, machine: Machine) -> None:
    machine.say(0)
    alarm_id = machine.alarm()["alarm_id"]
    service.shelve(conn, "Li", alarm_id, until=T0 + HOUR, reason="cable", now=T0)
    service.shelve(conn, "Wang", alarm_id, until=T0 + 2 * HOUR, reason="cable", now=T0)
    service.settle(conn, T0 + HOUR)
    assert [each["shelved_by"] for each in queries.alarms(conn, state="shelved")] == ["Wang"]
    service.settle(conn, T0 + 2 * HOUR)
    assert queries.alarms(conn, state="shelved") == []
    service.shelve(conn, "Wang", alarm_id, until=T0 + 5 * HOUR, reason="cable", now=T0 + 2 * HOUR)
    service.unshelve(conn, "Wang", alarm_id, now=T0 + 3 * HOUR)
    assert moves(conn) == ["raised", "shelved", "shelved", "expired", "shelved", "unshelved"]


@pytest.mark.parametrize(
    ("value", "quality", "minutes", "report"),
    [(float("nan"), 0, 0, None), (1e18, 0, 0, None), (0.0, 2, 0, None), (0.0, 0, -20, "periodic")],
)
def test_a_state_that_cannot_be_believed_suppresses_nothing(
    database: object, conn: Connection, superuser: Connection, machine: Machine, value: float, quality: int,
    minutes: int, report: str | None,
) -> None:  # fmt: skip
    suppress.add(conn, "Li", {**RULE, "whose": "parent"}, now=T0)
    if report is not None:
        assets.bind(conn, source="plc", tag="line", signal_id=machine.state_of_line)
        conn.execute("update bindings set report = %s", (report,))
    superuser.execute(
        "insert into last_values (signal_id, site_id, at, value, quality) values (%s, %s, %s, %s, %s)",
        (machine.state_of_line, machine.site, T0 + timedelta(minutes=minutes), value, quality),
    )
    assert machine.decisions(0) == [(Action.WAIT, "not_yet")]


def test_letting_go_waits_for_the_judgement_of_the_machine(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        machine = Machine(conn, site)
        out = works.take_out(conn, "Li", machine.pump, mode="", reason="meter removed", now=T0)
        assert machine.decisions(0) == [(Action.NONE, "out_of_service")]
    with database.tx(site_id=site) as conn:
        works.put_back(conn, "Li", out, now=T0)
    with database.tx(site_id=site) as judging, database.tx(site_id=site) as job:
        job.execute("set local lock_timeout = '2s'")
        machine.conn = judging
        assert machine.decisions(3) == [(Action.WAIT, "not_yet")]  # this judgement lets go itself
        assert holding.settle(job, T0 + 3 * HOUR) == 0
    with database.tx(site_id=site) as conn:
        assert holding.settle(conn, T0 + 3 * HOUR) == 0 and moves(conn) == ["raised", "held", "released"]


def test_two_feeds_at_once_close_no_circle(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        one, other = (assets.create_asset(conn, code=code, name=code, asset_class="") for code in "AB")

    def feed() -> None:
        with database.tx(site_id=site) as conn:
            works.feed(conn, other, one, "power")

    with ThreadPoolExecutor(1) as pool:
        with database.tx(site_id=site) as conn:
            works.feed(conn, one, other, "power")
            waiting = pool.submit(feed)
            wait([waiting], timeout=0.5)
        with pytest.raises(BadFeed):
            waiting.result(timeout=20)
