"""How fast the ticket core lists, opens and tells, at a million tickets; and whether writers lose each other's changes.

python -m benchmarks.tickets [--quick] [--seed N] [--only lists,create,…]

One embedded PostgreSQL with its default settings, and every call as the product makes it: as the app role, under
row-level security, a transaction each. ``list_p95_ms`` is over many combinations of filters, first and later pages, 50
rows each, from the call to objects, at the larger size (``.small`` at the smaller), nothing cached between two calls.
``list_growth`` is large over small. ``create_s`` opens corrective orders with SLA clocks, timers, routing and 200 rules
registered, a commit each, from four threads (``.one``: from one); ``create_process_ms`` and ``create_backend_ms`` are
the processor's time for one of them, which other load changes little, ``create_statements`` what is sent for one.
``timeline_1000_ms`` reads a ticket's 1,000 events (95th percentile).
``lost_updates``: writers count up in the same few tickets, each change based on a version and tried again when that
is stale; ``lost_updates.control`` does the same by plain UPDATE and must lose. ``root_100_changed_ms`` is the audit's
root over 100 changed tickets beside all the others, ``verified_tickets_s`` how many `millwright audit verify` checks.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from api import up
from benchmarks import cost, ticket_stock
from benchmarks.result import finish
from benchmarks.ticket_stock import BEGIN, MODES, OPEN_STATES, SKILLS, Site, Stock
from core import log, places
from core.database import Database, migrate
from core.embedded import EmbeddedServer
from core.errors import Stale
from core.secrets import load_or_create
from tickets import audit, roots, service, store
from tickets.model import SYSTEM, Actor, ActorKind, TicketKind
from tickets.rules import speed
from tickets.store import Filter, Which

Figures = dict[str, float | None]
PARTS = ("lists", "create", "timeline", "writers", "rules", "audit")
SIZES, QUICK_SIZES = (100_000, 1_000_000), (5_000, 50_000)
GOALS = {
    "list_p95_ms": "<= 50",
    "list_p95_ms.small": "<= 50",
    "list_growth": "<= 1.5",
    "create_s": ">= 200",
    "timeline_1000_ms": "<= 50",
    "lost_updates": "== 0",
    "lost_updates.control": ">= 1",
    "rule_events_s": ">= 1000",
}
THREADS, WRITERS, SHARED, RULES, CHANGED = 4, 8, 10, 200, 100
NOW = BEGIN + timedelta(days=300)
PLANNER = Actor(ActorKind.PERSON, None, "Pat", "planner")
MANAGER = Actor(ActorKind.PERSON, None, "Max", "manager")


@dataclass(slots=True)
class Rig:
    """A server, its databases, and the tickets on it."""

    database: Database
    superuser: psycopg.Connection
    stock: Stock

    @property
    def site(self) -> Site:
        return self.stock.site


def main(argv: list[str] | None = None) -> int:
    """Run it all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute, at a twentieth of the size")
    parser.add_argument("--seed", type=int, default=1, help="of what the tickets say")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to run, of {', '.join(PARTS)}")
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    up.wire()
    small, large = QUICK_SIZES if chosen.quick else SIZES
    wanted = set(chosen.only.split(","))
    with rig(chosen.seed) as found:
        figures: Figures = {"tickets": large, "fill_s": 0.0}
        if "lists" in wanted:
            figures |= lists(found, small, large, turns=100 if chosen.quick else 600)
        else:
            figures |= _fill(found, large)
        parts: dict[str, Callable[[], Figures]] = {
            "create": lambda: create(found, count=200 if chosen.quick else 4000),
            "timeline": lambda: timeline(found, turns=20 if chosen.quick else 100),
            "writers": lambda: writers(found, each=50 if chosen.quick else 1000),
            "rules": lambda: rules(found, events=500 if chosen.quick else 5000),
            "audit": lambda: audit_figures(found, verified=10_000 if chosen.quick else 100_000),
        }
        for name, part in parts.items():
            if name in wanted:
                figures |= part()
    goals = {name: goal for name, goal in GOALS.items() if name in figures}
    finish("tickets", broker="none", figures=figures, goals=goals)
    return 0


def chance_of(seed: int) -> random.Random:
    """The same each time."""
    return random.Random(seed)  # noqa: S311 - no secret comes of it


@contextmanager
def rig(seed: int) -> Iterator[Rig]:
    """Start a server, make the site, and take all of it down."""
    with tempfile.TemporaryDirectory(prefix="millwright-bench-") as folder:
        secrets = load_or_create(Path(folder))
        server = EmbeddedServer(Path(folder), secrets)
        try:
            dsns = server.start()
            migrate(dsns.owner)
            database = Database(dsns.app, dsns.ingest, dsns.owner, statement_timeout_s=600.0, max_size=WRITERS + 2)
            name = psycopg.conninfo.conninfo_to_dict(dsns.app)["dbname"]
            with psycopg.connect(server.dsn("postgres", database=str(name)), autocommit=True) as superuser:
                yield Rig(database, superuser, Stock(ticket_stock.make_site(database), chance_of(seed)))
            database.close()
        finally:
            server.destroy()
            places.forget(secrets.instance_id)


# -- lists ------------------------------------------------------------------------------------------------------------


def lists(rig: Rig, small: int, large: int, *, turns: int) -> Figures:
    """The same questions at both sizes."""
    figures: Figures = {}
    found: dict[int, float] = {}
    for size in (small, large):
        figures |= _fill(rig, size)
        times = _ask(rig, _questions(rig, turns))
        whole = [each for each, _ in times]
        found[size] = _p95(whole)
        suffix = ".small" if size == small else ""
        figures[f"list_p95_ms{suffix}"] = round(found[size], 2)
        figures[f"list_p50_ms{suffix}"] = round(statistics.median(whole), 2)
        figures[f"list_max_ms{suffix}"] = round(max(whole), 2)
        figures[f"list_plain_p95_ms{suffix}"] = round(_p95([each for each, asked in times if not asked.q]), 2)
        figures[f"list_text_p95_ms{suffix}"] = round(_p95([each for each, asked in times if asked.q]), 2)
        _show_slowest(times)
    figures["list_growth"] = round(found[large] / found[small], 2)
    return figures


def _fill(rig: Rig, size: int) -> Figures:
    began = time.perf_counter()
    ticket_stock.fill(rig.superuser, rig.stock, size)
    ticket_stock.check(rig.database, rig.stock)
    return {"fill_s": round(time.perf_counter() - began, 1)}


def _questions(rig: Rig, turns: int) -> list[tuple[Filter, str | None]]:
    """What people and programs ask for: each a few of the filters, some of them a later page."""
    chance = chance_of(7)
    return [_question(rig, chance) for _ in range(turns)]


def _question(rig: Rig, chance: random.Random) -> tuple[Filter, str | None]:
    site = rig.site
    options: dict[str, Callable[[], object]] = {
        "which": lambda: chance.choice([Which.OPEN, Which.OPEN, Which.FINISHED]),
        "statuses": lambda: tuple(chance.sample((*OPEN_STATES, "closed", "cancelled"), chance.randint(1, 3))),
        "kinds": lambda: tuple(chance.sample([kind.value for kind in TicketKind], chance.randint(1, 2))),
        "priority": lambda: chance.randint(1, 5),
        "assignee_id": lambda: chance.choice(site.engineers),
        "requester_id": lambda: chance.choice(site.users),
        "asset_id": lambda: chance.choice(site.assets),
        "mode": lambda: chance.choice(MODES),
        "q": lambda: chance.choice(
            [
                "bearing",
                "轴承磨损",
                f"{chance.randrange(2000):04d}",
                "seal leak pump",
                f"WO-2026-{chance.randrange(9999):06d}",
                "nothing like it",
            ]
        ),
    }
    names = chance.sample(sorted(options), chance.choice([0, 1, 1, 2, 2, 3, 4]))
    wanted = Filter(**{name: options[name]() for name in names})  # type: ignore[arg-type]
    later = store.cursor_of(chance.randrange(1, rig.stock.tickets)) if chance.random() < 0.25 else None
    return wanted, later


def _ask(rig: Rig, questions: list[tuple[Filter, str | None]]) -> list[tuple[float, Filter]]:
    """Milliseconds of each question, once everything has been asked before."""
    times: list[tuple[float, Filter]] = []
    for measured in (False, True):
        for wanted, cursor in questions:
            began = time.perf_counter()
            with rig.database.tx(site_id=rig.site.site_id) as conn:
                store.find(conn, wanted, limit=50, cursor=cursor)
            if measured:
                times.append(((time.perf_counter() - began) * 1000, wanted))
    return times


def _show_slowest(times: list[tuple[float, Filter]]) -> None:
    for took, asked in sorted(times, key=lambda each: -each[0])[:5]:
        named = {
            name: getattr(asked, name) for name in Filter.__slots__ if getattr(asked, name) != getattr(Filter(), name)
        }
        print(f"  slow: {took:7.1f} ms  {named}")


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1] if len(times) > 1 else float("nan")


# -- writing ----------------------------------------------------------------------------------------------------------


def create(rig: Rig, *, count: int) -> Figures:
    """Orders a second, from one thread and from several."""
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        speed.enable(conn, MANAGER, RULES, now=NOW)
    figures: Figures = {}
    for threads, name in ((1, "create_s.one"), (THREADS, "create_s")):
        _open(rig, 0)
        began = time.perf_counter()
        with cost.measured(rig.superuser) as spent, ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda number: _open(rig, number), range(count)))
        figures[name] = round(count / (time.perf_counter() - began), 1)
        suffix = name.removeprefix("create_s")
        figures[f"create_process_ms{suffix}"] = round(spent.process_s / count * 1000, 2)
        figures[f"create_backend_ms{suffix}"] = spent.backend_s and round(spent.backend_s / count * 1000, 2)
    with rig.database.tx(site_id=rig.site.site_id) as conn, cost.statements(conn) as sent:
        _open_on(rig, conn, 1)
    return figures | {"create_statements": len(sent)}


def _open(rig: Rig, number: int) -> None:
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        _open_on(rig, conn, number)


def _open_on(rig: Rig, conn: psycopg.Connection, number: int) -> None:
    service.open(
        conn,
        PLANNER,
        kind="corrective",
        title=f"Bearing wear {number}",
        description="Heard at the start of the shift.",
        asset_id=rig.site.assets[number % len(rig.site.assets)],
        priority=1 + number % 5,
        skill=SKILLS[number % len(SKILLS)],
        requester_id=rig.site.users[number % len(rig.site.users)],
        now=NOW,
    )


def timeline(rig: Rig, *, turns: int) -> Figures:
    """Read 1,000 events."""
    ticket_id = _request(rig)
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        for number in range(store.get(conn, ticket_id).event_count, 1000):
            service.comment(conn, PLANNER, ticket_id, text=f"Word {number}", audience="internal", now=NOW)
    times = []
    for _ in range(turns):
        began = time.perf_counter()
        with rig.database.tx(site_id=rig.site.site_id) as conn:
            assert len(store.timeline(conn, ticket_id)) == 1000
        times.append((time.perf_counter() - began) * 1000)
    return {"timeline_1000_ms": round(_p95(times), 2), "timeline_1000_p50_ms": round(statistics.median(times), 2)}


def writers(rig: Rig, *, each: int) -> Figures:
    """Count up at once: every change must be there in the end, and every timeline whole."""
    shared = [_request(rig) for _ in range(SHARED)]
    began = time.perf_counter()
    retries = sum(_together(lambda writer: _count_up(rig, shared, writer, each)))
    seconds = time.perf_counter() - began
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        counted = sum(int(store.get(conn, ident).title) for ident in shared)
        assert all(store.verify_chain(conn, ident) == [] for ident in shared)
    rig.superuser.execute("create table plain as select unnest(%s::int[]) as ticket_id, 0 as count", (shared,))
    rig.superuser.execute("grant select, update on plain to millwright_app")
    _together(lambda writer: _count_up_plainly(rig, shared, writer, each))
    row = rig.superuser.execute("select sum(count) from plain").fetchone()
    plain = int(row[0]) if row else 0
    return {
        "lost_updates": WRITERS * each - counted,
        "lost_updates.control": WRITERS * each - plain,
        "updates_s": round(WRITERS * each / seconds, 1),
        "update_retries": retries,
    }


def _together(work: Callable[[int], int]) -> list[int]:
    """What each writer says; they begin at the same moment."""
    start = threading.Barrier(WRITERS)

    def run(writer: int) -> int:
        start.wait()
        return work(writer)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(run, range(WRITERS)))


def _count_up(rig: Rig, shared: list[int], writer: int, each: int) -> int:
    retries = 0
    for number in range(each):
        while not _counted(rig, shared[(writer + number) % len(shared)]):
            retries += 1
    return retries


def _counted(rig: Rig, ticket_id: int) -> bool:
    """As a person does: look, and change what was seen."""
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        seen = store.get(conn, ticket_id)
    try:
        with rig.database.tx(site_id=rig.site.site_id) as conn:
            title = {"title": str(int(seen.title) + 1)}
            service.patch(conn, PLANNER, ticket_id, changes=title, version=seen.version, now=NOW)
    except Stale:
        return False
    return True


def _count_up_plainly(rig: Rig, shared: list[int], writer: int, each: int) -> int:
    for number in range(each):
        ticket_id = shared[(writer + number) % len(shared)]
        with rig.database.tx(site_id=rig.site.site_id) as conn:
            row = conn.execute("select count from plain where ticket_id = %s", (ticket_id,)).fetchone()
        with rig.database.tx(site_id=rig.site.site_id) as conn:
            conn.execute("update plain set count = %s where ticket_id = %s", (row[0] + 1 if row else 1, ticket_id))
    return each


def rules(rig: Rig, *, events: int) -> Figures:
    """Events a second through the engine with 200 rules."""
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        return {"rule_events_s": round(speed.rule_events_s(conn, rules=RULES, events=events), 1)}


def audit_figures(rig: Rig, *, verified: int) -> Figures:
    """The first root covers every ticket; a later one what changed since, however many there are."""
    began = time.perf_counter()
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        covered = roots.extend(conn, NOW)
    first_s = time.perf_counter() - began
    for number in range(CHANGED):
        _open(rig, number)
    began = time.perf_counter()
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        roots.extend(conn, NOW)
    later_ms = (time.perf_counter() - began) * 1000
    began, after, seen = time.perf_counter(), 0, 0
    while seen < verified:
        with rig.database.tx(site_id=rig.site.site_id) as conn:
            part = audit.tickets(conn, after, now=NOW)
        assert part.problems == ()
        after, seen = part.last_id or 0, seen + part.tickets
    return {
        "root_first_s": round(first_s, 2),
        "root_first_tickets": covered,
        "root_100_changed_ms": round(later_ms, 1),
        "verified_tickets_s": round(seen / (time.perf_counter() - began)),
    }


def _request(rig: Rig) -> int:
    with rig.database.tx(site_id=rig.site.site_id) as conn:
        return service.open(conn, SYSTEM, kind="request", title="0", now=NOW).ticket.ticket_id


if __name__ == "__main__":
    sys.exit(main())
