"""What people declare about machines and their alarms: lock-outs, start-ups, alarms out of service, what feeds what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from core import locks
from core.errors import NotFound
from maintenance.errors import BadFeed, IllegalAlarmMove
from plant import assets


def begin(
    conn: Connection, by: str, asset_id: int, *, kind: str, reason: str, since: datetime, until: datetime | None
) -> int:
    """A lock-out or start-up of an asset and all below it; returns its id. Raises AssetNotFound, IllegalAlarmMove."""
    assets.asset(conn, asset_id)
    if until is not None and until <= since:
        raise IllegalAlarmMove("It ends after it begins, or when somebody ends it.")
    row = conn.execute(
        """insert into asset_works (asset_id, kind, reason, by_whom, since, until) values (%s, %s, %s, %s, %s, %s)
           returning work_id""",
        (asset_id, kind, reason, by, since, until),
    ).fetchone()
    return _id(row)


def end(conn: Connection, by: str, work_id: int, *, now: datetime) -> None:
    """The lock is off, the machine runs as usual. Raises NotFound."""
    done = conn.execute(
        """update asset_works set until = greatest(%s, since + interval '1 microsecond'), ended_by = %s
           where work_id = %s and (until is null or until > %s)""",
        (now, by, work_id, now),
    )
    if done.rowcount == 0:
        raise NotFound(f"There is no lock-out or start-up {work_id} on this site that still goes on.")


def going_on(conn: Connection, now: datetime) -> list[dict[str, Any]]:
    """Lock-outs and start-ups that go on or are announced."""
    return _rows(
        conn,
        """select w.work_id, w.asset_id, a.code as asset_code, w.kind, w.reason, w.by_whom, w.since, w.until
           from asset_works w join assets a using (asset_id)
           where w.until is null or w.until > %s order by w.work_id""",
        (now,),
    )


def take_out(conn: Connection, by: str, asset_id: int, *, mode: str, reason: str, now: datetime) -> int:
    """Take an asset's alarms (of a mode, '' = all) out of service; returns the id. Raises AssetNotFound,
    IllegalAlarmMove when they are."""
    assets.asset(conn, asset_id)
    row = conn.execute(
        """insert into alarms_out (asset_id, mode, reason, by_whom, since) values (%s, %s, %s, %s, %s)
           on conflict (site_id, asset_id, mode) where returned_at is null do nothing returning out_id""",
        (asset_id, mode, reason, by, now),
    ).fetchone()
    if row is None:
        raise IllegalAlarmMove("These alarms are out of service already.")
    return _id(row)


def put_back(conn: Connection, by: str, out_id: int, *, now: datetime) -> None:
    """Return them to service. Raises NotFound."""
    done = conn.execute(
        "update alarms_out set returned_by = %s, returned_at = %s where out_id = %s and returned_at is null",
        (by, now, out_id),
    )
    if done.rowcount == 0:
        raise NotFound(f"There is nothing out of service under {out_id} on this site.")


def out(conn: Connection) -> list[dict[str, Any]]:
    """What is out of service, oldest first."""
    return _rows(
        conn,
        """select o.out_id, o.asset_id, a.code as asset_code, o.mode, o.reason, o.by_whom, o.since from alarms_out o
           join assets a using (asset_id) where o.returned_at is null order by o.since, o.out_id""",
        (),
    )


def feed(conn: Connection, asset_id: int, feeder_id: int, medium: str) -> None:
    """Declare that an asset and all below it is fed by another. Raises AssetNotFound, BadFeed for a cycle."""
    assets.asset(conn, asset_id)
    assets.asset(conn, feeder_id)
    if asset_id == feeder_id:
        raise BadFeed("Nothing feeds itself.")
    conn.execute("select pg_advisory_xact_lock(%s, current_site())", (locks.FEEDS,))  # two at once see no circle
    if conn.execute(CYCLE, {"asset": asset_id, "feeder": feeder_id}).fetchone():
        raise BadFeed("The feeder is fed by this asset already: one of the two is wrong.")
    conn.execute(
        "insert into asset_feeds (asset_id, feeder_id, medium) values (%s, %s, %s) on conflict do nothing",
        (asset_id, feeder_id, medium),
    )


def unfeed(conn: Connection, asset_id: int, feeder_id: int, medium: str) -> None:
    """Take it back. Raises NotFound."""
    gone = conn.execute(
        "delete from asset_feeds where asset_id = %s and feeder_id = %s and medium = %s", (asset_id, feeder_id, medium)
    )
    if gone.rowcount == 0:
        raise NotFound("There is no such feed on this site.")


def feeds(conn: Connection) -> list[dict[str, Any]]:
    """What feeds what, by code."""
    return _rows(
        conn,
        """select f.asset_id, a.code as asset_code, f.feeder_id, b.code as feeder_code, f.medium from asset_feeds f
           join assets a on a.asset_id = f.asset_id join assets b on b.asset_id = f.feeder_id
           order by b.code, a.code, f.medium""",
        (),
    )


def _rows(conn: Connection, query: Any, params: tuple[Any, ...]) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, params).fetchall()


def _id(row: tuple[Any, ...] | None) -> int:
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    return int(row[0])


CYCLE = """
  with recursive fed as (
    select f.asset_id from asset_feeds f where f.feeder_id = %(asset)s
    union select f.asset_id from asset_feeds f join fed on f.feeder_id = fed.asset_id)
  select 1 from fed where asset_id = %(feeder)s"""
