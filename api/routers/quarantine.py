"""What was heard but not kept, and why; an unknown tag is bound by a click."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api import quarantine
from api.deps import Ctx, router
from api.policies import allow
from api.routers.assets import Finite, Unit
from api.shapes import BigId, Cursor, Input, Limit, Moment, Output, Page, Ref, Words, page, position
from core.clock import wall_now
from edge.reasons import SENTENCES
from plant import assets

routes = router("quarantine")
NEWEST = 2**62


class QuarantineItem(Output):
    """Entries of one reason, source and tag; times are wall times of arrival."""

    quarantine_id: int
    newest: Annotated[int, Field(exclude=True)]
    reason: str
    source: str
    tag: str
    count: int
    readings: int
    first_at: Moment
    last_at: Moment
    sample: Annotated[dict[str, Any], Field(description="One of them: topic, payload, detail.")]
    detail: Words
    bindable: bool


class Bind(Input):
    signal_id: Ref
    unit: Annotated[Unit | None, Field(description="The unit heard; the signal's own when missing.")] = None
    scale: Finite = 1.0
    offset: Finite = 0.0


class Bound(Output):
    """Ingest releases the waiting samples within seconds."""

    binding_id: int
    signal_id: int
    source: str
    tag: str


class Dismissed(Output):
    dismissed: int


@routes.get("/quarantine", dependencies=[allow("quarantine.read")])
def list_quarantine(ctx: Ctx, limit: Limit = 50, cursor: Cursor = None) -> Page[QuarantineItem]:
    """Open groups, last heard first."""
    found = quarantine.groups(ctx.conn, before=position(cursor, start=NEWEST), limit=limit + 1)
    return page([_shown(ctx, each) for each in found], limit, "newest")


@routes.post("/quarantine/{quarantine_id}/bind", dependencies=[allow("quarantine.settle")])
def bind_tag(ctx: Ctx, quarantine_id: BigId, body: Bind) -> Bound:
    """Let the tag bring a signal from now on; its samples that wait here are released."""
    entry = quarantine.bindable(ctx.conn, quarantine_id)
    binding_id = assets.bind(
        ctx.conn,
        source=entry.source,
        tag=entry.tag,
        signal_id=body.signal_id,
        unit=body.unit,
        scale=body.scale,
        offset=body.offset,
    )
    return Bound(binding_id=binding_id, signal_id=body.signal_id, source=entry.source, tag=entry.tag)


@routes.post("/quarantine/{quarantine_id}/dismiss", dependencies=[allow("quarantine.settle")])
def dismiss(ctx: Ctx, quarantine_id: BigId) -> Dismissed:
    """Settle the group without keeping its samples."""
    return Dismissed(dismissed=quarantine.dismiss(ctx.conn, quarantine_id, now=wall_now()))


def _shown(ctx: Ctx, group: quarantine.Group) -> QuarantineItem:
    sample = quarantine.sample(quarantine.entry(ctx.conn, group.quarantine_id))
    known = {str(reason): sentence for reason, sentence in SENTENCES.items()}
    sentence = known.get(group.reason, {"en": group.reason, "zh": group.reason})
    return QuarantineItem(
        quarantine_id=group.quarantine_id,
        newest=group.newest,
        reason=group.reason,
        source=group.source,
        tag=group.tag,
        count=group.count,
        readings=group.readings,
        first_at=group.first_at,
        last_at=group.last_at,
        sample=sample,
        detail=Words(en=sentence["en"], zh=sentence["zh"]),
        bindable=group.reason in quarantine.BINDABLE,
    )
