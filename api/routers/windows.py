"""Production windows and shutdowns: when may a machine stop, what does it cost, and who said otherwise."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Id, Input, Moment, Number, Output, Page, Ref, When, Whole
from core.errors import Invalid
from plant import stops, windows
from plant.model import Window
from plant.stops import Kept
from plant.windows import Kind, Opening, Rule, Weekly

routes = router("windows")
READ, EDIT = [allow("asset.read")], [allow("window.edit")]
MOST_DAYS = 400
Cost = Annotated[Number, Field(ge=0, le=1e12, description="What an hour of standing costs then.")]


class WeeklyBody(Input):
    """In wall time of `zone`: on these weekdays (0 = Monday) of every so many weeks from the week of `first_day` on."""

    zone: Annotated[str, Field(min_length=1, max_length=64)]
    weekdays: Annotated[list[Annotated[Whole, Field(ge=0, le=6)]], Field(min_length=1, max_length=7)]
    opens_min: Annotated[Whole, Field(ge=0, le=1439, description="Minute of the day.")]
    lasts_min: Annotated[Whole, Field(ge=1, le=10080)]
    every_weeks: Annotated[Whole, Field(ge=1, le=52)] = 1
    first_day: date
    last_day: date | None = None


class WindowBody(Input):
    """Either `begins` and `ends`, or `weekly`. A *window*: the machine, and what is below it, may stop, and outside of
    its windows it may not. A *shutdown*: it stands anyway."""

    asset_id: Ref
    kind: Literal["window", "shutdown"] = "window"
    begins: When | None = None
    ends: When | None = None
    weekly: WeeklyBody | None = None
    cost_h: Cost = 0
    note: Annotated[str, Field(max_length=1000)] = ""


class WeeklyShown(Output):
    zone: str
    weekdays: list[int]
    opens_min: int
    lasts_min: int
    every_weeks: int
    first_day: date
    last_day: date | None


class WindowShown(Output):
    window_id: int
    version: int
    asset_id: int
    kind: str
    begins: Moment | None
    ends: Moment | None
    weekly: WeeklyShown | None
    cost_h: float
    note: str


class OpeningShown(Output):
    begins: Moment
    ends: Moment
    cost_h: float
    kind: str


class StopsShown(Output):
    """`restricted`: the asset may stop in windows only. `next`: the earliest stop of the length asked for, with the
    mean cost of an hour; `next_cost`: of all of it. `asked_cost`: of the time asked for; null: it may not stand."""

    restricted: bool
    openings: list[OpeningShown]
    next: OpeningShown | None
    next_cost: float | None
    asked_cost: float | None
    own_cost_h: float | None


class CostBody(Input):
    """`cost_h` null: as of the asset above."""

    cost_h: Cost | None


@routes.get("/windows", dependencies=READ)
def list_windows(ctx: Ctx, asset_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None) -> Page[WindowShown]:
    """The windows and shutdowns of an asset itself, or of all."""
    return Page(items=[shown(each) for each in stops.find(ctx.conn, asset_id)])


@routes.post("/windows", status_code=201, dependencies=EDIT)
def add_window(ctx: Ctx, response: Response, body: WindowBody) -> WindowShown:
    """A new one; one that overlaps another of its asset is refused."""
    kept = stops.put(ctx.conn, _rule(body))
    response.headers["etag"] = f'"{kept.version}"'
    return shown(kept)


@routes.put("/windows/{window_id}", dependencies=EDIT)
def change_window(ctx: Ctx, response: Response, window_id: Id, version: Version, body: WindowBody) -> WindowShown:
    """Another in its place."""
    kept = stops.change(ctx.conn, window_id, _rule(body), version=version)
    response.headers["etag"] = f'"{kept.version}"'
    return shown(kept)


@routes.delete("/windows/{window_id}", status_code=204, dependencies=EDIT)
def remove_window(ctx: Ctx, window_id: Id, version: Version) -> None:
    """Take it back."""
    stops.remove(ctx.conn, window_id, version=version)


@routes.get("/assets/{asset_id}/stops", dependencies=READ)
def get_stops(
    ctx: Ctx,
    asset_id: Id,
    begins: Annotated[When | None, Query()] = None,
    ends: Annotated[When | None, Query()] = None,
    lasting_min: Annotated[int, Query(ge=1, le=10080)] = 60,
) -> StopsShown:
    """When the asset may stop between two moments (the next two weeks without), by its own windows or those above, and
    what that costs."""
    start = begins or ctx.now
    end = ends or start + timedelta(days=14)
    if not start < end <= start + timedelta(days=MOST_DAYS):
        raise Invalid(f"The time asked for ends after it begins and is at most {MOST_DAYS} days long.")
    found = stops.openings(ctx.conn, asset_id, start=start, end=end)
    return _stops(ctx, asset_id, found, start, end, timedelta(minutes=lasting_min))


@routes.put("/assets/{asset_id}/stop-cost", status_code=204, dependencies=EDIT)
def put_stop_cost(ctx: Ctx, asset_id: Id, body: CostBody) -> None:
    """What an hour of standing costs outside of windows, for the asset and what is below it."""
    stops.set_cost(ctx.conn, asset_id, body.cost_h)


def shown(kept: Kept) -> WindowShown:
    """A rule as it is shown."""
    rule = kept.rule
    times: dict[str, Any] = {"begins": None, "ends": None, "weekly": None}
    if isinstance(rule.when, Window):
        times |= {"begins": rule.when.start, "ends": rule.when.end}
    else:
        week = rule.when
        times["weekly"] = WeeklyShown(
            zone=week.zone,
            weekdays=list(week.weekdays),
            opens_min=week.opens_min,
            lasts_min=week.lasts_min,
            every_weeks=week.every_weeks,
            first_day=week.first,
            last_day=week.last,
        )
    return WindowShown(
        window_id=kept.window_id,
        version=kept.version,
        asset_id=rule.asset_id,
        kind=rule.kind.value,
        cost_h=rule.cost_h,
        note=rule.note,
        **times,
    )


def _rule(body: WindowBody) -> Rule:
    if (body.weekly is None) != (body.begins is not None and body.ends is not None):
        raise Invalid("A window has a beginning and an end, or a weekly pattern; one of the two.")
    when: Window | Weekly
    if body.weekly is not None:
        week = body.weekly
        when = Weekly(
            week.zone, tuple(week.weekdays), week.opens_min, week.lasts_min, week.first_day, week.last_day,
            week.every_weeks,
        )  # fmt: skip
    elif body.begins is not None and body.ends is not None:
        when = Window(body.begins, body.ends)
    else:
        raise Invalid("A window has a beginning and an end.")
    return Rule(body.asset_id, when, body.cost_h, Kind(body.kind), body.note)


def _stops(
    ctx: Ctx, asset_id: int, found: list[Opening], start: datetime, end: datetime, lasting: timedelta
) -> StopsShown:
    following = windows.next_stop(found, after=start, lasting=lasting)
    return StopsShown(
        restricted=stops.book(ctx.conn).is_restricted(asset_id),
        openings=[_opening(each) for each in found],
        next=None if following is None else _opening(following),
        next_cost=None if following is None else windows.stop_cost(found, following.start, following.end),
        asked_cost=windows.stop_cost(found, start, end),
        own_cost_h=stops.cost(ctx.conn, asset_id),
    )


def _opening(each: Opening) -> OpeningShown:
    return OpeningShown(begins=each.start, ends=each.end, cost_h=each.cost_h, kind=each.kind.value)
