"""SQL of the ledger of avoided downtime and of the detectors' figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import numpy as np
from psycopg import Connection

from maintenance import moments, policies, scorer, verdicts
from maintenance.ledger import Ledger, Line, Record, ledger
from maintenance.model import Cost, Forecast, Policy
from maintenance.scorer import Fault, Judged, Order
from plant import assets, stops
from plant.windows import next_stop
from tickets.model import WRONG_VERDICTS

HOUR = timedelta(hours=1)
ENDED: LiteralString = """
  select t.ticket_id, t.ref, t.asset_id, t.mode, l.detector, coalesce(f.version, ''), t.done_at, t.verdict,
    case when exists (select from ticket_events e where e.ticket_id = t.ticket_id and e.seq > 1
      and e.body->'after'->>'cost' is not null) then t.cost end,
    p.made_at, p.p10_h, p.p50_h, p.p90_h, p.p_fail_horizon, p.horizon_h, p.model, p.version, p.cost_planned,
    p.cost_failure, p.currency, v.status
  from tickets t
  join lateral (select * from alarms where ticket_id = t.ticket_id and kind = 'machine' order by alarm_id limit 1) l
    on true
  left join lateral (select version from findings where asset_id = t.asset_id and detector = l.detector
    and at <= t.opened_at order by at desc, finding_id desc limit 1) f on true
  left join lateral (select * from predictions where alarm_id = l.alarm_id and p50_h is not null
    and made_at <= t.done_at order by made_at desc, prediction_id desc limit 1) p on true
  left join verifications v on v.ticket_id = t.ticket_id
  where t.kind = 'preventive' and t.status = 'closed' and t.done_at >= %(since)s and t.done_at < %(until)s
    and (%(asset)s::int is null or t.asset_id = %(asset)s) order by t.done_at, t.ticket_id"""
FAILED_AFTER: LiteralString = """
  select exists (select 1 from failures where asset_id = %s and mode = %s and failed_at >= %s and failed_at < %s)"""


def of(conn: Connection, *, since: datetime, until: datetime, asset_id: int | None = None) -> Ledger:
    """The ledger of the orders that were done in the span and are closed. A repair that telemetry did not prove, or
    whose alarm never had a forecast, avoided nothing that can be shown: it enters with its cost."""
    rows = conn.execute(ENDED, {"since": since, "until": until, "asset": asset_id}).fetchall()
    book = stops.book(conn) if rows else stops.Book({}, {}, {})
    return ledger([_line(conn, row, book) for row in rows], records(conn))


def records(conn: Connection) -> dict[str, Record]:
    """Detector → its verdicts, of all time."""
    found: dict[str, Record] = {}
    for each in verdicts.precision(conn):
        before = found.get(each.detector, Record(0, 0))
        found[each.detector] = Record(before.right + each.right, before.judged + each.judged)
    return found


def _line(conn: Connection, row: tuple[Any, ...], book: stops.Book) -> Line:
    ticket_id, ref, asset_id, mode, detector, version, done_at, verdict, spent, made_at, *numbers = row
    *forecast, planned, failure, currency, proof = numbers
    asset = assets.asset(conn, asset_id)
    policy = policies.of(conn, asset, mode)
    cost = moments.cost_of(Cost(planned or 0.0, failure or 0.0, currency or "EUR"), policy)
    proven = proof == "healthy" and verdict not in WRONG_VERDICTS and made_at is not None
    stop_at = _next_stop(book, asset_id, done_at, policy) if proven else None
    return Line(
        ticket_id,
        ref,
        asset_id,
        mode,
        detector,
        version,
        done_at,
        made_at,
        stop_at,
        0.0 if stop_at is None else _chance(forecast, (stop_at - made_at) / HOUR),
        cost.failure + policy.down / HOUR * policy.down_cost_h,
        spent
        if spent is not None
        else (policy.look_share * cost.planned if verdict in WRONG_VERDICTS else cost.planned),
        cost.currency,
        verdict in WRONG_VERDICTS,
        stop_at is not None and _failed(conn, asset_id, mode, done_at, stop_at),
    )


def _next_stop(book: stops.Book, asset_id: int, done_at: datetime, policy: Policy) -> datetime:
    """When the work could have been done instead: at the next stop that begins later. A machine that may always stop
    would have been looked at within the planning horizon; what lies beyond is not claimed."""
    horizon = done_at + policy.horizon
    openings = book.openings(asset_id, start=done_at, end=horizon + policy.work)
    later = [each for each in openings if each.start > done_at]
    found = next_stop(later, after=done_at, lasting=policy.work)
    return horizon if found is None else min(found.start, horizon)


def _chance(forecast: list[Any], hours: float) -> float:
    p10, p50, p90, p_fail, horizon, model, version = forecast
    made = Forecast(p10, p50, p90, p_fail or 0.0, horizon, model, version)
    return float(made.failure(np.array([max(hours, 0.0)]))[0])


def _failed(conn: Connection, asset_id: int, mode: str, done_at: datetime, stop_at: datetime) -> bool:
    row = conn.execute(FAILED_AFTER, (asset_id, mode, done_at, stop_at)).fetchone()
    return bool(row and row[0])


# -- detectors --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Detected:
    """A detector's figures over a span, by version, as ``scorer`` counts them. ``lead_h``: median to the failure that
    was recorded; ``false_month``: orders judged wrong, per machine it watched and month; ``missed``: ids of failures.
    """

    detector: str
    version: str
    orders: int
    right: int
    wrong: int
    foreseen: int
    failures: int
    lead_h: float | None
    machines: int
    false_month: float | None
    order_ids: tuple[int, ...]
    missed: tuple[int, ...]

    @property
    def precision(self) -> float | None:
        judged = self.right + self.wrong
        return self.right / judged if judged else None

    @property
    def recall(self) -> float | None:
        return self.foreseen / self.failures if self.failures else None


ORDERS: LiteralString = """
  select distinct on (t.ticket_id) l.detector, coalesce(f.version, ''), t.ticket_id, t.asset_id,
    coalesce(t.mode, l.mode), t.opened_at, coalesce(t.done_at, t.closed_at), v.verdict
  from tickets t join alarms l on l.ticket_id = t.ticket_id and l.kind = 'machine'
  left join lateral (select version from findings where asset_id = l.asset_id and detector = l.detector
    and at <= t.opened_at order by at desc, finding_id desc limit 1) f on true
  left join verdicts v on v.ticket_id = t.ticket_id and v.alarm_id = l.alarm_id
  where t.opened_at >= %(early)s and t.opened_at < %(until)s order by t.ticket_id, l.alarm_id"""
WATCHED: LiteralString = """
  select detector, version, array_agg(distinct asset_id) from findings where at < %(until)s and kind = 'machine'
  group by 1, 2 order by 1, 2"""
FAILURES: LiteralString = """
  select failure_id, asset_id, mode, failed_at from failures where failed_at >= %(since)s and failed_at < %(until)s
  order by failure_id"""


def detected(conn: Connection, *, since: datetime, until: datetime) -> list[Detected]:
    """Precision, recall against recorded failures, lead and false orders, by detector and version."""
    asked = {"since": since, "until": until, "early": since - scorer.WINDOW}
    spoken: dict[tuple[str, str], list[Order]] = defaultdict(list)
    for detector, version, ticket_id, asset_id, mode, opened_at, ended_at, verdict in conn.execute(ORDERS, asked):
        made = Order(ticket_id, asset_id, mode, opened_at, ended_at, scorer.judged_by(verdict))
        spoken[detector, version].append(made)
    failures = [Fault(*row) for row in conn.execute(FAILURES, asked)]
    site = _machines(conn)
    watched: Mapping[tuple[str, str], int] = {
        (detector, version): len(set(ids) | site) for detector, version, ids in conn.execute(WATCHED, asked)
    }
    return [
        _detected(key, spoken[key], failures, since=since, until=until, machines=watched.get(key, len(site)))
        for key in sorted({*watched, *spoken})
    ]


def _machines(conn: Connection) -> set[int]:
    """What detectors watch: machines whose samples were judged."""
    return {row[0] for row in conn.execute("select asset_id from asset_watermarks").fetchall()}


def _detected(
    key: tuple[str, str],
    spoken: Sequence[Order],
    failures: Sequence[Fault],
    *,
    since: datetime,
    until: datetime,
    machines: int,
) -> Detected:
    inside = [each for each in spoken if each.opened_at >= since]
    found, days = scorer.score(spoken, failures), (until - since) / timedelta(days=1)
    wrong = sum(each.judged is Judged.WRONG for each in inside)
    return Detected(
        *key,
        len(inside),
        sum(each.judged is Judged.RIGHT for each in inside),
        wrong,
        found.foreseen,
        found.failures,
        found.lead_h,
        machines,
        scorer.false_a_month(wrong, machines=machines, days=days),
        tuple(each.order_id for each in inside),
        found.missed,
    )
