"""People of the site, and API tokens: the administrator's."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Path
from pydantic import Field, SecretStr

from api import identity, members
from api.deps import Ctx, router
from api.policies import allow
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
    disabled: bool
    created_at: Moment


class NewToken(Input):
    login: Login
    name: Line
    expires_in_days: Annotated[Whole, Field(ge=1, le=3650)] | None = None


class TokenRow(Output):
    token_id: str
    user_id: int
    login: str
    name: str
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
def create_user(ctx: Ctx, body: NewUser) -> User:
    """Add a person. Without a password they sign in by a link that `millwright link LOGIN` prints."""
    password = body.password.get_secret_value() if body.password else None
    user_id = identity.create_user(
        ctx.conn,
        login=body.login,
        name=body.name,
        role=body.role,
        site_id=ctx.site.site_id,
        password=password,
        locale=body.locale,
    )
    return User.model_validate(members.member(ctx.conn, user_id))


@routes.patch("/users/{user_id}", dependencies=MANAGE)
def change_user(ctx: Ctx, user_id: Id, body: UserChange) -> User:
    """Rename, give another role, set a password (ends their sessions), or shut out."""
    person = members.member(ctx.conn, user_id)
    named = changes(body)
    if user_id == ctx.person.user_id and named.keys() & {"role", "disabled"}:
        raise Conflict("You cannot take your own rights away. Another administrator can.")
    if named.keys() - {"role"}:
        members.only_here(ctx.conn, user_id)
    if body.name is not None:
        members.rename(ctx.conn, user_id, body.name)
    if body.role is not None:
        identity.give_role(ctx.conn, user_id, site_id=ctx.site.site_id, role=body.role)
    if body.password is not None:
        identity.set_password(ctx.conn, person.login, body.password.get_secret_value())
    if body.disabled is not None:
        identity.set_disabled(ctx.conn, user_id, wall_now() if body.disabled else None)
    return User.model_validate(members.member(ctx.conn, user_id))


@routes.get("/tokens", dependencies=MANAGE)
def list_tokens(ctx: Ctx) -> Page[TokenRow]:
    """Living API tokens of people of the site; the secrets are not kept."""
    return Page(items=[TokenRow.model_validate(each) for each in members.tokens(ctx.conn)])


@routes.post("/tokens", status_code=201, dependencies=MANAGE)
def create_token(ctx: Ctx, body: NewToken) -> TokenMade:
    """Make a token with all the rights of a person of this site alone; it is shown once."""
    user_id = identity.user_named(ctx.conn, body.login)
    members.member(ctx.conn, user_id)
    members.only_here(ctx.conn, user_id)
    now = wall_now()
    until = now + timedelta(days=body.expires_in_days) if body.expires_in_days else None
    made = identity.create_token(ctx.conn, body.login, name=body.name, now=now, expires_at=until)
    ctx.shows_a_secret()
    return TokenMade(token=made, expires_at=until)


@routes.delete("/tokens/{token_id}", status_code=204, dependencies=MANAGE)
def revoke_token(ctx: Ctx, token_id: Annotated[str, Path(pattern="^[0-9a-f]{16}$")]) -> None:
    """Void a token at once."""
    members.revoke_token(ctx.conn, token_id)
