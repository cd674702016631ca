"""How well the alarms serve people: ISA-18.2 and EEMUA 191 figures, each with the alarms behind it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Query

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Moment, Output, When
from api.shown import ModeShown
from core.errors import Invalid
from maintenance import alarms_report
from maintenance.alarms_hygiene import Figure
from maintenance.alarms_report import Hygiene

routes = router("alarms")
READ = [allow("alarm.read")]
LONGEST = timedelta(days=92)
USUAL = timedelta(days=7)

Start = Annotated[When | None, Query(description="seven days before the end, if it is not given")]
End = Annotated[When | None, Query(description="now, if it is not given")]


class FigureShown(Output):
    """`unit` alarms or share (0..1); `met` says whether the `target` is."""

    figure: Figure
    value: float
    unit: str
    target: str | None
    met: bool | None


class HygieneShown(Output):
    """`people` is how many the alarms are told to."""

    start: Moment
    end: Moment
    people: int
    figures: list[FigureShown]


class BehindRow(Output):
    """An alarm behind a figure; `count` is its part: times it came, hours it stands, or 1."""

    alarm_id: int
    asset_id: int
    asset_code: str
    asset_name: str
    mode: ModeShown
    state: str
    severity: int
    detector: str
    raised_at: Moment
    held: str
    count: float


@routes.get("/alarm-hygiene", dependencies=READ)
def alarm_hygiene(ctx: Ctx, start: Start = None, end: End = None) -> HygieneShown:
    """The figures of a span of at most 92 days."""
    found = _of(ctx, start, end)
    figures = [FigureShown.model_validate(each) for each in found.told]
    return HygieneShown(start=found.span.start, end=found.span.end, people=found.span.people, figures=figures)


@routes.get("/alarm-hygiene/{figure}", dependencies=READ)
def alarms_behind(ctx: Ctx, figure: Figure, start: Start = None, end: End = None) -> list[BehindRow]:
    """The alarms behind one figure, most first, at most 200."""
    told = next(each for each in _of(ctx, start, end).told if each.figure is figure)
    return [BehindRow.model_validate(each) for each in alarms_report.rows(ctx.conn, told)]


def _of(ctx: Ctx, start: When | None, end: When | None) -> Hygiene:
    until = end or ctx.now
    since = start or until - USUAL
    if not timedelta(0) < until - since <= LONGEST:
        raise Invalid(f"The span begins before it ends and is at most {LONGEST.days} days long.")
    return alarms_report.hygiene(ctx.conn, start=since, end=until)
