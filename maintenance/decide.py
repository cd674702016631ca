"""What to do about an alarm, and why. Pure.

The rule is a sum: waiting costs P(fail within the horizon) · cost of failure · how often this detector was right;
acting costs the planned work. Around it stand guards against haste (a deviation must persist), against noise (muted,
shelved, dates from before the repair), and against waiting for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from detectors.base import FindingKind
from maintenance.alarms import Alarm, AlarmState
from maintenance.decide_moment import cost_curve as cost_curve
from maintenance.model import Action, Cost, Decision, Forecast, Policy, Reason

HOUR = timedelta(hours=1)
LOSSES = (20_000.0, 6_000.0, 1_500.0)  # expected loss that makes priority 1, 2, 3; below: 4
SENSOR_PRIORITY = 4


class OrderStage(StrEnum):
    """How far the open order of an alarm has come."""

    NONE = "none"
    PLANNED = "planned"  # nobody has begun
    WORKING = "working"
    VERIFYING = "verifying"


class MuteWhy(StrEnum):
    NOTHING_FOUND = "nothing_found"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Mute:
    """A person has said that this alarm is none: be still until then, unless health falls clearly below ``health``."""

    why: MuteWhy
    until: datetime
    health: float


@dataclass(frozen=True, slots=True)
class Moment:
    """The best moment to begin the work, and the expected costs of it and of beginning now.

    ``due``: preparing it cannot wait until somebody looks again.
    """

    start_at: datetime
    total: float
    now_total: float
    due: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision looks at. ``precision`` is how often such alarms were right so far, 0..1."""

    kind: FindingKind
    alarm: Alarm
    at: datetime
    health: float
    cost: Cost
    precision: float
    forecast: Forecast | None = None
    order: OrderStage = OrderStage.NONE
    mute: Mute | None = None
    repaired_at: datetime | None = None  # last verified repair of this asset
    moment: Moment | None = None
    declared: bool = False  # an alarm rule of a person speaks: it has waited as long as that person wanted


def decide(situation: Situation, policy: Policy) -> Decision:
    """Open, update, wait or none, with reasons; deterministic."""
    for rule in (_ended, _ordered, _silenced, _sensor, _declared, _hasty):
        if decision := rule(situation, policy):
            return decision
    return _weigh(situation, policy)


def expected_loss(forecast: Forecast | None, *, health: float, cost: Cost, precision: float) -> float:
    """Expected cost of failure within the horizon; without a forecast the lost health stands for the probability."""
    chance = forecast.p_fail if forecast else max(0.0, min(1.0, 1.0 - health)) / 2
    return chance * cost.failure * precision


def priority(loss: float, *, criticality: int) -> int:
    """1 (most urgent) … 4 from expected loss × criticality (3 is average)."""
    weighted = loss * criticality / 3
    return next((level for level, least in enumerate(LOSSES, 1) if weighted >= least), len(LOSSES) + 1)


def severity(health: float) -> int:
    """Alarm severity 1 (worst) … 4 by the health that is left."""
    return next((level for level, most in enumerate((0.25, 0.5, 0.75), 1) if health <= most), 4)


def deadline(forecast: Forecast | None, *, at: datetime, now: datetime, policy: Policy) -> datetime | None:
    """By when the work should be done: before P10 of the failure, counted from when the forecast was made."""
    if forecast is None:
        return None
    wanted = at + timedelta(hours=min(forecast.p10_h, 24 * 365) * policy.deadline_share)
    return max(wanted, now + policy.deadline_least)


def moved(old: datetime | None, new: datetime, *, now: datetime, policy: Policy) -> bool:
    """Whether the forecast moved a deadline so much that people should be told."""
    if old is None:
        return True
    return abs(new - old) > max(abs(old - now) * policy.deadline_move, policy.deadline_least)


def _ended(situation: Situation, _policy: Policy) -> Decision | None:
    if situation.alarm.returned_at is None:
        return None
    if situation.order is OrderStage.NONE:
        return Decision(Action.NONE, (Reason("ended"),))
    key = "ended_order_kept" if situation.order is OrderStage.PLANNED else "ended_order_running"
    return Decision(Action.NONE, (Reason(key),))


def _ordered(situation: Situation, _policy: Policy) -> Decision | None:
    if situation.order is OrderStage.NONE:
        return None
    if situation.order is OrderStage.VERIFYING:
        return Decision(Action.NONE, (Reason("verifying"),))
    return Decision(Action.UPDATE, (Reason("order_open"), *_forecast_reasons(situation)))


def _silenced(situation: Situation, policy: Policy) -> Decision | None:
    if situation.alarm.state is AlarmState.SHELVED:
        values = {"by": situation.alarm.shelved_by or "", "until": _day(situation.alarm.shelved_until)}
        return Decision(Action.NONE, (Reason("shelved", values),))
    mute = situation.mute
    if mute and situation.at < mute.until and situation.health > mute.health - policy.mute_growth:
        return Decision(Action.NONE, (Reason(f"muted_{mute.why}", {"until": _day(mute.until)}),))
    repaired = situation.repaired_at
    if repaired and situation.alarm.started_at <= repaired and situation.at - repaired <= policy.reopen_within * 3:
        return Decision(Action.NONE, (Reason("before_repair"),))
    return None


def _sensor(situation: Situation, _policy: Policy) -> Decision | None:
    return Decision(Action.OPEN, (Reason("sensor"),)) if situation.kind is FindingKind.SENSOR else None


def _declared(situation: Situation, _policy: Policy) -> Decision | None:
    return Decision(Action.OPEN, (Reason("declared"),)) if situation.declared else None


def _hasty(situation: Situation, policy: Policy) -> Decision | None:
    lasting = situation.at - situation.alarm.deviating_since
    said = situation.alarm.findings >= policy.persist_findings or lasting >= 3 * policy.persist
    if said and lasting >= policy.persist:
        return None
    return Decision(Action.WAIT, (Reason("not_yet", {**_lasting(situation), "least": policy.persist / HOUR}),))


def _weigh(situation: Situation, policy: Policy) -> Decision:
    persists = Reason("persists", _lasting(situation))
    reasons = (persists, *_forecast_reasons(situation), *_moment_reasons(situation))
    if situation.forecast is None:
        return Decision(Action.OPEN, (persists, Reason("no_forecast")))
    loss = expected_loss(
        situation.forecast, health=situation.health, cost=situation.cost, precision=situation.precision
    )
    money: dict[str, str | float] = {
        "loss": loss,
        "planned": situation.cost.planned,
        "currency": situation.cost.currency,
        "days": policy.horizon.days,
    }
    if loss >= situation.cost.planned:
        return Decision(Action.OPEN, (*reasons, Reason("worth", money)))
    if situation.moment is not None and situation.moment.due:
        return Decision(Action.OPEN, (*reasons, Reason("due")))
    if situation.health < policy.act_health:
        return Decision(Action.OPEN, (*reasons, Reason("worn", {"health": 100 * situation.health})))
    if situation.at - situation.alarm.raised_at >= policy.wait_limit:
        return Decision(Action.OPEN, (*reasons, Reason("waited", {"hours": policy.wait_limit / HOUR})))
    return Decision(Action.WAIT, (*reasons, Reason("not_worth", money)))


def _forecast_reasons(situation: Situation) -> tuple[Reason, ...]:
    forecast = situation.forecast
    if forecast is None:
        return ()
    values: dict[str, str | float] = {
        "percent": 100 * forecast.p_fail,
        "horizon": forecast.horizon_h / 24,
        "p10": forecast.p10_h / 24,
        "p90": forecast.p90_h / 24,
    }
    return (Reason("forecast", values),)


def _moment_reasons(situation: Situation) -> tuple[Reason, ...]:
    moment = situation.moment
    if moment is None:
        return ()
    values: dict[str, str | float] = {
        "when": _day(moment.start_at),
        "hours": max((moment.start_at - situation.at) / HOUR, 0.0),
        "total": moment.total,
        "now": moment.now_total,
        "currency": situation.cost.currency,
    }
    return (Reason("moment", values),)


def _lasting(situation: Situation) -> dict[str, str | float]:
    return {"findings": situation.alarm.findings, "hours": (situation.at - situation.alarm.deviating_since) / HOUR}


def _day(when: datetime | None) -> str:
    return when.strftime("%Y-%m-%d %H:%M") if when else ""
