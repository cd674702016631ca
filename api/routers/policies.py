"""Maintenance policies per class, failure mode and machine: versions, and what they would have done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field

from api.deps import Ctx, Version, router
from api.policies import allow
from api.shapes import Id, Input, Moment, Output, Ref, Whole
from api.shown import ModeShown
from maintenance import policies, policy_gate, policy_preview, policy_values
from maintenance.grounds import Ground, Grounds
from maintenance.policies import Kept, Scope
from maintenance.policy_gate import Word

routes = router("maintenance policies")
READ, EDIT = [allow("policy.read")], [allow("policy.edit")]

Text = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]*$")]
Settings = Annotated[
    dict[Annotated[str, Field(max_length=64)], Any],
    Field(max_length=64, description="what differs; see /maintenance/policies/settings", examples=[{"proven": 0.8}]),
]


class ScopeWanted(Input):
    """`*` is every one; with an `asset_id` it holds for that machine alone."""

    asset_class: Annotated[str, Field(min_length=1, max_length=64)] = "*"
    mode: Text = "*"
    asset_id: Ref | None = None

    def scope(self) -> Scope:
        return Scope(self.asset_class, self.mode, self.asset_id)


class Relied(Input):
    """Where orders would open by themselves otherwise than now: the back-test of it that is done, or an override with a
    reason."""

    grounds: Literal["backtest", "override"] | None = None
    backtest_id: Ref | None = None
    reason: Annotated[str, Field(max_length=1000)] = ""

    def word(self, by: str) -> Word:
        return Word(by, self.reason, Grounds(Ground(self.grounds), self.backtest_id) if self.grounds else None)


class PolicyWanted(ScopeWanted, Relied):
    settings: Settings


class SettingsWanted(Relied):
    settings: Settings


class Draft(ScopeWanted):
    """`days` of recorded alarms are decided again."""

    settings: Settings
    days: Annotated[Whole, Field(ge=1, le=730)] = 90


class PolicyShown(Output):
    """A policy as kept: `settings` holds what differs from the one above it. `version` is what If-Match wants."""

    policy_id: int
    version: int
    asset_class: str
    mode: str
    asset_id: int | None
    active: bool
    settings: dict[str, Any]
    changed_at: Moment
    changed_by: str


class VersionShown(Output):
    version: int
    active: bool
    settings: dict[str, Any]
    changed_at: Moment
    changed_by: str
    reason: str
    grounds: str
    backtest_id: int | None


class PolicyUsed(Output):
    policy_id: int
    version: int


class InForce(Output):
    """Every setting as it holds there, and what it was made of; none is version 0, as shipped."""

    settings: dict[str, Any]
    made_of: list[PolicyUsed]


class SettingShown(Output):
    """A setting: its unit (h, share, count, money, money/h, choice, prior), bounds, and what ships."""

    name: str
    unit: str
    least: float
    most: float
    optional: bool
    shipped: Any


class DifferenceShown(Output):
    alarm_id: int
    asset_id: int
    asset_code: str
    asset_name: str
    mode: ModeShown
    detected_at: Moment
    opened_at: Moment | None
    would_open_at: Moment | None


class PreviewShown(Output):
    """Over `days`, of so many `alarms`: the orders that the policy in force and the new one would have opened or
    proposed, by their predictions alone; `different` shows the first that they judge differently."""

    days: int
    alarms: int
    opens_now: int
    would_open: int
    earlier: int
    later: int
    different: list[DifferenceShown]


@routes.get("/maintenance/policies", dependencies=READ)
def list_maintenance_policies(ctx: Ctx) -> list[PolicyShown]:
    """Every policy of the site, retired ones too, the general first."""
    return [_policy(each) for each in policies.rows_of(ctx.conn)]


@routes.post("/maintenance/policies", status_code=201, dependencies=EDIT)
def create_maintenance_policy(ctx: Ctx, response: Response, body: PolicyWanted) -> PolicyShown:
    """Settings for a class, a failure mode or one machine."""
    made = policy_gate.create(ctx.conn, body.scope(), body.settings, body.word(ctx.person.login), now=ctx.now)
    response.headers["location"] = f"/api/v1/maintenance/policies/{made.policy_id}"
    return _answer(response, made)


@routes.get("/maintenance/policies/settings", dependencies=READ)
def list_policy_settings() -> list[SettingShown]:
    """What a policy can say."""
    shipped = policy_values.shown(policies.SHIPPED)
    return [
        SettingShown(
            name=each.name,
            unit=each.unit.value,
            least=each.least,
            most=each.most,
            optional=each.optional,
            shipped=shipped[each.name],
        )
        for each in policy_values.SETTINGS.values()
    ]


@routes.get("/maintenance/policies/in-force", dependencies=READ)
def get_policy_in_force(
    ctx: Ctx,
    asset_class: Annotated[str, Query(max_length=64)] = "*",
    mode: Annotated[str, Query(max_length=128)] = "*",
    asset_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> InForce:
    """The policy that holds there, from all that apply."""
    found = policies.applied(ctx.conn, Scope(asset_class, mode, asset_id))
    made_of = [PolicyUsed(policy_id=policy_id, version=version) for policy_id, version in found.made_of]
    return InForce(settings=policy_values.shown(found.policy), made_of=made_of)


@routes.post("/maintenance/policies/preview", dependencies=READ)
def preview_maintenance_policy(ctx: Ctx, body: Draft) -> PreviewShown:
    """What these settings would have done with the alarms of the last days; nothing is changed."""
    found = policy_preview.preview(ctx.conn, body.scope(), body.settings, days=body.days, now=ctx.now)
    return PreviewShown.model_validate(found)


@routes.get("/maintenance/policies/{policy_id}", dependencies=READ)
def get_maintenance_policy(ctx: Ctx, response: Response, policy_id: Id) -> PolicyShown:
    """One policy, in force or retired."""
    return _answer(response, policies.row(ctx.conn, policy_id))


@routes.put("/maintenance/policies/{policy_id}", dependencies=EDIT)
def change_maintenance_policy(
    ctx: Ctx, response: Response, policy_id: Id, version: Version, body: SettingsWanted
) -> PolicyShown:
    """Other settings from now on; a retired policy is in force again."""
    word = body.word(ctx.person.login)
    made = policy_gate.change(ctx.conn, policy_id, body.settings, word, version=version, now=ctx.now)
    return _answer(response, made)


@routes.delete("/maintenance/policies/{policy_id}", status_code=204, dependencies=EDIT)
def retire_maintenance_policy(ctx: Ctx, policy_id: Id, version: Version) -> None:
    """What it said no longer holds; its versions are kept."""
    policies.retire(ctx.conn, policy_id, version=version, by=ctx.person.login, now=ctx.now)


@routes.get("/maintenance/policies/{policy_id}/versions", dependencies=READ)
def maintenance_policy_versions(ctx: Ctx, policy_id: Id) -> list[VersionShown]:
    """What the policy has been, newest first."""
    policies.row(ctx.conn, policy_id)
    return [VersionShown.model_validate(each) for each in policies.versions(ctx.conn, policy_id)]


def _policy(kept: Kept) -> PolicyShown:
    scope = kept.scope
    return PolicyShown(
        policy_id=kept.policy_id,
        version=kept.version,
        asset_class=scope.asset_class,
        mode=scope.mode,
        asset_id=scope.asset_id,
        active=kept.active,
        settings=dict(kept.settings),
        changed_at=kept.changed_at,
        changed_by=kept.changed_by,
    )


def _answer(response: Response, kept: Kept) -> PolicyShown:
    response.headers["etag"] = f'"{kept.version}"'
    return _policy(kept)
