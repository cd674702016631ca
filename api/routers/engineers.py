"""Who does the work: what planning knows of them, and their calendars."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal

from fastapi import Response
from pydantic import Field, field_serializer

from api import identity, members
from api.deps import Ctx, Version, VersionIfAny, router
from api.policies import Grant, allow
from api.shapes import Code, Id, Input, Line, Login, Moment, Number, Output, Page, When, Whole
from core.errors import NotFound
from tickets import staff
from tickets.dispatch import feed, people
from tickets.routing import Shift
from tickets.staff import Member, Terms

routes = router("engineers")
PLAN = [allow("dispatch.plan")]
Skill = Annotated[str, Field(pattern=r"^[\w .:-]{1,64}$", examples=["mechanical"])]
Skills = Annotated[dict[Skill, Annotated[Whole, Field(ge=1, le=3)]], Field(max_length=50)]
Clock = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["06:00"])]
Metres = Annotated[Number, Field(ge=-1e7, le=1e7)]


class ShiftShown(Output):
    """In the site's time zone; Monday = 0; an end before the start runs into the next day."""

    weekday: int
    starts: time
    ends: time

    @field_serializer("starts", "ends")
    def _clock(self, value: time) -> str:
        return f"{value:%H:%M}"


class HeldShown(Output):
    """`valid_until` null: for ever."""

    code: str
    valid_until: Moment | None


class TimeShown(Output):
    ident: int
    begins: Moment
    ends: Moment
    kind: str
    note: str


class EngineerRow(Output):
    """No `shifts`: always there. `absences` and `on_call`: those that are not over. `x_m`, `y_m`: where the day begins.

    `feed_since`: since when their calendar has an address. `version` is what If-Match wants.
    """

    engineer_id: int
    user_id: int | None
    login: str
    name: str
    skills: dict[str, int]
    on_shift: bool
    open_jobs: int
    shifts: list[ShiftShown]
    certificates: list[HeldShown]
    absences: list[TimeShown]
    on_call: list[TimeShown]
    x_m: float
    y_m: float
    feed_since: Moment | None
    version: int
    changed_by: str


class WeeklyShift(Input):
    """In the site's time zone; Monday = 0; an end before the start runs into the next day."""

    weekday: Annotated[Whole, Field(ge=0, le=6)]
    starts: Clock
    ends: Clock


class NewEngineer(Input):
    login: Login
    name: Line
    skills: Annotated[Skills, Field(default_factory=dict)]
    shifts: Annotated[list[WeeklyShift], Field(max_length=100)] | Literal["always"] = "always"


class CertificateWanted(Input):
    code: Code
    valid_until: When | None = None


class EngineerWanted(Input):
    """All that is said of an engineer; what is left out of a list is taken away."""

    name: Line
    skills: Skills
    shifts: Annotated[list[WeeklyShift], Field(max_length=100, description="Empty: always there.")]
    certificates: Annotated[list[CertificateWanted], Field(max_length=100)]
    x_m: Metres
    y_m: Metres


class Certificates(Input):
    certificates: Annotated[list[CertificateWanted], Field(max_length=100)]


class HomeWanted(Input):
    """Metres east and north on the site's map."""

    x_m: Metres
    y_m: Metres


class FeedMade(Output):
    """The address is shown this once; who has it sees the visits."""

    path: str


@routes.get("/engineers", dependencies=[allow("engineer.read")])
def list_engineers(ctx: Ctx) -> Page[EngineerRow]:
    """Who can be sent: skills, shifts, certificates, absences, who is there now, and how much they have in hand."""
    return Page(items=[EngineerRow.model_validate(each) for each in staff.staff(ctx.conn, now=ctx.now)])


@routes.post("/engineers", dependencies=[allow("engineer.manage")])
def put_engineer(ctx: Ctx, response: Response, body: NewEngineer, version: VersionIfAny) -> EngineerRow:
    """Make a person of the site an engineer, or change name, skills and shifts of the one they are, of whom If-Match
    says the version that you saw; "always" is around the clock."""
    user_id = identity.user_named(ctx.conn, body.login)
    members.member(ctx.conn, user_id)
    shifts = _shifts([] if body.shifts == "always" else body.shifts)
    made = staff.enlist(
        ctx.conn,
        user_id,
        name=body.name,
        skills=body.skills,
        shifts=shifts,
        version=version,
        by=ctx.person.name,
        now=ctx.now,
    )
    return _answer(response, made)


@routes.get("/engineers/{engineer_id}", dependencies=[allow("engineer.read")])
def get_engineer(ctx: Ctx, response: Response, engineer_id: Id) -> EngineerRow:
    """One of them."""
    return _answer(response, staff.get(ctx.conn, engineer_id, now=ctx.now))


@routes.put("/engineers/{engineer_id}", dependencies=[allow("engineer.manage")])
def change_engineer(
    ctx: Ctx, response: Response, engineer_id: Id, body: EngineerWanted, version: Version
) -> EngineerRow:
    """Replace name, skills, shifts, certificates and home."""
    held = [(each.code, each.valid_until) for each in body.certificates]
    wanted = Terms(body.name, body.skills, _shifts(body.shifts), held, body.x_m, body.y_m)
    made = staff.change(ctx.conn, engineer_id, wanted, version=version, by=ctx.person.name, now=ctx.now)
    return _answer(response, made)


@routes.put("/engineers/{engineer_id}/certificates", dependencies=PLAN)
def put_certificates(
    ctx: Ctx, response: Response, engineer_id: Id, body: Certificates, version: Version
) -> EngineerRow:
    """Replace an engineer's certificates alone."""
    staff.lock(ctx.conn, engineer_id, version=version, now=ctx.now)
    people.set_certificates(ctx.conn, engineer_id, [(each.code, each.valid_until) for each in body.certificates])
    staff.touched(ctx.conn, engineer_id, by=ctx.person.name)
    return _answer(response, staff.get(ctx.conn, engineer_id, now=ctx.now))


@routes.put("/engineers/{engineer_id}/home", dependencies=PLAN)
def put_home(ctx: Ctx, response: Response, engineer_id: Id, body: HomeWanted, version: Version) -> EngineerRow:
    """Where an engineer's day begins and ends."""
    staff.lock(ctx.conn, engineer_id, version=version, now=ctx.now)
    people.set_home(ctx.conn, engineer_id, x_m=body.x_m, y_m=body.y_m)
    staff.touched(ctx.conn, engineer_id, by=ctx.person.name)
    return _answer(response, staff.get(ctx.conn, engineer_id, now=ctx.now))


@routes.post("/engineers/{engineer_id}/calendar", status_code=201, dependencies=[allow("calendar.make")])
def make_calendar(ctx: Ctx, engineer_id: Id) -> FeedMade:
    """A secret address of an engineer's visits as iCalendar; the one before it ends."""
    _own(ctx, engineer_id)
    token = feed.make(ctx.conn, engineer_id, now=ctx.now)
    ctx.shows_a_secret()
    return FeedMade(path=f"/api/v1/calendar/{token}.ics")


@routes.delete("/engineers/{engineer_id}/calendar", status_code=204, dependencies=[allow("calendar.make")])
def revoke_calendar(ctx: Ctx, engineer_id: Id) -> None:
    """Void the address at once."""
    _own(ctx, engineer_id)
    feed.revoke(ctx.conn, engineer_id)


def _shifts(wanted: list[WeeklyShift]) -> list[Shift]:
    return [Shift(each.weekday, time.fromisoformat(each.starts), time.fromisoformat(each.ends)) for each in wanted]


def _answer(response: Response, found: Member) -> EngineerRow:
    response.headers["etag"] = f'"{found.version}"'
    return EngineerRow.model_validate(found)


def _own(ctx: Ctx, engineer_id: int) -> None:
    if ctx.grant is Grant.OWN and ctx.engineer_id != engineer_id:
        raise NotFound(f"There is no engineer {engineer_id} that you are; a planner makes other people's calendars.")
