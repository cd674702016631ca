"""Lists with any filter and order, what people keep of them, and any list as CSV."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from api import ticket_view
from api.deps import Context, Ctx, Version, router
from api.policies import Grant, allow
from api.shapes import Change, Id, Input, Limit, Line, Locale, Moment, Output, Ref, Words, changes
from api.ticket_view import TicketItem
from core import strict_json
from core.errors import Invalid
from tickets import export, saved, saved_bodies, views, views_custom, views_export, views_filter
from tickets.export import BOM, Column
from tickets.model import Audience
from tickets.reports_catalogue import dimensions
from tickets.saved import Kind, Sharing
from tickets.views import Asked, Viewer
from tickets.views_fields import UNSORTED, Form

routes = router("lists")
READ = [allow("ticket.read")]
EXPORT = [allow("list.export")]
KEEP = [allow("saved.edit")]
FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The file."}
}

FilterText = Annotated[
    str,
    Query(
        alias="filter",
        max_length=20_000,
        description='JSON: `[{"field": "priority", "op": "in", "value": [1, 2]}]`; see GET /lists/fields.',
    ),
]
SortText = Annotated[str, Query(max_length=300, description="Fields by commas, `-` before one for downwards.")]
ColumnText = Annotated[str, Query(max_length=3000, description="Fields by commas.")]
Text = Annotated[str, Query(max_length=300, description="Words that each ticket has, as in search.")]
LongCursor = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_=-]{1,4000}$", description="`next` of the part before.")]
Excel = Annotated[bool, Query(description="true: with a byte order mark, by which Excel knows UTF-8.")]


class FieldShown(Output):
    """A field to filter (``ops``), sort or group by."""

    name: str
    label: Words
    form: Form
    unit: str
    ops: list[str]
    sortable: bool
    groupable: bool


class ListedTicket(TicketItem):
    """``values`` holds the columns that were asked for."""

    values: dict[str, Any]


class TicketList(Output):
    """``total`` is counted up to 10,000."""

    items: list[ListedTicket]
    next: str | None
    total: int | None


class SavedShown(Output):
    saved_id: int
    kind: Kind
    name: str
    audience: Sharing
    owner: str
    mine: bool
    is_default: bool
    body: dict[str, Any]
    version: int
    changed_at: Moment


class ToKeep(Input):
    kind: Kind
    name: Line
    audience: Sharing = Sharing.PRIVATE
    body: Annotated[dict[str, Any], Field(max_length=20)]


class SavedChange(Change):
    name: Line | None = None
    audience: Sharing | None = None
    body: Annotated[dict[str, Any], Field(max_length=20)] | None = None


class DefaultChange(Input):
    """null: what the product shows."""

    kind: Kind
    saved_id: Ref | None


@routes.get("/lists/fields", dependencies=READ)
def list_fields(ctx: Ctx) -> list[FieldShown]:
    """Every field of the list of tickets, the site's custom ones included."""
    known = views_custom.known(ctx.conn, audience=viewer(ctx).audience)
    groups = dimensions(known)
    return [
        FieldShown(
            name=name,
            label=Words(**each.label),
            form=each.form,
            unit=each.unit,
            ops=sorted(views_filter.OPS[each.form]),
            sortable=name not in UNSORTED and each.form is not Form.SET,
            groupable=name in groups,
        )
        for name, each in known.items()
    ]


@routes.get("/lists/tickets", dependencies=READ)
def listed_tickets(
    ctx: Ctx,
    wanted: FilterText = "[]",
    sort: SortText = "",
    columns: ColumnText = "",
    q: Text = "",
    count: Annotated[bool, Query(description="true: count them too")] = False,
    limit: Limit = 50,
    cursor: LongCursor = None,
) -> TicketList:
    """Tickets by any filter, in any order, page by page. A requester sees the own ones."""
    asked, looking = _asked(ctx, wanted, sort, columns, q), viewer(ctx)
    moment = views.moment(ctx.conn, ctx.now)
    part = views.page(ctx.conn, looking, asked, moment=moment, limit=limit, cursor=cursor)
    values = {row.ticket_id: dict(row.values) for row in part.rows}
    items = ticket_view.items(ctx, views.tickets(ctx.conn, part))
    total = views.count(ctx.conn, looking, asked, moment=moment) if count else None
    shown = [ListedTicket(**each.model_dump(), values=values[each.ticket_id]) for each in items]
    return TicketList(items=shown, next=part.next, total=total)


@routes.get("/lists/tickets.csv", dependencies=EXPORT, responses=FILE, response_class=StreamingResponse)
def tickets_csv(
    ctx: Ctx,
    wanted: FilterText = "[]",
    sort: SortText = "",
    columns: ColumnText = "",
    q: Text = "",
    locale: Locale = "en",
    excel: Excel = False,
) -> StreamingResponse:
    """The same list as a file, at most 100,000 rows; cells that a spreadsheet would run are quoted with `'`."""
    asked = _asked(ctx, wanted, sort, columns, q)
    moment = views.moment(ctx.conn, ctx.now)
    heads = [Column(name, asked.fields[name].label[locale], asked.fields[name].unit) for name in asked.columns]
    rows = (list(row.values.values()) for row in views.rows(ctx.conn, viewer(ctx), asked, moment=moment))
    return _file("tickets", export.csv_lines(heads, rows, zone=moment.zone, bom=BOM if excel else ""))


@routes.get("/lists/{name}.csv", dependencies=EXPORT, responses=FILE, response_class=StreamingResponse)
def list_csv(
    ctx: Ctx, name: Literal["assets", "engineers", "articles"], locale: Locale = "en", excel: Excel = False
) -> StreamingResponse:
    """Another list as a file."""
    table = views_export.table(ctx.conn, name, locale=locale)
    zone = views.zone(ctx.conn)
    return _file(name, export.csv_lines(table.columns, table.rows, zone=zone, bom=BOM if excel else ""))


@routes.get("/saved", dependencies=KEEP)
def list_saved(ctx: Ctx, kind: Kind) -> list[SavedShown]:
    """My views, reports or dashboards, and those that are shared."""
    default = saved.default(ctx.conn, ctx.actor, kind=kind)
    return [_shown(ctx, each, default) for each in saved.mine(ctx.conn, ctx.actor, kind=kind)]


@routes.post("/saved", status_code=201, dependencies=KEEP)
def save(ctx: Ctx, body: ToKeep) -> SavedShown:
    """Keep a view, a report or a dashboard."""
    checked = saved_bodies.checked(ctx.conn, viewer(ctx), body.kind, body.body)
    kept = saved.keep(
        ctx.conn, ctx.actor, kind=body.kind, name=body.name, audience=body.audience, body=checked, now=ctx.now
    )
    return _shown(ctx, kept, None)


@routes.patch("/saved/{saved_id}", dependencies=KEEP)
def change_saved(ctx: Ctx, saved_id: Id, version: Version, body: SavedChange) -> SavedShown:
    """Another name, audience or body."""
    named = changes(body)
    if None in named.values():
        raise Invalid("Nothing of this can be null; leave it out to keep it.")
    if "body" in named:
        kind = saved.get(ctx.conn, ctx.actor, saved_id).kind
        named["body"] = saved_bodies.checked(ctx.conn, viewer(ctx), kind, named["body"])
    kept = saved.change(ctx.conn, ctx.actor, saved_id, changes=named, version=version, now=ctx.now)
    return _shown(ctx, kept, saved.default(ctx.conn, ctx.actor, kind=kept.kind))


@routes.delete("/saved/{saved_id}", status_code=204, dependencies=KEEP)
def delete_saved(ctx: Ctx, saved_id: Id) -> None:
    """Forget it, with its schedules and their files."""
    saved.delete(ctx.conn, ctx.actor, saved_id)


@routes.post("/saved/default", status_code=204, dependencies=KEEP)
def set_default(ctx: Ctx, body: DefaultChange) -> None:
    """What I see first."""
    saved.set_default(ctx.conn, ctx.actor, kind=body.kind, saved_id=body.saved_id)


def viewer(ctx: Context) -> Viewer:
    """Who looks, by the right of the route."""
    audience = Audience.REQUESTER if ctx.role == "requester" or ctx.grant is Grant.OWN else Audience.INTERNAL
    return Viewer(ctx.person.user_id, ctx.engineer_id, audience)


def _asked(ctx: Context, wanted: str, sort: str, columns: str, text: str) -> Asked:
    return views.ask(
        ctx.conn,
        viewer(ctx),
        filter=read_json(wanted),
        sort=[each for each in sort.split(",") if each],
        columns=[each for each in columns.split(",") if each],
        text=text,
    )


def read_json(text: str) -> Any:
    """JSON in the address, as strict as in a body. Raises JsonMalformed, JsonRefused."""
    return strict_json.loads(text.encode())


def _file(name: str, pieces: Iterator[bytes]) -> StreamingResponse:
    """Written to a file first: a slow reader holds no transaction open, and an error is answered as one."""
    kept = tempfile.SpooledTemporaryFile(max_size=4 << 20)  # noqa: SIM115 - closed when the answer has been sent
    for piece in pieces:
        kept.write(piece)
    kept.seek(0)

    def read() -> Iterator[bytes]:
        with kept:
            while piece := kept.read(export.CHUNK):
                yield piece

    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "x-content-type-options": "nosniff"}
    return StreamingResponse(read(), media_type="text/csv; charset=utf-8", headers=headers)


def _shown(ctx: Context, kept: saved.Saved, default: int | None) -> SavedShown:
    return SavedShown(
        saved_id=kept.saved_id,
        kind=kept.kind,
        name=kept.name,
        audience=kept.audience,
        owner=kept.owner,
        mine=kept.owner_id == ctx.person.user_id,
        is_default=kept.saved_id == default,
        body=dict(kept.body),
        version=kept.version,
        changed_at=kept.changed_at,
    )
