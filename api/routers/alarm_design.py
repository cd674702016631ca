"""How alarms are designed and held: tuning, suppression, out of service, lock-outs, what feeds what, common causes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.routers.alarms import AlarmDetail
from api.shapes import Id, Input, Limit, Line, Moment, Number, Output, Ref, When, Whole, Words
from api.shown import TicketShown
from core import live
from maintenance import grouping_queries, holding, queries, service, suppress, tunings, works
from maintenance.alarms import Shelf

routes = router("alarms")
READ, SHELVE = [allow("alarm.read")], [allow("alarm.shelve")]
DESIGN, WORK = [allow("alarm.design")], [allow("alarm.work")]

ClassCode = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]
Mode = Annotated[str, Field(max_length=64, pattern=r"^[\w.:-]*$")]
Why = Annotated[str, Field(min_length=3, max_length=1000, examples=["flow meter removed until the shutdown"])]
Seconds = Annotated[Number, Field(ge=0, le=86_400)]
Told = Annotated[Whole, Field(ge=0, le=4, description="people are told of this and worse; 0 of none")]
Medium = Literal["power", "air", "water", "network", "steam", "hydraulic", "material", "other"]
Whose = Literal["own", "parent", "feeder"]


class ShelveOnce(Input):
    """Until it is back to normal, and no longer than `until`."""

    until: When
    reason: Why


class TuningBody(Input):
    """Of an asset class and a signal code, '' for any. What is null is taken from the more general row."""

    asset_class: ClassCode = ""
    signal: Annotated[str, Field(max_length=100)] = ""
    dead_band: Annotated[Number, Field(ge=0, le=0.5, description="of health, 0 to 1")] | None = None
    on_delay_s: Seconds | None = None
    off_delay_s: Seconds | None = None
    fleeting_s: Annotated[Number, Field(ge=0, le=3600)] | None = None
    chatter_per_minute: Annotated[Whole, Field(ge=2, le=60)] | None = None
    stale_h: Annotated[Number, Field(gt=0, le=720)] | None = None
    tell_severity: Told | None = None


class TuningShown(Output):
    tuning_id: int
    asset_class: str
    signal: str
    dead_band: float | None
    on_delay_s: float | None
    off_delay_s: float | None
    fleeting_s: float | None
    chatter_per_minute: int | None
    stale_h: float | None
    tell_severity: int | None
    version: int
    changed_by: str
    changed_at: Moment


class SuppressBody(Input):
    """While the asset itself, the nearest above it that tells a state (`parent`), or any of its feeders is in one of
    these states, such alarms are suppressed."""

    name: Line
    asset_class: ClassCode = ""
    asset_id: Ref | None = None
    mode: Mode = ""
    whose: Whose
    states: Annotated[list[Annotated[Whole, Field(ge=0, le=32_000)]], Field(min_length=1, max_length=32)]
    enabled: bool = True


class SuppressShown(Output):
    """`now`: alarms that it suppresses, `ever`: that it did."""

    rule_id: int
    name: str
    asset_class: str
    asset_id: int | None
    asset_code: str | None
    mode: str
    whose: str
    states: list[int]
    enabled: bool
    version: int
    made_by: str
    made_at: Moment
    now: int
    ever: int


class OutBody(Input):
    asset_id: Ref
    mode: Mode = ""
    reason: Why


class OutShown(Output):
    out_id: int
    asset_id: int
    asset_code: str
    mode: str
    reason: str
    by_whom: str
    since: Moment


class WorkBody(Input):
    """A lock-out or start-up of an asset and all below it; without `until` it lasts until somebody ends it."""

    asset_id: Ref
    kind: Literal["lockout", "startup"]
    reason: Annotated[str, Field(max_length=1000)] = ""
    until: When | None = None


class WorkShown(Output):
    work_id: int
    asset_id: int
    asset_code: str
    kind: str
    reason: str
    by_whom: str
    since: Moment
    until: Moment | None


class FeedBody(Input):
    """`asset_id` and all below it is fed by `feeder_id`."""

    asset_id: Ref
    feeder_id: Ref
    medium: Medium


class FeedShown(Output):
    asset_id: int
    asset_code: str
    feeder_id: int
    feeder_code: str
    medium: str


class HoldShown(Output):
    """What keeps, or kept, an alarm from an order of its own. `ref`: the rule, order or lock-out."""

    hold_id: int
    alarm_id: int
    asset_id: int
    asset_code: str
    asset_name: str
    kind: str
    ref: str
    why: Words
    since: Moment
    until: Moment | None
    state: str
    severity: int


class GroupItem(Output):
    """Alarms that began together: `why` says how many of how many, and how many are usual."""

    group_id: int
    kind: str
    scope: Words
    cause: Words
    why: Words
    first_at: Moment
    last_at: Moment
    monitored: int
    expected: float
    members: int
    broke_out: int
    made_at: Moment
    ended_at: Moment | None
    closed_at: Moment | None
    ticket: TicketShown | None


class MemberShown(Output):
    """`left_why`: persists, signature, worse, dissolved; null while the group holds it."""

    alarm_id: int
    asset_id: int
    asset_code: str
    asset_name: str
    onset_at: Moment
    left_at: Moment | None
    left_why: str | None
    why: Words
    state: str
    returned_at: Moment | None
    health: float


class GroupShown(GroupItem):
    who: list[MemberShown]


# -- shelving ---------------------------------------------------------------------------------------------------------


@routes.post("/alarms/{alarm_id}/shelve-once", dependencies=SHELVE)
def shelve_once(ctx: Ctx, alarm_id: Id, body: ShelveOnce) -> AlarmDetail:
    """Do not bother me with it this time: it comes back with its next return, or at `until`."""
    service.shelve(
        ctx.conn, ctx.person.name, alarm_id, until=body.until, reason=body.reason, now=ctx.now, shelf=Shelf.ONCE
    )
    return _detail(ctx, alarm_id)


@routes.post("/alarms/{alarm_id}/unshelve", dependencies=SHELVE)
def unshelve(ctx: Ctx, alarm_id: Id) -> AlarmDetail:
    """Bring it back before its time."""
    service.unshelve(ctx.conn, ctx.person.name, alarm_id, now=ctx.now)
    return _detail(ctx, alarm_id)


# -- tuning -----------------------------------------------------------------------------------------------------------


@routes.get("/alarm-tunings", dependencies=READ)
def list_tunings(ctx: Ctx) -> list[TuningShown]:
    """What the site says of dead bands, delays and limits; a row for '' and '' is the site's default."""
    return [TuningShown.model_validate(each) for each in tunings.listed(ctx.conn)]


@routes.post("/alarm-tunings", dependencies=DESIGN, status_code=201)
def add_tuning(ctx: Ctx, body: TuningBody) -> TuningShown:
    """Say something of a class and signal that nothing was said of."""
    return _tune(ctx, body, None)


@routes.put("/alarm-tunings", dependencies=DESIGN)
def change_tuning(ctx: Ctx, version: Version, body: TuningBody) -> TuningShown:
    """Say something else of this class and signal."""
    return _tune(ctx, body, version)


@routes.delete("/alarm-tunings/{tuning_id}", dependencies=DESIGN, status_code=204)
def drop_tuning(ctx: Ctx, tuning_id: Id) -> None:
    """The more general row counts again."""
    tunings.drop(ctx.conn, tuning_id)


# -- suppression, out of service --------------------------------------------------------------------------------------


@routes.get("/suppression-rules", dependencies=READ)
def list_suppressions(ctx: Ctx) -> list[SuppressShown]:
    """Rules by which alarms are suppressed, each with how many it suppresses."""
    return [SuppressShown.model_validate(each) for each in suppress.listed(ctx.conn)]


@routes.post("/suppression-rules", dependencies=DESIGN, status_code=201)
def add_suppression(ctx: Ctx, body: SuppressBody) -> SuppressShown:
    """Suppress by design: what it suppresses is kept and listed."""
    return _rule(ctx, suppress.add(ctx.conn, ctx.person.name, body.model_dump(), now=ctx.now))


@routes.put("/suppression-rules/{rule_id}", dependencies=DESIGN)
def change_suppression(ctx: Ctx, rule_id: Id, version: Version, body: SuppressBody) -> SuppressShown:
    """Alarms that it no longer suppresses come back within seconds."""
    suppress.change(ctx.conn, rule_id, body.model_dump(), version=version)
    return _rule(ctx, rule_id)


@routes.delete("/suppression-rules/{rule_id}", dependencies=DESIGN, status_code=204)
def retire_suppression(ctx: Ctx, rule_id: Id) -> None:
    """It suppresses nothing any more; what it did stays listed."""
    suppress.retire(ctx.conn, rule_id, now=ctx.now)


@routes.get("/alarms-out-of-service", dependencies=READ)
def list_out(ctx: Ctx) -> list[OutShown]:
    """What is out of service, oldest first."""
    return [OutShown.model_validate(each) for each in works.out(ctx.conn)]


@routes.post("/alarms-out-of-service", dependencies=DESIGN, status_code=201)
def take_out(ctx: Ctx, body: OutBody) -> OutShown:
    """Take an asset's alarms out of service until somebody returns them."""
    made = works.take_out(ctx.conn, ctx.person.name, body.asset_id, mode=body.mode, reason=body.reason, now=ctx.now)
    return OutShown.model_validate(next(each for each in works.out(ctx.conn) if each["out_id"] == made))


@routes.post("/alarms-out-of-service/{out_id}/return", dependencies=DESIGN, status_code=204)
def put_back(ctx: Ctx, out_id: Id) -> None:
    """Return them to service."""
    works.put_back(ctx.conn, ctx.person.name, out_id, now=ctx.now)


# -- work, feeds ------------------------------------------------------------------------------------------------------


@routes.get("/asset-works", dependencies=READ)
def list_works(ctx: Ctx) -> list[WorkShown]:
    """Lock-outs and start-ups that go on or are announced."""
    return [WorkShown.model_validate(each) for each in works.going_on(ctx.conn, ctx.now)]


@routes.post("/asset-works", dependencies=WORK, status_code=201)
def begin_work(ctx: Ctx, body: WorkBody) -> WorkShown:
    """Declare a lock-out or start-up: alarms are kept, open no order, and are judged again afterwards."""
    made = works.begin(
        ctx.conn, ctx.person.name, body.asset_id, kind=body.kind, reason=body.reason, since=ctx.now, until=body.until
    )
    return WorkShown.model_validate(next(each for each in works.going_on(ctx.conn, ctx.now) if each["work_id"] == made))


@routes.post("/asset-works/{work_id}/end", dependencies=WORK, status_code=204)
def end_work(ctx: Ctx, work_id: Id) -> None:
    """The lock is off, or the machine runs as usual."""
    works.end(ctx.conn, ctx.person.name, work_id, now=ctx.now)


@routes.get("/feeds", dependencies=READ)
def list_feeds(ctx: Ctx) -> list[FeedShown]:
    """What feeds what: power, compressed air, cooling water, network and so on."""
    return [FeedShown.model_validate(each) for each in works.feeds(ctx.conn)]


@routes.post("/feeds", dependencies=DESIGN, status_code=201)
def add_feed(ctx: Ctx, body: FeedBody) -> FeedShown:
    """Declare a supply, so that what fails with it is understood as one."""
    works.feed(ctx.conn, body.asset_id, body.feeder_id, body.medium)
    wanted = body.model_dump()
    found = (each for each in works.feeds(ctx.conn) if all(each[name] == value for name, value in wanted.items()))
    return FeedShown.model_validate(next(found))


@routes.delete("/feeds", dependencies=DESIGN, status_code=204)
def drop_feed(
    ctx: Ctx,
    asset_id: Annotated[int, Query(ge=1, le=2**31 - 1)],
    feeder_id: Annotated[int, Query(ge=1, le=2**31 - 1)],
    medium: Medium,
) -> None:
    """Take a declared supply back."""
    works.unfeed(ctx.conn, asset_id, feeder_id, medium)


# -- what is held and grouped -----------------------------------------------------------------------------------------


@routes.get("/alarm-holds", dependencies=READ)
def list_holds(ctx: Ctx, limit: Limit = 100) -> list[HoldShown]:
    """What holds, or held, alarms: those that still do first."""
    return [HoldShown.model_validate(each) for each in holding.listed(ctx.conn, limit=limit)]


@routes.get("/alarm-groups", dependencies=READ)
def list_groups(ctx: Ctx, limit: Limit = 50) -> list[GroupItem]:
    """Common causes, those that still hold alarms first."""
    return [GroupItem.model_validate(each) for each in grouping_queries.groups(ctx.conn, limit=limit)]


@routes.get("/alarm-groups/{group_id}", dependencies=READ)
def get_group(ctx: Ctx, group_id: Id) -> GroupShown:
    """A common cause with its members, and why each belongs or does not."""
    return GroupShown.model_validate(grouping_queries.group(ctx.conn, group_id))


def _detail(ctx: Ctx, alarm_id: int) -> AlarmDetail:
    live.announce(ctx.conn, "alarm", alarm_id)
    return AlarmDetail.model_validate(queries.alarm(ctx.conn, alarm_id))


def _tune(ctx: Ctx, body: TuningBody, version: int | None) -> TuningShown:
    values: dict[str, Any] = body.model_dump()
    asset_class, signal = values.pop("asset_class"), values.pop("signal")
    kept = tunings.save(
        ctx.conn, ctx.person.name, asset_class=asset_class, signal=signal, values=values, version=version, now=ctx.now
    )
    return TuningShown.model_validate(kept)


def _rule(ctx: Ctx, rule_id: int) -> SuppressShown:
    return SuppressShown.model_validate(next(each for each in suppress.listed(ctx.conn) if each["rule_id"] == rule_id))
