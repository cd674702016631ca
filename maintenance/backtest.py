"""A policy on recorded weeks: the orders that it would have opened, and which of them came before real failures.

    replay with the policy ──orders──> beside recorded failures and confirmed verdicts of live ──> result, kept

Scoring is pure. A run is kept by ``backtest_runs`` with a hash of what was judged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, LiteralString

from psycopg import Connection

from maintenance import gate, policies, scorer
from maintenance.policies import ANY, Scope
from maintenance.replay.model import GENERAL, Period, Row
from maintenance.scorer import Fault, Order
from tickets.model import RIGHT_VERDICTS

TRUTHS: LiteralString = """
  select a.code, f.mode, f.failed_at, false from failures f join assets a using (asset_id)
    where f.failed_at > %(start)s and f.failed_at <= %(end)s
  union all
  select a.code, v.mode, v.given_at, true from verdicts v join assets a using (asset_id)
    where v.verdict = any(%(right)s) and v.mode not like 'sensor:%%'
      and v.mode not like 'source:%%' and v.given_at > %(start)s and v.given_at <= %(end)s
  order by 3, 1"""


def truths(conn: Connection, period: Period) -> list[Fault]:
    """What really was wrong in the period, by time: recorded failures, and faults that an engineer confirmed."""
    asked = {"start": period.start, "end": period.end, "right": sorted(RIGHT_VERDICTS)}
    return [Fault(number, *row) for number, row in enumerate(conn.execute(TRUTHS, asked))]


def score(orders: Sequence[Row], real: Sequence[Fault], *, days: float, machines: int) -> dict[str, Any]:
    """Preventive orders of a replay beside real faults, as ``scorer`` counts; leads in hours to recorded failures.

    What the replay's people say is what they said live, as far as their order was opened again; an order that nobody
    judged and that no fault followed counts as false.
    """
    said = [
        Order(number, each["asset"], each["mode"] or "", each["opened_at"], each["closed_at"],
              scorer.judged_by(each["verdict"]))
        for number, each in enumerate(each for each in orders if each["kind"] == "preventive")
    ]  # fmt: skip
    found = scorer.score(said, real)
    false = len(said) - len(found.right) - len(found.further)
    false_month = scorer.false_a_month(false, machines=machines, days=days)
    return {
        "days": round(days, 2),
        "orders": len(said),
        "before_real_faults": len(found.right),
        "false": false,
        "false_month": round(false_month or 0.0, 4),
        "failures": found.failures,
        "failures_foreseen": found.foreseen,
        "lead_h": None if found.lead_h is None else round(found.lead_h, 1),
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
    real = [each for each in truths(conn, period) if each.machine in codes]
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
