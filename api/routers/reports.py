"""Reports, the worst problems, their files, and schedules."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Id, Input, Locale, Moment, Output, Ref, Whole, Words
from tickets import (
    reports,
    reports_catalogue,
    reports_files,
    reports_schedule,
    reports_top,
    saved,
    views,
    views_custom,
    words,
)
from tickets.reports import DEFAULT_PERIOD
from tickets.reports_catalogue import MEASURES
from tickets.reports_schedule import Schedule
from tickets.saved import Kind

routes = router("reports")
READ = [allow("report.read")]
SCHEDULE = [allow("report.schedule")]
Form = Literal["csv", "xlsx", "pdf"]
FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}} for media in reports_files.MEDIA.values()
        },
        "description": "The file.",
    }
}
Period = Annotated[str, Query(max_length=40, description="RFC 3339, or now or today, like `today-90d`.")]


class MeasureShown(Output):
    """``basis``: the time of a ticket that decides which period it counts for."""

    name: str
    label: Words
    unit: str
    basis: str


class DimensionShown(Output):
    name: str
    label: Words
    is_time: bool


class CatalogueShown(Output):
    measures: list[MeasureShown]
    dimensions: list[DimensionShown]


class PeriodAsked(Input):
    """RFC 3339, or now or today, like `today-90d`; ``until`` is excluded."""

    from_: Annotated[str, Field(alias="from", max_length=40)]
    until: Annotated[str, Field(max_length=40)]


class ReportAsked(Input):
    """See GET /reports/catalogue; ``filter`` is that of the list."""

    measures: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=6)]
    dimensions: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list, max_length=2)
    filter: list[dict[str, Any]] = Field(default_factory=list, max_length=30)
    period: PeriodAsked = Field(default_factory=lambda: PeriodAsked.model_validate(DEFAULT_PERIOD))
    limit: Annotated[Whole, Field(ge=1, le=2000)] = 200
    sort: Annotated[str, Field(max_length=66)] = ""


class ReportShown(Output):
    """``rows``: the groups (text or null), then the measures (number or null), in the order that was asked for."""

    measures: list[MeasureShown]
    dimensions: list[DimensionShown]
    since: Moment
    until: Moment
    zone: str
    rows: list[list[str | float | None]]
    totals: list[float | None]
    cut: int


class ProblemShown(Output):
    """``before``: the same figure in the period of equal length before; ``share`` of the whole period's."""

    asset_id: int
    asset: str
    asset_name: str
    mode: str | None
    count: int
    open: int
    cost: float
    downtime_h: float
    before: float
    share: float


class NewSchedule(Input):
    saved_id: Ref
    format: Form
    locale: Locale = "en"
    every: Literal["day", "week", "month"]
    hour: Annotated[Whole, Field(ge=0, le=23, description="On the site's clock.")] = 6
    recipients: Annotated[list[Ref], Field(min_length=1, max_length=50)]


class ScheduleChange(Input):
    """What is left out stays; `paused` makes no file until it is false again."""

    format: Form | None = None
    locale: Locale | None = None
    every: Literal["day", "week", "month"] | None = None
    hour: Annotated[Whole, Field(ge=0, le=23)] | None = None
    recipients: Annotated[list[Ref], Field(min_length=1, max_length=50)] | None = None
    paused: bool | None = None


class ScheduleShown(Output):
    """`version` is what If-Match wants; files that are made do not change it."""

    schedule_id: int
    saved_id: int
    name: str
    owner_id: int
    format: Form
    locale: Locale
    every: str
    hour: int
    recipients: list[int]
    next_at: Moment
    last_at: Moment | None
    last_error: str | None
    paused: bool
    version: int
    changed_by: str


class ReaderShown(Output):
    user_id: int
    name: str
    role: str


class FileShown(Output):
    file_id: int
    name: str
    due_at: Moment
    made_at: Moment
    bytes: int


@routes.get("/reports/catalogue", dependencies=READ)
def report_catalogue(ctx: Ctx) -> CatalogueShown:
    """What can be counted, and by what; custom fields that are choices are dimensions by themselves."""
    known = reports_catalogue.dimensions(views_custom.known(ctx.conn))
    return CatalogueShown(
        measures=[_measure(each) for each in MEASURES.values()],
        dimensions=[_dimension(each) for each in known.values()],
    )


@routes.post("/reports/run", dependencies=READ)
def run_report(ctx: Ctx, body: ReportAsked) -> ReportShown:
    """Measures by at most two dimensions (a pivot), within a period."""
    moment = views.moment(ctx.conn, ctx.now)
    result = reports.run(ctx.conn, reports.check(ctx.conn, body.model_dump(by_alias=True)), moment=moment)
    return ReportShown(
        measures=[_measure(each) for each in result.report.measures],
        dimensions=[_dimension(each) for each in result.report.dimensions],
        since=result.since,
        until=result.until,
        zone=moment.zone.key,
        rows=[list(row) for row in result.rows],
        totals=list(result.totals),
        cut=result.cut,
    )


@routes.get("/reports/problems", dependencies=READ)
def top_problems(
    ctx: Ctx,
    by: Literal["cost", "downtime", "count"] = "cost",
    since: Period = "today-90d",
    until: Period = "now",
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> list[ProblemShown]:
    """Which asset and fault cost most, with the period before beside it."""
    moment = views.moment(ctx.conn, ctx.now)
    asked = reports.check(ctx.conn, {"measures": ["opened"], "period": {"from": since, "until": until}})
    begin, end = reports.period(asked, moment)
    found = reports_top.top(ctx.conn, by=by, since=begin, until=end, limit=limit)
    return [ProblemShown.model_validate(each) for each in found]


@routes.get("/reports/saved/{saved_id}/file", dependencies=READ, responses=FILE, response_class=Response)
def report_file(ctx: Ctx, saved_id: Id, form: Form = "xlsx", locale: Locale = "en") -> Response:
    """A saved report as a file, made now."""
    kept = saved.get(ctx.conn, ctx.actor, saved_id)
    if kept.kind is not Kind.REPORT:
        raise words.refuse("saved_id", f"“{kept.name}” is no report.")
    moment = views.moment(ctx.conn, ctx.now)
    made = reports_files.file(ctx.conn, kept.body, title=kept.name, form=form, locale=locale, moment=moment)
    return _file(f"{kept.name}.{form}", reports_files.MEDIA[form], made)


@routes.get("/reports/schedules", dependencies=READ)
def list_schedules(ctx: Ctx) -> list[ScheduleShown]:
    """Mine, and those that I receive."""
    return [_schedule(each) for each in reports_schedule.all_for(ctx.conn, ctx.actor)]


@routes.post("/reports/schedules", status_code=201, dependencies=SCHEDULE)
def add_schedule(ctx: Ctx, body: NewSchedule) -> ScheduleShown:
    """A file each day, Monday or first of the month, at an hour of the site's clock, with a notice to people."""
    return _schedule(reports_schedule.add(ctx.conn, ctx.actor, **body.model_dump(), now=ctx.now))


@routes.patch("/reports/schedules/{schedule_id}", dependencies=SCHEDULE)
def change_schedule(
    ctx: Ctx, response: Response, schedule_id: Id, body: ScheduleChange, version: Version
) -> ScheduleShown:
    """Another form, rhythm or readers, or a pause; what a pause missed is not made up for."""
    named = body.model_dump(exclude_none=True)
    given: dict[str, Any] = {"changes": named, "version": version, "now": ctx.now}
    made = reports_schedule.change(ctx.conn, ctx.actor, schedule_id, **given)
    response.headers["etag"] = f'"{made.version}"'
    return _schedule(made)


@routes.get("/reports/readers", dependencies=SCHEDULE)
def list_readers(ctx: Ctx) -> list[ReaderShown]:
    """Who may get reports of this site."""
    return [ReaderShown.model_validate(each) for each in reports_schedule.crew(ctx.conn)]


@routes.delete("/reports/schedules/{schedule_id}", status_code=204, dependencies=SCHEDULE)
def remove_schedule(ctx: Ctx, schedule_id: Id, version: Version) -> None:
    """No more files; those that were made go too."""
    reports_schedule.remove(ctx.conn, ctx.actor, schedule_id, version=version)


@routes.get("/reports/schedules/{schedule_id}/files", dependencies=READ)
def list_files(ctx: Ctx, schedule_id: Id) -> list[FileShown]:
    """What was made, newest first; the last twenty are kept."""
    return [FileShown.model_validate(each) for each in reports_schedule.files(ctx.conn, ctx.actor, schedule_id)]


@routes.get("/reports/files/{file_id}", dependencies=READ, responses=FILE, response_class=Response)
def read_report_file(ctx: Ctx, file_id: Id) -> Response:
    """A file that a schedule made."""
    return _file(*reports_schedule.content(ctx.conn, ctx.actor, file_id))


def _file(name: str, media: str, content: bytes) -> Response:
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "x-content-type-options": "nosniff",
    }
    return Response(content, media_type=media, headers=headers)


def _measure(each: reports_catalogue.Measure) -> MeasureShown:
    return MeasureShown(name=each.name, label=Words(**each.label), unit=each.unit, basis=each.basis)


def _dimension(each: reports_catalogue.Dimension) -> DimensionShown:
    return DimensionShown(name=each.name, label=Words(**each.label), is_time=each.is_time)


def _schedule(each: Schedule) -> ScheduleShown:
    return ScheduleShown.model_validate(each)
