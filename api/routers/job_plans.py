"""Job plans: kept in revisions, applied to an order in one action."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Response
from pydantic import Field

from api import ticket_view
from api.deps import Ctx, Version, router
from api.own import readable
from api.policies import allow
from api.shapes import Code, Id, Input, Moment, Output, Page
from api.ticket_view import TicketDetail
from maintenance import job_plans, job_plans_store
from maintenance.job_plans_store import Kept

routes = router("job plans")
READ, EDIT = [allow("plan.read")], [allow("plan.edit")]
CodePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class JobPlanBody(Input):
    """`body` as docs/plans.md describes: title, steps, tools, parts, skill, level, people, minutes, certificates,
    isolation, permit, checklist, guide."""

    state: Literal["active", "retired"] = "active"
    body: dict[str, Any]


class JobPlanShown(Output):
    code: str
    revision: int
    state: str
    body: dict[str, Any]
    made_at: Moment
    by_name: str


class Applied(Input):
    code: Annotated[Code, Field(description="Of the job plan.")]


@routes.get("/job-plans", dependencies=READ)
def list_job_plans(ctx: Ctx) -> Page[JobPlanShown]:
    """The newest revision of each."""
    return Page(items=[_shown(each) for each in job_plans_store.find(ctx.conn)])


@routes.get("/job-plans/{code}", dependencies=READ)
def get_job_plan(ctx: Ctx, response: Response, code: CodePath) -> JobPlanShown:
    """The newest revision of one."""
    found = job_plans_store.get(ctx.conn, code)
    response.headers["etag"] = f'"{found.revision}"'
    return _shown(found)


@routes.put("/job-plans/{code}", dependencies=EDIT)
def put_job_plan(ctx: Ctx, response: Response, code: CodePath, version: Version, body: JobPlanBody) -> JobPlanShown:
    """The next revision, for orders from now on; `If-Match: "0"` makes a new one."""
    kept = job_plans_store.put(
        ctx.conn, code, body.body, state=body.state, version=version, by_name=ctx.person.name, now=ctx.now
    )
    response.headers["etag"] = f'"{kept.revision}"'
    return _shown(kept)


@routes.get("/tickets/{ticket_id}/job-plans", dependencies=READ)
def job_plans_of(ctx: Ctx, ticket_id: Id) -> Page[JobPlanShown]:
    """The revisions that the order was given."""
    ticket = readable(ctx, ticket_id)
    return Page(items=[_shown(each) for each in job_plans_store.of_ticket(ctx.conn, ticket.ticket_id)])


@routes.post("/tickets/{ticket_id}/job-plans", dependencies=EDIT)
def apply_job_plan(ctx: Ctx, response: Response, ticket_id: Id, version: Version, body: Applied) -> TicketDetail:
    """Give the order a job plan: time, people, skill, certificates, checklist, and parts as far as there are any."""
    ticket = job_plans_store.apply(ctx.conn, ctx.actor, ticket_id, body.code, version=version, now=ctx.now)
    response.headers["etag"] = f'"{ticket.version}"'
    return ticket_view.detail(ctx, ticket)


def _shown(kept: Kept) -> JobPlanShown:
    return JobPlanShown(
        code=kept.code,
        revision=kept.revision,
        state=kept.state,
        body=job_plans.as_json(kept.plan),
        made_at=kept.made_at,
        by_name=kept.by_name,
    )
