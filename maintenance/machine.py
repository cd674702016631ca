"""A finding about the machine: alarm, diagnosis, forecast, decision, order. One transaction's work, no commit.

finding ──> which alarm? ──> evidence, diagnosis ──> outlook ──> decide ──> open | update | wait | none

Locks are taken in one order everywhere: asset, ticket, alarm.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from psycopg import Connection

from detectors.base import Finding, FindingKind
from maintenance import (
    alarms,
    decide,
    forecast,
    holding,
    learning_store,
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
from maintenance.policies import Applied, Scope
from maintenance.store import KeptAlarm
from plant import assets
from plant.model import Asset, Signal
from tickets.model import Ticket

SURE_ENOUGH = 0.6  # probability from which another diagnosis is told to the crew
SAME_SIGNALS = 0.5  # overlap from which a muted alarm is the same alarm, whatever it is called now


def on_finding(conn: Connection, finding: Finding, now: datetime, policy: Policy) -> Decision | None:
    """What a machine finding leads to; None when it ends a deviation nobody was told of. The asset is locked."""
    asset, signals = assets.asset(conn, finding.asset_id), assets.signals(conn, finding.asset_id)
    policy = policies.of(conn, asset, policies.ANY, base=policy)
    known = _known(conn, finding, policy)
    if not finding.active:
        return _ended(conn, asset, known, finding, now, policy)
    kept = _attach(conn, asset, signals, known, finding)
    store.add_health(conn, kept.alarm_id, finding)
    return _act(conn, asset, signals, kept, finding, now, policy)


def precision(conn: Connection, detector: str, asset_id: int, policy: Policy, *, mode: str | None = None) -> float:
    """How often this detector was right on this asset (for this mode), from a belief that verdicts soon outweigh."""
    return verdicts.belief(conn, detector, asset_id, mode, policy)


def _known(conn: Connection, finding: Finding, policy: Policy) -> list[KeptAlarm]:
    """The machine's alarms that this finding may belong to: open, or cleared just now and never ordered."""
    since = finding.at - policy.reopen_within
    found = store.alarms_of(conn, finding.asset_id, FindingKind.MACHINE, since=since)
    for ticket_id in sorted({each.ticket_id for each in found if each.ticket_id is not None}):
        orders.lock(conn, ticket_id)
    fresh = [store.alarm(conn, each.alarm_id) for each in found]
    return [each for each in fresh if each.alarm.cleared_at is None or each.ticket_id is None]


# -- which alarm ------------------------------------------------------------------------------------------------------


def _attach(
    conn: Connection, asset: Asset, signals: list[Signal], known: list[KeptAlarm], finding: Finding
) -> KeptAlarm:
    """The finding's alarm with its evidence gathered: a running one unless this is clearly another fault."""
    fresh = store.deviations(finding)
    knowledge = learning_store.knowledge(conn, asset)
    found = knowledge.diagnose(fresh, signals, told=finding.failure_mode)
    running = [
        each
        for each in known
        if each.mode == found[0].mode
        or not distinct(each.evidence, fresh, running_diagnosis=each.diagnosis, fresh_diagnosis=found)
    ]
    if not running:
        return _raise(conn, finding, KeptAlarm(
            0, asset.asset_id, FindingKind.MACHINE, found[0].mode, finding.detector, decide.severity(finding.health),
            finding.surprise, finding.health, fresh, store.sentence_json(finding), found, None,
            alarms.raised(finding.detector, started_at=finding.started_at, at=finding.at),
        ))  # fmt: skip
    kept = max(running, key=lambda each: (each.alarm.cleared_at is None, store.overlap(each.evidence, fresh)))
    tuning = tunings.of(conn, asset.asset_class, signals, kept.evidence) if kept.alarm.returned_at else alarms.DEFAULT
    if alarms.in_dead_band(kept.alarm, before=kept.health, health=finding.health, tuning=tuning):
        return kept
    taken = {each.mode for each in known}
    return store.save_alarm(conn, _again(kept, finding, signals, knowledge, taken=taken, tuning=tuning))


def _raise(conn: Connection, finding: Finding, kept: KeptAlarm) -> KeptAlarm:
    return store.add_alarm(conn, replace(kept, surprise=min(finding.surprise, store.SURE)))


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


def _act(
    conn: Connection,
    asset: Asset,
    signals: list[Signal],
    kept: KeptAlarm,
    finding: Finding,
    now: datetime,
    policy: Policy,
) -> Decision:
    mode = libraries.mode(conn, asset.asset_class, kept.mode)
    applied = policies.applied(conn, Scope(asset.asset_class, kept.mode, asset.asset_id), base=policy)
    policy, cost = applied.policy, moments.cost_of(mode.cost, applied.policy)
    right = precision(conn, kept.detector, asset.asset_id, policy, mode=kept.mode)
    outlook = forecast.refresh(conn, kept, at=finding.at, cost=cost, precision=right, policy=policy)
    ticket = orders.lock(conn, kept.ticket_id)
    situation = Situation(
        kind=FindingKind.MACHINE,
        alarm=kept.alarm,
        at=finding.at,
        health=kept.health,
        cost=cost,
        precision=right,
        forecast=outlook.forecast,
        moment=_moment(conn, asset, kept, outlook, cost, right, applied, finding.at),
        order=orders.stage(ticket),
        mute=muted(conn, kept, finding.at),
        repaired_at=store.repaired_at(conn, asset.asset_id),
    )
    decision = decide.decide(situation, policy)
    if situation.order is OrderStage.NONE:
        decision = holding.held(conn, Judged(asset, signals, kept, finding.at, now), decision, policy)
    decision = review.instead(conn, asset, finding, decision, policy)
    loss = decide.expected_loss(outlook.forecast, health=kept.health, cost=cost, precision=right)
    case = Case(asset, signals, kept, finding, mode, decision, outlook.forecast, loss)
    kept = _carry_out(conn, case, ticket, outlook, now, policy)
    store.add_decision(conn, kept, decision, at=finding.at, prediction_id=outlook.prediction_id)
    return decision


def _moment(
    conn: Connection,
    asset: Asset,
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
        return moments.last(conn, outlook.prediction_id)
    weighed = moments.weigh(
        conn, asset, kept.mode, forecast=outlook.forecast, cost=cost, precision=right, applied=applied, at=at,
        seen=at - kept.alarm.started_at,
    )  # fmt: skip
    moments.keep(conn, outlook.prediction_id, weighed)
    return weighed.moment


def _carry_out(
    conn: Connection, case: Case, ticket: Ticket | None, outlook: Outlook, now: datetime, policy: Policy
) -> KeptAlarm:
    if case.decision.action is Action.OPEN:
        opened = orders.open_machine(conn, case, now=now, policy=policy)
        return store.save_alarm(conn, replace(case.kept, ticket_id=opened.ticket.ticket_id))
    if case.decision.action is Action.PROPOSE:
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
    for mode, contributions, why, until, health in store.mutes(conn, kept.asset_id, kept.kind, at):
        same = mode == kept.mode or store.overlap(store.evidence_of(contributions), kept.evidence) >= SAME_SIGNALS
        if same:
            return Mute(MuteWhy(why), until, health)
    return None


# -- back to normal ---------------------------------------------------------------------------------------------------


def _ended(
    conn: Connection, asset: Asset, known: list[KeptAlarm], finding: Finding, now: datetime, policy: Policy
) -> Decision | None:
    """A detector's deviation has ended; the decision about the last alarm that is normal by it."""
    decision = None
    for kept in known:
        if finding.detector in kept.alarm.deviating:
            decision = _calm(conn, asset, kept, finding, now, policy) or decision
    return decision


def _calm(
    conn: Connection, asset: Asset, kept: KeptAlarm, finding: Finding, now: datetime, policy: Policy
) -> Decision | None:
    ticket = orders.lock(conn, kept.ticket_id)
    stage = orders.stage(ticket)
    held = Order.NONE if stage is OrderStage.NONE else Order.OPEN
    life = alarms.normal(kept.alarm, finding.detector, at=finding.at)
    life = alarms.tick(life, now=finding.at, order=held, policy=policy)
    kept = store.save_alarm(conn, replace(kept, alarm=life, health=finding.health))
    if life.returned_at is None:
        return None
    review.end(conn, kept.alarm_id, now)
    cost = libraries.mode(conn, asset.asset_class, kept.mode).cost
    decision = decide.decide(
        Situation(FindingKind.MACHINE, life, finding.at, finding.health, cost, 1.0, order=stage), policy
    )
    store.add_decision(conn, kept, decision, at=finding.at, prediction_id=None)
    if ticket and stage is OrderStage.PLANNED:
        orders.note(conn, ticket, kept.detector, decision.reasons[0], group="decision", now=now)
    return decision
