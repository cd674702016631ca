"""What a maintenance policy would have done: recorded alarms decided again, by the same decision, before it applies.

Each prediction that was kept is put before the decision as it stands and as it would be. What is not recorded at every
moment (how often a deviation had been said by then) is taken from the predictions' number; mutes and orders of that
time are left out, so the counts compare two policies, and are no history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, LiteralString

import numpy as np
from psycopg import Connection
from psycopg.rows import dict_row

from detectors.base import FindingKind
from maintenance import alarms, decide, libraries, moments, policies, queries
from maintenance.decide import Situation
from maintenance.model import Action, Forecast, Mode, Policy
from maintenance.policies import EPOCH, Kept, Scope

MOST = 20_000  # predictions
RECORDED: LiteralString = """
  select p.alarm_id, p.asset_id, p.mode, p.made_at, p.p10_h, p.p50_h, p.p90_h, p.p_fail_horizon, p.horizon_h, p.health,
         p.model, p.version, l.raised_at, l.started_at, l.detector, l.ticket_id, a.class, a.code, a.name
  from predictions p join alarms l using (alarm_id) join assets a on a.asset_id = p.asset_id
  where p.made_at >= %(since)s and l.kind = 'machine' and (%(class)s = '*' or a.class = %(class)s)
    and (%(mode)s = '*' or p.mode = %(mode)s) and (%(asset)s::int is null or p.asset_id = %(asset)s)
  order by p.alarm_id, p.prediction_id limit %(most)s """


@dataclass(frozen=True, slots=True)
class Preview:
    """Over ``days``: how many alarms, how many orders the policy in force and the other one would have opened, and the
    alarms that they judge differently (opened at; None: not at all)."""

    days: int
    alarms: int
    opens_now: int
    would_open: int
    earlier: int
    later: int
    different: list[dict[str, Any]]


def preview(
    conn: Connection, scope: Scope, settings: Mapping[str, Any], *, days: int, now: datetime, most: int = 50
) -> Preview:
    """What these settings would have done within their scope. Raises BadPolicy."""
    policies.checked(conn, scope, settings)
    draft = Kept(0, scope, 0, True, settings, EPOCH, "")
    asked = {
        "since": now - timedelta(days=days),
        "class": scope.asset_class,
        "mode": scope.mode,
        "asset": scope.asset_id,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(RECORDED, {**asked, "most": MOST}).fetchall()
    judged = []
    for _, group in groupby(rows, key=lambda row: row["alarm_id"]):
        made = list(group)
        place = Scope(made[-1]["class"], made[-1]["mode"], made[-1]["asset_id"])
        was = policies.applied(conn, place).policy
        would = policies.applied(conn, place, instead=draft).policy
        mode = libraries.mode(conn, place.asset_class, place.mode)
        judged.append((made[-1], _opened(made, mode, was), _opened(made, mode, would)))
    different = [_difference(conn, *each) for each in judged if each[1] != each[2]]
    both = [(was, would) for _, was, would in judged if was is not None and would is not None]
    return Preview(
        days=days,
        alarms=len(judged),
        opens_now=sum(was is not None for _, was, _ in judged),
        would_open=sum(would is not None for _, _, would in judged),
        earlier=sum(would < was for was, would in both),
        later=sum(would > was for was, would in both),
        different=different[:most],
    )


def _opened(rows: Iterable[Mapping[str, Any]], mode: Mode, policy: Policy) -> datetime | None:
    """When an alarm's predictions would first have opened (or proposed) an order."""
    for number, row in enumerate(rows, start=1):
        if decide.decide(_situation(row, number, mode, policy), policy).action is Action.OPEN:
            made_at: datetime = row["made_at"]
            return made_at
    return None


def _situation(row: Mapping[str, Any], number: int, mode: Mode, policy: Policy) -> Situation:
    life = alarms.raised(row["detector"], started_at=row["started_at"], at=row["raised_at"])
    right, wrong = policy.precision_prior
    return Situation(
        kind=FindingKind.MACHINE,
        alarm=replace(life, findings=number),
        at=row["made_at"],
        health=row["health"],
        cost=moments.cost_of(mode.cost, policy),
        precision=right / (right + wrong),
        forecast=_forecast(row, policy),
    )


def _forecast(row: Mapping[str, Any], policy: Policy) -> Forecast | None:
    """The forecast that was kept, with the chance of failing within this policy's horizon."""
    if row["p10_h"] is None:
        return None
    kept = Forecast(
        *(row[name] for name in ("p10_h", "p50_h", "p90_h", "p_fail_horizon", "horizon_h", "model", "version"))
    )
    horizon_h = policy.horizon / decide.HOUR
    if horizon_h == kept.horizon_h:
        return kept
    return replace(kept, p_fail=float(kept.failure(np.array([horizon_h]))[0]), horizon_h=horizon_h)


def _difference(
    conn: Connection, row: Mapping[str, Any], was: datetime | None, would: datetime | None
) -> dict[str, Any]:
    return {
        "alarm_id": row["alarm_id"],
        "asset_id": row["asset_id"],
        "asset_code": row["code"],
        "asset_name": row["name"],
        "mode": queries.mode_json(conn, row["class"], row["mode"]),
        "detected_at": row["raised_at"],
        "opened_at": was,
        "would_open_at": would,
    }
