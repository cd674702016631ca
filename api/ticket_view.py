"""How a ticket is shown: in a list, in detail, on its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from api import overview
from api.deps import Context
from api.policies import Grant
from api.shapes import Moment, Output, Words
from api.shown import AssetShown, ModeShown, TicketShown, mode_shown
from maintenance import queries
from plant import assets
from plant.model import Asset
from tickets import clocks, fields, service, sla, store
from tickets.knowledge import content, push
from tickets.model import Audience, Event, Text, Ticket, TicketKind, Verdict

EVIDENCE = "evidence"


class Assignee(Output):
    engineer_id: int
    name: str | None


class Requester(Output):
    name: str


class MarkShown(Output):
    """A warning or escalation of a clock: 80%, -1800s (before the target), +3600s; ``passed`` in this round."""

    key: str
    passed: bool


class SlaShown(Output):
    """``state``: running, paused, met or breached. ``remaining_s`` is target time left, negative when overdrawn.
    ``why`` says what of the ticket the policy asked for; ``breaches`` counts every round of an update clock."""

    kind: str
    state: str
    due_at: Moment | None
    target_s: float
    remaining_s: float
    next_at: Moment | None
    breaches: int
    basis: str
    policy: str
    policy_id: int | None
    policy_version: int | None
    why: list[Words]
    marks: list[MarkShown]


class AllowedShown(Output):
    """A step that the caller may take now, and the fields it asks for; ``requires_custom`` are the site's own."""

    to: str
    label: Words
    requires: list[str]
    requires_custom: list[str]


class ArticleRef(Output):
    """A guide that was chosen for this order. ``reason`` says why; ``used`` that the work followed it."""

    article_id: int
    title: Words
    reason: Words
    used: bool
    rating: int | None


class EvidenceShown(Output):
    at: Moment
    kind: str
    body: dict[str, Any]
    sentence: Words | None
    contributions: list[dict[str, Any]] | None


class VerificationShown(Output):
    """How the machine does after the repair; ``signals`` compares before and after, in half widths of the band.

    ``running_h`` of ``need_h`` hours of running data were seen; ``left``: share of the deviation that is left."""

    status: str
    started_at: Moment
    deadline: Moment | None
    detail: Words | None
    signals: list[dict[str, Any]]
    attempt: int = 1
    running_h: float | None = None
    need_h: float | None = None
    left: float | None = None
    plot: list[dict[str, Any]] = Field(default_factory=list)
    decided_by: str | None = None
    decided_reason: str | None = None


class TicketItem(Output):
    """A ticket in a list. ``version`` is what If-Match wants."""

    ticket_id: int
    ref: str
    kind: TicketKind
    status: str
    priority: int
    title: str
    asset: AssetShown | None
    mode: ModeShown | None
    assignee: Assignee | None
    requester: Requester | None
    skill: str | None
    opened_at: Moment
    respond_by: Moment | None
    resolve_by: Moment | None
    responded_at: Moment | None
    done_at: Moment | None
    closed_at: Moment | None
    verdict: Verdict | None
    failure_code: str | None
    hold_reason: str | None
    sla: list[SlaShown]
    version: int


class TicketDetail(TicketItem):
    description: str
    channel: str
    fields: dict[str, Any]
    allowed: list[AllowedShown]
    articles: list[ArticleRef]
    assignment_reasons: list[Words]
    evidence: list[EvidenceShown]
    verification: VerificationShown | None
    merged_into: TicketShown | None = None


class ActorShown(Output):
    kind: str
    name: str


class EventShown(Output):
    """An entry of the timeline. ``hash`` covers the entry and ``hash`` of the one before."""

    seq: int
    at: Moment
    actor: ActorShown
    kind: str
    audience: Audience
    body: dict[str, Any]
    hash: str


def items(ctx: Context, tickets: Sequence[Ticket]) -> list[TicketItem]:
    """The tickets as list rows."""
    known = assets.assets_of(ctx.conn, {each.asset_id for each in tickets if each.asset_id is not None})
    kept = clocks.of_many(ctx.conn, [each.ticket_id for each in tickets])
    names = overview.user_names(ctx.conn, {each.requester_id for each in tickets if each.requester_id is not None})
    return [
        TicketItem(**_row(ctx, each, known.get(each.asset_id or 0), names, kept[each.ticket_id])) for each in tickets
    ]


def detail(ctx: Context, ticket: Ticket) -> TicketDetail:
    """The ticket with everything; a requester sees what is meant for them."""
    asset = assets.asset(ctx.conn, ticket.asset_id) if ticket.asset_id is not None else None
    names = overview.user_names(ctx.conn, [ticket.requester_id] if ticket.requester_id is not None else [])
    row = _row(ctx, ticket, asset, names, clocks.of(ctx.conn, ticket.ticket_id)) | {
        "description": ticket.description,
        "channel": ticket.channel,
    }
    row["merged_into"] = None if ticket.merged_into is None else _shown(store.get(ctx.conn, ticket.merged_into))
    if ctx.grant is Grant.OWN:
        mine = {each.key for each in fields.definitions(ctx.conn, actor=ctx.actor)}
        seen = {name: value for name, value in ticket.fields.items() if name in mine}
        return TicketDetail(
            **row, fields=seen, allowed=[], articles=[], assignment_reasons=[], evidence=[], verification=None
        )
    return TicketDetail(
        **row,
        fields=dict(ticket.fields),
        allowed=_allowed(ctx, ticket),
        articles=_articles(ctx, ticket),
        assignment_reasons=[Words(**each) for each in ticket.assignment_reasons],
        evidence=_evidence(ctx, ticket),
        verification=_verification(ctx, ticket),
    )


def event(found: Event) -> EventShown:
    """An entry of the timeline."""
    return EventShown(
        seq=found.seq,
        at=found.at,
        actor=ActorShown(kind=found.actor.kind, name=found.actor.name),
        kind=found.kind,
        audience=found.audience,
        body={name: value for name, value in found.body.items() if name != "rows"},  # for the audit alone
        hash=bytes(found.hash).hex(),
    )


SAME = (
    "ticket_id", "ref", "kind", "status", "priority", "title", "skill", "opened_at", "respond_by", "resolve_by",
    "responded_at", "done_at", "closed_at", "verdict", "failure_code", "hold_reason", "version",
)  # fmt: skip


def _row(ctx: Context, ticket: Ticket, asset: Asset | None, names: Any, kept: Sequence[clocks.Kept]) -> dict[str, Any]:
    requester = names.get(ticket.requester_id)
    assignee = ticket.assignee_id
    return {name: getattr(ticket, name) for name in SAME} | {
        "asset": AssetShown.model_validate(asset) if asset else None,
        "mode": mode_shown(ctx.conn, asset.asset_class if asset else "", ticket.mode),
        "assignee": None if assignee is None else Assignee(engineer_id=assignee, name=ticket.assignee_name),
        "requester": Requester(name=requester) if requester else None,
        "sla": [_sla(ctx, each) for each in kept],
    }


def _sla(ctx: Context, kept: clocks.Kept) -> SlaShown:
    return SlaShown(
        kind=kept.clock.kind,
        state=sla.state(kept.clock, ctx.now),
        due_at=kept.clock.due_at,
        target_s=kept.clock.target.total_seconds(),
        remaining_s=sla.remaining(kept.clock, ctx.now).total_seconds(),
        next_at=kept.clock.next_at,
        breaches=kept.clock.breaches,
        basis=kept.clock.basis,
        policy=kept.clock.terms.name,
        policy_id=kept.clock.terms.policy_id,
        policy_version=kept.clock.terms.policy_version,
        why=[Words(**each) for each in kept.clock.terms.why],
        marks=[MarkShown(key=each.key, passed=each.key in kept.clock.fired) for each in kept.clock.terms.marks],
    )


def _allowed(ctx: Context, ticket: Ticket) -> list[AllowedShown]:
    found = service.allowed(ctx.conn, ctx.actor, ticket)
    custom = fields.unfilled(ctx.conn, ticket, states=[each.to for each in found])
    return [
        AllowedShown(to=e.to, label=Words(**e.label), requires=list(e.requires), requires_custom=custom[e.to])
        for e in found
    ]


def _shown(ticket: Ticket) -> TicketShown:
    return TicketShown(ticket_id=ticket.ticket_id, ref=ticket.ref, status=ticket.status)


def _articles(ctx: Context, ticket: Ticket) -> list[ArticleRef]:
    return [
        ArticleRef(
            article_id=each.article_id,
            title=in_both(each.title),
            reason=in_both(each.reason),
            used=each.used_at is not None,
            rating=each.rating,
        )
        for each in push.of(ctx.conn, ticket)
    ]


def in_both(text: Text) -> Words:
    """A text that may be written in one language only."""
    return Words(en=content.said(text, "en"), zh=content.said(text, "zh"))


def _evidence(ctx: Context, ticket: Ticket) -> list[EvidenceShown]:
    """What was measured, oldest first, from the timeline."""
    return [_measured(each) for each in store.timeline(ctx.conn, ticket.ticket_id) if each.kind == EVIDENCE]


def _measured(found: Event) -> EvidenceShown:
    body = dict(found.body.get("body", {}))
    sentence = body.get("sentence")
    return EvidenceShown(
        at=found.at,
        kind=str(found.body.get("kind", EVIDENCE)),
        body=body,
        sentence=Words(**sentence) if isinstance(sentence, dict) and set(sentence) == {"en", "zh"} else None,
        contributions=body.get("contributions") if isinstance(body.get("contributions"), list) else None,
    )


def _verification(ctx: Context, ticket: Ticket) -> VerificationShown | None:
    found = queries.verification(ctx.conn, ticket.ticket_id)
    return None if found is None else VerificationShown.model_validate(found)
