"""Panels read one site's views, whatever SQL they send, and nothing else; the provisioned dashboard's queries run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from psycopg import Connection, errors, sql

from core.clock import wall_now
from core.database import Database
from core.embedded import EmbeddedServer
from tests.external_server import ExternalServer
from tests.integration import tickets_world
from tests.integration.tickets_world import order, walk

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
READER, PASSWORD = "panel_test_reader", "a long enough password"
VIEWS = ("signal_minutes", "alarms", "tickets", "sla", "work_days")


@pytest.fixture
def reader(
    server: EmbeddedServer | ExternalServer, database: Database, site: int, superuser: Connection
) -> Iterator[Connection]:
    """Two sites with a signal, an alarm and orders; a connection of the first one's reader."""
    with database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values ('far', 'Far') returning site_id").fetchone()
        assert row
    for each in (site, row[0]):
        _fill(database, superuser, each)
        superuser.execute("update users set login = login || user_id")
    _script(superuser)
    _script(superuser)  # the same again
    (code,) = superuser.execute("select code from sites where site_id = %s", (site,)).fetchone() or ("",)
    superuser.execute("select panels.admit(%s, %s, %s)", (READER, PASSWORD, code))
    name = psycopg.conninfo.conninfo_to_dict(database.app_dsn)["dbname"]
    address = psycopg.conninfo.make_conninfo(server.dsn("postgres", database=str(name)), user=READER, password=PASSWORD)
    try:
        with psycopg.connect(address, autocommit=True) as conn:
            yield conn
    finally:
        superuser.execute(sql.SQL("drop owned by {}; drop role {}").format(*[sql.Identifier(READER)] * 2))


def _script(conn: Connection) -> None:
    conn.execute(cast("Any", (FOLDER / "panels.sql").read_text()))


def _fill(database: Database, superuser: Connection, site: int) -> None:
    now = wall_now()
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        walk(conn, world.lin, order(conn, world), "accepted", now=now)
        order(conn, world, mode="cavitation")
        (signal,) = conn.execute(
            """insert into signals (asset_id, code, name, quantity, unit)
               values (%s, 'vib', 'Vibration', 'velocity', 'mm/s') returning signal_id""",
            (world.pump,),
        ).fetchone() or (0,)
        conn.execute(
            """insert into alarms (asset_id, kind, mode, detector, started_at, raised_at, last_at, deviating_since,
                 surprise, health) values (%s, 'machine', 'unbalance', 'bank', %s, %s, %s, %s, 9, 0.4)""",
            (world.pump, now, now, now, now),
        )
    superuser.execute(
        "insert into rollups values (%s, %s, 60, %s, 60, 2.0, 1.0, 3.0, 2.5)",
        (signal, site, now - timedelta(minutes=5)),
    )


def count(conn: Connection, view: str) -> int:
    row = conn.execute(sql.SQL("select count(*) from panels.{}").format(sql.Identifier(view))).fetchone()
    return int(row[0]) if row else 0


def test_a_reader_sees_its_site_alone_whatever_it_sets(reader: Connection, superuser: Connection) -> None:
    mine = {view: count(reader, view) for view in VIEWS}
    everything = {view: count(superuser, view) for view in VIEWS}
    assert mine["signal_minutes"] == mine["alarms"] == 1 and mine["tickets"] == 2 and mine["sla"] > 0
    assert everything == {view: 2 * each for view, each in mine.items()}
    reader.execute("set app.site_id = '2'")
    reader.execute("set default_transaction_read_only = off")
    assert {view: count(reader, view) for view in VIEWS} == mine
    superuser.execute("delete from panels.readers")
    assert count(reader, "tickets") == 0  # bound to no site, it sees none


def test_a_reader_reads_the_columns_of_views_and_nothing_else(reader: Connection) -> None:
    for refused in (
        "select * from tickets",
        "select description from tickets",
        "select login from users",
        "select * from sessions",
        "select * from samples",
        "select * from panels.readers",
        "select panels.admit('x', 'a long password', 'far')",
        "set role millwright_app",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute(cast("Any", refused))
    reader.execute("set default_transaction_read_only = off")
    for refused in (
        "update tickets set title = 'x'",
        "delete from panels.work_days",
        "create table x ()",
    ):
        with pytest.raises((errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState)):
            reader.execute(cast("Any", refused))


def test_only_a_role_of_its_own_becomes_a_reader(reader: Connection, superuser: Connection) -> None:
    code = superuser.execute("select code from sites limit 1").fetchone()
    assert code and count(reader, "alarms")
    for name, password in (("millwright_app", PASSWORD), ("postgres", PASSWORD), ("someone", "short")):
        with pytest.raises(errors.RaiseException):
            superuser.execute("select panels.admit(%s, %s, %s)", (name, password, code[0]))


def test_every_query_of_the_provisioned_dashboard_runs(reader: Connection) -> None:
    board = json.loads((FOLDER / "dashboards" / "plant.json").read_text())
    asset = board["templating"]["list"][0]
    assert reader.execute(asset["query"]).fetchall()
    (machine,) = reader.execute(asset["query"]).fetchone() or ("",)
    for panel in board["panels"]:
        for target in panel["targets"]:
            asked = re.sub(
                r"\$__timeFilter\((\w+)\)", r"\1 between now() - interval '1 day' and now()", target["rawSql"]
            )
            cursor = reader.execute(asked.replace("$asset", machine))
            assert cursor.description and (panel["id"] != 5 or len(cursor.fetchall()) == 1)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
