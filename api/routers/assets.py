"""The asset tree and its signals; bulk import."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from pydantic.types import FailFast

from api import overview
from api.deps import Context, Ctx, router
from api.policies import allow
from api.routers.alarms import AlarmShown
from api.routers.predictions import PredictionShown
from api.shapes import (
    Change,
    Code,
    Cursor,
    Id,
    Input,
    Limit,
    Line,
    Moment,
    Number,
    Output,
    Page,
    Ref,
    Whole,
    changes,
    page,
    position,
)
from core import live
from maintenance import queries
from plant import asset_care, telemetry
from plant import assets as tree
from plant.assets import MachineSpec, SignalSpec
from plant.model import Role, Signal
from plant.telemetry import Latest

routes = router("assets")
READ, EDIT = [allow("asset.read")], [allow("asset.edit")]
MOST_MACHINES, MOST_SIGNALS = 1000, 500

Level = Literal["enterprise", "site", "area", "line", "unit", "equipment", "component"]
Light = Literal["normal", "watch", "alarm", "stale", "unknown"]
AssetClass = Annotated[str, Field(pattern=r"^[a-z0-9_]{0,64}$", examples=["pump"])]
Tag = Annotated[str, Field(min_length=1, max_length=512, examples=["P-101/vibration"])]
SignalCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$", examples=["vibration"])]
Unit = Annotated[str, Field(max_length=32, examples=["mm/s"])]
Quantity = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$", examples=["vibration_velocity"])]
Place = Annotated[str, Field(max_length=300)]
Criticality = Annotated[Whole, Field(ge=1, le=5, description="1 minor … 5 stops the plant")]
Period = Annotated[Number, Field(gt=0, le=86_400 * 31, description="Nominal time between samples, in seconds.")]
Finite = Annotated[Number, Field(ge=-1e15, le=1e15)]


class LatestShown(Output):
    at: Moment
    value: float | None
    quality: Literal["good", "uncertain", "bad"]


class SignalShown(Output):
    """``low`` and ``high`` are what the sensor can physically say, in ``unit``."""

    signal_id: int
    asset_id: int
    code: str
    name: str
    quantity: str
    unit: str
    low: float | None
    high: float | None
    role: Role
    period_s: float
    latest: LatestShown | None = None


class AssetItem(Output):
    asset_id: int
    code: str
    name: str
    asset_class: str
    criticality: int
    location: str
    level: Level
    parent_id: int | None
    health: Light
    last_seen: Moment | None
    open_tickets: int


class AssetDetail(AssetItem):
    """An asset with its signals, its alarms (newest first, cleared ones too) and the predictions that stand."""

    signals: list[SignalShown]
    alarms: list[AlarmShown]
    predictions: list[PredictionShown]


class NewAsset(Input):
    code: Code
    name: Line
    asset_class: AssetClass = ""
    parent_id: Ref | None = None
    criticality: Criticality = 3
    location: Place = ""
    level: Level = "unit"


class AssetChange(Change):
    name: Line | None = None
    criticality: Criticality | None = None
    location: Place | None = None


class NewSignal(Input):
    """``low`` and ``high`` are in ``unit``; the signal is kept in the canonical unit of its quantity."""

    code: SignalCode
    name: Line
    quantity: Quantity
    unit: Unit
    low: Finite | None = None
    high: Finite | None = None
    period_s: Period = 1.0
    role: Role = Role.MEASURED


class ImportedSignal(Input):
    """``unit`` is the unit heard from the source; ``low`` and ``high`` are in the quantity's canonical unit."""

    code: SignalCode
    name: Annotated[str, Field(max_length=300)] = ""
    quantity: Quantity
    unit: Unit
    low: Finite | None = None
    high: Finite | None = None
    period_s: Period = 1.0
    role: Role = Role.MEASURED
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["gateway-1"])]
    tag: Tag
    scale: Finite = 1.0
    offset: Finite = 0.0


class ImportedAsset(Input):
    code: Code
    name: Line
    asset_class: AssetClass = ""
    criticality: Criticality = 3
    location: Place = ""
    level: Level = "unit"
    parent_code: Code | None = None
    signals: Annotated[list[ImportedSignal], FailFast(), Field(max_length=MOST_SIGNALS, default_factory=list)]


class Import(Input):
    assets: Annotated[list[ImportedAsset], FailFast(), Field(min_length=1, max_length=MOST_MACHINES)]


class Imported(Output):
    """How much was made or brought to what the import says."""

    assets: int
    signals: int
    asset_ids: Annotated[dict[str, int], Field(description="asset code → id")]


@routes.get("/assets", dependencies=READ)
def list_assets(ctx: Ctx, limit: Limit = 200, cursor: Cursor = None) -> Page[AssetItem]:
    """The tree, by id: health light, newest sample, open tickets."""
    after = position(cursor, start=0)
    found = sorted((each for each in tree.assets(ctx.conn) if each.asset_id > after), key=lambda each: each.asset_id)
    facts = _facts(ctx)
    return page([AssetItem(**_item(each, facts)) for each in found[: limit + 1]], limit, "asset_id")


@routes.get("/assets/{asset_id}", dependencies=READ)
def get_asset(ctx: Ctx, asset_id: Id) -> AssetDetail:
    """One asset with its signals and their newest values, alarms and predictions."""
    return _detail(ctx, asset_id)


@routes.post("/assets", status_code=201, dependencies=EDIT)
def create_asset(ctx: Ctx, body: NewAsset) -> AssetDetail:
    """Add a node to the tree."""
    asset_care.check_place(ctx.conn, level=body.level, parent_id=body.parent_id)
    asset_id = tree.create_asset(ctx.conn, **body.model_dump())
    live.announce(ctx.conn, "asset", asset_id)
    return _detail(ctx, asset_id)


@routes.post("/assets/import", dependencies=EDIT)
def import_assets(ctx: Ctx, body: Import) -> Imported:
    """Make assets, signals and bindings, or bring them to what the body says; doing it twice changes nothing."""
    ids = {each.code: tree.ensure_machine(ctx.conn, _machine(each)) for each in body.assets}
    for asset_id in ids.values():
        live.announce(ctx.conn, "asset", asset_id)
    return Imported(assets=len(ids), signals=sum(len(each.signals) for each in body.assets), asset_ids=ids)


@routes.patch("/assets/{asset_id}", dependencies=EDIT)
def change_asset(ctx: Ctx, asset_id: Id, body: AssetChange) -> AssetDetail:
    """Rename, move, or weigh an asset anew."""
    kept = tree.asset(ctx.conn, asset_id)
    named = {name: value for name, value in changes(body).items() if value is not None}
    spec = MachineSpec(
        kept.code,
        named.get("name", kept.name),
        kept.asset_class,
        named.get("criticality", kept.criticality),
        named.get("location", kept.location),
        kept.level,
    )
    tree.ensure_machine(ctx.conn, spec)
    live.announce(ctx.conn, "asset", asset_id)
    return _detail(ctx, asset_id)


@routes.post("/assets/{asset_id}/signals", status_code=201, dependencies=EDIT)
def create_signal(ctx: Ctx, asset_id: Id, body: NewSignal) -> SignalShown:
    """Add a signal to an asset."""
    signal_id = tree.create_signal(ctx.conn, asset_id=asset_id, **body.model_dump())
    live.announce(ctx.conn, "asset", asset_id)
    return signal_shown(tree.signal(ctx.conn, signal_id), None)


@routes.get("/signals", dependencies=READ)
def search_signals(
    ctx: Ctx,
    q: Annotated[str, Query(max_length=200, description="Part of a signal's or asset's code or name.")] = "",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SignalShown]:
    """Find a signal to bind a tag to."""
    names = {each.asset_id: f"{each.code} {each.name}" for each in tree.assets(ctx.conn)}
    after, words = position(cursor, start=0), q.casefold().split()
    found = [
        signal_shown(each, None)
        for each in sorted(tree.signals_of_site(ctx.conn), key=lambda each: each.signal_id)
        if each.signal_id > after and _fits(f"{names[each.asset_id]} {each.code} {each.name}".casefold(), words)
    ]
    return page(found, limit, "signal_id")


def _fits(text: str, words: list[str]) -> bool:
    return all(word in text for word in words)


def _machine(body: ImportedAsset) -> MachineSpec:
    signals = [SignalSpec(**each.model_dump()) for each in body.signals]
    return MachineSpec(**body.model_dump(exclude={"signals"}), signals=signals)


def _facts(ctx: Context) -> tuple[Any, Any, Any]:
    lights = queries.health_lights(ctx.conn, ctx.now)
    return lights, overview.last_seen(ctx.conn), overview.open_tickets(ctx.conn)


def _item(asset: Any, facts: tuple[Any, Any, Any]) -> dict[str, Any]:
    lights, seen, tickets = facts
    named = ("asset_id", "code", "name", "asset_class", "criticality", "location", "level", "parent_id")
    return {name: getattr(asset, name) for name in named} | {
        "health": lights.get(asset.asset_id, "unknown"),
        "last_seen": seen.get(asset.asset_id),
        "open_tickets": tickets.get(asset.asset_id, 0),
    }


def _detail(ctx: Context, asset_id: int) -> AssetDetail:
    asset = tree.asset(ctx.conn, asset_id)
    signals = tree.signals(ctx.conn, asset_id)
    newest = telemetry.latest(ctx.conn, [each.signal_id for each in signals])
    return AssetDetail(
        **_item(asset, _facts(ctx)),
        signals=[signal_shown(each, newest.get(each.signal_id)) for each in signals],
        alarms=[AlarmShown.model_validate(each) for each in queries.alarms(ctx.conn, asset_id=asset_id, limit=50)],
        predictions=[
            PredictionShown.model_validate(each) for each in queries.predictions(ctx.conn, asset_id=asset_id, limit=20)
        ],
    )


def signal_shown(signal: Signal, latest: Latest | None) -> SignalShown:
    shown = SignalShown.model_validate(signal)
    if latest is None:
        return shown
    newest = LatestShown(at=latest.at, value=latest.value, quality=latest.quality.name.lower())
    return shown.model_copy(update={"latest": newest})
