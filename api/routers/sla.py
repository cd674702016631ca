"""Service levels: policies in their order, business calendars, teams; what a change would do before it is made."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, VersionIfAny, router
from api.policies import allow
from api.shapes import Code, Id, Input, Line, Moment, Output, Ref, Whole
from tickets import calendar_store, ical, policy_store, sla_preview
from tickets.calendar_store import CalendarRow
from tickets.policy_store import PolicyRow
from tickets.sla_preview import Reach

routes = router("sla")
READ, EDIT = [allow("sla.read")], [allow("sla.edit")]

Seconds = Annotated[Whole, Field(ge=1, le=158_112_000, description="of open time")]
ReachAsked = Annotated[
    Reach,
    Query(description="`new`: tickets opened from now on; `open`: the clocks of open ones move too, from now on."),
]


class MarkWanted(Input):
    """A point of a clock at which something happens: `fraction` of the target, or `offset_s` from it in open time
    (after it, where positive). `whom`: assignee, planners, requester, on_call, team, role:NAME, user:ID."""

    clock: Literal["*", "response", "update", "resolution"] = "*"
    fraction: Annotated[float, Field(ge=0.001, le=10)] | None = None
    offset_s: Annotated[float, Field(ge=-2_592_000, le=2_592_000)] | None = None
    whom: list[Annotated[str, Field(max_length=80)]] = Field(
        default_factory=lambda: ["assignee", "planners"], max_length=20
    )
    do: Literal["notice", "raise_priority", "reassign"] = "notice"


def _standard() -> list[MarkWanted]:
    return [MarkWanted(fraction=0.8), MarkWanted(offset_s=0)]


class ConditionsWanted(Input):
    """Each list that is given must hold one value of the ticket's: `criticality` of the asset, `areas` (code or
    location of the asset or of one above it), `tags`, `teams` of the requester."""

    criticality: list[Whole] = Field(default_factory=list, max_length=5)
    areas: list[Annotated[str, Field(max_length=200)]] = Field(default_factory=list, max_length=100)
    tags: list[Annotated[str, Field(max_length=100)]] = Field(default_factory=list, max_length=100)
    teams: list[Annotated[str, Field(max_length=64)]] = Field(default_factory=list, max_length=100)


class PolicyWanted(Input):
    """`kind` `*` and `priority` null are every one; a target null is no such clock; `calendar_id` null is the site's
    default; `pauses` null: holds pause the clocks as the life cycle says, else reason → clocks that it pauses."""

    code: Code
    name: Line
    kind: Annotated[str, Field(pattern=r"^(\*|[a-z-]{1,32})$")] = "*"
    priority: Annotated[Whole, Field(ge=1, le=5)] | None = None
    calendar_id: Ref | None = None
    response_s: Seconds | None = None
    update_s: Seconds | None = None
    resolution_s: Seconds | None = None
    conditions: ConditionsWanted = ConditionsWanted()
    marks: list[MarkWanted] = Field(default_factory=_standard, max_length=24)
    pauses: (
        Annotated[
            dict[Annotated[str, Field(max_length=100)], list[Literal["response", "update", "resolution"]]],
            Field(max_length=50),
        ]
        | None
    ) = None

    def columns(self) -> dict[str, Any]:
        """As the store takes them."""
        found = self.model_dump(exclude={"marks"})
        return {**found, "marks": [each.model_dump(exclude_none=True) for each in self.marks]}


class PolicyShown(Output):
    """A policy in force. `version` is what If-Match wants."""

    sla_policy_id: int
    version: int
    code: str
    name: str
    kind: str
    priority: int | None
    calendar_id: int | None
    response_s: int | None
    update_s: int | None
    resolution_s: int | None
    conditions: dict[str, Any]
    marks: list[dict[str, Any]]
    pauses: dict[str, list[str]] | None
    changed_at: Moment
    changed_by: str


class VersionShown(Output):
    """What it was, from `changed_at` on."""

    version: int
    changed_at: Moment
    changed_by: str
    body: dict[str, Any]


class Order(Input):
    """Every policy in force once, in the order in which they are asked."""

    policy_ids: Annotated[list[Ref], Field(max_length=500)]


class PolicyDraft(Input):
    """`policy_id` null: a new policy, asked first; `policy` null: the policy is retired."""

    policy_id: Ref | None = None
    policy: PolicyWanted | None = None


class MovedShown(Output):
    """A clock of an open ticket that would move. `used_up`: the new target is used up already; it counts from now."""

    ticket_id: int
    ref: str
    clock: str
    due_at: Moment | None
    would_be_due_at: Moment | None
    policy: str
    used_up: bool


class PreviewShown(Output):
    """What the change would do to open tickets; `moved` shows the first of `clocks_moved`."""

    open_tickets: int
    looked_at: int
    tickets_moved: int
    clocks_moved: int
    earlier: int
    later: int
    begun: int
    used_up: int
    moved: list[MovedShown]


class CalendarWanted(Input):
    """`hours`: weekday (0 = Monday) → open intervals, ends up to 24:00. A holiday is a date, or an object: `date`,
    `yearly` (MM-DD), `month` + `weekday` + `nth` (−1 = last), or `easter` (days after Easter Sunday); with
    `hours` it is a half day."""

    name: Annotated[Line, Field(max_length=64)]
    timezone: Annotated[str, Field(max_length=64, examples=["Europe/Berlin"])]
    hours: Annotated[
        dict[Annotated[str, Field(pattern="^[0-6]$")], Annotated[list[Any], Field(max_length=24)]],
        Field(max_length=7, examples=[{"0": [["08:00", "12:00"], ["13:00", "17:00"]]}]),
    ]
    holidays: list[Any] = Field(default_factory=list, max_length=1000, examples=[["2026-12-25", {"yearly": "01-01"}]])

    def wanted(self) -> calendar_store.Wanted:
        return calendar_store.Wanted(**self.model_dump())


class CalendarShown(Output):
    """A business calendar. `version` is what If-Match wants."""

    calendar_id: int
    version: int
    name: str
    timezone: str
    hours: dict[str, Any]
    holidays: list[Any]
    is_default: bool
    changed_at: Moment
    changed_by: str


class File(Input):
    """An iCalendar file as text."""

    text: Annotated[str, Field(min_length=1, max_length=100_000)]


class HolidaysShown(Output):
    """`holidays` as a calendar takes them; nothing was changed. `skipped` says what is none and why."""

    holidays: list[dict[str, Any]]
    skipped: list[str]


class TeamWanted(Input):
    """Members, and the assets that they look after with all below; an asset leaves the team that it had."""

    name: Annotated[Line, Field(max_length=64)]
    user_ids: list[Ref] = Field(default_factory=list, max_length=500)
    asset_ids: list[Ref] = Field(default_factory=list, max_length=500)


class TeamShown(Output):
    """`version` is what If-Match wants of who changes it."""

    team_id: int
    name: str
    user_ids: list[int]
    asset_ids: list[int]
    version: int
    changed_by: str


class FellowShown(Output):
    user_id: int
    name: str
    role: str


# -- policies ---------------------------------------------------------------------------------------------------------


@routes.get("/sla/policies", dependencies=READ)
def list_policies(ctx: Ctx) -> list[PolicyShown]:
    """The policies in force in the order in which they are asked: the first that holds counts."""
    return [_policy(each) for each in policy_store.rows(ctx.conn)]


@routes.post("/sla/policies", status_code=201, dependencies=EDIT)
def create_policy(ctx: Ctx, response: Response, body: PolicyWanted, reach: ReachAsked = Reach.NEW) -> PolicyShown:
    """A new policy, asked before all others."""
    made = policy_store.create(ctx.conn, body.columns(), by=ctx.person.login, now=ctx.now)
    sla_preview.apply(ctx.conn, reach)
    response.headers["location"] = f"/api/v1/sla/policies/{made.sla_policy_id}"
    return _answer(response, made)


@routes.get("/sla/policies/{policy_id}", dependencies=READ)
def get_policy(ctx: Ctx, response: Response, policy_id: Id) -> PolicyShown:
    """One policy, in force or retired."""
    return _answer(response, policy_store.row(ctx.conn, policy_id))


@routes.put("/sla/policies/{policy_id}", dependencies=EDIT)
def change_policy(
    ctx: Ctx, response: Response, policy_id: Id, version: Version, body: PolicyWanted, reach: ReachAsked = Reach.NEW
) -> PolicyShown:
    """Other terms from now on (the code stays); what running clocks were promised stays unless `reach` is `open`."""
    columns = body.columns()
    made = policy_store.change(ctx.conn, policy_id, columns, version=version, by=ctx.person.login, now=ctx.now)
    sla_preview.apply(ctx.conn, reach)
    return _answer(response, made)


@routes.delete("/sla/policies/{policy_id}", status_code=204, dependencies=EDIT)
def retire_policy(ctx: Ctx, policy_id: Id, version: Version) -> None:
    """No ticket opened from now on falls under it; what it promised stands, and its versions are kept."""
    policy_store.retire(ctx.conn, policy_id, version=version, by=ctx.person.login, now=ctx.now)


@routes.get("/sla/policies/{policy_id}/versions", dependencies=READ)
def policy_versions(ctx: Ctx, policy_id: Id) -> list[VersionShown]:
    """What the policy has been, newest first."""
    policy_store.row(ctx.conn, policy_id)
    return [VersionShown.model_validate(each) for each in policy_store.versions(ctx.conn, policy_id)]


@routes.put("/sla/order", dependencies=EDIT)
def order_policies(ctx: Ctx, body: Order) -> list[PolicyShown]:
    """Ask the policies in this order."""
    return [_policy(each) for each in policy_store.reorder(ctx.conn, body.policy_ids)]


@routes.post("/sla/preview", dependencies=READ)
def preview_policy(ctx: Ctx, body: PolicyDraft) -> PreviewShown:
    """What a policy would do to the open tickets with `reach=open`; nothing is changed."""
    wanted = None if body.policy is None else body.policy.columns()
    would_be = policy_store.draft(ctx.conn, body.policy_id, wanted)
    return PreviewShown.model_validate(sla_preview.preview(ctx.conn, would_be, now=ctx.now))


# -- calendars --------------------------------------------------------------------------------------------------------


@routes.get("/calendars", dependencies=READ)
def list_calendars(ctx: Ctx) -> list[CalendarShown]:
    """The site's business calendars."""
    return [CalendarShown.model_validate(each) for each in calendar_store.rows(ctx.conn)]


@routes.post("/calendars", status_code=201, dependencies=EDIT)
def create_calendar(ctx: Ctx, response: Response, body: CalendarWanted) -> CalendarShown:
    """A new calendar; the site's first is its default."""
    made = calendar_store.create(ctx.conn, body.wanted(), by=ctx.person.login, now=ctx.now)
    response.headers["location"] = f"/api/v1/calendars/{made.calendar_id}"
    return _calendar(response, made)


@routes.get("/calendars/{calendar_id}", dependencies=READ)
def get_calendar(ctx: Ctx, response: Response, calendar_id: Id) -> CalendarShown:
    """One calendar."""
    return _calendar(response, calendar_store.row(ctx.conn, calendar_id))


@routes.put("/calendars/{calendar_id}", dependencies=EDIT)
def change_calendar(
    ctx: Ctx, response: Response, calendar_id: Id, version: Version, body: CalendarWanted, reach: ReachAsked = Reach.NEW
) -> CalendarShown:
    """Other hours from now on; running clocks keep the version that they began on unless `reach` is `open`."""
    made = calendar_store.change(
        ctx.conn, calendar_id, body.wanted(), version=version, by=ctx.person.login, now=ctx.now
    )
    sla_preview.apply(ctx.conn, reach)
    return _calendar(response, made)


@routes.post("/calendars/{calendar_id}/preview", dependencies=READ)
def preview_calendar(ctx: Ctx, calendar_id: Id, body: CalendarWanted) -> PreviewShown:
    """What the changed calendar would do to the open tickets with `reach=open`; nothing is changed."""
    would_be = calendar_store.draft(ctx.conn, calendar_id, body.wanted())
    return PreviewShown.model_validate(sla_preview.preview(ctx.conn, would_be, now=ctx.now))


@routes.put("/calendars/{calendar_id}/default", dependencies=EDIT)
def make_default(ctx: Ctx, response: Response, calendar_id: Id) -> CalendarShown:
    """Policies that name no calendar run on this one from now on."""
    return _calendar(response, calendar_store.make_default(ctx.conn, calendar_id))


@routes.get("/calendars/{calendar_id}/versions", dependencies=READ)
def calendar_versions(ctx: Ctx, calendar_id: Id) -> list[VersionShown]:
    """What the calendar has been, newest first."""
    calendar_store.row(ctx.conn, calendar_id)
    return [VersionShown.model_validate(each) for each in calendar_store.versions(ctx.conn, calendar_id)]


@routes.post("/calendars/holidays", dependencies=READ)
def read_holidays(ctx: Ctx, body: File) -> HolidaysShown:
    """The holidays of an iCalendar file, to be put into a calendar; nothing is changed."""
    return HolidaysShown(**asdict(ical.holidays(body.text, today=ctx.now.date())))


# -- teams ------------------------------------------------------------------------------------------------------------


@routes.get("/teams", dependencies=READ)
def list_teams(ctx: Ctx) -> list[TeamShown]:
    """People who share machines or ask together."""
    return [TeamShown.model_validate(each) for each in policy_store.teams(ctx.conn)]


@routes.get("/teams/people", dependencies=READ)
def list_fellows(ctx: Ctx) -> list[FellowShown]:
    """Who may be in a team."""
    return [FellowShown.model_validate(each) for each in policy_store.fellows(ctx.conn)]


@routes.put("/teams", dependencies=EDIT)
def put_team(ctx: Ctx, response: Response, body: TeamWanted, version: VersionIfAny) -> TeamShown:
    """The team of this name has these members and machines; a team that is there wants If-Match."""
    given = {**body.model_dump(), "version": version, "by": ctx.person.name}
    made = policy_store.put_team(ctx.conn, given.pop("name"), **given)
    response.headers["etag"] = f'"{made.version}"'
    return TeamShown.model_validate(made)


@routes.delete("/teams/{team_id}", status_code=204, dependencies=EDIT)
def drop_team(ctx: Ctx, team_id: Id, version: Version) -> None:
    """The team is no more."""
    policy_store.drop_team(ctx.conn, team_id, version=version)


def _policy(row: PolicyRow) -> PolicyShown:
    return PolicyShown.model_validate(row)


def _answer(response: Response, row: PolicyRow) -> PolicyShown:
    response.headers["etag"] = f'"{row.version}"'
    return _policy(row)


def _calendar(response: Response, row: CalendarRow) -> CalendarShown:
    response.headers["etag"] = f'"{row.version}"'
    return CalendarShown.model_validate(row)
