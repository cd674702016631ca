"""A rule as data: when something happens, if an expression holds, then typed actions. Pure.

    definition (TOML or JSON) ──parse──> Rule or Guard         every problem is a BadRule with a sentence
A guard has no actions: while its condition holds, a ticket may not leave or enter its states without an approval.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from tickets.chain import canonical
from tickets.model import Own
from tickets.rules import wording
from tickets.rules.errors import BadRule
from tickets.rules.expressions import Expression, compiled

E = TypeVar("E", bound=StrEnum)
CODE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
KIND = re.compile(r"[a-z_]{1,40}|\*")
STATE = re.compile(r"[a-z_]{1,32}|\*")
EVENT_KINDS = (
    "opened", "transition", "edited", "assigned", "unassigned", "comment", "evidence", "reported_again", "deadline",
    "sla_warning", "sla_breached",
)  # fmt: skip
LARGEST = 20_000
MOST_ACTIONS = 20
DEEPEST = 5  # schedules within schedules
SHORTEST_TICK = timedelta(minutes=1)


class Form(StrEnum):
    """What a definition is."""

    RULE = "rule"
    GUARD = "guard"


class Status(StrEnum):
    """Where a rule stands: draft → dry run → enabled."""

    DRAFT = "draft"
    ENABLED = "enabled"
    DISABLED = "disabled"
    STOPPED = "stopped"  # by the loop guard
    RETIRED = "retired"


class Again(StrEnum):
    """Whether a rule may run again for the same ticket in one chain of causes."""

    ONCE = "once"
    ALLOWED = "allowed"


class Log(StrEnum):
    """What the run log keeps of a rule."""

    MATCHES = "matches"  # what it did, and what went wrong
    ALL = "all"  # also when it did not match


@dataclass(frozen=True, slots=True)
class When:
    """Event kinds, or the tick of a clock (``every``); with ``after`` the actions follow that much later."""

    kinds: frozenset[str]
    after: timedelta | None = None
    every: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many runs a minute, and a ticket and hour."""

    per_minute: int = 60
    per_ticket_hour: int = 20
    again: Again = Again.ONCE


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do; ``args`` are parsed by the kind's own form (``tickets.rules.forms``)."""

    do: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Need:
    """The approval that a guard asks for; ``amount`` what it must cover; ``own``: whether who needs it gives it."""

    topic: str
    role: str
    amount: Expression | None
    own: Own = Own.REFUSED


@dataclass(frozen=True, slots=True)
class Definition:
    """A checked definition. ``data`` is what it was made of, in canonical form."""

    code: str
    form: Form
    name: Mapping[str, str]
    data: Mapping[str, Any]
    condition: Expression | None
    when: When = When(frozenset())
    actions: tuple[Action, ...] = ()
    limits: Limits = Limits()
    log: Log = Log.MATCHES
    leaving: frozenset[str] = frozenset()
    entering: frozenset[str] = frozenset()
    need: Need | None = None

    def guards(self, *, source: str, target: str) -> bool:
        """Whether this guard watches a step; cancelling costs nothing and is always free."""
        if target == "cancelled":
            return False
        leaves = source in self.leaving or "*" in self.leaving
        return leaves or target in self.entering or "*" in self.entering


@dataclass(frozen=True, slots=True)
class Rule:
    """A definition as it stands on a site."""

    rule_id: int
    version: int
    status: Status
    definition: Definition

    @property
    def code(self) -> str:
        return self.definition.code


ParseActions = Callable[[object, int], tuple[Action, ...]]
COMMON = {"name", "description", "if"}
RULE_KEYS = COMMON | {"when", "then", "limits", "log"}
GUARD_KEYS = COMMON | {"leaving", "entering", "approval"}


def parse(code: object, form: Form, data: object, *, parse_actions: ParseActions) -> Definition:
    """A checked definition from plain data. Raises BadRule, BadExpression."""
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise BadRule(f"{code!r}: a rule's code is made of a–z, 0–9 and . _ - , up to 64 characters.")
    try:
        _refuse_unkept(data)
        found = _table(data, "the rule", RULE_KEYS if form is Form.RULE else GUARD_KEYS)
        condition = _condition(found)
        name = wording.template(found.get("name", code), "name").texts
        description(found)
        if form is Form.GUARD:
            return _guard(code, name, found, condition)
        return _rule(code, name, found, condition, parse_actions)
    except BadRule as error:
        raise BadRule(f"{code}: {error.message}") from error


def _refuse_unkept(data: object) -> None:
    """What JSON or the database cannot keep, or what is too much."""
    try:
        size = len(canonical(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRule(f"a value cannot be kept: {error}.") from error
    if size > LARGEST:
        raise BadRule(f"a rule has at most {LARGEST} characters.")


def description(data: Mapping[str, Any]) -> str:
    """What the writer says about it. Raises BadRule."""
    said = data.get("description", "")
    if not isinstance(said, str) or len(said) > 2_000 or "\x00" in said:
        raise BadRule("description is a text of at most 2,000 characters.")
    return said


def _rule(
    code: str,
    name: Mapping[str, str],
    data: Mapping[str, Any],
    condition: Expression | None,
    parse_actions: ParseActions,
) -> Definition:
    return Definition(
        code,
        Form.RULE,
        name,
        data,
        condition,
        when=_when(data.get("when")),
        actions=parse_actions(data.get("then"), 0),
        limits=_limits(data.get("limits", {})),
        log=_choice(Log, data.get("log", Log.MATCHES), "log"),
    )


def _guard(code: str, name: Mapping[str, str], data: Mapping[str, Any], condition: Expression | None) -> Definition:
    if condition is None:
        raise BadRule("a guard needs its condition: if.")
    leaving, entering = _states(data.get("leaving", []), "leaving"), _states(data.get("entering", []), "entering")
    if not leaving | entering:
        raise BadRule('a guard watches states: leaving = ["new"], entering = ["done"], or both.')
    asked = _table(data.get("approval"), "approval", {"topic", "role", "amount", "own"})
    topic, role = asked.get("topic", code), asked.get("role", "manager")
    if not isinstance(topic, str) or not CODE.fullmatch(topic):
        raise BadRule("approval.topic is a short code like finance.")
    if role not in ("planner", "manager", "admin"):
        raise BadRule("approval.role is planner, manager or admin.")
    amount = asked.get("amount")
    if amount is not None and not isinstance(amount, str):
        raise BadRule('approval.amount is an expression like "ticket.cost".')
    own = _choice(Own, asked.get("own", Own.REFUSED), "approval.own")
    need = Need(topic, role, compiled(amount) if amount else None, own)
    return Definition(code, Form.GUARD, name, data, condition, leaving=leaving, entering=entering, need=need)


def _condition(data: Mapping[str, Any]) -> Expression | None:
    text = data.get("if")
    if text is None:
        return None
    if not isinstance(text, str):
        raise BadRule("if is an expression, as text.")
    return compiled(text)


def _when(data: object) -> When:
    found = _table(data, "when", {"on", "after", "every"})
    if "every" in found:
        if len(found) > 1:
            raise BadRule("when.every stands alone; use on and after for something that follows an event.")
        every = wording.length(found["every"], "when.every")
        if every < SHORTEST_TICK:
            raise BadRule("when.every is a minute at least.")
        return When(frozenset(), every=every)
    kinds = found.get("on")
    if not isinstance(kinds, list | tuple) or not kinds or len(kinds) > 30:
        raise BadRule(f'when.on lists kinds of events, like ["opened"]. Known are {", ".join(EVENT_KINDS)}, and *.')
    for kind in kinds:
        if not isinstance(kind, str) or not KIND.fullmatch(kind):
            raise BadRule(f"when.on: {kind!r} is no kind of event. Known are {', '.join(EVENT_KINDS)}, and *.")
    after = wording.length(found["after"], "when.after") if "after" in found else None
    return When(frozenset(kinds), after=after)


def _limits(data: object) -> Limits:
    found = _table(data, "limits", {"per_minute", "per_ticket_hour", "again"})
    return Limits(
        _whole(found.get("per_minute", 60), "limits.per_minute", 10_000),
        _whole(found.get("per_ticket_hour", 20), "limits.per_ticket_hour", 1_000),
        _choice(Again, found.get("again", Again.ONCE), "limits.again"),
    )


def _whole(value: object, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadRule(f"{name} is a whole number from 1 to {most}.")
    return value


def _choice(kinds: type[E], value: object, name: str) -> E:
    try:
        return kinds(str(value))
    except ValueError as error:
        raise BadRule(f"{name} is {' or '.join(kinds)}.") from error


def _states(value: object, name: str) -> frozenset[str]:
    if not isinstance(value, list | tuple) or any(not isinstance(s, str) or not STATE.fullmatch(s) for s in value):
        raise BadRule(f'{name} lists states, like ["new"], or ["*"] for all.')
    return frozenset(value)


def _table(value: object, name: str, keys: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRule(f"{name} is missing, or is no table.")
    unknown = sorted(set(value) - keys)
    if unknown:
        raise BadRule(f"{name} has no {unknown[0]!r}; known are {', '.join(sorted(keys))}.")
    return value
