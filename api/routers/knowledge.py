"""Failure modes, and who does the work."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from api import identity, members
from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Input, Line, Login, Output, Page, Whole, Words
from maintenance import queries
from tickets import engineers
from tickets.routing import Shift

routes = router("knowledge")
AssetClassQuery = Annotated[str | None, Query(pattern="^[a-z0-9_]{0,64}$")]
Skill = Annotated[str, Field(pattern=r"^[\w .:-]{1,64}$", examples=["mechanical"])]
Clock = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["06:00"])]


class ModeRow(Output):
    code: str
    asset_class: str
    name: Words
    mechanism: str
    skill: str


class EngineerRow(Output):
    engineer_id: int
    user_id: int | None
    name: str
    skills: dict[str, int]
    on_shift: bool
    open_jobs: int


class WeeklyShift(Input):
    """In the site's time zone; Monday = 0; an end before the start runs into the next day."""

    weekday: Annotated[Whole, Field(ge=0, le=6)]
    starts: Clock
    ends: Clock


class NewEngineer(Input):
    login: Login
    name: Line
    skills: Annotated[dict[Skill, Annotated[Whole, Field(ge=1, le=3)]], Field(max_length=50, default_factory=dict)]
    shifts: Annotated[list[WeeklyShift], Field(max_length=100)] | Literal["always"] = "always"


@routes.get("/modes", dependencies=[allow("mode.read")])
def list_modes(ctx: Ctx, asset_class: AssetClassQuery = None) -> Page[ModeRow]:  # noqa: ARG001 - the right is asked for
    """Failure modes of an asset class (of all without one): the codes that closing an order asks for."""
    return Page(items=[ModeRow.model_validate(each) for each in queries.modes(ctx.conn, asset_class)])


@routes.get("/engineers", dependencies=[allow("engineer.read")])
def list_engineers(ctx: Ctx) -> Page[EngineerRow]:
    """Who can be sent, who is on shift now, and how much they have in hand."""
    return Page(items=[EngineerRow.model_validate(each) for each in engineers.roster(ctx.conn, now=ctx.now)])


@routes.post("/engineers", dependencies=[allow("engineer.manage")])
def put_engineer(ctx: Ctx, body: NewEngineer) -> EngineerRow:
    """Make a person of the site an engineer, or change their name, skills and shifts; "always" is around the clock."""
    user_id = identity.user_named(ctx.conn, body.login)
    members.member(ctx.conn, user_id)
    engineer_id = engineers.create(ctx.conn, name=body.name, skills=body.skills, user_id=user_id)
    shifts = [] if body.shifts == "always" else [_shift(each) for each in body.shifts]
    engineers.set_shifts(ctx.conn, engineer_id, shifts)
    made = next(each for each in engineers.roster(ctx.conn, now=ctx.now) if each.engineer_id == engineer_id)
    return EngineerRow.model_validate(made)


def _shift(body: WeeklyShift) -> Shift:
    return Shift(body.weekday, time.fromisoformat(body.starts), time.fromisoformat(body.ends))
