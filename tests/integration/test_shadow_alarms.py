"""What a detector in shadow says moves nothing of those that are live: neither their alarms, nor people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from api import identity
from detectors.base import Finding, FindingKind, Sentence
from maintenance import alarms_telling, gate, service, store
from maintenance.gate import Standing
from maintenance.model import Action
from plant import assets
from plant.model import Asset
from tickets import notify

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def pump(conn: Connection, site: int) -> Asset:
    identity.create_user(conn, login="planner", name="Planner", role="planner", site_id=site)
    asset_id = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump", criticality=4)
    assets.create_signal(conn, asset_id=asset_id, code="vib", name="vib", quantity="vibration_velocity", unit="mm/s")
    return assets.asset(conn, asset_id)


def hear(conn: Connection, pump: Asset, detector: str, hour: float, *, active: bool = True) -> Action | None:
    (signal,) = assets.signals(conn, pump.asset_id)
    finding = Finding(
        detector=detector, version="1", kind=FindingKind.MACHINE, asset_id=pump.asset_id, site_id=pump.site_id,
        failure_mode=None, started_at=T0, at=T0 + hour * HOUR, surprise=9.0, active=active,
        contributions={signal.signal_id: 1.0}, directions={signal.signal_id: 1}, health=0.2, sentence=Sentence("x", {}),
    )  # fmt: skip
    decision = service.on_finding(conn, finding, finding.at)
    return None if decision is None else decision.action


def alarm(conn: Connection) -> store.KeptAlarm:
    (row,) = conn.execute("select alarm_id from alarms").fetchall()
    return store.alarm(conn, row[0])


def told(conn: Connection, hour: float) -> int:
    alarms_telling.settle(conn, T0 + hour * HOUR)
    return sum(len(notify.inbox(conn, person, limit=50)) for person in notify.planners(conn))


def test_in_shadow_it_is_written_down_and_nobody_is_told(conn: Connection, pump: Asset) -> None:
    assert {hear(conn, pump, "stream", hour) for hour in range(1, 8)} == {Action.WAIT, Action.NONE}
    assert gate.standing(conn, "stream", "1", pump) is Standing.SHADOW
    assert conn.execute("select count(*) from tickets").fetchone() == (0,)
    assert gate.figures(conn, "stream", "1", since=T0 - HOUR, until=T0 + 24 * HOUR).shadow == 1
    assert told(conn, 9) == 0


def test_a_live_detector_takes_the_alarm_over_and_begins_anew(conn: Connection, pump: Asset) -> None:
    for hour in range(1, 8):
        hear(conn, pump, "stream", hour)
    first = hear(conn, pump, "chain", 8)
    taken = alarm(conn)
    assert first is not Action.OPEN, "what was said in shadow hurries no order"
    assert (taken.detector, taken.alarm.deviating, taken.alarm.findings) == ("chain", frozenset({"chain"}), 1)
    assert Action.OPEN in {hear(conn, pump, "chain", hour) for hour in range(9, 16)}
    assert told(conn, 17) > 0


def test_what_is_in_shadow_holds_no_live_alarm(conn: Connection, pump: Asset) -> None:
    hear(conn, pump, "chain", 1)
    assert hear(conn, pump, "stream", 2) is None
    assert alarm(conn).alarm.deviating == {"chain"}
    hear(conn, pump, "chain", 3, active=False)
    assert alarm(conn).alarm.returned_at is not None
