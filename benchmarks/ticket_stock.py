"""A site with very many tickets, each with a valid timeline, made as fast as COPY takes them.

A ticket's row and its one event are written as text in the form that the chain hashes; a sample is checked against the
product's own verification. Secondary indexes are made after the rows, and the tables are vacuumed.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, sql

from core.database import Database
from plant.assets import create_asset
from tickets import audit, chain, engineers, seed
from tickets.model import ActorKind, TicketKind

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
ASSETS, ENGINEERS, REQUESTERS = 2000, 60, 200
OPEN_SHARE = 0.01
MODES = tuple(f"mode_{n:02d}" for n in range(24))
KINDS = (
    ("corrective", 40),
    ("preventive", 25),
    ("inspection", 15),
    ("request", 12),
    ("incident", 7),
    ("sensor-fault", 1),
)
DRAWN_KINDS = [name for name, weight in KINDS for _ in range(weight)]
DRAWN_PRIORITIES = [1] * 2 + [2] * 13 + [3] * 50 + [4] * 25 + [5] * 10
TEXTS = 20_000
OPEN_STATES = ("new", "assigned", "accepted", "arrived", "on_hold", "done", "verifying", "reopened")
SKILLS = ("mechanical", "electrical", "instrumentation", "lubrication")
THINGS = (
    "pump",
    "motor",
    "gearbox",
    "conveyor",
    "valve",
    "fan",
    "compressor",
    "mixer",
    "水泵",
    "电机",
    "减速机",
    "阀门",
)
FAULTS = (
    "bearing wear",
    "seal leak",
    "misalignment",
    "overheating",
    "noise",
    "vibration",
    "轴承磨损",
    "密封泄漏",
    "振动偏高",
)
WORDS = [
    *("checked", "replaced", "cleaned", "tightened", "aligned", "lubricated", "measured", "reported", "observed"),
    *("again", "shift", "line", "hall", "cabinet", "sensor", "cable", "coupling", "flange", "gasket", "filter"),
    *("drive", "belt", "chain", "oil", "grease", "pressure", "flow", "level", "speed", "current", "voltage"),
]
PREFIX = {"request": "REQ", "incident": "INC", "sensor-fault": "INC"}
COLUMNS = (
    "ticket_id", "site_id", "ref", "kind", "status", "priority", "title", "description", "asset_id", "mode", "channel",
    "requester_id", "assignee_id", "skill", "opened_at", "closed_at", "version", "event_count", "head_hash",
)  # fmt: skip
EVENT_COLUMNS = (
    "site_id", "ticket_id", "seq", "at", "actor_kind", "actor_id", "actor_name", "kind", "audience", "body",
    "prev_hash", "hash",
)  # fmt: skip
INDEXES: LiteralString = """
  select i.relname, pg_get_indexdef(x.indexrelid) from pg_index x join pg_class i on i.oid = x.indexrelid
  where x.indrelid in ('tickets'::regclass, 'ticket_events'::regclass) and not x.indisunique"""


@dataclass(frozen=True, slots=True)
class Site:
    """Who and what there is."""

    site_id: int
    assets: list[int]
    engineers: list[int]
    users: list[int]


@dataclass(slots=True)
class Stock:
    """The tickets of a site so far; ``last`` counts references by prefix and year."""

    site: Site
    chance: random.Random
    tickets: int = 0
    last: dict[tuple[str, int], int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    standing: set[int] = field(default_factory=set)  # faults that have their one open order


def make_site(database: Database) -> Site:
    """A plant with machines, engineers with skills, people who ask, SLA policies and calendars."""
    with database.tx() as conn:
        site_id = _id(conn, "insert into sites (code, name) values ('many', 'Many') returning site_id")
    with database.tx(site_id=site_id) as conn:
        seed.seed_site(conn)
        users = [
            row[0]
            for row in conn.execute(
                """insert into users (login, name) select 'u' || n, 'User ' || n from generate_series(1, %s) n
                   returning user_id""",
                (REQUESTERS,),
            )
        ]
        conn.execute(
            "insert into memberships (user_id, site_id, role) select unnest(%s::int[]), current_site(), 'requester'",
            (users,),
        )
        conn.execute("update memberships set role = 'planner' where user_id = %s", (users[0],))
        people = [
            engineers.create(conn, name=f"Engineer {n}", skills={SKILLS[n % 4]: 1 + n % 3}, user_id=users[-n - 1])
            for n in range(ENGINEERS)
        ]
        assets = [create_asset(conn, code=f"A-{n:04d}", name=f"Machine {n}", asset_class="pump") for n in range(ASSETS)]
    return Site(site_id, assets, people, users)


def fill(superuser: Connection, stock: Stock, upto: int) -> None:
    """Bring the site to so many tickets."""
    dropped = superuser.execute(INDEXES).fetchall()
    superuser.execute("set session_replication_role = replica")
    for name, _ in dropped:
        superuser.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
    _copy(superuser, stock, upto)
    for _, definition in dropped:
        superuser.execute(definition)
    superuser.execute("set session_replication_role = origin")
    for (prefix, year), last in stock.last.items():
        superuser.execute(
            """insert into ref_counters (site_id, prefix, year, last) values (%s, %s, %s, %s)
               on conflict (site_id, prefix, year) do update set last = excluded.last""",
            (stock.site.site_id, prefix, year, last),
        )
    superuser.execute("select setval('tickets_ticket_id_seq', %s)", (upto,))
    for table in ("tickets", "ticket_events"):
        superuser.execute(sql.SQL("vacuum analyze {}").format(sql.Identifier(table)))


def check(database: Database, stock: Stock, *, sample: int = 200) -> None:
    """The newest ones are what the product itself would have written. Raises AssertionError."""
    with database.tx(site_id=stock.site.site_id) as conn:
        part = audit.tickets(conn, stock.tickets - sample, part=sample, now=BEGIN + timedelta(days=300))
    assert part.tickets == sample and part.problems == (), part.problems[:3]


def _copy(conn: Connection, stock: Stock, upto: int) -> None:
    begin = stock.tickets + 1
    stock.texts = stock.texts or [" ".join(stock.chance.choices(WORDS, k=12)) for _ in range(TEXTS)]
    with psycopg.connect(conn.info.dsn, password=conn.info.password, autocommit=True) as other:
        other.execute("set session_replication_role = replica")
        rows = _tickets(stock, begin, upto)
        with (
            conn.cursor() as one,
            other.cursor() as two,
            conn.transaction(),
            other.transaction(),
            one.copy(_into("tickets", COLUMNS)) as tickets,
            two.copy(_into("ticket_events", EVENT_COLUMNS)) as events,
        ):
            for row, event in rows:
                tickets.write(row)
                events.write(event)
    stock.tickets = upto


def _into(table: str, columns: tuple[str, ...]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(table), names)


def _tickets(stock: Stock, begin: int, upto: int) -> Iterator[tuple[str, str]]:
    for ticket_id in range(begin, upto + 1):
        after = _after(stock, ticket_id)
        at = after["opened_at"]
        body = json.dumps({"after": after}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest = hashlib.sha256(_sealed(stock.site.site_id, ticket_id, at, body).encode()).hexdigest()
        row = {**after, "ticket_id": ticket_id, "site_id": stock.site.site_id, "version": 1, "event_count": 1}
        row["head_hash"] = f"\\\\x{digest}"
        event = (
            stock.site.site_id,
            ticket_id,
            1,
            at,
            "system",
            None,
            "seed",
            "opened",
            "requester",
            body,
            "\\\\x",
            row["head_hash"],
        )
        yield _line(tuple(row.get(name) for name in COLUMNS)), _line(event)


def _sealed(site_id: int, ticket_id: int, at: str, body: str) -> str:
    """What the chain hashes of a first event, its keys in order."""
    return (
        f'{{"actor":["{ActorKind.SYSTEM.value}",null,"seed"],"at":"{at}","audience":"requester","body":{body},'
        f'"kind":"opened","prev":"","seq":1,"site_id":{site_id},"ticket_id":{ticket_id}}}'
    )


def _line(values: tuple[Any, ...]) -> str:
    return "\t".join("\\N" if value is None else str(value) for value in values) + "\n"


def _after(stock: Stock, ticket_id: int) -> dict[str, Any]:
    chance, site = stock.chance, stock.site
    kind = chance.choice(DRAWN_KINDS)
    at = BEGIN + timedelta(seconds=20 * ticket_id)
    is_open = chance.random() < OPEN_SHARE
    status = (
        OPEN_STATES[ticket_id % len(OPEN_STATES)] if is_open else "cancelled" if chance.random() < 0.05 else "closed"
    )
    fault = chance.randrange(ASSETS * len(MODES))
    known = not is_open or fault not in stock.standing
    if is_open:
        stock.standing.add(fault)
    after: dict[str, Any] = {
        "ref": _ref(stock, PREFIX.get(kind, "WO"), at.year),
        "kind": TicketKind(kind).value,
        "status": status,
        "priority": chance.choice(DRAWN_PRIORITIES),
        "title": f"{chance.choice(FAULTS)} {chance.choice(THINGS)} {fault % ASSETS:04d}",
        "description": chance.choice(stock.texts),
        "asset_id": site.assets[fault % ASSETS],
        "mode": MODES[fault // ASSETS] if known else None,
        "channel": "web",
        "requester_id": chance.choice(site.users),
        "assignee_id": None if status == "new" else chance.choice(site.engineers),
        "skill": chance.choice(SKILLS),
        "opened_at": chain.time_text(at),
        "fields": {},
        "assignment_reasons": [],
    }
    after["closed_at"] = None if is_open else chain.time_text(at + timedelta(hours=5))
    return {name: value for name, value in after.items() if value is not None}


def _ref(stock: Stock, prefix: str, year: int) -> str:
    number = stock.last[prefix, year] = stock.last.get((prefix, year), 0) + 1
    return f"{prefix}-{year}-{number:06d}"


def _id(conn: Connection, query: LiteralString) -> int:
    row = conn.execute(query).fetchone()
    assert row
    return int(row[0])
