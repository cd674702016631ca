"""What machines wrote down of themselves: error codes, and components that were replaced."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Id, Input, Limit, Moment, Output, Page, When
from maintenance.life import events
from maintenance.life.events import EventKind, Told

routes = router("machine-events")
MOST = 1000


class EventIn(Input):
    """*error*: `code` is the machine's own. *replaced*: a component is new; `code` is the failure mode of the machine's
    class in which it fails. `at` is plant time."""

    at: When
    kind: EventKind
    code: Annotated[str, Field(min_length=1, max_length=100, examples=["E-417", "bearing_wear"])]


class EventsIn(Input):
    items: Annotated[list[EventIn], Field(min_length=1, max_length=MOST)]


class EventShown(Output):
    event_id: int
    at: Moment
    kind: EventKind
    code: str
    told_by: str
    noted_at: Moment


class Kept(Output):
    """Of the lines that were told, `new` were not known before."""

    told: int
    new: int


@routes.get("/assets/{asset_id}/machine-events", dependencies=[allow("prediction.read")])
def list_events(ctx: Ctx, asset_id: Id, limit: Limit = 100) -> Page[EventShown]:
    """The newest lines of a machine's log, newest first."""
    found = events.listed(ctx.conn, asset_id, limit=limit)
    return Page(items=[EventShown.model_validate(each) for each in found])


@routes.post("/assets/{asset_id}/machine-events", status_code=201, dependencies=[allow("event.record")])
def record_events(ctx: Ctx, asset_id: Id, body: EventsIn) -> Kept:
    """Keep lines of a machine's log. From a class's recorded failures it is learnt which errors come before them; after
    a new error the detector `event-hazard` says what fails within a day. A line that is known is passed over."""
    told = [Told(each.at, each.kind, each.code) for each in body.items]
    new = events.record(ctx.conn, ctx.person.name, asset_id, told, now=ctx.now)
    return Kept(told=len(told), new=new)
