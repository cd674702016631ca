"""The checklists that a site has: each in revisions, the newest for orders opened from now on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import Field, StringConstraints

from api.deps import Context, Ctx, Version, router
from api.policies import allow
from api.shapes import Code, Id, Input, Moment, Output, Page, Words
from tickets import checklist, checklist_store, checklists
from tickets.checklist import ItemType, Need, OnFailure, Outcome, PhotoRule, Relation
from tickets.checklist_store import Template

routes = router("work")
READ = [allow("work.read")]
EDIT = [allow("checklist.edit")]

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,47}$")]
Scope = Annotated[str, StringConstraints(pattern=r"^[\w.:-]{0,64}$")]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Said(Input):
    """A text in every language of the product."""

    en: Label
    zh: Label


class ConditionIn(Input):
    item: Slug
    relation: Relation
    value: bool | float | Label


class ChoiceIn(Input):
    value: Slug
    label: Said
    outcome: Outcome = Outcome.OK


class ItemIn(Input):
    """A line. Limits are inclusive; `when` asks an earlier line."""

    code: Slug
    type: ItemType
    text: Said
    need: Need = Need.MANDATORY
    photo: PhotoRule = PhotoRule.NEVER
    on_failure: OnFailure = OnFailure.FOLLOW_UP
    unit: Annotated[str, StringConstraints(max_length=16)] = ""
    low: float | None = None
    high: float | None = None
    choices: Annotated[tuple[ChoiceIn, ...], Field(max_length=checklist.MOST_CHOICES)] = ()
    when: ConditionIn | None = None


class TemplateIn(Input):
    """A checklist for orders of a class of asset, a failure mode and a kind; empty = any."""

    asset_class: Scope = ""
    mode: Scope = ""
    kind: Literal["", "corrective", "preventive", "inspection"] = ""
    title: Said
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=checklist.MOST_ITEMS)]
    state: Literal["active", "retired"] = "active"


class NewTemplate(TemplateIn):
    code: Slug


class TemplateShown(Output):
    """`revision` is what If-Match wants."""

    template_id: int
    code: Code
    revision: int
    asset_class: str
    mode: str
    kind: str
    state: str
    shipped: bool
    made_at: Moment
    by: str
    title: Words
    items: list[dict[str, Any]]


@routes.get("/checklists", dependencies=READ)
def list_checklists(ctx: Ctx) -> Page[TemplateShown]:
    """The newest revision of every checklist of the site."""
    return Page(items=[template_shown(each) for each in checklist_store.templates(ctx.conn)])


@routes.get("/checklists/{template_id}", dependencies=READ)
def get_checklist(ctx: Ctx, response: Response, template_id: Id) -> TemplateShown:
    """One revision."""
    return _revision(response, checklist_store.template(ctx.conn, template_id))


@routes.post("/checklists", status_code=201, dependencies=EDIT)
def publish_checklist(ctx: Ctx, response: Response, body: NewTemplate) -> TemplateShown:
    """A new checklist, for orders opened from now on; 200 when the same is there already."""
    before = checklist_store.newest(ctx.conn, body.code)
    made = checklists.introduce(ctx.conn, code=body.code, **_wanted(ctx, body))
    if before is not None:
        response.status_code = 200
    return _revision(response, made)


@routes.put("/checklists/{template_id}", dependencies=EDIT)
def revise_checklist(
    ctx: Ctx, response: Response, template_id: Id, version: Version, body: TemplateIn
) -> TemplateShown:
    """The next revision, for orders opened from now on; the newest one when nothing differs from it.

    If-Match names the newest `revision`.
    """
    return _revision(response, checklists.revise(ctx.conn, template_id, version=version, **_wanted(ctx, body)))


def _wanted(ctx: Context, body: TemplateIn) -> dict[str, Any]:
    plain = body.model_dump(mode="json", include={"title", "items", "state"})
    return {
        **plain,
        "scope": (body.asset_class, body.mode, body.kind),
        "by_name": ctx.person.name,
        "now": ctx.now,
    }


def _revision(response: Response, found: Template) -> TemplateShown:
    response.headers["etag"] = f'"{found.revision}"'
    response.headers["location"] = f"/api/v1/checklists/{found.template_id}"
    return template_shown(found)


def template_shown(found: Template) -> TemplateShown:
    """A revision as the API shows it."""
    values = {name: getattr(found, name) for name in TemplateShown.model_fields if hasattr(found, name)}
    items = checklist.as_json(found.checklist.items)
    return TemplateShown(**values, by=found.by_name, title=Words(**found.checklist.title), items=items)
