"""One question over everything on the site."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

from api.deps import Ctx, router
from api.policies import Grant, allow
from api.shapes import Output
from tickets import search
from tickets.search import KINDS, Reader

routes = router("search")
Question = Annotated[str, Query(max_length=300, description="Words in any language; slips of the pen are forgiven.")]
Of = Annotated[
    str | None,
    Query(
        pattern="^(ticket|asset|article|engineer)(,(ticket|asset|article|engineer)){0,3}$",
        description="Only these, by commas.",
    ),
]


class HitShown(Output):
    """``id`` is the id of its kind; ``text`` the part that fits."""

    kind: Literal["ticket", "asset", "article", "engineer"]
    id: int
    code: str
    title: str
    state: str
    text: str


class AnswerShown(Output):
    """``meant``: words that nobody wrote, and the known ones that were taken instead."""

    items: list[HitShown]
    meant: dict[str, list[str]]


@routes.get("/search", dependencies=[allow("search.use")])
def find(ctx: Ctx, q: Question = "", kind: Of = None, limit: Annotated[int, Query(ge=1, le=50)] = 20) -> AnswerShown:
    """Tickets with their comments, assets, guides and people, best first. A requester finds the own tickets."""
    reader = Reader(ctx.person.user_id if ctx.grant is Grant.OWN else None)
    answer = search.search(ctx.conn, q, reader=reader, kinds=tuple(kind.split(",")) if kind else KINDS, limit=limit)
    hits = [
        HitShown(kind=each.kind, id=each.object_id, code=each.code, title=each.title, state=each.state, text=each.text)
        for each in answer.hits
    ]
    return AnswerShown(items=hits, meant={word: list(known) for word, known in answer.meant.items()})
