"""After every error that a machine writes down: which of its components fails within a day? SQL.

    machine_events ──errors not looked at──> LogHazard of the class ──chance ≥ the component's threshold──> finding
                                                                            └─hourly again, for a day, until replaced

A class has a hazard model from LEAST_FAILURES recorded failures of machines that write errors. It is fitted anew from
the records, in the process that asks, whenever another failure was recorded; nothing of it is stored. The detector
begins in shadow on every site: what it would have opened is counted, and a person lets it (``maintenance.gate``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from psycopg import Connection

from core import log
from detectors import event_hazard
from detectors.base import Finding, FindingKind, Sentence
from detectors.event_hazard import HORIZON_H, NAME, VERSION, LogHazard
from maintenance import gate, service, store
from maintenance.gate import Standing
from maintenance.life import events
from maintenance.life.events import HOUR
from plant import assets
from plant.model import Asset
from plant.times import EPOCH

HORIZON = HORIZON_H * HOUR
REPEAT = timedelta(hours=1)  # said again while it holds: who decides wants a deviation that lasts
LEAST_FAILURES = 10
LEAST_MACHINES = 4  # with errors: thresholds are chosen on machines that the models have not seen
MOST_MACHINES = 300
MACHINES = 20  # looked at in a round
SURPRISE = 2.0  # −log10 of how often it may be wrong; the chance itself is in the forecast
logger = log.get("life")


@dataclass(frozen=True, slots=True)
class Telling:
    """A component that is said to fail within a day of ``at``, the last error after which that was so."""

    mode: str
    since: datetime
    at: datetime
    chance: float
    said_at: datetime


def look(conn: Connection, now: datetime) -> int:
    """Look at machines with new errors, and at what is to be said again; returns how many findings were told."""
    due = [assets.asset(conn, asset_id) for asset_id in _due(conn, now)]
    models = {each: model_of(conn, each, site_id=due[0].site_id, now=now) for each in {one.asset_class for one in due}}
    return sum(
        _look_at(conn, each, models[each.asset_class], now) for each in due
    )  # machines are locked in their order


def _due(conn: Connection, now: datetime) -> list[int]:
    rows = conn.execute(
        """select asset_id from (
             select asset_id, min(at) as at from machine_events where looked_at is null and kind = 'error'
             group by asset_id
             union all select asset_id, said_at from event_hazards where said_at <= %s) as waiting
           group by asset_id order by min(at) limit %s""",
        (now - REPEAT, MACHINES),
    ).fetchall()
    return sorted(row[0] for row in rows)


def _look_at(conn: Connection, asset: Asset, model: LogHazard | None, now: datetime) -> int:
    store.lock_asset(conn, asset.asset_id)
    fresh = _take(conn, asset.asset_id, now)
    standing = _standing(conn, asset.asset_id)
    [log_] = events.logs(conn, [asset], now=now)
    replaced = {code: EPOCH + at * HOUR for at, code in log_.replaced}
    said = 0
    if model is not None and any(now - at <= HORIZON for at in fresh):
        for telling in _over(model, log_, since=max(min(fresh), now - HORIZON)):
            if replaced.get(telling.mode, EPOCH) <= telling.at:
                before = standing.get(telling.mode)
                standing[telling.mode] = replace(telling, since=before.since if before else telling.at)
                said += _say(conn, asset, standing[telling.mode], at=telling.at, now=now)
    for each in list(standing.values()):
        if each.at + HORIZON <= now or replaced.get(each.mode, EPOCH) > each.at:
            del standing[each.mode]
            said += 0 if standing else _say(conn, asset, replace(each, chance=0.0), at=now, now=now)
        elif now - each.said_at >= REPEAT:
            standing[each.mode] = replace(each, said_at=now)
            said += _say(conn, asset, each, at=now, now=now)
    _keep(conn, asset.asset_id, standing)
    return said


def _over(model: LogHazard, log_: event_hazard.MachineLog, *, since: datetime) -> Iterator[Telling]:
    """Components over their thresholds at each moment from then on, in the order of time."""
    at, chances = model.hazards(log_)
    for row, moment in enumerate(at):
        when = EPOCH + float(moment) * HOUR
        if when < since:
            continue
        for mode in sorted(chances, key=lambda part: -chances[part][row]):
            if chances[mode][row] >= model.thresholds[mode]:
                yield Telling(mode, when, when, float(chances[mode][row]), when)


def _say(conn: Connection, asset: Asset, telling: Telling, *, at: datetime, now: datetime) -> int:
    """A finding; with no chance left its end."""
    _begin_in_shadow(conn, now)
    values = {"percent": 100 * telling.chance, "hours": HORIZON_H}
    finding = Finding(
        detector=NAME, version=VERSION, kind=FindingKind.MACHINE, asset_id=asset.asset_id, site_id=asset.site_id,
        failure_mode=telling.mode, started_at=telling.since, at=at, surprise=SURPRISE if telling.chance else 0.0,
        active=telling.chance > 0, contributions={}, directions={}, health=1.0 - telling.chance,
        sentence=Sentence("events", values),
    )  # fmt: skip
    service.on_finding(conn, finding, now)
    return 1


def _begin_in_shadow(conn: Connection, now: datetime) -> None:
    reason = "it reads logs: shown in shadow first"
    gate.enter(conn, NAME, VERSION, Standing.SHADOW, reason=reason, at=now)


# -- rows -------------------------------------------------------------------------------------------------------------


def _take(conn: Connection, asset_id: int, now: datetime) -> list[datetime]:
    """Times of the errors that nobody has looked at; from now on somebody has."""
    rows = conn.execute(
        """update machine_events set looked_at = %s where asset_id = %s and looked_at is null and kind = 'error'
           returning at""",
        (now, asset_id),
    )
    return [row[0] for row in rows.fetchall()]


def _standing(conn: Connection, asset_id: int) -> dict[str, Telling]:
    rows = conn.execute(
        "select mode, since, at, chance, said_at from event_hazards where asset_id = %s order by mode", (asset_id,)
    )
    return {row[0]: Telling(*row) for row in rows}


def _keep(conn: Connection, asset_id: int, standing: Mapping[str, Telling]) -> None:
    conn.execute("delete from event_hazards where asset_id = %s and mode <> all(%s)", (asset_id, list(standing)))
    for each in standing.values():
        conn.execute(
            """insert into event_hazards (asset_id, mode, since, at, chance, said_at) values (%s, %s, %s, %s, %s, %s)
               on conflict (asset_id, mode) do update set since = excluded.since, at = excluded.at,
                 chance = excluded.chance, said_at = excluded.said_at""",
            (asset_id, each.mode, each.since, each.at, each.chance, each.said_at),
        )


# -- models -----------------------------------------------------------------------------------------------------------

_HELD: dict[tuple[int, str], tuple[int, LogHazard]] = {}  # by site and class: learnt from so many failures


def model_of(conn: Connection, asset_class: str, *, site_id: int, now: datetime) -> LogHazard | None:
    """The hazard of a class by all that is recorded; None while too little is."""
    row = conn.execute(
        """select count(*), coalesce(max(failure_id), 0) from failures join assets using (asset_id)
           where class = %s and failed_at <= %s""",
        (asset_class, now),
    ).fetchone()
    count, newest = row or (0, 0)
    held = _HELD.get((site_id, asset_class))
    if held is not None and held[0] == newest:
        return held[1]
    made = _learn(conn, asset_class, now) if count >= LEAST_FAILURES else None
    if made is not None:
        _HELD[site_id, asset_class] = (newest, made)
    return made


def _learn(conn: Connection, asset_class: str, now: datetime) -> LogHazard | None:
    rows = conn.execute(
        """select a.asset_id from assets a where a.class = %s
             and exists (select 1 from machine_events e where e.asset_id = a.asset_id and e.kind = 'error')
           order by (select max(failed_at) from failures f where f.asset_id = a.asset_id) desc nulls last, a.asset_id
           limit %s""",
        (asset_class, MOST_MACHINES),
    ).fetchall()
    if len(rows) < LEAST_MACHINES:
        return None
    machines = [assets.asset(conn, asset_id) for asset_id in sorted(row[0] for row in rows)]
    made = LogHazard.fit(events.logs(conn, machines, now=now))
    logger.info("learnt from logs", asset_class=asset_class, machines=len(machines), thresholds=dict(made.thresholds))
    return made
