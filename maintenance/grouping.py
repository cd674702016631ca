"""One order for one common cause: alarms that began together wait for it; faults of their own break out.

    finding ──> held() ──> leader(): a member? ──> like the others, and the cause goes on: held, no order of its own
                                │                 └─> worse, other signature, persists: breaks out, judged by itself
                                └─ about to get an order: are there more? ──> burst ──> group, its order, members
    every few seconds ──> settle(): new bursts, late members, profile of the members, the end of the cause

A group is made by one transaction a site at a time (an advisory lock, after the asset's lock and never before one).
Members are kept beside the alarms, so that making a group touches no row that another judgement holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import Connection

from detectors.base import FindingKind
from maintenance import grouping_orders, grouping_profile, learning_store, libraries, sentences
from maintenance import grouping_store as kept_groups
from maintenance.grouping_profile import Look, Profile
from maintenance.grouping_scan import LEAST, LONGEST_S, Burst, Onset, Topology, belongs, bursts, common, overlap
from maintenance.grouping_store import Group, Member, Membership
from maintenance.model import UNKNOWN, Decision, Deviation, Policy, Reason
from maintenance.store import KeptAlarm, evidence_of
from maintenance.turn import Turn
from plant.model import Asset, Signal

LONGEST = timedelta(seconds=LONGEST_S)
GATHER = timedelta(seconds=60)  # so long nobody else must be noticed before a burst is read
LOOK_BACK = timedelta(hours=3)  # a job that was away for this long misses nothing
AFRESH = timedelta(minutes=10)  # plant time between two profiles of a group
ORDERS = ("open", "propose")  # decisions that lead to an order
SEVERAL = 2  # machines within minutes: more may follow
OVER = 0.2  # of the members still deviate: the common cause has ended
NAMED = 0.6  # probability of a failure mode that speaks for a fault of its own
FINDINGS = 3  # before a member's own evidence is believed
KEPT = timedelta(days=7)  # a group that ended is looked at for this long


@dataclass(frozen=True, slots=True)
class Own:
    """Why a member is a fault of its own: ``why`` as kept, ``reason`` as said."""

    why: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Case:
    """An alarm that is being judged, with what its fault may be read from."""

    asset: Asset
    signals: Sequence[Signal]
    kept: KeptAlarm
    at: datetime
    now: datetime


def leader(turn: Turn, case: Case, decision: Decision, policy: Policy, *, member: Membership | None) -> Reason | None:
    """Why the alarm waits for the order of its common cause; None when it is judged by itself. The asset is locked.

    ``member``: of which group its present deviation is, as far as is known.
    """
    onset = case.kept.alarm.onset_at
    if onset is None or case.kept.mode.startswith("source:"):
        return None
    conn = turn.conn
    if member is None and decision.action.value in ORDERS:
        if turn.once(("gathering", case.kept.alarm_id), lambda: _gathering(conn, case, onset)):
            return Reason("gathering")
        member = _look(conn, case, onset)
    if member is None or not member.active:
        return None
    group_id = member.group_id
    group = turn.once(("group", group_id), lambda: kept_groups.group(conn, group_id))
    if group is None or group.closed_at is not None:
        return None
    own = own_fault(conn, group, case, policy)
    if own is None:
        return turn.once(("waits", group_id), lambda: grouping_orders.waits(conn, group))
    _break_out(conn, group, case, own)
    return None


def settle(conn: Connection, now: datetime, policy: Policy) -> int:
    """New bursts, late members, and what has become of the groups; returns how many groups were looked at."""
    for kind in FindingKind:
        found = kept_groups.loose(conn, kind, since=now - LOOK_BACK, until=now)
        if found and _quiet(found, now):
            _gather(conn, kind, found, now)
    groups = kept_groups.holding(conn)
    for group in groups:
        if group.profiled_at is None or now - group.profiled_at >= _pause(group):
            _refresh(conn, group, now, policy)
    return len(groups)


def merge_singles(conn: Connection, now: datetime) -> int:
    """Orders that single members got before the burst was one become part of the common order."""
    return grouping_orders.merge(conn, kept_groups.single_orders(conn), now=now)


def own_fault(conn: Connection, group: Group, case: Case, policy: Policy) -> Own | None:
    """Whether a member is more than its common cause: it persists, deviates otherwise, or is much worse."""
    if group.ended_at is not None:
        waited = case.at - group.ended_at
        if waited >= grace(group, policy):
            hours = waited / timedelta(hours=1)
            return Own("persists", Reason("persists", {"asset": case.asset.code, "hours": hours}))
    if group.kind != FindingKind.MACHINE or case.kept.alarm.findings < FINDINGS:
        return None
    profile = grouping_profile.of_json(group.profile, case.asset.asset_class)
    return None if profile is None else _unlike(conn, case, profile)


def grace(group: Group, policy: Policy) -> timedelta:
    """What a member has to come back after the cause ended: slower machines than most, but no longer than persists."""
    return max(policy.persist, timedelta(seconds=2 * group.spread_s))


# -- a burst ----------------------------------------------------------------------------------------------------------


def _gathering(conn: Connection, case: Case, onset: datetime) -> bool:
    """Whether another began just before and more may follow: a scope is not read from the first few.

    The first of a burst whose orders open at once has its order; it is closed in favour of the common one.
    """
    if case.at - case.kept.alarm.raised_at >= GATHER:
        return False
    return (
        kept_groups.machines(conn, case.kept.kind, since=onset - 2 * GATHER, until=onset + 2 * GATHER, most=SEVERAL)
        >= SEVERAL
    )


def _quiet(found: Sequence[Onset], now: datetime) -> bool:
    """Whether the last one is a while ago, or the first is long ago."""
    noticed = [each.raised_s for each in found]
    gather, at = GATHER.total_seconds(), now.timestamp()
    return at - max(noticed) >= gather or at - min(noticed) >= 3 * gather


def _look(conn: Connection, case: Case, onset: datetime) -> Membership | None:
    """An alarm is about to get its order: did others begin with it?"""
    kind = case.kept.kind
    others = kept_groups.loose(conn, kind, since=onset - LONGEST, until=onset + LONGEST)
    near = kept_groups.near(conn, kind, since=onset - 2 * LONGEST, until=onset + LONGEST)
    if not near and len({each.asset_id for each in others}) < LEAST[kind.value]:
        return None
    _gather(conn, kind, others, case.now)
    return kept_groups.membership(conn, case.kept.alarm_id, onset)


def _gather(conn: Connection, kind: FindingKind, found: Sequence[Onset], now: datetime) -> None:
    """Put these alarms into the groups that they belong to, old or new."""
    since, until = (_moment(edge(each.at_s for each in found)) for edge in (min, max))
    near = kept_groups.near(conn, kind, since=since - 2 * LONGEST, until=until + LONGEST)
    if not near and len({each.asset_id for each in found}) < LEAST[kind.value]:
        return
    kept_groups.lock(conn)
    found = kept_groups.loose(conn, kind, since=since, until=until)
    near = kept_groups.near(conn, kind, since=since - 2 * LONGEST, until=until + LONGEST)
    topology = kept_groups.topology(conn)
    left = _late(conn, near, found, topology, now)
    rate = kept_groups.rate_s(conn, kind, at=now, machines=len(topology.watched))
    for burst in bursts(left, topology, rate_s=rate, least=LEAST[kind.value]):
        same = next((each for each in near if overlap(each.burst(), burst)), None)
        if same is None:
            _make(conn, kind, burst, topology, now)
        else:
            _widen(conn, same, burst, topology, now)


def _late(
    conn: Connection, near: Sequence[Group], found: Sequence[Onset], topology: Topology, now: datetime
) -> list[Onset]:
    """Late members join; the others are left."""
    left = list(found)
    for group in near:
        burst = group.burst()
        fitting = [each for each in left if belongs(burst, each, topology)]
        if fitting:
            kept_groups.join(conn, group.group_id, [each.alarm_id for each in fitting], now=now)
            left = [each for each in left if each not in fitting]
    return left


def _make(conn: Connection, kind: FindingKind, burst: Burst, topology: Topology, now: datetime) -> None:
    first, last = _moment(burst.first_s), _moment(burst.last_s)
    monitored = topology.sizes.get(burst.scope, burst.machines)
    group = kept_groups.add(conn, kind, burst, monitored=monitored, first=first, last=last, now=now)
    kept_groups.join(conn, group.group_id, burst.members, now=now)
    grouping_orders.open_common(conn, group, burst, kept_groups.members(conn, group.group_id), now=now)


def _widen(conn: Connection, group: Group, burst: Burst, topology: Topology, now: datetime) -> None:
    """It goes on elsewhere in the same minutes: the same cause, higher up."""
    kept_groups.join(conn, group.group_id, burst.members, now=now)
    machines = {each.asset_id for each in kept_groups.members(conn, group.group_id)}
    scope = common(machines, topology)
    kept_groups.widen(conn, group.group_id, scope, monitored=topology.sizes.get(scope, len(machines)))
    wider = kept_groups.group(conn, group.group_id)
    if wider is not None:
        said = {"scope": grouping_orders.scope_name(conn, wider), "count": len(machines)}
        grouping_orders.note(conn, wider, Reason("wider", said), now=now)


# -- what becomes of it -----------------------------------------------------------------------------------------------


def _pause(group: Group) -> timedelta:
    """A young group is looked at often."""
    return AFRESH if group.profiled_at and group.profiled_at - group.made_at > AFRESH else AFRESH / 5


def _refresh(conn: Connection, group: Group, now: datetime, policy: Policy) -> None:
    members = kept_groups.members(conn, group.group_id)
    if grouping_orders.cancelled(conn, group):
        active = [each.alarm_id for each in members if each.left_at is None]
        how = sentences.say("group.dissolved")
        kept_groups.leave(conn, group.group_id, active, why="dissolved", how=how, now=now)
        kept_groups.save(
            conn, group.group_id, profile=group.profile, now=now, ended_at=now, spread_s=0.0, closed_at=now
        )
        return
    kept_groups.mark(conn, group.group_id)
    held = [each for each in members if each.left_at is None]
    ended_at, spread_s = _ended(group, held)
    over = ended_at is not None and (now - ended_at > KEPT or not any(each.deviates for each in held))
    late = ended_at is not None and now - ended_at >= grace(group, policy)
    kept_groups.save(
        conn,
        group.group_id,
        profile=_profile(conn, group, members) if ended_at is None else group.profile,
        now=now,
        ended_at=ended_at,
        spread_s=spread_s,
        closed_at=now if over and late else None,
    )
    if group.ended_at is None and ended_at is not None:
        grouping_orders.note_end(conn, group, held, policy, now=now)


def _ended(group: Group, held: Sequence[Member]) -> tuple[datetime | None, float]:
    """(when the common cause ended, how far apart the members came back): most of them are back to normal."""
    back = sorted(each.returned_at for each in held if not each.deviates and each.returned_at is not None)
    still = sum(each.deviates for each in held)
    if not held or still > OVER * len(held) or not back:
        return None, 0.0
    most = back[min(len(back) - 1, int((1 - OVER) * len(back)))]
    return group.ended_at or most, (most - back[int(0.1 * len(back))]).total_seconds()


def _profile(conn: Connection, group: Group, members: Sequence[Member]) -> dict[str, object]:
    """Those who broke out do not belong to the picture."""
    if group.kind != FindingKind.MACHINE:
        return {}
    held = [each for each in members if each.left_at is None and each.deviates]
    ids = sorted({int(key) for each in held for key in each.contributions})
    rows = conn.execute("select signal_id, code from signals where signal_id = any(%s)", (ids,))
    codes: dict[int, str] = dict(rows.fetchall())
    looks = [Look(each.asset_class, _vector(evidence_of(each.contributions), codes), each.health) for each in held]
    return grouping_profile.to_json(grouping_profile.profiles(looks))


def _vector(evidence: Mapping[int, Deviation], codes: Mapping[int, str]) -> dict[str, float]:
    return {codes[key]: each.share * (each.direction or 1) for key, each in evidence.items() if key in codes}


# -- a fault of its own -----------------------------------------------------------------------------------------------


def _unlike(conn: Connection, case: Case, profile: Profile) -> Own | None:
    """Much worse than the others, or with something of its own that is a failure mode with a name."""
    health = case.kept.health
    if health < profile.health:
        return Own("worse", Reason("worse", {"asset": case.asset.code, "health": 100 * health}))
    codes = {each.signal_id: each.code for each in case.signals}
    vector = _vector(case.kept.evidence, codes)
    rest = grouping_profile.own_part(vector, profile)
    if rest is None:
        return None
    known = learning_store.knowledge(conn, case.asset)
    own = grouping_profile.deviations(rest, {code: key for key, code in codes.items()})
    first = known.diagnose(own, case.signals)[0]
    usual = known.diagnose(_common(profile, codes), case.signals)[0]
    if first.probability < NAMED or first.mode in (UNKNOWN, usual.mode):
        return None
    share, _ = grouping_profile.left_over(vector, profile.common)
    name = libraries.mode_name(conn, case.asset.asset_class, first.mode)
    return Own("signature", Reason("signature", {"asset": case.asset.code, "percent": 100 * share, "mode": name}))


def _common(profile: Profile, codes: Mapping[int, str]) -> dict[int, Deviation]:
    return grouping_profile.deviations(profile.common, {code: key for key, code in codes.items()})


def _break_out(conn: Connection, group: Group, case: Case, own: Own) -> None:
    how = sentences.reason(own.reason, group="group")
    kept_groups.leave(conn, group.group_id, [case.kept.alarm_id], why=own.why, how=how, now=case.now)
    grouping_orders.note(conn, group, own.reason, now=case.now)


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
