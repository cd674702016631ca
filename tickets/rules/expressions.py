"""Expressions in CEL: checked, compiled once, evaluated over a bounded world. Pure.

    text ──read──> tokens ──refuse what has no bound──> Expression(program, roots, sieve)

CEL has loops only as macros over a list, so that without macros inside macros the work is bounded by the text times the
list. The engine has no cost limit of its own: length, depth and nesting are limited here, before it sees the text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tickets.rules import native
from tickets.rules.errors import BadExpression, ExpressionFailed
from tickets.rules.sift import CONSTANTS, All, Token, sieve
from tickets.rules.world import WORDS, World

LONGEST = 2_000
MOST_TOKENS = 400
DEEPEST = 24
MOST_CHOICES = 16  # ? : in one expression
LONGEST_RUN = 4  # of ! or - before an operand
LONGEST_PATH = 8
MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
FUNCTIONS: Mapping[str, str] = {
    "has": "has(fields.x): is it there?",
    "size": "size(ticket.tags)",
    "contains": "ticket.title.contains('leak')",
    "startsWith": "asset.code.startsWith('P-')",
    "endsWith": "asset.code.endsWith('-2')",
    "matches": "ticket.title.matches('(?i)leak|drip')",
    "duration": "duration('3h')",
    "timestamp": "timestamp('2026-01-31T08:00:00Z')",
    "int": "int(fields.pieces)",
    "double": "double(fields.price)",
    "string": "string(ticket.priority)",
    "getHours": "now.getHours(): 0 to 23, UTC",
    "getDayOfWeek": "now.getDayOfWeek(): 0 = Sunday",
    "getDate": "now.getDate(): 1 to 31",
    "getMonth": "now.getMonth(): 0 = January",
    "getFullYear": "now.getFullYear()",
    "getMinutes": "now.getMinutes()",
    "all": "ticket.tags.all(t, t != 'test')",
    "exists": "ticket.tags.exists(t, t == 'leak')",
    "exists_one": "ticket.tags.exists_one(t, t == 'leak')",
    "filter": "size(ticket.tags.filter(t, t != 'x')) > 1",
    "map": "ticket.tags.map(t, size(t))",
}
TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<raw>[rR](?:"[^"\n]*"|'[^'\n]*'))
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<number>0x[0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. ``roots`` are the parts of the world that it looks into."""

    text: str
    program: Any
    roots: frozenset[str]
    sieve: All

    def value(self, world: World) -> Any:
        """What it comes to. Raises ExpressionFailed with a sentence."""
        try:
            return self.program.execute(world.context(self.roots))
        except LookupError as error:
            raise ExpressionFailed(_absent(str(error))) from error
        except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
            raise ExpressionFailed(_sentence(str(error))) from error

    def holds(self, world: World) -> bool:
        """Whether it is true. Raises ExpressionFailed, also for what is neither true nor false."""
        if not self.sieve.admits(world):
            return False
        found = self.value(world)
        if not isinstance(found, bool):
            raise ExpressionFailed(f"A condition must be true or false; this one is {_kind_of(found)}.")
        return found


@lru_cache(maxsize=4096)
def compiled(text: str) -> Expression:
    """The expression of a text. Raises BadExpression with a sentence for the person who writes it."""
    tokens = _read(text)
    _refuse_unbounded(tokens)
    roots = _roots(tokens)
    try:
        program = native.compile_text(text)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BadExpression(f"This is no expression: {_sentence(str(error))}") from error
    return Expression(text, program, roots, sieve(tokens))


# -- reading ----------------------------------------------------------------------------------------------------------


def _read(text: str) -> list[Token]:
    if not text.strip():
        raise BadExpression("The expression is empty.")
    if len(text) > LONGEST:
        raise BadExpression(
            f"The expression is {len(text)} characters long; {LONGEST} is the most. Make two rules of it."
        )
    if '"""' in text or "'''" in text or "//" in _without_strings(text):
        raise BadExpression("Comments and triple quotes are not taken; put remarks into the rule's description.")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise BadExpression(f"{text[at : at + 12]!r} at character {at + 1} is not part of an expression.")
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group()))
        at = match.end()
    if len(tokens) > MOST_TOKENS:
        raise BadExpression(f"The expression has {len(tokens)} words and signs; {MOST_TOKENS} is the most.")
    return tokens


def _without_strings(text: str) -> str:
    return re.sub(r"""[rR]"[^"\n]*"|[rR]'[^'\n]*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", "''", text)


def _refuse_unbounded(tokens: list[Token]) -> None:
    depth = run = path = 0
    macros: list[int] = []  # depths of the brackets of the macros that we are in
    for i, (kind, text) in enumerate(tokens):
        if text in ("(", "[") and kind == "sign":
            depth += 1
            if text == "(" and i > 1 and tokens[i - 1].text in MACROS and tokens[i - 2].text == ".":
                if macros:
                    raise BadExpression(f"{tokens[i - 1].text} stands inside another loop; loops are not nested here.")
                macros.append(depth)
        elif text in (")", "]") and kind == "sign":
            if macros and macros[-1] == depth:
                macros.pop()
            depth -= 1
        run = run + 1 if kind == "sign" and text in "!-" else 0
        path = path + 1 if text == "." else path if kind == "word" else 0
        if depth > DEEPEST or run > LONGEST_RUN or path > LONGEST_PATH:
            raise BadExpression(f"The expression is nested too deeply at {text!r}; make two rules of it.")
    if sum(1 for token in tokens if token == ("sign", "?")) > MOST_CHOICES:
        raise BadExpression(f"More than {MOST_CHOICES} choices ( ? : ) in one expression; make several rules of it.")


def _roots(tokens: list[Token]) -> frozenset[str]:
    """The parts of the world that are named. Raises BadExpression for a name that is none."""
    bound = _loop_names(tokens)
    found = set()
    for i, token in enumerate(tokens):
        if token.kind != "word" or token.text in CONSTANTS or token.text == "in":
            continue
        before = tokens[i - 1].text if i else ""
        after = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if after == "(" or before == ".":
            if after == "(" and token.text not in FUNCTIONS:
                raise BadExpression(f"There is no function {token.text!r}. {_nearest(token.text, FUNCTIONS)}")
            continue
        if token.text in bound:
            continue
        if token.text not in WORDS:
            raise BadExpression(f"There is no {token.text!r}. {_nearest(token.text, WORDS)}")
        found |= _parts(tokens, i)
    return frozenset(found)


def _parts(tokens: list[Token], i: int) -> set[str]:
    """The root at ``i``, whose first member must be known where it has fixed ones."""
    root = tokens[i].text
    known = WORDS[root]
    if known is None or i + 2 >= len(tokens) or tokens[i + 1].text != "." or tokens[i + 2].kind != "word":
        return {root, f"{root}.body"} if root == "event" else {root}
    member = tokens[i + 2].text
    if member not in known:
        raise BadExpression(f"{root} has no {member!r}. {_nearest(member, known)}")
    return {root, f"{root}.{member}"} if member == "body" else {root}


def _loop_names(tokens: list[Token]) -> set[str]:
    return {
        tokens[i + 2].text
        for i, token in enumerate(tokens[:-3])
        if token.text in MACROS and tokens[i + 1].text == "(" and tokens[i + 3].text == ","
    }


def _nearest(word: str, known: Mapping[str, Any] | tuple[str, ...] | frozenset[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(sorted(known))}."


# -- sentences --------------------------------------------------------------------------------------------------------


def _absent(said: str) -> str:
    name = said.strip("\"'")[:64]
    return f"{name} is not there. Ask first whether it is, like has(fields.{name})."


def _sentence(said: str) -> str:
    """The engine's words, shortened, with what to do about the most common mistake."""
    said = " ".join(said.split())
    if "No such overload" in said:
        return (
            "Values of different kinds, or an empty one (null), were put together: compare with null first, or convert."
        )
    return said[:300]


def _kind_of(value: Any) -> str:
    names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "empty"}
    return names.get(type(value), "something else")
