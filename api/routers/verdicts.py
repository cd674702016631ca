"""What people said of orders: each verdict, its corrections, and correcting one."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field

from api.deps import Context, Ctx, Version, router
from api.policies import allow
from api.shapes import Cursor, Id, Input, Limit, Moment, Output, Page, page, position
from core import live
from maintenance import feedback, verdicts
from maintenance.verdicts import Said
from tickets.model import Verdict

routes = router("verdicts")
READ, CORRECT = [allow("verdict.read")], [allow("verdict.correct")]
CodeText = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class VerdictShown(Output):
    """``ticket_id`` is null for a proposal that was rejected before it became an order."""

    verdict_id: int
    ticket_id: int | None
    alarm_id: int | None
    asset_id: int
    detector: str
    mode: str
    verdict: Verdict
    failure_code: str | None
    mechanism: str | None
    cause: str | None
    given_by: str
    given_at: Moment
    version: int
    corrected_by: str | None
    corrected_at: Moment | None


class SaidBefore(Output):
    verdict: Verdict
    failure_code: str | None
    mechanism: str | None
    cause: str | None


class CorrectionShown(Output):
    before: SaidBefore
    after: SaidBefore
    reason: str
    by: str
    at: Moment


class VerdictDetail(VerdictShown):
    corrections: list[CorrectionShown]


class Correction(Input):
    """``failure_code``, ``mechanism`` and ``cause`` are codes of GET /failure-codes."""

    verdict: Verdict
    failure_code: CodeText | None = None
    mechanism: CodeText | None = None
    cause: CodeText | None = None
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


@routes.get("/verdicts", dependencies=READ)
def list_verdicts(
    ctx: Ctx,
    asset_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    detector: Annotated[str | None, Query(max_length=100)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[VerdictShown]:
    """Verdicts, newest first."""
    before = position(cursor, start=2**31 - 1)
    found = verdicts.listed(ctx.conn, asset_id=asset_id, detector=detector, before_id=before, limit=limit + 1)
    return page([VerdictShown.model_validate(each) for each in found], limit, "verdict_id")


@routes.get("/verdicts/{verdict_id}", dependencies=READ)
def get_verdict(ctx: Ctx, response: Response, verdict_id: Id) -> VerdictDetail:
    """One verdict with everything that was said before it."""
    return _detail(ctx, response, verdicts.get(ctx.conn, verdict_id))


@routes.put("/verdicts/{verdict_id}", dependencies=CORRECT)
def correct_verdict(ctx: Ctx, response: Response, verdict_id: Id, version: Version, body: Correction) -> VerdictDetail:
    """Say something else, with a reason: precision, silence and diagnosis follow; what was said before is kept."""
    before = verdicts.get(ctx.conn, verdict_id)
    given = replace(
        before,
        verdict=body.verdict.value,
        failure_code=body.failure_code,
        mechanism=body.mechanism,
        cause=body.cause,
    )
    made = feedback.correct(ctx.conn, ctx.actor, verdict_id, given, reason=body.reason, version=version, now=ctx.now)
    live.announce(ctx.conn, "verdict", verdict_id)
    return _detail(ctx, response, made)


def _detail(ctx: Context, response: Response, said: Said) -> VerdictDetail:
    response.headers["etag"] = f'"{said.version}"'
    return VerdictDetail(
        **VerdictShown.model_validate(said).model_dump(),
        corrections=[CorrectionShown.model_validate(each) for each in verdicts.changes(ctx.conn, said.verdict_id)],
    )
