"""What the screens ask of maintenance. Plain dictionaries in the API's shapes; times are aware datetimes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row

from core import clock
from core.errors import NotFound
from maintenance import explain, guard, libraries, sentences, store, verdicts

STALE_WALL = timedelta(seconds=20)
STALE_LEAST = timedelta(minutes=15)
STALE_PERIODS = 5
SHADES = ("alarm", "stale", "watch", "normal", "unknown")  # worst first
ALARM: LiteralString = """
  select l.*, a.code as asset_code, a.name as asset_name, a.criticality, a.location, a.class,
         t.ref, t.status as ticket_status
  from alarms l join assets a using (asset_id) left join tickets t on t.ticket_id = l.ticket_id """
PREDICTION: LiteralString = """
  select p.*, l.raised_at, l.sentence, l.contributions, l.state, l.ticket_id, a.code as asset_code,
         a.name as asset_name, a.criticality, a.location, a.class, t.ref, t.status as ticket_status, d.action,
         d.reasons
  from alarms l
  join lateral (select * from predictions where alarm_id = l.alarm_id
                order by made_at desc, prediction_id desc limit 1) p on true
  join assets a on a.asset_id = l.asset_id
  left join tickets t on t.ticket_id = l.ticket_id
  left join lateral (select action, reasons from decisions where alarm_id = l.alarm_id
                     order by decision_id desc limit 1) d on true
  where l.state <> 'cleared' """


def predictions(conn: Connection, *, asset_id: int | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """The newest prediction of every open machine alarm, highest risk (expected loss) first."""
    rows = _rows(
        conn,
        PREDICTION + "and (%s::int is null or l.asset_id = %s) order by p.risk desc, p.prediction_id limit %s",
        (asset_id, asset_id, limit),
    )
    codes = _codes(conn, rows)
    return [_prediction(conn, row, codes) for row in rows]


def alarms(
    conn: Connection,
    *,
    state: str | None = None,
    asset_id: int | None = None,
    severity: int | None = None,
    kind: str | None = None,
    held: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Alarms, newest first; ``state`` active, acknowledged, shelved, cleared, or ``open`` for all but cleared.

    ``severity``: this and worse; ``held``: by what, ``free`` for those that nothing holds, ``any`` for the others.
    """
    rows = _rows(
        conn,
        ALARM
        + """where (%(state)s::text is null or l.state = %(state)s or (%(state)s = 'open' and l.state <> 'cleared'))
               and (%(asset)s::int is null or l.asset_id = %(asset)s)
               and (%(severity)s::int is null or l.severity <= %(severity)s)
               and (%(kind)s::text is null or l.kind = %(kind)s)
               and (%(held)s::text is null or l.held = %(held)s or (%(held)s = 'free' and l.held = '')
                    or (%(held)s = 'any' and l.held <> ''))
               and (%(before)s::int is null or l.alarm_id < %(before)s) order by l.alarm_id desc limit %(limit)s""",
        {
            "state": state,
            "asset": asset_id,
            "severity": severity,
            "kind": kind,
            "held": held,
            "before": before_id,
            "limit": limit,
        },
    )
    codes = _codes(conn, rows)
    return [_alarm(conn, row, codes) for row in rows]


def alarm(conn: Connection, alarm_id: int) -> dict[str, Any]:
    """One alarm with its diagnosis, health curve, predictions and decisions. Raises NotFound."""
    rows = _rows(conn, ALARM + "where l.alarm_id = %s", (alarm_id,))
    if not rows:
        raise NotFound(f"There is no alarm {alarm_id} on this site.")
    row = rows[0]
    made = _rows(
        conn,
        """select prediction_id, made_at, p10_h, p50_h, p90_h, p_fail_horizon, horizon_h, health, risk, model, version
           from predictions where alarm_id = %s order by prediction_id desc limit 200""",
        (alarm_id,),
    )
    decided = _rows(
        conn,
        "select at, action, reasons from decisions where alarm_id = %s order by decision_id desc limit 50",
        (alarm_id,),
    )
    return {
        **_alarm(conn, row, _codes(conn, rows)),
        "diagnosis": [
            {
                "mode": mode_json(conn, row["class"], each["mode"]),
                "probability": each["probability"],
                "prior": each.get("prior", 0.0),
                "likelihood": each.get("likelihood", 0.0),
                "why": explain.why(each),
            }
            for each in row["diagnosis"]
        ],
        "health_curve": [{"at": at, "health": health} for at, health in store.health_curve(conn, alarm_id)],
        "predictions": made,
        "decisions": [{**each, "reasons": _reasons(each["reasons"])} for each in decided],
    }


def verification(conn: Connection, ticket_id: int) -> dict[str, Any] | None:
    """How far the proof of a repair has come; None when the order is not, and was never, being verified."""
    rows = _rows(conn, "select * from verifications where ticket_id = %s", (ticket_id,))
    if not rows:
        return None
    row = rows[0]
    evidence = row["evidence"]
    said = guard.decided(conn, ticket_id) or (None, None)
    return {
        "status": row["status"],
        "attempt": row["attempt"],
        "started_at": row["started_at"],
        "deadline": row["deadline"],
        "checked_at": row["checked_at"],
        "settled_at": row["settled_at"],
        "detail": evidence.get("text") or sentences.say("verify.begun"),
        "left": evidence.get("left"),
        "running_h": evidence.get("running_h"),
        "need_h": evidence.get("need_h"),
        "decided_by": said[0],
        "decided_reason": said[1],
        "signals": evidence.get("signals", []),
        "plot": evidence.get("plot", []),
    }


def detectors(conn: Connection) -> list[dict[str, Any]]:
    """Every detector that ever spoke: version, verdicts over its orders, precision (None = never judged), by asset."""
    spoken = _rows(
        conn,
        """select f.detector, (array_agg(f.version order by f.finding_id desc))[1] as version, count(*) as findings,
             (select count(*) from alarms l where l.detector = f.detector) as alarms,
             (select count(distinct ticket_id) from alarms l where l.detector = f.detector) as orders
           from findings f group by f.detector order by f.detector""",
        (),
    )
    judged = verdicts.precision(conn)
    names: dict[int, str] = dict(conn.execute("select asset_id, code from assets").fetchall())
    made = []
    for row in spoken:
        own = [each for each in judged if each.detector == row["detector"]]
        made.append(
            {
                **row,
                "verdicts": verdicts.counted(own),
                "precision": verdicts.overall(own),
                "right": sum(each.right for each in own),
                "judged": sum(each.judged for each in own),
                "interval": _interval(sum(each.right for each in own), sum(each.judged for each in own)),
                "by_asset": [
                    {
                        "asset_id": each.asset_id,
                        "asset_code": names.get(each.asset_id, ""),
                        "mode": each.mode,
                        "verdicts": each.verdicts,
                        "precision": each.precision,
                        "right": each.right,
                        "judged": each.judged,
                        "interval": _interval(each.right, each.judged),
                    }
                    for each in own
                ],
            }
        )
    return made


def modes(conn: Connection, asset_class: str | None = None) -> list[dict[str, Any]]:
    """The failure modes of a class, or of every class, for the closing form."""
    chosen = sorted(libraries.described(conn)) if asset_class is None else (asset_class,)
    return [
        {
            "code": mode.code,
            "asset_class": name,
            "name": sentences.both(mode.name),
            "mechanism": mode.mechanism,
            "skill": mode.skill,
        }
        for name in chosen
        for mode in libraries.modes(conn, name)
    ]


def health_lights(conn: Connection, now: datetime) -> dict[int, str]:
    """Asset id → alarm, stale, watch, normal or unknown; a node without signals shows the worst below it."""
    rows = conn.execute(
        """select a.asset_id, a.parent_id, s.heard, s.period_s,
             coalesce(bool_or(l.kind = 'machine' and l.returned_at is null and l.state <> 'shelved'
                              and l.ticket_id is not null), false),
             count(l.alarm_id)
           from assets a
           left join (select asset_id, max(v.at) as heard, min(period_s) as period_s, count(*) as signals
                      from signals left join last_values v using (signal_id) group by asset_id) s using (asset_id)
           left join alarms l on l.asset_id = a.asset_id and l.state <> 'cleared'
           group by a.asset_id, a.parent_id, s.heard, s.period_s"""
    ).fetchall()
    least = max(STALE_LEAST, STALE_WALL * clock.load(conn).factor)  # a fast plant is not stale for being on its way
    lights = {row[0]: _light(now - row[2] if row[2] else None, least, *row[3:]) for row in rows}
    parents = {row[0]: row[1] for row in rows}
    silent = {row[0] for row in rows if row[3] is None}
    return _raise_to_parents(lights, parents, silent)


def mode_json(conn: Connection, asset_class: str, code: str) -> dict[str, Any]:
    """{code, name{en, zh}} of a failure mode, a sensor's fault included."""
    if code == "source:many:silent":
        return {"code": code, "name": sentences.say("source.many")}
    if code.startswith("source:"):
        return {"code": code, "name": sentences.say("source.name", {"source": code.split(":")[1]})}
    if code.startswith("common:"):
        return {"code": code, "name": sentences.say("mode.common", {"medium": sentences.say(f"medium.{code[7:]}")})}
    if not code.startswith("sensor:"):
        return {"code": code, "name": libraries.mode_name(conn, asset_class, code)}
    _, signal, fault = (code.split(":", 1)[0], *code.split(":", 1)[1].rsplit(":", 1))
    key = f"sensor.{fault}"
    words = sentences.say(key if key in sentences.templates() else "sensor.fault")
    return {"code": code, "name": sentences.say("sensor.name", {"signal": signal, "fault": words})}


def _interval(right: int, judged: int) -> dict[str, float]:
    low, high = verdicts.interval(right, judged)
    return {"low": round(low, 4), "high": round(high, 4)}


def _light(age: timedelta | None, least: timedelta, period_s: float | None, ordered: bool, count: int) -> str:
    if ordered:
        return "alarm"
    if age is None:
        return "unknown"
    if age > max(least, timedelta(seconds=STALE_PERIODS * (period_s or 0))):
        return "stale"
    return "watch" if count else "normal"


def _raise_to_parents(lights: dict[int, str], parents: Mapping[int, int | None], silent: set[int]) -> dict[int, str]:
    shown = dict(lights)
    for asset_id, light in lights.items():
        above, seen = parents[asset_id], {asset_id}
        while above is not None and above not in seen:
            if above in silent and SHADES.index(light) < SHADES.index(shown.get(above, "unknown")):
                shown[above] = light
            seen.add(above)
            above = parents.get(above)
    return shown


def _rows(conn: Connection, query: LiteralString, params: Any) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, params).fetchall()


def _codes(conn: Connection, rows: list[dict[str, Any]]) -> dict[int, str]:
    """Signal id → code for every signal that these rows name."""
    ids = sorted({int(key) for row in rows for key in row["contributions"]})
    return dict(conn.execute("select signal_id, code from signals where signal_id = any(%s)", (ids,)).fetchall())


def _prediction(conn: Connection, row: Mapping[str, Any], codes: Mapping[int, str]) -> dict[str, Any]:
    numbers = ("prediction_id", "alarm_id", "made_at", "p10_h", "p50_h", "p90_h", "p_fail_horizon", "horizon_h", "risk")
    return {
        **{name: row[name] for name in (*numbers, "health", "model", "version")},
        "asset": _asset(row),
        "mode": mode_json(conn, row["class"], row["mode"]),
        "detected_at": row["raised_at"],
        "cost": {"planned": row["cost_planned"], "failure": row["cost_failure"], "currency": row["currency"]},
        "sentence": store.said(row["sentence"]),
        "contributions": _contributions(row, codes),
        "alarm_state": row["state"],
        "ticket": _ticket(row),
        "decision": {"action": row["action"], "reasons": _reasons(row["reasons"] or [])} if row["action"] else None,
    }


def _alarm(conn: Connection, row: Mapping[str, Any], codes: Mapping[int, str]) -> dict[str, Any]:
    plain = (
        "alarm_id asset_id kind state severity detector surprise health findings returns started_at last_at "
        "returned_at cleared_at acked_by acked_at shelved_until shelved_by shelve_reason shelf held chatter_at stale_at"
    )
    return {
        **{name: row[name] for name in plain.split()},
        "asset": _asset(row),
        "mode": mode_json(conn, row["class"], row["mode"]),
        "detected_at": row["raised_at"],
        "sentence": store.said(row["sentence"]),
        "contributions": _contributions(row, codes),
        "ticket": _ticket(row),
    }


def _asset(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "asset_id": row["asset_id"],
        "code": row["asset_code"],
        "name": row["asset_name"],
        "criticality": row["criticality"],
        "location": row["location"],
    }


def _ticket(row: Mapping[str, Any]) -> dict[str, Any] | None:
    if row["ticket_id"] is None:
        return None
    return {"ticket_id": row["ticket_id"], "ref": row["ref"], "status": row["ticket_status"]}


def _contributions(row: Mapping[str, Any], codes: Mapping[int, str]) -> list[dict[str, Any]]:
    evidence = store.evidence_of(row["contributions"])
    ranked = sorted(evidence.items(), key=lambda item: (-item[1].share, item[0]))
    return [
        {"signal_id": key, "code": codes.get(key, ""), "share": each.share, "direction": each.direction}
        for key, each in ranked
    ]


def _reasons(kept: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{language: each[language] for language in ("en", "zh")} for each in kept]
