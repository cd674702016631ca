"""Checklists: typed lines, conditions on earlier answers, and what still stands in the way of *done*. Pure.

    definition (TOML or JSON) ──parse──> Checklist
    judge(item, given)                   ──> Judged: the value as kept, ok | failed | not_applicable
    standing(checklist, answers)         ──> the lines that apply now, and what each still lacks

A line's outcome follows from its answer: a number outside its limits, a tick left open or a bad choice has failed. A
person may say that a line failed, or does not apply and why; nobody can call a failed one good.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tickets import words
from tickets.errors import InvalidFields
from tickets.model import Text

LANGUAGES = ("en", "zh")
CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}\Z")
MOST_ITEMS = 200
MOST_CHOICES = 20
LONGEST_ANSWER = 4000


class ItemType(StrEnum):
    """What a line asks for."""

    TICK = "tick"
    NUMBER = "number"
    CHOICE = "choice"
    TEXT = "text"
    PHOTO = "photo"


class Need(StrEnum):
    """Whether a line must be answered before the order is done."""

    MANDATORY = "mandatory"
    OPTIONAL = "optional"


class PhotoRule(StrEnum):
    """When a line wants a photo beside its answer."""

    NEVER = "never"
    ALWAYS = "always"
    ON_FAILURE = "on_failure"


class OnFailure(StrEnum):
    """What a failed line does."""

    FOLLOW_UP = "follow_up"  # opens a linked ticket, once
    NOTE = "note"


class Outcome(StrEnum):
    """How a line came out."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


class Relation(StrEnum):
    """How a condition compares an earlier line's answer."""

    IS = "is"
    IS_NOT = "is_not"
    ABOVE = "above"
    BELOW = "below"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True)
class Condition:
    """The line applies only if the answer of an earlier line fits; an earlier line without answer does not."""

    item: str
    relation: Relation
    value: str | float | bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the possible answers."""

    value: str
    label: Text
    outcome: Outcome = Outcome.OK


@dataclass(frozen=True, slots=True)
class Item:
    """A line. ``low`` and ``high`` are inclusive limits in ``unit``."""

    code: str
    type: ItemType
    text: Text
    need: Need = Need.MANDATORY
    photo: PhotoRule = PhotoRule.NEVER
    on_failure: OnFailure = OnFailure.FOLLOW_UP
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Choice, ...] = ()
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Checklist:
    """Lines in their order; a condition looks back, never ahead."""

    title: Text
    items: tuple[Item, ...]

    def item(self, code: str) -> Item:
        """The line of that code. Raises InvalidFields."""
        for each in self.items:
            if each.code == code:
                return each
        raise words.refuse("item", f"The checklist has no line {code!r}.", code="choice")


@dataclass(frozen=True, slots=True)
class Given:
    """What a person answered: ``value`` by the line's type; ``outcome`` only to say failed or not applicable."""

    value: Any = None
    outcome: Outcome | None = None
    note: str = ""
    photos: int = 0  # pictures beside it


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer as it is kept."""

    outcome: Outcome
    value: bool | float | str | None
    note: str = ""
    photos: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A line that applies now; ``lacks`` says what stands between it and *done* (en, zh), None when nothing does."""

    item: Item
    answer: Judged | None
    lacks: Text | None


# -- answers ----------------------------------------------------------------------------------------------------------


def judge(item: Item, given: Given) -> Judged:
    """The answer with its outcome. Raises InvalidFields with a sentence."""
    note = words.text("note", given.note, longest=LONGEST_ANSWER, needed=False)
    if given.outcome is Outcome.NOT_APPLICABLE:
        if not note:
            raise words.refuse("note", "Say in the note why the line does not apply.", code="required")
        return Judged(Outcome.NOT_APPLICABLE, None, note, given.photos)
    value, found = VALUES[item.type](item, given)
    if given.outcome is Outcome.OK and found is Outcome.FAILED:
        raise words.refuse("outcome", f"{item.text['en']}: {_shown(item, value)} is not good by its limits.")
    return Judged(given.outcome or found, value, note, given.photos)


def _tick(item: Item, given: Given) -> tuple[bool, Outcome]:
    if not isinstance(given.value, bool):
        raise words.refuse("value", f"{item.text['en']}: the answer is true or false.", code="type")
    return given.value, Outcome.OK if given.value else Outcome.FAILED


def _number(item: Item, given: Given) -> tuple[float, Outcome]:
    value = given.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        unit = f" in {item.unit}" if item.unit else ""
        raise words.refuse("value", f"{item.text['en']}: the answer is a number{unit}.", code="type")
    below, above = item.low is not None and value < item.low, item.high is not None and value > item.high
    return float(value), Outcome.FAILED if below or above else Outcome.OK


def _choice(item: Item, given: Given) -> tuple[str, Outcome]:
    for choice in item.choices:
        if choice.value == given.value:
            return choice.value, choice.outcome
    known = ", ".join(choice.value for choice in item.choices)
    raise words.refuse("value", f"{item.text['en']}: the answer is one of {known}.", code="choice")


def _text(_item: Item, given: Given) -> tuple[str, Outcome]:
    return words.text("value", given.value, longest=LONGEST_ANSWER), Outcome.OK


def _photo(item: Item, given: Given) -> tuple[None, Outcome]:
    if given.photos == 0:
        raise words.refuse("photos", f"{item.text['en']}: add a photo.", code="required")
    return None, Outcome.OK


VALUES: Mapping[ItemType, Callable[[Item, Given], tuple[bool | float | str | None, Outcome]]] = {
    ItemType.TICK: _tick,
    ItemType.NUMBER: _number,
    ItemType.CHOICE: _choice,
    ItemType.TEXT: _text,
    ItemType.PHOTO: _photo,
}


def _shown(item: Item, value: object) -> str:
    return f"{value} {item.unit}".strip()


# -- where it stands --------------------------------------------------------------------------------------------------


def standing(checklist: Checklist, answers: Mapping[str, Judged]) -> list[Standing]:
    """The lines that apply, in order; an answer to a line that does not apply (any more) counts for nothing."""
    found: list[Standing] = []
    seen: dict[str, Judged] = {}
    for item in checklist.items:
        if item.when is not None and not _holds(item.when, seen):
            continue
        answer = answers.get(item.code)
        if answer is not None:
            seen[item.code] = answer
        found.append(Standing(item, answer, _lacks(item, answer)))
    return found


def lacking(checklist: Checklist, answers: Mapping[str, Judged]) -> list[Standing]:
    """The lines that keep the order from being done."""
    return [each for each in standing(checklist, answers) if each.lacks is not None]


def _holds(condition: Condition, seen: Mapping[str, Judged]) -> bool:
    answer = seen.get(condition.item)
    if answer is None:
        return False
    if condition.relation is Relation.OUTCOME:
        return answer.outcome.value == condition.value
    if answer.outcome is Outcome.NOT_APPLICABLE:
        return False
    if condition.relation in (Relation.ABOVE, Relation.BELOW):
        high, low = (
            (answer.value, condition.value) if condition.relation is Relation.ABOVE else (condition.value, answer.value)
        )
        return isinstance(high, int | float) and isinstance(low, int | float) and high > low
    return (answer.value == condition.value) is (condition.relation is Relation.IS)


def _lacks(item: Item, answer: Judged | None) -> Text | None:
    if answer is None:
        return {"en": "no answer", "zh": "未填写"} if item.need is Need.MANDATORY else None
    if answer.outcome is Outcome.NOT_APPLICABLE or answer.photos:
        return None
    failed = answer.outcome is Outcome.FAILED
    if item.photo is PhotoRule.ALWAYS or (failed and item.photo is PhotoRule.ON_FAILURE):
        return {"en": "no photo", "zh": "缺少照片"}
    return None


# -- definitions ------------------------------------------------------------------------------------------------------


def parse(title: Any, items: Any) -> Checklist:
    """A checklist from plain data. Raises InvalidFields with every problem found."""
    problems: list[str] = []
    if not _is_text(title):
        problems.append("The title needs en and zh.")
    if not isinstance(items, Sequence) or isinstance(items, str) or not 0 < len(items) <= MOST_ITEMS:
        problems.append(f"A checklist has 1 to {MOST_ITEMS} lines.")
        items = []
    made: list[Item] = []
    for row, data in enumerate(items, start=1):
        try:
            made.append(_item(data))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"Line {row} is not of the right shape: {error}.")
    problems += [] if problems else _problems(made)
    if problems:
        errors = [{"field": "items", "code": "invalid", "detail": each} for each in problems]
        raise InvalidFields(" ".join(problems), errors=errors)
    return Checklist(dict(title), tuple(made))


KNOWN = frozenset(Item.__slots__)


def _item(data: Mapping[str, Any]) -> Item:
    unknown = sorted(set(data) - KNOWN)
    if unknown:
        raise ValueError(f"it has no {unknown[0]!r}")
    if not _is_text(data["text"]):
        raise ValueError("its text needs en and zh")
    return Item(
        code=_code(data["code"]),
        type=ItemType(data["type"]),
        text=dict(data["text"]),
        need=Need(data.get("need", Need.MANDATORY)),
        photo=PhotoRule(data.get("photo", PhotoRule.NEVER)),
        on_failure=OnFailure(data.get("on_failure", OnFailure.FOLLOW_UP)),
        unit=_unit(data.get("unit", "")),
        low=_limit(data.get("low")),
        high=_limit(data.get("high")),
        choices=tuple(_choice_of(each) for each in data.get("choices") or ()),
        when=_condition(data["when"]) if data.get("when") else None,
    )


def _code(value: Any) -> str:
    if not isinstance(value, str) or not CODE.match(value):
        raise ValueError("its code is made of small letters, digits, _ and -")
    return value


def _unit(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 16:
        raise ValueError("its unit is a short text")
    return value


def _limit(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("its limits are numbers")
    return float(value)


def _choice_of(data: Mapping[str, Any]) -> Choice:
    if not _is_text(data["label"]):
        raise ValueError("the label of a choice needs en and zh")
    return Choice(_code(data["value"]), dict(data["label"]), Outcome(data.get("outcome", Outcome.OK)))


def _condition(data: Mapping[str, Any]) -> Condition:
    if not isinstance(data["value"], str | int | float):
        raise ValueError("its condition compares with a text, a number, true or false")
    return Condition(_code(data["item"]), Relation(data["relation"]), data["value"])


def _is_text(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == set(LANGUAGES)
        and all(isinstance(each, str) and 0 < len(each.strip()) <= 500 for each in value.values())
    )


def _problems(items: Sequence[Item]) -> list[str]:
    earlier: dict[str, Item] = {}
    found: list[str] = []
    for item in items:
        found += [f"Line {item.code!r}: {each}" for each in _item_problems(item, earlier)]
        earlier[item.code] = item
    return found


def _item_problems(item: Item, earlier: Mapping[str, Item]) -> Iterator[str]:
    if item.code in earlier:
        yield "its code is used twice."
    if (
        item.type is ItemType.CHOICE
        and not 2 <= len({each.value for each in item.choices}) == len(item.choices) <= MOST_CHOICES
    ):
        yield f"a choice has 2 to {MOST_CHOICES} different answers."
    if item.type is not ItemType.CHOICE and item.choices:
        yield "only a choice has choices."
    if item.type is not ItemType.NUMBER and (item.low is not None or item.high is not None or item.unit):
        yield "only a number has a unit and limits."
    if item.low is not None and item.high is not None and item.low > item.high:
        yield "its lower limit lies above the upper one."
    if item.when is not None:
        yield from _condition_problems(item.when, earlier)


def _condition_problems(condition: Condition, earlier: Mapping[str, Item]) -> Iterator[str]:
    asked = earlier.get(condition.item)
    if asked is None:
        yield f"its condition asks {condition.item!r}, which is no earlier line."
        return
    if condition.relation is Relation.OUTCOME:
        if condition.value not in set(Outcome):
            yield f"an outcome is one of {', '.join(Outcome)}."
        return
    fits = {
        ItemType.TICK: isinstance(condition.value, bool),
        ItemType.NUMBER: isinstance(condition.value, int | float) and not isinstance(condition.value, bool),
        ItemType.CHOICE: condition.value in {each.value for each in asked.choices},
        ItemType.TEXT: isinstance(condition.value, str),
        ItemType.PHOTO: False,
    }[asked.type]
    if not fits:
        yield f"its condition can never hold: {condition.item!r} is not answered like that."
    elif condition.relation in (Relation.ABOVE, Relation.BELOW) and asked.type is not ItemType.NUMBER:
        yield "above and below compare numbers."


def as_json(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The lines as plain data that ``parse`` takes."""
    return [_item_json(each) for each in items]


def _item_json(item: Item) -> dict[str, Any]:
    made: dict[str, Any] = {name: getattr(item, name) for name in Item.__slots__}
    made["text"] = dict(item.text)
    made["choices"] = [
        {"value": each.value, "label": dict(each.label), "outcome": each.outcome.value} for each in item.choices
    ]
    if item.when is not None:
        made["when"] = {"item": item.when.item, "relation": item.when.relation.value, "value": item.when.value}
    for name in ("type", "need", "photo", "on_failure"):
        made[name] = getattr(item, name).value
    return made
