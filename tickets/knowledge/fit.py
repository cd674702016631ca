"""How well a guide fits an order: by asset class and failure mode first, then by the words of the order. Pure.

    for this class and mode 1.0 · for the mode on any machine .8 · for any fault of the class .6 · for the mode on
    another machine .5 · for the class, fault unknown .45 · for everything .3        plus up to .5 for the words

A fault that nobody named is met by the words: .25 for a guide of the class, .2 where the machine is not known either.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tickets.knowledge.ranking import Scored
from tickets.model import Text

SENSOR = "sensor:"
UNKNOWN = "unknown"
THRESHOLD = 0.45
WORDS_WEIGH = 0.5
HALF_AT = 4.0  # the score that counts half; 4 to 8 are equal on StackFAQ, and short Chinese texts score low
SHOWN_WORDS = 6


@dataclass(frozen=True, slots=True)
class Scope:
    """What a guide is for; none = every one."""

    classes: tuple[str, ...]
    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an order is about. Of a sensor's fault (``sensor:<signal>:<fault>``) only the fault counts."""

    asset_class: str
    mode: str
    text: str

    @classmethod
    def of(cls, asset_class: str, mode: str | None, text: str) -> Wanted:
        named = mode or UNKNOWN
        if named.startswith(SENSOR):
            return cls("", named.rsplit(":", 1)[-1], text)
        return cls(asset_class, named, text)


@dataclass(frozen=True, slots=True)
class Fit:
    """A guide for an order: how well, and why."""

    article_id: int
    score: float
    reason: Text


def standing(scope: Scope, wanted: Wanted) -> float | None:
    """What class and mode say alone; None when they say no."""
    of_class, any_class = wanted.asset_class in scope.classes, not scope.classes
    of_mode, any_mode = wanted.mode in scope.modes, not scope.modes
    named = of_mode and wanted.mode != UNKNOWN
    if of_class and (of_mode or any_mode):
        return 1.0 if of_mode else 0.6
    if named:
        return 0.8 if any_class else 0.5
    if of_class and UNKNOWN in scope.modes:
        return 0.45
    if any_class and (any_mode or UNKNOWN in scope.modes):
        return 0.3
    if wanted.mode == UNKNOWN and (of_class or not wanted.asset_class):
        return 0.25 if of_class else 0.2
    return None


def fit(article_id: int, scope: Scope, wanted: Wanted, found: Scored[int] | None) -> Fit | None:
    """The guide with its score and reason; None below the threshold."""
    base = standing(scope, wanted)
    if base is None:
        return None
    share = 0.0 if found is None else found.score / (found.score + HALF_AT)
    score = round(base + WORDS_WEIGH * share, 4)
    return Fit(article_id, score, reason(scope, wanted, found.words if found else ())) if score >= THRESHOLD else None


def reason(scope: Scope, wanted: Wanted, words: Collection[str]) -> Text:
    """Why, in a line: mode, class, and the words that both have."""
    parts: list[tuple[str, str]] = []
    if wanted.mode in scope.modes:
        parts.append((f"mode {wanted.mode}", f"故障模式 {wanted.mode}"))
    if wanted.asset_class in scope.classes:
        parts.append((f"class {wanted.asset_class}", f"设备类别 {wanted.asset_class}"))
    elif not scope.classes:
        parts.append(("for every machine", "适用于所有设备"))
    if words:
        shown = list(words)[:SHOWN_WORDS]
        parts.append((f"words: {', '.join(shown)}", f"共同词语：{'、'.join(shown)}"))
    return {"en": ", ".join(en for en, _ in parts), "zh": "，".join(zh for _, zh in parts)}
