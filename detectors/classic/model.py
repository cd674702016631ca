"""An alarm rule as data: any of some groups, each of which is all of some conditions on signals. Pure.

    rule ── any of ──> group ── all of ──> condition: high, low, rise, fall, change, missing
                                             └ steps: over 80 °C for 1 h, over 90 °C for 1 min, over 95 °C at once

Limits are kept in the unit that a person chose, which must measure the signal's quantity; they are converted when the
rule meets a machine.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from detectors.classic.errors import BadAlarmRule
from plant import units
from plant.model import Asset, Signal

MOST_GROUPS, MOST_CONDITIONS, MOST_STEPS = 8, 8, 6
DAY_S = 86_400.0

Seconds = Annotated[float, Meta(ge=0, le=30 * DAY_S)]
Number = Annotated[float, Meta(ge=-1e12, le=1e12)]
Text = Annotated[str, Meta(max_length=1000)]
Code = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]


class Kind(StrEnum):
    """What a condition says of its signal."""

    HIGH = "high"
    LOW = "low"
    RISE = "rise"  # more than the limit above the lowest value of the last ``over_s``
    FALL = "fall"
    CHANGE = "change"  # rise or fall
    MISSING = "missing"  # no good value for so long, while others of the machine are heard


class About(StrEnum):
    """What the rule raises an alarm about."""

    MACHINE = "machine"
    SENSOR = "sensor"  # an order for instrumentation, never one about the machine


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Beyond ``limit`` for ``for_s`` seconds; 0: at once."""

    limit: Number = 0.0
    for_s: Seconds = 0.0


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One signal of the machine, by its code. ``dead_band`` and rates are differences in ``unit``."""

    kind: Kind
    signal: Annotated[str, Meta(min_length=1, max_length=100)]
    unit: Annotated[str, Meta(max_length=32)] = ""
    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=MOST_STEPS)] = (Step(),)
    dead_band: Annotated[float, Meta(ge=0, le=1e12)] = 0.0
    over_s: Seconds = 0.0


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Holds when all of its conditions hold."""

    all: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=MOST_CONDITIONS)]


class AlarmRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a class of machines ('' any), or of one machine by its code ('' every one)."""

    code: Code
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    any: Annotated[tuple[Group, ...], Meta(min_length=1, max_length=MOST_GROUPS)]
    asset_class: Annotated[str, Meta(max_length=64)] = ""
    asset: Annotated[str, Meta(max_length=100)] = ""
    about: About = About.MACHINE
    severity: Annotated[int, Meta(ge=1, le=4)] = 2
    failure_mode: Annotated[str, Meta(max_length=64)] = ""
    advice: Text = ""
    while_running: bool = False

    def fits(self, asset: Asset) -> bool:
        """Whether it is about this machine."""
        return self.asset_class in ("", asset.asset_class) and self.asset in ("", asset.code)

    def signals(self) -> frozenset[str]:
        """Codes of the signals that it looks at."""
        return frozenset(each.signal for group in self.any for each in group.all)

    def groups_for(self, signals: Sequence[Signal]) -> list[Group]:
        """The groups whose signals this machine has, all of them."""
        known = {each.code for each in signals}
        return [group for group in self.any if all(each.signal in known for each in group.all)]


@dataclass(frozen=True, slots=True)
class InForce:
    """A version of a rule that judges rows at ``from_us`` ≤ time < ``until_us`` (None: until further notice)."""

    version_id: int
    version: int
    rule: AlarmRule
    from_us: int
    until_us: int | None


def parse(document: Any) -> AlarmRule:
    """A rule from JSON-like data. Raises BadAlarmRule with where and what."""
    try:
        rule = msgspec.convert(_short(document), AlarmRule, strict=False)
    except msgspec.ValidationError as error:
        raise _bad("unreadable", [str(error)], f"The alarm rule cannot be read: {error}.") from None
    if wrong := list(_wrong(rule)):
        raise _bad("contradiction", wrong, f"The alarm rule does not hold together: {wrong[0]}")
    return rule


def plain(rule: AlarmRule) -> dict[str, Any]:
    """The rule as JSON-like data; ``parse`` reads it back."""
    found: dict[str, Any] = msgspec.to_builtins(rule)
    return found


def read_text(text: str) -> AlarmRule:
    """A rule from TOML. Raises BadAlarmRule."""
    try:
        return parse(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _bad("no_toml", [str(error)], f"This is no TOML: {error}.") from None


def text_of(rule: AlarmRule) -> str:
    """The rule as TOML, without what is as usual; ``read_text`` reads it back."""
    said = _lean(rule)
    lines = [f"{name} = {_toml(value)}" for name, value in said.items() if name != "any"]
    for group in rule.any:
        lines += ["", "[[any]]", "all = ["]
        lines += [f"  {_toml(_flat(condition))}," for condition in group.all]
        lines.append("]")
    return "\n".join(lines) + "\n"


def check_units(rule: AlarmRule, signals: Sequence[Signal]) -> None:
    """Whether each condition's unit measures what its signal does. Raises BadAlarmRule."""
    known: dict[str, set[str]] = {}
    for each in signals:
        known.setdefault(each.code, set()).add(each.quantity)
    wrong = []
    for condition in (each for group in rule.any for each in group.all if each.kind is not Kind.MISSING):
        for quantity in sorted(known.get(condition.signal, ())):
            try:
                units.conversion(quantity, condition.unit)
            except (units.WrongUnit, units.UnknownUnit) as error:
                wrong.append(f"{condition.signal}: {error.message}")
    if wrong:
        raise _bad("wrong_unit", wrong, wrong[0])


def _bad(code: str, wrong: Sequence[str], sentence: str) -> BadAlarmRule:
    return BadAlarmRule(sentence, errors=[{"code": code, "detail": each} for each in wrong])


def _lean(said: msgspec.Struct) -> dict[str, Any]:
    usual = {each.name: each.default for each in msgspec.structs.fields(said)}
    whole: dict[str, Any] = msgspec.to_builtins(said)
    return {name: value for name, value in whole.items() if getattr(said, name) != usual[name]}


def _flat(condition: Condition) -> dict[str, Any]:
    """A single step stands beside the condition."""
    said = _lean(condition)
    said.pop("steps", None)
    if len(condition.steps) == 1:
        return said | _lean(condition.steps[0])
    return said | {"steps": [_lean(step) for step in condition.steps]}


def _short(document: Any) -> Any:
    """``limit`` and ``for_s`` beside a condition are its only step; one group may stand for ``any``."""
    if not isinstance(document, Mapping):
        return document
    document = dict(document)
    if "all" in document and "any" not in document:
        document["any"] = [{"all": document.pop("all")}]
    groups = document.get("any")
    if isinstance(groups, list | tuple):
        document["any"] = [_group(each) for each in groups]
    return document


def _group(group: Any) -> Any:
    if not isinstance(group, Mapping) or not isinstance(group.get("all"), list | tuple):
        return group
    return {**group, "all": [_condition(each) for each in group["all"]]}


def _condition(said: Any) -> Any:
    if not isinstance(said, Mapping) or "steps" in said:
        return said
    said = dict(said)
    step = {name: said.pop(name) for name in ("limit", "for_s") if name in said}
    return {**said, "steps": [step]}


def _wrong(rule: AlarmRule) -> Iterator[str]:
    for condition in (each for group in rule.any for each in group.all):
        yield from _wrong_condition(condition)
    kinds = {each.kind for group in rule.any for each in group.all}
    if kinds == {Kind.MISSING} and rule.about is About.MACHINE:
        yield "missing data alone say nothing of the machine: let the rule be about the sensor."


def _wrong_condition(condition: Condition) -> Iterator[str]:
    kind, steps, name = condition.kind, condition.steps, condition.signal
    if kind is Kind.MISSING:
        if len(steps) != 1 or steps[0].for_s <= 0:
            yield f"{name}: missing data need one time, longer than 0 s."
        return
    if kind in (Kind.RISE, Kind.FALL, Kind.CHANGE):
        if condition.over_s <= 0:
            yield f"{name}: a rate needs the time over which it is measured (over_s)."
        if any(step.limit <= 0 for step in steps):
            yield f"{name}: a change is told by its size, which is more than 0."
    sign = -1.0 if kind is Kind.LOW else 1.0
    for near, far in pairwise(steps):
        if sign * far.limit <= sign * near.limit or far.for_s >= near.for_s:
            yield f"{name}: each further step lies farther out and waits shorter than the one before."


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return msgspec.json.encode(value).decode() if isinstance(value, str) else repr(value)
