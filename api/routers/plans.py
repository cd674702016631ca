"""Preventive plans: saved, paused, looked ahead, tried out."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Query, Response

from api.deps import Ctx, Version, router
from api.policies import allow
from api.routers.job_plans import CodePath
from api.shapes import Input, Moment, Output, Page, When, Words
from maintenance import job_plans_store, plans, plans_model, plans_store, sentences
from maintenance.plans_due import Ruling
from maintenance.plans_schedule import Forecast, Visit
from maintenance.plans_store import Kept, Occurrence

routes = router("plans")
READ, EDIT = [allow("plan.read")], [allow("plan.edit")]
MOST_SHOWN = 5000
Weeks = Annotated[int, Query(ge=1, le=104)]


class PlanBody(Input):
    """`body` as docs/plans.md describes: title, assets, calendar, meter, condition, job_plan, lead_days,
    tolerance_days, absorbs, season, priority, kind, repairs."""

    body: dict[str, Any]


class StateBody(Input):
    state: Literal["active", "paused", "retired"]


class DoneBody(Input):
    """`at` null: now."""

    at: When | None = None


class PlanShown(Output):
    """`warnings`: what may keep its orders from being ready."""

    plan_id: int
    code: str
    version: int
    state: str
    body: dict[str, Any]
    since: date
    next_due: date | None
    last_done: date | None
    open_due: date | None
    warnings: list[Words]
    made_at: Moment
    by_name: str


class OccurrenceShown(Output):
    due: date
    state: str
    why: Words
    ticket_id: int | None
    ticket_ref: str | None
    ticket_status: str | None
    recorded_at: Moment


class SlotShown(Output):
    code: str
    due: date


class VisitShown(Output):
    """One order of the future: `minutes` of work for `people` by the plans' job plans."""

    day: date
    assets: list[str]
    plans: list[SlotShown]
    minutes: int
    people: int


class SparedShown(Output):
    code: str
    due: date
    why: Words


class ScheduleShown(Output):
    """`visits` by day; `spared`: due days without a visit of their own, and why. `truncated`: more than is shown."""

    visits: list[VisitShown]
    spared: list[SparedShown]
    weeks: int
    truncated: bool


class TotalsShown(Output):
    """Over the time looked at. `hours`: of people's work."""

    visits: int
    due_days: int
    spared: int
    hours: float


class PreviewShown(Output):
    """The weeks ahead as they are and as they would be; nothing is kept. `days`: of this plan's visits."""

    weeks: int
    before: TotalsShown
    after: TotalsShown
    days_before: list[date]
    days_after: list[date]


@routes.get("/preventive-plans", dependencies=READ)
def list_preventive_plans(ctx: Ctx) -> Page[PlanShown]:
    """Every plan that is not retired."""
    found = plans_store.find(ctx.conn)
    return Page(items=_shown(ctx, found))


@routes.get("/plan-schedule", dependencies=READ)
def get_schedule(
    ctx: Ctx, weeks: Weeks = 52, asset: Annotated[str | None, Query(max_length=64)] = None
) -> ScheduleShown:
    """The visits of the weeks to come, each taken as done on its day; `asset`: of this one only."""
    found = plans.schedule(ctx.conn, weeks=weeks, now=ctx.now)
    times = _times(ctx)
    visits = [each for each in found.visits if asset in (None, *each.assets)]
    return ScheduleShown(
        visits=[_visit(each, times) for each in visits[:MOST_SHOWN]],
        spared=[_spared(code, each) for code, each in found.spared[:MOST_SHOWN]] if asset is None else [],
        weeks=weeks,
        truncated=len(visits) > MOST_SHOWN or len(found.spared) > MOST_SHOWN,
    )


@routes.get("/preventive-plans/{code}", dependencies=READ)
def get_preventive_plan(ctx: Ctx, response: Response, code: CodePath) -> PlanShown:
    """One plan."""
    found = plans.get(ctx.conn, code)
    response.headers["etag"] = f'"{found.version}"'
    return _shown(ctx, [found])[0]


@routes.put("/preventive-plans/{code}", dependencies=EDIT)
def put_preventive_plan(ctx: Ctx, response: Response, code: CodePath, version: Version, body: PlanBody) -> PlanShown:
    """Save it; `If-Match: "0"` makes a new one. What could never be ready is refused, what may come is a warning."""
    kept = plans.put(ctx.conn, code, body.body, version=version, by_name=ctx.person.name, now=ctx.now)
    response.headers["etag"] = f'"{kept.version}"'
    return _shown(ctx, [kept])[0]


@routes.post("/preventive-plans/{code}/state", dependencies=EDIT)
def set_plan_state(ctx: Ctx, response: Response, code: CodePath, version: Version, body: StateBody) -> PlanShown:
    """Pause it, let it go on, or retire it; orders that are open stay."""
    found = plans.get(ctx.conn, code)
    kept = plans.set_state(ctx.conn, found.plan_id, body.state, version=version, now=ctx.now)
    response.headers["etag"] = f'"{kept.version}"'
    return _shown(ctx, [kept])[0]


@routes.post("/preventive-plans/{code}/done", dependencies=EDIT)
def plan_done(ctx: Ctx, code: CodePath, body: DoneBody) -> PlanShown:
    """The work was done without an order."""
    found = plans.get(ctx.conn, code)
    kept = plans.done_by_hand(ctx.conn, found.plan_id, at=body.at or ctx.now, by_name=ctx.person.name, now=ctx.now)
    return _shown(ctx, [kept])[0]


@routes.get("/preventive-plans/{code}/occurrences", dependencies=READ)
def list_occurrences(ctx: Ctx, code: CodePath) -> Page[OccurrenceShown]:
    """What became of its last hundred due days, newest first: an order, or why there is none."""
    found = plans.get(ctx.conn, code)
    return Page(items=[_occurrence(each) for each in plans_store.occurrences(ctx.conn, found.plan_id)])


@routes.post("/preventive-plans/{code}/preview", dependencies=EDIT)
def preview_preventive_plan(ctx: Ctx, code: CodePath, body: PlanBody, weeks: Weeks = 52) -> PreviewShown:
    """What another definition would change in the weeks to come; nothing is kept."""
    before, after = plans.preview(ctx.conn, code, body.body, weeks=weeks, now=ctx.now)
    times = _times(ctx)
    return PreviewShown(
        weeks=weeks,
        before=_totals(before, times),
        after=_totals(after, times),
        days_before=_days(before, code),
        days_after=_days(after, code),
    )


# -- shapes -----------------------------------------------------------------------------------------------------------


def _shown(ctx: Ctx, found: list[Kept]) -> list[PlanShown]:
    outlooks = plans.outlooks(ctx.conn, found, now=ctx.now)
    return [
        PlanShown(
            plan_id=each.plan_id,
            code=each.code,
            version=each.version,
            state=each.state,
            body=plans_model.as_json(each.plan),
            since=each.since,
            next_due=outlooks[each.code].next_due,
            last_done=outlooks[each.code].last_done,
            open_due=outlooks[each.code].open_due,
            warnings=[Words(**warning) for warning in each.warnings],
            made_at=each.made_at,
            by_name=each.by_name,
        )
        for each in found
    ]


def _occurrence(each: Occurrence) -> OccurrenceShown:
    why = sentences.say(f"why.{each.reason.get('key')}", each.reason)
    named = {name: getattr(each, name) for name in OccurrenceShown.model_fields if name != "why"}
    return OccurrenceShown(**named, why=Words(**why))


def _times(ctx: Ctx) -> dict[str, tuple[int, int]]:
    """Plan → minutes and people of its job plan."""
    jobs = {each.code: (each.plan.minutes, each.plan.people) for each in job_plans_store.find(ctx.conn)}
    return {each.code: jobs.get(each.plan.job_plan, (0, 1)) for each in plans_store.find(ctx.conn)}


def _visit(visit: Visit, times: dict[str, tuple[int, int]]) -> VisitShown:
    of = [times.get(slot.code, (0, 1)) for slot in visit.plans]
    return VisitShown(
        day=visit.day,
        assets=list(visit.assets),
        plans=[SlotShown(code=slot.code, due=slot.due) for slot in visit.plans],
        minutes=sum(minutes for minutes, _ in of),
        people=max((people for _, people in of), default=1),
    )


def _spared(code: str, ruling: Ruling) -> SparedShown:
    about = {} if ruling.about is None else {"about": ruling.about.isoformat()}
    why = sentences.say(f"why.{ruling.why.value}", about | ({"by": ruling.by} if ruling.by else {}))
    return SparedShown(code=code, due=ruling.due, why=Words(**why))


def _totals(found: Forecast, times: dict[str, tuple[int, int]]) -> TotalsShown:
    counts = Counter(slot.code for visit in found.visits for slot in visit.plans)
    minutes = sum(times.get(code, (0, 1))[0] * times.get(code, (0, 1))[1] * n for code, n in counts.items())
    return TotalsShown(
        visits=len(found.visits), due_days=sum(counts.values()), spared=len(found.spared), hours=minutes / 60
    )


def _days(found: Forecast, code: str) -> list[date]:
    return [visit.day for visit in found.visits if any(slot.code == code for slot in visit.plans)]
