"""Orders for alarms: what they say, and the calls of the ticket core that open them and keep them true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from detectors.base import Finding, FindingKind
from maintenance import decide, libraries, sentences, store
from maintenance.decide import OrderStage
from maintenance.model import Decision, Forecast, Mode, Policy, Reason, Words
from maintenance.store import KeptAlarm
from plant.model import Asset, Signal
from tickets import service
from tickets import store as tickets_store
from tickets.model import Actor, ActorKind, Opened, Ticket, TicketKind

CHANNEL = "detector"
LONGEST_TITLE = 300
STAGES: Mapping[str, OrderStage] = {
    "new": OrderStage.PLANNED,
    "assigned": OrderStage.PLANNED,
    "on_hold": OrderStage.PLANNED,
    "accepted": OrderStage.WORKING,
    "arrived": OrderStage.WORKING,
    "reopened": OrderStage.WORKING,
    "done": OrderStage.VERIFYING,
    "verifying": OrderStage.VERIFYING,
    "closed": OrderStage.NONE,
    "cancelled": OrderStage.NONE,
}


@dataclass(frozen=True, slots=True)
class Case:
    """All that an order says: the machine, the alarm, the finding that moved us, and what was concluded."""

    asset: Asset
    signals: Sequence[Signal]
    kept: KeptAlarm
    finding: Finding
    mode: Mode
    decision: Decision
    forecast: Forecast | None
    loss: float


def detector(name: str) -> Actor:
    """A detector as the hand that moves a ticket."""
    return Actor(ActorKind.DETECTOR, None, name)


def lock(conn: Connection, ticket_id: int | None) -> Ticket | None:
    """The alarm's order, locked (always before the alarm itself); None without one."""
    return None if ticket_id is None else tickets_store.lock(conn, ticket_id)


def stage(ticket: Ticket | None) -> OrderStage:
    """How far an order has come; a state that a site invented counts as being worked on."""
    return OrderStage.NONE if ticket is None else STAGES.get(ticket.status, OrderStage.WORKING)


def open_machine(conn: Connection, case: Case, *, now: datetime, policy: Policy) -> Opened:
    """The preventive order of a machine alarm, or the one that is open for this fault already."""
    title = sentences.say("order.title", {"asset": case.asset.code, "mode": case.mode.name})
    text = sentences.join(_said(case))
    opened = _open(
        conn,
        case,
        kind=TicketKind.PREVENTIVE,
        title=title,
        text={language: _with_checks(text[language], case.mode.checks.get(language, ())) for language in text},
        priority=decide.priority(case.loss, criticality=case.asset.criticality),
        skill=case.mode.skill,
        deadline=decide.deadline(case.forecast, at=case.finding.at, now=now, policy=policy),
        now=now,
    )
    service.note_evidence(
        conn, detector(case.kept.detector), opened.ticket.ticket_id, kind="evidence", body=evidence(conn, case), now=now
    )
    return opened


def _said(case: Case) -> list[dict[str, str]]:
    """What the detector said, why it is an order, and what to check first unless the failure mode says that."""
    kept = case.kept.sentence
    machine = case.kept.kind is FindingKind.MACHINE
    first = [] if machine and case.mode.checks else sentences.check(str(kept.get("key", "")), kept.get("values", {}))
    return [store.said(kept), *map(sentences.reason, case.decision.reasons), *first]


def open_sensor(conn: Connection, case: Case, *, title: Words, now: datetime) -> Opened:
    """The order to repair a sensor or the way of its data; it never says that the machine is ill."""
    opened = _open(
        conn,
        case,
        kind=TicketKind.SENSOR_FAULT,
        title=title,
        text=sentences.join(_said(case)),
        priority=decide.SENSOR_PRIORITY,
        skill="instrumentation",
        deadline=None,
        now=now,
    )
    service.note_evidence(
        conn, detector(case.kept.detector), opened.ticket.ticket_id, kind="evidence", body=evidence(conn, case), now=now
    )
    return opened


def follow_forecast(conn: Connection, ticket: Ticket, case: Case, *, now: datetime, policy: Policy) -> None:
    """Move a preventive order's deadline when the forecast has moved much."""
    due = decide.deadline(case.forecast, at=case.finding.at, now=now, policy=policy)
    if due is None or case.forecast is None or ticket.kind is not TicketKind.PREVENTIVE:
        return
    if decide.moved(ticket.resolve_by, due, now=now, policy=policy):
        reason = sentences.say("order.deadline", {"in": sentences.span(case.forecast.p10_h)})
        service.move_deadline(
            conn, detector(case.kept.detector), ticket.ticket_id, resolve_by=due, reason=reason, now=now
        )


def note(conn: Connection, ticket: Ticket, by: str, reason: Reason, *, group: str, now: datetime) -> None:
    """One sentence on the order's timeline."""
    body = {"key": reason.key, "text": sentences.reason(reason, group=group), **reason.values}
    service.note_evidence(conn, detector(by), ticket.ticket_id, kind=group, body=body, now=now)


def evidence(conn: Connection, case: Case) -> dict[str, Any]:
    """What convinced us, frozen for the timeline: plain JSON, times as RFC 3339."""
    by_id = {signal.signal_id: signal for signal in case.signals}
    finding, forecast = case.finding, case.forecast
    return {
        "alarm_id": case.kept.alarm_id,
        "detector": finding.detector,
        "version": finding.version,
        "started_at": case.kept.alarm.started_at.isoformat(),
        "detected_at": case.kept.alarm.raised_at.isoformat(),
        "judged_at": finding.at.isoformat(),
        "surprise": round(case.kept.surprise, 3),
        "health": round(case.kept.health, 4),
        "sentence": store.said(case.kept.sentence),
        "contributions": [
            {
                "signal_id": signal_id,
                "code": by_id[signal_id].code if signal_id in by_id else "",
                "share": round(deviation.share, 4),
                "direction": deviation.direction,
            }
            for signal_id, deviation in sorted(case.kept.evidence.items(), key=lambda item: -item[1].share)
        ],
        "diagnosis": [
            {
                "mode": candidate.mode,
                "name": sentences.both(libraries.mode(conn, case.asset.asset_class, candidate.mode).name),
                "probability": round(candidate.probability, 4),
                "prior": round(candidate.prior, 4),
                "likelihood": round(candidate.likelihood, 4),
            }
            for candidate in case.kept.diagnosis
        ],
        "forecast": None
        if forecast is None
        else {
            "p10_h": round(forecast.p10_h, 2),
            "p50_h": round(forecast.p50_h, 2),
            "p90_h": round(forecast.p90_h, 2),
            "p_fail_horizon": round(forecast.p_fail, 4),
            "horizon_h": forecast.horizon_h,
            "model": forecast.model,
            "version": forecast.version,
        },
        "decision": {
            "action": case.decision.action.value,
            "reasons": [sentences.reason(reason) for reason in case.decision.reasons],
        },
    }


def _open(
    conn: Connection,
    case: Case,
    *,
    kind: TicketKind,
    title: Words,
    text: Words,
    priority: int,
    skill: str,
    deadline: datetime | None,
    now: datetime,
) -> Opened:
    return service.open(
        conn,
        detector(case.kept.detector),
        kind=kind,
        title=title["en"][:LONGEST_TITLE],
        description=text["en"],
        asset_id=case.asset.asset_id,
        mode=case.kept.mode,
        priority=priority,
        skill=skill,
        channel=CHANNEL,
        requester_id=None,
        fields={"title_zh": title["zh"][:LONGEST_TITLE], "description_zh": text["zh"], "alarm_id": case.kept.alarm_id},
        deadline=deadline,
        now=now,
    )


def _with_checks(text: str, checks: Sequence[str]) -> str:
    return "\n".join([text, "", *(f"- {check}" for check in checks)]) if checks else text
