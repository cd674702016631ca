"""The live stream: what changed on the site."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import Request
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from api import auth, identity, live
from api.deps import Ctx, router
from api.identity import Kind
from api.policies import Grant, allow
from core.clock import wall_now
from core.database import Database

routes = router("live")
EXAMPLE = {"example": 'event: ticket\ndata: {"id": 12}\n\n'}
STREAM: dict[int | str, Any] = {200: {"content": {"text/event-stream": EXAMPLE}}}


@routes.get("/events", dependencies=[allow("live.listen")], response_class=EventSourceResponse, responses=STREAM)
async def events(request: Request, ctx: Ctx, site: str | None = None) -> EventSourceResponse:  # noqa: ARG001 - read by the context
    """Server-sent events named ticket, alarm, prediction, asset, quarantine, source, telemetry,
    notification.

    After each connection comes `hello`: ask for everything again, there is no history. A browser, which cannot send
    X-Site here, names the site as `?site=CODE`.
    """
    hub: live.Hub = request.app.state.hub
    topics = live.PERSONAL if ctx.grant is Grant.OWN else live.TOPICS
    subscriber = hub.subscribe(ctx.site.site_id, frozenset(topics))
    check = partial(_still_in, request.app.state.database, auth.credential(request), ctx.site.site_id, ctx.role)
    return live.stream(hub, subscriber, still_in=partial(run_in_threadpool, check))


def _still_in(database: Database, secret: auth.Credential, site_id: int, role: str) -> bool:
    with database.tx() as conn:
        person = identity.who(conn, secret.secret, kind=Kind(secret.kind), now=wall_now())
    return person is not None and person.roles.get(site_id) == role
