"""How the data come in: the health of every source, and whether all that was sent adds up."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from api import pipeline
from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Input, Moment, Output, Page, When
from core.clock import wall_now
from ingest import reconcile

routes = router("pipeline")
READ = [allow("system.read")]


class GatewayShown(Output):
    """What a gateway last said of itself. ``waiting``: batches in its spool; ``refused``: readings not kept."""

    epoch: str
    waiting: int
    share_full: float
    refused: int
    told_at: Moment
    sources: list[dict[str, Any]]


class SourceHealth(Output):
    """``state``: new (never heard), heard, connected, lost, silent, misconfigured. ``expected_s``: seconds of the wall
    between two signs of life, at most; ``lag_s``: plant seconds from the newest sample's time until it was stored;
    ``missing``: numbers that did not come yet; ``gaps``: stretches of time that could not be filled; ``held``:
    quarantine entries that nobody settled; ``denied``: publishes that the broker refused within the hour."""

    source: str
    kind: str
    state: str
    detail: str
    samples_s: float
    last_seen: Moment | None
    last_sample_at: Moment | None
    expected_s: float | None
    lag_s: float | None
    lagging_since: Moment | None
    messages: int
    samples: int
    quarantined: int
    duplicates: int
    dropped: int
    unsequenced: int
    missing: int
    gaps: int
    held: int
    denied: int
    tags: int
    fault_since: Moment | None
    ticket_id: int | None
    ticket_ref: str | None
    gateway: GatewayShown | None


class ManySilent(Output):
    """Many sources silent at once: ``why`` is "broker" when ingest is cut off from it, "ingest" when it
    does not run, else empty."""

    since: Moment
    why: str
    count: int
    ticket_id: int | None
    ticket_ref: str | None


class Pipeline(Output):
    """``at``: the wall time of this answer, to tell ages by."""

    at: Moment
    many: ManySilent | None
    sources: list[SourceHealth]


class Expect(Input):
    """``tag`` null: all tags of the source. ``report`` null: as its kind of source does it; OPC UA and Sparkplug tell
    of changes alone."""

    tag: Annotated[str | None, Field(max_length=512)] = None
    report: Literal["periodic", "on_change"] | None


class Expected(Output):
    tags: int


class MissingShown(Output):
    epoch: str
    low: int
    high: int


class AccountShown(Output):
    """sent = stored + quarantined + twins + dropped + difference; all are readings."""

    source: str
    sent: int
    stored: int
    quarantined: int
    twins: int
    dropped: int
    repeated: Annotated[int, Field(description="Heard again and known by their numbers: not part of the sum.")]
    difference: int
    waiting: Annotated[int, Field(description="Batches that the sender still keeps.")]
    missing: list[MissingShown]
    balances: bool


@routes.get("/pipeline", dependencies=READ, operation_id="pipeline")
def health(ctx: Ctx) -> Pipeline:
    """Every source, gateway and device, also those that never sent."""
    many = pipeline.many(ctx.conn)
    return Pipeline(
        at=wall_now(),
        many=ManySilent.model_validate(many) if many else None,
        sources=[_shown(each) for each in pipeline.sources(ctx.conn)],
    )


@routes.get("/pipeline/reconcile", dependencies=READ, operation_id="reconcile")
def balance(
    ctx: Ctx,
    source: Annotated[str | None, Query(pattern="^[A-Za-z0-9_-]{1,64}$")] = None,
    since: Annotated[When | None, Query(description="To the hour; leaves out what senders say they sent.")] = None,
) -> Page[AccountShown]:
    """Whether what each source sent was stored, quarantined, recognised or dropped, to the reading."""
    found = reconcile.accounts(ctx.conn, source=source, since=since)
    return Page(items=[AccountShown.model_validate(each) for each in found])


@routes.put("/pipeline/{source}/report", dependencies=[allow("asset.edit")], operation_id="expect_reports")
def expect(ctx: Ctx, source: Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")], body: Expect) -> Expected:
    """Say how a source's tags come: one that comes only when it changes is not silent while its source lives."""
    return Expected(tags=pipeline.expect(ctx.conn, source, tag=body.tag, report=body.report))


def _shown(each: pipeline.Health) -> SourceHealth:
    gateway = None
    if each.epoch is not None and each.told_at is not None:
        gateway = GatewayShown(
            epoch=each.epoch,
            waiting=each.waiting or 0,
            share_full=each.share_full or 0.0,
            refused=each.refused or 0,
            told_at=each.told_at,
            sources=each.behind or [],
        )
    values = {name: getattr(each, name) for name in SourceHealth.model_fields if name != "gateway"}
    return SourceHealth(**values, gateway=gateway)
