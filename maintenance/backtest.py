"""A policy on recorded weeks: the orders that it would have opened, and which of them came before real failures.

    replay with the policy ──orders──> beside recorded failures and confirmed verdicts of live ──> result, kept

Scoring is pure. A run is kept by ``backtest_runs`` with a hash of what was judged.
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

from maintenance import gate, policies
from maintenance.gate import MONTH_DAYS, WINDOW
from maintenance.policies import ANY, Scope
from maintenance.replay.model import GENERAL, Period, Row


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


def machines(conn: Connection, scope: Scope = GENERAL) -> set[str]:
    """Codes of the machines with measured signals within a scope."""
    rows = conn.execute(
        """select a.code from assets a where (%(class)s = '*' or a.class = %(class)s)
             and (%(asset)s::int is null or a.asset_id = %(asset)s)
             and exists (select 1 from signals s where s.asset_id = a.asset_id and s.role = 'measured')""",
        {"class": scope.asset_class, "asset": scope.asset_id},
    )
    return {code for (code,) in rows}


def judge(conn: Connection, orders: Sequence[Row], period: Period, scope: Scope = GENERAL) -> dict[str, Any]:
    """The score of what a replay opened within the scope."""
    codes = machines(conn, scope)
    opened = [each for each in orders if each["asset"] in codes and scope.mode in (ANY, each["mode"])]
    real = [each for each in truths(conn, period) if each.asset in codes]
    return score(opened, real, days=(period.end - period.start) / timedelta(days=1), machines=len(codes))


def config(
    conn: Connection, settings: Mapping[str, Any], *, scope: Scope = GENERAL, lets: Sequence[int] = ()
) -> dict[str, Any]:
    """What is judged: settings and their scope, the detector versions that are let for it, those that were heard with
    their standings, and every policy in force. Raises BadPolicy, NotFound for a version that nobody heard."""
    policies.checked(conn, scope, settings)
    heard = {each.gate_id: each for each in gate.listed(conn)}
    for gate_id in lets:
        gate.get(conn, gate_id)
    kept = conn.execute("select policy_id, version from maintenance_policies where active order by 1").fetchall()
    return {
        "settings": dict(settings),
        "scope": {"asset_class": scope.asset_class, "mode": scope.mode, "asset_id": scope.asset_id},
        "lets": sorted(f"{heard[each].detector} {heard[each].version}" for each in lets),
        "detectors": sorted([each.detector, each.version, each.standing.value] for each in heard.values()),
        "policies": [list(each) for each in kept],
    }


def config_hash(found: Mapping[str, Any]) -> str:
    """The same for the same configuration. Pure."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
