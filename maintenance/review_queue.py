"""What the review queue shows. Plain dictionaries in the API's shapes; times are aware datetimes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from core.errors import NotFound
from maintenance import queries, store

QUEUE: LiteralString = """
  select review_id from review_items
  where site_id = (select current_site()) and state = 'open' and due_at <= %(now)s
  order by risk desc, review_id limit %(limit)s """
SNOOZED: LiteralString = """
  select review_id from review_items where site_id = (select current_site()) and state = 'open' and due_at > %(now)s
  order by due_at, review_id limit %(limit)s """
DECIDED: LiteralString = """
  select review_id from review_items where site_id = (select current_site()) and state <> 'open'
  order by decided_at desc, review_id desc limit %(limit)s """
FOUND: LiteralString = """
  select i.review_id from review_items i join assets a using (asset_id)
  where i.state = 'open' and i.due_at <= %(now)s
    and (a.code ilike %(like)s or a.name ilike %(like)s or a.location ilike %(like)s or i.mode ilike %(like)s)
  order by i.risk desc, i.review_id limit %(limit)s """
LISTS: Mapping[str, LiteralString] = {"open": QUEUE, "snoozed": SNOOZED, "decided": DECIDED}
ITEM: LiteralString = """
  select i.*, l.raised_at, l.sentence, l.contributions, l.health, l.detector, a.code as asset_code,
         a.name as asset_name,
         a.criticality, a.location, a.class, t.ref, t.status as ticket_status, p.p10_h, p.p50_h, p.p90_h,
         p.p_fail_horizon, p.horizon_h, p.made_at, p.cost_planned, p.cost_failure, p.currency, m.start_at, m.what,
         m.total, m.now_total, d.reasons
  from review_items i
  join alarms l using (alarm_id)
  join assets a on a.asset_id = i.asset_id
  left join predictions p on p.prediction_id = i.prediction_id
  left join moments m on m.prediction_id = i.prediction_id
  left join tickets t on t.ticket_id = i.ticket_id
  left join lateral (select reasons from decisions where alarm_id = i.alarm_id
                     order by decision_id desc limit 1) d on true
  where i.review_id = any(%s) """
ORDERS: LiteralString = """
  select t.ticket_id, t.ref, t.status, t.title from tickets t
  where t.asset_id = %s and t.status not in ('closed', 'cancelled', 'done', 'verifying')
    and t.kind in ('preventive', 'corrective', 'inspection') order by t.ticket_id desc limit 20 """
NUMBERS = ("p10_h", "p50_h", "p90_h", "p_fail_horizon", "horizon_h", "made_at")
PLAIN = ("review_id", "version", "alarm_id", "prediction_id", "state", "risk", "why", "proposed_at", "due_at", "owner",
         "reason", "decided_by", "decided_at", "health", "detector")  # fmt: skip


def items(
    conn: Connection, *, state: str, now: datetime, search: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """Proposals: ``open`` (highest risk first), ``snoozed`` (soonest first) or ``decided`` (latest first).

    ``search`` looks in the machine's code, name and place and in the failure mode of the open ones.
    """
    values = {"now": now, "limit": limit, "like": f"%{_escaped(search or '')}%"}
    query = FOUND if search and state == "open" else LISTS[state]
    ids = [row[0] for row in conn.execute(query, values)]
    found = {row["review_id"]: row for row in _rows(conn, ids)}
    return [_shown(conn, found[each]) for each in ids if each in found]


def item(conn: Connection, review_id: int) -> dict[str, Any]:
    """One proposal, with the open orders on its machine that may carry it. Raises NotFound."""
    rows = _rows(conn, [review_id])
    if not rows:
        raise NotFound(f"There is no proposal {review_id} on this site.")
    orders = conn.execute(ORDERS, (rows[0]["asset_id"],)).fetchall()
    names = ("ticket_id", "ref", "status", "title")
    return {**_shown(conn, rows[0]), "orders": [dict(zip(names, each, strict=True)) for each in orders]}


def counts(conn: Connection, now: datetime) -> dict[str, int]:
    """How many wait, and how many are snoozed."""
    row = conn.execute(
        """select count(*) filter (where due_at <= %s), count(*) filter (where due_at > %s) from review_items
           where site_id = (select current_site()) and state = 'open'""",
        (now, now),
    ).fetchone() or (0, 0)
    return {"open": row[0], "snoozed": row[1]}


def _rows(conn: Connection, ids: list[int]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(ITEM, (ids,)).fetchall()


def _shown(conn: Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    made = row["currency"] is not None
    return {
        **{name: row[name] for name in (*PLAIN, *NUMBERS)},
        "asset": {
            "asset_id": row["asset_id"],
            "code": row["asset_code"],
            "name": row["asset_name"],
            "criticality": row["criticality"],
            "location": row["location"],
        },
        "mode": queries.mode_json(conn, row["class"], row["mode"]),
        "detected_at": row["raised_at"],
        "cost": {"planned": row["cost_planned"], "failure": row["cost_failure"], "currency": row["currency"]}
        if made
        else None,
        "moment": None
        if row["start_at"] is None
        else {name: row[name] for name in ("start_at", "what", "total", "now_total")},
        "sentence": store.said(row["sentence"]),
        "contributions": _contributions(conn, row),
        "reasons": [{language: each[language] for language in ("en", "zh")} for each in row["reasons"] or []],
        "ticket": None
        if row["ticket_id"] is None
        else {"ticket_id": row["ticket_id"], "ref": row["ref"], "status": row["ticket_status"]},
    }


def _contributions(conn: Connection, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    evidence = store.evidence_of(row["contributions"])
    codes: dict[int, str] = dict(
        conn.execute("select signal_id, code from signals where signal_id = any(%s)", (list(evidence),)).fetchall()
    )
    ranked = sorted(evidence.items(), key=lambda each: (-each[1].share, each[0]))
    return [
        {"signal_id": key, "code": codes.get(key, ""), "share": each.share, "direction": each.direction}
        for key, each in ranked
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
