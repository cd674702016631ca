"""Sensors that wait are judged again as time goes by: those of one machine together, and none is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection, Cursor

from detectors.base import Finding, FindingKind, Sentence
from maintenance import service, store, tunings
from plant import assets

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
SENSORS = 8


def waiting(conn: Connection, site: int) -> None:
    """Eight stuck sensors of one pump, whose alarms wait four hours."""
    values = dict.fromkeys(tunings.FIELDS) | {"on_delay_s": 14_400.0}
    tunings.save(conn, "Li", asset_class="pump", signal="", values=values, version=None, now=T0)
    pump = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
    for number in range(SENSORS):
        code = f"t{number}"
        signal = assets.create_signal(conn, asset_id=pump, code=code, name=code, quantity="temperature", unit="degC")
        service.on_finding(conn, Finding(
            "sensors", "1", FindingKind.SENSOR, pump, site, "stuck", T0, T0, 5.0, True, {signal: 1.0}, {signal: 0},
            0.5, Sentence("stuck", {}),
        ), T0)  # fmt: skip


def test_sensors_of_one_machine_are_judged_together(conn: Connection, site: int) -> None:
    waiting(conn, site)
    assert [len(alarms) for alarms in store.waiting_sensors(conn, T0).values()] == [SENSORS]
    sent: list[object] = []

    class Counting(Cursor[Any]):
        def execute(self, *args: Any, **more: Any) -> Any:
            sent.append(args[0])
            return super().execute(*args, **more)

    conn.cursor_factory = Counting
    assert service.settle(conn, T0 + HOUR) == SENSORS
    conn.cursor_factory = Cursor
    assert len(sent) <= 10 + 7 * SENSORS


def test_who_waited_long_enough_gets_its_order(conn: Connection, site: int) -> None:
    waiting(conn, site)
    service.settle(conn, T0 + 5 * HOUR)
    opened = conn.execute("select count(*) from alarms where ticket_id is not null").fetchone()
    assert opened == (SENSORS,) and not store.waiting_sensors(conn, T0 + 5 * HOUR)
