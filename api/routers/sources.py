"""Servers that ingest connects to by itself, and the tags that sources offer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Path as InPath
from fastapi import Query
from pydantic import Field, JsonValue
from starlette.requests import Request

from api import sources as doors
from api.deps import Context, Ctx, router
from api.policies import allow
from api.routers.assets import Quantity, SignalCode, Unit
from api.shapes import Change, Code, Cursor, Id, Input, Limit, Moment, Number, Output, Page, Ref, page, position
from core import live
from core.errors import Invalid
from plant import assets as tree
from plant import proposals, sources
from plant.proposals import Proposal
from plant.sources import Source, Standing

routes = router("sources")
READ, EDIT = [allow("source.read")], [allow("source.edit")]
BROWSE_S = 15.0
MOST_IDS = 10_000
FILES = ("password_file", "user_certificate_file", "user_key_file")  # paths on the server's disk

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["line-3"])]
InName = Annotated[str, InPath(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Url = Annotated[str, Field(min_length=1, max_length=500, examples=["opc.tcp://10.0.0.7:4840/"])]
Config = Annotated[
    dict[str, JsonValue],
    Field(
        max_length=100,
        description="The keys of the kind, see docs/telemetry.md.",
        examples=[{"nodes": [], "security": {"policy": "Basic256Sha256", "mode": "SignAndEncrypt"}}],
    ),
]
Password = Annotated[str, Field(min_length=1, max_length=500, description="Kept in a file of its own, never shown.")]
ProposalId = Annotated[int, Field(ge=1, le=2**53)]
SourceFilter = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Of one source alone.")]


class SourceShown(Output):
    """``config`` without its nodes and without paths of secrets; ``state`` is null before ingest has tried."""

    name: str
    kind: str
    url: str
    enabled: bool
    nodes: int
    config: dict[str, JsonValue]
    has_password: bool
    state: str | None
    detail: str
    last_heard_at: Moment | None
    last_sample_at: Moment | None


class NewSource(Input):
    name: Name
    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$", examples=["opcua"])] = "opcua"
    url: Url
    config: Config
    password: Password | None = None


class SourceChange(Change):
    """Of ``config`` the keys that are named change; null takes one away."""

    url: Url | None = None
    config: Config | None = None
    enabled: bool | None = None
    password: Password | None = None


class Certificate(Output):
    """The certificate that the server shows now. Compare the fingerprint at the server before you accept it."""

    fingerprint: str
    subject: str
    issuer: str
    uris: list[str]
    not_before: Moment
    not_after: Moment
    trusted: bool


class Trust(Input):
    fingerprint: Annotated[str, Field(min_length=64, max_length=200)]


class Browse(Input):
    under: Annotated[str | None, Field(max_length=500, examples=["Line 1/P-101"])] = None


class Browsed(Output):
    """How many numeric variables were found and proposed. ``cut``: the limit that ended the walk early."""

    tags: int
    looked_at: int
    cut: Literal["", "nodes", "time"]


class ProposalShown(Output):
    """A tag that waits for a decision. ``asset_id`` null: accepting would make the asset ``asset_code``."""

    proposal_id: int
    source: str
    tag: str
    node_id: str | None
    path: str
    data_type: str
    description: str
    heard_unit: str
    quantity: str
    unit: str
    low: float | None
    high: float | None
    asset_id: int | None
    asset_code: str
    signal_code: str
    confidence: float
    reasons: list[str]
    seen_at: Moment


class Edit(Input):
    """What a person says instead of the guess."""

    asset_code: Code | None = None
    signal_code: SignalCode | None = None
    quantity: Quantity | None = None
    unit: Unit | None = None


class Accept(Input):
    """Either ``ids``, or everything of ``source`` that is at least so sure."""

    ids: Annotated[list[ProposalId] | None, Field(max_length=MOST_IDS)] = None
    source: Name | None = None
    min_confidence: Annotated[Number, Field(ge=0, le=1)] = 0.8
    asset_code: Code | None = None
    edits: Annotated[
        dict[str, Edit], Field(max_length=MOST_IDS, default_factory=dict, description="proposal id → changes")
    ]
    create_assets: bool = False


class AcceptedShown(Output):
    """What was made. ``signals``: tag → signal id."""

    accepted: int
    assets: int
    new_signals: int
    nodes: int
    signals: dict[str, Ref]


class CodeShown(Output):
    """A stretch in which a tag's status code was not plain good; ``until_at`` null: it lasts."""

    source: str
    tag: str
    code: int
    name: str
    from_at: Moment
    until_at: Moment | None


class Dismiss(Input):
    ids: Annotated[list[ProposalId], Field(min_length=1, max_length=MOST_IDS)]


class Dismissed(Output):
    dismissed: int


@routes.get("/sources", dependencies=READ)
def list_sources(ctx: Ctx) -> Page[SourceShown]:
    """Configured sources by name, with how they do."""
    standings = sources.standings(ctx.conn)
    return Page(items=[_shown(each, standings.get(each.name)) for each in sources.listed(ctx.conn)])


@routes.post("/sources", status_code=201, dependencies=EDIT)
def add_source(ctx: Ctx, request: Request, body: NewSource) -> SourceShown:
    """Connect to a server; ingest begins within seconds."""
    config = _with_password(ctx, request, body.name, _plain(body.config), body.password)
    doors.check(body.kind, body.url, config)
    sources.add(ctx.conn, name=body.name, kind=body.kind, url=body.url, config=config)
    return _one(ctx, body.name)


@routes.patch("/sources/{name}", dependencies=EDIT)
def change_source(ctx: Ctx, request: Request, name: InName, body: SourceChange) -> SourceShown:
    """Change a source; ingest connects anew, and what it misses meanwhile is read from history."""
    found = sources.get(ctx.conn, name)
    merged = {**found.config, **_plain(body.config or {})}
    config = {key: value for key, value in merged.items() if value is not None}
    config = _with_password(ctx, request, name, config, body.password)
    doors.check(found.kind, body.url or found.url, config)
    sources.change(ctx.conn, name, url=body.url, config=config, enabled=body.enabled)
    return _one(ctx, name)


@routes.delete("/sources/{name}", status_code=204, dependencies=EDIT)
def remove_source(ctx: Ctx, name: InName) -> None:
    """Forget a source; its samples and bindings stay."""
    sources.remove(ctx.conn, name)


@routes.post("/sources/{name}/certificate", dependencies=EDIT)
def server_certificate(ctx: Ctx, name: InName) -> Certificate:
    """Ask the server for its certificate."""
    found = sources.get(ctx.conn, name)
    shown = doors.certificate(found)
    trusted = shown.fingerprint in found.config.get("trusted", [])
    return Certificate(
        fingerprint=shown.fingerprint,
        subject=shown.subject,
        issuer=shown.issuer,
        uris=list(shown.uris),
        not_before=shown.not_before,
        not_after=shown.not_after,
        trusted=trusted,
    )


@routes.post("/sources/{name}/trust", dependencies=EDIT)
def trust_source(ctx: Ctx, name: InName, body: Trust) -> SourceShown:
    """Accept the certificate with this fingerprint, and no other, from now on."""
    doors.trust(ctx.conn, sources.get(ctx.conn, name), body.fingerprint)
    return _one(ctx, name)


@routes.post("/sources/{name}/browse", dependencies=EDIT)
def browse_source(ctx: Ctx, request: Request, name: InName, body: Browse) -> Browsed:
    """Walk the server's tree and propose a place for each number in it."""
    found = sources.get(ctx.conn, name)
    done = doors.browse(ctx.conn, found, _folder(request), under=body.under, seconds=BROWSE_S)
    return Browsed.model_validate(done)


@routes.get("/proposals", dependencies=READ)
def list_proposals(
    ctx: Ctx, source: SourceFilter = None, limit: Limit = 200, cursor: Cursor = None
) -> Page[ProposalShown]:
    """Tags that wait for a decision, by id."""
    found = proposals.listed(ctx.conn, source=source, after=position(cursor, start=0), limit=limit + 1)
    return page([ProposalShown.model_validate(each) for each in found], limit, "proposal_id")


@routes.post("/proposals/accept", dependencies=EDIT)
def accept_proposals(ctx: Ctx, body: Accept) -> AcceptedShown:
    """Make signals, bind the tags, subscribe to their nodes, release what waited in quarantine."""
    wanted = [_edited(each, body) for each in _chosen(ctx, body)]
    made, nodes = doors.accept(ctx.conn, wanted, create_assets=body.create_assets)
    live.announce(ctx.conn, "asset", 0)
    return AcceptedShown(
        accepted=len(wanted),
        assets=made.made_assets,
        new_signals=made.made_signals,
        nodes=nodes,
        signals=dict(made.signals),
    )


@routes.post("/proposals/dismiss", dependencies=EDIT)
def dismiss_proposals(ctx: Ctx, body: Dismiss) -> Dismissed:
    """Nobody wants these tags; they are not proposed again."""
    proposals.chosen(ctx.conn, body.ids)
    return Dismissed(dismissed=proposals.dismiss(ctx.conn, body.ids))


@routes.get("/signals/{signal_id}/status-codes", dependencies=[allow("telemetry.read")])
def signal_codes(ctx: Ctx, signal_id: Id) -> Page[CodeShown]:
    """Full status codes that the signal's sources gave, newest first; a sample keeps only its quality."""
    tree.signal(ctx.conn, signal_id)
    return Page(items=[CodeShown.model_validate(each) for each in sources.codes_of(ctx.conn, signal_id)])


def _chosen(ctx: Context, body: Accept) -> list[Proposal]:
    if (body.ids is None) == (body.source is None):
        raise Invalid("Say either which `ids`, or of which `source`.")
    if body.ids is not None:
        return proposals.chosen(ctx.conn, body.ids)
    found = proposals.listed(ctx.conn, source=body.source)
    return [each for each in found if each.confidence >= body.min_confidence]


def _edited(each: Proposal, body: Accept) -> Proposal:
    edit = body.edits.get(str(each.proposal_id), Edit())
    changes = edit.model_dump(exclude_unset=True)
    return proposals.edited(each, **{"asset_code": body.asset_code, **changes})


def _folder(request: Request) -> Path:
    found: Path = request.app.state.settings.data_dir
    return found.expanduser().resolve()


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Files of the server are named at its console alone. Raises Invalid."""
    named = sorted(set(FILES) & {key for key, value in config.items() if value is not None})
    if named:
        raise Invalid(f"{', '.join(named)}: set by `millwright source add` on the server, not here.")
    return config


def _with_password(
    ctx: Context, request: Request, name: str, config: dict[str, Any], password: str | None
) -> dict[str, Any]:
    if password is None:
        return config
    return {**config, "password_file": doors.keep_secret(_folder(request), ctx.site.code, name, password)}


def _one(ctx: Context, name: str) -> SourceShown:
    return _shown(sources.get(ctx.conn, name), sources.standings(ctx.conn).get(name))


def _shown(source: Source, standing: Standing | None) -> SourceShown:
    hidden = {"nodes", *FILES}
    return SourceShown(
        name=source.name,
        kind=source.kind,
        url=source.url,
        enabled=source.enabled,
        nodes=len(source.config.get("nodes", [])),
        config={key: value for key, value in source.config.items() if key not in hidden},
        has_password="password_file" in source.config,
        state=standing.state if standing else None,
        detail=standing.detail if standing else "",
        last_heard_at=standing.last_heard_at if standing else None,
        last_sample_at=standing.last_sample_at if standing else None,
    )
