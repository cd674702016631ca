"""The verbs of maintenance. A finding's alarm, prediction, decision and order are one transaction, or none of them.

on_findings  on_finding            the callbacks of the detectors: what they say of one machine in one transaction
acknowledge  shelve  unshelve  what people do to an alarm
settle                         what time does to alarms: clearing, shelves that expire, sensors that are well again
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from psycopg import Connection

from detectors.base import Finding, FindingKind
from maintenance import alarms, findings, machine, orders, policies, sensor, store
from maintenance.alarms import AlarmState, Order, Shelf
from maintenance.decide import OrderStage
from maintenance.model import Decision, Policy
from maintenance.store import KeptAlarm
from maintenance.turn import Groups, Turn
from plant import assets

POLICY = Policy()


def on_finding(conn: Connection, finding: Finding, now: datetime, *, policy: Policy = POLICY) -> Decision | None:
    """Judge a finding in the caller's transaction; commits nothing. ``now`` is plant time.

    None: there was nothing to decide (seen before, or the end of a deviation nobody was told of). Raises NotFound for
    an asset that is not on this site.
    """
    return on_findings(conn, [finding], now, policy=policy)[0]


def on_findings(
    conn: Connection, said: Sequence[Finding], now: datetime, *, policy: Policy = POLICY, groups: Groups = Groups.ON
) -> list[Decision | None]:
    """Judge findings of one asset, in their order, in the caller's transaction; see :func:`on_finding`.

    What is read of the machine is read once for all of them; what they lead to is what it would be one by one.
    """
    if not said:
        return []
    store.lock_asset(conn, said[0].asset_id)
    fresh = findings.keep(conn, said, now)
    if not any(fresh):
        return [None] * len(said)
    turn = Turn(conn, said[0].asset_id, groups=groups)
    decisions = [judge(turn, each, now, policy) if new else None for each, new in zip(said, fresh, strict=True)]
    turn.close()
    return decisions


def judge(turn: Turn, finding: Finding, now: datetime, policy: Policy) -> Decision | None:
    """To the alarms alone: the finding is kept already, or is nothing that a detector said. The asset is locked."""
    if finding.kind is FindingKind.SENSOR:
        return sensor.on_finding(turn, finding, now, policy)
    return machine.on_finding(turn, finding, now, policy)


def acknowledge(conn: Connection, by: str, alarm_id: int, *, now: datetime) -> KeptAlarm:
    """A person has seen the alarm. Raises NotFound, IllegalAlarmMove."""
    kept = store.alarm(conn, alarm_id)
    return store.save_alarm(conn, replace(kept, alarm=alarms.acknowledge(kept.alarm, by=by, at=now)))


def shelve(
    conn: Connection,
    by: str,
    alarm_id: int,
    *,
    until: datetime,
    reason: str,
    now: datetime,
    shelf: Shelf = Shelf.TIMED,
) -> KeptAlarm:
    """Silence the alarm until then (``ONCE``: or until it is back to normal); ``by`` owns that. Shelving a shelved one
    extends it. Raises NotFound, IllegalAlarmMove, BadShelf."""
    kept = store.alarm(conn, alarm_id)
    policy = policies.of(conn, assets.asset(conn, kept.asset_id), kept.mode)
    life = alarms.shelve(kept.alarm, by=by, until=until, reason=reason, now=now, policy=policy, shelf=shelf)
    store.add_move(conn, kept, "shelved", by=by, at=now, detail={"until": until.isoformat(), "reason": reason})
    return store.save_alarm(conn, replace(kept, alarm=life))


def unshelve(conn: Connection, by: str, alarm_id: int, *, now: datetime) -> KeptAlarm:
    """Bring it back before its time. Raises NotFound, IllegalAlarmMove."""
    kept = store.alarm(conn, alarm_id)
    life = alarms.unshelve(kept.alarm)
    store.add_move(conn, kept, "unshelved", by=by, at=now)
    return store.save_alarm(conn, replace(kept, alarm=life))


def settle(conn: Connection, now: datetime, policy: Policy = POLICY) -> int:
    """Let time do its work on the site's alarms; returns how many were looked at. Busy assets wait a round."""
    seen = 0
    for asset_id, alarm_id, ticket_id in store.waiting_alarms(conn, now):
        if store.try_lock_asset(conn, asset_id):
            seen += 1
            _settle(conn, alarm_id, ticket_id, now, policy)
    return seen + _judge_sensors(conn, store.waiting_sensors(conn, now), now, policy)


def _judge_sensors(conn: Connection, waiting: Mapping[int, Sequence[int]], now: datetime, policy: Policy) -> int:
    """Sensors that wait are judged again, those of one machine in one turn; returns how many were."""
    seen = 0
    for asset_id in store.try_lock_assets(conn, waiting):
        turn = Turn(conn, asset_id)
        for kept in store.lock_alarms(conn, waiting[asset_id]):
            seen += 1
            sensor.judge_again(turn, kept, now, policy)
        turn.close()
    return seen


def _settle(conn: Connection, alarm_id: int, ticket_id: int | None, now: datetime, policy: Policy) -> None:
    ticket = orders.lock(conn, ticket_id)
    kept = store.alarm(conn, alarm_id)
    if kept.ticket_id != ticket_id:  # it got its order just now: next round
        return
    policy = policies.of(conn, assets.asset(conn, kept.asset_id), kept.mode, base=policy)
    if kept.kind is FindingKind.SENSOR:
        sensor.settle(conn, kept, ticket, now, policy)
        return
    held = Order.NONE if orders.stage(ticket) is OrderStage.NONE else Order.OPEN
    life = alarms.tick(kept.alarm, now=now, order=held, policy=policy)
    if kept.alarm.state is AlarmState.SHELVED and life.state is not AlarmState.SHELVED:
        store.add_move(conn, kept, "expired", by=kept.alarm.shelved_by or "", at=now)
    if life != kept.alarm:
        store.save_alarm(conn, replace(kept, alarm=life))
