"""Many tickets at once: rehearse, apply, undo."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.routers.tickets import Move, Priority
from api.shapes import Code, Id, Input, Line, Output, Prose, Ref
from tickets import bulk
from tickets.bulk import Chosen, How, Row

routes = router("bulk")
RIGHT = [allow("bulk.edit")]
Tag = Annotated[str, Field(min_length=1, max_length=64)]


class ChosenTicket(Input):
    """``version``: as it was seen; a preview may leave it out and answers with it, a change needs it."""

    ticket_id: Ref
    version: Ref | None = None


class Settings(Input):
    """``mode``: named where there is none, else the ticket is refused; ``skill``: whom the order needs."""

    title: Line | None = None
    description: Prose | None = None
    priority: Priority | None = None
    skill: Code | None = None
    mode: Code | None = None
    fields: Annotated[dict[str, Any], Field(max_length=200)] | None = None


class Changes(Input):
    """``assign``: an engineer's id, 0 = whom routing finds."""

    set: Settings | None = None
    add_tags: Annotated[list[Tag], Field(max_length=20)] | None = None
    remove_tags: Annotated[list[Tag], Field(max_length=20)] | None = None
    assign: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    transition: Move | None = None
    comment: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None


class Rehearsal(Input):
    tickets: Annotated[list[ChosenTicket], Field(min_length=1, max_length=bulk.MOST)]
    changes: Changes


class Application(Rehearsal):
    """``how``: all = nothing is written when one is refused; each = one by one."""

    how: How = How.ALL


class RowShown(Output):
    """``before`` and ``after`` of what changes, or why it is refused."""

    ticket_id: int
    ref: str
    version: int
    version_after: int
    before: dict[str, Any]
    after: dict[str, Any]
    refused: str | None
    code: str | None


class Applied(Output):
    """``bulk_id`` is what undo wants."""

    bulk_id: int
    rows: list[RowShown]


@routes.post("/bulk/preview", dependencies=RIGHT)
def preview_bulk(ctx: Ctx, body: Rehearsal) -> list[RowShown]:
    """What would change per ticket, and which are refused and why; nothing is written."""
    rows = bulk.rehearse(ctx.conn, ctx.actor, chosen=_chosen(body), changes=_changes(body), now=ctx.now)
    return [_shown(row) for row in rows]


@routes.post("/bulk", status_code=201, dependencies=RIGHT)
def apply_bulk(ctx: Ctx, body: Application) -> Applied:
    """Change them."""
    bulk_id, rows = bulk.apply(
        ctx.conn, ctx.actor, chosen=_chosen(body), changes=_changes(body), how=body.how, now=ctx.now
    )
    return Applied(bulk_id=bulk_id, rows=[_shown(row) for row in rows])


@routes.post("/bulk/{bulk_id}/undo", dependencies=RIGHT)
def undo_bulk(ctx: Ctx, bulk_id: Id) -> list[RowShown]:
    """Take it back by new events; a ticket that somebody changed since stays."""
    return [_shown(row) for row in bulk.undo(ctx.conn, ctx.actor, bulk_id, now=ctx.now)]


def _chosen(body: Rehearsal) -> list[Chosen]:
    return [Chosen(each.ticket_id, each.version) for each in body.tickets]


def _changes(body: Rehearsal) -> dict[str, Any]:
    return body.changes.model_dump(mode="json", exclude_none=True)


def _shown(row: Row) -> RowShown:
    return RowShown.model_validate(row)
