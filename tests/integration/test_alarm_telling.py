"""Who is told of alarms: singly, in one summary during a flood, once when one stands still or chatters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from api import identity
from core.database import Database
from detectors.base import Finding, FindingKind, Sentence
from maintenance import alarms_report, alarms_telling, service
from maintenance.alarms_hygiene import Figure
from plant import assets
from tickets import notify

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Plant:
    """Machines that alarm one by one, and one planner."""

    def __init__(self, conn: Connection, site: int) -> None:
        self.conn, self.site = conn, site
        identity.create_user(conn, login="planner", name="Planner", role="planner", site_id=site)
        (self.planner,) = notify.planners(conn)

    def alarm(self, number: int, at: datetime, *, health: float = 0.2, active: bool = True) -> None:
        code = f"P-{number}"
        row = self.conn.execute("select asset_id from assets where code = %s", (code,)).fetchone()
        asset_id = row[0] if row else assets.create_asset(self.conn, code=code, name="Pump", asset_class="pump")
        if row is None:
            assets.create_signal(
                self.conn, asset_id=asset_id, code="vib", name="vib", quantity="vibration_velocity", unit="mm/s"
            )
        (signal,) = assets.signals(self.conn, asset_id)
        service.on_finding(self.conn, Finding(
            "bank", "1", FindingKind.MACHINE, asset_id, self.site, None, at, at, 5.0, active,
            {signal.signal_id: 1.0}, {signal.signal_id: 1}, health, Sentence("drift", {}),
        ), at)  # fmt: skip

    def told(self) -> list[str]:
        return [each.title["en"] for each in reversed(notify.inbox(self.conn, self.planner, limit=200))]


@pytest.fixture
def plant(database: Database, conn: Connection, site: int) -> Plant:
    return Plant(conn, site)


def test_each_alarm_is_told_once_a_minute_after_it_was_noticed(conn: Connection, plant: Plant) -> None:
    plant.alarm(1, T0)
    alarms_telling.settle(conn, T0 + 59 * SECOND)
    assert plant.told() == []
    for minutes in (1, 2, 3):
        alarms_telling.settle(conn, T0 + minutes * MINUTE)
    assert plant.told() == ["Alarm: P-1"]


def test_a_mild_one_is_not_told_before_it_is_worse(conn: Connection, plant: Plant) -> None:
    plant.alarm(1, T0, health=0.9)
    alarms_telling.settle(conn, T0 + 5 * MINUTE)
    assert plant.told() == []
    plant.alarm(1, T0 + 6 * MINUTE, health=0.2)
    alarms_telling.settle(conn, T0 + 7 * MINUTE)
    assert plant.told() == ["Alarm: P-1"]


def test_ten_in_ten_minutes_are_told_singly(conn: Connection, plant: Plant) -> None:
    for number in range(10):
        plant.alarm(number, T0 + number * SECOND)
    alarms_telling.settle(conn, T0 + 2 * MINUTE)
    assert plant.told() == [f"Alarm: P-{number}" for number in range(10)]


def test_a_flood_is_told_in_one_summary_and_nothing_is_lost(conn: Connection, plant: Plant) -> None:
    for number in range(30):
        plant.alarm(number, T0 + number * 20 * SECOND)
    for minutes in range(1, 25):
        alarms_telling.settle(conn, T0 + minutes * MINUTE)
    told = plant.told()
    singles = [title for title in told if title.startswith("Alarm: ")]
    assert len(singles) <= 10
    assert told[len(singles):] == [
        "Alarm flood: more than 10 alarms in 10 minutes",
        f"The alarm flood is over: {30 - len(singles)} alarms on {30 - len(singles)} machines",
    ]  # fmt: skip
    row = conn.execute("select count(distinct alarm_id), count(*) from alarms_told").fetchone()
    assert row == (30, 30)
    plant.alarm(99, T0 + 60 * MINUTE)
    alarms_telling.settle(conn, T0 + 62 * MINUTE)
    assert plant.told()[-1] == "Alarm: P-99"


def test_one_that_stands_for_a_day_is_told_once(conn: Connection, plant: Plant) -> None:
    plant.alarm(1, T0, health=0.9)
    for hours in (23.9, 24.1, 24.2, 40):
        alarms_telling.settle(conn, T0 + hours * HOUR)
    assert plant.told() == ["Alarm stands without change: P-1"]
    report = alarms_report.hygiene(conn, start=T0, end=T0 + 41 * HOUR)
    assert next(each.value for each in report.told if each.figure is Figure.STALE) == 1


def test_one_that_chatters_is_told_once_and_counts(conn: Connection, plant: Plant) -> None:
    for step in range(3):
        plant.alarm(1, T0 + 20 * step * SECOND, health=0.9)
        plant.alarm(1, T0 + (20 * step + 10) * SECOND, health=0.95, active=False)
    for seconds in (70, 80, 200):
        alarms_telling.settle(conn, T0 + seconds * SECOND)
    assert plant.told() == ["Alarm chatters: P-1"]
    report = {each.figure: each for each in alarms_report.hygiene(conn, start=T0, end=T0 + HOUR).told}
    assert (report[Figure.CHATTERING].value, report[Figure.FLEETING].value, report[Figure.ALARMS].value) == (1, 3, 3)
    (behind,) = alarms_report.rows(conn, report[Figure.ALARMS])
    assert behind["asset_code"] == "P-1" and behind["count"] == 3


def test_many_that_are_not_to_be_told_keep_none_of_the_others_waiting(
    conn: Connection, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms_telling, "PAGE", 3)
    conn.execute("insert into alarm_tunings (on_delay_s, changed_by, changed_at) values (86400, 'Li', %s)", (T0,))
    for number in range(7):
        plant.alarm(number, T0)
    conn.execute(
        """insert into alarm_tunings (signal, asset_class, on_delay_s, changed_by, changed_at)
           values ('heat', 'pump', 0, 'Li', %s)""",
        (T0,),
    )
    hot = assets.create_asset(conn, code="P-7", name="Pump", asset_class="pump")
    assets.create_signal(conn, asset_id=hot, code="heat", name="heat", quantity="temperature", unit="°C")
    plant.alarm(7, T0)
    alarms_telling.settle(conn, T0 + 5 * MINUTE)
    assert plant.told() == ["Alarm: P-7"]


def test_an_alarm_that_had_cleared_and_comes_back_is_told_again(conn: Connection, plant: Plant) -> None:
    plant.alarm(1, T0)
    alarms_telling.settle(conn, T0 + 2 * MINUTE)
    plant.alarm(1, T0 + HOUR, active=False, health=0.97)
    service.settle(conn, T0 + 3 * HOUR)
    assert conn.execute("select state from alarms").fetchall() == [("cleared",)]
    plant.alarm(1, T0 + 4 * HOUR)
    alarms_telling.settle(conn, T0 + 4 * HOUR + 2 * MINUTE)
    assert plant.told() == ["Alarm: P-1"] * 2


def test_the_report_of_a_past_span_shows_what_stood_then(conn: Connection, plant: Plant) -> None:
    for number in (1, 2):
        plant.alarm(number, T0)
    ((one, other),) = [tuple(row[0] for row in conn.execute("select alarm_id from alarms order by alarm_id"))]
    service.shelve(conn, "Li", one, until=T0 + 20 * HOUR, reason="known", now=T0 + HOUR)

    def counts() -> dict[Figure, float]:
        told = alarms_report.hygiene(conn, start=T0, end=T0 + 30 * HOUR).told
        shelved = alarms_report.hygiene(conn, start=T0, end=T0 + 10 * HOUR).told
        return {each.figure: each.value for each in told if each.figure is Figure.STALE} | {
            each.figure: each.value for each in shelved if each.figure is Figure.SHELVED
        }

    assert counts() == {Figure.STALE: 1, Figure.SHELVED: 1}
    service.settle(conn, T0 + 25 * HOUR)
    for number in (1, 2):
        plant.alarm(number, T0 + 40 * HOUR, active=False, health=0.97)
    service.settle(conn, T0 + 50 * HOUR)
    assert conn.execute("select distinct state from alarms").fetchall() == [("cleared",)]
    assert counts() == {Figure.STALE: 1, Figure.SHELVED: 1}
    assert other
