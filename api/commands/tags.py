"""The verb `tag`: which tags bring which signals, also after tags or devices were renamed."""

from __future__ import annotations

import argparse

from psycopg import Connection

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core.errors import Invalid, NotFound
from core.settings import settings
from plant import assets, bindings, names


def tag(argv: list[str]) -> int:
    """List, bind, move or unbind tags."""
    asked = _parser().parse_args(argv)
    instance = instance_of(settings())
    with instance.database.tx() as conn:
        site_id = site_of(conn, asked.site)
    with instance.database.tx(site_id=site_id) as conn:
        _ACTIONS[asked.verb](conn, asked)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright tag", description="Which tags bring which signals.")
    parser.add_argument("--site", help="site code (default: the first site)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="list bound tags")
    listing.add_argument("--source", help="of this device or source alone")
    bind = verbs.add_parser("bind", help="let a tag bring a signal")
    bind.add_argument("source")
    bind.add_argument("tag")
    bind.add_argument("signal", metavar="ASSET/SIGNAL")
    bind.add_argument("--unit", help="the unit heard (default: the signal's own)")
    move = verbs.add_parser("move", help="a tag, or a device with all its tags, has another name from now on")
    move.add_argument("source")
    move.add_argument("tag", nargs="?", help="without it: every tag of the source")
    move.add_argument("--to-source", help="its new source (default: the same)")
    move.add_argument("--to-tag", help="its new name (default: the same)")
    unbind = verbs.add_parser("unbind", help="the tag brings nothing any more; signal and samples stay")
    unbind.add_argument("source")
    unbind.add_argument("tag")
    return parser


def _list(conn: Connection, asked: argparse.Namespace) -> None:
    for each in bindings.listed(conn, source=asked.source):
        print(f"{each.source:<20} {each.tag:<32} {each.asset}/{each.signal} [{each.unit}]")


def _bind(conn: Connection, asked: argparse.Namespace) -> None:
    source, tag_name = names.source(asked.source), names.tag(asked.tag)
    assets.bind(conn, source=source, tag=tag_name, signal_id=signal_of(conn, asked.signal), unit=asked.unit)
    say(f"{source} {tag_name} brings {asked.signal}; what waits in quarantine is released")
    if not bindings.is_known(conn, source):
        say(f"Nothing is registered as {source!r} yet: data come once it is (`millwright device add`, `source add`)")


def _move(conn: Connection, asked: argparse.Namespace) -> None:
    if asked.to_source is None and asked.to_tag is None:
        raise Invalid("Say the new name: --to-source, --to-tag, or both.")
    if asked.tag is None and asked.to_tag is not None:
        raise Invalid("Name the tag that becomes --to-tag: all tags of a source cannot have one name.")
    to_source = names.source(asked.to_source or asked.source)
    to_tag = None if asked.to_tag is None else names.tag(asked.to_tag)
    count = bindings.move(conn, asked.source, asked.tag, to_source=to_source, to_tag=to_tag)
    say(f"{count} tags have their new name; their signals, samples and detectors go on as before")


def _unbind(conn: Connection, asked: argparse.Namespace) -> None:
    bindings.unbind(conn, asked.source, asked.tag)
    say(f"{asked.source} {asked.tag} brings nothing any more")


_ACTIONS = {"list": _list, "bind": _bind, "move": _move, "unbind": _unbind}


def signal_of(conn: Connection, name: str) -> int:
    """The signal called ASSET/SIGNAL. Raises NotFound."""
    asset_code, _, code = name.partition("/")
    asset = assets.asset_by_code(conn, asset_code)
    for each in assets.signals(conn, asset.asset_id):
        if each.code == code:
            return each.signal_id
    raise NotFound(f"{asset_code!r} has no signal {code!r}. Name it as ASSET/SIGNAL.")
