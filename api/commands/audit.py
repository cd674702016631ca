"""The verb `audit`: was any ticket's history changed behind the program's back?"""

from __future__ import annotations

import argparse

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from api.instance import Instance
from core.database import Database
from core.errors import Invalid
from core.seals import Seal
from core.settings import settings
from tickets import audit as books
from tickets import roots, store

PURPOSE = "audit"


def seal_of(instance: Instance) -> Seal:
    """What this instance signs its roots with."""
    return Seal(instance.secrets.signing_key, purpose=PURPOSE)


def audit(argv: list[str]) -> int:
    """Exit code 0 when every timeline is whole, else 1 with each problem in a sentence."""
    parser = argparse.ArgumentParser(prog="millwright audit", description="The proof that nobody rewrote history.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser(
        "verify", help="every ticket against its timeline, and both against the signed roots; exit code 1 on a problem"
    )
    verify.add_argument("--site", help="site code (default: every site)")
    verify.add_argument("--ticket", metavar="REF", help="this ticket alone; needs --site when there are several")
    verify.add_argument(
        "--expect", metavar="NUMBER:HASH", help="a root as it was noted elsewhere; needs --site likewise"
    )
    asked = parser.parse_args(argv)
    instance = instance_of(settings())
    found = [problem for site in _sites(instance.database, asked) for problem in _site(instance, asked, *site)]
    for problem in found:
        print(problem)
    say(f"{len(found):,} problems" if found else "everything is as it was written")
    return int(bool(found))


def _sites(database: Database, asked: argparse.Namespace) -> list[tuple[int, str]]:
    one = bool(asked.site or asked.ticket or asked.expect)
    with database.tx() as conn:
        chosen = site_of(conn, asked.site) if one else None
        rows = conn.execute(
            "select site_id, code from sites where site_id = coalesce(%s, site_id) order by 1", (chosen,)
        )
        return [(site_id, code) for site_id, code in rows]


def _site(instance: Instance, asked: argparse.Namespace, site_id: int, code: str) -> list[str]:
    ticket_id = None
    if asked.ticket:
        with instance.database.tx(site_id=site_id) as conn:
            ticket_id = store.by_ref(conn, asked.ticket).ticket_id
            found = store.verify_chain(conn, ticket_id)
    else:
        found = _tickets(instance.database, site_id, code)
    with instance.database.tx(site_id=site_id) as conn:
        found += roots.problems(conn, signer=seal_of(instance), ticket_id=ticket_id)
        found += [] if ticket_id else books.numbers(conn)
        found += [wrong] if asked.expect and (wrong := roots.expected(conn, *_noted(asked.expect))) else []
        head = roots.head(conn)
    say(f"{code}: the newest root is {head.seq}:{head.hash.hex()}" if head else f"{code}: there is no root yet")
    return found


def _tickets(database: Database, site_id: int, code: str) -> list[str]:
    problems: list[str] = []
    tickets, events, after = 0, 0, 0
    while True:
        with database.tx(site_id=site_id) as conn:
            part = books.tickets(conn, after)
        problems += part.problems
        tickets, events = tickets + part.tickets, events + part.events
        if part.last_id is None:
            break
        after = part.last_id
    say(f"{code}: {tickets:,} tickets with {events:,} events")
    return problems


def _noted(text: str) -> tuple[int, str]:
    seq, _, digest = text.partition(":")
    if not (seq.isdigit() and len(seq) < 10 and len(digest) >= 8 and set(digest) <= set("0123456789abcdef")):
        raise Invalid(f"--expect {text!r}: give it as NUMBER:HASH, with at least eight digits of the hash.")
    return int(seq), digest
