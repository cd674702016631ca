"""Alarm rules: limits, rates, timers and missing data that people declare; previewed over history, then enabled."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Id, Input, Moment, Number, Output
from core import live
from detectors.classic import model, store
from detectors.classic.store import Kept
from maintenance import alarm_rules
from maintenance.gate import Standing

routes = router("alarms")
READ, EDIT, ENABLE = [allow("alarm_rule.read")], [allow("alarm_rule.edit")], [allow("alarm_rule.enable")]

Days = Annotated[Number, Field(ge=1, le=400, description="of recorded history")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[Number, Field(ge=0, le=30 * 86_400)]
Size = Annotated[Number, Field(ge=-1e12, le=1e12)]


class StepWanted(Input):
    """Beyond `limit` for `for_s` seconds; 0: at once."""

    limit: Size = 0.0
    for_s: Seconds = 0.0


class ConditionWanted(Input):
    """Of one signal, by its code. Further steps lie farther out and wait shorter. `dead_band` and changes are
    differences in `unit`; `over_s` is the time over which a change is measured."""

    kind: Literal["high", "low", "rise", "fall", "change", "missing"]
    signal: Annotated[str, Field(min_length=1, max_length=100)]
    unit: Annotated[str, Field(max_length=32)] = ""
    steps: Annotated[list[StepWanted], Field(min_length=1, max_length=6)]
    dead_band: Annotated[Number, Field(ge=0, le=1e12)] = 0.0
    over_s: Seconds = 0.0


class GroupWanted(Input):
    """Holds when all of its conditions hold."""

    all: Annotated[list[ConditionWanted], Field(min_length=1, max_length=8)]


class RuleWanted(Input):
    """Raises an alarm where any of its groups holds: on the machines of a class, or on one machine by its code."""

    code: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$", examples=["hot-bearing"])]
    name: Name
    any: Annotated[list[GroupWanted], Field(min_length=1, max_length=8)]
    asset_class: Annotated[str, Field(max_length=64)] = ""
    asset: Annotated[str, Field(max_length=100)] = ""
    about: Literal["machine", "sensor"] = "machine"
    severity: Annotated[int, Field(ge=1, le=4)] = 2
    failure_mode: Annotated[str, Field(max_length=64)] = ""
    advice: Annotated[str, Field(max_length=1000, description="what to check first")] = ""
    while_running: bool = False

    def rule(self) -> model.AlarmRule:
        return model.parse(self.model_dump())


class TextWanted(Input):
    """A rule as TOML."""

    text: Annotated[str, Field(max_length=20_000, examples=['code = "hot"\nname = "Hot"\n'])]


class PreviewWanted(Input):
    rule: RuleWanted
    days: Days = 30.0


class LookWanted(Input):
    days: Days = 30.0


class EnableWanted(Input):
    """`live` opens orders as the policy says, `review` proposes them, `shadow` only counts what it would open."""

    standing: Literal["live", "review", "shadow"]


class EpisodeShown(Output):
    asset_id: int
    asset_code: str
    since: Moment
    until: Moment | None


class RaisedShown(Output):
    asset_code: str
    raised: int


class PreviewShown(Output):
    """`raised` alarms in `days` on `looked_at` of the `machines` that it fits; fewer than asked where history is large.
    `lacking`: machines that it fits, but that have not its signals."""

    days: float
    asked_days: float
    raised: int
    machines: int
    looked_at: int
    lacking: list[str]
    loudest: list[RaisedShown]
    episodes: list[EpisodeShown]
    made_at: Moment


class RuleShown(Output):
    """`rule` and `text` are what is written now, `revision` counts its changes; `in_force` is the revision that judges
    (null: none), since `from_at`. `previewed`: somebody has looked at what this revision would have raised. `version`
    is what If-Match wants."""

    rule_id: int
    version: int
    revision: int
    rule: dict[str, Any]
    text: str
    previewed: bool
    preview: PreviewShown | None
    in_force: int | None
    from_at: Moment | None
    enabled_by: str | None
    changed_by: str
    changed_at: Moment


class RuleRead(Output):
    rule: dict[str, Any]


@routes.get("/alarm-rules", dependencies=READ)
def list_alarm_rules(ctx: Ctx) -> list[RuleShown]:
    """Every rule, with what judges now."""
    return [_shown(each) for each in store.listed(ctx.conn)]


@routes.get("/alarm-rules/{rule_id}", dependencies=READ)
def get_alarm_rule(ctx: Ctx, rule_id: Id) -> RuleShown:
    """One rule."""
    return _shown(store.get(ctx.conn, rule_id))


@routes.post("/alarm-rules", dependencies=EDIT, status_code=201)
def add_alarm_rule(ctx: Ctx, body: RuleWanted) -> RuleShown:
    """Write a rule; it judges nothing until it is enabled."""
    return _told(ctx, store.add(ctx.conn, ctx.person.name, body.rule(), now=ctx.now))


@routes.put("/alarm-rules/{rule_id}", dependencies=EDIT)
def change_alarm_rule(ctx: Ctx, rule_id: Id, version: Version, body: RuleWanted) -> RuleShown:
    """Write it otherwise; what is in force goes on until the new revision is enabled."""
    kept = store.change(ctx.conn, ctx.person.name, rule_id, body.rule(), row_version=version, now=ctx.now)
    return _told(ctx, kept)


@routes.delete("/alarm-rules/{rule_id}", dependencies=ENABLE, status_code=204)
def retire_alarm_rule(ctx: Ctx, rule_id: Id, version: Version) -> None:
    """It judges nothing any more and is gone from the list; what it raised stays."""
    store.retire(ctx.conn, ctx.person.name, rule_id, row_version=version, now=ctx.now)
    live.announce(ctx.conn, "alarm_rule", rule_id)


@routes.post("/alarm-rules/read", dependencies=READ)
def read_alarm_rule(ctx: Ctx, body: TextWanted) -> RuleRead:  # noqa: ARG001 - the right is asked
    """A rule from its text, or what is wrong with it; keeps nothing."""
    return RuleRead(rule=model.plain(model.read_text(body.text)))


@routes.post("/alarm-rules/preview", dependencies=READ)
def preview_alarm_rule(ctx: Ctx, body: PreviewWanted) -> PreviewShown:
    """What it would have raised over the last days of recorded history; keeps nothing."""
    return PreviewShown.model_validate(alarm_rules.look(ctx.conn, body.rule.rule(), days=body.days, now=ctx.now))


@routes.post("/alarm-rules/{rule_id}/preview", dependencies=EDIT)
def look_at_alarm_rule(ctx: Ctx, rule_id: Id, body: LookWanted) -> RuleShown:
    """The same for the revision that is written, kept with it: then it may be enabled."""
    return _told(ctx, alarm_rules.look_at_kept(ctx.conn, rule_id, days=body.days, now=ctx.now))


@routes.post("/alarm-rules/{rule_id}/enable", dependencies=ENABLE)
def enable_alarm_rule(ctx: Ctx, rule_id: Id, version: Version, body: EnableWanted) -> RuleShown:
    """The revision that is written judges from now on. It must have been previewed."""
    standing = Standing(body.standing)
    kept = alarm_rules.enable(
        ctx.conn, ctx.person.name, rule_id, row_version=version, standing=standing, now=ctx.now
    )  # fmt: skip
    return _shown(kept)


@routes.post("/alarm-rules/{rule_id}/disable", dependencies=ENABLE)
def disable_alarm_rule(ctx: Ctx, rule_id: Id, version: Version) -> RuleShown:
    """It judges nothing from now on; alarms that it raised end."""
    return _told(ctx, store.disable(ctx.conn, ctx.person.name, rule_id, row_version=version, now=ctx.now))


def _told(ctx: Ctx, kept: Kept) -> RuleShown:
    live.announce(ctx.conn, "alarm_rule", kept.rule_id)
    return _shown(kept)


def _shown(kept: Kept) -> RuleShown:
    previewed = kept.previewed == kept.version
    return RuleShown(
        rule_id=kept.rule_id,
        version=kept.row_version,
        revision=kept.version,
        rule=model.plain(kept.rule),
        text=model.text_of(kept.rule),
        previewed=previewed,
        preview=PreviewShown.model_validate(kept.preview) if previewed and kept.preview else None,
        in_force=kept.in_force,
        from_at=kept.from_at,
        enabled_by=kept.enabled_by,
        changed_by=kept.changed_by,
        changed_at=kept.changed_at,
    )
