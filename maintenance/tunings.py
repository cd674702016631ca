"""How alarms of a class and signal are tuned: rows over the site's defaults, the most special word counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from core.errors import NotFound
from maintenance.alarms import DEFAULT, Tuning
from maintenance.errors import StaleTuning
from maintenance.model import Deviation
from plant.model import Signal

SECONDS = ("on_delay_s", "off_delay_s", "fleeting_s")
FIELDS = ("dead_band", *SECONDS, "chatter_per_minute", "stale_h", "tell_severity")


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of an asset class and a signal code ('' = any); what is not said is not in ``values``."""

    asset_class: str
    signal: str
    values: Mapping[str, float]


def of(conn: Connection, asset_class: str, signals: Sequence[Signal], evidence: Mapping[int, Deviation]) -> Tuning:
    """The tuning of an alarm: of its class and the signal that says most."""
    first = max(evidence, key=lambda signal_id: evidence[signal_id].share, default=None)
    code = next((each.code for each in signals if each.signal_id == first), "")
    return resolve(rows(conn), asset_class=asset_class, signal=code)


def rows(conn: Connection) -> list[Row]:
    """What the site says."""
    return [
        Row(each["asset_class"], each["signal"], {name: each[name] for name in FIELDS if each[name] is not None})
        for each in listed(conn)
    ]


def resolve(said: Sequence[Row], *, asset_class: str, signal: str) -> Tuning:
    """Site defaults, then the class, then the signal, then both: each says what it says. Pure."""
    chosen: dict[str, float] = {}
    for row in sorted(said, key=lambda row: (row.signal != "", row.asset_class != "")):
        if row.asset_class in ("", asset_class) and row.signal in ("", signal):
            chosen |= row.values
    return _tuning(chosen)


def listed(conn: Connection) -> list[dict[str, Any]]:
    """Every row as kept, the site's default first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("select * from alarm_tunings order by asset_class, signal").fetchall()


def save(
    conn: Connection,
    by: str,
    *,
    asset_class: str,
    signal: str,
    values: Mapping[str, float | None],
    version: int | None,
    now: datetime,
) -> dict[str, Any]:
    """Say it of a class and signal; ``version`` as it was read, None for one that is new. Raises StaleTuning."""
    row = {"class": asset_class, "signal": signal, "by": by, "now": now, "version": version}
    row |= {name: values.get(name) for name in FIELDS}
    with conn.cursor(row_factory=dict_row) as cursor:
        kept = cursor.execute(SAVE, row).fetchone()
    if kept is None:
        raise StaleTuning
    return kept


def drop(conn: Connection, tuning_id: int) -> None:
    """The more general row counts again. Raises NotFound."""
    if conn.execute("delete from alarm_tunings where tuning_id = %s", (tuning_id,)).rowcount == 0:
        raise NotFound(f"There is no alarm tuning {tuning_id} on this site.")


def _tuning(values: Mapping[str, float]) -> Tuning:
    return Tuning(
        dead_band=values.get("dead_band", DEFAULT.dead_band),
        on_delay=_seconds(values, "on_delay_s", DEFAULT.on_delay),
        off_delay=_seconds(values, "off_delay_s", DEFAULT.off_delay),
        chatter_per_minute=int(values.get("chatter_per_minute", DEFAULT.chatter_per_minute)),
        fleeting=_seconds(values, "fleeting_s", DEFAULT.fleeting),
        stale=timedelta(hours=values["stale_h"]) if "stale_h" in values else DEFAULT.stale,
        tell_severity=int(values.get("tell_severity", DEFAULT.tell_severity)),
    )


def _seconds(values: Mapping[str, float], name: str, usual: timedelta) -> timedelta:
    return timedelta(seconds=values[name]) if name in values else usual


SAVE = """
  insert into alarm_tunings as t (asset_class, signal, dead_band, on_delay_s, off_delay_s, fleeting_s,
    chatter_per_minute, stale_h, tell_severity, changed_by, changed_at)
  values (%(class)s, %(signal)s, %(dead_band)s, %(on_delay_s)s, %(off_delay_s)s, %(fleeting_s)s,
    %(chatter_per_minute)s, %(stale_h)s, %(tell_severity)s, %(by)s, %(now)s)
  on conflict (site_id, asset_class, signal) do update set dead_band = excluded.dead_band,
    on_delay_s = excluded.on_delay_s, off_delay_s = excluded.off_delay_s, fleeting_s = excluded.fleeting_s,
    chatter_per_minute = excluded.chatter_per_minute, stale_h = excluded.stale_h,
    tell_severity = excluded.tell_severity, changed_by = excluded.changed_by, changed_at = excluded.changed_at,
    version = t.version + 1
  where t.version = %(version)s returning *"""
