"""Assets as a table in a file: looked at without changing anything, taken over whole, written out again; and how much
an asset matters."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import Query, Request, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.gate import UPLOAD
from api.policies import allow
from api.routers.assets import Criticality, Level
from api.shapes import Id, Input, Output, Ref, Whole, Words
from api.uploads import Upload
from core.errors import Invalid
from maintenance import libraries
from plant import asset_care, export_rows, import_store, import_table, tree_rules
from plant.import_signals import SignalRow
from plant.importing import AssetRow, Change, Plan
from tickets import export, export_xlsx
from tickets.export import Column, Table

routes = router("assets")
READ, EDIT = [allow("asset.read")], [allow("asset.edit")]
MOST_ITEMS = 500
MEDIA = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file as it is: CSV (UTF-8 or GB 18030) or XLSX, whose first sheet is read.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {each: {} for each in MEDIA.values()}}
}
Step = Annotated[Whole, Field(ge=1, le=tree_rules.STEPS)]


class Counted(Output):
    created: int
    changed: int
    unchanged: int


class ProblemShown(Output):
    """``column`` is the heading in the file."""

    row: int
    column: str
    message: Words


class FieldShown(Output):
    name: str
    before: str | float | None
    after: str | float | None


class ItemShown(Output):
    row: int
    asset: str
    signal: str | None
    change: Change
    fields: list[FieldShown]


class TableShown(Output):
    """What the file does, or would do: nothing at all while there are problems. At most 500 items that change."""

    applied: bool
    assets: Counted
    signals: Counted
    problems: list[ProblemShown]
    items: list[ItemShown]


class Care(Output):
    """How much an asset matters and why; ``proposed`` from consequence × likelihood, ``version`` for If-Match."""

    asset_id: int
    code: str
    parent: str | None
    level: Level
    criticality: int
    consequence: int | None
    likelihood: int | None
    proposed: int | None
    reason: str
    version: int


class Weigh(Input):
    """Without ``criticality`` it is the proposed one; another than the proposed one needs a reason."""

    consequence: Step | None = None
    likelihood: Step | None = None
    criticality: Criticality | None = None
    reason: Annotated[str, Field(max_length=300)] = ""


class Move(Input):
    parent_id: Ref | None


@routes.post("/asset-table", dependencies=EDIT, openapi_extra=BODY)
def import_table_file(
    ctx: Ctx,
    request: Request,
    dry_run: Annotated[bool, Query(description="Only say what would happen.")] = True,
) -> TableShown:
    """Take assets and signals over from a table, all or nothing; the same file again changes nothing."""
    upload = request.scope.get(UPLOAD)
    if not isinstance(upload, Upload):
        raise Invalid("Send the file as the body.")
    rows = import_table.read(upload.path)
    classes = frozenset(libraries.described(ctx.conn))
    made = (import_store.look if dry_run else import_store.apply)(ctx.conn, rows, classes)
    return _shown(made, applied=not dry_run)


@routes.get("/asset-table", dependencies=READ, responses=FILE, response_class=Response)
def export_table_file(ctx: Ctx, form: Literal["csv", "xlsx"] = "xlsx", locale: Literal["en", "zh"] = "en") -> Response:
    """All assets and signals in the form that the import reads."""
    known = import_store.known(ctx.conn, ())
    columns = [Column(head, head) for head in export_rows.heads(locale)]
    table = Table("Assets" if locale == "en" else "资产", columns, export_rows.rows(known))
    zone = ZoneInfo("UTC")
    made = export.csv_file(table, zone=zone, bom=export.BOM) if form == "csv" else export_xlsx.xlsx(table, zone=zone)
    name = f"{table.title}.{form}"
    return Response(
        made, media_type=MEDIA[form], headers={"content-disposition": f"attachment; filename*=utf-8''{quote(name)}"}
    )


@routes.get("/assets/{asset_id}/care", dependencies=READ)
def get_care(ctx: Ctx, asset_id: Id) -> Care:
    """How much an asset matters, and why."""
    return _care(asset_care.get(ctx.conn, asset_id))


@routes.put("/assets/{asset_id}/criticality", dependencies=EDIT)
def weigh(ctx: Ctx, asset_id: Id, version: Version, body: Weigh) -> Care:
    """Weigh an asset by consequence × likelihood, or otherwise with a reason."""
    made = asset_care.weigh(
        ctx.conn,
        asset_id,
        consequence=body.consequence,
        likelihood=body.likelihood,
        criticality=body.criticality,
        reason=body.reason,
        version=version,
    )
    return _care(made)


@routes.put("/assets/{asset_id}/parent", dependencies=EDIT)
def move(ctx: Ctx, asset_id: Id, version: Version, body: Move) -> Care:
    """Hang an asset, with all below it, under another one; null makes it a root."""
    return _care(asset_care.move(ctx.conn, asset_id, parent_id=body.parent_id, version=version))


def _care(kept: asset_care.Kept) -> Care:
    row = kept.row
    both = row.consequence is not None and row.likelihood is not None
    return Care(
        asset_id=kept.asset_id,
        code=row.code,
        parent=row.parent,
        level=row.level,
        criticality=row.criticality,
        consequence=row.consequence,
        likelihood=row.likelihood,
        proposed=tree_rules.proposal(row.consequence or 1, row.likelihood or 1) if both else None,
        reason=row.reason,
        version=kept.version,
    )


def _shown(made: Plan, *, applied: bool) -> TableShown:
    moved = [each for each in made.items if each.change is not Change.UNCHANGED]
    return TableShown(
        applied=applied,
        assets=_counted(made, AssetRow),
        signals=_counted(made, SignalRow),
        problems=[
            ProblemShown(row=each.row, column=each.column, message=Words(**each.message))
            for each in made.problems[:MOST_ITEMS]
        ],
        items=[
            ItemShown(
                row=each.row,
                asset=each.asset,
                signal=each.signal,
                change=each.change,
                fields=[
                    FieldShown(name=name, before=old, after=new)
                    for name, (old, new) in each.fields.items()
                    if new not in (None, "")
                ],
            )
            for each in moved[:MOST_ITEMS]
        ],
    )


def _counted(made: Plan, kind: type[AssetRow | SignalRow]) -> Counted:
    return Counted(**{change.value: made.count(change, kind) for change in Change})
