"""Simulated faults for ``benchmarks.decide``: what is drawn, from what ranges, and what an outcome costs.

Every number below is drawn anew for each fault, and hidden from the decider unless the plant itself would know it
(costs, windows, lead times, the machine's typical life). L(a, b) is log-uniform, U(a, b) uniform.

========================  ==========================================================================================
the machine               typical life L(2 000, 20 000) h; age at the fault Weibull (shape U(1.5, 4)) around it
the fault                 from its first sign to the failure L(48, 2 160) h; damage grows by one of four laws: power
                          (exponent U(1, 3)), exponential (rate U(1, 4)), two stages (a knee at U(0.4, 0.8) of the time
                          and U(0.1, 0.35) of the damage), or a gamma process around a power (jumps of their own)
failing                   at a damage of exp(0.08 N(0, 1)), not at exactly 1
what is seen              health every 2 h with noise L(0.005, 0.05), half of it correlated over about a day; from a
                          damage of 0.03 on; the alarm comes at a damage of U(0.05, 0.25)
false alarms              with probability 1 − precision, the precision being U(0.75, 0.98); damage rises to
                          U(0.05, 0.4) at once or creeping, and is gone after L(24, 720) h. Known: the precision
planned work              L(500, 8 000); L(2, 10) h of standing; travel L(50, 800)
failure                   repair U(2, 8) × planned; U(8, 72) h of standing at L(50, 3 000) an hour
a look that finds nothing U(0.15, 0.4) × planned
windows                   4 of 5 machines: every 24, 84, 168 or 336 h, U(1.1, 3) × the work's hours long, where standing
                          costs U(0, 0.1) of the hour; outside of them U(0.5, 1) of it. The fifth may always stand, for
                          U(0, 0.1) of the hour
parts                     half are in stock; else they take L(24, 336) h, or L(8, 48) h for U(0.2, 1) × planned more;
                          sent back after a false alarm they cost U(0.05, 0.2) × planned
========================  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from maintenance.decide_moment import Stretch
from plant.model import Floats

Rng = np.random.Generator
SAMPLE_H = 2.0
SEEN_FROM = 0.03
LONGEST_H = 24.0 * 180


@dataclass(frozen=True, slots=True)
class Plant:
    """What the plant knows of a machine and of the work on it; money in one currency."""

    precision: float
    life_h: float
    planned: float
    look: float
    travel: float
    work_h: float
    repair: float
    down_h: float
    down_cost_h: float
    stop_cost_h: float
    windows: tuple[Stretch, ...]
    every_h: float  # between the windows; they have always come so
    lead_h: float
    expedite: float
    expedite_h: float
    send_back: float


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """One alarm. Hours count from it: ``ends_h`` is the failure, or the end of a false alarm. ``age_h`` of the machine.

    ``seen_h`` and ``health`` are what the detector reports, from before the alarm to the end.
    """

    number: int
    real: bool
    ends_h: float
    age_h: float
    seen_h: Floats
    health: Floats
    plant: Plant


def faults(count: int, seed: int) -> Iterator[Fault]:
    """So many faults, each drawn from a stream of its own."""
    for number, stream in enumerate(np.random.SeedSequence(seed).spawn(count)):
        yield _fault(number, np.random.default_rng(stream))


# -- what outcomes cost -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one fault came to: money, how much of a typical life the machine ran until it was renewed, and in a word."""

    cost: float
    lived: float
    how: str


def standing(plant: Plant, start_h: float) -> float:
    """What standing for the planned work from then on costs."""
    if not plant.windows:
        return plant.work_h * plant.stop_cost_h
    first = plant.windows[0]
    phase = (start_h - first.start_h) % plant.every_h
    lasting, until = first.end_h - first.start_h, phase + plant.work_h
    inside = max(0.0, min(lasting, until) - phase) + max(0.0, min(lasting, until - plant.every_h))
    return plant.work_h * plant.stop_cost_h - inside * (plant.stop_cost_h - first.cost_h)


def next_window(plant: Plant, hour: float) -> float:
    """The first hour from then on at which the work fits into a window; a plant without windows may always stop."""
    if not plant.windows:
        return hour
    first = plant.windows[0]
    phase = (hour - first.start_h) % plant.every_h
    return hour if phase + plant.work_h <= first.end_h - first.start_h else hour + plant.every_h - phase


def worked(fault: Fault, start_h: float, *, extra: float = 0.0) -> Outcome:
    """The work began in time, ``extra`` was paid for parts: of a false alarm it is a look that finds nothing."""
    plant = fault.plant
    going = plant.travel + standing(plant, start_h) + extra
    if not fault.real:
        return Outcome(going + plant.look, 0.0, "worked_false")
    return Outcome(going + plant.planned, max(fault.age_h + start_h, 1.0) / plant.life_h, "worked_real")


def failed(fault: Fault, parts_h: float | None, *, extra: float = 0.0) -> Outcome:
    """The machine failed first. ``parts_h``: when the parts come that are ordered; None: none are."""
    plant = fault.plant
    wait = plant.lead_h if parts_h is None else max(0.0, parts_h - fault.ends_h)
    parts = min(wait * plant.down_cost_h, plant.expedite + min(wait, plant.expedite_h) * plant.down_cost_h)
    cost = plant.repair + plant.travel + plant.down_h * plant.down_cost_h + parts + extra
    return Outcome(cost, (fault.age_h + fault.ends_h) / plant.life_h, "failed")


def cleared(fault: Fault, parts_h: float | None, *, extra: float = 0.0) -> Outcome:
    """A false alarm ended before anybody went: parts that were ordered go back."""
    back = fault.plant.send_back if parts_h is not None and fault.plant.lead_h > 0 else 0.0
    return Outcome(extra + back, 0.0, "cleared")


def hindsight(fault: Fault) -> Outcome:
    """The cheapest that anybody could do who knows the failure: begin at the best moment before it, or let it fail."""
    if not fault.real:
        return Outcome(0.0, 0.0, "cleared")
    plant = fault.plant
    grid = np.linspace(0.0, max(fault.ends_h - 1e-6, 0.0), 200).tolist()
    inside = [hour for each in plant.windows for hour in (each.start_h, each.end_h - plant.work_h)]
    found = [failed(fault, plant.lead_h)]
    starts = [start for start in [*grid, *inside, plant.lead_h, plant.expedite_h] if 0 <= start < fault.ends_h]
    earliest = min(plant.lead_h, plant.expedite_h)
    found.extend(
        worked(fault, start, extra=plant.expedite if start < plant.lead_h else 0.0)
        for start in starts
        if start >= earliest
    )
    return min(found, key=lambda each: each.cost - (plant.planned + plant.travel) * each.lived)


def per_life(outcomes: Iterable[Outcome]) -> float:
    """Long-run cost of a typical machine life: the renewal-reward quotient of mean cost and mean life lived."""
    kept = list(outcomes)
    return sum(each.cost for each in kept) / sum(each.lived for each in kept)


# -- drawing ----------------------------------------------------------------------------------------------------------


def _fault(number: int, rng: Rng) -> Fault:
    plant = _plant(rng)
    real = bool(rng.random() < plant.precision)
    first, ends, damage = _real(rng) if real else _false(rng)
    seen = np.arange(-first, ends, SAMPLE_H)
    health = np.clip(1.0 - damage(seen) - _noise(rng, len(seen)), 0.0, 1.0)
    age = plant.life_h * float(rng.weibull(rng.uniform(1.5, 4.0)))
    return Fault(number, real, ends, age, seen, health, plant)


class _Path:
    """Damage over the hours since the alarm, by interpolation."""

    def __init__(self, hours: Floats, damage: Floats) -> None:
        self._hours, self._damage = hours, damage

    def __call__(self, hours: Floats) -> Floats:
        return np.interp(hours, self._hours, self._damage)


def _real(rng: Rng) -> tuple[float, float, _Path]:
    """Hours from the first sight to the alarm, from the alarm to the failure, and the damage between."""
    length = _log(rng, 48, 2160)
    u = np.linspace(0.0, 1.0, 600)
    damage = _law(rng, u) * float(np.exp(0.08 * rng.standard_normal()))
    alarm = float(u[np.searchsorted(damage, rng.uniform(0.05, 0.25))]) * length
    seen = min(float(u[np.searchsorted(damage, SEEN_FROM)]) * length, alarm)
    return alarm - seen, length - alarm, _Path(u * length - alarm, damage)


def _law(rng: Rng, u: Floats) -> Floats:
    kind = rng.integers(4)
    if kind == 0:
        return np.asarray(u ** rng.uniform(1, 3))
    if kind == 1:
        rate = rng.uniform(1, 4)
        return np.asarray(np.expm1(rate * u) / np.expm1(rate))
    if kind == 2:
        knee, level = rng.uniform(0.4, 0.8), rng.uniform(0.1, 0.35)
        return np.interp(u, [0, knee, 1], [0, level, 1])
    shape = np.diff(u ** rng.uniform(1, 2.5), prepend=0.0) * rng.uniform(15, 80)
    path = np.cumsum(rng.gamma(np.maximum(shape, 1e-9)))
    return np.asarray(path / path[-1])


def _false(rng: Rng) -> tuple[float, float, _Path]:
    lasts, level = _log(rng, 24, 720), rng.uniform(0.05, 0.4)
    first = min(6.0, lasts / 4)
    rising = -first + (first if rng.random() < 0.5 else 0.8 * (first + lasts))
    return first, lasts, _Path(np.array([-first, rising, lasts]), np.array([0.02, level, level]))


def _noise(rng: Rng, count: int) -> Floats:
    size = _log(rng, 0.005, 0.05)
    white, slow = rng.standard_normal((2, count))
    kept = float(np.exp(-SAMPLE_H / 24))
    for i in range(1, count):
        slow[i] = kept * slow[i - 1] + np.sqrt(1 - kept**2) * slow[i]
    return np.asarray(size * (white + slow) / np.sqrt(2))


def _plant(rng: Rng) -> Plant:
    planned, down_cost_h, work_h = _log(rng, 500, 8000), _log(rng, 50, 3000), _log(rng, 2, 10)
    cheap_h = down_cost_h * rng.uniform(0, 0.1)
    always = bool(rng.random() < 0.2)
    windows, every_h = ((), 0.0) if always else _windows(rng, work_h, cheap_h)
    in_stock = bool(rng.random() < 0.5)
    lead = 0.0 if in_stock else _log(rng, 24, 336)
    return Plant(
        precision=rng.uniform(0.75, 0.98),
        life_h=_log(rng, 2_000, 20_000),
        planned=planned,
        look=planned * rng.uniform(0.15, 0.4),
        travel=_log(rng, 50, 800),
        work_h=work_h,
        repair=planned * rng.uniform(2, 8),
        down_h=rng.uniform(8, 72),
        down_cost_h=down_cost_h,
        stop_cost_h=cheap_h if always else down_cost_h * rng.uniform(0.5, 1),
        windows=windows,
        every_h=every_h,
        lead_h=lead,
        expedite=planned * rng.uniform(0.2, 1),
        expedite_h=min(lead, _log(rng, 8, 48)),
        send_back=planned * rng.uniform(0.05, 0.2),
    )


def _windows(rng: Rng, work_h: float, cost_h: float) -> tuple[tuple[Stretch, ...], float]:
    every = float(rng.choice([24, 84, 168, 336]))
    lasting = min(work_h * rng.uniform(1.1, 3), 0.9 * every)
    starts = np.arange(rng.uniform(-every, 0), LONGEST_H, every)
    return tuple(Stretch(float(start), float(start) + lasting, cost_h) for start in starts), every


def _log(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
