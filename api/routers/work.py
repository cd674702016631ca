"""The work at the machine: checklists on orders, time, downtime, signatures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Request
from pydantic import Field, StringConstraints

from api.deps import Context, Ctx, router
from api.own import readable
from api.policies import allow
from api.routers.checklists import Slug
from api.shapes import Id, Input, Line, Moment, Number, Output, Ref, When, Whole, Words
from core.errors import Invalid
from tickets import checklist, checklist_store, checklists, labour, signatures, store
from tickets.checklist import Outcome
from tickets.checklist_store import OnOrder
from tickets.checklists import Entry
from tickets.model import Ticket
from tickets.signatures import Purpose, Signature

routes = router("work")
READ = [allow("work.read")]
RECORD = [allow("work.record")]

ClientId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._:-]{8,64}$"),
    Field(description="The device's own id of this entry: the same again is the same entry.", examples=["9f2c41aa-01"]),
]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Strokes = Annotated[str, StringConstraints(min_length=1, max_length=signatures.LONGEST_STROKES)]
Remark = Annotated[str, StringConstraints(max_length=2000)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Minutes = Annotated[Whole, Field(ge=1, le=labour.LONGEST_MIN)]


class Put(Input):
    template_id: Ref


class AnswerIn(Input):
    """`value`: true or false for a tick, a number, a choice's value, or text; `outcome` to say failed or
    not_applicable (with a note); `photos`: attachments of the same ticket."""

    item: Slug
    client_id: ClientId
    answered_at: When
    value: bool | float | Annotated[str, StringConstraints(max_length=checklist.LONGEST_ANSWER)] | None = None
    outcome: Outcome | None = None
    note: Annotated[str, StringConstraints(max_length=checklist.LONGEST_ANSWER)] = ""
    photos: Annotated[tuple[Ref, ...], Field(max_length=checklists.MOST_PHOTOS)] = ()


class LabourIn(Input):
    """`engineer_id` null: I myself."""

    client_id: ClientId
    engineer_id: Ref | None = None
    began_at: When
    minutes: Minutes
    note: Remark = ""


class Rate(Input):
    """null: as the setting `labour_rate` says."""

    hourly_rate: Annotated[Number, Field(ge=0, le=1_000_000)] | None


class DowntimeIn(Input):
    client_id: ClientId
    began_at: When
    ended_at: When
    note: Remark = ""


class SignatureIn(Input):
    """`strokes` is an SVG path of moves and lines; `seen` the `head_hash` of the work as it was shown."""

    client_id: ClientId
    purpose: Purpose
    name: Annotated[Line, Field(max_length=200)]
    strokes: Strokes
    seen: Hex
    signed_at: When


class Voided(Input):
    reason: Reason


class AnswerShown(Output):
    outcome: Outcome
    value: bool | float | str | None
    note: str
    photos: list[int]
    answered_at: Moment
    by: str


class LineShown(Output):
    """A line; `applies` by the answers before it, `lacks` what it needs before the order can be done."""

    item: dict[str, Any]
    applies: bool
    answer: AnswerShown | None
    lacks: Words | None
    follow_up: int | None


class ChecklistShown(Output):
    checklist_id: int
    code: str
    revision: int
    title: Words
    lines: list[LineShown]
    open: int


class LabourShown(Output):
    labour_id: int
    engineer_id: int
    engineer: str
    began_at: Moment
    minutes: int
    cost: float
    note: str
    by: str
    voided_at: Moment | None


class DowntimeShown(Output):
    downtime_id: int
    began_at: Moment
    ended_at: Moment
    note: str
    by: str
    voided_at: Moment | None


class SignatureShown(Output):
    """`holds`: what was signed and the strokes are still what they were; `since` events came after it."""

    signature_id: int
    purpose: Purpose
    name: str
    strokes: str
    signed_hash: str
    signed_at: Moment
    by: str
    holds: bool
    since: int


class WorkShown(Output):
    """What was done on a ticket. `head_hash` is what a signature signs."""

    ticket_id: int
    head_hash: str
    cost: float
    downtime_s: float | None
    checklists: list[ChecklistShown]
    labour: list[LabourShown]
    downtime: list[DowntimeShown]
    signatures: list[SignatureShown]


@routes.get("/tickets/{ticket_id}/work", dependencies=READ)
def get_work(ctx: Ctx, ticket_id: Id) -> WorkShown:
    """Checklists, time, downtime and signatures of a ticket."""
    return _work(ctx, readable(ctx, ticket_id))


@routes.post("/tickets/{ticket_id}/checklists", status_code=201, dependencies=RECORD)
def put_checklist(ctx: Ctx, ticket_id: Id, body: Put) -> WorkShown:
    """Put a checklist on an order by hand, at the revision given; again changes nothing."""
    ticket = readable(ctx, ticket_id)
    if ticket.kind not in checklists.WORK:
        raise Invalid(f"Checklists are for orders: {', '.join(sorted(checklists.WORK))}.")
    chosen = checklist_store.template(ctx.conn, body.template_id)
    checklists.put(ctx.conn, ctx.actor, ticket, chosen, now=ctx.now)
    return _work(ctx, store.get(ctx.conn, ticket_id))


@routes.post("/checklists/{checklist_id}/answers", status_code=201, dependencies=RECORD)
def answer(ctx: Ctx, checklist_id: Id, body: AnswerIn) -> ChecklistShown:
    """Answer one line. Answers that were given offline are taken late; the newest by the device's clock counts."""
    readable(ctx, checklist_store.ticket_of(ctx.conn, checklist_id))
    entry = Entry(**body.model_dump())
    return _checklist(checklists.answer(ctx.conn, ctx.actor, checklist_id, entry, now=ctx.now))


@routes.post("/tickets/{ticket_id}/labour", status_code=201, dependencies=RECORD)
def add_labour(ctx: Ctx, request: Request, ticket_id: Id, body: LabourIn) -> LabourShown:
    """Enter how long somebody worked; the cost follows from the engineer's rate."""
    readable(ctx, ticket_id)
    who = body.engineer_id or ctx.engineer_id
    if who is None:
        raise Invalid("You are no engineer of this site; name the one who worked.")
    made = labour.work(
        ctx.conn,
        ctx.actor,
        ticket_id,
        engineer_id=who,
        began_at=body.began_at,
        minutes=body.minutes,
        entry_id=body.client_id,
        usual_rate=request.app.state.settings.labour_rate,
        note=body.note,
        now=ctx.now,
    )
    return _labour(made)


@routes.put("/engineers/{engineer_id}/rate", status_code=204, dependencies=[allow("engineer.manage")])
def set_rate(ctx: Ctx, engineer_id: Id, body: Rate) -> None:
    """What an hour of this engineer costs from now on; what was entered keeps its cost."""
    labour.set_rate(ctx.conn, engineer_id, body.hourly_rate)


@routes.post("/labour/{labour_id}/void", dependencies=RECORD)
def void_labour(ctx: Ctx, labour_id: Id, body: Voided) -> LabourShown:
    """Take an entry of work back, with a reason."""
    return _labour(labour.void_work(ctx.conn, ctx.actor, labour_id, reason=body.reason, now=ctx.now))


@routes.post("/tickets/{ticket_id}/downtime", status_code=201, dependencies=RECORD)
def add_downtime(ctx: Ctx, ticket_id: Id, body: DowntimeIn) -> DowntimeShown:
    """Enter when the machine stood; spans that overlap count once."""
    readable(ctx, ticket_id)
    made = labour.stood(
        ctx.conn,
        ctx.actor,
        ticket_id,
        began_at=body.began_at,
        ended_at=body.ended_at,
        entry_id=body.client_id,
        note=body.note,
        now=ctx.now,
    )
    return _downtime(made)


@routes.post("/downtime/{downtime_id}/void", dependencies=RECORD)
def void_downtime(ctx: Ctx, downtime_id: Id, body: Voided) -> DowntimeShown:
    """Take a span back, with a reason."""
    return _downtime(labour.void_downtime(ctx.conn, ctx.actor, downtime_id, reason=body.reason, now=ctx.now))


@routes.post("/tickets/{ticket_id}/signatures", status_code=201, dependencies=RECORD)
def add_signature(ctx: Ctx, ticket_id: Id, body: SignatureIn) -> SignatureShown:
    """Sign what the ticket said when it was shown."""
    readable(ctx, ticket_id)
    made = signatures.sign(
        ctx.conn,
        ctx.actor,
        ticket_id,
        purpose=body.purpose,
        name=body.name,
        strokes=body.strokes,
        seen=bytes.fromhex(body.seen),
        entry_id=body.client_id,
        signed_at=body.signed_at,
        now=ctx.now,
    )
    return _signature(ctx, store.get(ctx.conn, ticket_id), made)


# -- shapes -----------------------------------------------------------------------------------------------------------


def _work(ctx: Context, ticket: Ticket) -> WorkShown:
    conn, ident = ctx.conn, ticket.ticket_id
    return WorkShown(
        ticket_id=ident,
        head_hash=bytes(ticket.head_hash).hex(),
        cost=ticket.cost,
        downtime_s=ticket.downtime_s,
        checklists=[_checklist(each) for each in checklist_store.of_ticket(conn, ident)],
        labour=[_labour(each) for each in labour.labour_on(conn, ident)],
        downtime=[_downtime(each) for each in labour.downtime_on(conn, ident)],
        signatures=[_signature(ctx, ticket, each) for each in signatures.of(conn, ident)],
    )


def _checklist(found: OnOrder) -> ChecklistShown:
    lines = list(_lines(found))
    return ChecklistShown(
        checklist_id=found.checklist_id,
        code=found.template.code,
        revision=found.template.revision,
        title=Words(**found.template.checklist.title),
        lines=lines,
        open=sum(each.lacks is not None for each in lines),
    )


def _lines(found: OnOrder) -> Iterator[LineShown]:
    made = found.template.checklist
    applying = {each.item.code: each for each in checklist.standing(made, found.judged)}
    for item, plain in zip(made.items, checklist.as_json(made.items), strict=True):
        stands, answered = applying.get(item.code), found.answers.get(item.code)
        shown = None
        if answered is not None:
            judged = answered.judged
            shown = AnswerShown(
                outcome=judged.outcome,
                value=judged.value,
                note=judged.note,
                photos=list(answered.photos),
                answered_at=answered.answered_at,
                by=answered.by_name,
            )
        yield LineShown(
            item=plain,
            applies=stands is not None,
            answer=shown,
            lacks=Words(**stands.lacks) if stands and stands.lacks else None,
            follow_up=found.follow_ups.get(item.code),
        )


def _labour(found: labour.Labour) -> LabourShown:
    values = {name: getattr(found, name) for name in LabourShown.model_fields if hasattr(found, name)}
    return LabourShown(**values, by=found.by_name)


def _downtime(found: labour.Downtime) -> DowntimeShown:
    values = {name: getattr(found, name) for name in DowntimeShown.model_fields if hasattr(found, name)}
    return DowntimeShown(**values, by=found.by_name)


def _signature(ctx: Context, ticket: Ticket, found: Signature) -> SignatureShown:
    values = {name: getattr(found, name) for name in SignatureShown.model_fields if hasattr(found, name)}
    values |= {"signed_hash": found.signed_hash.hex(), "by": found.by_name}
    holds = not signatures.problems(ctx.conn, found)
    return SignatureShown(**values, holds=holds, since=ticket.event_count - found.signed_seq)
