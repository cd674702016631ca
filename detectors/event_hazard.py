"""Error and maintenance logs → the hazard of each component: will it fail within a day? Pure; no telemetry.

At every moment at which a machine logs an error, each component asks a boosted model of its own: which error codes came
together just now, in the last day and in the last weeks, how long ago this component, any component and the others were
replaced, how late in the day it is, how old the machine is and of which model. An order is opened where the answer
reaches the component's threshold, and not again within ``REFRACTORY_H`` of its last one unless it was replaced between.

A threshold is chosen on machines that the models which judge them have not seen (grouped folds inside the training
machines): the lowest at which a share ``WANTED_PRECISION`` of the orders is right.

In the product errors and replacements are rows of ``machine_events`` and a component is a failure mode of the machine's
class; ``maintenance.life.events_watch`` asks after every error and speaks as the detector NAME.

Hazard by logged events: Microsoft's predictive-maintenance template has the same features per day; here per event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from plant.model import Floats

NAME, VERSION = "event-hazard", "1"
HORIZON_H = 24.0
REFRACTORY_H = 24.0
WINDOWS_H = (0.0, 24.0, 168.0)  # together with this error, within a day, within a week
NEVER_H = 24.0 * 730  # longer ago than any record reaches
WANTED_PRECISION = 0.85  # a missed failure costs many times a needless look
THRESHOLDS = np.geomspace(0.01, 0.9, 40)
INNER_FOLDS = 4
DAY_H = 24.0
LEAST_CHANCE, MOST_CHANCE = 1e-4, 0.999


@dataclass(frozen=True, slots=True)
class MachineLog:
    """What is written down of one machine. Times in hours since any common zero, ascending.

    ``errors``: (time, code); ``replaced``: (time, component), failures' own replacements included; ``failed``: (time,
    component), known for machines that a model learns from or is judged by.
    """

    machine: str
    model: str
    age_years: float
    errors: Sequence[tuple[float, str]]
    replaced: Sequence[tuple[float, str]]
    failed: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True, slots=True)
class LogOrder:
    """An order for one component of a machine; ``hazard`` is its chance to fail within ``HORIZON_H``."""

    machine: str
    component: str
    at_h: float
    hazard: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Order by order: failures that an order preceded by at most ``HORIZON_H``, and orders that a failure followed."""

    failures: int
    announced: int
    orders: int
    right: int

    @property
    def recall(self) -> float:
        """Announced failures ÷ failures; 0 without any."""
        return self.announced / self.failures if self.failures else 0.0

    @property
    def precision(self) -> float:
        """Right orders ÷ orders; 0 without any."""
        return self.right / self.orders if self.orders else 0.0


@dataclass(frozen=True, slots=True)
class Words:
    """The codes, components and models that a hazard model knows, in the order of its columns."""

    codes: tuple[str, ...]
    components: tuple[str, ...]
    models: tuple[str, ...]

    @staticmethod
    def of(logs: Iterable[MachineLog]) -> Words:
        """All that occurs in these logs."""
        kept = list(logs)
        return Words(
            tuple(sorted({code for log in kept for _, code in log.errors})),
            tuple(sorted({part for log in kept for _, part in (*log.replaced, *log.failed)})),
            tuple(sorted({log.model for log in kept})),
        )


class LogHazard:
    """The fitted models of every component with their thresholds. Fit it anew from the records; nothing is stored."""

    def __init__(self, words: Words, models: Mapping[str, HistGradientBoostingClassifier | None]) -> None:
        self.words = words
        self._models = models
        self.thresholds: Mapping[str, float] = dict.fromkeys(words.components, 0.5)

    @staticmethod
    def fit(logs: Sequence[MachineLog], *, seed: int = 0) -> LogHazard:
        """Learn from machines with known failures; thresholds from inner folds by machine."""
        words = Words.of(logs)
        made = LogHazard(words, _models(logs, words, seed))
        made.thresholds = _thresholds(logs, words, seed)
        return made

    def hazards(self, log: MachineLog) -> tuple[Floats, dict[str, Floats]]:
        """(moments float64[n] in hours, component → chance to fail within a day float64[n])."""
        at, rows = moments(log), features(log, self.words)
        return at, {part: _chance(self._models[part], rows[part]) for part in self.words.components}

    def orders(self, log: MachineLog) -> list[LogOrder]:
        """What would have been opened for this machine, in the order of time; looks only backwards."""
        at, chances = self.hazards(log)
        found = [
            order for part, chance in chances.items() for order in _opened(log, part, at, chance, self.thresholds[part])
        ]
        return sorted(found, key=lambda order: (order.at_h, order.component))


def remaining_h(chance: float) -> tuple[float, float, float]:
    """P10, P50 and P90 of the hours left when a component fails within ``HORIZON_H`` with this chance (0..1) and the
    hazard stays as it is (exponential)."""
    rate = -np.log1p(-min(max(chance, LEAST_CHANCE), MOST_CHANCE)) / HORIZON_H
    p10, p50, p90 = (float(-np.log1p(-level) / rate) for level in (0.1, 0.5, 0.9))
    return p10, p50, p90


def within(chance: float, hours: float) -> float:
    """Chance to fail within so many hours, when it is ``chance`` within ``HORIZON_H`` and the hazard stays as it is."""
    return float(-np.expm1(hours / HORIZON_H * np.log1p(-min(max(chance, LEAST_CHANCE), MOST_CHANCE))))


def moments(log: MachineLog) -> Floats:
    """The times at which a machine logged errors, each once."""
    return np.unique(np.array([at for at, _ in log.errors], np.float64))


def features(log: MachineLog, words: Words) -> dict[str, Floats]:
    """Component → float64[moments, columns]; a row knows what was logged up to its moment, and no failure."""
    at = moments(log)
    shared = [*_counts(log, words, at), at % DAY_H, np.full(len(at), log.age_years)]
    shared += [np.full(len(at), float(log.model == model)) for model in words.models]
    ages = {part: _since([when for when, what in log.replaced if what == part], at) for part in words.components}
    visit = _since([when for when, _ in log.replaced], at)
    return {
        part: np.column_stack([*shared, ages[part], visit, *(age for other, age in ages.items() if other != part)])
        for part in words.components
    }


def outcome(logs: Sequence[MachineLog], orders: Iterable[LogOrder]) -> Outcome:
    """Score orders against the recorded failures of these machines."""
    opened: dict[tuple[str, str], list[float]] = {}
    for order in orders:
        opened.setdefault((order.machine, order.component), []).append(order.at_h)
    failed: dict[tuple[str, str], list[float]] = {}
    for log in logs:
        for at, part in log.failed:
            failed.setdefault((log.machine, part), []).append(at)
    announced = sum(_near(opened.get(key, ()), at) for key, times in failed.items() for at in times)
    right = sum(
        any(0 < at - when <= HORIZON_H for at in failed.get(key, ())) for key, times in opened.items() for when in times
    )
    return Outcome(sum(map(len, failed.values())), announced, sum(map(len, opened.values())), right)


def _near(opened: Sequence[float], failed_at: float) -> bool:
    return any(0 < failed_at - at <= HORIZON_H for at in opened)


def _counts(log: MachineLog, words: Words, at: Floats) -> list[Floats]:
    """Errors of each code within each window that ends at the moment, which is counted."""
    columns = []
    for code in words.codes:
        times = np.array([when for when, what in log.errors if what == code], np.float64)
        until = np.searchsorted(times, at, side="right")
        since = [np.searchsorted(times, at - window, side="left") for window in WINDOWS_H]
        columns += [(until - each).astype(np.float64) for each in since]
    return columns


def _since(times: Sequence[float], at: Floats) -> Floats:
    """Hours since the last of ``times`` at each moment; ``NEVER_H`` where there was none."""
    known = np.sort(np.array(times, np.float64))
    last = np.searchsorted(known, at, side="right") - 1
    if not len(known):
        return np.full(len(at), NEVER_H)
    return np.where(last >= 0, np.minimum(at - known[np.maximum(last, 0)], NEVER_H), NEVER_H)


def _labels(log: MachineLog, part: str) -> Floats:
    times = np.sort(np.array([at for at, what in log.failed if what == part], np.float64))
    at = moments(log)
    coming = np.searchsorted(times, at, side="right")
    ahead = np.append(times, np.inf)[coming] - at
    return (ahead <= HORIZON_H).astype(np.float64)


def _models(logs: Sequence[MachineLog], words: Words, seed: int) -> dict[str, HistGradientBoostingClassifier | None]:
    rows = [features(log, words) for log in logs]
    models: dict[str, HistGradientBoostingClassifier | None] = {}
    for part in words.components:
        told = np.concatenate([_labels(log, part) for log in logs])
        seen = np.concatenate([each[part] for each in rows])
        models[part] = _fit(seen, told, seed) if 0 < told.sum() < len(told) else None
    return models


def _fit(rows: Floats, labels: Floats, seed: int) -> HistGradientBoostingClassifier:
    model = HistGradientBoostingClassifier(
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=8,
        l2_regularization=1.0,
        random_state=seed,
    )
    with threadpool_limits(1):  # a few thousand rows: threads that wait for each other cost a hundred times more
        return model.fit(rows, labels)


def _chance(model: HistGradientBoostingClassifier | None, rows: Floats) -> Floats:
    if model is None or not len(rows):
        return np.zeros(len(rows))
    with threadpool_limits(1):
        return np.asarray(model.predict_proba(rows)[:, 1], np.float64)


def _opened(log: MachineLog, part: str, at: Floats, chance: Floats, least: float) -> list[LogOrder]:
    """One order a component, and the next not before ``REFRACTORY_H`` or its replacement."""
    replaced = [when for when, what in log.replaced if what == part]
    made: list[LogOrder] = []
    for when, hazard in zip(at, chance, strict=True):
        if hazard < least:
            continue
        last = made[-1].at_h if made else -np.inf
        if when - last < REFRACTORY_H and not any(last < each <= when for each in replaced):
            continue
        made.append(LogOrder(log.machine, part, float(when), float(hazard)))
    return made


def _thresholds(logs: Sequence[MachineLog], words: Words, seed: int) -> dict[str, float]:
    """Per component the lowest threshold at which enough orders are right, on machines that the models did not see."""
    unseen = _unseen(logs, words, seed)
    return {part: _lowest(part, unseen) for part in words.components}


def _unseen(logs: Sequence[MachineLog], words: Words, seed: int) -> list[tuple[MachineLog, dict[str, Floats]]]:
    """Each log with the chances of models that learnt from other machines."""
    dealt = np.random.default_rng(seed).permutation(len(logs))
    found = []
    for fold in range(INNER_FOLDS):
        inside = {int(each) for each in dealt[fold::INNER_FOLDS]}
        models = _models([log for each, log in enumerate(logs) if each not in inside], words, seed)
        for log in (logs[each] for each in sorted(inside)):
            rows = features(log, words)
            found.append((log, {part: _chance(models[part], rows[part]) for part in words.components}))
    return found


def _lowest(part: str, unseen: Sequence[tuple[MachineLog, Mapping[str, Floats]]]) -> float:
    only = [replace(log, failed=[each for each in log.failed if each[1] == part]) for log, _ in unseen]
    for least in THRESHOLDS:
        opened = [order for log, chance in unseen for order in _opened(log, part, moments(log), chance[part], least)]
        if outcome(only, opened).precision >= WANTED_PRECISION:
            return float(least)
    return float(THRESHOLDS[-1])
