"""What the verb `source` and the routes of sources share: check, keep secrets aside, trust, browse, accept."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from core.errors import Conflict, Invalid
from edge.errors import SourceConfig
from edge.kinds import Kind, check_url, kinds
from edge.sources import opcua
from plant import proposals, sources
from plant.proposals import Accepted, Proposal
from plant.sources import Source

SECRETS = Path("pki") / "secrets"
FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class SourceRefused(Conflict):
    """The server, or what is known of it, does not allow this now."""

    code = "source_refused"


class NotBrowsable(Invalid):
    """Sources of this kind cannot be browsed: they offer their tags by themselves."""

    code = "not_browsable"


@dataclass(frozen=True, slots=True)
class Browsed:
    """What a walk found. ``cut`` names the limit that ended it, "" when it saw everything."""

    tags: int
    looked_at: int
    cut: str


def kind_of(name: str) -> Kind:
    """The module of a kind. Raises Invalid."""
    found = kinds().get(name)
    if found is None:
        raise Invalid(f"There is no kind of source {name!r}. Known are: {', '.join(kinds())}.")
    return found


def check(kind: str, url: str, config: Mapping[str, Any]) -> None:
    """Raises Invalid with what does not fit."""
    module = kind_of(kind)
    try:
        check_url(module, url)
        module.options(config)
    except SourceConfig as error:
        raise Invalid(error.message) from error


def keep_secret(folder: Path, site: str, name: str, password: str) -> str:
    """Write a password into a file of its own (0600) under the data directory; returns the path for `password_file`."""
    path = SECRETS / f"{site}.{name}"
    (folder / SECRETS).mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = (folder / path).with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(password)
    fresh.replace(folder / path)
    return str(path)


def certificate(source: Source) -> Any:
    """The certificate that an OPC UA server shows now (``edge.opcua.pki.Shown``). Raises SourceRefused, ServerAway."""
    options = _opcua(source)
    session = importlib.import_module("edge.opcua.session")  # loads asyncua, some 40 MB, when it is needed
    session.quiet()
    try:
        return asyncio.run(session.shown(source.url, options))
    except SourceConfig as error:
        raise SourceRefused(error.message) from error


def trust(conn: Connection, source: Source, fingerprint: str) -> None:
    """Accept the certificate with this fingerprint from now on. Raises Invalid."""
    plain = re.sub(r"[\s:]", "", fingerprint).lower()
    if not FINGERPRINT.fullmatch(plain):
        raise Invalid("A certificate is named by its SHA-256 fingerprint: 64 hexadecimal digits.")
    sources.trust(conn, source.name, plain)


def browse(conn: Connection, source: Source, folder: Path, *, under: str | None, seconds: float) -> Browsed:
    """Walk a server's tree, propose a place for each number in it. Raises SourceRefused, NotBrowsable, ServerAway."""
    options = _opcua(source)
    walk = importlib.import_module("edge.opcua.browse")
    try:
        found = walk.browse(
            source.url, options, folder, name=source.name, under=under, limits=walk.Limits(seconds=seconds)
        )
    except SourceConfig as error:
        raise SourceRefused(error.message) from error
    proposals.put(conn, found.offers, source=source.name)
    return Browsed(len(found.offers), found.looked_at, found.cut)


def accept(conn: Connection, wanted: Sequence[Proposal], *, create_assets: bool) -> tuple[Accepted, int]:
    """Bind the tags, and subscribe to their nodes; returns what was made, and how many nodes are new."""
    made = proposals.accept(conn, wanted, create_assets=create_assets)
    known = {each.name for each in sources.listed(conn)}
    nodes: dict[str, dict[str, str]] = {}
    for each in wanted:
        if each.node_id is not None and each.source in known:
            nodes.setdefault(each.source, {})[each.tag] = each.node_id
    return made, sum(sources.add_nodes(conn, name, found) for name, found in nodes.items())


def _opcua(source: Source) -> opcua.Options:
    if source.kind != opcua.NAME:
        raise NotBrowsable
    try:
        return opcua.options(source.config)
    except SourceConfig as error:
        raise SourceRefused(error.message) from error
