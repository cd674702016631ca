"""The verb `lifecycle`: a kind's life cycle as text, checked, previewed, published, brought back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from psycopg import Connection

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from api.instance import Instance
from core import clock
from core.errors import Invalid
from core.settings import settings
from tickets import lifecycle_edit, lifecycle_text
from tickets.errors import BadDefinition
from tickets.lifecycle_edit import Fate, Preview, Standing
from tickets.model import Actor, ActorKind, TicketKind

ACTOR = Actor(ActorKind.SYSTEM, None, "command line")
T = TypeVar("T")
FATES = {
    Fate.SAME: "nothing changes for them",
    Fate.CHANGED: "other steps, once they are migrated",
    Fate.HOMELESS: "the state is gone: migrating them needs --state OLD=NEW",
}


def lifecycle(argv: list[str]) -> int:
    """Export, check, preview or publish; exit code 1 when a definition has problems."""
    asked = _parser().parse_args(argv)
    if asked.verb == "check":
        return _check(asked)
    return DO[asked.verb](instance_of(settings()), asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright lifecycle", description="Life cycles of tickets, without code.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    export = verbs.add_parser("export", help="print a definition, to edit and keep in git")
    export.add_argument("--version", type=int, help="of this version (default: the active one; 0 = built in)")
    export.add_argument("--json", action="store_true", help="JSON instead of TOML")
    check = verbs.add_parser("check", help="say every problem of a definition; needs no database")
    preview = verbs.add_parser("preview", help="say what publishing would change, and for which open tickets")
    publish = verbs.add_parser("publish", help="make it the version that new tickets follow")
    publish.add_argument("--note", default="", help="why; kept with the version")
    publish.add_argument("--based-on", type=int, metavar="N", help="refuse if another version is active by now")
    versions = verbs.add_parser("versions", help="list versions, and how many open tickets follow each")
    restore = verbs.add_parser("restore", help="publish an earlier version anew")
    restore.add_argument("version", type=int, help="0 = built in")
    migrate = verbs.add_parser("migrate", help="bring open tickets to the active version")
    migrate.add_argument("--state", action="append", default=[], metavar="OLD=NEW", help="repeatable")
    for verb in (check, preview, publish):
        verb.add_argument("file", type=Path, help="TOML or JSON; - reads standard input")
    for verb in (export, preview, publish, versions, restore, migrate):
        verb.add_argument("--kind", required=True, choices=[kind.value for kind in TicketKind])
        verb.add_argument("--site", help="site code (default: the first site)")
    return parser


def _check(asked: argparse.Namespace) -> int:
    problems = lifecycle_edit.check(_definition(asked.file))
    for problem in problems:
        print(problem)
    if not problems:
        say("nothing stands in the way of publishing it")
    return int(bool(problems))


def _export(instance: Instance, asked: argparse.Namespace) -> int:
    def read(conn: Connection, kind: TicketKind) -> dict[str, Any]:
        return lifecycle_edit.definition(conn, kind, asked.version)

    write = lifecycle_text.to_json if asked.json else lifecycle_text.to_toml
    sys.stdout.write(write(_on_site(instance, asked, read)))
    return 0


def _preview(instance: Instance, asked: argparse.Namespace) -> int:
    definition = _definition(asked.file)
    found = _on_site(instance, asked, lambda conn, kind: lifecycle_edit.preview(conn, kind, definition))
    for line in _in_words(found):
        print(line)
    return int(bool(found.problems))


def _publish(instance: Instance, asked: argparse.Namespace) -> int:
    definition = _definition(asked.file)

    def publish(conn: Connection, kind: TicketKind) -> lifecycle_edit.Version:
        return lifecycle_edit.publish(conn, ACTOR, kind, definition, note=asked.note, based_on=asked.based_on)

    say(f"version {_on_site(instance, asked, publish).version} is what new tickets follow; open ones stay on theirs")
    return 0


def _versions(instance: Instance, asked: argparse.Namespace) -> int:
    for each in _on_site(instance, asked, lifecycle_edit.versions):
        when = f"{each.published_at:%Y-%m-%d %H:%M}" if each.published_at else "built in"
        mark = "active" if each.active else ""
        print(
            f"{each.version:>4}  {when:<16}  {mark:<6}  {each.open_tickets:>6} open  {each.published_by}  {each.note}"
        )
    return 0


def _restore(instance: Instance, asked: argparse.Namespace) -> int:
    made = _on_site(instance, asked, lambda conn, kind: lifecycle_edit.restore(conn, ACTOR, kind, asked.version))
    say(f"version {made.version} is version {asked.version} again")
    return 0


def _migrate(instance: Instance, asked: argparse.Namespace) -> int:
    states = _states(asked.state)

    def migrate(conn: Connection, kind: TicketKind) -> lifecycle_edit.Migrated:
        return lifecycle_edit.migrate(conn, ACTOR, kind, states=states, now=clock.load(conn).now())

    moved, left = 0, 1
    while left:
        part = _on_site(instance, asked, migrate)
        moved, left = moved + part.moved, part.left
    say(f"{moved:,} open tickets follow the active version now")
    return 0


DO: Mapping[str, Callable[[Instance, argparse.Namespace], int]] = {
    "export": _export,
    "preview": _preview,
    "publish": _publish,
    "versions": _versions,
    "restore": _restore,
    "migrate": _migrate,
}


def _on_site(instance: Instance, asked: argparse.Namespace, do: Callable[[Connection, TicketKind], T]) -> T:
    """What ``do`` says of the kind, in a transaction on the site."""
    with instance.database.tx() as conn:
        site_id = site_of(conn, asked.site)
    with instance.database.tx(site_id=site_id) as conn:
        return do(conn, TicketKind(asked.kind))


def _definition(path: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDefinition(f"{path} cannot be read: {error}.") from error
    return lifecycle_text.read(text)


def _states(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        old, sign, new = text.partition("=")
        if not (old and sign and new):
            raise Invalid(f"--state {text!r}: give it as OLD=NEW.")
        found[old] = new
    return found


def _in_words(found: Preview) -> Iterator[str]:
    yield from found.problems
    if found.difference is None:
        return
    if found.difference.is_empty:
        yield "Nothing changes."
    yield from (each["en"] for each in found.difference.sentences)
    yield from map(_standing, found.standings)


def _standing(each: Standing) -> str:
    refs = ", ".join(each.refs) + (" …" if each.count > len(each.refs) else "")
    return f"{each.count:,} open in {each.state} (version {each.version}): {FATES[each.fate]}. {refs}"
