"""The verb `audit`: was any ticket's history changed behind the program's back?"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from api.instance import Instance
from core import clock
from core.database import Database
from core.errors import Invalid
from core.seals import Seal
from core.settings import settings
from tickets import audit as books
from tickets import roots, shelves, store

PURPOSE = "audit"
PROGRESS = 50_000  # tickets


def seal_of(instance: Instance) -> Seal:
    """What this instance signs its roots with."""
    return Seal(instance.secrets.signing_key, purpose=PURPOSE)


def audit(argv: list[str]) -> int:
    """Exit code 0 when every timeline is whole, else 1 with each problem in a sentence."""
    parser = argparse.ArgumentParser(prog="millwright audit", description="The proof that nobody rewrote history.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser(
        "verify",
        help="tickets against their timelines, both against the signed roots, and stock; exit code 1 on a problem",
    )
    verify.add_argument("--site", help="site code (default: every site)")
    verify.add_argument("--ticket", metavar="REF", help="this ticket alone; needs --site when there are several")
    verify.add_argument(
        "--expect", metavar="NUMBER:HASH", help="a root as it was noted elsewhere; needs --site likewise"
    )
    asked = parser.parse_args(argv)
    instance = instance_of(settings())
    found = 0
    for site in _sites(instance.database, asked):
        for problem in _site(instance, asked, *site):
            print(problem)
            found += 1
    say(f"{found:,} problems" if found else "everything is as it was written")
    return int(bool(found))


def problems(database: Database, seal: Seal) -> Iterator[str]:
    """Every problem of every site, as it is found."""
    with database.tx() as conn:
        sites = conn.execute("select site_id, code from sites order by 1").fetchall()
    for site_id, code in sites:
        yield from _tickets(database, site_id, code)
        with database.tx(site_id=site_id) as conn:
            yield from roots.problems(conn, signer=seal, ticket_id=None)
            yield from books.numbers(conn)


def _sites(database: Database, asked: argparse.Namespace) -> list[tuple[int, str]]:
    one = bool(asked.site or asked.ticket or asked.expect)
    with database.tx() as conn:
        chosen = site_of(conn, asked.site) if one else None
        rows = conn.execute(
            "select site_id, code from sites where site_id = coalesce(%s, site_id) order by 1", (chosen,)
        )
        return [(site_id, code) for site_id, code in rows]


def _site(instance: Instance, asked: argparse.Namespace, site_id: int, code: str) -> Iterator[str]:
    """Problems as they are found, so that a site where everything is wrong fills no memory."""
    ticket_id = None
    if asked.ticket:
        with instance.database.tx(site_id=site_id) as conn:
            ticket_id = store.by_ref(conn, asked.ticket).ticket_id
            seen = books.ticket(conn, ticket_id, now=clock.load(conn).now())
        yield from seen.problems
        _uncovered(code, seen.uncovered)
    else:
        yield from _tickets(instance.database, site_id, code)
        yield from _shelves(instance.database, site_id, code)
    with instance.database.tx(site_id=site_id) as conn:
        yield from roots.problems(conn, signer=seal_of(instance), ticket_id=ticket_id)
        yield from () if ticket_id else books.numbers(conn)
        wrong = roots.expected(conn, *_noted(asked.expect)) if asked.expect else None
        yield from [wrong] if wrong else []
        head = roots.head(conn)
    say(f"{code}: the newest root is {head.seq}:{head.hash.hex()}" if head else f"{code}: there is no root yet")


def _tickets(database: Database, site_id: int, code: str) -> Iterator[str]:
    tickets, events, after, told = 0, 0, 0, 0
    uncovered: Counter[str] = Counter()
    while True:
        with database.tx(site_id=site_id) as conn:
            part = books.tickets(conn, after, now=clock.load(conn).now())
        yield from part.problems
        tickets, events = tickets + part.tickets, events + part.events
        uncovered.update(part.uncovered)
        if part.last_id is None:
            break
        after = part.last_id
        if tickets - told >= PROGRESS:
            say(f"{code}: {tickets:,} tickets so far")
            told = tickets
    say(f"{code}: {tickets:,} tickets with {events:,} events")
    _uncovered(code, uncovered)


def _shelves(database: Database, site_id: int, code: str) -> Iterator[str]:
    after, seen, moves, older = (0, 0), 0, 0, 0
    while True:
        with database.tx(site_id=site_id) as conn:
            part = shelves.verify(conn, after)
            yield from [*part.problems, *([] if part.last else shelves.orphans(conn))]
        seen, moves, older = seen + part.shelves, moves + part.moves, older + part.uncovered
        if part.last is None:
            break
        after = part.last
    say(f"{code}: {moves:,} stock movements on {seen:,} shelves")
    _uncovered(code, {"stock_moves": older})


def _uncovered(code: str, counts: Mapping[str, int]) -> None:
    """Say openly what the timelines of an older version do not hold."""
    some = ", ".join(f"{count:,} of {table}" for table, count in sorted(counts.items()) if count)
    if some:
        say(f"{code}: not covered, because older events do not hold everything of these rows: {some}")


def _noted(text: str) -> tuple[int, str]:
    seq, _, digest = text.partition(":")
    if not (seq.isdigit() and len(seq) < 10 and len(digest) >= 8 and set(digest) <= set("0123456789abcdef")):
        raise Invalid(f"--expect {text!r}: give it as NUMBER:HASH, with at least eight digits of the hash.")
    return int(seq), digest
