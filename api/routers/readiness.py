"""Is an order ready, and if not, why: parts, permit, window, people; permits and named overrides."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from api.deps import Ctx, Version, router
from api.own import readable
from api.policies import allow
from api.shapes import Id, Input, Moment, Output, Page, Words
from maintenance import readiness
from maintenance.readiness import Readiness

routes = router("readiness")
READ, EDIT = [allow("plan.read")], [allow("ticket.plan")]
StateName = Literal["to_plan", "waiting_parts", "ready", "scheduled", "frozen"]


class LackShown(Output):
    kind: Literal["parts", "permit", "window", "skills"]
    text: Words


class OverrideShown(Output):
    by_name: str
    reason: str
    made_at: Moment


class ReadinessShown(Output):
    """`window_begins`: the earliest stop that is long enough, for `cost_h` an hour. `visit`: when somebody comes."""

    ticket_id: int
    ref: str
    title: str
    status: str
    priority: int
    version: int
    asset_id: int | None
    resolve_by: Moment | None
    state: StateName
    ready: bool
    lacks: list[LackShown]
    window_begins: Moment | None
    window_ends: Moment | None
    cost_h: float
    visit: Moment | None
    permit_by: str | None
    override: OverrideShown | None
    job_plans: list[str]


class PermitBody(Input):
    note: Annotated[str, Field(max_length=1000)] = ""


class OverrideBody(Input):
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


@routes.get("/readiness", dependencies=READ)
def list_readiness(ctx: Ctx, state: Annotated[StateName | None, Query()] = None) -> Page[ReadinessShown]:
    """Orders that nobody has begun, the most urgent first, with what each still lacks."""
    found = readiness.board(ctx.conn, now=ctx.now)
    return Page(items=[_shown(each) for each in found if state in (None, each.state.value)])


@routes.get("/tickets/{ticket_id}/readiness", dependencies=READ)
def get_readiness(ctx: Ctx, ticket_id: Id) -> ReadinessShown:
    """Whether the order is ready, and if not, why."""
    return _shown(readiness.of(ctx.conn, readable(ctx, ticket_id), now=ctx.now))


@routes.put("/tickets/{ticket_id}/permit", dependencies=EDIT)
def give_permit(ctx: Ctx, ticket_id: Id, version: Version, body: PermitBody) -> ReadinessShown:
    """The machine may be worked on: the caller's name stands for it."""
    ticket = readiness.give_permit(ctx.conn, ctx.actor, ticket_id, note=body.note, version=version, now=ctx.now)
    return _shown(readiness.of(ctx.conn, ticket, now=ctx.now))


@routes.delete("/tickets/{ticket_id}/permit", dependencies=EDIT)
def take_permit(ctx: Ctx, ticket_id: Id, version: Version) -> ReadinessShown:
    """It may not be worked on any more."""
    ticket = readiness.take_permit(ctx.conn, ctx.actor, ticket_id, version=version, now=ctx.now)
    return _shown(readiness.of(ctx.conn, ticket, now=ctx.now))


@routes.put("/tickets/{ticket_id}/window-override", dependencies=EDIT)
def override(ctx: Ctx, ticket_id: Id, version: Version, body: OverrideBody) -> ReadinessShown:
    """Work outside of the machine's windows, on the caller's name and for a reason."""
    ticket = readiness.override(ctx.conn, ctx.actor, ticket_id, reason=body.reason, version=version, now=ctx.now)
    return _shown(readiness.of(ctx.conn, ticket, now=ctx.now))


@routes.delete("/tickets/{ticket_id}/window-override", dependencies=EDIT)
def take_override(ctx: Ctx, ticket_id: Id, version: Version) -> ReadinessShown:
    """The machine's windows count again."""
    ticket = readiness.take_override(ctx.conn, ctx.actor, ticket_id, version=version, now=ctx.now)
    return _shown(readiness.of(ctx.conn, ticket, now=ctx.now))


def _shown(found: Readiness) -> ReadinessShown:
    ticket = found.ticket
    named = {
        name: getattr(ticket, name)
        for name in ("ticket_id", "ref", "title", "status", "priority", "version", "asset_id", "resolve_by")
    }
    override_ = found.override
    return ReadinessShown(
        **named,
        state=found.state.value,
        ready=found.ready,
        lacks=[LackShown(kind=each.kind.value, text=Words(**each.text)) for each in found.lacks],
        window_begins=found.window.start if found.window else None,
        window_ends=found.window.end if found.window else None,
        cost_h=found.cost_h,
        visit=found.visit,
        permit_by=found.permit_by,
        override=None if override_ is None else OverrideShown.model_validate(override_),
        job_plans=list(found.job_plans),
    )
