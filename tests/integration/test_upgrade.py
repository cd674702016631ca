"""A database that was filled before an upgrade holds all of it afterwards, and goes on.

What fills it are today's verbs; then it is cut down to the tables and columns of the old version, row by row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import Connection, sql

from core.database import Database, migrate
from core.embedded import EmbeddedServer
from core.seals import Seal
from tests.external_server import ExternalServer, drop
from tests.integration.tickets_world import HOUR, NOW, World, build, define, order, walk
from tickets import audit, checklist_store, checklists, links, roots, service, stock, store, stores
from tickets.dispatch import planning
from tickets.hooks import only
from tickets.knowledge import articles
from tickets.model import Actor, ActorKind
from tickets.rules import engine
from tickets.rules import service as rules
from tickets.rules.model import Form

OLD = "0016"
SEAL = Seal("a secret of the test", purpose="audit")
MANAGER = Actor(ActorKind.PERSON, None, "Mia", "manager")
FILLED = (
    "tickets",
    "ticket_events",
    "sla_clocks",
    "rules",
    "rule_runs",
    "stock_levels",
    "stock_moves",
    "kits",
    "articles",
    "article_revisions",
    "field_definitions",
    "ticket_field_values",
    "ticket_links",
    "checklists",
    "plans",
    "visits",
    "audit_roots",
)
SETTLED = {"store_features"}  # what the server can do is asked at every start
TABLES = """
  select c.relname, array_agg(a.attname order by a.attnum)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
  where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> 'alembic_version'
    and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
  group by 1 order by 1"""
NUMBERED = """
  select table_name, column_name from information_schema.columns
  where table_schema = 'public' and table_name = any(%s) and (is_identity = 'YES' or column_default like 'nextval%%')"""

Tables = Mapping[str, Sequence[str]]


@pytest.fixture
def old(server: EmbeddedServer | ExternalServer) -> Iterator[str]:
    """The name of a database at the old version, with nothing in it."""
    name = f"upgrade_{os.getpid()}"
    with psycopg.connect(server.dsn("postgres", database="postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} owner millwright_owner").format(sql.Identifier(name)))
        if isinstance(server, ExternalServer):
            _with_timescale(server, name)
        migrate(server.dsn("millwright_owner", database=name), to=OLD)
        yield name
        drop(admin, name)


def _with_timescale(server: ExternalServer, name: str) -> None:
    with psycopg.connect(server.dsn("postgres", database=name), autocommit=True) as conn:
        if conn.execute("select 1 from pg_available_extensions where name = 'timescaledb'").fetchone():
            conn.execute("create extension if not exists timescaledb")


def filled(conn: Connection, monkeypatch: pytest.MonkeyPatch) -> World:
    """Orders with clocks, fields, links and checklists, one done; a rule that acted; stock, a guide, a plan, a root."""
    world = build(conn)
    then = [{"do": "tag", "add": ["seen"]}]
    rule = {"when": {"on": ["opened"]}, "then": then}
    kept = rules.make(conn, MANAGER, code="mark", form=Form.RULE, definition=rule, now=NOW)
    rules.enable(conn, MANAGER, kept.rule_id, now=NOW)
    define(conn, line="text")
    with only(on_event=engine.on_event):
        first = order(conn, world, fields={"line": "A", "hall": 3})
        second = order(conn, world, mode="cavitation", asset_id=world.motor)
        order(conn, world, mode="imbalance", priority=1)
    links.link(conn, world.planner, first.ticket_id, kind="blocks", to_id=second.ticket_id, now=NOW)
    checklists.put(conn, world.planner, second, checklist_store.templates(conn)[0], now=NOW)
    main = stores.put_store(conn, code="main", name="Main", allow_negative=False).store_id
    part = stores.put_part(conn, code="6205", name="Bearing", unit="pcs", price=40, lead_s=86_400).part_id
    stores.set_kit(conn, asset_class="pump", mode="bearing_wear", wanted=[(part, 1)])
    stock.receive(conn, world.planner, store_id=main, part_id=part, quantity=5, now=NOW)
    stock.consume(conn, world.lin, first.ticket_id, part_id=part, quantity=2, now=NOW)
    content = {"classes": [], "modes": [], "title": {"en": "Ours"}, "body": {"en": "Look."}, "steps": []}
    articles.make(conn, world.planner, code="ours", given=content, now=NOW)
    monkeypatch.setitem(planning.SECONDS, "plan", 0.1)
    plan_id = planning.begin(conn, cause="plan", user_id=world.planner.actor_id, seconds=None, now=NOW)
    planning.make(conn, {"plan_id": plan_id}, NOW)
    planning.accept(conn, world.planner, plan_id, now=NOW)
    return world


def tables(conn: Connection) -> Tables:
    """Tables with their columns."""
    return dict(conn.execute(TABLES).fetchall())


def facts(conn: Connection, those: Tables) -> dict[str, tuple[int, str]]:
    """By table: how many rows, and a hash of these columns of all of them."""
    return {name: _facts(conn, name, columns) for name, columns in those.items()}


def _facts(conn: Connection, table: str, columns: Sequence[str]) -> tuple[int, str]:
    query = sql.SQL(
        """select count(*), md5(coalesce(string_agg(md5(one::text), '' order by md5(one::text)), ''))
           from (select {} from {}) one"""
    ).format(_names(columns), sql.Identifier(table))
    row = conn.execute(query).fetchone()
    assert row
    return row[0], row[1]


def carry(source: Connection, target: Connection, those: Tables) -> None:
    """Fill the target with what the source holds in these tables and columns."""
    target.execute("set session_replication_role = replica")
    target.execute(sql.SQL("truncate {}").format(_names(list(those))))
    for name, columns in those.items():
        read = sql.SQL("copy (select {} from {}) to stdout").format(_names(columns), sql.Identifier(name))
        write = sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(name), _names(columns))
        with source.cursor().copy(read) as reading, target.cursor().copy(write) as writing:
            for block in reading:
                writing.write(block)
    for table, column in target.execute(NUMBERED, (list(those),)).fetchall():
        last = sql.SQL("select setval(pg_get_serial_sequence(%s, %s), coalesce(max({}), 0) + 1) from {}")
        target.execute(last.format(sql.Identifier(column), sql.Identifier(table)), (f'"{table}"', column))
    target.execute("reset session_replication_role")


def _names(those: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in those)


@contextmanager
def signed() -> Iterator[None]:
    roots.sign_with(SEAL)
    try:
        yield
    finally:
        roots.sign_with(None)


def test_nothing_is_lost_on_the_way_to_the_newest_version(
    database: Database,
    site: int,
    superuser: Connection,
    server: EmbeddedServer | ExternalServer,
    old: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with database.tx(site_id=site) as conn:
        world = filled(conn, monkeypatch)
    with signed(), database.tx(site_id=site) as conn:
        assert roots.extend(conn, NOW) == 3
    with psycopg.connect(server.dsn("postgres", database=old), autocommit=True) as inside:
        known = tables(inside)
        carry(superuser, inside, known)
        lasting = {name: columns for name, columns in known.items() if name not in SETTLED}
        before = facts(inside, lasting)
        assert {name: before[name][0] for name in FILLED if not before[name][0]} == {}
        newest = migrate(server.dsn("millwright_owner", database=old))
        assert newest > OLD
        assert facts(inside, lasting) == before
    dsns = server.dsns(database=old)
    upgraded = Database(dsns.app, dsns.ingest, dsns.owner)
    try:
        with upgraded.tx(site_id=site) as conn:
            _whole(conn)
            _goes_on(conn, world)
    finally:
        upgraded.close()


def _whole(conn: Connection) -> None:
    assert store.verify_site(conn) == {}
    assert list(audit.numbers(conn)) == []
    assert list(roots.problems(conn, signer=SEAL)) == []
    (line,) = stores.kits(conn)
    assert (line.version, stores.stores(conn)[0].version) == (1, 1)
    (stands,) = [plan for plan in planning.plans(conn) if plan.status == "accepted"]
    assert len(planning.visits(conn, stands.plan_id)) == 3


def _goes_on(conn: Connection, world: World) -> None:
    ticket = order(conn, world, mode="misalignment", now=NOW + HOUR)
    assert ticket.ref == "WO-2026-000004"
    given = service.assign(conn, world.planner, ticket.ticket_id, assignee_id=world.lin_id, now=NOW + HOUR)
    walk(conn, world.lin, given, "accepted", "arrived", now=NOW + HOUR)
    assert store.verify_chain(conn, ticket.ticket_id) == []
