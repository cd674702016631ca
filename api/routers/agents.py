"""Agents (AI and service accounts), the second factor that roles need, and the record of accounts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from pydantic import Field

from api import identity
from api.accounts import admit, agents, records
from api.accounts.records import Act, write, write_here
from api.deps import Ctx, Version, router
from api.policies import allow
from api.routers.security import NEWEST, RecordRow
from api.shapes import Cursor, Id, Input, Limit, Line, Login, Moment, Output, Page, page, position
from core.clock import wall_now
from core.errors import Conflict

routes = router("users")
MANAGE = [allow("agent.manage")]
AgentRole = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,39}$", examples=["agent", "planner"])]
FOR_AGENTS = ("agent", "requester", "engineer", "planner", "manager")
MOST_ROLES = 40


class NewAgent(Input):
    login: Login
    name: Line
    role: AgentRole = "agent"


class AgentChange(Input):
    disabled: bool


class AgentRow(Output):
    """``owner``: the person who answers for it. ``tokens``: how many it has that are good."""

    user_id: int
    login: str
    name: str
    role: str
    owner: str | None
    disabled: bool
    created_at: Moment
    tokens: int
    used_at: Moment | None


class SignInPolicy(Output):
    """Roles of the site that need a second factor. Version 0: nobody has decided yet."""

    second_roles: list[str]
    version: int
    changed_at: Moment | None
    changed_by: str


class SignInTerms(Input):
    second_roles: Annotated[list[AgentRole], Field(max_length=MOST_ROLES)]


@routes.get("/agents", dependencies=MANAGE)
def list_agents(ctx: Ctx) -> Page[AgentRow]:
    """Agents of the site. Their tokens: `POST /tokens`."""
    return Page(items=[AgentRow.model_validate(each) for each in agents.listed(ctx.conn)])


@routes.post("/agents", status_code=201, dependencies=MANAGE)
def create_agent(request: Request, ctx: Ctx, body: NewAgent) -> AgentRow:
    """Make an agent with a role of its own; who makes it answers for it. Administrators are people."""
    if body.role not in FOR_AGENTS:
        raise Conflict(f"An agent's role is one of {', '.join(FOR_AGENTS)}.")
    user_id = agents.create(ctx.conn, login=body.login, name=body.name, role=body.role, by=ctx.by(request))
    return AgentRow.model_validate(agents.one(ctx.conn, user_id))


@routes.patch("/agents/{user_id}", dependencies=MANAGE)
def change_agent(request: Request, ctx: Ctx, user_id: Id, body: AgentChange) -> AgentRow:
    """Shut an agent out, which voids its tokens, or let it have new ones."""
    agents.one(ctx.conn, user_id)
    at = wall_now() if body.disabled else None
    identity.set_disabled(ctx.conn, user_id, at, by=ctx.by(request))
    write(ctx.conn, Act.AGENT_CHANGED, user_id, by=ctx.by(request), detail="off" if body.disabled else "on")
    return AgentRow.model_validate(agents.one(ctx.conn, user_id))


@routes.get("/sign-in-policy", dependencies=[allow("provider.manage")])
def read_sign_in_policy(ctx: Ctx) -> SignInPolicy:
    """Which roles need a second factor."""
    return SignInPolicy.model_validate(admit.policy(ctx.conn))


@routes.put("/sign-in-policy", dependencies=[allow("provider.manage")])
def set_sign_in_policy(request: Request, ctx: Ctx, body: SignInTerms, version: Version) -> SignInPolicy:
    """Set which roles need a second factor; who has none can only set one up until then."""
    roles = sorted(set(body.second_roles))
    admit.set_policy(ctx.conn, roles, version=version, by=ctx.person.name)
    detail = f"second factor for: {', '.join(roles) or 'nobody'}"
    write_here(ctx.conn, Act.POLICY_SET, by=ctx.by(request), detail=detail)
    return SignInPolicy.model_validate(admit.policy(ctx.conn))


@routes.get("/identity-record", dependencies=[allow("identity.read")])
def read_record(
    ctx: Ctx,
    user_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RecordRow]:
    """What was done to accounts of the site, newest first."""
    before = position(cursor, start=NEWEST)
    found = records.newest(ctx.conn, before=before, limit=limit + 1, user_id=user_id)
    return page([RecordRow.model_validate(each) for each in found], limit, "event_id")
