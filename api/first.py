"""The first start of an instance: schema, site, defaults, and an administrator without a password."""

from __future__ import annotations

from psycopg import Connection

from api import identity
from core import clock, locks
from core.database import Database, migrate, refuse_unsafe_role
from core.settings import Settings
from tickets import seed

ADMIN = "admin"


def prepare(database: Database, settings: Settings) -> bool:
    """Migrate, and make the first site when there is none; True when this was the first start."""
    migrate(database.owner_dsn)
    return first_start(database, settings)


def first_start(database: Database, settings: Settings) -> bool:
    """Make the first site, its defaults, the plant clock and the administrator; False when a site exists.

    Raises UnsafeRole when row-level security would not hold.
    """
    with database.tx() as conn:
        refuse_unsafe_role(conn)
        conn.execute("select pg_advisory_xact_lock(%s)", (locks.FIRST,))
        if conn.execute("select 1 from sites limit 1").fetchone():
            return False
        site_id = make_site(conn, code=settings.site, name=settings.site_name, timezone=settings.timezone)
        if settings.instance_factor != 1.0:
            clock.set_clock(conn, plant_now=clock.wall_now(), factor=settings.instance_factor)
        identity.create_user(conn, login=ADMIN, name="Administrator", role="admin", site_id=site_id)
    with database.tx(site_id=site_id) as conn:
        seed.seed_site(conn)
    return True


def make_site(conn: Connection, *, code: str, name: str, timezone: str) -> int:
    """Insert a site; returns its id."""
    row = conn.execute(
        "insert into sites (code, name, timezone) values (%s, %s, %s) returning site_id", (code, name, timezone)
    ).fetchone()
    if row is None:
        raise RuntimeError("insert … returning gave no row")
    return int(row[0])
