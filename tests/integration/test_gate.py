"""Which detector versions may open orders: new ones show first what they would do, bad ones stop by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from core.errors import Stale
from detectors.base import Finding, FindingKind, Sentence
from maintenance import backtest, gate, service
from maintenance.backtest import Truth
from maintenance.errors import BadGate
from maintenance.gate import Standing
from maintenance.model import Action
from plant import assets
from plant.model import Asset

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def pump(conn: Connection) -> Asset:
    asset_id = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump", criticality=4)
    assets.create_signal(conn, asset_id=asset_id, code="vib", name="vib", quantity="vibration_velocity", unit="mm/s")
    return assets.asset(conn, asset_id)


def said(conn: Connection, pump: Asset, version: str, hour: float) -> Finding:
    (signal,) = assets.signals(conn, pump.asset_id)
    return Finding(
        detector="chain", version=version, kind=FindingKind.MACHINE, asset_id=pump.asset_id, site_id=pump.site_id,
        failure_mode=None, started_at=T0, at=T0 + hour * HOUR, surprise=9.0, active=True,
        contributions={signal.signal_id: 1.0}, directions={signal.signal_id: 1}, health=0.2, sentence=Sentence("x", {}),
    )  # fmt: skip


def hear(conn: Connection, pump: Asset, version: str, hours: range) -> list[Action]:
    found = [said(conn, pump, version, hour) for hour in hours]
    done = [service.on_finding(conn, each, each.at) for each in found]
    return [each.action for each in done if each is not None]


def test_the_first_version_is_live_and_the_next_begins_in_shadow(conn: Connection, pump: Asset) -> None:
    assert gate.standing(conn, "chain", "1", pump) is Standing.LIVE
    assert gate.standing(conn, "chain", "1.7", pump) is Standing.LIVE, "a model learnt anew is no new version"
    assert gate.standing(conn, "chain", "2", pump) is Standing.SHADOW
    assert gate.standing(conn, "other", "5", pump) is Standing.LIVE
    assert [(each.detector, each.version, each.standing) for each in gate.listed(conn)] == [
        ("chain", "2", "shadow"), ("chain", "1", "live"), ("other", "5", "live"),
    ]  # fmt: skip


def test_what_was_found_before_the_gate_makes_the_next_version_a_new_one(conn: Connection, pump: Asset) -> None:
    conn.execute(
        """insert into findings (asset_id, detector, version, kind, started_at, at, surprise, active, health,
             contributions, sentence) values (%s, 'chain', '1', 'machine', %s, %s, 9, true, 0.5, '{}', '{}')""",
        (pump.asset_id, T0, T0),
    )
    assert gate.standing(conn, "chain", "2", pump) is Standing.SHADOW


def test_shadow_writes_down_what_it_would_have_done_until_a_person_lets_it(conn: Connection, pump: Asset) -> None:
    gate.standing(conn, "chain", "1", pump)
    assert Action.OPEN not in hear(conn, pump, "2", range(1, 8))
    assert conn.execute("select count(*) from tickets").fetchone() == (0,)
    shown = gate.figures(conn, "chain", "2", since=T0 - HOUR, until=T0 + 24 * HOUR)
    assert (shown.orders, shown.shadow) == (1, 1)

    kept = next(each for each in gate.listed(conn) if each.version == "2")
    with pytest.raises(BadGate):
        gate.change(conn, kept.gate_id, Standing.LIVE, by="M", reason=" ", version=1, now=T0 + 8 * HOUR)
    with pytest.raises(Stale):
        gate.change(conn, kept.gate_id, Standing.LIVE, by="M", reason="shown", version=9, now=T0 + 8 * HOUR)
    gate.change(conn, kept.gate_id, Standing.LIVE, by="M", reason="it was right", version=1, now=T0 + 8 * HOUR)
    assert gate.changes(conn, kept.gate_id)[0]["figures"]["shadow"] == 1
    assert Action.OPEN in hear(conn, pump, "2", range(9, 12))


def test_a_version_that_is_seldom_right_proposes_only(conn: Connection, pump: Asset) -> None:
    assert Action.OPEN in hear(conn, pump, "1", range(1, 8))
    (alarm_id,) = conn.execute("select alarm_id from alarms").fetchone() or (0,)

    def judged(number: int, verdict: str) -> None:
        conn.execute(
            """insert into verdicts (ticket_id, alarm_id, asset_id, detector, mode, verdict, given_by, given_at)
               values (%s, %s, %s, 'chain', 'x', %s, 'E', %s)""",
            (1000 + number, alarm_id, pump.asset_id, verdict, T0 + (20 + number) * HOUR),
        )

    for number in range(2):
        judged(number, "nothing_found")
    assert gate.fall_back(conn, T0 + 40 * HOUR) == [], "two wrong orders prove nothing yet"
    for number in range(2, 6):
        judged(number, "nothing_found")
    (fallen,) = gate.fall_back(conn, T0 + 41 * HOUR)
    assert fallen.standing is Standing.REVIEW and "0 of its last 6" in fallen.reason
    assert gate.standing(conn, "chain", "1", pump) is Standing.REVIEW
    gate.change(conn, fallen.gate_id, Standing.LIVE, by="M", reason="sensor replaced", version=fallen.row_version,
                now=T0 + 42 * HOUR)  # fmt: skip
    assert gate.fall_back(conn, T0 + 43 * HOUR) == [], "what was known when the person let it does not stop it again"


def test_a_backtest_counts_orders_before_real_faults() -> None:
    def order(asset: str, day: float) -> dict[str, object]:
        return {"asset": asset, "kind": "preventive", "opened_at": T0 + day * timedelta(days=1)}

    real = [Truth("A", T0 + timedelta(days=10), False), Truth("B", T0 + timedelta(days=5), True)]
    found = backtest.score(
        [order("A", 4), order("A", 12), order("B", 3), order("C", 3)], real, days=30.4375, machines=4
    )
    assert (found["orders"], found["before_real_faults"], found["false"]) == (4, 2, 2)
    assert found["lead_h"] == 6 * 24 and found["false_month"] == 0.5
    assert (found["failures"], found["failures_foreseen"]) == (1, 1)
    assert backtest.score([], real, days=30, machines=4)["lead_h"] is None


def test_the_same_configuration_has_the_same_hash(conn: Connection, pump: Asset) -> None:
    hear(conn, pump, "1", range(1, 3))
    one, other = backtest.config(conn, {"persist_h": 2}), backtest.config(conn, {"persist_h": 3})
    assert backtest.config_hash(one) == backtest.config_hash(dict(reversed(one.items())))
    assert backtest.config_hash(one) != backtest.config_hash(other)
