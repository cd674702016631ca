"""The best moment for an alarm's work: what the curve is made of, kept with its prediction, drawn again when asked.

weigh  keep      in the transaction of the finding, when a forecast was made
shown            the curve of a prediction, with alternatives and sentences
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound
from maintenance import decide_moment, sentences
from maintenance.decide import Moment
from maintenance.decide_moment import HOUR, LONGEST_H, Curve, Point, Stakes, Stretch, What
from maintenance.model import Cost, Forecast, Policy, Reason
from maintenance.policies import Applied
from plant import stops
from plant.model import Asset

PARTS: LiteralString = """
  select coalesce(max(p.lead_s), 0) / 3600.0 from kits k join parts p using (part_id)
  left join (select part_id, sum(on_hand - reserved) as free from stock_levels group by part_id) s using (part_id)
  where k.class in (%s, '*') and k.mode in (%s, '*') and coalesce(s.free, 0) < k.quantity """


@dataclass(frozen=True, slots=True)
class Weighed:
    """A curve and all that it was made of."""

    at: datetime
    forecast: Forecast
    cost: Cost
    windows: tuple[Stretch, ...]
    lead_h: float
    travel: float
    stakes: Stakes
    curve: Curve
    made_of: tuple[tuple[int, int], ...]

    @property
    def start_at(self) -> datetime:
        return self.at + self.curve.chosen.hours * HOUR

    @property
    def moment(self) -> Moment:
        """What a decision looks at."""
        late = decide_moment.due(self.curve, lead_h=self.lead_h, stakes=self.stakes)
        return Moment(self.start_at, self.curve.chosen.total, self.curve.now.total, late)


def cost_of(cost: Cost, policy: Policy) -> Cost:
    """The library's cost with what the policy says instead."""
    planned = cost.planned if policy.cost_planned is None else policy.cost_planned
    failure = cost.failure if policy.cost_failure is None else policy.cost_failure
    return Cost(planned, failure, cost.currency)


def weigh(
    conn: Connection,
    asset: Asset,
    mode: str,
    *,
    forecast: Forecast,
    cost: Cost,
    precision: float,
    applied: Applied,
    at: datetime,
    seen: timedelta,
) -> Weighed:
    """The curve of an alarm ``at`` this time; ``cost`` is that of :func:`cost_of`, ``seen`` since when it deviates."""
    policy = applied.policy
    openings = stops.openings(conn, asset.asset_id, start=at, end=at + LONGEST_H * HOUR)
    windows = tuple(each for each in decide_moment.stretches(openings, at) if not _always(each, policy))
    stop_cost_h = _stop_cost_h(policy, cost, windows)
    stakes = stakes_of(policy, precision=precision, seen_h=seen / HOUR, stop_cost_h=stop_cost_h)
    lead_h = max(_lead_h(conn, asset, mode), policy.parts_lead / HOUR)
    return _weighed(at, forecast, cost, windows, lead_h, policy.travel, stakes, applied.made_of)


def stakes_of(policy: Policy, *, precision: float, seen_h: float, stop_cost_h: float) -> Stakes:
    """What a policy says is at stake."""
    return Stakes(
        precision=precision,
        down_h=policy.down / HOUR,
        down_cost_h=policy.down_cost_h,
        work_h=policy.work / HOUR,
        stop_cost_h=stop_cost_h,
        expedite=policy.expedite,
        expedite_h=policy.expedite_time / HOUR,
        send_back=policy.send_back,
        look_share=policy.look_share,
        clears_h=policy.false_lasting / HOUR,
        life_h=policy.life / HOUR,
        unwarned=policy.unwarned,
        doubt=policy.doubt,
        seen_h=seen_h,
    )


def keep(conn: Connection, prediction_id: int, weighed: Weighed) -> None:
    """Keep what the curve of a prediction was made of; a second time changes nothing."""
    inputs = {
        "forecast": asdict(weighed.forecast),
        "cost": asdict(weighed.cost),
        "windows": [[each.start_h, each.end_h, each.cost_h] for each in weighed.windows],
        "lead_h": weighed.lead_h,
        "travel": weighed.travel,
        "stakes": asdict(weighed.stakes),
    }
    curve = weighed.curve
    conn.execute(
        """insert into moments (prediction_id, at, start_at, what, total, now_total, due, policies, inputs)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing""",
        (
            prediction_id,
            weighed.at,
            weighed.start_at,
            curve.what.value,
            curve.chosen.total,
            curve.now.total,
            weighed.moment.due,
            Jsonb([list(each) for each in weighed.made_of]),
            Jsonb(inputs),
        ),
    )


def last(conn: Connection, prediction_id: int) -> Moment | None:
    """The moment that was kept with a prediction."""
    row = conn.execute(
        "select start_at, total, now_total, due from moments where prediction_id = %s", (prediction_id,)
    ).fetchone()
    return None if row is None else Moment(*row)


def load(conn: Connection, prediction_id: int) -> Weighed:
    """The curve of a prediction, drawn again from what was kept. Raises NotFound."""
    row = conn.execute("select at, policies, inputs from moments where prediction_id = %s", (prediction_id,)).fetchone()
    if row is None:
        raise NotFound(f"Prediction {prediction_id} has no cost curve: there is none, or it had no forecast.")
    at, made_of, kept = row
    windows = tuple(Stretch(*each) for each in kept["windows"])
    forecast, stakes = Forecast(**_forecast(kept["forecast"])), Stakes(**kept["stakes"])
    made = tuple((policy_id, version) for policy_id, version in made_of)
    return _weighed(at, forecast, Cost(**kept["cost"]), windows, kept["lead_h"], kept["travel"], stakes, made)


def shown(conn: Connection, prediction_id: int) -> dict[str, Any]:
    """The curve of a prediction for a screen: points, alternatives, reasons, and what went into it. Raises NotFound."""
    weighed = load(conn, prediction_id)
    curve = weighed.curve
    alternatives = {What.NOW: curve.now, What.WINDOW: curve.window, What.WAIT: curve.wait, curve.what: curve.chosen}
    return {
        "prediction_id": prediction_id,
        "at": weighed.at,
        "currency": curve.currency,
        "start_at": weighed.start_at,
        "what": curve.what.value,
        "chosen": _point(weighed, curve.chosen),
        "alternatives": [
            {"what": what.value, "chosen": what is curve.what, **_point(weighed, point)}
            for what, point in alternatives.items()
            if point is not None
        ],
        "points": [_point(weighed, each) for each in curve.points],
        "windows": [
            {"start_at": weighed.at + each.start_h * HOUR, "end_at": weighed.at + each.end_h * HOUR}
            for each in weighed.windows
            if each.start_h <= curve.points[-1].hours
        ],
        "lead_h": weighed.lead_h,
        "travel": weighed.travel,
        "cost": asdict(weighed.cost),
        "stakes": asdict(weighed.stakes),
        "forecast": asdict(weighed.forecast),
        "policies": [{"policy_id": policy_id, "version": version} for policy_id, version in weighed.made_of],
        "reasons": [sentences.reason(each, group="moment") for each in reasons(weighed)],
    }


def reasons(weighed: Weighed) -> list[Reason]:
    """Why this moment, in order of weight."""
    curve, chosen = weighed.curve, weighed.curve.chosen
    values: dict[str, str | float] = {
        "hours": chosen.hours,
        "when": weighed.start_at.strftime("%Y-%m-%d %H:%M"),
        "total": chosen.total,
        "currency": curve.currency,
        "percent": 100 * chosen.p_fail,
        "precision": 100 * weighed.stakes.precision,
    }
    found = [Reason(f"chosen_{curve.what.value}", values)]
    if curve.chosen is not curve.now:
        found.append(Reason("than_now", {"more": curve.now.total - chosen.total, **values}))
    if curve.wait is not None and curve.what is not What.WAIT:
        more = {"more": curve.wait.total - chosen.total, "later": curve.wait.hours, "risk": 100 * curve.wait.p_fail}
        found.append(Reason("than_wait", {**more, **values}))
    if weighed.lead_h > 0:
        key = "expedite" if chosen.hours < weighed.lead_h else "parts"
        found.append(Reason(key, {"lead": weighed.lead_h, "cost": chosen.parts, **values}))
    return found


def _weighed(
    at: datetime,
    forecast: Forecast,
    cost: Cost,
    windows: tuple[Stretch, ...],
    lead_h: float,
    travel: float,
    stakes: Stakes,
    made_of: tuple[tuple[int, int], ...],
) -> Weighed:
    curve = decide_moment.cost_curve(forecast, cost, windows, lead_h=lead_h, travel=travel, stakes=stakes)
    return Weighed(at, forecast, cost, windows, lead_h, travel, stakes, curve, made_of)


def _always(stretch: Stretch, policy: Policy) -> bool:
    """A machine without windows may always stop: for what the policy says an hour costs, if that is more."""
    whole = stretch.start_h <= 0 and stretch.end_h >= LONGEST_H
    return whole and stretch.cost_h <= (policy.stop_cost_h or 0.0)


def _stop_cost_h(policy: Policy, cost: Cost, windows: tuple[Stretch, ...]) -> float:
    """Outside of its windows a machine is stopped against production: where nobody says for what, as in a failure."""
    if policy.stop_cost_h is not None:
        return policy.stop_cost_h
    return max(cost.failure - cost.planned, 0.0) / 24 if windows else 0.0


def _lead_h(conn: Connection, asset: Asset, mode: str) -> float:
    row = conn.execute(PARTS, (asset.asset_class, mode)).fetchone()
    return float(row[0]) if row else 0.0


def _forecast(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}


def _point(weighed: Weighed, point: Point) -> dict[str, Any]:
    plain = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(point).items()}
    return {**plain, "total": round(point.total, 4), "start_at": weighed.at + point.hours * HOUR}
