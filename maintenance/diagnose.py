"""Deviations → ranked failure modes. Pure.

A mode's signature is a direction in the space of the asset's signals, the deviations are another; their cosine says how
well they agree. The likelihood of a mode is exp(sharpness × (cosine − ``UNKNOWN_FIT``)), 1 for *unknown*; the
probabilities follow prior × likelihood, even priors where none are given: then whatever fits no signature better than
``UNKNOWN_FIT`` is unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from maintenance.model import UNKNOWN, Candidate, Deviation, Mode, Symptom
from plant.model import Signal

UNKNOWN_FIT = 0.45  # a cosine below this convinces nobody
SHARPNESS = 8.0
BY_QUANTITY = 0.6  # a signal known by its quantity only fits that well
TOLD = 0.95  # what a detector that names the mode itself is trusted with
DISTINCT_OVERLAP = 0.1
DISTINCT_SURE = 0.7
MEMORY = 6  # findings after which old evidence fades
Expected = Mapping[int, tuple[float, int]]  # signal id → (weight, direction) that a mode's signature expects of it


def diagnose(
    deviations: Mapping[int, Deviation],
    signals: Iterable[Signal],
    modes: Sequence[Mode],
    *,
    told: str | None = None,
    prior: Mapping[str, float] | None = None,
    expects: Mapping[str, Expected] | None = None,
) -> tuple[Candidate, ...]:
    """Every mode with its probability (they sum to 1), likeliest first.

    ``told``: the mode that the detector names. ``prior``: mode → share before looking (``learning.priors``).
    ``expects``: what :func:`expectations` gives for these modes and signals, where it is asked again and again.
    """
    by_id = {signal.signal_id: signal for signal in signals}
    known = [by_id[signal_id] for signal_id in deviations if signal_id in by_id]
    found = expectations(modes, known) if expects is None else expects
    expected = {
        mode.code: {key: found[mode.code][key] for key in deviations if key in found[mode.code]} for mode in modes
    }
    before = {mode.code: (prior or {}).get(mode.code, 1.0 / len(modes)) for mode in modes}
    likelihood = {mode.code: _likelihood(mode, expected[mode.code], deviations) for mode in modes}
    total = sum(before[code] * likelihood[code] for code in before)
    chances = {code: before[code] * likelihood[code] / total for code in before}
    if told in chances:
        chances = {code: (1 - TOLD) * chance + TOLD * (code == told) for code, chance in chances.items()}
    ranked = sorted(modes, key=lambda mode: (-chances[mode.code], mode.code))
    return tuple(
        Candidate(
            mode.code,
            chances[mode.code],
            _because(expected[mode.code], deviations),
            round(before[mode.code], 6),
            round(likelihood[mode.code], 6),
        )
        for mode in ranked
    )


def expectations(modes: Sequence[Mode], signals: Sequence[Signal]) -> dict[str, Expected]:
    """Mode → what its signature expects of these signals."""
    return {mode.code: _expected(mode, modes, signals) for mode in modes}


def gather(before: Mapping[int, Deviation], now: Mapping[int, Deviation], *, findings: int) -> dict[int, Deviation]:
    """The evidence of an alarm after its ``findings``-th finding: a mean that slowly forgets; shares sum to 1."""
    fresh = 1.0 / min(max(findings, 1), MEMORY)
    signed = {
        signal_id: (1 - fresh) * _signed(before.get(signal_id)) + fresh * _signed(now.get(signal_id))
        for signal_id in {*before, *now}
    }
    total = sum(abs(value) for value in signed.values())
    if total <= 0:
        return dict(now)
    return {signal_id: Deviation(abs(value) / total, _sign(value)) for signal_id, value in signed.items() if value}


def distinct(
    running: Mapping[int, Deviation],
    fresh: Mapping[int, Deviation],
    *,
    running_diagnosis: Sequence[Candidate],
    fresh_diagnosis: Sequence[Candidate],
) -> bool:
    """Whether a deviation is clearly another fault than the running alarm's.

    Both must be named with confidence, differently, and share hardly a signal; in doubt it is the same fault.
    """
    overlap = sum(
        min(each.share, running[signal_id].share) for signal_id, each in fresh.items() if signal_id in running
    )
    if overlap > DISTINCT_OVERLAP or not running_diagnosis or not fresh_diagnosis:
        return False
    first, second = running_diagnosis[0], fresh_diagnosis[0]
    sure = min(first.probability, second.probability) >= DISTINCT_SURE
    return sure and first.mode != second.mode and UNKNOWN not in (first.mode, second.mode)


def words_of(signal: Signal) -> frozenset[str]:
    """The words of a signal's code and name, lower case; ``sensor_2`` is also ``s2``."""
    return _words(f"{signal.code} {signal.name}".lower())


@lru_cache(maxsize=10_000)
def _words(text: str) -> frozenset[str]:
    parts = re.findall(r"[a-z]+\d*|\d+", text)
    chinese = (
        piece[i:j] for piece in re.findall(r"[\u4e00-\u9fff]+", text) for i in range(len(piece)) for j in (i + 1, i + 2)
    )
    numbered = (f"s{number}" for number in re.findall(r"(?:sensor|s)[ _-]?(\d+)", text))
    return frozenset([*parts, *numbered, *chinese])


def affinity(symptom: Symptom, signal: Signal, modes: Sequence[Mode]) -> float:
    """How well a signal is the one that a symptom means, 0..1.

    1 by its words; less by its quantity alone, and nothing when its words make it another symptom's signal.
    """
    if symptom.quantity not in ("*", signal.quantity):
        return 0.0
    named = words_of(signal)
    if not symptom.words or named & set(symptom.words):
        return 1.0
    if symptom.quantity == "*" or any(_claims(each, signal, named) for mode in modes for each in mode.symptoms):
        return 0.0
    return BY_QUANTITY


def _claims(symptom: Symptom, signal: Signal, named: frozenset[str]) -> bool:
    return symptom.quantity == signal.quantity and bool(named & set(symptom.words))


def _expected(mode: Mode, modes: Sequence[Mode], signals: Iterable[Signal]) -> dict[int, tuple[float, int]]:
    expected: dict[int, tuple[float, int]] = {}
    for signal in signals:
        for symptom in mode.symptoms:
            weight = symptom.weight * affinity(symptom, signal, modes)
            if weight > expected.get(signal.signal_id, (0.0, 0))[0]:
                expected[signal.signal_id] = (weight, symptom.direction)
    return expected


def _likelihood(mode: Mode, expected: Expected, seen: Mapping[int, Deviation]) -> float:
    """How many times better the mode explains the deviations than an unknown fault does."""
    fit = UNKNOWN_FIT if mode.code == UNKNOWN else _fit(mode, expected, seen)
    return math.exp(SHARPNESS * (fit - UNKNOWN_FIT))


def _fit(mode: Mode, expected: Expected, seen: Mapping[int, Deviation]) -> float:
    """Cosine between signature and deviations; what the signature misses counts half: symptoms come one by one."""
    dot = sum(
        weight * seen[signal_id].share * _agree(way, seen[signal_id]) for signal_id, (weight, way) in expected.items()
    )
    full = math.sqrt(sum(symptom.weight**2 for symptom in mode.symptoms))
    met = math.sqrt(sum(weight**2 for weight, _ in expected.values()))
    norm = math.sqrt(sum(each.share**2 for each in seen.values()))
    length = (full + met) / 2
    return dot / (length * norm) if length > 0 and norm > 0 else 0.0


def _agree(way: int, seen: Deviation) -> float:
    if way == 0 or seen.direction == 0:
        return 0.7 if way != seen.direction else 1.0
    return 1.0 if way == seen.direction else -1.0


def _because(expected: Expected, seen: Mapping[int, Deviation]) -> tuple[int, ...]:
    spoken = [signal_id for signal_id, (_, way) in expected.items() if _agree(way, seen[signal_id]) > 0]
    return tuple(sorted(spoken, key=lambda signal_id: -seen[signal_id].share))


def _signed(deviation: Deviation | None) -> float:
    """Share with its sign; a direction that is not known counts as up, so that the share is not lost."""
    return 0.0 if deviation is None else deviation.share * (deviation.direction or 1)


def _sign(value: float) -> int:
    return 1 if value > 0 else -1
