"""Which detector versions may open orders: new ones show first what they would do, bad ones stop by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection

from core import clock
from core.errors import Stale
from detectors.base import Finding, FindingKind, Sentence
from maintenance import backtest, backtest_runs, gate, gate_release, policies, policy_gate, service
from maintenance.errors import BacktestOver, BacktestsWaiting, BadGate, Unproven
from maintenance.gate import Gated, Standing
from maintenance.grounds import Ground, Grounds
from maintenance.model import Action, Opening
from maintenance.policies import Scope
from maintenance.policy_gate import Word
from maintenance.replay.model import Period
from maintenance.scorer import Fault
from plant import assets
from plant.model import Asset

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
OVERRIDE = Grounds(Ground.OVERRIDE)
DAY = Period(T0, T0, T0 + 24 * HOUR)


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


def let(
    conn: Connection, kept: Gated, *, reason: str = "it was right", version: int = 1, hour: float = 8,
    relied: Grounds = gate_release.IN_SHADOW,
) -> Gated:  # fmt: skip
    return gate_release.change(
        conn, kept.gate_id, Standing.LIVE, by="M", reason=reason, version=version, now=T0 + hour * HOUR, relied=relied
    )


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
        let(conn, kept, reason=" ")
    with pytest.raises(Stale):
        let(conn, kept, version=9)
    with pytest.raises(Unproven, match="1 orders; 10 are wanted"):
        let(conn, kept)
    let(conn, kept, relied=OVERRIDE)
    newest = gate.changes(conn, kept.gate_id)[0]
    assert newest["figures"]["shadow"] == 1 and newest["grounds"] == "override"
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
    let(conn, fallen, reason="sensor replaced", version=fallen.row_version, hour=42, relied=OVERRIDE)
    assert gate.fall_back(conn, T0 + 43 * HOUR) == [], "what was known when the person let it does not stop it again"


def test_a_backtest_counts_orders_before_real_faults() -> None:
    def order(asset: str, day: float) -> dict[str, object]:
        opened = T0 + day * timedelta(days=1)
        return {"asset": asset, "kind": "preventive", "mode": "x", "opened_at": opened, "closed_at": None,
                "verdict": None}  # fmt: skip

    real = [Fault(1, "A", "x", T0 + timedelta(days=10)), Fault(2, "B", "y", T0 + timedelta(days=5), found=True)]
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


def judged_before(conn: Connection, configuration: dict[str, Any]) -> int:
    """A back-test of that configuration that is done."""
    number = backtest_runs.insert(conn, {**configuration, "let_ids": []}, DAY, by="M", now=T0)
    assert backtest_runs.take(conn, number) is not None
    assert backtest_runs.finish(conn, number, {"orders": 3}, now=T0 + HOUR)
    return number


def test_a_version_is_let_on_a_backtest_of_just_this_configuration(conn: Connection, pump: Asset) -> None:
    gate.standing(conn, "chain", "1", pump)
    gate.standing(conn, "chain", "2", pump)
    kept = next(each for each in gate.listed(conn) if each.version == "2")
    other = judged_before(conn, backtest.config(conn, {}))
    right = judged_before(conn, backtest.config(conn, {}, lets=[kept.gate_id]))
    waits = backtest_runs.insert(conn, {**backtest.config(conn, {}), "let_ids": []}, DAY, by="M", now=T0)
    for number, said in ((None, "Name the back-test"), (other, "another configuration"), (waits, "is waiting")):
        with pytest.raises(Unproven, match=said):
            let(conn, kept, relied=Grounds(Ground.BACKTEST, number))
    let(conn, kept, relied=Grounds(Ground.BACKTEST, right))
    assert gate.changes(conn, kept.gate_id)[0]["backtest_id"] == right
    with pytest.raises(Unproven, match="another configuration"):
        let(conn, kept, version=2, relied=Grounds(Ground.BACKTEST, right))


def test_a_policy_that_opens_by_itself_is_shown_first(conn: Connection) -> None:
    scope, settings = Scope("pump"), {"persist_h": 1.0}
    with pytest.raises(Unproven, match="by themselves"):
        policy_gate.create(conn, scope, settings, Word("M"), now=T0)
    with pytest.raises(Unproven, match="Say why"):
        policy_gate.create(conn, scope, settings, Word("M", " ", OVERRIDE), now=T0)
    number = judged_before(conn, backtest.config(conn, settings, scope=scope))
    with pytest.raises(Unproven, match="another configuration"):
        policy_gate.create(conn, scope, {"persist_h": 2.5}, Word("M", "", Grounds(Ground.BACKTEST, number)), now=T0)
    made = policy_gate.create(conn, scope, settings, Word("M", "", Grounds(Ground.BACKTEST, number)), now=T0)
    assert policies.versions(conn, made.policy_id)[0]["backtest_id"] == number
    asks = policy_gate.change(
        conn, made.policy_id, {**settings, "opening": "review"}, Word("M"), version=1, now=T0 + HOUR
    )
    assert asks.version == 2, "what asks a planner needs no proof"
    with pytest.raises(Unproven):
        policy_gate.change(conn, made.policy_id, settings, Word("M"), version=2, now=T0 + HOUR)


def test_other_deadlines_need_no_proof(conn: Connection) -> None:
    made = policy_gate.create(conn, Scope("fan"), {"deadline_share": 0.5}, Word("M"), now=T0)
    assert made.version == 1


def test_a_policy_that_is_seldom_right_asks_a_planner(conn: Connection, pump: Asset) -> None:
    assert Action.OPEN in hear(conn, pump, "1", range(1, 8))
    (alarm_id,) = conn.execute("select alarm_id from alarms").fetchone() or (0,)
    kept = policies.create(conn, Scope("pump"), {"persist_h": 1.0}, by="M", now=T0 - HOUR)
    other = policies.create(conn, Scope("fan"), {"persist_h": 1.0}, by="M", now=T0 - HOUR)
    for number in range(4):
        conn.execute(
            """insert into verdicts (ticket_id, alarm_id, asset_id, detector, mode, verdict, given_by, given_at)
               values (%s, %s, %s, 'chain', 'x', 'nothing_found', 'E', %s)""",
            (1000 + number, alarm_id, pump.asset_id, T0 + (20 + number) * HOUR),
        )
    fallen = policy_gate.fall_back(conn, T0 + 41 * HOUR)
    assert [each.policy_id for each in fallen] == [kept.policy_id], "four wrong of four; a fan's policy is another"
    assert policies.of(conn, pump, "x").opening is Opening.REVIEW
    assert "0 of its last 4" in policies.versions(conn, kept.policy_id)[0]["reason"]
    assert policies.row(conn, other.policy_id).version == 1
    again = policies.change(conn, kept.policy_id, {"persist_h": 2.0}, version=2, by="M", now=T0 + 42 * HOUR)
    assert policy_gate.fall_back(conn, T0 + 43 * HOUR) == [], "what was known before the change does not stop it again"
    assert again.version == 3


def test_backtests_wait_for_each_other_and_can_be_cancelled(conn: Connection, pump: Asset) -> None:
    found = {**backtest.config(conn, {}), "let_ids": []}
    first, second = (backtest_runs.insert(conn, found, DAY, by="M", now=T0) for _ in range(2))
    assert backtest_runs.next_waiting(conn) == first
    assert backtest_runs.start(conn, first) is not None
    assert backtest_runs.next_waiting(conn) is None and backtest_runs.start(conn, second) is None
    assert backtest_runs.beat(conn, first, progress=0.5, reached_at=T0 + HOUR)
    assert backtest_runs.get(conn, first).progress == 0.5
    assert backtest_runs.cancel(conn, first, now=T0).state == "cancelled"
    assert not backtest_runs.beat(conn, first, progress=0.6, reached_at=T0), "its process is told to end"
    assert not backtest_runs.finish(conn, first, {}, now=T0)
    with pytest.raises(BacktestOver):
        backtest_runs.cancel(conn, first, now=T0)
    assert backtest_runs.start(conn, second) is not None
    assert backtest_runs.give_up(conn, T0) == 0
    conn.execute("update backtests set beat_at = beat_at - interval '1 hour' where backtest_id = %s", (second,))
    assert backtest_runs.give_up(conn, T0) == 1
    assert "without a word" in backtest_runs.get(conn, second).why


def test_not_too_many_backtests_wait(conn: Connection) -> None:
    for number in range(backtest_runs.WAITING_MOST):
        backtest_runs.insert(conn, {"n": number}, DAY, by="M", now=T0)
    with pytest.raises(BacktestsWaiting):
        backtest_runs.refuse_more(conn)


def test_the_first_word_of_a_version_is_at_the_plant_s_time(conn: Connection, pump: Asset) -> None:
    clock.set_clock(conn, plant_now=T0, factor=1.0)
    gate.standing(conn, "chain", "1", pump)
    (kept,) = gate.listed(conn)
    assert abs(kept.changed_at - T0) < HOUR


def test_only_the_policies_that_cover_it_are_read(
    conn: Connection, pump: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scopes = [Scope(), Scope("pump"), Scope("fan"), Scope("*", "x"), Scope("pump", "x"), Scope("pump", "y"),
              Scope(asset_id=pump.asset_id), *(Scope(f"class-{number}") for number in range(40))]  # fmt: skip
    for number, scope in enumerate(scopes, start=1):
        policies.create(conn, scope, {"travel": float(number)}, by="M", now=T0)
    made = [each.policy_id for each in policies.rows_of(conn)]
    read: list[Any] = []
    kept = policies._kept

    def noted(row: Any) -> Any:
        read.append(row)
        return kept(row)

    monkeypatch.setattr(policies, "_kept", noted)
    found = policies.applied(conn, Scope("pump", "x", pump.asset_id))
    assert len(read) == 5 and len(made) == 47
    assert found.policy.travel == 7.0 and len(found.made_of) == 5
