"""The verb `evidence`: packs that prove why an order was opened and that its repair held, without this system."""

from __future__ import annotations

import argparse
import tempfile
from datetime import datetime
from pathlib import Path

from psycopg import Connection

from api.commands.audit import seal_of
from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core import clock
from core.errors import Invalid
from core.settings import settings
from maintenance import evidence_pack, evidence_seal
from plant import assets
from tickets import store

HEX = set("0123456789abcdef")
KEY_DIGITS = 64


def evidence(argv: list[str]) -> int:
    """Run one verb. `verify` answers 0 when the pack is whole, else 1 with each problem in a sentence."""
    asked = _parser().parse_args(argv)
    return {"verify": _verify, "pack": _pack, "key": _key}[asked.verb](asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright evidence", description="Packs of evidence.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser("verify", help="is the pack whole? needs no database; exit code 1 on a problem")
    verify.add_argument("file", type=Path)
    verify.add_argument("--key", help="the plant's public key as it was noted elsewhere (`millwright evidence key`)")
    verify.add_argument(
        "--expect", metavar="NUMBER:HASH", help="a root as it was noted elsewhere (`millwright audit verify`)"
    )
    pack = verbs.add_parser("pack", help="write the pack of an order, or of a machine's year")
    what = pack.add_mutually_exclusive_group(required=True)
    what.add_argument("--order", metavar="REF")
    what.add_argument("--asset", metavar="CODE", help="with --year")
    pack.add_argument("--year", type=int)
    pack.add_argument("--site", help="site code (default: the first site)")
    pack.add_argument("--out", type=Path, help="folder to write to (default: this one)", default=Path())
    verbs.add_parser("key", help="print the public key that packs and roots of this instance are signed with")
    return parser


def _verify(asked: argparse.Namespace) -> int:
    try:
        content = asked.file.read_bytes()
    except OSError as error:
        raise Invalid(f"{asked.file} cannot be read: {error.strerror}") from error
    if asked.key is not None and (len(asked.key) != KEY_DIGITS or not set(asked.key) <= HEX):
        raise Invalid("--key is 64 hexadecimal digits, as `millwright evidence key` prints them.")
    anchor = None if asked.expect is None else _noted(asked.expect)
    found = evidence_seal.check(content, key=asked.key, anchor=anchor)
    for problem in found.problems:
        print(problem)
    for note in found.notes:
        say(note)
    say(f"{len(found.problems):,} problems" if found.problems else "everything is as it was sealed")
    return int(bool(found.problems))


def _pack(asked: argparse.Namespace) -> int:
    if (asked.asset is None) != (asked.year is None):
        raise Invalid("--asset and --year go together.")
    instance = instance_of(settings())
    evidence_pack.sign_with(seal_of(instance))
    with instance.database.tx() as conn:
        site_id = site_of(conn, asked.site)
    with instance.database.tx(site_id=site_id) as conn:
        now = clock.load(conn).now()
        if asked.order is not None:
            made = evidence_pack.order(conn, store.by_ref(conn, asked.order), now=now)
            path = asked.out / made.name
            path.write_bytes(made.content)
        else:
            path = _year(conn, asked, now)
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def _year(conn: Connection, asked: argparse.Namespace, now: datetime) -> Path:
    """The pack of a machine's year, under its name once it is whole."""
    asset_id = assets.asset_by_code(conn, asked.asset).asset_id
    with tempfile.NamedTemporaryFile(dir=asked.out, prefix=".pack-", delete=False) as out:
        part = Path(out.name)
        try:
            name = evidence_pack.asset_year(conn, asset_id, asked.year, out, now=now)
        except BaseException:
            part.unlink()
            raise
    part.chmod(0o644)
    found: Path = asked.out / name
    return part.rename(found)


def _key(asked: argparse.Namespace) -> int:  # noqa: ARG001 - the form of a verb
    print(seal_of(instance_of(settings())).public)
    return 0


def _noted(text: str) -> tuple[int, str]:
    seq, _, digest = text.partition(":")
    if not (seq.isdigit() and len(seq) < 10 and len(digest) >= 8 and set(digest) <= HEX):
        raise Invalid(f"--expect {text!r}: give it as NUMBER:HASH, with at least eight digits of the hash.")
    return int(seq), digest
