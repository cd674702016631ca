"""A finding about the machine: alarm, diagnosis, forecast, decision, order. One transaction's work, no commit.

finding ──> which alarm? ──> evidence, diagnosis ──> outlook ──> decide ──> open | update | wait | none

Locks are taken in one order everywhere: asset, ticket, alarm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from detectors.base import Finding, FindingKind
from maintenance import (
    alarms,
    decide,
    forecast,
    gate,
    holding,
    libraries,
    moments,
    orders,
    policies,
    review,
    store,
    tunings,
    verdicts,
)
from maintenance.alarms import Order, Tuning
from maintenance.decide import Moment, Mute, MuteWhy, OrderStage, Situation
from maintenance.diagnose import distinct, gather
from maintenance.forecast import Outlook
from maintenance.holding import Judged
from maintenance.learning_store import Knowledge
from maintenance.model import Action, Cost, Decision, Policy, Reason
from maintenance.orders import Case
from maintenance.policies import Applied
from maintenance.store import KeptAlarm
from maintenance.turn import Turn
from plant.model import Signal
from tickets.model import Ticket

SURE_ENOUGH = 0.6  # probability from which another diagnosis is told to the crew
RULE = "rule:"  # detectors that are alarm rules of people
SAME_SIGNALS = 0.5  # overlap from which a muted alarm is the same alarm, whatever it is called now


def on_finding(turn: Turn, finding: Finding, now: datetime, policy: Policy) -> Decision | None:
    """What a machine finding leads to; None when it ends a deviation nobody was told of. The asset is locked."""
    policy = turn.applied(policies.ANY, base=policy).policy
    known = _known(turn, finding, policy)
    if not finding.active:
        return _ended(turn, known, finding, now, policy)
    if _silent(turn, finding.detector):
        gate.standing(turn.conn, finding.detector, finding.version, turn.asset)  # its first word writes it down
        if any(not _silent(turn, each.detector) for each in known):
            return None  # what runs in shadow neither joins nor holds an alarm of those that do not
    kept = _attach(turn, known, finding)
    turn.add_health(kept.alarm_id, finding)
    return _act(turn, kept, finding, now, policy)


def _silent(turn: Turn, detector: str) -> bool:
    """Whether a detector is in shadow here."""
    return turn.once(("silent", detector), lambda: gate.silent(turn.conn, detector))


def precision(conn: Connection, detector: str, asset_id: int, policy: Policy, *, mode: str | None = None) -> float:
    """How often this detector was right on this asset (for this mode), from a belief that verdicts soon outweigh."""
    return verdicts.belief(conn, detector, asset_id, mode, policy)


def _known(turn: Turn, finding: Finding, policy: Policy) -> list[KeptAlarm]:
    """The machine's alarms that this finding may belong to: open, or cleared just now and never ordered."""
    found = turn.known(FindingKind.MACHINE, since=finding.at - policy.reopen_within)
    return [each for each in found if each.alarm.cleared_at is None or each.ticket_id is None]


# -- which alarm ------------------------------------------------------------------------------------------------------


def _attach(turn: Turn, known: list[KeptAlarm], finding: Finding) -> KeptAlarm:
    """The finding's alarm with its evidence gathered: a running one unless this is clearly another fault."""
    fresh = store.deviations(finding)
    asset, signals, knowledge = turn.asset, turn.signals, turn.knowledge
    found = knowledge.diagnose(fresh, signals, told=finding.failure_mode)
    running = [
        each
        for each in known
        if each.mode == found[0].mode
        or not distinct(each.evidence, fresh, running_diagnosis=each.diagnosis, fresh_diagnosis=found)
    ]
    if not running:
        return _raise(turn, finding, KeptAlarm(
            0, asset.asset_id, FindingKind.MACHINE, found[0].mode, finding.detector, decide.severity(finding.health),
            finding.surprise, finding.health, fresh, store.sentence_json(finding), found, None,
            alarms.raised(finding.detector, started_at=finding.started_at, at=finding.at),
        ))  # fmt: skip
    running = running if _silent(turn, finding.detector) else [_taken_over(turn, each, finding) for each in running]
    kept = max(running, key=lambda each: (each.alarm.cleared_at is None, store.overlap(each.evidence, fresh)))
    tuning = alarms.DEFAULT
    if kept.alarm.returned_at:
        tuning = tunings.of(turn.conn, asset.asset_class, signals, kept.evidence)
    if alarms.in_dead_band(kept.alarm, before=kept.health, health=finding.health, tuning=tuning):
        return kept
    taken = {each.mode for each in known}
    return turn.save(_again(kept, finding, signals, knowledge, taken=taken, tuning=tuning))


def _taken_over(turn: Turn, kept: KeptAlarm, finding: Finding) -> KeptAlarm:
    """The alarm; one raised in shadow begins anew with the first word of a detector that is not."""
    if not _silent(turn, kept.detector):
        return kept
    life = alarms.raised(finding.detector, started_at=finding.started_at, at=finding.at)
    return replace(kept, detector=finding.detector, evidence={}, alarm=replace(life, findings=0))


def _raise(turn: Turn, finding: Finding, kept: KeptAlarm) -> KeptAlarm:
    return turn.add(replace(kept, surprise=min(finding.surprise, store.SURE)))


def _again(
    kept: KeptAlarm,
    finding: Finding,
    signals: list[Signal],
    knowledge: Knowledge,
    *,
    taken: set[str],
    tuning: Tuning,
) -> KeptAlarm:
    """The alarm after one more finding. Its name follows the evidence until an order carries it."""
    life = alarms.deviates(kept.alarm, finding.detector, at=finding.at, started_at=finding.started_at, tuning=tuning)
    evidence = gather(kept.evidence, store.deviations(finding), findings=life.findings)
    found = knowledge.diagnose(evidence, signals, told=finding.failure_mode)
    free = kept.ticket_id is None and (found[0].mode == kept.mode or found[0].mode not in taken)
    return replace(
        kept,
        alarm=life,
        mode=found[0].mode if free else kept.mode,
        severity=decide.severity(finding.health),
        surprise=min(finding.surprise, store.SURE),
        health=finding.health,
        evidence=evidence,
        sentence=store.sentence_json(finding),
        diagnosis=found,
    )


# -- what to do -------------------------------------------------------------------------------------------------------


def _act(turn: Turn, kept: KeptAlarm, finding: Finding, now: datetime, policy: Policy) -> Decision:
    conn, asset = turn.conn, turn.asset
    mode = turn.mode(kept.mode)
    applied = turn.applied(kept.mode, base=policy)
    policy, cost = applied.policy, moments.cost_of(mode.cost, applied.policy)
    right = turn.precision(kept.detector, policy, mode=kept.mode)
    outlook = _outlook(turn, kept, finding, cost, right, policy)
    ticket = orders.lock(conn, kept.ticket_id)
    situation = Situation(
        kind=FindingKind.MACHINE,
        alarm=kept.alarm,
        at=finding.at,
        health=kept.health,
        cost=cost,
        precision=right,
        forecast=outlook.forecast,
        moment=_moment(turn, kept, outlook, cost, right, applied, finding.at),
        order=orders.stage(ticket),
        mute=mute_of(turn.mutes(kept.kind, finding.at), kept),
        repaired_at=turn.repaired_at(),
        declared=finding.detector.startswith(RULE),
    )
    decision = decide.decide(situation, policy)
    if situation.order is OrderStage.NONE:
        decision = holding.held(turn, Judged(asset, turn.signals, kept, finding.at, now), decision, policy)
    decision = review.instead(conn, asset, finding, decision, policy)
    loss = decide.expected_loss(outlook.forecast, health=kept.health, cost=cost, precision=right)
    case = Case(asset, turn.signals, kept, finding, mode, decision, outlook.forecast, loss)
    kept = _carry_out(turn, case, ticket, outlook, now, policy)
    turn.decide(kept, decision, at=finding.at, prediction_id=outlook.prediction_id)
    return decision


def _outlook(turn: Turn, kept: KeptAlarm, finding: Finding, cost: Cost, right: float, policy: Policy) -> Outlook:
    """The alarm's outlook: the last one while it is young, else a new one."""
    key = ("prediction", kept.alarm_id)
    last = turn.once(key, lambda: store.last_prediction(turn.conn, kept.alarm_id))
    if last and finding.at - last[1] < policy.refresh:
        return Outlook(last[0], last[2], fresh=False)
    turn.flush()  # a forecast reads the health that is kept
    made = forecast.refresh(turn.conn, kept, at=finding.at, cost=cost, precision=right, policy=policy)
    if made.forecast is None or made.forecast.base_h is None:
        turn.put(key, (made.prediction_id, finding.at, made.forecast))
    else:
        turn.drop(key)
    return made


def _moment(
    turn: Turn,
    kept: KeptAlarm,
    outlook: Outlook,
    cost: Cost,
    right: float,
    applied: Applied,
    at: datetime,
) -> Moment | None:
    """The best moment for the work: weighed anew when the forecast is fresh, else as it was."""
    if outlook.forecast is None:
        return None
    if not outlook.fresh:
        made = outlook.prediction_id
        return turn.once(("moment", made), lambda: moments.last(turn.conn, made))
    weighed = moments.weigh(
        turn.conn, turn.asset, kept.mode, forecast=outlook.forecast, cost=cost, precision=right, applied=applied, at=at,
        seen=at - kept.alarm.started_at,
    )  # fmt: skip
    moments.keep(turn.conn, outlook.prediction_id, weighed)
    return weighed.moment


def _carry_out(
    turn: Turn, case: Case, ticket: Ticket | None, outlook: Outlook, now: datetime, policy: Policy
) -> KeptAlarm:
    conn = turn.conn
    if case.decision.action is Action.OPEN:
        turn.flush()
        opened = orders.open_machine(conn, case, now=now, policy=policy)
        kept = turn.save(replace(case.kept, ticket_id=opened.ticket.ticket_id))
        turn.forget()
        return kept
    if case.decision.action is Action.PROPOSE:
        turn.flush()
        review.propose(conn, case.kept, case.decision, loss=case.loss, prediction_id=outlook.prediction_id, now=now)
    if case.decision.action is Action.UPDATE and ticket is not None:
        if outlook.fresh:
            orders.follow_forecast(conn, ticket, case, now=now, policy=policy)
        _note_other_diagnosis(conn, case, ticket, now)
    return case.kept


def _note_other_diagnosis(conn: Connection, case: Case, ticket: Ticket, now: datetime) -> None:
    """Say once on the order when the evidence has come to speak for another mode than the order's."""
    first = case.kept.diagnosis[0]
    if first.mode == case.kept.mode or first.probability < SURE_ENOUGH:
        return
    if store.diagnosis_noted(conn, ticket.ticket_id, first.mode):
        return
    name = libraries.mode(conn, case.asset.asset_class, first.mode).name
    reason = Reason("changed", {"mode": name, "percent": 100 * first.probability, "code": first.mode})
    orders.note(conn, ticket, case.kept.detector, reason, group="diagnosis", now=now)


def muted(conn: Connection, kept: KeptAlarm, at: datetime) -> Mute | None:
    """What a person has said against this alarm, while it holds."""
    return mute_of(store.mutes(conn, kept.asset_id, kept.kind, at), kept)


def mute_of(mutes: Iterable[tuple[Any, ...]], kept: KeptAlarm) -> Mute | None:
    """The first of these that is about such an alarm. Pure."""
    for mode, contributions, why, until, health in mutes:
        same = mode == kept.mode or store.overlap(store.evidence_of(contributions), kept.evidence) >= SAME_SIGNALS
        if same:
            return Mute(MuteWhy(why), until, health)
    return None


# -- back to normal ---------------------------------------------------------------------------------------------------


def _ended(turn: Turn, known: list[KeptAlarm], finding: Finding, now: datetime, policy: Policy) -> Decision | None:
    """A detector's deviation has ended; the decision about the last alarm that is normal by it."""
    decision = None
    for kept in known:
        if finding.detector in kept.alarm.deviating:
            decision = _calm(turn, kept, finding, now, policy) or decision
    return decision


def _calm(turn: Turn, kept: KeptAlarm, finding: Finding, now: datetime, policy: Policy) -> Decision | None:
    conn = turn.conn
    ticket = orders.lock(conn, kept.ticket_id)
    stage = orders.stage(ticket)
    held = Order.NONE if stage is OrderStage.NONE else Order.OPEN
    life = alarms.normal(kept.alarm, finding.detector, at=finding.at)
    life = alarms.tick(life, now=finding.at, order=held, policy=policy)
    kept = turn.save(replace(kept, alarm=life, health=finding.health))
    if life.returned_at is None:
        return None
    review.end(conn, kept.alarm_id, now)
    situation = Situation(
        FindingKind.MACHINE, life, finding.at, finding.health, turn.mode(kept.mode).cost, 1.0, order=stage
    )
    decision = decide.decide(situation, policy)
    turn.decide(kept, decision, at=finding.at, prediction_id=None)
    if ticket and stage is OrderStage.PLANNED:
        orders.note(conn, ticket, kept.detector, decision.reasons[0], group="decision", now=now)
    return decision
