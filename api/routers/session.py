"""Signing in and out, and who I am."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from api import auth, identity
from api.deps import Context, Ctx, router
from api.errors import LinkUsed, NotSignedIn, WrongLogin
from api.identity import Kind, Person
from api.limits import Limit
from api.policies import allow, open_to_all
from api.shapes import Input, Locale, Moment, Output, Role
from core.clock import Clock, wall_now
from core.database import Database, use_site
from tickets import engineers

routes = router("session")


class SignIn(Input):
    login: Annotated[str, Field(min_length=1, max_length=64, examples=["wang.li"])]
    password: Annotated[str, Field(min_length=1, max_length=1024, examples=["correct horse battery"])]


class Link(Input):
    token: Annotated[str, Field(min_length=1, max_length=200, examples=["kJ3…"])]


class MySite(Output):
    code: str
    name: str
    timezone: str


class Me(Output):
    """Who is signed in, on which site, with which role."""

    user_id: int
    login: str
    name: str
    role: Role
    roles: Annotated[dict[str, Role], Field(description="site code → role")]
    site: MySite
    locale: Locale
    engineer_id: int | None


class SignedIn(Output):
    user: Me


class MyChange(Input):
    locale: Locale


class ClockNow(Output):
    """The plant clock. ``offset_s`` is plant time minus wall time."""

    now: Moment
    factor: float
    offset_s: float


@routes.post("/session", dependencies=[open_to_all("signing in comes before an identity")])
def sign_in(request: Request, response: Response, body: SignIn) -> SignedIn:
    """Sign in with login and password; sets the session cookie. The same answer for a wrong login and password."""
    database: Database = request.app.state.database
    with _limited(request, body.login.lower(), WrongLogin):
        secret = identity.sign_in(database, body.login, body.password, now=wall_now())
    return _signed_in(request, response, secret)


@routes.post("/session/link", dependencies=[open_to_all("a sign-in link is the identity")])
def sign_in_by_link(request: Request, response: Response, body: Link) -> SignedIn:
    """Sign in with the secret of a single-use link; only from the machine that Millwright runs on."""
    auth.require_loopback(request)
    database: Database = request.app.state.database
    with _limited(request, "\nlink", LinkUsed), database.tx() as conn:
        secret = identity.use_link(conn, body.token, now=wall_now())
    return _signed_in(request, response, secret)


@routes.delete("/session", status_code=204, dependencies=[allow("session.end")])
def sign_out(request: Request, response: Response, ctx: Ctx) -> None:
    """End the session (or the token) that this request came with."""
    identity.end(ctx.conn, auth.credential(request).secret)
    auth.clear_cookie(request, response)


@routes.get("/me", dependencies=[allow("me.read")])
def me(ctx: Ctx) -> Me:
    """Who am I, on which site, with which role?"""
    return _me(ctx)


@routes.patch("/me", dependencies=[allow("me.edit")])
def change_me(ctx: Ctx, body: MyChange) -> Me:
    """Choose my language."""
    identity.set_locale(ctx.conn, ctx.person.user_id, body.locale)
    return _me(ctx).model_copy(update={"locale": body.locale})


@routes.get("/clock", dependencies=[open_to_all("a screen shows plant time before sign-in")])
def clock(request: Request) -> ClockNow:
    """Plant time now, and how fast it runs."""
    database: Database = request.app.state.database
    with database.tx() as conn:
        plant: Clock = request.app.state.clock_source(conn)
    return ClockNow(now=plant.now(), factor=plant.factor, offset_s=plant.offset.total_seconds())


def _limited(request: Request, what: str, failure: type[Exception]) -> AbstractContextManager[None]:
    """Failures of one address with one login are limited; the account's own lock is in the database."""
    limit: Limit = request.app.state.sign_in_limit
    return limit.counting(f"{auth.client_host(request)} {what}", failure)


def _signed_in(request: Request, response: Response, secret: str) -> SignedIn:
    database: Database = request.app.state.database
    with database.tx() as conn:
        person = identity.who(conn, secret, kind=Kind.SESSION, now=wall_now())
        if person is None:
            raise NotSignedIn
        site = person.site(None)
        use_site(conn, site.site_id)
        answer = _shape(person, site, engineers.of_user(conn, person.user_id))
    auth.set_cookie(request, response, secret)
    return SignedIn(user=answer)


def _me(ctx: Context) -> Me:
    return _shape(ctx.person, ctx.site, ctx.engineer_id)


def _shape(person: Person, site: identity.Site, engineer_id: int | None) -> Me:
    return Me.model_validate(
        {
            "user_id": person.user_id,
            "login": person.login,
            "name": person.name,
            "role": person.roles[site.site_id],
            "roles": {each.code: person.roles[each.site_id] for each in person.sites},
            "site": site,
            "locale": person.locale,
            "engineer_id": engineer_id,
        }
    )
