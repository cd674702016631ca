"""What a forecast asks of the database: it waits for nobody, and asks no more on a large plant with a long history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from core.database import Database
from detectors.base import FindingKind
from maintenance import forecast, moments, plans, policies, store
from maintenance.life import boosted, failures, learned, outcomes, watch
from maintenance.model import Cost, Forecast, Policy
from maintenance.policies import Scope
from plant import assets, stops, telemetry
from plant.model import Window
from plant.windows import Rule
from tests.integration.test_life import HOUR, MODE, T0, Pump, life, run_to_failure

MINUTE = timedelta(minutes=1)


@dataclass
class Asked:
    """Statements of a connection from now on, with their values and how many rows came."""

    statements: list[tuple[str, Any, int]] = field(default_factory=list)

    def of(self, conn: Connection) -> Asked:
        asked = self.statements

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
                done = super().execute(query, params, **more)
                asked.append((str(query), params, self.rowcount))
                return done

        conn.cursor_factory = Cursor
        return self

    @property
    def rows(self) -> int:
        return sum(count for *_, count in self.statements)


def failed_pump(conn: Connection, site: int, code: str) -> Pump:
    pump = Pump(conn, site, code)
    pump.wear(conn, until=20)
    failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=T0 + 70 * HOUR, now=T0 + 71 * HOUR)
    return pump


def test_a_forecast_by_similar_machines_waits_for_no_one_who_holds_their_alarms(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        for number in range(4):
            failed_pump(conn, site, f"P-{number}")
        sick = Pump(conn, site, "P-9")
        sick.wear(conn, until=20)
    with database.tx(site_id=site) as other, database.tx(site_id=site) as conn:
        other.execute("select 1 from alarms where asset_id <> %s for update", (sick.asset_id,))
        conn.execute("set local lock_timeout = '300ms'")
        asked = Asked().of(conn)
        found = forecast.past(conn, assets.asset(conn, sick.asset_id), MODE)
        assert len(found) == 4
        assert len(asked.statements) <= 4  # not one for each of them


def test_the_same_alarm_has_the_same_forecast_under_another_id(conn: Connection, site: int) -> None:
    """Ids differ between a plant and its replay; what is said must not."""
    said = []
    for at in (0, 1):
        pump = Pump(conn, site, f"P-{at}")
        pump.wear(conn, until=12)
        [kept] = store.alarms_of(conn, pump.asset_id, FindingKind.MACHINE, since=T0)
        same = replace(assets.asset(conn, pump.asset_id), code="P")
        said.append(forecast.by_health(conn, same, kept, at=T0 + 12 * HOUR, policy=Policy()))
    assert said[0] is not None and said[0] == said[1]


def test_what_a_machine_may_stop_for_is_read_along_its_line_alone(conn: Connection, site: int) -> None:
    pump = Pump(conn, site)
    for number in range(30):
        other = assets.create_asset(conn, code=f"X-{number}", name="Other", asset_class="pump", criticality=3)
        stops.put(conn, Rule(other, Window(T0 + HOUR, T0 + 2 * HOUR)))
        stops.set_cost(conn, other, 5.0)
    asked = Asked().of(conn)
    moments.weigh(
        conn, assets.asset(conn, pump.asset_id), MODE, forecast=Forecast(10, 20, 30, 0.9, 168, "x", "1"),
        cost=Cost(100, 1000, "EUR"), precision=0.9, applied=policies.applied(conn, Scope("pump", MODE, pump.asset_id)),
        at=T0, seen=HOUR,
    )  # fmt: skip
    assert asked.rows < 10


def test_the_record_of_a_long_history_is_read_from_a_few_of_each_life(conn: Connection, site: int) -> None:
    pump = Pump(conn, site)
    pump.wear(conn, until=10)
    conn.execute(
        """insert into predictions (asset_id, alarm_id, mode, made_at, p10_h, p50_h, p90_h, p_fail_horizon, horizon_h,
             health, model, version)
           select asset_id, alarm_id, mode, %s + n * interval '1 minute', 1, 20, 40, 0.5, 168, 0.5, 'laws', '1'
           from alarms, generate_series(0, 299) n""",
        (T0,),
    )
    failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=T0 + 30 * HOUR, now=T0 + 31 * HOUR)
    asked = Asked().of(conn)
    found = outcomes.places(conn, model="laws", asset_class="pump")
    assert (found.lives, len(found.place)) == (1, outcomes.SPEAKERS) and asked.rows == outcomes.SPEAKERS
    [whole] = conn.execute("select min(place), max(place) from prediction_outcomes where model = 'laws'").fetchall()
    assert (found.place.min(), found.place.max()) == pytest.approx(whole)  # evenly: the first and the last are there


def test_settling_costs_a_few_statements_however_many_there_are(conn: Connection, site: int) -> None:
    for number in range(6):
        Pump(conn, site, f"P-{number}").wear(conn, until=12)
    conn.execute("update alarms set ticket_id = null, state = 'cleared', cleared_at = %s", (T0 + 45 * HOUR,))
    [waiting] = conn.execute("select count(*) from predictions where p50_h is not null").fetchone() or [0]
    asked = Asked().of(conn)
    assert outcomes.settle(conn, T0 + 90 * HOUR) == waiting > 10
    assert len(asked.statements) <= 3
    assert conn.execute("select count(*) from predictions where p50_h is not null and not scored").fetchone() == (0,)
    assert outcomes.settle(conn, T0 + 90 * HOUR) == 0


def test_the_watch_of_two_classes_takes_machines_in_the_order_of_all(database: Database, site: int) -> None:
    """Class by class, a machine of the second class could stand before one of the first that is held already."""
    model = boosted.fit([boosted.Run(life(number)[:, None]) for number in range(12)], cap=60.0, seed=0)
    later = T0 + 400 * HOUR
    machines = [run_to_failure(database, site, number) for number in (60, 62, 63, 64)]
    with database.tx(site_id=site) as conn:
        for number, (pump, ended) in enumerate(machines):
            asset_class = "pump" if number % 2 else "fan"
            conn.execute("update assets set class = %s where asset_id = %s", (asset_class, pump.asset_id))
            conn.execute(
                "insert into asset_watermarks (asset_id, watermark_us) values (%s, %s)",
                (pump.asset_id, telemetry.to_us(ended)),
            )
        for asset_class in ("fan", "pump"):
            learned.keep(conn, model, asset_class=asset_class, mode=MODE, signals=("vibration",), step_h=1.0, lives=12,
                         learnt_from="test", now=later)  # fmt: skip
            policies.create(conn, Scope(asset_class), {"horizon_h": 15.0}, by="Li", now=later)
        conn.execute(
            "insert into life_watches (asset_id, mode, looked_at) select asset_id, %s, %s from assets",
            (MODE, T0 + 80 * HOUR),
        )
    with database.tx(site_id=site) as conn:
        asked = Asked().of(conn)
        watch.look(conn, later)
        locked = [
            params[0] for query, params, _ in asked.statements if "from assets" in query and "for no key" in query
        ]
        assert len(set(locked)) == 4 and locked == sorted(locked)


def test_one_round_of_the_plans_holds_the_machines_of_one_plan(database: Database, site: int) -> None:
    """Two plans in one transaction would hold the machine of the first while waiting for that of the second."""
    today = date(2026, 3, 2)
    body = {"title": "Grease", "calendar": {"every": 1, "unit": "week", "first": today.isoformat()}}
    with database.tx(site_id=site) as conn:
        one, other = (Pump(conn, site, code) for code in ("P-1", "P-2"))
        made = [
            plans.put(conn, code, {**body, "assets": [asset]}, version=None, by_name="Pat", now=T0).plan_id
            for code, asset in (("FIRST", "P-2"), ("SECOND", "P-1"))
        ]
        conn.execute("update pm_plans set look_at = %s where plan_id = %s", (T0 - HOUR, made[0]))
        conn.execute("update pm_plans set look_at = %s where plan_id = %s", (T0 - MINUTE, made[1]))
    with database.tx(site_id=site) as held, database.tx(site_id=site) as conn:
        held.execute("select 1 from assets where asset_id = %s for update", (one.asset_id,))
        conn.execute("set local lock_timeout = '300ms'")
        following = plans.ring(conn, T0)
        assert following is not None and following <= T0  # the second comes in a round of its own
        rows = conn.execute("select distinct plan_id from pm_occurrences").fetchall()
        assert rows == [(made[0],)] and other.asset_id


def test_lives_of_which_too_little_was_recorded_are_read_again_after_a_day(database: Database, site: int) -> None:
    """A plant's history may be backfilled after its failures were recorded."""
    later = T0 + 400 * HOUR
    pumps = []
    for number in range(boosted.LEAST_RUNS):
        pump, ended = run_to_failure(database, site, number)
        pumps.append(pump)
        with database.tx(site_id=site) as conn:
            failures.record(conn, "Li", pump.asset_id, mode=MODE, failed_at=ended, now=later)
    with database.tx(site_id=site) as conn:
        conn.execute("update signals set role = 'state' where asset_id = %s", (pumps[0].asset_id,))
        assert learned.learn(conn, later) is None
        conn.execute("update signals set role = 'measured'")
        assert learned.learn(conn, later + HOUR) is None  # not at once: reading lives costs
        assert learned.learn(conn, later + 25 * HOUR) is not None
