"""The verb for servers that ingest connects to by itself."""

from __future__ import annotations

import argparse
from typing import Any

from api.commands.parts import instance_of, say
from api.commands.people import site_of
from core.errors import Invalid
from core.settings import settings
from edge.sources import opcua
from plant import sources


def source(argv: list[str]) -> int:
    """Connect to an OPC UA server, list sources, or forget one."""
    parser = argparse.ArgumentParser(prog="millwright source", description="Servers that ingest connects to.")
    parser.add_argument("--site", help="site code (default: the first site)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="subscribe to nodes of an OPC UA server")
    add.add_argument("name", help="what the server is called here")
    add.add_argument("url", help="opc.tcp://host:4840/…")
    add.add_argument("--node", action="append", default=[], metavar="TAG=NODE_ID", help="repeatable; temp=ns=2;s=Temp")
    add.add_argument("--security", help="Policy,Mode,certificate,key as asyncua takes it")
    add.add_argument("--allow-none", action="store_true", help="accept a server without security")
    remove = verbs.add_parser("remove", help="forget a source; its samples stay")
    remove.add_argument("name")
    verbs.add_parser("list", help="list sources")
    arguments = parser.parse_args(argv)
    instance = instance_of(settings())
    config = opcua_config(arguments) if arguments.verb == "add" else {}
    with instance.database.tx() as conn:
        site_id = site_of(conn, arguments.site)
    with instance.database.tx(site_id=site_id) as conn:
        if arguments.verb == "add":
            sources.put(conn, name=arguments.name, kind=opcua.NAME, url=arguments.url, config=config)
            say(f"{arguments.name}: {len(config['nodes'])} nodes; unbound tags wait in the console under Quarantine")
        elif arguments.verb == "remove":
            sources.remove(conn, arguments.name)
            say(f"{arguments.name} is forgotten")
        for each in sources.listed(conn) if arguments.verb == "list" else []:
            print(f"{each.name:<24} {each.kind:<8} {each.url}  {len(each.config.get('nodes', []))} nodes")
    return 0


def opcua_config(arguments: argparse.Namespace) -> dict[str, Any]:
    """The source's configuration from the options. Raises Invalid, SourceConfig."""
    nodes = []
    for text in arguments.node:
        tag, mark, node_id = text.partition("=")
        if not (tag and mark and node_id):
            raise Invalid(f"--node {text!r}: give it as TAG=NODE_ID, for example temp=ns=2;s=Temp.")
        nodes.append({"node_id": node_id, "tag": tag})
    config: dict[str, Any] = {"nodes": nodes}
    if arguments.allow_none:
        config["allow_none"] = True
    if arguments.security:
        config["security"] = arguments.security
    opcua.options(config)
    return config
