"""Which rules does a happening concern? An index by event kind and by one equality of each rule. Pure.

A rule that begins with `ticket.kind == 'incident' && …` is looked up, not asked: with hundreds of rules most of them
cost nothing for most events. The rest of a rule's equalities are compared before CEL sees anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tickets.rules.errors import ExpressionFailed
from tickets.rules.model import Form, Rule, Status
from tickets.rules.sift import Equal, keys
from tickets.rules.world import MISSING, World

ANY = "*"
Ranked = tuple[int, Rule]


class Verdict(StrEnum):
    """What a condition said."""

    MATCHED = "matched"
    NOT = "not"
    ERROR = "error"


@dataclass(slots=True)
class _Shelf:
    """The rules of one event kind."""

    always: list[Ranked] = field(default_factory=list)
    by_value: dict[tuple[str, ...], dict[Any, list[Ranked]]] = field(default_factory=lambda: defaultdict(dict))

    def put(self, ranked: Ranked, key: Equal | None) -> None:
        if key is None:
            self.always.append(ranked)
            return
        for value in key.values:
            self.by_value[key.path].setdefault(value, []).append(ranked)

    def find(self, world: World) -> Iterable[Ranked]:
        yield from self.always
        for path, rules in self.by_value.items():
            value = world.look(path)
            if value is MISSING or isinstance(value, list | dict):
                yield from {id(rule): rule for listed in rules.values() for rule in listed}.values()
            else:
                yield from rules.get(value, ())


class Index:
    """The enabled rules of a site, ready to be asked. Order: as given."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._shelves: dict[str, _Shelf] = defaultdict(_Shelf)
        self.ticking = tuple(rule for rule in rules if rule.definition.when.every is not None)
        following = [rule for rule in rules if rule.definition.when.kinds]
        commonness = _commonness(following)
        for rank, rule in enumerate(following):
            key = _key(rule, commonness)
            for kind in rule.definition.when.kinds:
                self._shelves[kind].put((rank, rule), key)

    def candidates(self, world: World) -> list[Rule]:
        """The rules whose condition may hold for this happening; every rule that does hold is among them."""
        found: dict[int, Rule] = {}
        for kind in (world.happening.kind, ANY):
            shelf = self._shelves.get(kind)
            if shelf is not None:
                found.update(shelf.find(world))
        return [found[rank] for rank in sorted(found)]


@dataclass(frozen=True, slots=True)
class Library:
    """What is in force on a site."""

    index: Index
    guards: tuple[Rule, ...]
    by_id: dict[int, Rule]


def library(rules: Sequence[Rule]) -> Library:
    """The library of the enabled rules among these."""
    active = [rule for rule in rules if rule.status is Status.ENABLED]
    index = Index([rule for rule in active if rule.definition.form is Form.RULE])
    guards = tuple(rule for rule in active if rule.definition.form is Form.GUARD)
    return Library(index, guards, {rule.rule_id: rule for rule in rules})


def judge(rule: Rule, world: World) -> tuple[Verdict, str]:
    """Whether the rule's condition holds, and the sentence of an error."""
    condition = rule.definition.condition
    if condition is None:
        return Verdict.MATCHED, ""
    try:
        return (Verdict.MATCHED if condition.holds(world) else Verdict.NOT), ""
    except ExpressionFailed as error:
        return Verdict.ERROR, error.message


def _commonness(rules: Iterable[Rule]) -> dict[tuple[str, ...], int]:
    """How many rules name a path: shelving most of them by the same one keeps look-ups few."""
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for rule in rules:
        for term in _keys(rule):
            counts[term.path] += 1
    return counts


def _keys(rule: Rule) -> list[Equal]:
    condition = rule.definition.condition
    found = () if condition is None else keys(condition.sieve)
    return [key for key in found if key.path[0] in ("ticket", "fields", "actor")]


def _key(rule: Rule, commonness: dict[tuple[str, ...], int]) -> Equal | None:
    """The equality with the fewest values; among those, of the path that most rules name."""
    return min(_keys(rule), key=lambda term: (len(term.values), -commonness[term.path]), default=None)
