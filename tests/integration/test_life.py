"""Predictions are kept, scored by what happened, corrected by their record, and learnt from failures."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from psycopg import Connection

from core.database import Database
from core.errors import NotFound
from detectors.base import Finding, FindingKind, Sentence
from maintenance import forecast, policies, service, store
from maintenance.errors import BadFailure
from maintenance.life import boosted, failures, learned, outcomes, watch
from maintenance.life.scoring import LEAST_LIVES, Outcome, score
from maintenance.model import Forecast, Policy
from maintenance.policies import Scope
from plant import assets, rollups, telemetry
from plant.model import Floats, SampleBatch
from tickets import store as tickets_store
from tickets.model import Ticket, Verdict

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODE = "bearing_wear"


class Pump:
    """A pump that wears, and findings that say so."""

    def __init__(self, conn: Connection, site: int, code: str = "P-1") -> None:
        self.site = site
        self.asset_id = assets.create_asset(conn, code=code, name="Feed pump", asset_class="pump", criticality=3)
        self.signal_id = assets.create_signal(
            conn, asset_id=self.asset_id, code="vibration", name="Vibration", quantity="vibration_velocity",
            unit="mm/s", period_s=3600,
        )  # fmt: skip

    def say(self, conn: Connection, hours: float, health: float) -> None:
        at = T0 + hours * HOUR
        finding = Finding(
            detector="bank", version="1", kind=FindingKind.MACHINE, asset_id=self.asset_id, site_id=self.site,
            failure_mode=MODE, started_at=T0 - HOUR, at=at, surprise=5.0, active=True,
            contributions={self.signal_id: 1.0}, directions={self.signal_id: 1}, health=health,
            sentence=Sentence("drift", {"signal": "vibration"}),
        )  # fmt: skip
        service.on_finding(conn, finding, at)

    def wear(self, conn: Connection, until: int = 40) -> None:
        for hours in range(0, until, 2):
            self.say(conn, hours, 0.95 - 0.01 * hours)


@pytest.fixture
def pump(conn: Connection, site: int) -> Pump:
    return Pump(conn, site)


def outcome_counts(conn: Connection) -> dict[str, int]:
    return dict(conn.execute("select outcome, count(*) from prediction_outcomes group by outcome").fetchall())


def test_a_recorded_failure_scores_what_was_said_of_that_life(conn: Connection, pump: Pump) -> None:
    pump.wear(conn)
    failed_at = T0 + 90 * HOUR
    failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=failed_at, now=T0 + 95 * HOUR)
    said = conn.execute(
        "select made_at, p10_h, p50_h, p90_h, p_fail_horizon, horizon_h, model, version from predictions"
        " where p50_h is not null order by prediction_id"
    ).fetchall()
    rows = conn.execute(
        "select lived_h, held, pinball_h, place from prediction_outcomes order by prediction_id"
    ).fetchall()
    assert len(said) == len(rows) > 5
    for (made_at, *numbers), (lived_h, *kept) in zip(said, rows, strict=True):
        expected = score(Forecast(*numbers), lived_h=(failed_at - made_at) / HOUR, outcome=Outcome.FAILED)
        assert lived_h == pytest.approx((failed_at - made_at) / HOUR)
        assert kept == [expected.held, pytest.approx(expected.pinball_h), pytest.approx(expected.place)]
    [record] = outcomes.records(conn)
    assert (record.asset_class, record.judged, record.failures) == ("pump", len(rows), 1)
    assert record.held == sum(row[1] for row in rows) and record.waiting == 0 and not record.corrected


def test_recording_again_changes_nothing_and_nonsense_is_refused(conn: Connection, pump: Pump) -> None:
    pump.wear(conn)
    when = {"failed_at": T0 + 50 * HOUR, "now": T0 + 60 * HOUR}
    first = failures.record(conn, "Li", pump.asset_id, mode=MODE, **when)
    assert failures.record(conn, "Wu", pump.asset_id, mode=MODE, **when).failure_id == first.failure_id
    assert [each.recorded_by for each in failures.recorded(conn, asset_id=pump.asset_id)] == ["Li"]
    with pytest.raises(BadFailure, match="not come yet"):
        failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=T0 + HOUR, now=T0)
    with pytest.raises(BadFailure, match="no failure mode"):
        failures.record(conn, "Li", pump.asset_id, mode="gremlins", **when)
    with pytest.raises(NotFound):
        failures.record(conn, "Li", 10**6, mode=MODE, **when)


def test_a_repair_in_time_is_found_and_a_failure_known_later_counts_more(conn: Connection, pump: Pump) -> None:
    pump.wear(conn)
    [ticket_id] = conn.execute("select distinct ticket_id from alarms where ticket_id is not null").fetchone() or [0]
    closed = closed_ticket(conn, ticket_id, done_at=T0 + 60 * HOUR)
    outcomes.on_closed(conn, closed, T0 + 62 * HOUR)
    outcomes.on_closed(conn, closed, T0 + 63 * HOUR)
    assert set(outcome_counts(conn)) == {"found"}
    assert conn.execute("select count(*) from prediction_outcomes where held").fetchone() == (0,)
    failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=T0 + 58 * HOUR, now=T0 + 70 * HOUR)
    assert set(outcome_counts(conn)) == {"failed"}


def test_another_mode_is_no_verdict_on_this_one(conn: Connection, pump: Pump) -> None:
    pump.wear(conn)
    failures.record(conn, "Li", pump.asset_id, mode="cavitation", failed_at=T0 + 50 * HOUR, now=T0 + 60 * HOUR)
    assert set(outcome_counts(conn)) == {"censored"}


def test_a_deviation_that_went_away_is_settled_once_it_stays_away(conn: Connection, pump: Pump) -> None:
    pump.wear(conn)
    conn.execute("update alarms set ticket_id = null, state = 'cleared', cleared_at = %s", (T0 + 45 * HOUR,))
    assert outcomes.settle(conn, T0 + 50 * HOUR) == 0
    assert outcomes.settle(conn, T0 + 70 * HOUR) > 0
    assert set(outcome_counts(conn)) == {"censored"} and outcomes.settle(conn, T0 + 99 * HOUR) == 0


def test_its_record_moves_a_forecast_and_what_the_model_said_is_kept(conn: Connection, site: int) -> None:
    """The laws' last twenty failures came much later than they had said."""
    pump, model = Pump(conn, site), "growth-laws"
    pump.wear(conn, until=20)
    conn.execute(
        """with happened as (
             insert into failures (asset_id, mode, failed_at, recorded_by, recorded_at)
             select asset_id, %(mode)s, %(at)s + n * interval '1 hour', 'Li', %(at)s + interval '40 hours'
             from assets, generate_series(1, %(lives)s) n returning failure_id, asset_id, failed_at),
           said as (
             insert into predictions (asset_id, alarm_id, mode, made_at, p10_h, p50_h, p90_h, horizon_h, health, model,
               version)
             select asset_id, alarm_id, %(mode)s, %(at)s, 1, 2, 3, 168, 0.5, %(model)s, '1' from happened
             join (select min(alarm_id) as alarm_id from alarms) l on true returning *)
           insert into prediction_outcomes (prediction_id, asset_id, asset_class, mode, model, version, alarm_id,
             outcome, ended_at, lived_h, held, pinball_h, place, speaks, failure_id, scored_at)
           select s.prediction_id, s.asset_id, 'pump', s.mode, s.model, s.version, s.alarm_id, 'failed', h.failed_at, 9,
             false, 2, 0.97, true, h.failure_id, h.failed_at
           from (select *, row_number() over () as n from said) s
           join (select *, row_number() over () as n from happened) h using (n)""",
        {"mode": "cavitation", "at": T0, "lives": LEAST_LIVES, "model": model},
    )
    pump.say(conn, 40, 0.7)
    row = conn.execute(
        "select model, p10_h, p50_h, p90_h, base_h from predictions order by made_at desc, prediction_id desc limit 1"
    ).fetchone()
    assert row is not None and row[0] == model and row[4] is not None
    assert row[2] > row[4][1] and row[1] == row[2] == row[3]  # all twenty fell at the same place
    assert outcomes.records(conn, model=model)[0].corrected


def test_similar_machines_take_over_from_growth_laws(conn: Connection, site: int) -> None:
    for number in range(4):
        pump = Pump(conn, site, f"P-{number}")
        pump.wear(conn, until=20)
        assert conn.execute("select model from predictions order by prediction_id desc limit 1").fetchone() == (
            "fleet-similarity" if number == 3 else "growth-laws",
        )
        failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=T0 + 70 * HOUR, now=T0 + 71 * HOUR)


def closed_ticket(conn: Connection, ticket_id: int, *, done_at: datetime) -> Ticket:
    """The order as it is when the crew has confirmed the fault."""

    ticket = tickets_store.get(conn, ticket_id)
    return replace(ticket, status="closed", verdict=Verdict.CONFIRMED, done_at=done_at)


# -- models learnt from the plant's own failures ----------------------------------------------------------------------


def life(seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(80, 120))
    return np.asarray(2.0 + 6.0 * (np.arange(count) / count) ** 2 + 0.2 * rng.standard_normal(count), np.float64)


def run_to_failure(database: Database, site: int, number: int, *, cut: int = 0) -> tuple[Pump, datetime]:
    """A pump with an hourly signal from T0 on to its failure, or to ``cut`` hours before it."""
    values = life(number)[: -cut or None]
    with database.tx(site_id=site) as conn:
        pump = Pump(conn, site, f"P-{number}")
    at = telemetry.to_us(T0) + 3_600_000_000 * np.arange(len(values), dtype=np.int64)
    batch = SampleBatch(np.full(len(at), pump.signal_id, np.int32), at, values, np.zeros(len(at), np.uint8))
    with database.ingest_tx() as conn:
        telemetry.ensure_days(conn, np.unique(at // telemetry.DAY_US).tolist())
        telemetry.write(conn, batch, site_ids=np.full(len(at), site, np.int16))
        rollups.note(conn, rollups.touched(batch))
        while rollups.roll(conn, until_batch=2**62):
            pass
    return pump, T0 + len(values) * HOUR


def test_a_model_is_learnt_from_the_plants_failures_and_forecasts(database: Database, site: int) -> None:
    later = T0 + 400 * HOUR
    for number in range(boosted.LEAST_RUNS):
        pump, ended = run_to_failure(database, site, number)
        with database.tx(site_id=site) as conn:
            assert learned.learn(conn, later) is None
            failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=ended, now=later)
    with database.tx(site_id=site) as conn:
        made = learned.learn(conn, later)
        assert made is not None and (made.lives, made.number, made.signals) == (10, 1, ("vibration",))
        assert learned.learn(conn, later) is None  # nothing new
    sick, now = run_to_failure(database, site, 50, cut=12)
    with database.tx(site_id=site) as conn:
        said = learned.forecast(conn, assets.asset(conn, sick.asset_id), MODE, at=now, horizon_h=24.0)
        assert said is not None and said.model == boosted.MODEL and said.version == "1.1"
        assert 0.0 <= said.p10_h <= said.p50_h <= said.p90_h and 3.0 < said.p50_h < 30.0
        sick.say(conn, (now - T0) / HOUR, 0.6)
        [model] = conn.execute("select model from predictions where asset_id = %s", (sick.asset_id,)).fetchone() or [""]
        assert model == boosted.MODEL
        foreign = b"of another version"
        conn.execute(
            "update life_models set content = %s, content_hash = %s", (foreign, hashlib.sha256(foreign).digest())
        )
        kept = store.alarms_of(conn, sick.asset_id, FindingKind.MACHINE, since=T0)[0]
        fallback = forecast.predict(conn, kept, at=now, policy=Policy())
        conn.execute("update life_models set retired_at = made_at")
        assert fallback == forecast.predict(conn, kept, at=now, policy=Policy()), "as if there were no model"


def test_the_watch_speaks_when_failure_is_near_and_orders_once(database: Database, site: int) -> None:
    later = T0 + 400 * HOUR
    runs = [boosted.Run(life(number)[:, None]) for number in range(12)]
    model = boosted.fit(runs, cap=60.0, seed=0)
    with database.tx(site_id=site) as conn:
        learned.keep(conn, model, asset_class="pump", mode=MODE, signals=("vibration",), step_h=1.0, lives=12,
                     learnt_from="test", now=later)  # fmt: skip
        policies.create(conn, Scope("pump"), {"horizon_h": 15.0, "act_health": 0.0}, by="Li", now=later)
    pump, ended = run_to_failure(database, site, 60)
    fresh, now = run_to_failure(database, site, 61, cut=50)
    with database.tx(site_id=site) as conn:
        for asset_id, at in ((pump.asset_id, ended), (fresh.asset_id, now)):
            conn.execute(
                "insert into asset_watermarks (asset_id, watermark_us) values (%s, %s)", (asset_id, telemetry.to_us(at))
            )
    looked = 0
    for _ in range(6):
        with database.tx(site_id=site) as conn:
            looked += watch.look(conn, later)
    with database.tx(site_id=site) as conn:
        assert looked > 100 and watch.look(conn, later) == 0  # everything was looked at, once
        found = conn.execute("select at, detector from findings where asset_id = %s", (pump.asset_id,)).fetchall()
        assert {each[1] for each in found} == {watch.DETECTOR}
        assert 2 < (ended - min(each[0] for each in found)) / HOUR < 40
        orders = conn.execute("select asset_id, count(*) from tickets group by asset_id").fetchall()
        assert orders == [(pump.asset_id, 1)]
        quiet = "select telling_since from life_watches where asset_id = %s"
        assert conn.execute(quiet, (fresh.asset_id,)).fetchone() == (None,)


def test_each_mode_of_a_class_that_has_a_model_is_watched(database: Database, site: int) -> None:
    later = T0 + 400 * HOUR
    model = boosted.fit([boosted.Run(life(number)[:, None]) for number in range(12)], cap=60.0, seed=0)
    pump, ended = run_to_failure(database, site, 60)
    with database.tx(site_id=site) as conn:
        for mode, lives in ((MODE, 12), ("seal_leak", 30)):
            learned.keep(conn, model, asset_class="pump", mode=mode, signals=("vibration",), step_h=1.0, lives=lives,
                         learnt_from="test", now=later)  # fmt: skip
        policies.create(conn, Scope("pump"), {"horizon_h": 15.0, "act_health": 0.0}, by="Li", now=later)
        watermark = (pump.asset_id, telemetry.to_us(ended))
        conn.execute("insert into asset_watermarks (asset_id, watermark_us) values (%s, %s)", watermark)
    for _ in range(6):
        with database.tx(site_id=site) as conn:
            watch.look(conn, later)
    with database.tx(site_id=site) as conn:
        said = conn.execute("select distinct mode from findings where detector = %s order by 1", (watch.DETECTOR,))
        assert [mode for (mode,) in said] == sorted([MODE, "seal_leak"])
        looks = conn.execute("select mode, count(*) from life_watches group by mode order by mode").fetchall()
        assert looks == [(mode, 1) for mode in sorted([MODE, "seal_leak"])]
