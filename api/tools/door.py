"""How a tool reaches the house: by requests to the API with the caller's own credential, and by no other way.

    tool ──> ask ──> route (its Policy, site, limits, log) ──> answer        in process or over the network, the same

A tool names its routes; a request to another one is a mistake of ours and fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import quote

import httpx
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.requests import Request

from api.rehearsals import HEADER, THROUGH
from api.tools import plain

P = ParamSpec("P")
API = "/api/v1"
PROGRAM = "MCP"
LONGEST_ANSWER = 4 * 1024 * 1024
Opener = Callable[[Request | None], httpx.AsyncClient]
Asking = Context[Any, Request]


@dataclass(frozen=True, slots=True)
class Tool:
    """``routes``: what it asks, as ``METHOD /path``. ``writes``: it changes something unless it is a dry run."""

    name: str
    run: Callable[..., Awaitable[str]]
    routes: tuple[str, ...]
    writes: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A route's answer; ``version``: of its ETag."""

    body: Any
    version: int | None


class House(MCPServer[Any]):
    """A server whose tools open the API by ``opener``: the request that brought the call, None over stdio."""

    opener: Opener


TOOLS: dict[str, Tool] = {}
_current: ContextVar[Tool | None] = ContextVar("tool", default=None)


def tool(*routes: str, writes: bool = False) -> Callable[[Callable[P, Awaitable[Any]]], Callable[P, Awaitable[str]]]:
    """Register a function that asks these routes as a tool; what it returns is answered as data."""

    def registered(function: Callable[P, Awaitable[Any]]) -> Callable[P, Awaitable[str]]:
        @wraps(function)
        async def run(*args: P.args, **kwargs: P.kwargs) -> str:
            token = _current.set(TOOLS[function.__name__])
            try:
                return plain.answer(await function(*args, **kwargs))
            finally:
                _current.reset(token)

        run.__annotations__ = {**function.__annotations__, "return": str}
        TOOLS[function.__name__] = Tool(function.__name__, run, routes, writes)
        return run

    return registered


async def ask(
    asking: Asking,
    route: str,
    *,
    path: Mapping[str, object] | None = None,
    params: Mapping[str, object] | None = None,
    body: Mapping[str, object] | None = None,
    version: int | None = None,
    dry_run: bool = False,
) -> Found:
    """One request. Raises ToolError with the problem's sentence."""
    current = _current.get()
    if current is None or route not in current.routes:
        raise RuntimeError(f"The tool {current and current.name} does not name the route {route!r}.")
    method, template = route.split(" ", 1)
    url = API + template.format_map({name: quote(str(value), safe="") for name, value in (path or {}).items()})
    headers = {THROUGH: PROGRAM} | ({HEADER: "1"} if dry_run else {})
    headers |= {} if version is None else {"if-match": f'"{version}"'}
    asked = {name: value for name, value in (params or {}).items() if value is not None}
    house = asking.mcp_server
    if not isinstance(house, House):
        raise TypeError("Tools run in a House.")
    async with house.opener(asking.request_context.request) as client:
        try:
            response = await client.request(method, url, params=asked, json=body, headers=headers)  # type: ignore[arg-type]  # invariant
        except httpx.HTTPError as error:
            raise ToolError(f"Millwright does not answer ({type(error).__name__}). Try again.") from error
    return _read(response)


async def may_ask(asking: Asking, route: str, **more: Any) -> Any:
    """The body of an answer, or why there is none: a part of an answer that the caller may have no right to."""
    try:
        return (await ask(asking, route, **more)).body
    except ToolError as error:
        return {"not_shown": str(error)}


def _read(response: httpx.Response) -> Found:
    if response.is_error:
        raise ToolError(_problem(response))
    if len(response.content) > LONGEST_ANSWER:
        raise ToolError("The answer is too large. Ask for less: a smaller limit, one machine, a shorter span.")
    etag = response.headers.get("etag", "").strip('"')
    return Found(response.json() if response.content else None, int(etag) if etag.isdigit() else None)


def _problem(response: httpx.Response) -> str:
    try:
        said = response.json()
        wrong = "; ".join(f"{each['field']}: {each['detail']}" for each in said.get("errors", [])[:10])
        text = f"{said['detail']} ({said['code']})" + (f" {wrong}" if wrong else "")
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"The answer was {response.status_code}."
    return plain.clean(text, 1000)
