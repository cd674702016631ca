"""Who I am, signing out, and the plant's time. How one signs in: sign_in.py."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Request, Response
from psycopg import Connection
from pydantic import Field

from api import auth, identity
from api.accounts.admit import needs_second
from api.accounts.records import Act, write
from api.deps import Context, Ctx, router
from api.identity import Person
from api.policies import allow, open_to_all
from api.shapes import Input, Locale, Moment, Output, Role
from core.clock import Clock
from core.database import Database

routes = router("session")


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
    kind: Literal["person", "agent"] = "person"
    second_needed: Annotated[
        bool, Field(description="The role needs a second factor on this site, and this session has none.")
    ] = False


class MyChange(Input):
    locale: Locale


class ClockNow(Output):
    """The plant clock. ``offset_s`` is plant time minus wall time."""

    now: Moment
    factor: float
    offset_s: float


@routes.delete("/session", status_code=204, dependencies=[allow("session.end")])
def sign_out(request: Request, response: Response, ctx: Ctx) -> None:
    """End the session (or the token) that this request came with."""
    identity.end(ctx.conn, auth.credential(request).secret)
    write(ctx.conn, Act.SIGNED_OUT, ctx.person.user_id, by=ctx.by(request))
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


def _me(ctx: Context) -> Me:
    return shape(ctx.conn, ctx.person, ctx.site, ctx.engineer_id)


def shape(conn: Connection, person: Person, site: identity.Site, engineer_id: int | None) -> Me:
    """Who somebody is on the current site."""
    role = person.roles[site.site_id]
    return Me.model_validate(
        {
            "user_id": person.user_id,
            "login": person.login,
            "name": person.name,
            "role": role,
            "roles": {each.code: person.roles[each.site_id] for each in person.sites},
            "site": site,
            "locale": person.locale,
            "engineer_id": engineer_id,
            "kind": person.kind,
            "second_needed": not person.is_strong and needs_second(conn, role),
        }
    )
