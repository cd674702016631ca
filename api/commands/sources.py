"""The verb for servers that ingest connects to by itself: add, trust, browse, propose, accept."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from api import sources as doors
from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core.errors import Invalid
from core.settings import settings
from edge.kinds import kinds
from edge.sources import opcua
from plant import names, proposals, sources
from plant.proposals import Proposal

BROWSE_S = 120.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What a verb works with: a transaction on the site."""

    conn: Connection
    folder: Path
    site: str


def source(argv: list[str]) -> int:
    """Connect to OPC UA servers and others, choose what is heard of them."""
    arguments = _parser().parse_args(argv)
    instance = instance_of(settings())
    with instance.database.tx() as conn:
        site_id = site_of(conn, arguments.site)
    with instance.database.tx(site_id=site_id) as conn:
        row = conn.execute("select code from sites where site_id = %s", (site_id,)).fetchone()
        done: Callable[[Desk, argparse.Namespace], None] = arguments.run
        done(Desk(conn, instance.data_dir, str(row[0]) if row else ""), arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="millwright source", description="Servers that ingest connects to.")
    parser.add_argument("--site", help="site code (default: the first site)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    _add_arguments(verbs.add_parser("add", help="connect to a server"))
    remove = verbs.add_parser("remove", help="forget a source; its samples stay")
    remove.add_argument("name")
    remove.set_defaults(run=_remove)
    verbs.add_parser("list", help="list sources, and how they do").set_defaults(run=_list)
    trust = verbs.add_parser("trust", help="show an OPC UA server's certificate, and accept it")
    trust.add_argument("name")
    trust.add_argument("--fingerprint", help="accept this one, as compared at the server; else you are asked")
    trust.set_defaults(run=_trust)
    browse = verbs.add_parser("browse", help="walk an OPC UA server's tree and propose where its tags belong")
    browse.add_argument("name")
    browse.add_argument("--under", help="only below this path (Line 1/P-101) or node id")
    browse.set_defaults(run=_browse)
    propose = verbs.add_parser("propose", help="show where a source's tags may belong, guessed anew")
    propose.add_argument("name")
    propose.set_defaults(run=_propose)
    _accept_arguments(verbs.add_parser("accept", help="bind proposed tags and subscribe to their nodes"))
    return parser


def _add_arguments(add: argparse.ArgumentParser) -> None:
    add.add_argument("name", help="what the server is called here")
    add.add_argument("url", help="opc.tcp://host:4840/…")
    add.add_argument("--kind", choices=sorted(kinds()), default=opcua.NAME, help="default: opcua")
    add.add_argument("--node", action="append", default=[], metavar="TAG=NODE_ID", help="repeatable; temp=ns=2;s=Temp")
    add.add_argument("--security", metavar="POLICY[:MODE]", help=f"{', '.join(opcua.POLICIES)}; mode {opcua.MODES[0]}")
    add.add_argument("--allow-none", action="store_true", help="accept a server without security")
    add.add_argument("--user", help="sign in; the password is asked for, or read from --password-file")
    add.add_argument(
        "--password-file", type=Path, help="a file with the password; it is copied into the data directory"
    )
    add.add_argument("--user-certificate", type=Path, metavar="FILE", help="sign in with a certificate (.der or .pem)")
    add.add_argument("--user-key", type=Path, metavar="FILE", help="its private key (.pem)")
    add.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="any further key of the kind")
    add.add_argument("--replace", action="store_true", help="change the source of this name")
    add.set_defaults(run=_add)


def _accept_arguments(accept: argparse.ArgumentParser) -> None:
    accept.add_argument("name")
    accept.add_argument("tags", nargs="*", metavar="TAG", help="these tags")
    accept.add_argument("--all", action="store_true", help="every proposal")
    accept.add_argument("--min-confidence", type=float, help="every proposal that is at least so sure, 0 to 1")
    accept.add_argument("--asset", help="code of the asset that they belong to, instead of the guessed ones")
    accept.add_argument("--create-assets", action="store_true", help="make assets that are missing")
    accept.set_defaults(run=_accept)


def _add(desk: Desk, arguments: argparse.Namespace) -> None:
    names.source(arguments.name)
    config = config_of(arguments)
    if arguments.user:
        config |= {"user": arguments.user, "password_file": _password(desk, arguments)}
    doors.check(arguments.kind, arguments.url, config)
    keep = sources.put if arguments.replace else sources.add
    keep(desk.conn, name=arguments.name, kind=arguments.kind, url=arguments.url, config=config)
    say(f"{arguments.name}: {len(config.get('nodes', []))} nodes; unbound tags wait in the console under Quarantine")
    if "security" in config:
        say(f"Next: `millwright source trust {arguments.name}`, then `millwright source browse {arguments.name}`")


def _remove(desk: Desk, arguments: argparse.Namespace) -> None:
    sources.remove(desk.conn, arguments.name)
    say(f"{arguments.name} is forgotten")


def _list(desk: Desk, _arguments: argparse.Namespace) -> None:
    standings = sources.standings(desk.conn)
    for each in sources.listed(desk.conn):
        standing = standings.get(each.name)
        state = standing.state if standing else "not tried yet"
        print(f"{each.name:<24} {each.kind:<10} {each.url}  {len(each.config.get('nodes', []))} nodes  {state}")
        if standing and standing.detail:
            print(f"{'':<24} {standing.detail}")


def _trust(desk: Desk, arguments: argparse.Namespace) -> None:
    found = sources.get(desk.conn, arguments.name)
    if arguments.fingerprint:
        doors.trust(desk.conn, found, arguments.fingerprint)
        say(f"{found.name}: accepted")
        return
    shown = doors.certificate(found)
    print(f"The server at {found.url} shows this certificate:")
    print(
        f"  subject      {shown.subject}\n  issuer       {shown.issuer}\n  application  {', '.join(shown.uris) or '-'}"
    )
    print(
        f"  valid        {shown.not_before:%Y-%m-%d} to {shown.not_after:%Y-%m-%d}\n  SHA-256      {shown.fingerprint}"
    )
    if shown.fingerprint in found.config.get("trusted", []):
        say("It is accepted already")
        return
    if input("Compare the fingerprint at the server. Accept it? Type yes: ").strip().lower() != "yes":
        raise Invalid("Nothing was accepted.")
    doors.trust(desk.conn, found, shown.fingerprint)
    say(f"{found.name}: accepted; another certificate will be refused")


def _browse(desk: Desk, arguments: argparse.Namespace) -> None:
    found = sources.get(desk.conn, arguments.name)
    done = doors.browse(desk.conn, found, desk.folder, under=arguments.under, seconds=BROWSE_S)
    say(f"{done.tags} numeric variables among {done.looked_at} nodes")
    if done.cut:
        say(f"The walk ended early (limit: {done.cut}); use --under to look at a part")
    _show(proposals.listed(desk.conn, source=found.name))


def _propose(desk: Desk, arguments: argparse.Namespace) -> None:
    proposals.refresh(desk.conn, arguments.name)
    _show(proposals.listed(desk.conn, source=arguments.name))


def _accept(desk: Desk, arguments: argparse.Namespace) -> None:
    found = proposals.listed(desk.conn, source=arguments.name)
    wanted = [proposals.edited(each, asset_code=arguments.asset) for each in _wanted(found, arguments)]
    made, nodes = doors.accept(desk.conn, wanted, create_assets=arguments.create_assets)
    say(f"{len(wanted)} tags bound; new: {made.made_assets} assets, {made.made_signals} signals, {nodes} nodes")


def _wanted(found: Sequence[Proposal], arguments: argparse.Namespace) -> list[Proposal]:
    """Those that the options name. Raises Invalid."""
    if bool(arguments.tags) + arguments.all + (arguments.min_confidence is not None) != 1:
        raise Invalid("Say which: TAG …, --all, or --min-confidence 0.8.")
    if arguments.tags:
        missing = set(arguments.tags) - {each.tag for each in found}
        if missing:
            raise Invalid(f"There is no open proposal for {min(missing)!r}. See `millwright source propose`.")
        return [each for each in found if each.tag in set(arguments.tags)]
    least = arguments.min_confidence or 0.0
    return [each for each in found if each.confidence >= least]


def _show(found: Sequence[Proposal]) -> None:
    for each in found:
        place = f"{each.asset_code or '?'}{' (new)' if each.asset_id is None else ''}/{each.signal_code}"
        why = ", ".join(each.reasons)
        print(f"{each.confidence:>5.2f}  {each.tag:<48} → {place:<40} {each.quantity} [{each.unit}]  {why}")
    say(f"{len(found)} proposals; take them with `millwright source accept NAME --min-confidence 0.8`")


def _password(desk: Desk, arguments: argparse.Namespace) -> str:
    if arguments.password_file is None:
        password = getpass.getpass(f"Password of {arguments.user}: ")
    else:
        try:
            password = arguments.password_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"--password-file {arguments.password_file}: {error}") from error
    return doors.keep_secret(desk.folder, desk.site, arguments.name, password)


def config_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The source's configuration from the options. Raises Invalid."""
    config: dict[str, Any] = {}
    if arguments.kind == opcua.NAME:
        config["nodes"] = [_node(text) for text in arguments.node]
    if arguments.allow_none:
        config["allow_none"] = True
    if arguments.security:
        policy, _, mode = arguments.security.partition(":")
        config["security"] = {"policy": policy, "mode": mode or opcua.MODES[0]}
    if arguments.user_certificate:
        config["user_certificate_file"] = str(arguments.user_certificate.resolve())
        config["user_key_file"] = str(arguments.user_key.resolve()) if arguments.user_key else None
    return config | dict(_setting(text) for text in arguments.set)


def _node(text: str) -> dict[str, str]:
    tag, mark, node_id = text.partition("=")
    if not (tag and mark and node_id):
        raise Invalid(f"--node {text!r}: give it as TAG=NODE_ID, for example temp=ns=2;s=Temp.")
    return {"node_id": node_id, "tag": tag}


def _setting(text: str) -> tuple[str, Any]:
    key, mark, value = text.partition("=")
    try:
        if not (key and mark):
            raise ValueError("no value")
        return key, json.loads(value)
    except ValueError as error:
        raise Invalid(f"--set {text!r}: give it as KEY=JSON, for example silence_s=5. {error}") from error
