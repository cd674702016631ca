"""How a request says who sends it: a bearer token, or the session cookie with a header that other sites cannot send."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from api.errors import CrossSite, NotLoopback, NotSignedIn
from api.identity import SESSION_LIFE, Kind, Source

COOKIE = "millwright_session"
CSRF_HEADER, CSRF_VALUE = "x-requested-with", "millwright"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Credential(NamedTuple):
    """A secret and what it claims to be; not yet checked."""

    kind: Kind
    secret: str


def credential(request: Request) -> Credential:
    """The request's secret. Raises NotSignedIn without one, CrossSite for a change by cookie without our header."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if scheme.lower() != "bearer" or not secret.strip():
            raise NotSignedIn("The Authorization header must be `Bearer` and a token.")
        return Credential(Kind.TOKEN, secret.strip())
    cookie = request.cookies.get(cookie_name(request))
    if not cookie:
        raise NotSignedIn
    if request.method not in SAFE and request.headers.get(CSRF_HEADER) != CSRF_VALUE:
        raise CrossSite
    return Credential(Kind.SESSION, cookie)


def cookie_name(request: Request, name: str = COOKIE) -> str:
    """Browsers share cookies between ports, so each port has its own name: two instances live side by side."""
    server = request.scope.get("server")
    return f"{name}_{server[1]}" if server and server[1] else name


def set_cookie(request: Request, response: Response, secret: str) -> None:
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=origin(request).startswith("https"),
        path="/",
    )


def clear_cookie(request: Request, response: Response) -> None:
    response.delete_cookie(cookie_name(request), httponly=True, samesite="lax", path="/")


def source(request: Request) -> Source:
    """Where a sign-in comes from."""
    return Source(client_host(request), " ".join(request.headers.get("user-agent", "").split())[:200])


def origin(request: Request) -> str:
    """What the browser's address line begins with: ``public_url``, or the Host that was asked for (a known one)."""
    known = request.app.state.settings.public_url
    return str(known).rstrip("/") if known else f"{request.url.scheme}://{request.headers.get('host', '')}"


def require_loopback(request: Request) -> None:
    """Raise NotLoopback unless the request comes from this machine, and not through a proxy on it."""
    if any(name in request.headers for name in FORWARDED) or not is_loopback(client_host(request)):
        raise NotLoopback


def client_host(request: Request) -> str:
    """The peer's address; headers that claim another are not believed."""
    return request.client.host if request.client else ""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
