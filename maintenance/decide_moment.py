"""When is the best moment for the work? Expected cost of every candidate moment, with its parts. Pure.

    forecast ─┐
    costs    ─┼─▶ candidates ──▶ cost of each ──▶ now | window | wait, and the cheapest
    windows  ─┘

Work that is planned to begin ``t`` hours from now costs, with F(t) = P(fails before t) and q = P(the fault is real):

    failure    q F(t) · (failure + standing after it + parts that were not there)
    work       (1 − q) · a look that finds nothing + q (1 − F(t)) · the planned work
    stopping   (1 − q F(t)) · standing for the work in that production window
    travel     (1 − q F(t)) · the way
    parts      (1 − q F(t)) · what expediting costs, where the work begins before the parts come by themselves
    life       q · (cost of a renewal ÷ life of a renewed machine) · mean of the life that is thrown away

The last is renewal-reward (Barlow and Proschan, Mathematical Theory of Reliability, 1965, ch. 4): in the long run a
machine costs its renewals per hour lived, so an hour thrown away costs that rate. Without it every alarm would be
worked on at once. Money is in the currency of ``Cost``; all hours count from now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from maintenance.model import Cost, Forecast
from plant.model import Floats
from plant.windows import Opening

HOUR = timedelta(hours=1)
SHORTEST_H, LONGEST_H = 24.0, 24.0 * 90  # how far a curve looks ahead
BEYOND = 1.25  # × P90
POINTS = 40  # of an even grid, beside now, the windows' begins and the parts' arrival
TAIL = 60  # points of the life beyond the curve


class What(StrEnum):
    """The alternatives that a planner compares."""

    NOW = "now"  # as soon as people and parts can be there
    WINDOW = "window"  # in the best production window
    WAIT = "wait"  # look again at the best later moment


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
    ``expedite_h`` costs more; None: it cannot be done. ``look_share``: of the planned work, when nothing is found.
    """

    precision: float = 1.0
    down_h: float = 0.0
    down_cost_h: float = 0.0
    work_h: float = 0.0
    stop_cost_h: float = 0.0
    expedite: float | None = None
    expedite_h: float = 0.0
    look_share: float = 1.0
    life_h: float = 17_520.0
    look_again_h: float = 24.0


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
    """The expected cost of every candidate moment. ``lead_h``: until the parts are there; ``age_h``: of the forecast."""
    raise NotImplementedError


def stretches(openings: Iterable[Opening], at: datetime) -> tuple[Stretch, ...]:
    """Openings in hours from ``at``; those that are over are left out."""
    return tuple(
        Stretch((each.start - at) / HOUR, (each.end - at) / HOUR, each.cost_h) for each in openings if each.end > at
    )
