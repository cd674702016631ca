"""May this detector's word open orders? Asked before every order and proposal.

    new version ──> shadow ──a person, with a reason──> live ──precision proven too low──> review
                      └ what it would have opened is written down as a decision and counted

A detector that a site has never heard is live: so is what ran before the gate was there. Another version of one that it
knows begins in shadow, and so does what judges beside the default chain (``detectors.companions``). The first finding
of a version writes its row; from then on the answer is one indexed read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb
from scipy.special import betaincinv

from core import clock, live, log
from core.errors import NotFound
from detectors import companions
from maintenance import scorer, sentences
from maintenance.scorer import WINDOW, Fault, Order
from plant.model import Asset
from tickets import notify
from tickets.model import RIGHT_VERDICTS
from tickets.notify import NoticeKind

SYSTEM = "gate"
WORST = 0.4  # precision under which a detector proposes only, …
SURE = 0.9  # … when it is so sure that it is under it
FRESH = 20  # the last verdicts that count
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# an alarm's first order, or what would have been one, and until when it stood
SAID: LiteralString = """
  select s.alarm_id, s.asset_id, l.mode, s.at, coalesce(t.done_at, t.closed_at, l.cleared_at),
    (select v.verdict from verdicts v where v.alarm_id = s.alarm_id
     order by v.given_at desc, v.verdict_id desc limit 1), s.shadow
  from (select d.alarm_id, d.asset_id, min(d.at) as at, bool_and(d.action = 'none') as shadow
    from decisions d join alarms l using (alarm_id)
    where l.detector = %(detector)s and d.at > %(since)s and d.at <= %(until)s
      and (d.action = 'open' or (d.action = 'none' and d.reasons->-1->>'key' = 'shadow'))
      and exists (select 1 from findings f where f.asset_id = d.asset_id and f.detector = %(detector)s
        and split_part(f.version, '.', 1) = %(version)s and f.at = d.at)
    group by d.alarm_id, d.asset_id) s
  join alarms l using (alarm_id) left join tickets t on t.ticket_id = l.ticket_id order by s.at, s.alarm_id"""
FAILED: LiteralString = """
  select failure_id, asset_id, mode, failed_at from failures
  where asset_id = any(%(assets)s) and failed_at > %(since)s and failed_at <= %(until)s::timestamptz + %(window)s"""
HEARD: LiteralString = """
  select count(distinct asset_id)::int from findings
  where detector = %(detector)s and split_part(version, '.', 1) = %(version)s"""
logger = log.get("gate")
ROW: LiteralString = """select gate_id, detector, version, standing, row_version, changed_by, changed_at, reason
  from gate_standings """


class Standing(StrEnum):
    """What a detector version may do on an asset."""

    LIVE = "live"  # open orders, as the policy says
    REVIEW = "review"  # propose only: a planner decides
    SHADOW = "shadow"  # be written down only


@dataclass(frozen=True, slots=True)
class Gated:
    """A detector's version and what it may do; ``row_version`` is what a change must name."""

    gate_id: int
    detector: str
    version: str
    standing: Standing
    row_version: int
    changed_by: str
    changed_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a version has shown in a time. ``lead_h`` in hours, median; ``false_month`` per machine and month."""

    days: float
    orders: int  # opened, or would have been opened in shadow
    shadow: int  # of these, in shadow
    right: int  # before a recorded failure, or confirmed
    wrong: int  # judged, and no fault was there
    lead_h: float | None
    false_month: float


def standing(conn: Connection, detector: str, version: str, asset: Asset) -> Standing:
    """The standing of a detector version on an asset. The first word of a version is written down."""
    release = release_of(version)
    row = conn.execute(
        "select standing from gate_standings where detector = %s and version = %s", (detector, release)
    ).fetchone()
    if row is not None:
        return Standing(row[0])
    return _first(conn, detector, release, asset)


def silent(conn: Connection, detector: str) -> bool:
    """Whether all that is known of a detector on this site is in shadow: what it says moves nothing of the others."""
    row = conn.execute(
        "select bool_and(standing = 'shadow') from gate_standings where detector = %s", (detector,)
    ).fetchone()
    known = row[0] if row else None
    return detector in companions.names() if known is None else bool(known)


def release_of(version: str) -> str:
    """What is judged as one: ``1.7`` is version 1 with its seventh learnt model; learning is no new version. Pure."""
    return version.split(".")[0]


def _first(conn: Connection, detector: str, version: str, asset: Asset) -> Standing:
    """Live when nothing else was ever heard of this detector here, and it is none that has to be trusted first."""
    row = conn.execute(
        """select exists (select 1 from gate_standings where detector = %(name)s)
             or exists (select 1 from findings where detector = %(name)s
                 and split_part(version, '.', 1) <> %(version)s),
             coalesce((select max(told_at) from findings where asset_id = %(asset)s), %(now)s)""",
        {"name": detector, "version": version, "asset": asset.asset_id, "now": clock.load(conn).now()},
    ).fetchone()
    known, at = row or (False, None)
    beside = detector in companions.names()
    given = Standing.SHADOW if known or beside else Standing.LIVE
    reason = "a new version of a detector that is known" if known else "the first version on this site"
    reason = "it judges beside the default chain: shown in shadow first" if beside and not known else reason
    enter(conn, detector, version, given, reason=reason, at=at)
    return given


def enter(conn: Connection, detector: str, version: str, given: Standing, *, reason: str, at: datetime) -> None:
    """Write down what a version may do before its first word; one that is known stays as it is."""
    conn.execute(
        """with made as (insert into gate_standings (detector, version, standing, changed_by, changed_at, reason)
             values (%s, %s, %s, %s, %s, %s) on conflict do nothing returning *)
           insert into gate_changes (gate_id, standing, changed_by, changed_at, reason)
           select gate_id, standing, changed_by, changed_at, reason from made""",
        (detector, version, given.value, SYSTEM, at, reason),
    )


# -- what is known ---------------------------------------------------------------------------------------------------


def listed(conn: Connection) -> list[Gated]:
    """Every version that was heard, by detector, the newest first."""
    return [_gated(row) for row in conn.execute(ROW + "order by detector, gate_id desc")]


def get(conn: Connection, gate_id: int) -> Gated:
    """One version. Raises NotFound."""
    row = conn.execute(ROW + "where gate_id = %s", (gate_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no detector version {gate_id} on this site.")
    return _gated(row)


def changes(conn: Connection, gate_id: int) -> list[dict[str, Any]]:
    """Who let it and who stopped it, newest first, with what was known then."""
    rows = conn.execute(
        """select standing, changed_by, changed_at, reason, figures, grounds, backtest_id from gate_changes
           where gate_id = %s order by change_id desc""",
        (gate_id,),
    )
    names = ("standing", "changed_by", "changed_at", "reason", "figures", "grounds", "backtest_id")
    return [dict(zip(names, row, strict=True)) for row in rows]


# -- falling back -----------------------------------------------------------------------------------------------------


def upper_bound(right: int, judged: int, *, sure: float = SURE) -> float:
    """The precision under which the true one lies with that probability (Beta posterior, uniform prior). Pure."""
    return float(betaincinv(right + 1, judged - right + 1, sure))


def fall_back(conn: Connection, now: datetime) -> list[Gated]:
    """Live versions whose last verdicts prove that they are seldom right propose only from now on; those are returned.

    Verdicts from before a person let it do not count against that person's word.
    """
    fallen = []
    for each in listed(conn):
        if each.standing is not Standing.LIVE:
            continue
        right, judged = _verdicts(conn, each)
        if (bound := upper_bound(right, judged)) < WORST:
            reason = f"{right} of its last {judged} orders were right: at most {100 * bound:.0f} %"
            fallen.append(put(conn, lock(conn, each.gate_id), Standing.REVIEW, by=SYSTEM, reason=reason, now=now))
            _tell(conn, fallen[-1], right, judged, now)
    return fallen


def _tell(conn: Connection, gated: Gated, right: int, judged: int, now: datetime) -> None:
    values = {"detector": f"{gated.detector} {gated.version}", "right": float(right), "judged": float(judged)}
    logger.warning("a detector proposes only", detector=gated.detector, version=gated.version, right=right, of=judged)
    notify.tell_of(
        conn,
        notify.planners(conn),
        kind=NoticeKind.ALARM,
        title=sentences.say("gate.fallen_title", values),
        body=sentences.say("gate.fallen", values),
        key=f"gate:{gated.gate_id}:{gated.row_version}",
        now=now,
    )


def _verdicts(conn: Connection, gated: Gated) -> tuple[int, int]:
    row = conn.execute(
        """select count(*) filter (where verdict = any(%(right)s)), count(*) from (
             select v.verdict from verdicts v
             where v.detector = %(detector)s and v.given_at > %(since)s and v.mode not like 'sensor:%%'
               and v.mode not like 'source:%%'
               and exists (select 1 from findings f join alarms l on l.alarm_id = v.alarm_id
                 where f.asset_id = v.asset_id and f.detector = v.detector
                   and split_part(f.version, '.', 1) = %(version)s
                   and f.at >= l.started_at and f.at <= v.given_at)
             order by v.given_at desc limit %(most)s) as last""",
        {
            "detector": gated.detector,
            "version": gated.version,
            "since": _let_at(conn, gated),
            "most": FRESH,
            "right": sorted(RIGHT_VERDICTS),
        },
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _let_at(conn: Connection, gated: Gated) -> datetime:
    """When a person let it; long ago when nobody had to."""
    row = conn.execute(
        "select max(changed_at) from gate_changes where gate_id = %s and standing = 'live' and changed_by <> %s",
        (gated.gate_id, SYSTEM),
    ).fetchone()
    return row[0] if row and row[0] is not None else EPOCH


# -- what it has shown ------------------------------------------------------------------------------------------------


def figures(conn: Connection, detector: str, version: str, *, since: datetime, until: datetime) -> Figures:
    """Orders that the version opened or would have opened, and what became of them.

    Counted as ``scorer`` does: right are those judged so and the first before a recorded failure, wrong those judged
    so; the lead is to the failure that was recorded.
    """
    asked = {"detector": detector, "version": version, "since": since, "until": until, "window": WINDOW}
    orders, shadow = [], 0
    for alarm_id, asset_id, mode, at, ended_at, verdict, in_shadow in conn.execute(SAID, asked):
        orders.append(Order(alarm_id, asset_id, mode, at, ended_at, scorer.judged_by(verdict)))
        shadow += in_shadow
    faults = [Fault(*row) for row in conn.execute(FAILED, {**asked, "assets": [each.machine for each in orders]})]
    found, days = scorer.score(orders, faults), (until - since) / timedelta(days=1)
    row = conn.execute(HEARD, asked).fetchone()
    machines = max(row[0] if row else 0, 1)
    false = scorer.false_a_month(len(found.wrong), machines=machines, days=days)
    return Figures(days, len(orders), shadow, len(found.right), len(found.wrong), found.lead_h, false or 0.0)


# -- inside -----------------------------------------------------------------------------------------------------------


def lock(conn: Connection, gate_id: int) -> Gated:
    """One version, for this transaction alone. Raises NotFound."""
    row = conn.execute(ROW + "where gate_id = %s for update", (gate_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no detector version {gate_id} on this site.")
    return _gated(row)


def put(
    conn: Connection, kept: Gated, to: Standing, *, by: str, reason: str, now: datetime, grounds: str = "",
    backtest_id: int | None = None,
) -> Gated:  # fmt: skip
    """Its standing from now on, with what is known of it. People's changes go through ``gate_release``."""
    shown = figures(conn, kept.detector, kept.version, since=now - WINDOW, until=now)
    conn.execute(
        """update gate_standings set standing = %s, row_version = row_version + 1, changed_by = %s, changed_at = %s,
             reason = %s where gate_id = %s""",
        (to.value, by, now, reason, kept.gate_id),
    )
    conn.execute(
        """insert into gate_changes (gate_id, standing, changed_by, changed_at, reason, figures, grounds, backtest_id)
           values (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (kept.gate_id, to.value, by, now, reason, Jsonb(as_json(shown)), grounds, backtest_id),
    )
    live.announce(conn, "gate", kept.gate_id)
    return get(conn, kept.gate_id)


def as_json(shown: Figures) -> Mapping[str, Any]:
    """Plain JSON; numbers as they are shown."""
    return {
        "days": round(shown.days, 2),
        "orders": shown.orders,
        "shadow": shown.shadow,
        "right": shown.right,
        "wrong": shown.wrong,
        "lead_h": None if shown.lead_h is None else round(float(shown.lead_h), 1),
        "false_month": round(shown.false_month, 4),
    }


def _gated(row: tuple[Any, ...]) -> Gated:
    gate_id, detector, version, given, *rest = row
    return Gated(gate_id, detector, version, Standing(given), *rest)
