"""SQL of what planning asks beside tickets and shifts: certificates, absences, on call, places, windows, needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg import sql as _sql

from core.errors import Invalid, NotFound
from plant import stops
from plant.model import Window
from plant.windows import Rule
from tickets.rows import one


@dataclass(frozen=True, slots=True)
class Settings:
    """How a site dispatches."""

    routing: str = "automatic"
    frozen_hours: float = 2.0  # what starts within so many hours is not moved
    horizon_days: int = 5
    travel_m_s: float = 4.0
    kits_at_open: bool = False
    replanning: str = "propose"  # after a surprise: off | propose | adopt


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of somebody or something: an absence, an on-call duty, a production window."""

    ident: int
    owner_id: int  # engineer or asset
    begins: datetime
    ends: datetime
    kind: str
    note: str


@dataclass(frozen=True, slots=True)
class Certificate:
    engineer_id: int
    code: str
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Needs:
    """What planning an order needs beyond the ticket."""

    duration_s: int = 3600
    crew: int = 1
    level: int = 1
    certificates: tuple[str, ...] = ()
    after: tuple[int, ...] = ()
    ready_at: datetime | None = None


SHAPES: dict[str, LiteralString] = {
    "absences": "select absence_id, engineer_id, begins, ends, kind, note from absences",
    "on_call": "select on_call_id, engineer_id, begins, ends, 'on_call', '' from on_call",
    "production_windows": "select window_id, asset_id, begins, ends, kind, note from production_windows",
}
KEYS = {"absences": "absence_id", "on_call": "on_call_id", "production_windows": "window_id"}
OWNERS = {"absences": "engineer", "on_call": "engineer", "production_windows": "asset"}


def settings(conn: Connection) -> Settings:
    """The site's, or the defaults."""
    row = conn.execute(
        "select routing, frozen_hours, horizon_days, travel_m_s, kits_at_open, replanning from dispatch_settings"
    ).fetchone()
    return Settings(*row) if row else Settings()


def set_settings(conn: Connection, wanted: Settings) -> None:
    """Replace the site's."""
    conn.execute(
        """insert into dispatch_settings (routing, frozen_hours, horizon_days, travel_m_s, kits_at_open, replanning)
           values (%s, %s, %s, %s, %s, %s) on conflict (site_id) do update set routing = excluded.routing,
             frozen_hours = excluded.frozen_hours, horizon_days = excluded.horizon_days,
             travel_m_s = excluded.travel_m_s, kits_at_open = excluded.kits_at_open,
             replanning = excluded.replanning""",
        (
            wanted.routing,
            wanted.frozen_hours,
            wanted.horizon_days,
            wanted.travel_m_s,
            wanted.kits_at_open,
            wanted.replanning,
        ),
    )


def stretches(conn: Connection, table: str, *, begins: datetime, ends: datetime) -> list[Stretch]:
    """Those of one table that touch the time, by start."""
    query = _sql.SQL(SHAPES[table] + " where ends > %s and begins < %s order by begins")
    return [Stretch(*row) for row in conn.execute(query, (begins, ends))]


def add(conn: Connection, table: str, *, owner_id: int, begins: datetime, ends: datetime, **more: Any) -> int:
    """A new one; returns its id. Raises Invalid, NotFound."""
    if table == "production_windows":
        rule = Rule(owner_id, Window(begins, ends), note=more.get("note", ""))
        return stops.put(conn, rule).window_id
    if ends <= begins:
        raise Invalid("It has to end after it begins.")
    _refuse_stranger(conn, OWNERS[table], owner_id)
    values = {f"{OWNERS[table]}_id": owner_id, "begins": begins, "ends": ends, **more}
    (ident,) = one(
        conn,
        _sql.SQL("insert into {} ({}) values ({}) returning {}").format(
            _sql.Identifier(table),
            _sql.SQL(", ").join(_sql.Identifier(name) for name in values),
            _sql.SQL(", ").join(_sql.Placeholder() for _ in values),
            _sql.Identifier(KEYS[table]),
        ),
        list(values.values()),
    )
    return int(ident)


def remove(conn: Connection, table: str, ident: int) -> None:
    """Take one back. Raises NotFound."""
    query = _sql.SQL("delete from {} where {} = %s").format(_sql.Identifier(table), _sql.Identifier(KEYS[table]))
    if conn.execute(query, (ident,)).rowcount == 0:
        raise NotFound("There is no such entry on this site.")


def certificates(conn: Connection) -> list[Certificate]:
    """Everybody's, the first to end first."""
    rows = conn.execute(
        """select engineer_id, code, valid_until from engineer_certificates
           order by valid_until nulls last, engineer_id, code"""
    )
    return [Certificate(*row) for row in rows]


def set_certificates(conn: Connection, engineer_id: int, held: Sequence[tuple[str, datetime | None]]) -> None:
    """Replace an engineer's certificates. Raises NotFound."""
    _refuse_stranger(conn, "engineer", engineer_id)
    conn.execute("delete from engineer_certificates where engineer_id = %s", (engineer_id,))
    for code, until in dict(held).items():
        conn.execute(
            "insert into engineer_certificates (engineer_id, code, valid_until) values (%s, %s, %s)",
            (engineer_id, code, until),
        )


def set_home(conn: Connection, engineer_id: int, *, x_m: float, y_m: float) -> None:
    """Where an engineer's day begins. Raises NotFound."""
    _refuse_stranger(conn, "engineer", engineer_id)
    conn.execute("update engineers set x_m = %s, y_m = %s where engineer_id = %s", (x_m, y_m, engineer_id))


def set_place(conn: Connection, asset_id: int, *, x_m: float, y_m: float) -> None:
    """Where a machine stands. Raises NotFound."""
    _refuse_stranger(conn, "asset", asset_id)
    conn.execute(
        """insert into asset_places (asset_id, x_m, y_m) values (%s, %s, %s)
           on conflict (asset_id) do update set x_m = excluded.x_m, y_m = excluded.y_m""",
        (asset_id, x_m, y_m),
    )


def needs(conn: Connection, ticket_id: int) -> Needs:
    """What planning this order needs; the defaults where nobody has said."""
    row = conn.execute(
        "select duration_s, crew, level, certificates, after, ready_at from job_needs where ticket_id = %s",
        (ticket_id,),
    ).fetchone()
    return Needs(row[0], row[1], row[2], tuple(row[3]), tuple(row[4]), row[5]) if row else Needs()


def set_needs(conn: Connection, ticket_id: int, wanted: Needs) -> None:
    """Say what planning this order needs. Raises NotFound, Invalid for orders that would wait in a circle."""
    _refuse_stranger(conn, "ticket", ticket_id)
    for other in wanted.after:
        _refuse_stranger(conn, "ticket", other)
    conn.execute(
        """insert into job_needs (ticket_id, duration_s, crew, level, certificates, after, ready_at)
           values (%s, %s, %s, %s, %s, %s, %s) on conflict (ticket_id) do update set duration_s = excluded.duration_s,
             crew = excluded.crew, level = excluded.level, certificates = excluded.certificates,
             after = excluded.after, ready_at = excluded.ready_at""",
        (
            ticket_id,
            wanted.duration_s,
            wanted.crew,
            wanted.level,
            list(wanted.certificates),
            list(wanted.after),
            wanted.ready_at,
        ),
    )
    if _waits_for_itself(conn, ticket_id):
        raise Invalid("These orders would wait for one another in a circle.")


def _waits_for_itself(conn: Connection, ticket_id: int) -> bool:
    row = conn.execute(
        """with recursive before(ticket_id) as (
             select unnest(after) from job_needs where ticket_id = %(id)s
             union select unnest(n.after) from job_needs n join before b on b.ticket_id = n.ticket_id)
           select 1 from before where ticket_id = %(id)s""",
        {"id": ticket_id},
    ).fetchone()
    return row is not None


def _refuse_stranger(conn: Connection, table: str, ident: int) -> None:
    """A foreign key looks past the site's policy, so ids are looked up through it first."""
    query = _sql.SQL("select 1 from {} where {} = %s").format(
        _sql.Identifier(f"{table}s"), _sql.Identifier(f"{table}_id")
    )
    one(conn, query, (ident,), missing=f"There is no {table} {ident} on this site.")
