"""The app: every router, every layer around it, and nothing that starts without a Policy.

RequestLog ─ KnownHost ─ Uploads ─ Deadline ─ GZip ─ StrictJson ─ McpDoor ─ routes (Guarded) ─ web files
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from psycopg import Connection
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

from api import openapi, problems
from api.accounts.oidc import Providers
from api.accounts.vault import Vault
from api.ahead import Ahead
from api.gate import StrictJson
from api.health import Probe
from api.idempotency import Replay
from api.limits import Limit
from api.live import Hub
from api.middleware import Deadline, KnownHost, RequestLog
from api.policies import check_routes
from api.routers import ROUTERS, health
from api.tools import server as tool_server
from api.tools.server import McpDoor, check_tools
from api.uploads import Uploads, files_of
from api.web import WebApp
from core import clock, secrets
from core.clock import Clock
from core.database import Database
from core.settings import Settings

PREFIX = "/api/v1"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
SIGN_IN_TRIES, SIGN_IN_S = 10, 60.0
ADDRESS_TRIES = 60  # of one address with any login: a plant often shares one
SPARE_S = 5.0

ClockSource = Callable[[Connection], Clock]


def create_app(
    database: Database,
    *,
    settings: Settings,
    clock_source: ClockSource = clock.load,
    hosts: Collection[str] = (),
    web_root: Path | None = None,
    deadline_s: float | None = None,
) -> FastAPI:
    """The ASGI app on ``database``. Answers to loopback names, ``settings.host`` and ``hosts``.

    ``deadline_s``: when an answer must begin; the statement timeout and a little by default. Raises PolicyMissing.
    """
    app = FastAPI(
        title="Millwright",
        version=installed_version(),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.state.database, app.state.settings, app.state.clock_source = database, settings, clock_source
    app.state.hub, app.state.probe = Hub(database), Probe(database)
    app.state.sign_in_limit = Limit(SIGN_IN_TRIES, seconds=SIGN_IN_S)
    app.state.address_limit = Limit(ADDRESS_TRIES, seconds=SIGN_IN_S)
    app.state.vault = Vault(lambda: secrets.load_or_create(settings.data_dir).signing_key)
    app.state.providers = Providers()
    for routes in ROUTERS:
        app.include_router(routes, prefix=PREFIX)
    app.include_router(health.bare)
    app.router.default = WebApp(web_root)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    problems.install(app)
    app.add_exception_handler(Replay, _replay)
    known = {*LOOPBACK, *hosts, *({settings.host} - set(ANY_ADDRESS))}
    app.add_middleware(McpDoor, whole=app)
    app.add_middleware(StrictJson)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.add_middleware(Deadline, seconds=deadline_s or settings.statement_timeout_s + SPARE_S)
    app.add_middleware(Uploads, database=database, files=files_of(settings), settings=settings)
    app.add_middleware(KnownHost, hosts=known)
    app.add_middleware(RequestLog)
    check_tools(check_routes(app.routes))
    return app


def installed_version() -> str:
    try:
        return version("millwright")
    except PackageNotFoundError:
        return "0"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    check_routes(app.routes)
    hearing = asyncio.create_task(app.state.hub.run())
    ahead = Ahead(app.state.database, app.state.clock_source)
    ahead.start()
    try:
        async with tool_server.running(app):
            yield
    finally:
        hearing.cancel()
        ahead.end()
        with suppress(asyncio.CancelledError):
            await hearing


async def _replay(_request: Request, replay: Exception) -> Response:
    assert isinstance(replay, Replay)  # noqa: S101 - registered for it alone
    return replay.response


def _operation_id(route: APIRoute) -> str:
    """The endpoint's name: what a generated client calls the method."""
    return route.name
