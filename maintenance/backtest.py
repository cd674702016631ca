"""A policy on recorded weeks: the orders that it would have opened, and which of them came before real failures.

    replay with the policy ──orders──> beside recorded failures and confirmed verdicts of live ──> result, kept

Scoring is pure; the result is kept with a hash of what was judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from maintenance.gate import MONTH_DAYS, WINDOW
from maintenance.replay.model import Period, Row


@dataclass(frozen=True, slots=True)
class Truth:
    """A failure that was recorded, or a fault that an engineer confirmed at ``at``; ``found``: before it failed."""

    asset: str
    at: datetime
    found: bool


def truths(conn: Connection, period: Period) -> list[Truth]:
    """What really was wrong in the period, by time."""
    rows = conn.execute(
        """select a.code, f.failed_at, false from failures f join assets a using (asset_id)
             where f.failed_at > %(start)s and f.failed_at <= %(end)s
           union all
           select a.code, v.given_at, true from verdicts v join assets a using (asset_id)
             where v.verdict in ('confirmed', 'other_fault') and v.mode not like 'sensor:%%'
               and v.mode not like 'source:%%' and v.given_at > %(start)s and v.given_at <= %(end)s
           order by 2, 1""",
        {"start": period.start, "end": period.end},
    )
    return [Truth(*row) for row in rows]


def score(
    orders: Sequence[Row], real: Sequence[Truth], *, days: float, machines: int, window: timedelta = WINDOW
) -> dict[str, Any]:
    """Orders with a real fault of their machine after them and within ``window``; leads in hours to recorded failures.

    A fault counts for the first order before it alone: a second order for it is no second success, and no false one.
    """
    preventive = sorted((each for each in orders if each["kind"] == "preventive"), key=lambda each: each["opened_at"])
    ahead = {
        number: [
            t for t in real if t.asset == each["asset"] and each["opened_at"] <= t.at <= each["opened_at"] + window
        ]
        for number, each in enumerate(preventive)
    }
    right = [number for number, found in ahead.items() if found]
    failures = [truth for truth in real if not truth.found]
    foreseen = [
        (truth, min(preventive[number]["opened_at"] for number in right if truth in ahead[number]))
        for truth in failures
        if any(truth in ahead[number] for number in right)
    ]
    leads = [(truth.at - opened) / timedelta(hours=1) for truth, opened in foreseen]
    months = machines * days / MONTH_DAYS
    false = len(preventive) - len(right)
    return {
        "days": round(days, 2),
        "orders": len(preventive),
        "before_real_faults": len(right),
        "false": false,
        "false_month": round(false / months, 4) if months > 0 else 0.0,
        "failures": len(failures),
        "failures_foreseen": len(foreseen),
        "lead_h": round(median(leads), 1) if leads else None,
    }


def machines(conn: Connection) -> int:
    """Machines with measured signals."""
    row = conn.execute("select count(distinct asset_id) from signals where role = 'measured'").fetchone()
    return int(row[0]) if row else 0


def config(conn: Connection, policy: Mapping[str, Any]) -> dict[str, Any]:
    """What is judged: the policy's settings, the detectors' versions, and every policy in force."""
    versions = conn.execute("select distinct detector, version from findings order by 1, 2").fetchall()
    kept = conn.execute("select policy_id, version from maintenance_policies where active order by 1").fetchall()
    return {
        "settings": dict(policy),
        "detectors": [list(each) for each in versions],
        "policies": [list(each) for each in kept],
    }


def config_hash(found: Mapping[str, Any]) -> str:
    """The same for the same configuration. Pure."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def keep(
    conn: Connection, found: Mapping[str, Any], period: Period, result: Mapping[str, Any], *, by: str, now: datetime
) -> int:
    """Keep a back-test; returns its id."""
    row = conn.execute(
        """insert into backtests (config_hash, config, from_at, until_at, result, made_by, made_at)
           values (%s, %s, %s, %s, %s, %s, %s) returning backtest_id""",
        (config_hash(found), Jsonb(dict(found)), period.start, period.end, Jsonb(dict(result)), by, now),
    ).fetchone()
    return int(row[0]) if row else 0


def listed(conn: Connection, *, limit: int = 100) -> list[dict[str, Any]]:
    """The last back-tests, newest first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """select backtest_id, config_hash, config, from_at, until_at, result, made_by, made_at from backtests
               order by backtest_id desc limit %s""",
            (limit,),
        ).fetchall()
