"""A second database in the same server: the schema from the migrations, the master data of one site, nothing else.

    with opened(live, admin_dsn, site_id) as database:      dropped at the end, whatever happens
        …

The live database is only read, and by the application's role. Making a database takes a superuser's log-in.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from core.database import Database, migrate, use_site
from maintenance.errors import NoSandbox

PREFIX = "millwright_replay_"
KEPT = "kept"  # the database's comment: a later replay leaves it alone
TIMEOUT_S = 600.0
COUNT = itertools.count(1)

# What a plant is, as it is now; everything else is what happened there. In an order in which foreign keys hold.
MASTERS: Sequence[str] = (
    "sites", "users", "memberships", "assets", "signals", "bindings", "retention_tiers", "asset_feeds", "libraries",
    "alarm_tunings", "suppress_rules", "asset_works", "maintenance_policies", "maintenance_policy_versions",
    "life_models", "gate_standings", "alarm_rules", "alarm_rule_versions", "asked_alarm_rates", "calendars",
    "sla_policies", "lifecycles", "teams", "engineers", "shifts", "team_members", "asset_teams",
    "engineer_certificates", "absences", "asset_places", "production_windows", "window_overrides", "stop_costs",
    "job_needs", "dispatch_settings", "on_call", "stores", "parts", "stock_levels", "job_plans", "field_definitions",
    "failure_codes", "checklist_templates", "guide_settings", "rules",
)  # fmt: skip


class Keeping(Enum):
    """What becomes of the sandbox at the end."""

    DROP = "drop"
    KEEP = "keep"


@contextmanager
def opened(live: Database, admin_dsn: str, site_id: int, *, keeping: Keeping = Keeping.DROP) -> Iterator[Database]:
    """The sandbox with the site's master data. Raises NoSandbox."""
    name = f"{PREFIX}{os.getpid()}_{next(COUNT)}"
    with _admin(admin_dsn) as admin:
        _sweep(admin)
        create = sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(_owner(live)))
        made = None
        try:
            admin.execute(create)  # Ctrl-C may come when it is done and not yet said
            made = _database(live, name)
            migrate(made.owner_dsn)
            copy_masters(live, make_conninfo(admin_dsn, dbname=name), site_id)
            yield made
        finally:
            if made is not None:
                made.close()
            if made is not None and keeping is Keeping.KEEP:
                admin.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(KEPT)))
            else:
                _drop(admin, name)


def name_of(database: Database) -> str:
    """The database's name."""
    return str(psycopg.conninfo.conninfo_to_dict(database.app_dsn)["dbname"])


def copy_masters(live: Database, admin_dsn: str, site_id: int) -> int:
    """Copy the site's master data; returns the number of tables. Triggers and foreign keys rest meanwhile."""
    with live.tx(site_id=site_id) as source, psycopg.connect(admin_dsn, autocommit=True) as target:
        target.execute("set session_replication_role = replica")
        use_site(source, site_id)
        for table in MASTERS:
            _copy(source, target, table, site_id)
        target.execute("update plant_clock set (wall_anchor, plant_anchor, factor) = (now(), now(), 1)")
        return len(MASTERS)


def _copy(source: Connection, target: Connection, table: str, site_id: int) -> None:
    columns, identity = _columns(source, table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    where = sql.SQL("where site_id = {}").format(sql.Literal(site_id)) if "site_id" in columns else sql.SQL("")
    out = sql.SQL("copy (select {} from {} {}) to stdout (format binary)").format(names, sql.Identifier(table), where)
    into = sql.SQL("copy {} ({}) from stdin (format binary)").format(sql.Identifier(table), names)
    target.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))  # what a migration put there
    with source.cursor().copy(out) as reading, target.cursor().copy(into) as writing:
        for block in reading:
            writing.write(block)
    if identity:
        target.execute(
            sql.SQL("select setval(pg_get_serial_sequence({}, {}), coalesce((select max({}) from {}), 0) + 1)").format(
                sql.Literal(table), sql.Literal(identity), sql.Identifier(identity), sql.Identifier(table)
            )
        )


def _columns(conn: Connection, table: str) -> tuple[list[str], str]:
    """Its columns, and the one that numbers itself ('' = none)."""
    rows = conn.execute(
        """select attname, attidentity::text from pg_attribute where attrelid = %s::regclass and attnum > 0
           and not attisdropped and attgenerated = '' and has_column_privilege(attrelid, attnum, 'select')
           order by attnum""",
        (table,),
    ).fetchall()
    return [name for name, _ in rows], next((name for name, kind in rows if kind), "")


# -- the server -------------------------------------------------------------------------------------------------------


def _admin(dsn: str) -> Connection:
    conn = psycopg.connect(dsn, autocommit=True)
    row = conn.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    if not (row and row[0]):
        conn.close()
        raise NoSandbox(
            "A replay makes a database of its own, for which the server wants a superuser's log-in. "
            "Give one in MILLWRIGHT_DATABASE_OWNER_URL for this command."
        )
    return conn


def _owner(live: Database) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(live.owner_dsn)["user"])


def _database(live: Database, name: str) -> Database:
    app, ingest, owner = (make_conninfo(dsn, dbname=name) for dsn in (live.app_dsn, live.ingest_dsn, live.owner_dsn))
    return Database(app, ingest, owner, statement_timeout_s=TIMEOUT_S, max_size=3)


def _sweep(admin: Connection) -> None:
    """Drop what a replay that was killed left behind: sandboxes that nobody uses and nobody wanted to keep."""
    rows = admin.execute(
        """select datname from pg_database d where datname like %s
             and shobj_description(d.oid, 'pg_database') is distinct from %s
             and not exists (select 1 from pg_stat_activity a where a.datname = d.datname)""",
        (PREFIX.replace("_", r"\_") + "%", KEPT),
    ).fetchall()
    for (name,) in rows:
        pid = name.removeprefix(PREFIX).split("_")[0]
        if not (pid.isdigit() and Path(f"/proc/{pid}").exists()):
            _drop(admin, name)


def _drop(admin: Connection, name: str) -> None:
    admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
