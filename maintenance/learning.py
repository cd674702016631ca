"""What verdicts teach the diagnosis: how often each mode occurs, and by which signals it really shows. Pure.

    judged cases ──> tally per mode ──> prior (Dirichlet counts: class, then machine)      × likelihood ──> probability
                                   └──> signature (the library's, moved towards what was seen) ──┘

A judged case is an order whose verdict names the mode: *confirmed* the alarm's, *other fault* the one that was found.
The prior of a machine is its class's, counted as ``MACHINE_BELIEF`` cases, plus its own; the class's starts even, one
case a mode. Counts are discounted by a power, for repairs change what comes next and some verdicts are wrong. A
signature counts as ``LIBRARY_BELIEF`` cases of its own. *Unknown* is never held less likely than the average named
mode: a new pattern stays unknown however often another one came before.

Sources: Gelman et al., Bayesian Data Analysis, ch. 3 and 5 (Dirichlet counts, partial pooling); Ibrahim and Chen 2000,
power priors. The constants were chosen on simulated histories other than those of the tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from maintenance.diagnose import words_of
from maintenance.model import UNKNOWN, Deviation, Mode, Symptom
from plant.model import Signal

CLASS_BELIEF = 1.0  # cases that stand for each mode before any verdict
MACHINE_BELIEF = 20.0
DISCOUNT = 0.5  # the power of the counts
LIBRARY_BELIEF = 6.0
LEAST_WEIGHT = 0.12  # of a signature's length: below this a signal that the library does not name is chance
ANY = "*"
Profile = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """An order that was judged: the machine, the mode that a person named, and its deviations as a unit vector."""

    asset_id: int
    mode: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Tally:
    """Judged cases of one mode of a class, and the sum of their profiles."""

    cases: int = 0
    profile: Profile = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a class's cases add up to; ``here`` counts the modes of the one machine that is being looked at."""

    tallies: Mapping[str, Tally] = field(default_factory=dict)
    here: Mapping[str, int] = field(default_factory=dict)


def tally(cases: Iterable[Case], *, asset_id: int | None = None) -> Learnt:
    """Add up judged cases; ``asset_id`` is the machine whose own are counted apart."""
    counts: dict[str, int] = {}
    sums: dict[str, dict[str, float]] = {}
    here: dict[str, int] = {}
    for case in cases:
        counts[case.mode] = counts.get(case.mode, 0) + 1
        total = sums.setdefault(case.mode, {})
        for key, value in case.profile.items():
            total[key] = total.get(key, 0.0) + value
        if case.asset_id == asset_id:
            here[case.mode] = here.get(case.mode, 0) + 1
    return Learnt({mode: Tally(count, sums[mode]) for mode, count in counts.items()}, here)


def priors(modes: Sequence[Mode], learnt: Learnt) -> dict[str, float]:
    """Mode → its share before looking at the deviations; they sum to 1."""
    codes = [mode.code for mode in modes]
    pooled = {code: CLASS_BELIEF + learnt.tallies.get(code, Tally()).cases for code in codes}
    total = sum(pooled.values())
    own = {code: (MACHINE_BELIEF * pooled[code] / total + learnt.here.get(code, 0)) ** DISCOUNT for code in codes}
    if UNKNOWN in own and len(own) > 1:
        named = [share for code, share in own.items() if code != UNKNOWN]
        own[UNKNOWN] = max(own[UNKNOWN], sum(named) / len(named))
    total = sum(own.values())
    return {code: share / total for code, share in own.items()}


def signatures(modes: Sequence[Mode], learnt: Learnt) -> tuple[Mode, ...]:
    """The modes with their signatures moved towards what judged cases showed."""
    return tuple(
        _moved(mode, found) if (found := learnt.tallies.get(mode.code)) and mode.code != UNKNOWN else mode
        for mode in modes
    )


def profile(deviations: Mapping[int, Deviation], signals: Iterable[Signal], modes: Sequence[Mode]) -> dict[str, float]:
    """The deviations as a vector of length 1 over signal names that the machines of a class share.

    A signal that two of the machine's share a name with adds up; one without a known direction counts as rising.
    """
    by_id = {signal.signal_id: signal for signal in signals}
    found: dict[str, float] = {}
    for signal_id, seen in deviations.items():
        if signal_id in by_id:
            key = key_of(by_id[signal_id], modes)
            found[key] = found.get(key, 0.0) + seen.share * (seen.direction or 1)
    length = math.sqrt(sum(value**2 for value in found.values()))
    return {key: round(value / length, 6) for key, value in found.items() if value} if length > 0 else {}


def key_of(signal: Signal, modes: Sequence[Mode]) -> str:
    """``quantity:word``: the symptom's that the signal is known by, else its own longest word."""
    named = words_of(signal)
    for mode in modes:
        for symptom in mode.symptoms:
            if symptom.quantity in (ANY, signal.quantity) and named & set(symptom.words):
                return _key(symptom)
    return f"{signal.quantity}:{max(named, key=lambda word: (len(word), word), default='')}"


def _key(symptom: Symptom) -> str:
    return f"{symptom.quantity}:{symptom.words[0] if symptom.words else ''}"


def _moved(mode: Mode, seen: Tally) -> Mode:
    """Posterior mean of the signature's direction: the library's unit vector counts as ``LIBRARY_BELIEF`` cases."""
    length = math.sqrt(sum(each.weight**2 for each in mode.symptoms)) or 1.0
    trust = LIBRARY_BELIEF + seen.cases
    known = {_key(each) for each in mode.symptoms}
    moved = [_symptom(each, seen.profile.get(_key(each), 0.0), length, trust) for each in mode.symptoms]
    fresh = [_fresh(key, value * length / trust) for key, value in seen.profile.items() if key not in known]
    kept = [each for each in (*moved, *fresh) if each.weight >= LEAST_WEIGHT * length or each in moved[:1]]
    return replace(mode, symptoms=tuple(kept))


def _symptom(symptom: Symptom, seen: float, length: float, trust: float) -> Symptom:
    way = symptom.direction or (1 if seen >= 0 else -1)
    value = (LIBRARY_BELIEF * symptom.weight * way + seen * length) / trust
    direction = symptom.direction if value * way > 0 else (1 if value > 0 else -1)
    return replace(symptom, weight=max(abs(value), 1e-6), direction=direction)


def _fresh(key: str, value: float) -> Symptom:
    quantity, word = key.split(":", 1)
    return Symptom(
        quantity=quantity, direction=1 if value > 0 else -1, weight=abs(value) or 1e-6, words=(word,) if word else ()
    )
