"""The verb `rules`: rules as text in a repository, and their dry run over the recorded history."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from psycopg import Connection

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core import clock
from core.database import use_site
from core.errors import Invalid, NotFound
from core.settings import settings
from tickets.model import Actor, ActorKind
from tickets.rules import exchange, forms, rehearsal, store
from tickets.rules.exchange import Difference, Prune, What
from tickets.rules.model import Definition
from tickets.rules.rehearsal import Report

SIGN = {What.NEW: "+", What.CHANGED: "~", What.SAME: " ", What.ONLY_HERE: "?"}
DIFFERENT = 3  # exit code of `diff` and `test` when there is something to see


def rules(argv: list[str]) -> int:
    """Run one verb. 0 = fine; `diff` answers 3 where text and site differ, `test` where a rule fails on some event."""
    asked = _parser().parse_args(argv)
    if asked.verb == "check":
        return _check(asked)
    with instance_of(settings()).database.tx() as conn:
        use_site(conn, site_of(conn, asked.site))
        run: Callable[[Connection, argparse.Namespace], int] = {
            "export": _export,
            "diff": _diff,
            "apply": _apply,
            "test": _test,
        }[asked.verb]
        return run(conn, asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright rules", description="Rules as text, and their dry run.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    export = verbs.add_parser("export", help="write the site's rules as TOML")
    export.add_argument("file", nargs="?", type=Path, help="where to (default: standard output)")
    check = verbs.add_parser("check", help="read a file and say what is wrong; needs no running instance")
    check.add_argument("file", type=Path)
    diff = verbs.add_parser("diff", help="what applying a file would change; exit code 3 when something would")
    diff.add_argument("file", type=Path)
    apply = verbs.add_parser("apply", help="make the site's rules what a file says; again: nothing changes")
    apply.add_argument("file", type=Path)
    apply.add_argument("--prune", action="store_true", help="retire rules that the file does not name")
    apply.add_argument("--note", default="", help="why, for the rules' own history")
    test = verbs.add_parser("test", help="dry run over the recorded history; exit code 3 when an expression failed")
    test.add_argument("file", nargs="?", type=Path, help="rules of a file (default: those of the site)")
    test.add_argument("--days", type=int, default=90, help="how far back (default: 90)")
    test.add_argument("--rule", help="only this one, by its code")
    for each in (export, diff, apply, test):
        each.add_argument("--site", help="site code (default: the first site)")
    return parser


def _export(conn: Connection, asked: argparse.Namespace) -> int:
    text = exchange.export(conn)
    if asked.file is None:
        sys.stdout.write(text)
    else:
        asked.file.write_text(text, "utf-8")
        say(f"wrote {asked.file}")
    return 0


def _check(asked: argparse.Namespace) -> int:
    entries = exchange.read(_read(asked.file))
    say(f"{len(entries)} rules, all good")
    return 0


def _diff(conn: Connection, asked: argparse.Namespace) -> int:
    found = exchange.diff(conn, _read(asked.file))
    _show(found)
    return DIFFERENT if any(each.what in (What.NEW, What.CHANGED) for each in found) else 0


def _apply(conn: Connection, asked: argparse.Namespace) -> int:
    actor = Actor(ActorKind.SYSTEM, None, "command line")
    prune = Prune.RETIRE if asked.prune else Prune.KEEP
    now = clock.load(conn).now()
    changed = exchange.apply(conn, actor, _read(asked.file), prune=prune, now=now, note=asked.note)
    _show(changed)
    say(f"{len(changed)} rules changed" if changed else "nothing to change")
    return 0


def _test(conn: Connection, asked: argparse.Namespace) -> int:
    now = clock.load(conn).now()
    failed = 0
    for definition in _wanted(conn, asked):
        report = rehearsal.rehearse(conn, definition, days=asked.days, now=now)
        _tell(definition.code, report)
        failed += report.errors
    return DIFFERENT if failed else 0


def _wanted(conn: Connection, asked: argparse.Namespace) -> list[Definition]:
    if asked.file is not None:
        found = [entry.parsed for entry in exchange.read(_read(asked.file))]
    else:
        found = [forms.parse(kept.code, kept.form, kept.definition) for kept in store.every(conn)]
    if asked.rule is None:
        return found
    chosen = [definition for definition in found if definition.code == asked.rule]
    if not chosen:
        raise NotFound(f"There is no rule {asked.rule!r}.")
    return chosen


def _tell(code: str, report: Report) -> None:
    refused = f", {report.refused} steps held" if report.refused else ""
    cut = "" if report.complete else " (cut short: it took too long)"
    print(
        f"{code}: {report.matched} of {report.asked} events in {report.days} days, {len(report.tickets)} tickets, "
        f"{report.errors} errors{refused}{cut}"
    )
    for example in report.examples[:5]:
        print(f"    {example.at:%Y-%m-%d %H:%M}  {example.ref}  {example.event}  {example.title}")
    for example in report.failures[:3]:
        print(f"    failed at {example.ref} #{example.seq}: {example.sentence}")


def _show(differences: Sequence[Difference]) -> None:
    for each in differences:
        print(f"{SIGN[each.what]} {each.code} ({each.what})")
        for line in each.lines:
            print(f"    {line}")
        for warning in each.warnings:
            print(f"    note: {warning}")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from error
