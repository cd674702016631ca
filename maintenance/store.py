"""SQL of findings, alarms, health points, predictions, decisions and mutes. The only writer of these tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core import live
from core.errors import NotFound
from detectors.base import Finding, FindingKind
from maintenance import sentences
from maintenance.alarms import Alarm, AlarmState, Shelf
from maintenance.model import Candidate, Cost, Decision, Deviation, Forecast

WAITING_SENSOR = timedelta(days=2)  # a sensor that waits longer is spoken of again by its detector
SURE = 300.0  # the surprise of a probability too small for a float
ALARM: LiteralString = """select alarm_id, asset_id, kind, mode, detector, severity, surprise, health, contributions,
  sentence, diagnosis, ticket_id, state, started_at, raised_at, last_at, deviating_since,
  deviating, findings, returns, returned_at,
  cleared_at, acked_by, acked_at, shelved_until, shelved_by, shelve_reason, onset_at, shelf from alarms """


@dataclass(frozen=True, slots=True)
class KeptAlarm:
    """An alarm as kept: its life (``alarm``), what it says, and its order."""

    alarm_id: int
    asset_id: int
    kind: FindingKind
    mode: str
    detector: str
    severity: int
    surprise: float
    health: float
    evidence: Mapping[int, Deviation]
    sentence: Mapping[str, Any]
    diagnosis: tuple[Candidate, ...]
    ticket_id: int | None
    alarm: Alarm


def deviations(finding: Finding) -> dict[int, Deviation]:
    """The finding's contributions with their directions."""
    return {
        signal_id: Deviation(float(share), int(finding.directions.get(signal_id, 0)))
        for signal_id, share in finding.contributions.items()
    }


def lock_asset(conn: Connection, asset_id: int) -> None:
    """One judgement of an asset at a time, to the end of the transaction. Raises NotFound."""
    row = conn.execute("select 1 from assets where asset_id = %s for no key update", (asset_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no asset {asset_id} on this site.")


def try_lock_asset(conn: Connection, asset_id: int) -> bool:
    """Like :func:`lock_asset`, but False at once while somebody else judges it."""
    return bool(try_lock_assets(conn, [asset_id]))


def try_lock_assets(conn: Connection, asset_ids: Iterable[int]) -> list[int]:
    """Those of these that nobody else judges now, by id; they are locked like by :func:`lock_asset`."""
    query = "select asset_id from assets where asset_id = any(%s) order by asset_id for no key update skip locked"
    return [row[0] for row in conn.execute(query, (list(asset_ids),))]


# -- findings ---------------------------------------------------------------------------------------------------------


def subject(finding: Finding) -> str:
    """Id of the signal that says most: two sensors may fail at once."""
    return str(max(finding.contributions, key=lambda key: finding.contributions[key], default=""))


def latest_findings(conn: Connection, asset_id: int) -> list[tuple[str, bool, datetime, datetime]]:
    """(detector, active, started_at, at) of each detector's last word about the machine."""
    return conn.execute(
        """select distinct on (detector) detector, active, started_at, at from findings
           where asset_id = %s and kind = 'machine' and withdrawn_at is null
           order by detector, at desc, finding_id desc""",
        (asset_id,),
    ).fetchall()


# -- alarms -----------------------------------------------------------------------------------------------------------


def alarms_of(conn: Connection, asset_id: int, kind: FindingKind, *, since: datetime) -> list[KeptAlarm]:
    """Alarms of an asset that are open or cleared after ``since``, oldest first."""
    rows = conn.execute(
        ALARM + "where asset_id = %s and kind = %s and (state <> 'cleared' or cleared_at >= %s) order by alarm_id",
        (asset_id, kind.value, since),
    )
    return [_alarm(row) for row in rows]


def alarm(conn: Connection, alarm_id: int) -> KeptAlarm:
    """One alarm, locked to the end of the transaction. Raises NotFound."""
    row = conn.execute(ALARM + "where alarm_id = %s for update", (alarm_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no alarm {alarm_id} on this site.")
    return _alarm(row)


def lock_alarms(conn: Connection, alarm_ids: Sequence[int]) -> list[KeptAlarm]:
    """These alarms, oldest first, locked to the end of the transaction."""
    if not alarm_ids:
        return []
    query = ALARM + "where alarm_id = any(%s) order by alarm_id for update"
    return [_alarm(row) for row in conn.execute(query, (list(alarm_ids),))]


def alarms_of_ticket(conn: Connection, ticket_id: int) -> list[KeptAlarm]:
    """The alarms an order is about, oldest first, locked."""
    return [
        _alarm(row) for row in conn.execute(ALARM + "where ticket_id = %s order by alarm_id for update", (ticket_id,))
    ]


def waiting_alarms(conn: Connection, now: datetime) -> list[tuple[int, int, int | None]]:
    """(asset id, alarm id, ticket id) of open alarms that time may move: back to normal, or shelved until now."""
    return conn.execute(
        """select asset_id, alarm_id, ticket_id from alarms where state <> 'cleared'
             and (returned_at is not null or shelved_until <= %s) order by asset_id, alarm_id""",
        (now,),
    ).fetchall()


def waiting_sensors(conn: Connection, now: datetime) -> dict[int, list[int]]:
    """Asset id → ids of sensors' alarms whose last word was to wait: for others, a delay, the end of work."""
    rows = conn.execute(
        """select l.asset_id, array_agg(l.alarm_id order by l.alarm_id) from alarms l
           where l.kind = 'sensor' and l.state in ('active', 'acknowledged') and l.returned_at is null
             and l.ticket_id is null and l.held = '' and l.raised_at > %s and l.mode not like 'source:%%'
             and (select action from decisions d where d.alarm_id = l.alarm_id
                  order by decision_id desc limit 1) = 'wait'
           group by l.asset_id""",
        (now - WAITING_SENSOR,),
    )
    return dict(rows.fetchall())


def add_alarm(conn: Connection, kept: KeptAlarm) -> KeptAlarm:
    """A new alarm with its id (that of ``kept`` is not looked at)."""
    row = conn.execute(
        """insert into alarms (asset_id, kind, mode, detector, state, started_at, raised_at, last_at, deviating_since,
             surprise, health, severity, onset_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning alarm_id""",
        (
            kept.asset_id, kept.kind.value, kept.mode, kept.detector, kept.alarm.state.value, kept.alarm.started_at,
            kept.alarm.raised_at, kept.alarm.last_at, kept.alarm.deviating_since, kept.surprise, kept.health,
            kept.severity, kept.alarm.onset_at or kept.alarm.started_at,
        ),
    ).fetchone()  # fmt: skip
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    values = {name: getattr(kept, name) for name in KeptAlarm.__slots__}
    return save_alarm(conn, KeptAlarm(**{**values, "alarm_id": row[0]}))


def save_alarm(conn: Connection, kept: KeptAlarm) -> KeptAlarm:
    """Write all that can change of an alarm, and tell the screens."""
    life = kept.alarm
    conn.execute(
        """with saved as (update alarms set detector = %s, mode = %s, severity = %s, surprise = %s, health = %s,
             contributions = %s, sentence = %s, diagnosis = %s, ticket_id = %s, state = %s, started_at = %s,
             last_at = %s, deviating_since = %s, deviating = %s, findings = %s,
             returns = %s, returned_at = %s, cleared_at = %s, acked_by = %s, acked_at = %s, shelved_until = %s,
             shelved_by = %s, shelve_reason = %s, onset_at = coalesce(%s, onset_at), shelf = %s,
             told_at = case when state = 'cleared' and %s <> 'cleared' then null else told_at end where alarm_id = %s
             returning site_id, alarm_id, asset_id)
           select pg_notify(%s, json_build_object('site', site_id, 'topic', 'alarm', 'id', alarm_id)::text),
             pg_notify(%s, json_build_object('site', site_id, 'topic', 'asset', 'id', asset_id)::text) from saved""",
        (
            kept.detector,
            kept.mode,
            kept.severity,
            kept.surprise,
            kept.health,
            Jsonb(evidence_json(kept.evidence)),
            Jsonb(dict(kept.sentence)),
            Jsonb([asdict(candidate) for candidate in kept.diagnosis]),
            kept.ticket_id,
            life.state.value,
            life.started_at,
            life.last_at,
            life.deviating_since,
            Jsonb(sorted(life.deviating)),
            life.findings,
            life.returns,
            life.returned_at,
            life.cleared_at,
            life.acked_by,
            life.acked_at,
            life.shelved_until,
            life.shelved_by,
            life.shelve_reason,
            life.onset_at,
            life.shelf.value,
            life.state.value,
            kept.alarm_id,
            live.CHANNEL,
            live.CHANNEL,
        ),
    )
    return kept


def add_move(
    conn: Connection, kept: KeptAlarm, what: str, *, by: str, at: datetime, detail: Mapping[str, Any] | None = None
) -> None:
    """What was done to an alarm; that it came, went or was acknowledged is written down by the table itself."""
    conn.execute(
        """insert into alarm_moves (alarm_id, asset_id, at, what, by, severity, detail)
           values (%s, %s, %s, %s, %s, %s, %s)""",
        (kept.alarm_id, kept.asset_id, at, what, by, kept.severity, Jsonb(dict(detail or {}))),
    )


def _alarm(row: Sequence[Any]) -> KeptAlarm:
    (alarm_id, asset_id, kind, mode, detector, severity, surprise, health, contributions, sentence, found, ticket) = (
        row[:12]
    )
    state, started_at, raised_at, last_at, since, deviating, *rest, shelf = row[12:]
    return KeptAlarm(
        alarm_id,
        asset_id,
        FindingKind(kind),
        mode,
        detector,
        severity,
        surprise,
        health,
        evidence_of(contributions),
        sentence,
        tuple(
            Candidate(
                each["mode"],
                each["probability"],
                tuple(each["because"]),
                each.get("prior", 0.0),
                each.get("likelihood", 0.0),
            )
            for each in found
        ),
        ticket,
        Alarm(AlarmState(state), started_at, raised_at, last_at, since, frozenset(deviating), *(*rest, Shelf(shelf))),
    )


# -- health, predictions, decisions -----------------------------------------------------------------------------------


def add_health(conn: Connection, points: Mapping[tuple[int, str, datetime], float]) -> None:
    """(alarm, detector, at) → health; the worse of two at the same time counts."""
    keys = [list(column) for column in zip(*points, strict=True)]
    conn.execute(
        """insert into health_points (alarm_id, detector, at, health)
           select * from unnest(%s::int[], %s::text[], %s::timestamptz[], %s::float8[])
           on conflict (alarm_id, detector, at) do update set health = least(health_points.health, excluded.health)""",
        (*keys, list(points.values())),
    )


def health_curve(conn: Connection, alarm_id: int) -> list[tuple[datetime, float]]:
    """(at, health) as the detector that speaks most about this alarm sees it, oldest first."""
    return conn.execute(
        """select at, health from health_points where alarm_id = %(id)s and detector = (
             select detector from health_points where alarm_id = %(id)s
             group by detector order by count(*) desc, detector limit 1) order by at""",
        {"id": alarm_id},
    ).fetchall()


def last_prediction(conn: Connection, alarm_id: int) -> tuple[int, datetime, Forecast | None] | None:
    """(prediction id, made at, forecast) of the newest prediction."""
    row = conn.execute(
        """select prediction_id, made_at, p10_h, p50_h, p90_h, p_fail_horizon, horizon_h, model, version
           from predictions where alarm_id = %s order by made_at desc, prediction_id desc limit 1""",
        (alarm_id,),
    ).fetchone()
    if row is None:
        return None
    return row[0], row[1], None if row[2] is None else Forecast(*row[2:])


def add_prediction(
    conn: Connection,
    kept: KeptAlarm,
    forecast: Forecast | None,
    *,
    made_at: datetime,
    horizon_h: float,
    risk: float,
    cost: Cost,
) -> int:
    """Keep a prediction for ever: it is scored later against what happened."""
    numbers = (None,) * 4 if forecast is None else (forecast.p10_h, forecast.p50_h, forecast.p90_h, forecast.p_fail)
    model, version = ("none", "0") if forecast is None else (forecast.model, forecast.version)
    row = conn.execute(
        """insert into predictions (asset_id, alarm_id, mode, made_at, p10_h, p50_h, p90_h, p_fail_horizon, horizon_h,
             health, risk, cost_planned, cost_failure, currency, model, version)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning prediction_id""",
        (
            kept.asset_id,
            kept.alarm_id,
            kept.mode,
            made_at,
            *numbers,
            horizon_h,
            kept.health,
            risk,
            cost.planned,
            cost.failure,
            cost.currency,
            model,
            version,
        ),
    ).fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    live.announce(conn, "prediction", row[0])
    return int(row[0])


@dataclass(frozen=True, slots=True)
class Said:
    """What tells two decisions about an alarm apart: the action, the keys of the reasons, the prediction."""

    action: str
    keys: tuple[str, ...]
    prediction_id: int | None

    @classmethod
    def of(cls, decision: Decision, prediction_id: int | None) -> Said:
        return cls(decision.action.value, tuple(reason.key for reason in decision.reasons), prediction_id)


def add_decision(
    conn: Connection, kept: KeptAlarm, decision: Decision, *, at: datetime, prediction_id: int | None
) -> None:
    """Keep a decision when it says something new: another action, other reasons, or a new prediction."""
    if last_decision(conn, kept.alarm_id) != Said.of(decision, prediction_id):
        keep_decision(conn, kept, decision, at=at, prediction_id=prediction_id)


def last_decision(conn: Connection, alarm_id: int) -> Said | None:
    """The last thing decided about an alarm."""
    row = conn.execute(
        "select action, reasons, prediction_id from decisions where alarm_id = %s order by decision_id desc limit 1",
        (alarm_id,),
    ).fetchone()
    return None if row is None else Said(row[0], tuple(each["key"] for each in row[1]), row[2])


def keep_decision(
    conn: Connection, kept: KeptAlarm, decision: Decision, *, at: datetime, prediction_id: int | None
) -> None:
    """Keep a decision with its reasons in every language."""
    reasons = [
        {"key": reason.key, "values": dict(reason.values), **sentences.reason(reason)} for reason in decision.reasons
    ]
    conn.execute(
        """insert into decisions (asset_id, alarm_id, prediction_id, at, action, reasons, ticket_id)
           values (%s, %s, %s, %s, %s, %s, %s)""",
        (kept.asset_id, kept.alarm_id, prediction_id, at, decision.action.value, Jsonb(reasons), kept.ticket_id),
    )


# -- what people said -------------------------------------------------------------------------------------------------


def mutes(conn: Connection, asset_id: int, kind: FindingKind, at: datetime) -> list[tuple[Any, ...]]:
    """(mode, contributions, why, until, health) of what is muted at ``at``, latest first."""
    return conn.execute(
        """select mode, contributions, why, until, health from mutes
           where asset_id = %s and kind = %s and until > %s order by until desc""",
        (asset_id, kind.value, at),
    ).fetchall()


def repaired_at(conn: Connection, asset_id: int) -> datetime | None:
    """When the last repair of the asset was done whose order is closed: telemetry or a person vouched for it."""
    row = conn.execute(
        """select max(v.started_at) from verifications v join tickets t using (ticket_id)
           where v.asset_id = %s and t.status = 'closed'""",
        (asset_id,),
    ).fetchone()
    return row[0] if row else None


def verdict_counts(conn: Connection, detector: str, asset_id: int) -> Mapping[str, int]:
    """Verdict → how often engineers gave it to this detector's orders on this asset."""
    return dict(
        conn.execute(
            "select verdict, count(*) from verdicts where detector = %s and asset_id = %s group by verdict",
            (detector, asset_id),
        ).fetchall()
    )


def diagnosis_noted(conn: Connection, ticket_id: int, mode: str) -> bool:
    """Whether the order's timeline already says that the evidence speaks for this mode."""
    row = conn.execute(
        """select 1 from ticket_events where ticket_id = %s and kind = 'evidence' and body->>'kind' = 'diagnosis'
             and body->'body'->>'code' = %s limit 1""",
        (ticket_id, mode),
    ).fetchone()
    return row is not None


# -- JSON -------------------------------------------------------------------------------------------------------------


def evidence_json(evidence: Mapping[int, Deviation]) -> dict[str, dict[str, float]]:
    return {str(key): {"share": round(each.share, 6), "direction": each.direction} for key, each in evidence.items()}


def evidence_of(stored: Mapping[str, Mapping[str, float]]) -> dict[int, Deviation]:
    return {int(key): Deviation(each["share"], int(each["direction"])) for key, each in stored.items()}


def sentence_json(finding: Finding) -> dict[str, Any]:
    """The sentence as data; a value that is no number is left out, so that a poorer variant is said."""
    values = finding.sentence.values.items()
    kept = {name: value for name, value in values if isinstance(value, str) or math.isfinite(value)}
    return {"key": finding.sentence.key, "values": kept}


def said(stored: Mapping[str, Any]) -> dict[str, str]:
    """A kept sentence in every language."""
    return sentences.say(str(stored.get("key", "")), stored.get("values", {}))


def overlap(one: Mapping[int, Deviation], other: Mapping[int, Deviation]) -> float:
    """How much of two deviations is about the same signals moving the same way, 0..1."""
    shared: Iterable[int] = one.keys() & other.keys()
    return sum(
        min(one[key].share, other[key].share) for key in shared if one[key].direction * other[key].direction >= 0
    )
