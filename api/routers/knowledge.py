"""Failure modes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Output, Page, Words
from maintenance import queries

routes = router("knowledge")
AssetClassQuery = Annotated[str | None, Query(pattern="^[a-z0-9_]{0,64}$")]


class ModeRow(Output):
    code: str
    asset_class: str
    name: Words
    mechanism: str
    skill: str


@routes.get("/modes", dependencies=[allow("mode.read")])
def list_modes(ctx: Ctx, asset_class: AssetClassQuery = None) -> Page[ModeRow]:
    """Failure modes of an asset class (of all without one): the codes that closing an order asks for."""
    return Page(items=[ModeRow.model_validate(each) for each in queries.modes(ctx.conn, asset_class)])
