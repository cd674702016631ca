"""Plans of visits, the people and times they are made of, and the pool: who goes where, when and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from fastapi.responses import Response
from pydantic import Field

from api import own, ticket_view
from api.deps import Ctx, Version, router
from api.policies import allow, open_to_all
from api.shapes import Code, Cursor, Id, Input, Limit, Moment, Number, Output, Page, Ref, When, Whole, Words
from api.ticket_view import TicketItem
from core.clock import load
from core.database import Database, use_site
from core.errors import NotFound
from tickets import assigning, handing, store
from tickets.dispatch import feed, people, planning, replanning

routes = router("dispatch")
READ, PLAN = [allow("dispatch.read")], [allow("dispatch.plan")]
MOST_DAYS = 62
Metres = Annotated[Number, Field(ge=-1e7, le=1e7)]
Cause = Literal["plan", "emergency", "sickness", "overrun"]
After = Literal["off", "propose", "adopt"]
Table = Literal["absences", "on_call", "production_windows"]
TABLES: dict[str, Table] = {"absences": "absences", "on-call": "on_call", "windows": "production_windows"}
TablePath = Annotated[Literal["absences", "on-call", "windows"], Path()]


class PlanWanted(Input):
    """`sickness` wants an engineer and until when; `overrun` an order and its extra minutes."""

    cause: Cause = "plan"
    seconds: Annotated[Number, Field(ge=1, le=25, description="How long the optimiser may look.")] | None = None
    engineer_id: Ref | None = None
    until: When | None = None
    ticket_id: Ref | None = None
    extra_minutes: Annotated[Whole, Field(ge=1, le=1440)] | None = None


class LeftOver(Output):
    ticket_id: int
    ref: str
    why: Words


class ReasonShown(Output):
    """A surprise: `name` is the urgent order, who is away, or the order that takes longer."""

    cause: Literal["emergency", "sickness", "overrun"]
    name: str


class PlanShown(Output):
    """`moved`: share of the jobs of the plan before whose people or time change. Costs are in seconds of travel.

    `because`: the surprises that it answers. `by_itself`: it was proposed without anybody asking.
    """

    plan_id: int
    status: str
    cause: str
    base_id: int | None
    origin: Moment
    horizon_s: int
    maker: str | None
    reason: str
    cost: int | None
    greedy_cost: int | None
    moved: float
    left_over: list[LeftOver]
    made_at: Moment
    accepted_at: Moment | None
    because: list[ReasonShown]
    by_itself: bool


class VisitPart(Output):
    code: str
    name: str
    unit: str
    store: str
    reserved: float
    consumed: float


class VisitShown(Output):
    """`travel_s`: from the stop before, or from home. `parts`: that the order has reserved or used."""

    visit_id: int
    ticket_id: int
    ref: str
    title: str
    priority: int
    engineer_id: int
    engineer: str
    starts: Moment
    ends: Moment
    frozen: bool
    change: str
    reasons: list[Words]
    travel_s: int
    parts: list[VisitPart]


class PlanDetail(PlanShown):
    visits: list[VisitShown]


class NotGiven(Output):
    ticket_id: int
    ref: str
    detail: str


class Accepted(Output):
    plan: PlanShown
    not_given: list[NotGiven]


class Fixed(Input):
    frozen: bool


class SettingsShown(Output):
    routing: Literal["automatic", "push", "pool"]
    frozen_hours: float
    horizon_days: int
    travel_m_s: float
    kits_at_open: bool
    replanning: After


class SettingsWanted(Input):
    """`replanning`: what follows an urgent order, an absence or a visit that overruns."""

    routing: Literal["automatic", "push", "pool"]
    frozen_hours: Annotated[Number, Field(ge=0, le=168)]
    horizon_days: Annotated[Whole, Field(ge=1, le=14)]
    travel_m_s: Annotated[Number, Field(ge=0.1, le=50)]
    kits_at_open: bool
    replanning: After = "propose"


class StretchShown(Output):
    """`owner_id`: the engineer, or for windows the machine."""

    ident: int
    owner_id: int
    begins: Moment
    ends: Moment
    kind: str
    note: str


class StretchWanted(Input):
    owner_id: Ref
    begins: When
    ends: When
    kind: Literal["leave", "sick", "training", "other"] | None = None
    note: Annotated[str, Field(max_length=1000)] = ""


class CertificateShown(Output):
    engineer_id: int
    code: str
    valid_until: Moment | None


class PlaceWanted(Input):
    """Metres east and north on the site's map."""

    x_m: Metres
    y_m: Metres


class NeedsBody(Input):
    """What planning the order needs; `after`: orders that have to be done first."""

    duration_s: Annotated[Whole, Field(ge=60, le=172_800)] = 3600
    crew: Annotated[Whole, Field(ge=1, le=2)] = 1
    level: Annotated[Whole, Field(ge=1, le=3)] = 1
    certificates: Annotated[list[Code], Field(max_length=20, default_factory=list)]
    after: Annotated[list[Ref], Field(max_length=50, default_factory=list)]
    ready_at: When | None = None


class NeedsShown(Output):
    duration_s: int
    crew: int
    level: int
    certificates: list[str]
    after: list[int]
    ready_at: Moment | None


class HandOver(Input):
    """`engineer_id` null: whom routing finds."""

    note: Annotated[str, Field(min_length=1, max_length=2000)]
    engineer_id: Ref | None = None


class Suggestion(Output):
    engineer_id: int
    name: str
    cost: float
    reasons: list[Words]


class ProvenShown(Output):
    engineer_id: int
    name: str
    mode: str
    fixes: int


# -- plans ------------------------------------------------------------------------------------------------------------


@routes.get("/plans", dependencies=READ)
def list_plans(ctx: Ctx) -> Page[PlanShown]:
    """The newest plans: drafts, the one that stands, and those before it."""
    return Page(items=[PlanShown.model_validate(each) for each in planning.plans(ctx.conn)])


@routes.post("/plans", status_code=202, dependencies=PLAN)
def ask_for_plan(ctx: Ctx, body: PlanWanted) -> PlanShown:
    """Ask for a plan; it is a draft as soon as it is made. Nothing changes before it is accepted."""
    _surprise(ctx, body)
    plan_id = planning.ask(ctx.conn, cause=body.cause, user_id=ctx.person.user_id, seconds=body.seconds, now=ctx.now)
    return PlanShown.model_validate(planning.get(ctx.conn, plan_id))


@routes.get("/plans/{plan_id}", dependencies=READ)
def get_plan(ctx: Ctx, plan_id: Id) -> PlanDetail:
    """A plan with its visits, each with why this person and why then, and what is left over with why."""
    shown = PlanShown.model_validate(planning.get(ctx.conn, plan_id))
    visits = [VisitShown.model_validate(each) for each in planning.visits(ctx.conn, plan_id)]
    return PlanDetail(**shown.model_dump(), visits=visits)


@routes.post("/plans/{plan_id}/accept", dependencies=PLAN)
def accept_plan(ctx: Ctx, plan_id: Id) -> Accepted:
    """Make a draft the plan that stands, if it still keeps every hard rule: orders are assigned, people told."""
    failed = planning.accept(ctx.conn, ctx.actor, plan_id, now=ctx.now)
    plan = PlanShown.model_validate(planning.get(ctx.conn, plan_id))
    return Accepted(plan=plan, not_given=[NotGiven(**each) for each in failed])


@routes.post("/plans/{plan_id}/discard", dependencies=PLAN)
def discard_plan(ctx: Ctx, plan_id: Id) -> PlanShown:
    """Throw a draft away."""
    planning.discard(ctx.conn, plan_id)
    return PlanShown.model_validate(planning.get(ctx.conn, plan_id))


@routes.patch("/visits/{visit_id}", status_code=204, dependencies=PLAN)
def fix_visit(ctx: Ctx, visit_id: Id, body: Fixed) -> None:
    """Fix a visit of the standing plan, so that no plan moves it, or let it go."""
    planning.fix(ctx.conn, visit_id, frozen=body.frozen)


def _surprise(ctx: Ctx, body: PlanWanted) -> None:
    """Write down what the new plan has to know."""
    if body.cause == "sickness" and body.engineer_id is not None:
        until = body.until or ctx.now + timedelta(days=1)
        more = {"kind": "sick", "note": ""}
        people.add(ctx.conn, "absences", owner_id=body.engineer_id, begins=ctx.now, ends=until, **more)
    if body.cause == "overrun" and body.ticket_id is not None and body.extra_minutes is not None:
        planning.overrun(ctx.conn, body.ticket_id, extra_s=60 * body.extra_minutes)


# -- what plans are made of -------------------------------------------------------------------------------------------


@routes.get("/dispatch/settings", dependencies=READ)
def get_settings(ctx: Ctx) -> SettingsShown:
    """How the site hands out work and plans."""
    return SettingsShown.model_validate(people.settings(ctx.conn))


@routes.put("/dispatch/settings", dependencies=PLAN)
def put_settings(ctx: Ctx, body: SettingsWanted) -> SettingsShown:
    """Change it; orders that are open stay where they are."""
    people.set_settings(ctx.conn, people.Settings(**body.model_dump()))
    return get_settings(ctx)


@routes.get("/dispatch/times/{table}", dependencies=READ)
def list_times(ctx: Ctx, table: TablePath, begins: Annotated[When | None, Query()] = None) -> Page[StretchShown]:
    """Absences, on-call duties or production windows of two months from `begins` (now without)."""
    start = begins or ctx.now
    found = people.stretches(ctx.conn, TABLES[table], begins=start, ends=start + timedelta(days=MOST_DAYS))
    return Page(items=[StretchShown.model_validate(each) for each in found])


@routes.post("/dispatch/times/{table}", status_code=201, dependencies=PLAN)
def add_time(ctx: Ctx, table: TablePath, body: StretchWanted) -> StretchShown:
    """Add one. A machine with windows may only stand within them; without any it always may."""
    more: dict[str, Any] = {} if table == "on-call" else {"note": body.note}
    if table == "absences":
        more["kind"] = body.kind or "leave"
    times: dict[str, Any] = {"owner_id": body.owner_id, "begins": body.begins, "ends": body.ends}
    ident = people.add(ctx.conn, TABLES[table], **times, **more)
    if table == "absences":
        replanning.soon(ctx.conn)
    return StretchShown(ident=ident, **times, kind=body.kind or "", note=body.note)


@routes.delete("/dispatch/times/{table}/{ident}", status_code=204, dependencies=PLAN)
def remove_time(ctx: Ctx, table: TablePath, ident: Id) -> None:
    """Take one back."""
    people.remove(ctx.conn, TABLES[table], ident)


@routes.get("/dispatch/certificates", dependencies=READ)
def list_certificates(ctx: Ctx) -> Page[CertificateShown]:
    """Everybody's, the first to end first."""
    return Page(items=[CertificateShown.model_validate(each) for each in people.certificates(ctx.conn)])


@routes.put("/assets/{asset_id}/place", status_code=204, dependencies=PLAN)
def put_place(ctx: Ctx, asset_id: Id, body: PlaceWanted) -> None:
    """Where a machine stands; what is below it stands there too unless it says otherwise."""
    people.set_place(ctx.conn, asset_id, x_m=body.x_m, y_m=body.y_m)


@routes.get("/tickets/{ticket_id}/needs", dependencies=READ)
def get_needs(ctx: Ctx, ticket_id: Id) -> NeedsShown:
    """What planning the order needs."""
    own.readable(ctx, ticket_id)
    return NeedsShown.model_validate(people.needs(ctx.conn, ticket_id))


@routes.put("/tickets/{ticket_id}/needs", dependencies=PLAN)
def put_needs(ctx: Ctx, ticket_id: Id, body: NeedsBody) -> NeedsShown:
    """Say how long it takes, for how many people, with which certificates, after what, and when its parts are there."""
    given = {**body.model_dump(), "certificates": tuple(body.certificates), "after": tuple(body.after)}
    people.set_needs(ctx.conn, ticket_id, people.Needs(**given))
    return get_needs(ctx, ticket_id)


# -- from hand to hand ------------------------------------------------------------------------------------------------


@routes.get("/pool", dependencies=READ)
def list_pool(ctx: Ctx, limit: Limit = 50, cursor: Cursor = None) -> Page[TicketItem]:
    """Orders that nobody has."""
    found = handing.pool(ctx.conn, limit=limit, cursor=cursor)
    return Page(items=ticket_view.items(ctx, found.items), next=found.next)


@routes.post("/tickets/{ticket_id}/grab", dependencies=[allow("ticket.take")])
def grab(ctx: Ctx, ticket_id: Id) -> ticket_view.TicketDetail:
    """Take an order out of the pool; who comes first has it."""
    ticket = handing.grab(ctx.conn, ctx.actor, ticket_id, now=ctx.now)
    return ticket_view.detail(ctx, ticket)


@routes.post("/tickets/{ticket_id}/hand-over", dependencies=[allow("ticket.hand_over")])
def hand_over(ctx: Ctx, ticket_id: Id, body: HandOver, version: Version) -> ticket_view.TicketDetail:
    """Give your order to somebody else, with a note of how it stands."""
    ticket = handing.hand_over(
        ctx.conn, ctx.actor, ticket_id, note=body.note, to=body.engineer_id, version=version, now=ctx.now
    )
    return ticket_view.detail(ctx, ticket)


@routes.get("/tickets/{ticket_id}/suggestions", dependencies=READ)
def suggestions(ctx: Ctx, ticket_id: Id) -> Page[Suggestion]:
    """Who should do it, best first, with reasons."""
    ranking = assigning.suggested(ctx.conn, store.get(ctx.conn, ticket_id), ctx.now)
    return Page(items=[Suggestion.model_validate(each) for each in ranking.choices])


@routes.get("/dispatch/proven", dependencies=READ)
def list_proven(ctx: Ctx) -> Page[ProvenShown]:
    """Who has fixed which failure mode how often, verified by telemetry."""
    return Page(items=[ProvenShown.model_validate(each) for each in handing.proven(ctx.conn)])


# -- calendars --------------------------------------------------------------------------------------------------------


@routes.get(
    "/calendar/{token}.ics",
    dependencies=[open_to_all("calendar programs cannot sign in; the address is the secret")],
    response_class=Response,
    responses={200: {"content": {"text/calendar": {"schema": {"type": "string"}}}}},
)
def read_calendar(request: Request, token: Annotated[str, Path(max_length=80)]) -> Response:
    """An engineer's visits of the plan that stands."""
    address = feed.parse(token)
    database: Database = request.app.state.database
    with database.tx() as conn:
        if conn.execute("select 1 from sites where site_id = %s", (address.site_id,)).fetchone() is None:
            raise NotFound("There is no such calendar.")
        use_site(conn, address.site_id)
        body = feed.calendar(conn, address, now=load(conn).now())
    return Response(body, media_type="text/calendar", headers={"cache-control": "private, max-age=300"})
