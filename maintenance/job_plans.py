"""Job plans: how a piece of work is done, with what, by whom, how long, and what must be locked before. Pure.

definition (TOML or JSON) ──parse──> JobPlan ──as_json──> the same definition
together(plans)                      what one order needs that several job plans were applied to
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from maintenance.errors import BadPlan

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
LANGUAGES = ("en", "zh")
MOST = 200
LONGEST_TEXT = 2000
MOST_MINUTES = 2880  # what dispatch plans at most for one visit
MOST_PEOPLE = 2
FIELDS = frozenset(
    {"title", "steps", "tools", "parts", "skill", "level", "people", "minutes", "certificates", "isolation", "permit",
     "checklist", "guide"}
)  # fmt: skip

Text = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartNeed:
    """So many of a part, by its code."""

    code: str
    quantity: float


@dataclass(frozen=True, slots=True)
class JobPlan:
    """``isolation``: the points that are locked before anybody reaches in; ``level`` 1 to 3 of ``skill``."""

    title: Text
    steps: tuple[Text, ...] = ()
    tools: tuple[Text, ...] = ()
    parts: tuple[PartNeed, ...] = ()
    skill: str = ""
    level: int = 1
    people: int = 1
    minutes: int = 60
    certificates: tuple[str, ...] = ()
    isolation: tuple[Text, ...] = ()
    permit: bool = False
    checklist: str = ""
    guide: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an order needs by all its job plans: the work adds up, people and levels are the most that one asks."""

    minutes: int
    people: int
    skills: Mapping[str, int]  # skill → level
    certificates: tuple[str, ...]
    parts: Mapping[str, float]
    permit: bool


def parse(data: Mapping[str, Any]) -> JobPlan:
    """A job plan from its definition. Raises BadPlan with a sentence."""
    unknown = sorted(set(data) - FIELDS)
    if unknown:
        raise BadPlan(f"A job plan has no field {unknown[0]!r}. It has {', '.join(sorted(FIELDS))}.")
    return JobPlan(
        title=text("title", data.get("title")),
        steps=texts("steps", data.get("steps", [])),
        tools=texts("tools", data.get("tools", [])),
        parts=_parts(data.get("parts", [])),
        skill=code("skill", data.get("skill", ""), needed=False),
        level=whole("level", data.get("level", 1), 1, 3),
        people=whole("people", data.get("people", 1), 1, MOST_PEOPLE),
        minutes=whole("minutes", data.get("minutes", 60), 1, MOST_MINUTES),
        certificates=tuple(code("certificates", each) for each in listed("certificates", data.get("certificates", []))),
        isolation=texts("isolation", data.get("isolation", [])),
        permit=yes("permit", data.get("permit", False)),
        checklist=code("checklist", data.get("checklist", ""), needed=False),
        guide=code("guide", data.get("guide", ""), needed=False),
    )


def as_json(plan: JobPlan) -> dict[str, Any]:
    """The definition: what is as it would be anyway is left out."""
    given: dict[str, Any] = {
        "title": dict(plan.title),
        "steps": [dict(each) for each in plan.steps],
        "tools": [dict(each) for each in plan.tools],
        "parts": [{"part": each.code, "quantity": each.quantity} for each in plan.parts],
        "skill": plan.skill,
        "level": plan.level,
        "people": plan.people,
        "minutes": plan.minutes,
        "certificates": list(plan.certificates),
        "isolation": [dict(each) for each in plan.isolation],
        "permit": plan.permit,
        "checklist": plan.checklist,
        "guide": plan.guide,
    }
    usual = {"level": 1, "people": 1}
    return {name: value for name, value in given.items() if value not in ([], "", False) and usual.get(name) != value}


def together(plans: Iterable[JobPlan]) -> Demand:
    """What they need when they are done in one visit."""
    kept = list(plans)
    skills: dict[str, int] = {}
    parts: dict[str, float] = {}
    for plan in kept:
        if plan.skill:
            skills[plan.skill] = max(skills.get(plan.skill, 0), plan.level)
        for part in plan.parts:
            parts[part.code] = parts.get(part.code, 0.0) + part.quantity
    return Demand(
        minutes=min(sum(plan.minutes for plan in kept), MOST_MINUTES),
        people=max((plan.people for plan in kept), default=1),
        skills=skills,
        certificates=tuple(sorted({each for plan in kept for each in plan.certificates})),
        parts=parts,
        permit=any(plan.permit for plan in kept),
    )


# -- reading fields; plans read theirs with the same words ------------------------------------------------------------


def text(name: str, value: Any) -> dict[str, str]:
    """A text in every language; a plain one is the same in all."""
    if isinstance(value, str):
        value = dict.fromkeys(LANGUAGES, value)
    if not isinstance(value, Mapping) or set(value) != set(LANGUAGES):
        raise BadPlan(f"{name} is a text, or one text each in en and zh.")
    if not all(isinstance(each, str) and each.strip() and len(each) <= LONGEST_TEXT for each in value.values()):
        raise BadPlan(f"{name} is a text of at most {LONGEST_TEXT} characters, and not empty.")
    return {language: value[language] for language in LANGUAGES}


def texts(name: str, value: Any) -> tuple[Text, ...]:
    """A list of texts."""
    return tuple(text(name, each) for each in listed(name, value))


def listed(name: str, value: Any) -> Sequence[Any]:
    """A list of at most MOST entries."""
    if not isinstance(value, list | tuple) or len(value) > MOST:
        raise BadPlan(f"{name} is a list of at most {MOST} entries.")
    return value


def code(name: str, value: Any, *, needed: bool = True) -> str:
    """A code of letters, digits and . _ -"""
    if value == "" and not needed:
        return ""
    if not isinstance(value, str) or not CODE.match(value):
        raise BadPlan(f"{name} is a code of letters, digits, dots, dashes and underscores, not {value!r}.")
    return value


def whole(name: str, value: Any, low: int, high: int) -> int:
    """A whole number within limits, both included."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadPlan(f"{name} is a whole number from {low} to {high}, not {value!r}.")
    return value


def number(name: str, value: Any, *, above: float = 0.0, most: float = 1e9) -> float:
    """A number above a limit."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not isfinite(value)
        or not above < value <= most
    ):
        raise BadPlan(f"{name} is a number above {above:g} and at most {most:g}, not {value!r}.")
    return float(value)


def yes(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BadPlan(f"{name} is true or false, not {value!r}.")
    return value


def _parts(value: Any) -> tuple[PartNeed, ...]:
    found: list[PartNeed] = []
    for each in listed("parts", value):
        if not isinstance(each, Mapping) or set(each) != {"part", "quantity"}:
            raise BadPlan("parts are entries with a part's code and a quantity.")
        found.append(PartNeed(code("part", each["part"]), number("quantity", each["quantity"], most=1e6)))
    if len({each.code for each in found}) < len(found):
        raise BadPlan("parts name each part once. Add up the quantities.")
    return tuple(found)
