"""What keeps an alarm from opening an order of its own: a common cause, a rule, a person, or work on the machine.

Asked after the decision and before it is carried out, of alarms without an order. The alarm is kept and listed with
what holds it; nothing is dropped. After work on the machine a deviation counts anew from the end of that work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from core import live
from detectors.base import FindingKind
from maintenance import grouping, sentences, store, suppress, tunings
from maintenance.grouping_store import Membership
from maintenance.model import Action, Decision, Policy, Reason
from maintenance.store import KeptAlarm
from maintenance.turn import Groups, Turn
from plant import assets
from plant.model import Asset, Signal

HOUR = timedelta(hours=1)
IDLE = (  # stages of an order at which nobody works on the machine
    "new", "assigned", "on_hold", "accepted", "reopened", "approved", "done", "verifying", "closed", "cancelled",
)  # fmt: skip
WORKS = ("work", "lockout", "startup")  # after these a deviation is judged again


@dataclass(frozen=True, slots=True)
class Judged:
    """An alarm at the moment of its decision, ``at`` the time of the data, ``now`` of the plant."""

    asset: Asset
    signals: Sequence[Signal]
    kept: KeptAlarm
    at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """What holds an alarm: its kind, what it refers to (rule, order, lock-out) and why."""

    kind: str
    ref: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Around:
    """What there is around an alarm: rows as kept."""

    out: dict[str, Any] | None
    order: str | None
    work: dict[str, Any] | None
    held: dict[str, Any] | None
    mark: str
    judged_from: datetime | None
    rules: bool
    group: Membership | None


def held(turn: Turn, judged: Judged, decision: Decision, policy: Policy) -> Decision:
    """The decision, or what takes its place while something holds the alarm. The asset is locked."""
    conn, key = turn.conn, ("around", judged.kept.alarm_id, judged.kept.mode)
    seen, hold = turn.once(key, lambda: _look(conn, judged))
    around = _keep(conn, judged, seen, hold)
    if around is not seen or (around.held is None) != (hold is None):
        turn.drop(key)
    if hold is not None:
        return Decision(Action.NONE, (hold.reason,))
    cause = _cause(turn, judged, decision, policy, around)
    if cause is not None and cause.key == "gathering":
        return Decision(Action.WAIT, (cause,))
    _mark(turn, judged, around, "grouped" if cause else "")
    if cause is not None:
        return Decision(Action.NONE, (cause,))
    if decision.action.value not in grouping.ORDERS:
        return decision
    return _after_work(judged, around, policy) or _on_delay(conn, judged) or decision


def _look(conn: Connection, judged: Judged) -> tuple[Around, Hold | None]:
    around = _around(conn, judged.asset.asset_id, judged.kept.alarm_id, judged.kept.mode, judged.now)
    return around, _hold(conn, judged.asset, judged.kept.mode, around, judged.now)


def _cause(turn: Turn, judged: Judged, decision: Decision, policy: Policy, around: Around) -> Reason | None:
    """Why it waits for the order of a common cause; asked again only when that may have become another answer."""
    if turn.groups is Groups.OFF or (around.group is None and decision.action.value not in grouping.ORDERS):
        return None
    turn.flush()  # who began together is read from the alarms
    case = grouping.Case(judged.asset, judged.signals, judged.kept, judged.at, judged.now)
    cause = grouping.leader(turn, case, decision, policy, member=around.group)
    if cause is None or around.group is None:
        turn.drop(("around", judged.kept.alarm_id, judged.kept.mode))
    return cause


def settle(conn: Connection, now: datetime) -> int:
    """Let go of alarms that nothing holds any more; returns how many that were. Busy assets wait a round."""
    gone = 0
    for asset_id, hold_ids in _ending(conn, now).items():
        if store.try_lock_asset(conn, asset_id):
            asset = assets.asset(conn, asset_id)
            gone += sum(_let_go(conn, asset, hold_id, now) for hold_id in hold_ids)
    return gone


def _ending(conn: Connection, now: datetime) -> dict[int, list[int]]:
    """Asset → holds that may have ended: what they refer to is over, or only a look at states can tell."""
    found: dict[int, list[int]] = {}
    for asset_id, hold_id in conn.execute(ENDING, {"now": now, "idle": list(IDLE)}):
        found.setdefault(asset_id, []).append(hold_id)
    return found


def _let_go(conn: Connection, asset: Asset, hold_id: int, now: datetime) -> bool:
    """Read again what was found before the asset was locked, and end it unless something holds the alarm still."""
    row = conn.execute(
        """select h.alarm_id, l.mode, l.state from alarm_holds h join alarms l using (alarm_id)
           where h.hold_id = %s and h.until is null""",
        (hold_id,),
    ).fetchone()
    if row is None:
        return False
    alarm_id, mode, state = row
    around = _around(conn, asset.asset_id, alarm_id, mode, now)
    if state != "cleared" and _hold(conn, asset, mode, around, now) is not None:
        return False
    _release(conn, hold_id, alarm_id, asset.asset_id, now)
    return True


def listed(conn: Connection, *, limit: int = 200) -> list[dict[str, Any]]:
    """What holds, or held, alarms: newest first, those that still do before."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(LISTED, (limit,)).fetchall()


# -- what holds it ----------------------------------------------------------------------------------------------------


def _hold(conn: Connection, asset: Asset, mode: str, around: Around, now: datetime) -> Hold | None:
    if around.out is not None:
        said = {"by": around.out["by_whom"], "since": str(around.out["since"])[:16], "reason": around.out["reason"]}
        return Hold("out_of_service", str(around.out["out_id"]), Reason("out_of_service", said))
    if around.work is not None:
        reason = Reason(around.work["kind"], {"by": around.work["by_whom"]})
        return Hold(around.work["kind"], str(around.work["work_id"]), reason)
    if around.order is not None:
        return Hold("work", around.order, Reason("work", {"ref": around.order}))
    rule = suppress.suppressing(conn, asset, mode, now=now) if around.rules else None
    return None if rule is None else Hold("suppressed", str(rule.rule_id), Reason("suppressed", {"rule": rule.name}))


def _around(conn: Connection, asset_id: int, alarm_id: int, mode: str, now: datetime) -> Around:
    row = conn.execute(AROUND, _asked(asset_id, alarm_id, mode, now)).fetchone()
    if row is None:
        raise RuntimeError("select of scalars gave no row")
    out, order, work, held, mark, judged_from, rules, group_id, active = row
    member = None if group_id is None else Membership(group_id, active)
    return Around(out, order, work, held, mark, judged_from, rules, member)


def _asked(asset_id: int, alarm_id: int, mode: str, now: datetime) -> dict[str, Any]:
    return {"asset": asset_id, "alarm": alarm_id, "mode": mode, "now": now, "idle": list(IDLE)}


def _keep(conn: Connection, judged: Judged, around: Around, hold: Hold | None) -> Around:
    """Write down what begins and what ends; returns how it stands then."""
    before = around.held
    if before is not None and (hold is None or (before["kind"], before["ref"]) != (hold.kind, hold.ref)):
        _release(conn, before["hold_id"], judged.kept.alarm_id, judged.asset.asset_id, judged.now)
        since = judged.now if before["kind"] in WORKS else around.judged_from
        around, before = replace(around, held=None, mark="", judged_from=since), None
    if hold is not None and before is None:
        _begin(conn, judged, hold)
    return around


def _begin(conn: Connection, judged: Judged, hold: Hold) -> None:
    conn.execute(
        """with kept as (insert into alarm_holds (alarm_id, asset_id, kind, ref, why, since)
             values (%(alarm)s, %(asset)s, %(kind)s, %(ref)s, %(why)s, %(now)s)),
           marked as (update alarms set held = %(kind)s where alarm_id = %(alarm)s)
           insert into alarm_moves (alarm_id, asset_id, at, what, severity, detail)
             values (%(alarm)s, %(asset)s, %(now)s, 'held', %(severity)s, %(why)s)""",
        {
            "alarm": judged.kept.alarm_id,
            "asset": judged.asset.asset_id,
            "kind": hold.kind,
            "ref": hold.ref,
            "why": Jsonb({**sentences.reason(hold.reason), "kind": hold.kind}),
            "now": judged.now,
            "severity": judged.kept.severity,
        },
    )


def _release(conn: Connection, hold_id: int, alarm_id: int, asset_id: int, now: datetime) -> None:
    """Nothing holds it; after work it is judged from here on."""
    conn.execute(
        """with ended as (update alarm_holds set until = %(now)s
             where hold_id = %(hold)s and until is null returning kind),
           freed as (update alarms set held = '', judged_from =
               case when (select kind from ended) = any(%(works)s) then %(now)s else judged_from end
             where alarm_id = %(alarm)s and exists (select from ended) returning severity)
           insert into alarm_moves (alarm_id, asset_id, at, what, severity, detail)
             select %(alarm)s, %(asset)s, %(now)s, 'released', severity,
               jsonb_build_object('kind', (select kind from ended)) from freed""",
        {"hold": hold_id, "alarm": alarm_id, "asset": asset_id, "now": now, "works": list(WORKS)},
    )
    live.announce(conn, "alarm", alarm_id)


def _mark(turn: Turn, judged: Judged, around: Around, mark: str) -> None:
    """Grouped or free: for the list of alarms."""
    if around.held is None and around.mark != mark:
        turn.conn.execute("update alarms set held = %s where alarm_id = %s", (mark, judged.kept.alarm_id))
        turn.drop(("around", judged.kept.alarm_id, judged.kept.mode))


# -- what makes it wait -----------------------------------------------------------------------------------------------


def _after_work(judged: Judged, around: Around, policy: Policy) -> Decision | None:
    """After work on the machine only what lasts counts, as if it had begun with its end."""
    if around.judged_from is None:
        return None
    machine = judged.kept.kind is FindingKind.MACHINE
    least = policy.persist if machine else policy.sensor_clear_delay
    lasting = max(judged.at - around.judged_from, timedelta(0))
    if lasting >= least:
        return None
    return Decision(Action.WAIT, (Reason("after_work", {"hours": lasting / HOUR, "least": least / HOUR}),))


def _on_delay(conn: Connection, judged: Judged) -> Decision | None:
    tuning = tunings.of(conn, judged.asset.asset_class, judged.signals, judged.kept.evidence)
    lasting = judged.at - judged.kept.alarm.deviating_since
    if lasting >= tuning.on_delay:
        return None
    said = {"seconds": lasting.total_seconds(), "least": tuning.on_delay.total_seconds()}
    return Decision(Action.WAIT, (Reason("on_delay", said),))


AROUND: LiteralString = """
  with recursive up as (
    select asset_id, parent_id, level, 0 as far from assets where asset_id = %(asset)s
    union all select a.asset_id, a.parent_id, a.level, up.far + 1 from assets a join up on a.asset_id = up.parent_id
      where up.far < 20)
  select
    (select to_jsonb(o) from alarms_out o where o.asset_id = %(asset)s and o.mode in ('', %(mode)s)
       and o.returned_at is null order by o.mode limit 1),
    (select t.ref from tickets t
       where t.asset_id in (select asset_id from up where far = 0 or level in ('unit', 'component'))
       and t.kind in ('corrective', 'preventive', 'inspection', 'sensor-fault')
       and t.status <> all(%(idle)s) order by t.ticket_id limit 1),
    (select to_jsonb(w) from asset_works w where w.asset_id in (select asset_id from up)
       and w.since <= %(now)s and (w.until is null or w.until > %(now)s) order by w.kind, w.work_id limit 1),
    (select to_jsonb(h) from alarm_holds h where h.alarm_id = %(alarm)s and h.until is null),
    l.held, l.judged_from, exists (select 1 from suppress_rules where enabled and retired_at is null),
    m.group_id, m.left_at is null
  from alarms l
  left join lateral (select group_id, left_at from alarm_group_members g
                     where g.alarm_id = l.alarm_id and g.onset_at = l.onset_at order by group_id desc limit 1) m on true
  where l.alarm_id = %(alarm)s"""
ENDING: LiteralString = """
  select h.asset_id, h.hold_id from alarm_holds h join alarms l using (alarm_id)
  where h.until is null and (l.state = 'cleared' or case h.kind
    when 'out_of_service' then not exists (select from alarms_out o
      where o.out_id::text = h.ref and o.returned_at is null and o.mode in ('', l.mode))
    when 'work' then not exists (select from tickets t where t.ref = h.ref and t.status <> all(%(idle)s))
    when 'suppressed' then true
    else not exists (select from asset_works w
      where w.work_id::text = h.ref and w.since <= %(now)s and (w.until is null or w.until > %(now)s)) end)
  order by h.asset_id, h.hold_id"""
LISTED: LiteralString = """
  select h.hold_id, h.alarm_id, h.asset_id, a.code as asset_code, a.name as asset_name, h.kind, h.ref, h.why, h.since,
    h.until, l.mode, l.state, l.severity
  from alarm_holds h join assets a using (asset_id) join alarms l on l.alarm_id = h.alarm_id
  order by h.until is not null, h.hold_id desc limit %s"""
