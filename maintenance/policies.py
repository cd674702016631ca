"""Maintenance policies per class, failure mode and asset, versioned in the database.

    shipped (version 0) ← every class ← class ← class and mode ← asset ← asset and mode

Each holds only what differs from the one before it. What nobody has set is the shipped default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import Conflict, NotFound, Stale
from maintenance import policy_values
from maintenance.errors import BadPolicy
from maintenance.model import Policy
from plant.model import Asset

SHIPPED = Policy()
ANY = "*"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROW: LiteralString = """
  select policy_id, asset_class, mode, asset_id, version, active, settings, changed_at, changed_by
  from maintenance_policies """


class PolicyTaken(Conflict):
    """There is a maintenance policy for this class, mode and asset already. Change that one."""

    code = "policy_taken"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a policy is about; ``*`` is every one."""

    asset_class: str = ANY
    mode: str = ANY
    asset_id: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy as kept: ``settings`` holds what differs."""

    policy_id: int
    scope: Scope
    version: int
    active: bool
    settings: Mapping[str, Any]
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Note:
    """Why a version was made, and what was relied on (``maintenance/grounds.py``; '' = nothing had to be)."""

    reason: str = ""
    grounds: str = ""
    backtest_id: int | None = None


PLAIN = Note()


@dataclass(frozen=True, slots=True)
class Applied:
    """The policy in force and what it was made of: (policy id, version) from the general to the special."""

    policy: Policy
    made_of: tuple[tuple[int, int], ...]


def of(conn: Connection, asset: Asset, mode: str, *, base: Policy = SHIPPED) -> Policy:
    """The policy in force for a failure mode of an asset (``*``: whatever the mode)."""
    return applied(conn, Scope(asset.asset_class, mode, asset.asset_id), base=base).policy


def applied(conn: Connection, scope: Scope, *, instead: Kept | None = None, base: Policy = SHIPPED) -> Applied:
    """The policy in force within a scope, over ``base``; ``instead`` takes the place of the kept one with its scope."""
    found = [each for each in _covering(conn, scope) if instead is None or each.scope != instead.scope]
    if instead is not None and instead.active and _covers(instead.scope, scope):
        found.append(instead)
    policy = base
    for each in sorted(found, key=lambda kept: _rank(kept.scope)):
        policy = policy_values.merged(policy, each.settings)
    return Applied(
        policy, tuple((each.policy_id, each.version) for each in sorted(found, key=lambda k: _rank(k.scope)))
    )


def _covering(conn: Connection, scope: Scope) -> list[Kept]:
    """The policies in force whose scope holds this one: asked for at every finding, a handful of many."""
    rows = conn.execute(
        ROW
        + """where active and asset_class in ('*', %s) and mode in ('*', %s)
             and (asset_id is null or asset_id = %s)""",
        (scope.asset_class, scope.mode, scope.asset_id),
    )
    return [_kept(row) for row in rows]


def rows_of(conn: Connection) -> list[Kept]:
    """Every policy of the site, retired ones too, the general first."""
    return sorted((_kept(row) for row in conn.execute(ROW)), key=lambda kept: (_rank(kept.scope), kept.policy_id))


def row(conn: Connection, policy_id: int) -> Kept:
    """One policy; raises NotFound."""
    found = conn.execute(ROW + "where policy_id = %s", (policy_id,)).fetchone()
    if found is None:
        raise NotFound(f"There is no maintenance policy {policy_id} on this site.")
    return _kept(found)


def versions(conn: Connection, policy_id: int) -> list[dict[str, Any]]:
    """What a policy has been, newest first."""
    found = conn.execute(
        """select version, active, settings, changed_at, changed_by, reason, grounds, backtest_id
           from maintenance_policy_versions where policy_id = %s order by version desc""",
        (policy_id,),
    ).fetchall()
    names = ("version", "active", "settings", "changed_at", "changed_by", "reason", "grounds", "backtest_id")
    return [dict(zip(names, each, strict=True)) for each in found]


def create(
    conn: Connection, scope: Scope, settings: Mapping[str, Any], *, by: str, now: datetime, note: Note = PLAIN
) -> Kept:
    """A new policy. Raises BadPolicy, NotFound for a foreign asset, PolicyTaken."""
    checked(conn, scope, settings)
    if scope.asset_id is not None:
        _asset(conn, scope.asset_id)
    made = conn.execute(
        """insert into maintenance_policies (asset_class, mode, asset_id, settings, changed_at, changed_by)
           values (%s, %s, %s, %s, %s, %s) on conflict do nothing returning policy_id""",
        (scope.asset_class, scope.mode, scope.asset_id, Jsonb(dict(settings)), now, by),
    ).fetchone()
    if made is None:
        raise PolicyTaken
    return _remember(conn, made[0], note)


def change(
    conn: Connection, policy_id: int, settings: Mapping[str, Any], *, version: int, by: str, now: datetime,
    note: Note = PLAIN,
) -> Kept:  # fmt: skip
    """Other settings from now on. Raises Stale, BadPolicy, NotFound."""
    kept = _lock(conn, policy_id, version)
    checked(conn, kept.scope, settings)
    return _write(conn, policy_id, settings, "on", by, now, note)


def retire(conn: Connection, policy_id: int, *, version: int, by: str, now: datetime) -> Kept:
    """What it said no longer holds; its versions stay. Raises Stale, NotFound."""
    kept = _lock(conn, policy_id, version)
    _check_below(conn, replace(kept, active=False))
    return _write(conn, policy_id, kept.settings, "off", by, now, PLAIN)


def over(conn: Connection, scope: Scope, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings over what the policy with this scope says; without any none."""
    if not settings:
        return {}
    kept = next((each for each in rows_of(conn) if each.scope == scope and each.active), None)
    return {**(kept.settings if kept else {}), **settings}


def checked(conn: Connection, scope: Scope, settings: Mapping[str, Any]) -> Policy:
    """The policy that would be in force within its scope. Raises BadPolicy."""
    policy_values.check(SHIPPED, settings)
    draft = Kept(0, scope, 0, True, settings, EPOCH, "")
    made = policy_values.check(applied(conn, scope, instead=draft).policy, settings)
    _check_below(conn, draft)
    return made


def _lock(conn: Connection, policy_id: int, version: int) -> Kept:
    found = conn.execute(ROW + "where policy_id = %s for update", (policy_id,)).fetchone()
    if found is None:
        raise NotFound(f"There is no maintenance policy {policy_id} on this site.")
    kept = _kept(found)
    if kept.version != version:
        raise Stale(version=kept.version)
    return kept


def _write(
    conn: Connection, policy_id: int, settings: Mapping[str, Any], state: str, by: str, now: datetime, note: Note
) -> Kept:
    conn.execute(
        """update maintenance_policies set settings = %s, active = %s, version = version + 1, changed_at = %s,
             changed_by = %s where policy_id = %s""",
        (Jsonb(dict(settings)), state == "on", now, by, policy_id),
    )
    return _remember(conn, policy_id, note)


def _remember(conn: Connection, policy_id: int, note: Note) -> Kept:
    conn.execute(
        """insert into maintenance_policy_versions (policy_id, version, active, settings, changed_at, changed_by,
             reason, grounds, backtest_id)
           select policy_id, version, active, settings, changed_at, changed_by, %s, %s, %s from maintenance_policies
           where policy_id = %s""",
        (note.reason, note.grounds, note.backtest_id, policy_id),
    )
    return row(conn, policy_id)


def _check_below(conn: Connection, draft: Kept) -> None:
    """Refuse what would not go with the policies that lie over it. Raises BadPolicy about the first that it breaks."""
    classes: dict[int, str] = dict(conn.execute("select asset_id, class from assets").fetchall())
    for other in rows_of(conn):
        place = _both(draft.scope, other.scope, classes)
        if not other.active or other.scope == draft.scope or place is None:
            continue
        before = policy_values.contradictions(applied(conn, place).policy)
        for problem in policy_values.contradictions(applied(conn, place, instead=draft).policy):
            if problem not in before:
                raise BadPolicy(f"With maintenance policy {other.policy_id} ({_named(other.scope)}): {problem}")


def _both(one: Scope, other: Scope, classes: Mapping[int, str]) -> Scope | None:
    """What both are about; None: nothing."""
    if None not in (one.asset_id, other.asset_id) and one.asset_id != other.asset_id:
        return None
    asset_id = one.asset_id if other.asset_id is None else other.asset_id
    mode = other.mode if one.mode == ANY else one.mode
    asset_class = other.asset_class if one.asset_class == ANY else one.asset_class
    place = Scope(asset_class if asset_id is None else classes.get(asset_id, ANY), mode, asset_id)
    return place if _covers(one, place) and _covers(other, place) else None


def _named(scope: Scope) -> str:
    return f"class {scope.asset_class}, mode {scope.mode}, asset {scope.asset_id or ANY}"


def _asset(conn: Connection, asset_id: int) -> None:
    if conn.execute("select 1 from assets where asset_id = %s", (asset_id,)).fetchone() is None:
        raise NotFound(f"There is no asset {asset_id} on this site.")


def _covers(policy: Scope, asked: Scope) -> bool:
    same_asset = policy.asset_id is None or policy.asset_id == asked.asset_id
    return same_asset and policy.asset_class in (ANY, asked.asset_class) and policy.mode in (ANY, asked.mode)


def _rank(scope: Scope) -> tuple[bool, bool, bool]:
    return (scope.asset_id is not None, scope.mode != ANY, scope.asset_class != ANY)


def _kept(row: Sequence[Any]) -> Kept:
    policy_id, asset_class, mode, asset_id, *rest = row
    return Kept(policy_id, Scope(asset_class, mode, asset_id), *rest)
