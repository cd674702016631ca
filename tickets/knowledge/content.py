"""What a guide says: for which machines and faults, its text, its steps. Checked as a whole. Pure.

    {"classes": ["pump"], "modes": ["bearing_wear"], "title": {"en": …}, "body": {"en": …},
     "steps": [{"text": {"en": …}, "unit": "mm/s", "high": 4.5, "picture": 12, "sources": ["WO-2026-000123"]}]}

The languages of a guide are those of its title: a translation is the same guide in another language. A text is Markdown
and stays text; whoever draws it never takes it for HTML.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tickets import words
from tickets.model import Text

LANGUAGES = ("en", "zh")
ANY: tuple[str, ...] = ()
MOST_STEPS, MOST_SCOPE, MOST_SOURCES = 100, 20, 50
LONGEST_BODY, LONGEST_STEP = 50_000, 2000
CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
PARTS = frozenset({"classes", "modes", "title", "body", "steps"})
STEP_PARTS = frozenset({"text", "unit", "low", "high", "picture", "sources"})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. What is measured then lies between ``low`` and ``high`` (inclusive, in ``unit``)."""

    text: Text
    unit: str = ""
    low: float | None = None
    high: float | None = None
    picture: int | None = None  # attachment
    sources: tuple[str, ...] = ()  # the orders that it was taken from


@dataclass(frozen=True, slots=True)
class Content:
    """What one revision says. No class = every class; no mode = every mode."""

    classes: tuple[str, ...]
    modes: tuple[str, ...]
    title: Text
    body: Text
    steps: tuple[Step, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(each for each in LANGUAGES if each in self.title)

    @property
    def pictures(self) -> tuple[int, ...]:
        return tuple(each.picture for each in self.steps if each.picture is not None)


def parse(given: object) -> Content:
    """The content that was handed in. Raises InvalidFields with a sentence for the first thing that does not fit."""
    if not isinstance(given, Mapping):
        raise words.refuse("content", "A guide is an object.", code="type")
    unknown = sorted(set(given) - PARTS)
    if unknown:
        raise words.refuse(str(unknown[0]), f"A guide has no part {unknown[0]!r}.", code="unknown_field")
    title = _texts("title", given.get("title"), languages=None, longest=words.LONGEST_TITLE)
    body = _texts("body", given.get("body"), languages=tuple(title), longest=LONGEST_BODY, empty=True)
    steps = _steps(given.get("steps", ()), tuple(title))
    bare = [language for language in title if not body.get(language) and not steps]
    if bare:
        raise words.refuse(f"body.{bare[0]}", f"The guide says nothing in {bare[0]}: give a body or steps.")
    return Content(
        _codes("classes", given.get("classes", ())), _codes("modes", given.get("modes", ())), title, body, steps
    )


def as_json(content: Content) -> dict[str, Any]:
    """As it is kept; :func:`parse` reads it again."""
    return {
        "classes": list(content.classes),
        "modes": list(content.modes),
        "title": dict(content.title),
        "body": dict(content.body),
        "steps": [step_json(each) for each in content.steps],
    }


def step_json(step: Step) -> dict[str, Any]:
    kept: dict[str, Any] = {"text": dict(step.text)}
    optional = {
        "unit": step.unit, "low": step.low, "high": step.high, "picture": step.picture, "sources": list(step.sources),
    }  # fmt: skip
    return kept | {name: value for name, value in optional.items() if value not in (None, "", [])}


def said(text: Text, language: str) -> str:
    """The text in a language; in the other one when it was not translated."""
    return text.get(language) or next((each for each in text.values() if each), "")


def difference(before: Content, after: Content) -> list[str]:
    """The lines that differ, as a unified diff of both texts."""
    lines = difflib.unified_diff(lines_of(before), lines_of(after), "before", "after", lineterm="", n=2)
    return list(lines)


def lines_of(content: Content) -> list[str]:
    """The guide as lines, for people and for comparing."""
    lines = [f"classes: {', '.join(content.classes) or '*'}", f"modes: {', '.join(content.modes) or '*'}"]
    for language in content.languages:
        lines += [f"[{language}] {content.title[language]}", *content.body.get(language, "").split("\n")]
        lines += [f"[{language}] {at}. {_step_line(each, language)}" for at, each in enumerate(content.steps, start=1)]
    return lines


def _step_line(step: Step, language: str) -> str:
    picture = "" if step.picture is None else f" [#{step.picture}]"
    return f"{said(step.text, language)}{limits(step)}{picture}"


def limits(step: Step) -> str:
    """``(≤ 4.5 mm/s)``; "" for a step without."""
    if step.low is not None and step.high is not None:
        return f" ({step.low:g}…{step.high:g} {step.unit})"
    if step.high is not None:
        return f" (≤ {step.high:g} {step.unit})"
    return "" if step.low is None else f" (≥ {step.low:g} {step.unit})"


# -- parts ------------------------------------------------------------------------------------------------------------


def _texts(
    field: str, given: Any, *, languages: tuple[str, ...] | None, longest: int, empty: bool = False
) -> dict[str, str]:
    if given is None and empty:
        return {}
    if not isinstance(given, Mapping) or not set(given) <= set(languages or LANGUAGES):
        known = " and ".join(languages or LANGUAGES)
        raise words.refuse(field, f"{field} is an object of texts by language ({known}).", code="type")
    kept = {
        language: words.text(f"{field}.{language}", given[language], longest=longest, needed=not empty)
        for language in LANGUAGES
        if language in given
    }
    if not kept and not empty:
        raise words.refuse(field, f"{field} is needed in en, zh or both.", code="required")
    return kept


def _steps(given: Any, languages: tuple[str, ...]) -> tuple[Step, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_STEPS:
        raise words.refuse("steps", f"steps is a list of {MOST_STEPS} at most.")
    return tuple(_step(at, each, languages) for at, each in enumerate(given, start=1))


def _step(at: int, given: Any, languages: tuple[str, ...]) -> Step:
    field = f"steps.{at}"
    if not isinstance(given, Mapping) or set(given) - STEP_PARTS:
        raise words.refuse(field, f"Step {at} has {', '.join(sorted(STEP_PARTS))}, and nothing else.", code="type")
    text = given.get("text")
    if not isinstance(text, Mapping) or not all(str(text.get(language) or "").strip() for language in languages):
        raise words.refuse(f"{field}.text", f"Step {at} is empty: it needs a text in {' and '.join(languages)}.")
    low, high = _number(field, given.get("low")), _number(field, given.get("high"))
    if low is not None and high is not None and low > high:
        raise words.refuse(field, f"Step {at}: the lower limit {low:g} is above the upper limit {high:g}.")
    unit = words.text(f"{field}.unit", given.get("unit") or "", longest=24, needed=False)
    texts = _texts(f"{field}.text", text, languages=languages, longest=LONGEST_STEP)
    return Step(texts, unit, low, high, _picture(field, given.get("picture")), _sources(field, given.get("sources")))


def _number(field: str, given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise words.refuse(field, f"{field}: a limit is a number.", code="type")
    return float(given)


def _picture(field: str, given: Any) -> int | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise words.refuse(f"{field}.picture", f"{field}: picture is the id of an attachment.", code="type")
    return given


def _sources(field: str, given: Any) -> tuple[str, ...]:
    found = tuple(given or ())
    if len(found) > MOST_SOURCES or not all(isinstance(each, str) and len(each) <= 32 for each in found):
        raise words.refuse(f"{field}.sources", f"{field}: sources are the numbers of orders, {MOST_SOURCES} at most.")
    return found


def _codes(field: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_SCOPE:
        raise words.refuse(field, f"{field} is a list of {MOST_SCOPE} codes at most; none = every one.")
    return tuple(dict.fromkeys(words.code(field, each) or "" for each in given if each))
