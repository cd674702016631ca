"""The words of maintenance: alarm, diagnosis, forecast, decision, policy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import numpy as np
from scipy.special import ndtr, ndtri

from plant.model import FailureMode, Floats, SignatureSignal

Words = Mapping[str, str]  # language → text
UNKNOWN = "unknown"
TENTH = 1.2815515655446004  # standard normal deviate of the 90th per cent
LEAST_LIFE_H = 0.01  # under this, remaining life is now
LEAST_SPREAD = 0.02  # of ln(hours): nothing is known more sharply
LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Symptom(SignatureSignal):
    """A signature signal that also knows by which words its signal is called; no words: any of the quantity."""

    words: tuple[str, ...] = ()
    alert: float | None = None  # level at which people usually act, in ``unit``; for the reader, no judgement uses it
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What it costs to act in time and to let it fail, in whole units of the currency."""

    planned: float
    failure: float
    currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class Mode(FailureMode):
    """A failure mode of the library, with what acting and failing cost.

    ``iso_mode`` and ``cause`` are codes of ISO 14224; ``caused_by`` other modes of the class that lead to this one;
    ``parts``, ``lockout`` lists by language, ``effect`` and ``article`` (the guide's title) texts by language.
    """

    symptoms: tuple[Symptom, ...] = ()
    cost: Cost = Cost(0, 0)
    iso_mode: str = "OTH"
    cause: str = "5.5"
    caused_by: tuple[str, ...] = ()
    effect: Words = field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    article: Words = field(default_factory=dict)
    lockout: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deviation:
    """How one signal takes part: ``share`` 0..1 of the surprise, ``direction`` +1 rises, -1 falls, 0 not known."""

    share: float
    direction: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A failure mode that may explain the deviations; ``because`` are the signal ids that speak for it.

    ``prior``: its share before looking, 0..1; ``likelihood``: how well the deviations fit it, 1 = as no signature at
    all would. The probability follows their product.
    """

    mode: str
    probability: float
    because: tuple[int, ...] = ()
    prior: float = 0.0
    likelihood: float = 0.0


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as data: ``key`` names a template of ``sentences.toml``; a value may itself be given in both languages."""

    key: str
    values: Mapping[str, str | float | Words] = field(default_factory=dict)


class Action(StrEnum):
    OPEN = "open"
    UPDATE = "update"
    WAIT = "wait"
    NONE = "none"
    PROPOSE = "propose"  # to the planner, who decides


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about an alarm, with reasons in the order of their weight."""

    action: Action
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Remaining life in hours from when it was made, and the probability to fail within ``horizon_h``."""

    p10_h: float
    p50_h: float
    p90_h: float
    p_fail: float
    horizon_h: float
    model: str
    version: str
    base_h: tuple[float, float, float] | None = None  # P10, P50, P90 before its record corrected them

    def failure(self, hours: Floats) -> Floats:
        """P(fails before ``hours`` from when it was made), 0..1, never falling; 0.1, 0.5, 0.9 at P10, P50, P90.

        A log-normal on each side of the median, so that both tails go on beyond what the quantiles say.
        """
        middle, below, above = self._shape()
        away = np.log(np.maximum(np.asarray(hours, np.float64), 1e-9)) - middle
        return np.asarray(ndtr(away / np.where(away < 0, below, above)), np.float64)

    def moment(self, chance: Floats) -> Floats:
        """Hours by which it has failed with that probability (0..1): the inverse of ``failure``."""
        middle, below, above = self._shape()
        away = ndtri(np.clip(np.asarray(chance, np.float64), 1e-6, 1.0 - 1e-6))
        return np.asarray(np.exp(middle + away * np.where(away < 0, below, above)), np.float64)

    def survival(self, hours: Floats) -> Floats:
        """P(still runs at ``hours``): 1 − ``failure``."""
        return np.asarray(1.0 - self.failure(hours), np.float64)

    def _shape(self) -> tuple[float, float, float]:
        """ln of the median, and the spread of ln(hours) below and above it."""
        low, middle, high = (float(np.log(max(each, LEAST_LIFE_H))) for each in (self.p10_h, self.p50_h, self.p90_h))
        return middle, max((middle - low) / TENTH, LEAST_SPREAD), max((high - middle) / TENTH, LEAST_SPREAD)


class Opening(StrEnum):
    """Who opens orders."""

    AUTOMATIC = "automatic"  # the alarm, while its detector is proven
    REVIEW = "review"  # a planner, whom the alarm asks


@dataclass(frozen=True, slots=True)
class Policy:
    """When to act. Times are plant time; chosen by reasoning on repair lead and shift length, not by tuning."""

    persist_findings: int = 3  # a deviation said less often is watched
    persist: timedelta = timedelta(hours=2)  # … or lasting shorter
    horizon: timedelta = timedelta(days=7)  # one planning week
    wait_limit: timedelta = timedelta(hours=48)  # even a slow deviation is looked at after this
    act_health: float = 0.5  # health index below which nobody waits
    mute: timedelta = timedelta(days=7)  # after "nothing found" or a rejection
    mute_growth: float = 0.2  # health lost since the verdict that breaks the silence
    refresh: timedelta = timedelta(hours=1)  # a forecast is made at most this often
    clear_delay: timedelta = timedelta(hours=1)  # normal for this long before an alarm clears
    sensor_clear_delay: timedelta = timedelta(minutes=15)  # a sensor's order closes by itself after this
    silence_clear_delay: timedelta = timedelta(seconds=10)  # … of silence sooner; twice as late at each return
    reopen_within: timedelta = timedelta(hours=24)  # an alarm that comes back sooner is the same alarm
    shelve_most: timedelta = timedelta(days=30)
    deadline_share: float = 0.8  # of P10: the work should be done by then
    deadline_least: timedelta = timedelta(hours=4)
    deadline_move: float = 0.25  # a deadline moves when the forecast moved it by this share
    precision_prior: tuple[float, float] = (4.0, 1.0)  # true and false orders believed before any verdict
    opening: Opening = Opening.AUTOMATIC
    proven: float = 0.0  # precision that verdicts must prove before an alarm opens by itself; 0: nothing to prove
    proven_share: float = 0.9  # … with this probability
    cost_planned: float | None = None  # of the work in time; None: as the library says; in its currency, like all money
    cost_failure: float | None = None  # of a failure, what it loses once
    down: timedelta = timedelta(0)  # standing after a failure, where the library's cost does not hold it
    down_cost_h: float = 0.0  # an hour of that
    work: timedelta = timedelta(hours=4)  # standing for the planned work
    stop_cost_h: float | None = None  # an hour of that outside of the windows; None: 1/24 of what a failure loses
    travel: float = 0.0
    parts_lead: timedelta = timedelta(0)  # until parts come; longer where the stock says so
    expedite: float | None = None  # what it costs to get them sooner; None: impossible
    expedite_time: timedelta = timedelta(hours=24)
    send_back: float = 0.0  # parts that were ordered in vain
    look_share: float = 0.3  # of the planned work, when nothing is found
    false_lasting: timedelta = timedelta(hours=100)  # of a false alarm, in the mean
    life: timedelta = timedelta(days=730)  # of a renewed machine
    unwarned: float = 0.01  # share of failures before which the forecast does not fall in time
    doubt: float = 0.05  # share of forecasts from little history that know far less than they say


@dataclass(frozen=True, slots=True)
class VerifyPolicy:
    """When a repair counts as proven."""

    verify: timedelta = timedelta(hours=12)  # running data that must look healthy
    limit: timedelta = timedelta(hours=72)  # then a person is asked
    unhealthy: timedelta = timedelta(hours=4)  # running data that must look ill
    settle: timedelta = timedelta(minutes=30)  # after done and after each start: warming up
    before: timedelta = timedelta(hours=12)  # running data before the repair to compare with
    healed: float = 0.35  # at most this share of the deviation is left
    ill: float = 0.65  # at least this share of it is left
    least_deviation: float = 0.1  # of a band's half width: less cannot be told from nothing
    inside: float = 0.8  # share of running data inside the limits


def top(deviations: Mapping[int, Deviation], *, share: float, most: int) -> Sequence[int]:
    """Signal ids of the strongest deviations that together hold ``share``, at most ``most``, strongest first."""
    chosen: list[int] = []
    held = 0.0
    for signal_id, deviation in sorted(deviations.items(), key=lambda item: (-item[1].share, item[0])):
        if len(chosen) >= most or held >= share:
            break
        chosen.append(signal_id)
        held += deviation.share
    return chosen
