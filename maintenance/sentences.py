"""Sentences as data → text in every language. Templates are in ``sentences*.toml``; a key is in one file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from maintenance.model import LANGUAGES, Reason, Words

FILES = sorted(Path(__file__).parent.glob("sentences*.toml"))
GENERIC = "generic"
DIMENSIONLESS = "1"  # a unit that nobody says
LOOSE = re.compile(r" +([,.;:，。；：、]| |$)")  # a space that an empty blank leaves before a mark
WHOLE_FROM = 100.0  # larger numbers are said without decimals
DAYS_FROM_H = 48.0
YEAR_H = 24.0 * 365
CHANCES = frozenset({"percent", "risk"})  # blanks that hold a probability
LEAST_PERCENT = 0.1


@cache
def templates() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Key → language → variants, richest first."""
    document: dict[str, Any] = {}
    for file in FILES:
        more = dict(_flat(tomllib.loads(file.read_text("utf-8"))))
        if twice := document.keys() & more.keys():
            raise ValueError(f"{file.name}: said in another file already: {', '.join(sorted(twice))}")
        document |= more
    return {key: {language: tuple(entry[language]) for language in LANGUAGES} for key, entry in document.items()}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``["a.b"]`` and ``[a.b]`` are the same key."""
    for key, entry in table.items():
        if set(LANGUAGES) <= entry.keys():
            yield prefix + key, entry
        else:
            yield from _flat(entry, f"{prefix}{key}.")


def say(key: str, values: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The sentence in every language; a key that nobody described gives the generic sentence.

    A value may be a number, a text, or a text in every language.
    """
    known = values or {}
    variants = templates().get(key, templates()[GENERIC])
    return {language: _fill(variants[language], known, language) for language in LANGUAGES}


def check(key: str, values: Mapping[str, Any] | None = None) -> list[dict[str, str]]:
    """What to check first when a detector says ``key``: one sentence in every language, or none."""
    return [say(f"check.{key}", values)] if f"check.{key}" in templates() else []


def reason(why: Reason, *, group: str = "decision") -> dict[str, str]:
    """A reason of a decision (or of another group of templates) in every language."""
    return say(f"{group}.{why.key}", why.values)


def join(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Several sentences as one text."""
    kept = list(parts)
    return {language: (" " if language == "en" else "").join(part[language] for part in kept) for language in LANGUAGES}


def both(words: Words) -> dict[str, str]:
    """A plain copy with every language, for JSON."""
    return {language: words[language] for language in LANGUAGES}


def number(value: float) -> str:
    """A number as people read it: at most three significant digits below a hundred."""
    if abs(value) >= WHOLE_FROM:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def chance(percent: float) -> str:
    """A probability in per cent; nobody knows the third digit of a rare or a sure thing."""
    if 0 < percent < LEAST_PERCENT:
        return f"< {LEAST_PERCENT}"
    if 100 - LEAST_PERCENT < percent < 100:
        return f"> {100 - LEAST_PERCENT}"
    return number(percent)


def span(hours: float) -> dict[str, str]:
    """A stretch of time as people say it: hours up to two days, then days."""
    if abs(hours) < DAYS_FROM_H:
        return {"en": f"{number(hours)} h", "zh": f"{number(hours)} 小时"}
    return {"en": f"{number(hours / 24)} days", "zh": f"{number(hours / 24)} 天"}


def pace(expected: float, seconds: float) -> dict[str, str]:
    """How often that happens of which ``expected`` come in so many seconds: a count, or the time between two."""
    if expected >= 1:
        return say("group.usual_count", {"expected": expected})
    apart_h = seconds / 3600 / max(expected, 1e-12)
    if apart_h > YEAR_H:
        return say("group.usual_rare")
    return say("group.usual_span", {"span": span(apart_h)})


def blanks(template: str) -> frozenset[str]:
    """The names of a template's blanks."""
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


def _fill(variants: tuple[str, ...], values: Mapping[str, Any], language: str) -> str:
    if values.get("unit") == DIMENSIONLESS:
        values = {**values, "unit": ""}
    for template in variants:
        if blanks(template) <= values.keys():
            told = template.format(**{name: _blank(name, values[name], language) for name in blanks(template)})
            return LOOSE.sub(r"\1", told)
    return templates()[GENERIC][language][0]


def _blank(name: str, value: Any, language: str) -> str:
    if name in CHANCES and isinstance(value, int | float):
        return chance(float(value))
    return _text(value, language)


def _text(value: Any, language: str) -> str:
    if isinstance(value, Mapping):
        return str(value.get(language) or value.get("en") or "")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(float(value))
    return str(value)
