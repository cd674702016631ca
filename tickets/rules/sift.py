"""What is certainly false without asking CEL: comparisons of a path with literals, under && and ||. Pure.

    ticket.kind == 'x' && (fields.n > 3 || ticket.title.matches('(?i)leak')) ──> All(Equal, OneOf(Compared, Text))
Whatever is not understood here, missing, or of another type is left to CEL: a sieve lets through what may hold, and
never holds back what does.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from tickets.rules.world import MISSING, World

CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
LOOKED_INTO = frozenset({"ticket", "before", "event", "actor", "fields"})  # parts that cost nothing to look into
COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
WORDS_ONLY = re.compile(r"(?P<fold>\(\?i\))?(?P<words>[\w \-]+(\|[\w \-]+)*)")
SCALARS = (str, int, float, bool, datetime, type(None))
Path = tuple[str, ...]


class Token(NamedTuple):
    kind: str
    text: str


class Sieve(Protocol):
    """A part of an expression."""

    def admits(self, world: World) -> bool:
        """False only if that part is false for certain."""


@dataclass(frozen=True, slots=True)
class Equal:
    """``path`` is one of ``values``."""

    path: Path
    values: frozenset[Any]

    def admits(self, world: World) -> bool:
        found = world.look(self.path)
        return not isinstance(found, SCALARS) or found in self.values


@dataclass(frozen=True, slots=True)
class Differs:
    """``path`` is not ``value``."""

    path: Path
    value: Any

    def admits(self, world: World) -> bool:
        found = world.look(self.path)
        return type(found) is not type(self.value) or bool(found != self.value)


@dataclass(frozen=True, slots=True)
class Compared:
    """``path`` against a number."""

    path: Path
    sign: str
    value: float

    def admits(self, world: World) -> bool:
        found = world.look(self.path)
        return isinstance(found, bool) or not isinstance(found, int | float) or COMPARED[self.sign](found, self.value)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two paths, equal (``==``) or not."""

    path: Path
    sign: str
    other: Path

    def admits(self, world: World) -> bool:
        one, two = world.look(self.path), world.look(self.other)
        if type(one) is not type(two) or not isinstance(one, SCALARS):
            return True
        return bool((one == two) == (self.sign == "=="))


@dataclass(frozen=True, slots=True)
class Text:
    """A text holds, begins or ends with one of these words; ``folded``: in capitals or not."""

    path: Path
    how: str
    words: tuple[str, ...]
    folded: bool = False

    def admits(self, world: World) -> bool:
        found = world.look(self.path)
        if not isinstance(found, str):
            return True
        text = found.casefold() if self.folded else found
        if self.how == "startsWith":
            return text.startswith(self.words)
        if self.how == "endsWith":
            return text.endswith(self.words)
        return any(word in text for word in self.words)


@dataclass(frozen=True, slots=True)
class There:
    """``has(path)``."""

    path: Path

    def admits(self, world: World) -> bool:
        return world.look(self.path) is not MISSING


@dataclass(frozen=True, slots=True)
class All:
    """Parts under &&; what is not understood is left out."""

    parts: tuple[Sieve, ...]

    def admits(self, world: World) -> bool:
        return all(part.admits(world) for part in self.parts)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Parts under ||, all of them understood."""

    parts: tuple[Sieve, ...]

    def admits(self, world: World) -> bool:
        return any(part.admits(world) for part in self.parts)


def sieve(tokens: Sequence[Token]) -> All:
    """What can be told of an expression without CEL."""
    found = _part(list(tokens))
    if isinstance(found, All):
        return found
    return All(() if found is None else (found,))


def keys(found: All) -> tuple[Equal, ...]:
    """The equalities that must hold for the whole to hold."""
    return tuple(part for part in found.parts if isinstance(part, Equal))


def _part(tokens: list[Token]) -> Sieve | None:
    while len(tokens) > 1 and tokens[0] == ("sign", "(") and _closes(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    if len(_split(tokens, "?")) > 1:
        return None
    either = _split(tokens, "||")
    if len(either) > 1:
        parts = [_part(each) for each in either]
        known = tuple(part for part in parts if part is not None)
        return OneOf(known) if len(known) == len(parts) else None
    both = _split(tokens, "&&")
    if len(both) > 1:
        return All(tuple(part for each in both if (part := _part(each)) is not None))
    return _leaf(tokens)


def _closes(tokens: list[Token]) -> int:
    """Where the bracket that opens at the beginning is closed."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += _step(token)
        if depth == 0:
            return i
    return -1


def _split(tokens: list[Token], sign: str) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += _step(token)
        if depth == 0 and token == ("sign", sign):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _step(token: Token) -> int:
    return (token.text in ("(", "[")) - (token.text in (")", "]")) if token.kind == "sign" else 0


# -- leaves -----------------------------------------------------------------------------------------------------------


def _leaf(part: list[Token]) -> Sieve | None:
    for read in (_comparison, _membership, _call, _has):
        found = read(part)
        if found is not None:
            return found
    return None


def _comparison(part: list[Token]) -> Sieve | None:
    signs = [i for i, token in enumerate(part) if token.kind == "sign" and token.text in TURNED]
    if len(signs) != 1:
        return None
    left, sign, right = part[: signs[0]], part[signs[0]].text, part[signs[0] + 1 :]
    path, other = _path(left), _path(right)
    if path is not None and other is not None:
        return Pair(path, sign, other) if sign in ("==", "!=") else None
    if path is None:
        path, sign, right = other, TURNED[sign], left
    value = _literal(right[0]) if len(right) == 1 else MISSING
    if path is None or value is MISSING:
        return None
    if sign == "==":
        return Equal(path, frozenset({value}))
    if sign == "!=":
        return Differs(path, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Compared(path, sign, value)


def _membership(part: list[Token]) -> Sieve | None:
    names = [i for i, token in enumerate(part) if token == ("word", "in")]
    if len(names) != 1 or part[-1] != ("sign", "]") or part[names[0] + 1] != ("sign", "["):
        return None
    path, listed = _path(part[: names[0]]), part[names[0] + 2 : -1]
    values = [_literal(token) for token in listed[::2]]
    if path is None or MISSING in values or any(token != ("sign", ",") for token in listed[1::2]):
        return None
    return Equal(path, frozenset(values)) if len(listed) % 2 else None


def _call(part: list[Token]) -> Sieve | None:
    """``path.contains('x')`` and its kin."""
    if len(part) < 8 or part[-3] != ("sign", "(") or part[-1] != ("sign", ")") or part[-5] != ("sign", "."):
        return None
    path, how, word = _path(part[:-5]), part[-4].text, _literal(part[-2])
    if path is None or not isinstance(word, str):
        return None
    if how in ("contains", "startsWith", "endsWith"):
        return Text(path, how, (word,))
    plain = WORDS_ONLY.fullmatch(word) if how == "matches" else None
    if plain is None:
        return None
    folded = plain["fold"] is not None
    words = tuple(each.casefold() if folded else each for each in plain["words"].split("|"))
    return Text(path, "contains", words, folded)


def _has(part: list[Token]) -> Sieve | None:
    if len(part) < 6 or part[0] != ("word", "has") or part[1] != ("sign", "(") or part[-1] != ("sign", ")"):
        return None
    path = _path(part[2:-1])
    return None if path is None else There(path)


def _path(part: list[Token]) -> Path | None:
    words, dots = part[::2], part[1::2]
    good = len(part) % 2 == 1 and all(w.kind == "word" for w in words) and all(d == ("sign", ".") for d in dots)
    found = tuple(word.text for word in words)
    return found if good and len(found) > 1 and found[0] in LOOKED_INTO else None


def _literal(token: Token) -> Any:
    if token.kind == "word" and token.text in CONSTANTS:
        return CONSTANTS[token.text]
    if token.kind == "number" and not token.text.startswith("0x"):
        return json.loads(token.text)
    if token.kind == "string" and "\\" not in token.text:
        return token.text[1:-1]
    return MISSING
