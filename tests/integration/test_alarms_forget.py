"""What was kept about alarms goes after its time; what is young, or belongs to an order, stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from maintenance import alarms_forget
from plant import assets

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
YEAR = timedelta(days=365)


def alarm(conn: Connection, asset_id: int, *, cleared: datetime, ticket_id: int | None) -> int:
    row = conn.execute(
        """insert into alarms (asset_id, kind, mode, detector, state, started_at, raised_at, last_at, deviating_since,
             surprise, health, severity, cleared_at, returned_at, ticket_id)
           values (%(asset)s, 'machine', 'wear', 'bank', 'cleared', %(at)s, %(at)s, %(at)s, %(at)s, 5, 0.5, 2, %(at)s,
             %(at)s, %(ticket)s) returning alarm_id""",
        {"asset": asset_id, "at": cleared, "ticket": ticket_id},
    ).fetchone()
    assert row
    conn.execute(
        """insert into alarm_holds (alarm_id, asset_id, kind, why, since, until)
           values (%s, %s, 'lockout', '{}', %s, %s)""",
        (row[0], asset_id, cleared, cleared),
    )
    made = conn.execute(
        """insert into predictions (asset_id, alarm_id, mode, made_at, horizon_h, health, risk, cost_planned,
             cost_failure, currency, model, version) values (%s, %s, 'wear', %s, 168, 0.5, 1, 1, 1, 'EUR', 'none', '0')
           returning prediction_id""",
        (asset_id, row[0], cleared),
    ).fetchone()
    assert made
    conn.execute(
        """insert into moments (prediction_id, at, start_at, what, total, now_total, due, policies, inputs)
           values (%s, %s, %s, 'now', 1, 1, false, '[]', %s)""",
        (made[0], cleared, cleared, Jsonb({})),
    )
    return int(row[0])


def left(conn: Connection, table: str) -> list[int]:
    joined = "join predictions using (prediction_id)" if table == "moments" else ""
    rows = conn.execute(f"select distinct alarm_id from {table} {joined} order by 1")  # noqa: S608
    return [row[0] for row in rows]


def test_old_moves_holds_and_moments_go_and_the_rest_stays(conn: Connection, site: int) -> None:
    pump = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
    order = conn.execute(
        """insert into tickets (ref, kind, status, priority, title, channel, opened_at, mode)
           values ('WO-1', 'inspection', 'new', 3, 'Look', 'web', %s, '') returning ticket_id""",
        (NOW,),
    ).fetchone()
    assert order
    old = alarm(conn, pump, cleared=NOW - 3 * YEAR, ticket_id=None)
    ordered = alarm(conn, pump, cleared=NOW - 3 * YEAR, ticket_id=order[0])
    middling = alarm(conn, pump, cleared=NOW - 1.5 * YEAR, ticket_id=None)
    young = alarm(conn, pump, cleared=NOW, ticket_id=None)
    assert alarms_forget.forget(conn, NOW) > 0
    assert left(conn, "alarm_moves") == left(conn, "alarm_holds") == [middling, young]
    assert left(conn, "moments") == [ordered, young]
    assert old not in left(conn, "moments") and alarms_forget.forget(conn, NOW) == 0


def test_moves_that_are_young_cannot_be_taken_back(conn: Connection, site: int) -> None:
    pump = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump")
    alarm(conn, pump, cleared=datetime.now(UTC), ticket_id=None)
    assert conn.execute("delete from alarm_moves").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("update alarm_moves set what = 'normal'")
