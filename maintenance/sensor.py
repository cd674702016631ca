"""A finding about a sensor: an order for instrumentation, never one about the machine. One transaction's work.

A gateway that goes silent silences many sensors: the silent sensors of one asset share one order. The order closes by
itself once all its sensors have been healthy for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from psycopg import Connection

from detectors.base import Finding, FindingKind, Sentence
from maintenance import alarms, decide, holding, library, machine, orders, sentences, store
from maintenance.alarms import AlarmState, Order
from maintenance.decide import OrderStage, Situation
from maintenance.holding import Judged
from maintenance.model import UNKNOWN, Action, Decision, Policy, Reason, Words
from maintenance.orders import Case
from maintenance.store import KeptAlarm
from maintenance.turn import Turn
from plant.model import Asset, Signal
from tickets import service, words
from tickets.model import SYSTEM, Ticket

SILENT = "silent"
DISTURBED = 3  # severity of a sensor alarm


def on_finding(turn: Turn, finding: Finding, now: datetime, policy: Policy) -> Decision | None:
    """What a sensor finding leads to; None when it ends a fault nobody was told of. The asset is locked."""
    conn, asset, signals = turn.conn, turn.asset, turn.signals
    signal = next((each for each in signals if each.signal_id in finding.contributions), None)
    if signal is None:
        return None
    mode = mode_of(signal, finding.failure_mode or "fault")
    known = _known(turn, finding, mode, policy)
    if not finding.active:
        return _ended(turn, known, finding, policy) if known else None
    kept = _attach(turn, finding, mode, known)

    def order(kept: KeptAlarm, decision: Decision) -> Ticket:
        return _join(conn, kept, signal, finding, now) or _open(conn, asset, signal, kept, finding, decision, now)

    return _act(turn, kept, finding, policy, order)


def judge_again(turn: Turn, kept: KeptAlarm, now: datetime, policy: Policy) -> None:
    """What it waited for may be over: decide again as if it were said just now. The asset is locked."""
    finding = Finding(
        detector=kept.detector,
        version="",
        kind=FindingKind.SENSOR,
        asset_id=kept.asset_id,
        site_id=0,
        failure_mode=kept.mode.rsplit(":", 1)[-1],
        started_at=kept.alarm.onset_at or kept.alarm.started_at,
        at=now,
        surprise=kept.surprise,
        active=True,
        contributions={signal_id: each.share for signal_id, each in kept.evidence.items()},
        directions={},
        health=kept.health,
        sentence=Sentence(str(kept.sentence.get("key", "")), kept.sentence.get("values", {})),
    )
    on_finding(turn, finding, now, policy)


def on_source(
    conn: Connection, finding: Finding, now: datetime, *, mode: str, title: Words, policy: Policy
) -> KeptAlarm | None:
    """A whole source is silent, or sends again: one alarm and order, at the asset that its machines have in common.

    The asset is locked. None when it ends a silence that nobody was told of.
    """
    turn = Turn(conn, finding.asset_id)
    asset = turn.asset
    known = _known(turn, finding, mode, policy)
    if not finding.active:
        if known is not None:
            _ended(turn, known, finding, policy)
        turn.close()
        return known
    kept = _attach(turn, finding, mode, known)

    def order(kept: KeptAlarm, decision: Decision) -> Ticket:
        unknown = library.mode(asset.asset_class, UNKNOWN)
        case = Case(asset, [], kept, finding, unknown, decision, None, 0.0)
        return orders.open_sensor(conn, case, title=title, now=now).ticket

    _act(turn, kept, finding, policy, order)
    turn.close()
    return kept


def mode_of(signal: Signal, fault: str) -> str:
    """``sensor:<signal code>:<fault>``; a code too long or too strange for a mode is said by its id."""
    mode = f"sensor:{signal.code}:{fault}"
    return mode if words.CODE.match(mode) else f"sensor:{signal.signal_id}:{fault}"


def _known(turn: Turn, finding: Finding, mode: str, policy: Policy) -> KeptAlarm | None:
    found = turn.known(FindingKind.SENSOR, since=finding.at - policy.reopen_within)
    same = [each for each in found if each.mode == mode]
    return max(same, key=lambda each: (each.alarm.cleared_at is None, each.alarm_id), default=None)


def _attach(turn: Turn, finding: Finding, mode: str, known: KeptAlarm | None) -> KeptAlarm:
    if known is None:
        life = alarms.raised(finding.detector, started_at=finding.started_at, at=finding.at)
        return turn.add(KeptAlarm(
            0, finding.asset_id, FindingKind.SENSOR, mode, finding.detector, DISTURBED,
            min(finding.surprise, store.SURE), finding.health, store.deviations(finding), store.sentence_json(finding),
            (), None, life,
        ))  # fmt: skip
    life = alarms.deviates(known.alarm, finding.detector, at=finding.at, started_at=finding.started_at)
    return turn.save(replace(known, alarm=life, sentence=store.sentence_json(finding)))


def _act(
    turn: Turn,
    kept: KeptAlarm,
    finding: Finding,
    policy: Policy,
    order: Callable[[KeptAlarm, Decision], Ticket],
) -> Decision:
    """Decide; ``order`` gives the alarm its order when it is to have one."""
    asset, ticket = turn.asset, orders.lock(turn.conn, kept.ticket_id)
    unknown = library.mode(asset.asset_class, UNKNOWN)
    decision = decide.decide(
        Situation(
            kind=FindingKind.SENSOR,
            alarm=kept.alarm,
            at=finding.at,
            health=kept.health,
            cost=unknown.cost,
            precision=1.0,
            order=orders.stage(ticket),
            mute=machine.mute_of(turn.mutes(kept.kind, finding.at), kept),
        ),
        policy,
    )
    if orders.stage(ticket) is OrderStage.NONE:
        judged = Judged(asset, turn.signals, kept, finding.at, finding.at)
        decision = holding.held(turn, judged, decision, policy)
    if decision.action is Action.OPEN:
        turn.flush()
        kept = turn.save(replace(kept, ticket_id=order(kept, decision).ticket_id))
        turn.forget()
    turn.decide(kept, decision, at=finding.at, prediction_id=None)
    return decision


def _open(
    conn: Connection,
    asset: Asset,
    signal: Signal,
    kept: KeptAlarm,
    finding: Finding,
    decision: Decision,
    now: datetime,
) -> Ticket:
    unknown = library.mode(asset.asset_class, UNKNOWN)
    case = Case(asset, [signal], kept, finding, unknown, decision, None, 0.0)
    key = f"sensor.{finding.failure_mode}"
    fault = sentences.say(key if key in sentences.templates() else "sensor.fault")
    words: dict[str, str | float | Words] = {
        "asset": asset.code, "signal": signal.name or signal.code, "fault": fault
    }  # fmt: skip
    return orders.open_sensor(conn, case, title=sentences.say("order.title_sensor", words), now=now).ticket


def _join(conn: Connection, kept: KeptAlarm, signal: Signal, finding: Finding, now: datetime) -> Ticket | None:
    """The open order of another silent sensor of this asset, if this one is silent too."""
    if finding.failure_mode != SILENT:
        return None
    for other in store.alarms_of(conn, kept.asset_id, FindingKind.SENSOR, since=finding.at):
        if other.alarm_id == kept.alarm_id or not other.mode.endswith(f":{SILENT}") or other.ticket_id is None:
            continue
        ticket = orders.lock(conn, other.ticket_id)
        if ticket is not None and ticket.is_open:
            reason = Reason("sensor_joined", {"signal": signal.name or signal.code})
            orders.note(conn, ticket, kept.detector, reason, group="order", now=now)
            return ticket
    return None


def _ended(turn: Turn, kept: KeptAlarm, finding: Finding, policy: Policy) -> Decision | None:
    life = alarms.normal(kept.alarm, finding.detector, at=finding.at)
    kept = turn.save(replace(kept, alarm=life))
    if life.returned_at is None:
        return None
    stage = orders.stage(orders.lock(turn.conn, kept.ticket_id))
    cost = library.mode("", UNKNOWN).cost
    situation = Situation(FindingKind.SENSOR, life, finding.at, finding.health, cost, 1.0, order=stage)
    decision = decide.decide(situation, policy)
    turn.decide(kept, decision, at=finding.at, prediction_id=None)
    return decision


def _is_calm(kept: KeptAlarm, now: datetime, policy: Policy) -> bool:
    """Healthy for long enough. Data that are back prove by themselves that silence is over; but one who falls silent
    again and again is trusted less at each return, so that a flapping source keeps one order."""
    since, delay = kept.alarm.returned_at, policy.sensor_clear_delay
    if kept.mode.endswith(f":{SILENT}"):
        delay = min(delay, policy.silence_clear_delay * 2 ** min(kept.alarm.returns, 20))
    return since is not None and now - since >= delay


def settle(conn: Connection, kept: KeptAlarm, ticket: Ticket | None, now: datetime, policy: Policy) -> None:
    """Close a sensor's order, and clear its alarms, once every sensor it is about has been healthy for a while."""
    if ticket is None or orders.stage(ticket) is OrderStage.NONE:
        life = alarms.tick(kept.alarm, now=now, order=Order.NONE, policy=policy)
        if life != kept.alarm:
            store.save_alarm(conn, replace(kept, alarm=life))
        return
    group = store.alarms_of_ticket(conn, ticket.ticket_id)
    if not all(_is_calm(each, now, policy) for each in group):
        return
    evidence = {"text": sentences.say("verify.sensor_healthy"), "alarms": [each.alarm_id for each in group]}
    service.transition(
        conn, SYSTEM, ticket.ticket_id, to="closed", fields={"verdict": "sensor", "evidence": evidence}, now=now
    )
    for each in store.alarms_of_ticket(conn, ticket.ticket_id):
        if each.alarm.state is not AlarmState.CLEARED:
            store.save_alarm(conn, replace(each, alarm=alarms.cleared(each.alarm, at=now)))
