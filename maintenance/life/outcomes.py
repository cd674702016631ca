"""Every prediction is scored against what happened to its machine. SQL; the only writer of ``prediction_outcomes``.

failure recorded ─────────────> failed (of another mode: censored)
order closed "confirmed" ─────> found: it lived at least until the repair
order cancelled, or otherwise > censored
alarm gone, never ordered ────> censored
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection

from maintenance.life import scoring
from maintenance.life.scoring import Outcome, Places
from maintenance.model import UNKNOWN, Forecast
from tickets.model import CANCELLED, Ticket, Verdict

HOUR = timedelta(hours=1)
SETTLED = timedelta(hours=24)  # an alarm that comes back sooner is the same alarm
BATCH = 2000  # predictions settled in a round
SPEAKERS = 20  # of what a model said of one life, evenly over it: its record is read from these …
LIVES = 200  # … and from so many lives, the newest
PREDICTION: LiteralString = """select p.prediction_id, p.alarm_id, p.asset_id, a.class, p.mode, p.made_at,
  l.cleared_at, p.p10_h, p.p50_h, p.p90_h, p.p_fail_horizon, p.horizon_h, p.model, p.version, p.base_h
  from predictions p join assets a using (asset_id) join alarms l using (alarm_id) """
WAITING: LiteralString = "where not p.scored and p.p50_h is not null "
INSERT: LiteralString = """
  insert into prediction_outcomes (prediction_id, asset_id, asset_class, mode, model, version, alarm_id, outcome,
    ended_at, lived_h, held, pinball_h, place, speaks, failure_id, ticket_id, scored_at)
  values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
  on conflict (prediction_id) do update set outcome = excluded.outcome, ended_at = excluded.ended_at,
    lived_h = excluded.lived_h, held = excluded.held, pinball_h = excluded.pinball_h, place = excluded.place,
    speaks = excluded.speaks, failure_id = excluded.failure_id, scored_at = excluded.scored_at"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept prediction with what it said."""

    prediction_id: int
    alarm_id: int
    asset_id: int
    asset_class: str
    mode: str
    made_at: datetime
    cleared_at: datetime | None  # when its alarm was
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a prediction."""

    kept: Kept
    outcome: Outcome
    ended_at: datetime
    failure_id: int | None = None
    ticket_id: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """How a model did on a class: of ``judged`` predictions ``held`` were right (inside P10..P90).

    ``coverage`` and ``pinball_h`` count every failure once, however often it was foretold; None before the first.
    """

    model: str
    asset_class: str
    predictions: int
    waiting: int
    judged: int
    held: int
    failures: int
    found: int
    coverage: float | None
    pinball_h: float | None

    @property
    def corrected(self) -> bool:
        """Whether there are failures enough for its forecasts to be moved by its record."""
        return self.failures >= scoring.LEAST_LIVES


def keep_base(conn: Connection, prediction_id: int, forecast: Forecast | None) -> None:
    """Keep what the model itself said beside the corrected numbers."""
    if forecast is not None and forecast.base_h is not None:
        statement = "update predictions set base_h = %s where prediction_id = %s"
        conn.execute(statement, (list(forecast.base_h), prediction_id))


def of_failure(
    conn: Connection, asset_id: int, *, mode: str, ended_at: datetime, failure_id: int, now: datetime
) -> int:
    """Score what was said of the life that ended then; also what had been settled later than the failure was."""
    rows = _predictions(
        conn,
        """left join prediction_outcomes o using (prediction_id)
           where p.p50_h is not null and p.asset_id = %s and p.made_at <= %s
             and (not p.scored or o.outcome <> 'failed' and o.ended_at >= %s) order by p.made_at, p.prediction_id""",
        (asset_id, ended_at, ended_at),
    )
    ends = [Ended(kept, _of(kept, mode), ended_at, failure_id) for kept in rows]
    _keep(conn, ends, speaks=_speakers(ends), now=now)
    return len(rows)


def on_closed(conn: Connection, ticket: Ticket, now: datetime) -> None:
    """Told by the ticket core when an order is closed or cancelled. Safe to be told twice."""
    right = ticket.status != CANCELLED and ticket.verdict is Verdict.CONFIRMED
    chosen: LiteralString = "and p.alarm_id in (select alarm_id from alarms where ticket_id = %s)"
    rows = _predictions(conn, WAITING + chosen, (ticket.ticket_id,))
    outcome = Outcome.FOUND if right else Outcome.CENSORED
    ended_at = ticket.done_at or now
    _keep(conn, [Ended(kept, outcome, ended_at, ticket_id=ticket.ticket_id) for kept in rows], now=now)


def settle(conn: Connection, now: datetime) -> int:
    """Censor what was said of deviations that went away without an order; returns how many."""
    rows = _predictions(
        conn,
        WAITING + "and l.ticket_id is null and l.cleared_at < %s order by p.prediction_id limit %s",
        (now - SETTLED, BATCH),
    )
    _keep(conn, [Ended(kept, Outcome.CENSORED, kept.cleared_at or now) for kept in rows], now=now)
    return len(rows)


def places(conn: Connection, *, model: str, asset_class: str) -> Places:
    """Where this class's failures fell in what the model had said of them, any version: SPEAKERS of each of the newest
    LIVES, so that reading it costs the same after many years."""
    rows = conn.execute(
        """select failure_id, place from prediction_outcomes
           where speaks and model = %s and asset_class = %s and place is not null
           order by failure_id desc limit %s""",
        (model, asset_class, LIVES * SPEAKERS),
    ).fetchall()
    return scoring.places(rows)


def failed_alarms(conn: Connection, *, asset_class: str, mode: str, most: int = 30) -> list[tuple[int, datetime]]:
    """(alarm id, when its machine failed) of the newest failures that alarms had spoken of."""
    return conn.execute(
        """select alarm_id, max(ended_at) from prediction_outcomes
           where asset_class = %s and mode = %s and outcome = 'failed'
           group by alarm_id order by max(ended_at) desc, alarm_id limit %s""",
        (asset_class, mode, most),
    ).fetchall()


def records(conn: Connection, *, model: str | None = None, asset_class: str | None = None) -> list[Record]:
    """The record of every model on every class it spoke about, by class and model."""
    rows = conn.execute(
        """with said as (
             select p.model, a.class, count(*) as predictions,
               count(*) filter (where o.prediction_id is null) as waiting,
               count(o.held) as judged, count(*) filter (where o.held) as held,
               count(distinct o.failure_id) filter (where o.outcome = 'failed') as failures,
               count(distinct o.ticket_id) filter (where o.outcome = 'found') as found
             from predictions p join assets a using (asset_id) left join prediction_outcomes o using (prediction_id)
             where p.p50_h is not null and (%(model)s::text is null or p.model = %(model)s)
               and (%(class)s::text is null or a.class = %(class)s) group by p.model, a.class),
           lives as (
             select model, asset_class, avg(held::int) as held, avg(pinball_h) as pinball_h from prediction_outcomes
             where outcome = 'failed' group by model, asset_class, failure_id)
           select s.model, s.class, predictions, waiting, judged, s.held, failures, found, avg(l.held)::float8,
             avg(l.pinball_h)
           from said s left join lives l on l.model = s.model and l.asset_class = s.class
           group by s.model, s.class, predictions, waiting, judged, s.held, failures, found
           order by s.class, s.model""",
        {"model": model, "class": asset_class},
    ).fetchall()
    return [Record(*row) for row in rows]


def _predictions(conn: Connection, chosen: LiteralString, values: Sequence[Any]) -> list[Kept]:
    rows = conn.execute(PREDICTION + chosen, values).fetchall()
    return [Kept(*(*row[:7], _forecast(row[7:]))) for row in rows]


def _forecast(row: Sequence[Any]) -> Forecast:
    base = tuple(row[7]) if row[7] else None
    return Forecast(row[0], row[1], row[2], row[3], row[4], row[5], row[6], base_h=base)


def _of(kept: Kept, mode: str) -> Outcome:
    same = kept.mode == mode or UNKNOWN in (kept.mode, mode)
    return Outcome.FAILED if same else Outcome.CENSORED


def _speakers(ends: Iterable[Ended]) -> frozenset[int]:
    """Ids of at most SPEAKERS predictions of each model, evenly over the life, which failed; oldest first. Pure."""
    said: dict[str, list[int]] = defaultdict(list)
    for each in ends:
        if each.outcome is Outcome.FAILED:
            said[each.kept.forecast.model].append(each.kept.prediction_id)
    return frozenset(one for ids in said.values() for one in evenly(ids, most=SPEAKERS))


def evenly(ids: Sequence[int], *, most: int) -> list[int]:
    """At most so many of them, the first and the last among them, evenly between. Pure.

    >>> evenly([1, 2, 3, 4, 5, 6, 7], most=3)
    [1, 4, 7]
    """
    if len(ids) <= most:
        return list(ids)
    return [ids[round(number * (len(ids) - 1) / (most - 1))] for number in range(most)]


def _keep(conn: Connection, ends: Sequence[Ended], *, now: datetime, speaks: frozenset[int] = frozenset()) -> None:
    """Write them all down, in two statements however many there are."""
    if not ends:
        return
    with conn.cursor() as cursor:
        cursor.executemany(INSERT, [_row(each, each.kept.prediction_id in speaks, now) for each in ends])
    ids = [each.kept.prediction_id for each in ends]
    conn.execute("update predictions set scored = true where prediction_id = any(%s) and not scored", (ids,))


def _row(ended: Ended, speaks: bool, now: datetime) -> tuple[Any, ...]:
    kept = ended.kept
    lived_h = max((ended.ended_at - kept.made_at) / HOUR, 0.0)
    found = scoring.score(kept.forecast, lived_h=lived_h, outcome=ended.outcome)
    return (
        kept.prediction_id, kept.asset_id, kept.asset_class, kept.mode, kept.forecast.model, kept.forecast.version,
        kept.alarm_id, ended.outcome.value, ended.ended_at, lived_h, found.held, found.pinball_h, found.place, speaks,
        ended.failure_id, ended.ticket_id, now,
    )  # fmt: skip
