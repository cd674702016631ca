"""The verbs `assets` and `library`: a plant's machines from a table, and what they can suffer from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg import Connection

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core.database import use_site
from core.errors import ConfigError
from core.settings import settings
from maintenance import libraries, library
from plant import export_rows, import_store, import_table
from plant.import_signals import SignalRow
from plant.importing import AssetRow, Change, Plan
from tickets import export, export_xlsx
from tickets.export import Column, Table

ZONE = ZoneInfo("UTC")


def assets(argv: list[str]) -> int:
    """Import or export assets. Exit code 1 when a dry run found problems."""
    asked = _parser().parse_args(argv)
    with instance_of(settings()).database.tx() as conn:
        use_site(conn, site_of(conn, asked.site))
        return _import(conn, asked) if asked.verb == "import" else _export(conn, asked)


def library_verb(argv: list[str]) -> int:
    """Check a library file; exit code 1, with everything that is wrong, when it does not fit."""
    parser = argparse.ArgumentParser(prog="millwright library", description="Failure-mode libraries.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    check = verbs.add_parser("check", help="read a library file and say what is in it; needs no database")
    check.add_argument("file", type=Path)
    made = library.read(parser.parse_args(argv).file)
    say(f"{made.asset_class} ({made.name['en']} / {made.name['zh']}): {len(made.modes)} failure modes")
    for each in made.modes:
        say(f"  {each.code:<24} {each.iso_mode}  {each.mechanism:<32} {len(each.symptoms)} signals  {each.name['zh']}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright assets", description="A plant's assets as a table.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    take = verbs.add_parser("import", help="assets and signals from CSV or Excel, all or nothing; again: no change")
    take.add_argument("file", type=Path)
    take.add_argument("--dry-run", action="store_true", help="only say what would happen; exit code 1 on problems")
    write = verbs.add_parser("export", help="all assets and signals in the form that the import reads")
    write.add_argument("file", type=Path, help="ends in .csv or .xlsx")
    write.add_argument("--locale", choices=("en", "zh"), default="en")
    for each in (take, write):
        each.add_argument("--site", help="site code (default: the first site)")
    return parser


def _import(conn: Connection, asked: argparse.Namespace) -> int:
    if not asked.file.is_file():
        raise ConfigError(f"There is no file {asked.file}.")
    rows = import_table.read(asked.file)
    made = import_store.look(conn, rows, libraries.described(conn))
    for each in made.problems:
        print(f"row {each.row}, {each.column or 'table'}: {each.message['en']}", file=sys.stderr)
    if made.problems:
        say(f"{len(made.problems):,} problems; nothing was changed")
        return 1
    if not asked.dry_run:
        made = import_store.apply(conn, rows, libraries.described(conn))
    _tell(made, "would be " if asked.dry_run else "")
    return 0


def _tell(made: Plan, would: str) -> None:
    for item in made.items:
        if item.change is not Change.UNCHANGED:
            name = f"{item.asset} {item.signal or ''}".strip()
            say(f"  row {item.row}: {name} {would}{item.change}: {', '.join(item.fields)}")
    for what, kind in (("assets", AssetRow), ("signals", SignalRow)):
        counted = ", ".join(f"{made.count(change, kind):,} {would}{change}" for change in Change)
        say(f"{what}: {counted}")


def _export(conn: Connection, asked: argparse.Namespace) -> int:
    columns = [Column(head, head) for head in export_rows.heads(asked.locale)]
    table = Table("Assets", columns, export_rows.rows(import_store.known(conn, ())))
    workbook = asked.file.suffix.lower() == ".xlsx"
    made = export_xlsx.xlsx(table, zone=ZONE) if workbook else export.csv_file(table, zone=ZONE, bom=export.BOM)
    asked.file.write_bytes(made)
    say(f"wrote {asked.file}")
    return 0
