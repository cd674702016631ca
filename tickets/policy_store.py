"""SQL of what managers edit: SLA policies with their order and versions, and the teams that policies speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound, Stale
from tickets import calendars, policies, sla_policy, words
from tickets.model import TicketKind
from tickets.policies import Dated, Listed
from tickets.rows import one, refuse_stale, refuse_unseen
from tickets.sla import ClockKind

EDITED = ("code", "name", "kind", "priority", "calendar_id", "response_s", "update_s", "resolution_s", "conditions", "marks", "pauses")  # fmt: skip  # noqa: E501
MACHINES = ("device", "gateway", "agent")
JSON = frozenset({"conditions", "marks", "pauses"})
ROW: LiteralString = """
  select sla_policy_id, version, position, active, changed_at, changed_by, code, name, kind, priority, calendar_id,
         response_s, update_s, resolution_s, conditions, marks, pauses from sla_policies """


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy as it is kept and edited."""

    sla_policy_id: int
    version: int
    position: int
    active: bool
    changed_at: datetime
    changed_by: str
    code: str
    name: str
    kind: str
    priority: int | None
    calendar_id: int | None
    response_s: int | None
    update_s: int | None
    resolution_s: int | None
    conditions: Mapping[str, Any]
    marks: Sequence[Mapping[str, Any]]
    pauses: Mapping[str, Sequence[str]] | None


@dataclass(frozen=True, slots=True)
class Version:
    """What a policy or calendar was, from ``changed_at`` on."""

    version: int
    changed_at: datetime
    changed_by: str
    body: Mapping[str, Any]


def rows(conn: Connection) -> list[PolicyRow]:
    """The policies in force, in the order in which they are asked."""
    return [PolicyRow(*row) for row in conn.execute(ROW + "where active order by position, sla_policy_id")]


def row(conn: Connection, policy_id: int) -> PolicyRow:
    """One policy, in force or retired; raises NotFound."""
    return PolicyRow(*one(conn, ROW + "where sla_policy_id = %s", (policy_id,), missing=_gone(policy_id)))


def versions(conn: Connection, policy_id: int) -> list[Version]:
    """What the policy has been, newest first."""
    found = conn.execute(
        """select version, changed_at, changed_by, body from sla_policy_versions where sla_policy_id = %s
           order by version desc""",
        (policy_id,),
    )
    return [Version(*each) for each in found]


def create(conn: Connection, wanted: Mapping[str, Any], *, by: str, now: datetime) -> PolicyRow:
    """A new policy, asked before all others. Raises InvalidFields."""
    checked = check(conn, wanted)
    _refuse_never(conn, checked, now)
    if conn.execute("select 1 from sla_policies where code = %s", (checked["code"],)).fetchone():
        raise words.refuse("code", f"There is a policy {checked['code']!r} already.", code="taken")
    (policy_id,) = one(
        conn,
        """insert into sla_policies (code, name, kind, priority, calendar_id, response_s, update_s, resolution_s,
             conditions, marks, pauses, position, changed_at, changed_by)
           select %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(min(position), 10) - 10, %s, %s from sla_policies
           returning sla_policy_id""",
        (*_values(checked), now, by),
    )
    return row(conn, policy_id)


def change(
    conn: Connection, policy_id: int, wanted: Mapping[str, Any], *, version: int, by: str, now: datetime
) -> PolicyRow:
    """Other terms, from now on; its code stays. What clocks were promised stays too. Raises Stale, InvalidFields."""
    _lock(conn, policy_id, version)
    checked = check(conn, wanted)
    _refuse_never(conn, checked, now)
    conn.execute(
        """update sla_policies set name = %s, kind = %s, priority = %s, calendar_id = %s, response_s = %s,
             update_s = %s, resolution_s = %s, conditions = %s, marks = %s, pauses = %s, active = true, changed_at = %s,
             changed_by = %s
           where sla_policy_id = %s""",
        (*_values(checked)[1:], now, by, policy_id),
    )
    return row(conn, policy_id)


def retire(conn: Connection, policy_id: int, *, version: int, by: str, now: datetime) -> None:
    """No ticket opened from now on falls under it; its versions stay. Raises Stale."""
    _lock(conn, policy_id, version)
    conn.execute(
        "update sla_policies set active = false, changed_at = %s, changed_by = %s where sla_policy_id = %s",
        (now, by, policy_id),
    )


def reorder(conn: Connection, policy_ids: Sequence[int]) -> list[PolicyRow]:
    """Ask the policies in this order; it names every policy in force once. Raises InvalidFields."""
    known = {each.sla_policy_id for each in rows(conn)}
    if set(policy_ids) != known or len(policy_ids) != len(known):
        raise words.refuse("policy_ids", "Name every policy in force once, in the order in which they are asked.")
    for place, policy_id in enumerate(policy_ids, start=1):
        conn.execute("update sla_policies set position = %s where sla_policy_id = %s", (place * 10, policy_id))
    return rows(conn)


def check(conn: Connection, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a policy as somebody wishes it. Raises InvalidFields, NotFound for a foreign calendar."""
    found = {name: wanted.get(name) for name in EDITED}
    found["code"] = words.code("code", found["code"])
    found["name"] = words.text("name", found["name"], longest=200)
    if found["kind"] not in (sla_policy.EVERY, *TicketKind):
        raise words.refuse("kind", f"kind is * or one of {', '.join(TicketKind)}.", code="choice")
    if found["priority"] is not None:
        words.priority(found["priority"])
    _check_targets(found)
    found["conditions"] = dict(sla_policy.conditions(found["conditions"] or {}))
    found["marks"] = list(found["marks"] or [])
    sla_policy.marks(found["marks"])
    sla_policy.pauses(found["pauses"])
    if found["calendar_id"] is not None:
        missing = f"There is no calendar {found['calendar_id']} on this site."
        one(conn, "select 1 from calendars where calendar_id = %s", (found["calendar_id"],), missing=missing)
    return found


def _check_targets(found: Mapping[str, Any]) -> None:
    targets = {f"{kind.value}_s": found[f"{kind.value}_s"] for kind in ClockKind}
    for name, target in targets.items():
        if target is not None and not 0 < target <= sla_policy.LONGEST_TARGET_S:
            raise words.refuse(name, f"{name} is a number of seconds up to {sla_policy.LONGEST_TARGET_S}.")
    if all(target is None for target in targets.values()):
        raise words.refuse("resolution_s", "A policy promises at least one of response, update and resolution.")


def _refuse_never(conn: Connection, checked: Mapping[str, Any], now: datetime) -> None:
    """A target that never comes due on its calendar would keep tickets from being opened. Raises BadCalendar."""
    policy = policies.of_row({**checked, "sla_policy_id": 0, "version": 0})
    refuse_never(Listed(policy, _dated(conn, checked["calendar_id"])), now)


def refuse_never(listed: Listed, now: datetime) -> None:
    """Raises BadCalendar when a target or mark of the policy never comes due on its calendar."""
    for kind, target in listed.policy.targets.items():
        marks = [mark.after(target) for mark in listed.policy.marks.get(kind, ())]
        calendars.due(listed.dated.calendar, now, max([target, *marks]))


def draft(conn: Connection, policy_id: int | None, wanted: Mapping[str, Any] | None) -> list[Listed]:
    """The policies in force as they would be: ``policy_id`` with other columns, or (None) retired; a new one first."""
    current = policies.listed(conn)
    if wanted is None:
        return [each for each in current if each.policy.policy_id != policy_id]
    checked = check(conn, wanted)
    number = next((each.policy.version for each in current if each.policy.policy_id == policy_id), 0) + 1
    columns = {**checked, "sla_policy_id": policy_id or 0, "version": number}
    new = Listed(policies.of_row(columns), _dated(conn, checked["calendar_id"]))
    if all(each.policy.policy_id != policy_id for each in current):
        return [new, *current]
    return [new if each.policy.policy_id == policy_id else each for each in current]


def _dated(conn: Connection, calendar_id: int | None) -> Dated:
    found = conn.execute(
        """select calendar_id, version, timezone, hours, holidays from calendars
           where calendar_id = %s or (%s::int is null and is_default)""",
        (calendar_id, calendar_id),
    ).fetchone()
    return Dated() if found is None else policies.dated(found)


def _values(checked: Mapping[str, Any]) -> list[Any]:
    return [Jsonb(checked[name]) if name in JSON and checked[name] is not None else checked[name] for name in EDITED]


def _lock(conn: Connection, policy_id: int, version: int) -> None:
    (current,) = one(
        conn,
        "select version from sla_policies where sla_policy_id = %s for update",
        (policy_id,),
        missing=_gone(policy_id),
    )
    if current != version:
        raise Stale(f"The policy was changed meanwhile: it is at version {current}.", given_version=version)


def _gone(policy_id: int) -> str:
    return f"There is no SLA policy {policy_id} on this site."


# -- teams ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Team:
    """People who share machines or ask together; ``asset_ids`` are looked after with all that is below them."""

    team_id: int
    name: str
    user_ids: tuple[int, ...]
    asset_ids: tuple[int, ...]
    version: int
    changed_by: str


def teams(conn: Connection) -> list[Team]:
    """The site's teams by name."""
    found = conn.execute(
        """select team_id, name, array(select user_id from team_members m where m.team_id = t.team_id order by 1),
             array(select asset_id from asset_teams a where a.team_id = t.team_id order by 1), version, changed_by
           from teams t order by name"""
    )
    return [Team(ident, name, tuple(users), tuple(assets), *more) for ident, name, users, assets, *more in found]


@dataclass(frozen=True, slots=True)
class Fellow:
    """Somebody of the site who may be in a team."""

    user_id: int
    name: str
    role: str


def fellows(conn: Connection) -> list[Fellow]:
    """Everybody of the site whom teams are made of: people, no machines."""
    rows = conn.execute(
        """select m.user_id, u.name, m.role from memberships m join users u using (user_id)
           where m.site_id = current_site() and m.role <> all(%s) and u.disabled_at is null
           order by u.name, m.user_id""",
        (list(MACHINES),),
    )
    return [Fellow(*row) for row in rows]


def put_team(
    conn: Connection,
    name: str,
    *,
    user_ids: Sequence[int],
    asset_ids: Sequence[int],
    version: int | None = None,
    by: str = "",
) -> Team:
    """The team of this name has these members and these machines, which leave the team they had.

    Raises NotFound; IfMatchMissing where the team is there and nobody looked, Stale unless ``version`` fits.
    """
    _refuse_strangers(conn, user_ids, asset_ids)
    named = words.text("name", name, longest=64)
    _lock_teams(conn)
    found = next((team for team in teams(conn) if team.name == named), None)
    if found:
        refuse_unseen(named, standing=found.version, given=version, current=asdict(found))
    (team_id,) = one(
        conn,
        """insert into teams (name, changed_by) values (%s, %s) on conflict (site_id, name)
           do update set version = teams.version + 1, changed_by = excluded.changed_by returning team_id""",
        (named, by),
    )
    _robbed(conn, team_id, asset_ids, by)
    conn.execute("delete from team_members where team_id = %s", (team_id,))
    conn.execute("delete from asset_teams where team_id = %s or asset_id = any(%s)", (team_id, list(asset_ids)))
    for user_id in sorted(set(user_ids)):
        conn.execute("insert into team_members (team_id, user_id) values (%s, %s)", (team_id, user_id))
    for asset_id in sorted(set(asset_ids)):
        conn.execute("insert into asset_teams (asset_id, team_id) values (%s, %s)", (asset_id, team_id))
    return next(team for team in teams(conn) if team.team_id == team_id)


def _lock_teams(conn: Connection) -> None:
    """One change at a time: a machine that changes hands changes two teams."""
    conn.execute("select pg_advisory_xact_lock(hashtext('teams'), current_site())")


def _robbed(conn: Connection, team_id: int, asset_ids: Sequence[int], by: str) -> None:
    conn.execute(
        """update teams set version = version + 1, changed_by = %s where team_id <> %s
           and team_id in (select team_id from asset_teams where asset_id = any(%s))""",
        (by, team_id, list(asset_ids)),
    )


def drop_team(conn: Connection, team_id: int, *, version: int | None = None) -> None:
    """The team is no more; raises NotFound, and Stale unless ``version`` fits."""
    _lock_teams(conn)
    found = next((team for team in teams(conn) if team.team_id == team_id), None)
    if found is None:
        raise NotFound(f"There is no team {team_id} on this site.")
    refuse_stale(found.name, standing=found.version, given=version, current=asdict(found))
    conn.execute("delete from teams where team_id = %s", (team_id,))


def _refuse_strangers(conn: Connection, user_ids: Sequence[int], asset_ids: Sequence[int]) -> None:
    members = conn.execute(
        "select user_id from memberships where site_id = current_site() and user_id = any(%s)", (list(user_ids),)
    )
    strangers = set(user_ids) - {each[0] for each in members}
    if strangers:
        raise NotFound(f"There is no user {min(strangers)} on this site.")
    known = conn.execute("select asset_id from assets where asset_id = any(%s)", (list(asset_ids),))
    unknown = set(asset_ids) - {each[0] for each in known}
    if unknown:
        raise NotFound(f"There is no asset {min(unknown)} on this site.")
