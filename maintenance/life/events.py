"""What machines wrote down of themselves: error codes, and which component was replaced. SQL.

machine_events ───────────────errors, replacements──┐
failures ──────────failed, and replaced therewith──┼──> a machine's log, as detectors.event_hazard reads it
orders closed "confirmed" ────────────────replaced──┘

A component is named by the failure mode of the machine's class that it fails in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import LiteralString

from psycopg import Connection

from core.errors import Invalid
from detectors.event_hazard import NEVER_H, MachineLog
from maintenance import libraries
from maintenance.life.failures import LEEWAY
from plant import assets
from plant.model import Asset
from plant.times import EPOCH

HOUR = timedelta(hours=1)
REMEMBERED = NEVER_H * HOUR
REPLACED: LiteralString = """
  select asset_id, at, code from machine_events where kind = 'replaced' and asset_id = any(%(ids)s) and at <= %(now)s
  union select asset_id, failed_at, mode from failures where asset_id = any(%(ids)s) and failed_at <= %(now)s
  union select t.asset_id, t.done_at, t.mode from tickets t where t.asset_id = any(%(ids)s) and t.status = 'closed'
    and t.verdict = 'confirmed' and t.mode is not null and t.done_at <= %(now)s
  order by 2, 3"""


class BadEvent(Invalid):
    """A line of a machine's log has a time that has passed; a component is named by a failure mode of its class."""

    code = "bad_event"


class EventKind(StrEnum):
    ERROR = "error"  # the machine wrote down an error; the code is its own
    REPLACED = "replaced"  # a component is new; the code is the failure mode that it fails in


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a machine's log."""

    at: datetime
    kind: EventKind
    code: str


@dataclass(frozen=True, slots=True)
class Event:
    """A line as it is kept."""

    event_id: int
    asset_id: int
    at: datetime
    kind: EventKind
    code: str
    told_by: str
    noted_at: datetime


def record(conn: Connection, by: str, asset_id: int, told: Sequence[Told], *, now: datetime) -> int:
    """Keep lines of a machine's log; one that is known already is passed over. Returns how many were new.

    Raises AssetNotFound, BadEvent for a time to come or a component that its class does not have; nothing is half kept.
    """
    asset = assets.asset(conn, asset_id)
    _check(conn, asset, told, now)
    rows = conn.execute(
        """insert into machine_events (asset_id, at, kind, code, told_by, noted_at)
           select %s, least(e.at, %s), e.kind, e.code, %s, %s from unnest(%s::timestamptz[], %s::text[], %s::text[])
             as e(at, kind, code)
           on conflict (asset_id, at, kind, code) do nothing returning 1""",
        (asset_id, now, by, now, [each.at for each in told], [each.kind.value for each in told],
         [each.code for each in told]),
    ).fetchall()  # fmt: skip
    return len(rows)


def listed(conn: Connection, asset_id: int, *, limit: int) -> list[Event]:
    """The newest lines of a machine's log, newest first."""
    rows = conn.execute(
        """select event_id, asset_id, at, kind, code, told_by, noted_at from machine_events where asset_id = %s
           order by at desc, event_id desc limit %s""",
        (asset_id, limit),
    )
    return [Event(*(*row[:3], EventKind(row[3]), *row[4:])) for row in rows]


def logs(conn: Connection, machines: Sequence[Asset], *, now: datetime) -> list[MachineLog]:
    """The log of each machine up to ``now``, in hours since 1970, with the failures that were recorded."""
    ids = [each.asset_id for each in machines]
    values = {"ids": ids, "now": now, "since": now - REMEMBERED}
    errors = _by_asset(
        conn,
        """select asset_id, at, code from machine_events where kind = 'error' and asset_id = any(%(ids)s)
             and at <= %(now)s and at > %(since)s order by at, code""",
        values,
    )
    replaced = _by_asset(conn, REPLACED, values)
    failed = _by_asset(
        conn,
        """select asset_id, failed_at, mode from failures where asset_id = any(%(ids)s) and failed_at <= %(now)s
           order by failed_at, mode""",
        values,
    )
    parts = (errors, replaced, failed)
    return [
        MachineLog(each.code, each.asset_class, 0.0, *(part.get(each.asset_id, []) for part in parts))
        for each in machines
    ]


def hours(at: datetime) -> float:
    """Hours since 1970."""
    return (at - EPOCH) / HOUR


def _by_asset(conn: Connection, query: LiteralString, values: dict[str, object]) -> dict[int, list[tuple[float, str]]]:
    found: dict[int, list[tuple[float, str]]] = {}
    for asset_id, at, code in conn.execute(query, values):
        found.setdefault(asset_id, []).append((hours(at), code))
    return found


def _check(conn: Connection, asset: Asset, told: Sequence[Told], now: datetime) -> None:
    if any(each.at > now + LEEWAY for each in told):
        raise BadEvent("What a machine writes down has happened: one of these times has not come yet.")
    known = {each.code for each in libraries.modes(conn, asset.asset_class)}
    strange = sorted({each.code for each in told if each.kind is EventKind.REPLACED} - known)
    if strange:
        raise BadEvent(
            f"The class {asset.asset_class} has no failure mode {strange[0]!r}: "
            "name the mode in which the component fails."
        )
