"""Guides: the texts with their revisions, what orders get, and what came of it. This only shapes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field

from api import guide_readers
from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Id, Input, Moment, Number, Output, Page, Ref, Whole, Words
from api.ticket_view import in_both
from tickets import store as ticket_store
from tickets.errors import NotAllowed
from tickets.knowledge import articles, drafting, outcome, push, revisions, similar, store
from tickets.knowledge import content as contents
from tickets.knowledge.content import Content
from tickets.knowledge.intervals import Share
from tickets.knowledge.revisions import Origin, Revision
from tickets.knowledge.store import Article, State

routes = router("knowledge")
READ, DRAFT, PUBLISH = [allow("article.read")], [allow("article.draft")], [allow("article.publish")]
USE, REPORT, HOLD_OUT = [allow("article.use")], [allow("article.report")], [allow("article.hold_out")]
AssetClassQuery = Annotated[str | None, Query(pattern="^[a-z0-9_]{0,64}$")]
CodeQuery = Annotated[str | None, Query(pattern="^[A-Za-z0-9._:-]{0,64}$")]
RevisionQuery = Annotated[int, Query(ge=1, le=2**31 - 1)]
Given = Annotated[
    dict[str, Any],
    Field(
        max_length=5,
        examples=[
            {
                "classes": ["pump"],
                "modes": ["bearing_wear"],
                "title": {"en": "Replace the bearing"},
                "body": {"en": "## Make it safe\n\nLock and tag."},
                "steps": [{"text": {"en": "Measure vibration"}, "unit": "mm/s", "high": 4.5}],
            }
        ],
    ),
]
COUNTED = ("article_id", "code", "pushed", "opened", "used", "rated", "rating")
Note = Annotated[str, Field(max_length=500)]


class NewArticle(Input):
    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", examples=["pump-bearing"])]
    content: Given
    note: Note = ""


class ArticleChange(Input):
    content: Given
    note: Note = ""


class DraftOf(Input):
    """Of which orders: the class of their machine and their failure mode."""

    asset_class: Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$", examples=["pump"])]
    mode: Annotated[str, Field(pattern="^[A-Za-z0-9._:-]{1,64}$", examples=["bearing_wear"])]


class RestoreOf(Input):
    revision: Ref


class Rating(Input):
    rating: Annotated[Whole, Field(ge=1, le=5)]
    client_id: Annotated[str | None, Field(max_length=64, description="The device's own id of this entry.")] = None


class HoldOut(Input):
    """The share of orders that get no guide, so that what guides change can be measured."""

    hold_out: Annotated[Number, Field(ge=0, le=0.5)]


class StepShown(Output):
    """`picture` is an attachment; `sources` are the orders that a drafted step was taken from."""

    text: Words
    unit: str
    low: float | None
    high: float | None
    picture: int | None
    sources: list[str]


class ArticleRow(Output):
    """`classes` and `modes` empty = every one; `asset_class` and `mode` are the first of them."""

    article_id: int
    code: str
    state: State
    version: int
    asset_class: str
    mode: str
    classes: list[str]
    modes: list[str]
    title: Words
    languages: list[str]
    updated_at: Moment
    unpublished: bool = Field(description="A newer revision waits to be published.")
    offered: int | None = Field(description="The revision of a newer shipped text that the site's own stands before.")


class ArticleShown(ArticleRow):
    """`body` is Markdown: text, never to be taken for HTML."""

    body: Words
    steps: list[StepShown]
    head: int | None
    published: int | None


class RevisionRow(Output):
    number: int
    origin: Origin
    note: str
    made_at: Moment
    by_name: str


class RevisionShown(RevisionRow):
    """`content` as an edit takes it."""

    content: dict[str, Any]
    title: Words
    body: Words
    steps: list[StepShown]


class DiffShown(Output):
    before: int
    after: int
    lines: list[str]


class ShareShown(Output):
    """`hits` of `count`, with Wilson's interval at 95 %."""

    hits: int
    count: int
    value: float | None
    low: float
    high: float


class UsefulnessRow(Output):
    article_id: int
    code: str
    title: Words
    pushed: int
    opened: int
    used: int
    rated: int
    rating: float | None
    after_use: ShareShown
    without_use: ShareShown


class ArmRow(Output):
    orders: int
    verified: ShareShown
    hours: float | None


class DifferenceRow(Output):
    value: float | None
    low: float | None
    high: float | None


class EffectShown(Output):
    """Orders with guides against orders held out: verified repairs, and hours from opening to done."""

    hold_out: float
    pushed: ArmRow
    held_out: ArmRow
    verified: DifferenceRow
    hours: DifferenceRow
    sentence: Words


class SettingsShown(Output):
    hold_out: float


class PushedShown(Output):
    article_id: int
    title: Words
    revision: int
    score: float
    reason: Words
    opened_at: Moment | None
    used_at: Moment | None
    rating: int | None


class PartShown(Output):
    code: str
    name: str
    quantity: float
    unit: str


class PastShown(Output):
    """A closed order like this one. `verified`: telemetry closed it, nobody reopened it."""

    ticket_id: int
    ref: str
    title: str
    asset_code: str | None
    mode: str | None
    closed_at: Moment
    verified: bool
    verdict: str | None
    failure_code: str | None
    mechanism: str | None
    cause: str | None
    note: str
    labour_h: float
    parts: list[PartShown]
    score: float


# -- the texts --------------------------------------------------------------------------------------------------------


@routes.get("/articles", dependencies=READ)
def list_articles(
    ctx: Ctx, asset_class: AssetClassQuery = None, mode: CodeQuery = None, state: State | None = None
) -> Page[ArticleRow]:
    """Guides, by asset class and failure mode; drafts and archived ones only for who may edit them."""
    wanted = state if ctx.role in guide_readers.EDITORS else State.PUBLISHED
    found = store.find(ctx.conn, asset_class=asset_class, mode=mode, state=wanted)
    return Page(items=[_row(each) for each in found])


@routes.post("/articles", status_code=201, dependencies=DRAFT)
def make_article(ctx: Ctx, response: Response, body: NewArticle) -> ArticleShown:
    """Make a draft: no order gets it until it is published."""
    made = articles.make(ctx.conn, ctx.actor, code=body.code, given=body.content, note=body.note, now=ctx.now)
    return _answer(response, made)


@routes.post("/articles/draft", status_code=201, dependencies=DRAFT)
def draft_article(ctx: Ctx, response: Response, body: DraftOf) -> ArticleShown:
    """Draft a guide from verified repairs: their checklists, causes, parts and comments, with the order of each."""
    made = drafting.draft(ctx.conn, ctx.actor, asset_class=body.asset_class, mode=body.mode, now=ctx.now)
    return _answer(response, made)


@routes.get("/articles/usefulness", dependencies=REPORT)
def list_usefulness(
    ctx: Ctx, article_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> list[UsefulnessRow]:
    """How often each guide was given, read, followed and rated, and the verified repairs afterwards."""
    return [
        UsefulnessRow(
            **{name: getattr(each, name) for name in COUNTED},
            title=in_both(each.title),
            after_use=_share(each.after_use),
            without_use=_share(each.without_use),
        )
        for each in outcome.usefulness(ctx.conn, article_id)
    ]  # fmt: skip


@routes.get("/articles/effect", dependencies=REPORT)
def get_effect(ctx: Ctx) -> EffectShown:
    """What pushing guides changes, against the orders held out; says when there are too few."""
    return EffectShown.model_validate(outcome.effect(ctx.conn))


@routes.get("/articles/settings", dependencies=REPORT)
def get_guide_settings(ctx: Ctx) -> SettingsShown:
    """The share of orders that get no guide."""
    return SettingsShown.model_validate(outcome.settings(ctx.conn))


@routes.put("/articles/settings", dependencies=HOLD_OUT)
def put_guide_settings(ctx: Ctx, body: HoldOut) -> SettingsShown:
    """Hold a share of the orders opened from now on out; 0 ends it."""
    return SettingsShown.model_validate(outcome.hold_out(ctx.conn, body.hold_out))


@routes.get("/articles/{article_id}", dependencies=READ)
def get_article(ctx: Ctx, response: Response, article_id: Id) -> ArticleShown:
    """One guide, as orders get it; a draft as it stands."""
    found = store.get(ctx.conn, article_id)
    if found.state is not State.PUBLISHED and ctx.role not in guide_readers.EDITORS:
        raise NotAllowed(guide_readers.UNPUBLISHED)
    return _answer(response, found)


@routes.put("/articles/{article_id}", dependencies=DRAFT)
def edit_article(ctx: Ctx, response: Response, article_id: Id, version: Version, body: ArticleChange) -> ArticleShown:
    """Another text, as a revision; orders get it once it is published."""
    made = articles.edit(
        ctx.conn, ctx.actor, article_id, given=body.content, version=version, note=body.note, now=ctx.now
    )
    return _answer(response, made)


@routes.post("/articles/{article_id}/publish", dependencies=PUBLISH)
def publish_article(ctx: Ctx, response: Response, article_id: Id, version: Version) -> ArticleShown:
    """Let orders have the newest revision."""
    return _answer(response, articles.publish(ctx.conn, article_id, version=version))


@routes.post("/articles/{article_id}/archive", dependencies=PUBLISH)
def archive_article(ctx: Ctx, response: Response, article_id: Id, version: Version) -> ArticleShown:
    """No order gets it any more; publishing takes it up again."""
    return _answer(response, articles.archive(ctx.conn, article_id, version=version))


@routes.post("/articles/{article_id}/restore", dependencies=DRAFT)
def restore_article(ctx: Ctx, response: Response, article_id: Id, version: Version, body: RestoreOf) -> ArticleShown:
    """Work on from an earlier revision, or from a shipped text that is offered."""
    made = articles.restore(ctx.conn, ctx.actor, article_id, number=body.revision, version=version, now=ctx.now)
    return _answer(response, made)


@routes.get("/articles/{article_id}/revisions", dependencies=READ)
def list_revisions(ctx: Ctx, article_id: Id) -> list[RevisionRow]:
    """Every text that the guide had, newest first; to who only reads guides, up to the published one."""
    newest = guide_readers.newest(ctx, article_id)
    found = revisions.of(ctx.conn, article_id)
    return [RevisionRow.model_validate(each) for each in found if newest is None or each.number <= newest]


@routes.get("/articles/{article_id}/revisions/{number}", dependencies=READ)
def get_revision(ctx: Ctx, article_id: Id, number: Id) -> RevisionShown:
    """One of its texts."""
    guide_readers.refuse_newer(ctx, article_id, number)
    return _revision(revisions.get(ctx.conn, article_id, number))


@routes.get("/articles/{article_id}/diff", dependencies=READ)
def compare_revisions(ctx: Ctx, article_id: Id, before: RevisionQuery, after: RevisionQuery) -> DiffShown:
    """What differs between two revisions, as a unified diff."""
    guide_readers.refuse_newer(ctx, article_id, max(before, after))
    old, new = (revisions.get(ctx.conn, article_id, each).content for each in (before, after))
    return DiffShown(before=before, after=after, lines=contents.difference(old, new))


# -- in orders --------------------------------------------------------------------------------------------------------


@routes.get("/tickets/{ticket_id}/guides", dependencies=READ)
def list_guides(ctx: Ctx, ticket_id: Id) -> list[PushedShown]:
    """The guides of an order, best first, and why."""
    return [_pushed(each) for each in push.of(ctx.conn, ticket_store.get(ctx.conn, ticket_id))]


@routes.post("/tickets/{ticket_id}/guides/{article_id}/opened", status_code=204, dependencies=USE)
def guide_opened(ctx: Ctx, ticket_id: Id, article_id: Id) -> None:
    """Somebody reads the guide for this order."""
    push.opened(ctx.conn, ticket_id, article_id, now=ctx.now)


@routes.post("/tickets/{ticket_id}/guides/{article_id}/used", status_code=204, dependencies=USE)
def guide_used(ctx: Ctx, ticket_id: Id, article_id: Id) -> None:
    """The work followed the guide."""
    push.used(ctx.conn, ctx.actor, ticket_id, article_id, now=ctx.now)


@routes.post("/tickets/{ticket_id}/guides/{article_id}/rating", status_code=204, dependencies=USE)
def guide_rated(ctx: Ctx, ticket_id: Id, article_id: Id, body: Rating) -> None:
    """How much it helped: 1 (not at all) to 5."""
    push.rate(ctx.conn, ctx.actor, ticket_id, article_id, rating=body.rating, now=ctx.now)


@routes.get("/tickets/{ticket_id}/similar", dependencies=READ)
def list_similar(ctx: Ctx, ticket_id: Id) -> list[PastShown]:
    """Closed orders like this one and what fixed them; verified repairs first."""
    return [PastShown.model_validate(each) for each in similar.past(ctx.conn, ticket_store.get(ctx.conn, ticket_id))]


# -- shapes -----------------------------------------------------------------------------------------------------------


def _answer(response: Response, found: Article) -> ArticleShown:
    response.headers["etag"] = f'"{found.version}"'
    return ArticleShown(
        **_row(found).model_dump(),
        body=in_both(found.content.body),
        steps=_steps(found.content),
        head=found.head,
        published=found.published,
    )


def _row(found: Article) -> ArticleRow:
    return ArticleRow(
        article_id=found.article_id,
        code=found.code,
        state=found.state,
        version=found.version,
        asset_class=found.asset_class,
        mode=found.mode,
        classes=list(found.content.classes),
        modes=list(found.content.modes),
        title=in_both(found.title),
        languages=list(found.content.languages),
        updated_at=found.updated_at,
        unpublished=found.state is State.PUBLISHED and found.head != found.published,
        offered=found.offered,
    )


def _steps(content: Content) -> list[StepShown]:
    return [
        StepShown(
            text=in_both(each.text), unit=each.unit, low=each.low, high=each.high, picture=each.picture,
            sources=list(each.sources),
        )
        for each in content.steps
    ]  # fmt: skip


def _revision(found: Revision) -> RevisionShown:
    return RevisionShown(
        **RevisionRow.model_validate(found).model_dump(),
        content=contents.as_json(found.content),
        title=in_both(found.content.title),
        body=in_both(found.content.body),
        steps=_steps(found.content),
    )


def _pushed(found: push.Pushed) -> PushedShown:
    kept = {name: getattr(found, name) for name in PushedShown.model_fields}
    return PushedShown(**kept | {"title": in_both(found.title), "reason": in_both(found.reason)})


def _share(found: Share) -> ShareShown:
    return ShareShown.model_validate(found)
