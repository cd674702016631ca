"""When is the best moment for the work? Expected cost of every candidate moment, with its parts. Pure.

    forecast ─┐
    costs    ─┼─▶ candidates ──▶ cost of each ──▶ now | window | wait, and the cheapest
    windows  ─┘

Work that is planned to begin ``t`` hours from now costs, with F(t) = P(fails before t), q = P(the fault is real) and
s(t) = P(a false alarm has not ended by t), the chance that somebody goes being g(t) = q (1 − F(t)) + (1 − q) s(t):

    failure    q F(t) · (failure + standing after it + the way), and what failing without parts at hand adds
    work       q (1 − F(t)) · the planned work + (1 − q) s(t) · a look that finds nothing
    stopping   g(t) · standing for the work, inside or outside of the production windows
    travel     g(t) · the way
    parts      g(t) · what expediting costs, where the work begins before the parts come by themselves
    life       q · (cost of a renewal ÷ life of a renewed machine) · mean of the life that is thrown away

The last is renewal-reward (Barlow and Proschan, Mathematical Theory of Reliability, 1965, ch. 4): in the long run a
machine costs its renewals per hour lived, so an hour thrown away costs that rate. Without it every alarm would be
worked on at once. Money is in the currency of ``Cost``; all hours count from now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from maintenance.model import Cost, Forecast
from plant.model import Floats
from plant.windows import Opening

HOUR = timedelta(hours=1)
SHORTEST_H, LONGEST_H = 24.0, 24.0 * 90  # how far a curve looks ahead
BEYOND = 1.25  # × P90
POINTS = 40  # of the grid, beside now, the windows' edges and the parts' arrival
LIVES = 160  # points of the distribution of life
WIDER = 3.0  # how much wider, in ln(hours), a forecast is that is doubted


class Parts(StrEnum):
    """What to do about the parts at this look."""

    LATER = "later"
    ORDER = "order"
    EXPEDITE = "expedite"


class What(StrEnum):
    """The alternatives that a planner compares."""

    NOW = "now"  # before anybody looks again, at the earliest when people and parts can be there
    WINDOW = "window"  # in the next production window
    WAIT = "wait"  # later: look again before


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hours from now in which the machine may stand, for ``cost_h`` an hour."""

    start_h: float
    end_h: float
    cost_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Stakes:
    """What else is at stake: hours, and money in the currency of the costs.

    ``stop_cost_h``: an hour of planned standing outside of every window. ``expedite``: what getting the parts in
    ``expedite_h`` costs more; None: it cannot be done. ``send_back``: what parts cost that were ordered in vain.
    ``look_share``: of the planned work, when nothing is found.
    ``clears_h``: how long a false alarm lasts on average. ``life_h``: of a renewed machine. ``look_again_h``: until
    somebody who waits looks again. ``unwarned``: share of the failures after that look which come as a surprise;
    before the others the forecast falls in time to stop the machine. ``doubt``: share of forecasts from little
    history that know far less than they say; ``seen_h``: how long the fault has been watched, against which doubt
    fades.
    """

    precision: float = 1.0
    down_h: float = 0.0
    down_cost_h: float = 0.0
    work_h: float = 0.0
    stop_cost_h: float = 0.0
    expedite: float | None = None
    expedite_h: float = 0.0
    send_back: float = 0.0
    look_share: float = 1.0
    clears_h: float = 100.0
    life_h: float = 17_520.0
    look_again_h: float = 24.0
    unwarned: float = 0.01
    doubt: float = 0.05
    seen_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """Work that begins ``hours`` from now: the probability to have failed by then, and the expected cost's parts."""

    hours: float
    p_fail: float
    failure: float
    work: float
    stopping: float
    travel: float
    parts: float
    life: float
    in_window: bool

    @property
    def total(self) -> float:
        return self.failure + self.work + self.stopping + self.travel + self.parts + self.life


@dataclass(frozen=True, slots=True)
class Curve:
    """Every candidate moment in order, and the best of each alternative; ``chosen`` is the cheapest of all."""

    points: tuple[Point, ...]
    now: Point
    window: Point | None
    wait: Point | None
    chosen: Point
    what: What
    currency: str


def cost_curve(
    forecast: Forecast,
    cost: Cost,
    windows: Sequence[Stretch],
    *,
    lead_h: float = 0.0,
    travel: float = 0.0,
    age_h: float = 0.0,
    stakes: Stakes | None = None,
) -> Curve:
    """The expected cost of every candidate moment.

    ``lead_h``: until the parts are there; ``travel``: what the way costs; ``age_h``: how old the forecast is.
    """
    at = stakes or Stakes()
    life = _Life.of(forecast, age_h, _doubt(forecast, at))
    first = lead_h if at.expedite is None else min(lead_h, at.expedite_h)
    last = max(first + SHORTEST_H, min(BEYOND * max(forecast.p90_h - age_h, 0.0), LONGEST_H))
    windows = [each for each in windows if each.end_h > 0 and each.start_h <= last]
    hours = _candidates(windows, first=first, last=last, work_h=at.work_h)
    points = _points(hours, life, cost, windows, lead_h=lead_h, travel=travel, at=at)
    return _compare(points, windows, at, cost.currency)


def due(curve: Curve, *, lead_h: float, stakes: Stakes) -> bool:
    """Whether the work must be prepared now: at the next look the chosen moment could no longer be kept."""
    return curve.chosen.hours - min(lead_h, curve.chosen.hours) < stakes.look_again_h


def parts_now(curve: Curve, cost: Cost, *, lead_h: float, stakes: Stakes) -> Parts:
    """Whether the parts must be ordered now, the next look being too late.

    Either so that they are there at the chosen moment, or since failing without them by then would cost more, in the
    mean, than sending them back when the alarm proves false.
    """
    start, look_h = curve.chosen.hours, stakes.look_again_h
    if lead_h <= 0:
        return Parts.LATER
    if start < lead_h:
        return Parts.EXPEDITE if start - stakes.expedite_h < look_h else Parts.LATER
    if start - lead_h < look_h:
        return Parts.ORDER
    late = next((each.p_fail for each in curve.points if each.hours >= lead_h + look_h), 1.0)
    lost = cost.failure + stakes.down_h * stakes.down_cost_h - cost.planned
    return Parts.ORDER if late * lost > (1 - stakes.precision) * stakes.send_back else Parts.LATER


def stretches(openings: Iterable[Opening], at: datetime) -> tuple[Stretch, ...]:
    """Openings in hours from ``at``; those that are over are left out."""
    return tuple(
        Stretch((each.start - at) / HOUR, (each.end - at) / HOUR, each.cost_h) for each in openings if each.end > at
    )


# -- the distribution of life -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Life:
    """P(fails before t), given that it runs now: on a grid of ``hours`` for means, and exactly where asked."""

    forecast: Forecast
    wide: Forecast  # what is believed with ``doubt``
    doubt: float
    age_h: float
    past: float  # probability that it should have failed by now
    hours: Floats
    mass: Floats  # of failing within each step of the grid; the rest lives longer

    @classmethod
    def of(cls, forecast: Forecast, age_h: float, doubt: float) -> _Life:
        longest = max(20 * (forecast.p90_h + 1), 10 * SHORTEST_H)
        edges = np.concatenate([[0.0], np.geomspace(0.05, longest, LIVES)])
        empty = cls(forecast, _widened(forecast), doubt, age_h, 0.0, (edges[1:] + edges[:-1]) / 2, np.zeros(0))
        past = min(float(empty._ever(np.array([age_h]))[0]), 0.999) if age_h > 0 else 0.0
        found = replace(empty, past=past)
        return replace(found, mass=np.diff(found.failed(edges)))

    def failed(self, hours: Floats) -> Floats:
        known = (self._ever(hours + self.age_h) - self.past) / (1 - self.past)
        return np.asarray(np.where(hours <= 0, 0.0, np.clip(known, 0.0, 1.0)), np.float64)

    def _ever(self, hours: Floats) -> Floats:
        said = self.forecast.failure(hours)
        return said if self.doubt <= 0 else (1 - self.doubt) * said + self.doubt * self.wide.failure(hours)

    def thrown_away(self, hours: Floats, most_h: float) -> Floats:
        """Mean hours of life left at each moment, nobody living longer than ``most_h``."""
        lives = np.minimum(self.hours, most_h)
        left = np.maximum(lives[None, :] - hours[:, None], 0.0) @ self.mass
        return np.asarray(left + (1 - self.mass.sum()) * np.maximum(most_h - hours, 0.0), np.float64)

    def before(self, hours: Floats, cost: Floats) -> Floats:
        """Mean of ``cost`` (of failing at each grid hour) over the failures before each moment."""
        return np.asarray(np.where(self.hours[None, :] < hours[:, None], cost[None, :], 0.0) @ self.mass, np.float64)


def _doubt(forecast: Forecast, at: Stakes) -> float:
    """The longer the life that is foretold beside what was seen of the fault, the less is known of it."""
    ahead = max(forecast.p50_h, 0.0)
    return at.doubt * ahead / (ahead + at.seen_h) if ahead > 0 else 0.0


def _widened(forecast: Forecast) -> Forecast:
    middle = max(forecast.p50_h, 0.1)
    low, high = (middle * (max(each, 0.01) / middle) ** WIDER for each in (forecast.p10_h, forecast.p90_h))
    return replace(forecast, p10_h=low, p50_h=middle, p90_h=min(high, 1e6))


# -- candidates and their costs ---------------------------------------------------------------------------------------


def _candidates(windows: Sequence[Stretch], *, first: float, last: float, work_h: float) -> Floats:
    even = first + (last - first) * np.linspace(0.0, 1.0, POINTS) ** 1.5
    starts = [max(each.start_h, first) for each in windows]
    ends = [each.end_h - work_h for each in windows]
    fitting = [hour for pair in zip(starts, ends, strict=True) if pair[0] <= pair[1] for hour in pair]
    found = np.array([hour for hour in fitting if first <= hour <= last])
    return np.unique(np.concatenate([even, found]))


def _points(
    hours: Floats,
    life: _Life,
    cost: Cost,
    windows: Sequence[Stretch],
    *,
    lead_h: float,
    travel: float,
    at: Stakes,
) -> tuple[Point, ...]:
    q, failed = at.precision, life.failed(hours)
    false = (1 - q) * np.exp(-hours / at.clears_h)
    going = q * (1 - failed) + false
    standing, inside = _standing(hours, windows, at)
    rate = (cost.planned + travel) / at.life_h
    columns = (
        hours,
        q * failed,
        q * _failing(hours, life, cost, standing, lead_h=lead_h, travel=travel, at=at),
        q * (1 - failed) * cost.planned + false * at.look_share * cost.planned,
        going * standing,
        going * travel,
        np.where(hours < lead_h, going * (at.expedite or 0.0), 0.0),
        q * rate * life.thrown_away(hours, at.life_h),
    )
    rows = np.column_stack(columns).tolist()
    return tuple(Point(*(*row, bool(within))) for row, within in zip(rows, inside, strict=True))


def _failing(
    hours: Floats, life: _Life, cost: Cost, standing: Floats, *, lead_h: float, travel: float, at: Stakes
) -> Floats:
    """Mean cost of failing before each moment; of what fails after the next look only a share is a surprise."""
    surprise = cost.failure + travel + at.down_h * at.down_cost_h
    warned = min(surprise, cost.planned + travel + max(float(standing.max()), at.work_h * at.stop_cost_h))
    blind = life.failed(np.minimum(hours, at.look_again_h + lead_h))
    later = life.failed(hours) - blind
    late = at.unwarned * surprise + (1 - at.unwarned) * warned
    return blind * surprise + later * late + _without_parts(hours, life, lead_h, at)


def _without_parts(hours: Floats, life: _Life, lead_h: float, at: Stakes) -> Floats:
    """What failing before the parts come adds: standing until they come, or expediting them."""
    if lead_h <= 0:
        return np.zeros(len(hours))
    waiting = np.maximum(lead_h - life.hours, 0.0) * at.down_cost_h
    if at.expedite is not None:
        dearest = at.expedite + at.expedite_h * at.down_cost_h
        waiting = np.where(life.hours < lead_h, np.minimum(waiting, dearest), 0.0)
    return life.before(hours, waiting)


def _standing(hours: Floats, windows: Sequence[Stretch], at: Stakes) -> tuple[Floats, Floats]:
    """What standing for the work from each moment on costs, and whether all of it lies in windows."""
    if not windows or at.work_h <= 0:
        inside = np.zeros(len(hours)) if not windows else _covered(hours, windows)
        return np.full(len(hours), at.work_h * at.stop_cost_h), inside
    edges = np.unique([edge for each in windows for edge in (each.start_h, each.end_h)])
    middle = (edges[1:] + edges[:-1]) / 2
    starts, ends, rates = np.array([(each.start_h, each.end_h, each.cost_h) for each in windows]).T
    within = (starts[:, None] <= middle) & (middle < ends[:, None])
    covered = within.any(axis=0)
    rate = np.where(covered, np.where(within, rates[:, None], np.inf).min(axis=0), at.stop_cost_h)
    paid = _area(edges, rate - at.stop_cost_h)
    held = _area(edges, covered.astype(np.float64))
    until = hours + at.work_h
    standing = at.work_h * at.stop_cost_h + np.interp(until, edges, paid) - np.interp(hours, edges, paid)
    share = (np.interp(until, edges, held) - np.interp(hours, edges, held)) / at.work_h
    return np.asarray(standing), np.asarray(share > 1 - 1e-6)


def _covered(hours: Floats, windows: Sequence[Stretch]) -> Floats:
    return np.array([any(each.start_h <= hour < each.end_h for each in windows) for hour in hours])


def _area(edges: Floats, rate: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(rate * np.diff(edges))])


# -- now, in the window, or wait --------------------------------------------------------------------------------------


def _compare(points: tuple[Point, ...], windows: Sequence[Stretch], at: Stakes, currency: str) -> Curve:
    now, chosen = points[0], min(points, key=lambda each: each.total)
    inside = [each for each in points if each.in_window]
    ends = next(
        (each.end_h for each in sorted(windows, key=lambda w: w.end_h) if inside and each.end_h > inside[0].hours), 0.0
    )
    window = min((each for each in inside if each.hours < ends), key=lambda each: each.total, default=None)
    look = now.hours + at.look_again_h
    after = max(look, ends if window else 0.0)
    wait = min((each for each in points if each.hours >= after), key=lambda each: each.total, default=None)
    what = What.WINDOW if chosen is window else What.NOW if chosen.hours < look else What.WAIT
    return Curve(points, now, window, wait, chosen, what, currency)
