"""The verb `plans`: job plans and plans as text in a repository."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from psycopg import Connection

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core import clock
from core.database import use_site
from core.errors import Invalid
from core.settings import settings
from maintenance import plans_text
from maintenance.plans_text import Difference, What

SIGN = {What.NEW: "+", What.CHANGED: "~", What.SAME: " "}
DIFFERENT = 3  # exit code of `diff` when something would change


def plans(argv: list[str]) -> int:
    """Run one verb. 0 = fine; `diff` answers 3 where text and site differ."""
    asked = _parser().parse_args(argv)
    run = {"export": _export, "diff": _diff, "apply": _apply}[asked.verb]
    with instance_of(settings()).database.tx() as conn:
        use_site(conn, site_of(conn, asked.site))
        return run(conn, asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright plans", description="Job plans and preventive plans as text.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    export = verbs.add_parser("export", help="write the site's job plans and plans as TOML")
    export.add_argument("file", nargs="?", type=Path, help="where to (default: standard output)")
    diff = verbs.add_parser("diff", help="what applying a file would change; exit code 3 when something would")
    diff.add_argument("file", type=Path)
    apply = verbs.add_parser("apply", help="make the plans that a file names what it says; again: nothing changes")
    apply.add_argument("file", type=Path)
    for each in (export, diff, apply):
        each.add_argument("--site", help="site code (default: the first site)")
    return parser


def _export(conn: Connection, asked: argparse.Namespace) -> int:
    text = plans_text.export(conn)
    if asked.file is None:
        sys.stdout.write(text)
    else:
        asked.file.write_text(text, "utf-8")
        say(f"wrote {asked.file}")
    return 0


def _diff(conn: Connection, asked: argparse.Namespace) -> int:
    found = plans_text.diff(conn, _read(asked.file))
    _show(found)
    return DIFFERENT if any(each.what is not What.SAME for each in found) else 0


def _apply(conn: Connection, asked: argparse.Namespace) -> int:
    changed = plans_text.apply(conn, _read(asked.file), by_name="command line", now=clock.load(conn).now())
    _show(changed)
    say(f"{len(changed)} changed" if changed else "nothing to change")
    return 0


def _show(differences: Sequence[Difference]) -> None:
    for each in differences:
        print(f"{SIGN[each.what]} {each.name} ({each.what})")
        for line in each.lines:
            print(f"    {line}")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from error
