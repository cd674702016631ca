"""For every prediction: who saw what, what was forecast, under which policies, and what was decided and why."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from core.errors import NotFound
from maintenance import queries, store

PREDICTION: LiteralString = """
  select p.*, l.detector, l.sentence, a.code as asset_code, a.name as asset_name, a.criticality, a.location, a.class,
         m.start_at, m.what, m.total, m.now_total, m.policies,
         (select f.version from findings f where f.asset_id = p.asset_id and f.detector = l.detector
            and f.at <= p.made_at order by f.at desc, f.finding_id desc limit 1) as detector_version
  from predictions p join alarms l using (alarm_id) join assets a on a.asset_id = p.asset_id
  left join moments m using (prediction_id) where p.prediction_id = %s """
DECISIONS: LiteralString = """
  select d.at, d.action, d.reasons, t.ticket_id, t.ref, t.status from decisions d
  left join tickets t on t.ticket_id = d.ticket_id where d.prediction_id = %s order by d.decision_id """
PLAIN = ("prediction_id", "alarm_id", "made_at", "detector", "detector_version", "health", "p10_h", "p50_h", "p90_h",
         "p_fail_horizon", "horizon_h", "model", "version", "risk")  # fmt: skip


def of(conn: Connection, prediction_id: int) -> dict[str, Any]:
    """The path of one prediction. Raises NotFound."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(PREDICTION, (prediction_id,)).fetchone()
        decided = cursor.execute(DECISIONS, (prediction_id,)).fetchall()
    if row is None:
        raise NotFound(f"There is no prediction {prediction_id} on this site.")
    return {
        **{name: row[name] for name in PLAIN},
        "asset": {
            "asset_id": row["asset_id"],
            "code": row["asset_code"],
            "name": row["asset_name"],
            "criticality": row["criticality"],
            "location": row["location"],
        },
        "mode": queries.mode_json(conn, row["class"], row["mode"]),
        "sentence": store.said(row["sentence"]),
        "cost": {"planned": row["cost_planned"], "failure": row["cost_failure"], "currency": row["currency"]},
        "moment": None
        if row["start_at"] is None
        else {name: row[name] for name in ("start_at", "what", "total", "now_total")},
        "policies": [{"policy_id": policy_id, "version": version} for policy_id, version in row["policies"] or []],
        "decisions": [
            {
                "at": each["at"],
                "action": each["action"],
                "reasons": [{language: one[language] for language in ("en", "zh")} for one in each["reasons"]],
                "ticket": None
                if each["ticket_id"] is None
                else {name: each[name] for name in ("ticket_id", "ref", "status")},
            }
            for each in decided
        ],
    }
