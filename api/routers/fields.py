"""The site's own fields and failure codes: what forms ask for, lists filter by, and reports count."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.routers.assets import Finite
from api.shapes import Change, Id, Input, Line, Moment, Output, Page, Whole, Words, changes
from tickets import failure_codes, fields
from tickets.failure_codes import Code, Part
from tickets.field_types import Definition, FieldType, Required
from tickets.model import Audience, TicketKind

routes = router("fields")
READ = [allow("field.read")]
EDIT = [allow("field.edit")]

State = Annotated[str, Field(pattern="^[a-z_]{1,32}$")]
Kinds = Annotated[list[TicketKind], Field(max_length=6, description="Empty: tickets of every kind.")]
CodeText = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["belt_torn"])]
ClassText = Annotated[str, Field(pattern="^[a-z0-9_]{0,64}$", description="Empty: every class.")]


class Wording(Input):
    en: Line
    zh: Line


class OptionIn(Input):
    value: Annotated[str, Field(min_length=1, max_length=64)]
    label: Wording


class NewField(Input):
    key: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,47}$", examples=["serial_number"])]
    label: Wording
    type: FieldType
    unit: Annotated[str, Field(max_length=24)] = ""
    low: Finite | None = None
    high: Finite | None = None
    options: Annotated[list[OptionIn], Field(max_length=200, default_factory=list)]
    kinds: Annotated[Kinds, Field(default_factory=list)]
    required: Required = Required.NEVER
    required_to: Annotated[list[State], Field(max_length=20, default_factory=list)]
    default: Any = None
    audience: Audience = Audience.INTERNAL
    position: Annotated[Whole, Field(ge=-1000, le=1000)] = 0


class FieldChange(Change):
    """Key and type stay; ``retired`` takes the field out of the forms, or back in."""

    label: Wording | None = None
    unit: Annotated[str, Field(max_length=24)] | None = None
    low: Finite | None = None
    high: Finite | None = None
    options: Annotated[list[OptionIn], Field(max_length=200)] | None = None
    kinds: Kinds | None = None
    required: Required | None = None
    required_to: Annotated[list[State], Field(max_length=20)] | None = None
    default: Any = None
    audience: Audience | None = None
    position: Annotated[Whole, Field(ge=-1000, le=1000)] | None = None
    retired: bool | None = None


class OptionShown(Output):
    value: str
    label: Words


class FieldShown(Output):
    """``field_id`` null: built in. ``version`` is what If-Match wants."""

    field_id: int | None
    key: str
    label: Words
    type: FieldType
    unit: str
    low: float | None
    high: float | None
    options: list[OptionShown]
    kinds: list[str]
    required: Required
    required_to: list[str]
    default: Any
    audience: Audience
    position: int
    retired_at: Moment | None
    version: int
    changed_by: str


class NewCode(Input):
    part: Part
    code: CodeText
    name: Wording
    asset_class: ClassText = ""


class CodeChange(Input):
    name: Wording


class CodeShown(Output):
    """``code_id`` null: shipped; ``mechanism`` usually lies behind a mode. ``version`` is what If-Match wants."""

    code_id: int | None
    part: Part
    code: str
    name: Words
    asset_class: str
    mechanism: str | None
    version: int
    changed_by: str


class Retired(Output):
    retired_at: Moment


@routes.get("/fields", dependencies=READ)
def list_custom_fields(
    ctx: Ctx,
    kind: Annotated[TicketKind | None, Query(description="Only what tickets of this kind have.")] = None,
    retired: Annotated[bool, Query(description="Those out of use too.")] = False,
) -> Page[FieldShown]:
    """The custom fields, in the order of the forms; a requester sees those meant for requesters."""
    found = fields.definitions(ctx.conn, kind=kind, actor=ctx.actor)
    if retired and ctx.role != "requester":
        found += [each for each in fields.every(ctx.conn) if each.retired_at is not None]
    return Page(items=[_shown(each) for each in found])


@routes.post("/fields", status_code=201, dependencies=EDIT)
def define_field(ctx: Ctx, response: Response, body: NewField) -> FieldShown:
    """Add a field; it appears in forms, filters, rules and reports by itself."""
    given = body.model_dump(mode="json")
    return _answer(response, fields.define(ctx.conn, key=given.pop("key"), by=ctx.person.name, **given))


@routes.patch("/fields/{field_id}", dependencies=EDIT)
def change_field(ctx: Ctx, response: Response, field_id: Id, version: Version, body: FieldChange) -> FieldShown:
    """Change a field, retire it, or take it up again. What tickets say in it stays."""
    named = changes(body)
    gone = named.pop("retired", None)
    kept = ("low", "high", "default")  # null is a value of these
    given = {name: value for name, value in named.items() if value is not None or name in kept}
    made = fields.change(ctx.conn, field_id, version=version, by=ctx.person.name, **given)
    if gone is not None:
        at: datetime | None = ctx.now if gone else None
        made = fields.retire(ctx.conn, field_id, at=at, by=ctx.person.name)
    return _answer(response, made)


@routes.get("/failure-codes", dependencies=[allow("mode.read")])
def list_failure_codes(
    ctx: Ctx,
    part: Annotated[Part | None, Query()] = None,
    asset_class: Annotated[str | None, Query(pattern="^[a-z0-9_]{0,64}$")] = None,
) -> Page[CodeShown]:
    """Failure modes, mechanisms and causes; of a class together with those of every class, its own first."""
    found = failure_codes.catalogue(ctx.conn, part=part, asset_class=asset_class)
    return Page(items=[CodeShown.model_validate(each) for each in found])


@routes.post("/failure-codes", status_code=201, dependencies=EDIT)
def add_failure_code(ctx: Ctx, response: Response, body: NewCode) -> CodeShown:
    """Add a code of the site's own; again takes a retired one up."""
    return _code(response, failure_codes.add(ctx.conn, by=ctx.person.name, **body.model_dump()))


@routes.patch("/failure-codes/{code_id}", dependencies=EDIT)
def rename_failure_code(ctx: Ctx, response: Response, code_id: Id, version: Version, body: CodeChange) -> CodeShown:
    """Another name for a code of the site's own; the code itself stays."""
    name = body.name.model_dump()
    return _code(response, failure_codes.rename(ctx.conn, code_id, name=name, version=version, by=ctx.person.name))


@routes.delete("/failure-codes/{code_id}", dependencies=EDIT)
def retire_failure_code(ctx: Ctx, code_id: Id, version: Version) -> Retired:
    """Take a code of the site's own out of use; orders that name it keep it."""
    failure_codes.retire(ctx.conn, code_id, at=ctx.now, version=version, by=ctx.person.name)
    return Retired(retired_at=ctx.now)


def _shown(found: Definition) -> FieldShown:
    return FieldShown.model_validate(found)


def _answer(response: Response, found: Definition) -> FieldShown:
    response.headers["etag"] = f'"{found.version}"'
    return _shown(found)


def _code(response: Response, found: Code) -> CodeShown:
    response.headers["etag"] = f'"{found.version}"'
    return CodeShown.model_validate(found)
