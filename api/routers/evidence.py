"""What an order rests on, frozen, and as a signed file that proves itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query
from fastapi.responses import Response, StreamingResponse

from api.deps import Ctx, router
from api.own import readable
from api.policies import allow
from api.shapes import Id, Moment, Output, Page
from maintenance import evidence, evidence_pack, evidence_seal

routes = router("evidence")
READ = [allow("evidence.read")]
ZIP_TYPE = "application/zip"
ZIP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


class FrozenShown(Output):
    """Evidence as it was then; the order's timeline holds the same `sha256`."""

    what: Literal["opened", "closed"]
    attempt: int
    frozen_at: Moment
    sha256: str
    bytes: int


@routes.get("/tickets/{ticket_id}/evidence", dependencies=READ)
def list_evidence(ctx: Ctx, ticket_id: Id) -> Page[FrozenShown]:
    """What was frozen of the order, oldest first."""
    found = evidence.frozen(ctx.conn, readable(ctx, ticket_id).ticket_id)
    shown = [
        FrozenShown(
            what=each.what.value,
            attempt=each.attempt,
            frozen_at=each.frozen_at,
            sha256=each.sha256.hex(),
            bytes=len(each.content),
        )
        for each in found
    ]
    return Page(items=shown)


@routes.get("/tickets/{ticket_id}/evidence/pack", dependencies=READ, responses=ZIP, response_class=Response)
def order_pack(ctx: Ctx, ticket_id: Id) -> Response:
    """The order's evidence pack: pages, data, timeline, signatures. Check it with `millwright evidence verify`."""
    return _file(evidence_pack.order(ctx.conn, readable(ctx, ticket_id), now=ctx.now))


@routes.get("/assets/{asset_id}/evidence/pack", dependencies=READ, responses=ZIP, response_class=Response)
def year_pack(ctx: Ctx, asset_id: Id, year: Annotated[int, Query(ge=1970, le=9998)]) -> Response:
    """All orders of the machine that opened in the year (UTC), as one signed pack."""
    with ExitStack() as ends:
        made = ends.enter_context(tempfile.TemporaryFile(prefix="millwright-pack-"))
        name = evidence_pack.asset_year(ctx.conn, asset_id, year, made, now=ctx.now)
        ends.pop_all()
    headers = {**_headers(name), "content-length": str(made.tell())}
    return StreamingResponse(_sent(made), media_type=ZIP_TYPE, headers=headers)


def _sent(made: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces; it is gone when the last was sent, or nobody listens any more."""
    with made:
        made.seek(0)
        while piece := made.read(evidence_seal.PIECE):
            yield piece


def _file(made: evidence_pack.Pack) -> Response:
    return Response(made.content, media_type=ZIP_TYPE, headers=_headers(made.name))


def _headers(name: str) -> dict[str, str]:
    return {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
    }
