"""Detectors that raise far more than was asked for go back to shadow by themselves, and people see why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from detectors import asked
from maintenance import gate, noisy, sentences
from maintenance.gate import Standing
from plant import assets
from plant.model import Asset

T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def pump(conn: Connection) -> Asset:
    asset_id = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump", criticality=4)
    conn.execute("insert into asset_watermarks (asset_id, watermark_us) values (%s, 1)", (asset_id,))
    gate.enter(conn, "stream", "1", Standing.LIVE, reason="let", at=T0)
    return assets.asset(conn, asset_id)


def raise_alarms(conn: Connection, pump: Asset, count: int, *, detector: str = "stream", verdict: str = "") -> None:
    """One alarm a day, each with its finding, and a verdict on it if one is given."""
    for number in range(count):
        at = T0 + (number + 1) * DAY
        conn.execute(
            """insert into findings (asset_id, detector, version, kind, started_at, at, surprise, active, health,
                 contributions, sentence) values (%s, %s, '1', 'machine', %s, %s, 9, true, 0.5, '{}', '{}')""",
            (pump.asset_id, detector, at, at),
        )
        row = conn.execute(
            """insert into alarms (asset_id, kind, mode, detector, severity, surprise, health, contributions, sentence,
                 diagnosis, state, started_at, deviating_since, raised_at, last_at, findings, cleared_at)
               values (%s, 'machine', 'unknown', %s, 2, 9, 0.5, '{}', '{}', '[]', 'cleared', %s, %s, %s, %s, 1, %s)
               returning alarm_id""",
            (pump.asset_id, detector, at, at, at, at, at),
        ).fetchone()
        if verdict and row:
            conn.execute(
                """insert into verdicts (ticket_id, alarm_id, asset_id, detector, mode, verdict, given_by, given_at)
                   values (%s, %s, %s, %s, 'unknown', %s, 'E', %s)""",
                (number + 1, row[0], pump.asset_id, detector, verdict, at),
            )


def test_one_that_raises_far_more_than_asked_is_in_shadow_with_the_reason(conn: Connection, pump: Asset) -> None:
    raise_alarms(conn, pump, 12)
    (fallen,) = noisy.demote(conn, T0 + 15 * DAY)
    assert fallen.standing is Standing.SHADOW
    assert fallen.reason == "12 unconfirmed alarms in 15 days on 1 machine; 0.5 were asked for"
    told = sentences.say("gate.noisy", {"detector": "stream 1", **noisy.Noise(12, 0.5, 15.0, 1).values})
    assert "12 alarms that nobody confirmed in 15 days" in told["en"]
    assert "12 次未被证实的报警" in told["zh"]
    assert noisy.demote(conn, T0 + 16 * DAY) == []


def test_a_plant_that_asks_for_more_bears_more(conn: Connection, pump: Asset) -> None:
    asked.ask(conn, 30.0, asset_class=None, asset_id=None, version=None, by="M", now=T0)
    raise_alarms(conn, pump, 12)
    assert noisy.demote(conn, T0 + 15 * DAY) == []


def test_alarms_that_proved_right_do_not_count(conn: Connection, pump: Asset) -> None:
    raise_alarms(conn, pump, 12, verdict="confirmed")
    assert noisy.demote(conn, T0 + 15 * DAY) == []


def test_rules_of_people_and_the_default_chain_are_left_to_verdicts(conn: Connection, pump: Asset) -> None:
    for detector in ("rule:hot", "chain"):
        gate.enter(conn, detector, "1", Standing.LIVE, reason="let", at=T0)
        raise_alarms(conn, pump, 12, detector=detector)
    assert noisy.demote(conn, T0 + 15 * DAY) == []


def test_letting_it_again_begins_the_count_anew(conn: Connection, pump: Asset) -> None:
    raise_alarms(conn, pump, 12)
    (fallen,) = noisy.demote(conn, T0 + 15 * DAY)
    gate.put(conn, gate.lock(conn, fallen.gate_id), Standing.LIVE, by="M", reason="sensor moved", now=T0 + 16 * DAY)
    assert noisy.demote(conn, T0 + 20 * DAY) == []


def test_few_alarms_are_chance() -> None:
    assert noisy.chance(0, 1.0) == 1.0
    assert noisy.chance(1, 1.0) == pytest.approx(0.632, abs=1e-3)
    assert not noisy.Noise(4, 0.1, 3, 1).proven
    assert not noisy.Noise(11, 6.0, 30, 6).proven
    assert noisy.Noise(30, 6.0, 30, 6).proven
