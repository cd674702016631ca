"""Life cycles: which states and steps a kind of ticket has, edited, previewed and published without code."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from api.deps import Ctx, router
from api.policies import allow
from api.shapes import Input, Moment, Output, Whole, Words
from tickets import lifecycle, lifecycle_edit, lifecycle_text
from tickets.lifecycle_compare import Difference
from tickets.lifecycle_edit import Draft, Fate, Preview, Version
from tickets.model import TicketKind

routes = router("lifecycles")
READ = [allow("lifecycle.read")]
EDIT = [allow("lifecycle.edit")]
PUBLISH = [allow("lifecycle.publish")]

Definition = Annotated[
    dict[str, Any],
    Field(max_length=20, description="initial, states, transitions; see docs/tickets.md, The life cycle."),
]
Note = Annotated[str, Field(max_length=lifecycle_edit.LONGEST_NOTE, description="Why; it is kept with the version.")]
StateName = Annotated[str, Field(pattern="^[a-z][a-z_]{0,31}$")]
VersionNumber = Annotated[Whole, Field(ge=0, le=2**31 - 1, description="0 = the built-in one")]


class VersionShown(Output):
    """A published version; 0 is the built-in one. So many `open_tickets` follow it."""

    version: int
    active: bool
    note: str
    published_at: Moment | None
    published_by: str
    open_tickets: int


class DraftShown(Output):
    """What is being written. `problems` stand in the way of publishing it; send `revision` with the next change."""

    definition: dict[str, Any]
    based_on: int
    revision: int
    changed_at: Moment
    changed_by: str
    problems: list[str]


class LifecycleShown(Output):
    """The life cycle that new tickets of a kind follow, its earlier versions, and the draft of the next."""

    kind: TicketKind
    definition: dict[str, Any]
    toml: str
    versions: list[VersionShown]
    draft: DraftShown | None


class LifecycleItem(Output):
    """One kind's life cycle in the list."""

    kind: TicketKind
    version: int
    published_at: Moment | None
    published_by: str
    has_draft: bool


class Lifecycles(Output):
    """Every kind, and the words that a definition may use."""

    items: list[LifecycleItem]
    roles: list[str]
    guards: list[str]
    fields: list[str]
    clocks: list[str]


class Way(Output):
    """A step from one state to another."""

    source: str
    to: str


class ConditionShown(Way):
    """A step that now asks for something else."""

    how: Words


class RoleShown(Output):
    """What a role can do that it could not, what it can no longer, and what asks for something else."""

    role: str
    gains: list[Way]
    losses: list[Way]
    conditions: list[ConditionShown]


class StandingShown(Output):
    """Open tickets of one version in one state. `homeless`: the state is gone, so that moving them needs a place."""

    version: int
    state: str
    count: int
    refs: list[str]
    fate: Fate


class PreviewShown(Output):
    """What publishing would change. With `problems` it cannot be published, and the rest is empty."""

    problems: list[str]
    sentences: list[Words]
    states_added: list[str]
    states_removed: list[str]
    states_changed: list[str]
    roles: list[RoleShown]
    open_tickets: list[StandingShown]


class Wanted(Input):
    """A definition; null: the draft's."""

    definition: Definition | None = None


class DraftWanted(Input):
    """`revision`: of the draft that this was made from, 0 when there was none; another one meanwhile is refused."""

    definition: Definition
    revision: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None


class PublishWanted(Wanted):
    """`based_on`: the version that was active when this was made."""

    note: Note = ""
    based_on: VersionNumber | None = None


class RestoreWanted(Input):
    version: VersionNumber
    note: Note = ""


class MigrateWanted(Input):
    """`states`: old state → new state; a state of the same name needs none."""

    states: dict[StateName, StateName] = Field(default_factory=dict, max_length=100)


class Migrated(Output):
    """So many open tickets changed over; call again while some are `left`."""

    moved: int
    left: int


@routes.get("/lifecycles", dependencies=READ)
def list_lifecycles(ctx: Ctx) -> Lifecycles:
    """Every kind's life cycle in short, and the words that definitions are made of."""
    return Lifecycles(
        items=[_item(ctx, kind) for kind in TicketKind],
        roles=sorted(lifecycle.PARTS),
        guards=sorted(lifecycle.GUARDS),
        fields=sorted(lifecycle.FIELDS) + sorted(f"ticket.{name}" for name in lifecycle.COLUMNS) + ["fields.<key>"],
        clocks=sorted(lifecycle.CLOCKS),
    )


@routes.get("/lifecycles/{kind}", dependencies=READ)
def get_lifecycle(
    ctx: Ctx, kind: TicketKind, version: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None
) -> LifecycleShown:
    """A kind's active definition, or that of another `version`."""
    definition = lifecycle_edit.definition(ctx.conn, kind, version)
    return LifecycleShown(
        kind=kind,
        definition=definition,
        toml=lifecycle_text.to_toml(definition),
        versions=[VersionShown.model_validate(each) for each in lifecycle_edit.versions(ctx.conn, kind)],
        draft=_draft(lifecycle_edit.draft(ctx.conn, kind)),
    )


@routes.put("/lifecycles/{kind}/draft", dependencies=EDIT)
def save_draft(ctx: Ctx, kind: TicketKind, body: DraftWanted) -> DraftShown | None:
    """Keep what is being written, wrong or not; nothing follows it yet."""
    kept = lifecycle_edit.save_draft(ctx.conn, ctx.actor, kind, body.definition, revision=body.revision, now=ctx.now)
    return _draft(kept)


@routes.delete("/lifecycles/{kind}/draft", status_code=204, dependencies=EDIT)
def discard_draft(ctx: Ctx, kind: TicketKind) -> None:
    """Throw the draft away."""
    lifecycle_edit.discard_draft(ctx.conn, kind)


@routes.post("/lifecycles/{kind}/preview", dependencies=EDIT)
def preview(ctx: Ctx, kind: TicketKind, body: Wanted) -> PreviewShown:
    """What publishing would change: for each role, for each state, and for the tickets that are open."""
    return _preview(lifecycle_edit.preview(ctx.conn, kind, _wanted(ctx, kind, body)))


@routes.post("/lifecycles/{kind}/publish", status_code=201, dependencies=PUBLISH)
def publish(ctx: Ctx, kind: TicketKind, body: PublishWanted) -> VersionShown:
    """Make a new version for tickets that open from now on; open ones stay on theirs until they are migrated."""
    wanted = _wanted(ctx, kind, body)
    made = lifecycle_edit.publish(ctx.conn, ctx.actor, kind, wanted, note=body.note, based_on=body.based_on)
    return VersionShown.model_validate(made)


@routes.post("/lifecycles/{kind}/restore", status_code=201, dependencies=PUBLISH)
def restore(ctx: Ctx, kind: TicketKind, body: RestoreWanted) -> VersionShown:
    """Go back: an earlier version's definition becomes a new version."""
    made = lifecycle_edit.restore(ctx.conn, ctx.actor, kind, body.version, note=body.note)
    return VersionShown.model_validate(made)


@routes.post("/lifecycles/{kind}/migrate", dependencies=PUBLISH)
def migrate(ctx: Ctx, kind: TicketKind, body: MigrateWanted) -> Migrated:
    """Bring open tickets to the active version, each by an event on its timeline."""
    moved = lifecycle_edit.migrate(ctx.conn, ctx.actor, kind, states=body.states, now=ctx.now)
    return Migrated(moved=moved.moved, left=moved.left)


def _item(ctx: Ctx, kind: TicketKind) -> LifecycleItem:
    active: Version = lifecycle_edit.active(ctx.conn, kind)
    return LifecycleItem(
        kind=kind,
        version=active.version,
        published_at=active.published_at,
        published_by=active.published_by,
        has_draft=lifecycle_edit.draft(ctx.conn, kind) is not None,
    )


def _wanted(ctx: Ctx, kind: TicketKind, body: Wanted) -> dict[str, Any]:
    """The definition of the body, or of the draft. Raises NotFound."""
    return body.definition if body.definition is not None else lifecycle_edit.drafted(ctx.conn, kind)


def _draft(kept: Draft | None) -> DraftShown | None:
    if kept is None:
        return None
    return DraftShown(
        definition=dict(kept.definition),
        based_on=kept.based_on,
        revision=kept.revision,
        changed_at=kept.changed_at,
        changed_by=kept.changed_by,
        problems=lifecycle_edit.check(kept.definition),
    )


def _preview(found: Preview) -> PreviewShown:
    change = found.difference or Difference((), (), (), (), frozenset(), ())
    return PreviewShown(
        problems=list(found.problems),
        sentences=[Words(**each) for each in change.sentences],
        states_added=list(change.states_added),
        states_removed=list(change.states_removed),
        states_changed=list(change.states_changed),
        roles=[
            RoleShown(
                role=each.role,
                gains=[Way(source=source, to=to) for source, to in each.gains],
                losses=[Way(source=source, to=to) for source, to in each.losses],
                conditions=[
                    ConditionShown(source=source, to=to, how=Words(**how)) for (source, to), how in each.conditions
                ],
            )
            for each in change.roles
        ],
        open_tickets=[StandingShown.model_validate(each) for each in found.standings],
    )
