"""People of the site, their links and tokens: the administrator's."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Path, Request
from pydantic import Field, SecretStr

from api import identity, members
from api.accounts import passkeys, scopes, second
from api.accounts.records import Act, write
from api.deps import Ctx, router
from api.errors import SessionNeeded
from api.policies import allow
from api.routers.security import Scope
from api.shapes import (
    Change,
    Cursor,
    Id,
    Input,
    Limit,
    Line,
    Locale,
    Login,
    Moment,
    Output,
    Page,
    Role,
    Whole,
    changes,
    page,
    position,
)
from core.clock import wall_now
from core.errors import Conflict

routes = router("users")
MOST_SCOPES = scopes.MOST
MANAGE = [allow("user.manage")]


class NewUser(Input):
    login: Login
    name: Line
    role: Role
    password: Annotated[SecretStr | None, Field(min_length=12, max_length=1024)] = None
    locale: Locale = "en"


class UserChange(Change):
    name: Line | None = None
    role: Role | None = None
    password: Annotated[SecretStr | None, Field(min_length=12, max_length=1024)] = None
    disabled: bool | None = None


class User(Output):
    user_id: int
    login: str
    name: str
    role: Role
    locale: Locale
    kind: Literal["person", "agent"]
    disabled: bool
    codes_on: bool
    passkeys: int
    created_at: Moment


class Invite(Output):
    """A single-use link, shown this once, that sets a password within a day. ``path`` follows the console's address."""

    path: Annotated[str, Field(examples=["/#/invite/kJ3…"])]
    expires_at: Moment


class NewToken(Input):
    login: Login
    name: Line
    scopes: Annotated[list[Scope] | None, Field(min_length=1, max_length=MOST_SCOPES)] = None
    expires_in_days: Annotated[Whole, Field(ge=1, le=3650)] | None = None


class TokenRow(Output):
    token_id: str
    user_id: int
    login: str
    kind: Literal["person", "agent"]
    name: str
    scopes: list[str] | None
    created_at: Moment
    expires_at: Moment | None
    used_at: Moment | None


class TokenMade(Output):
    """The token is shown this once; send it as `Authorization: Bearer mwt_…`."""

    token: Annotated[str, Field(examples=["mwt_…"])]
    expires_at: Moment | None


@routes.get("/users", dependencies=MANAGE)
def list_users(ctx: Ctx, limit: Limit = 50, cursor: Cursor = None) -> Page[User]:
    """People with a role on the site."""
    found = members.members(ctx.conn, after=position(cursor, start=0), limit=limit + 1)
    return page([User.model_validate(each) for each in found], limit, "user_id")


@routes.post("/users", status_code=201, dependencies=MANAGE)
def create_user(request: Request, ctx: Ctx, body: NewUser) -> User:
    """Add a person. Without a password they set one by a link: `POST /users/{user_id}/invite`."""
    password = body.password.get_secret_value() if body.password else None
    user_id = identity.create_user(
        ctx.conn,
        login=body.login,
        name=body.name,
        role=body.role,
        site_id=ctx.site.site_id,
        password=password,
        locale=body.locale,
        by=ctx.by(request),
    )
    return User.model_validate(members.member(ctx.conn, user_id))


@routes.patch("/users/{user_id}", dependencies=MANAGE)
def change_user(request: Request, ctx: Ctx, user_id: Id, body: UserChange) -> User:
    """Rename, give another role, set a password (ends their sessions), or shut out."""
    person = members.member(ctx.conn, user_id)
    named = changes(body)
    if user_id == ctx.person.user_id and named.keys() & {"role", "disabled"}:
        raise Conflict("You cannot take your own rights away. Another administrator can.")
    if named.keys() - {"role"}:
        members.only_here(ctx.conn, user_id)
    by = ctx.by(request)
    if body.name is not None:
        members.rename(ctx.conn, user_id, body.name)
        write(ctx.conn, Act.USER_RENAMED, user_id, by=by, detail=body.name)
    if body.role is not None:
        identity.give_role(ctx.conn, user_id, site_id=ctx.site.site_id, role=body.role, by=by)
    if body.password is not None:
        identity.set_password(ctx.conn, person.login, body.password.get_secret_value(), by=by)
    if body.disabled is not None:
        identity.set_disabled(ctx.conn, user_id, wall_now() if body.disabled else None, by=by)
    return User.model_validate(members.member(ctx.conn, user_id))


@routes.post("/users/{user_id}/invite", status_code=201, dependencies=MANAGE)
def invite_user(request: Request, ctx: Ctx, user_id: Id) -> Invite:
    """A single-use link by which a person of this site alone sets their password, within a day."""
    person = members.member(ctx.conn, user_id)
    members.only_here(ctx.conn, user_id)
    if person.kind == identity.UserKind.AGENT:
        raise Conflict("An agent has tokens, and no password.")
    made = identity.create_invite(ctx.conn, user_id, now=wall_now(), by=ctx.by(request))
    ctx.shows_a_secret()
    return Invite(path=f"/#/invite/{made}", expires_at=wall_now() + identity.INVITE_LIFE)


@routes.delete("/users/{user_id}/second-factors", status_code=204, dependencies=MANAGE)
def reset_second_factors(request: Request, ctx: Ctx, user_id: Id) -> None:
    """Take codes, recovery codes and passkeys off the account of a person who lost them; their sessions end."""
    members.member(ctx.conn, user_id)
    members.only_here(ctx.conn, user_id)
    second.turn_off(ctx.conn, user_id)
    passkeys.remove_all(ctx.conn, user_id)
    identity.end_sessions(ctx.conn, user_id)
    write(ctx.conn, Act.SECOND_RESET, user_id, by=ctx.by(request))


@routes.delete("/users/{user_id}/sessions", status_code=204, dependencies=MANAGE)
def end_user_sessions(request: Request, ctx: Ctx, user_id: Id) -> None:
    """Sign a person of this site alone out everywhere."""
    members.member(ctx.conn, user_id)
    members.only_here(ctx.conn, user_id)
    identity.end_sessions(ctx.conn, user_id)
    write(ctx.conn, Act.SESSION_ENDED, user_id, by=ctx.by(request), detail="all")


@routes.get("/tokens", dependencies=MANAGE)
def list_tokens(ctx: Ctx) -> Page[TokenRow]:
    """Living API tokens of people of the site; the secrets are not kept."""
    return Page(items=[TokenRow.model_validate(each) for each in members.tokens(ctx.conn)])


@routes.post("/tokens", status_code=201, dependencies=MANAGE)
def create_token(request: Request, ctx: Ctx, body: NewToken) -> TokenMade:
    """Make a token with all or some rights of a person of this site alone; it is shown once.

    A token that is itself limited by scopes makes none.
    """
    user_id = identity.user_named(ctx.conn, body.login)
    role = members.member(ctx.conn, user_id).role
    members.only_here(ctx.conn, user_id)
    if ctx.person.scopes is not None:
        raise SessionNeeded
    now = wall_now()
    until = now + timedelta(days=body.expires_in_days) if body.expires_in_days else None
    chosen = None if body.scopes is None else scopes.checked(body.scopes, lambda right: members.may(role, right))
    made = identity.create_token(
        ctx.conn, body.login, name=body.name, now=now, expires_at=until, scopes=chosen, by=ctx.by(request)
    )
    ctx.shows_a_secret()
    return TokenMade(token=made, expires_at=until)


@routes.delete("/tokens/{token_id}", status_code=204, dependencies=MANAGE)
def revoke_token(request: Request, ctx: Ctx, token_id: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]) -> None:
    """Void a token at once."""
    user_id, name = members.revoke_token(ctx.conn, token_id)
    write(ctx.conn, Act.TOKEN_REVOKED, user_id, by=ctx.by(request), detail=name)
