"""Values inside rules: lengths of time, texts with places, and values that an expression computes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tickets.rules.errors import BadRule, ExpressionFailed
from tickets.rules.expressions import Expression, compiled
from tickets.rules.world import MISSING, WORDS, World

LANGUAGES = ("en", "zh")
LONGEST_TEXT = 2_000
LENGTH = re.compile(r"(\d{1,5})\s*(s|m|min|h|d|w)")
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST = timedelta(days=366)
PLACE = re.compile(r"\{([a-z_]+(?:\.\w+)*)\}")


def length(value: object, name: str = "length") -> timedelta:
    """``"30m"``, ``"2 h"``, ``"3d"`` … as a timedelta. Raises BadRule."""
    match = LENGTH.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise BadRule(f'{name} is a length of time like "30m", "2h" or "3d", not {value!r}.')
    found = timedelta(seconds=int(match[1]) * SECONDS[match[2]])
    if not timedelta(0) < found <= LONGEST:
        raise BadRule(f"{name} lies between one second and a year.")
    return found


@dataclass(frozen=True, slots=True)
class Template:
    """A text in one or both languages, with places like ``{ticket.ref}``."""

    texts: Mapping[str, str]

    def render(self, world: World) -> dict[str, str]:
        """language → text; what is not there is shown as –."""
        return {language: PLACE.sub(lambda m: _shown(world, m[1]), text) for language, text in self.texts.items()}

    def plain(self, world: World) -> str:
        """One text, for a timeline that has one language."""
        return self.render(world)["en"]


def template(value: object, name: str = "text") -> Template:
    """From a text, or {en, zh}. Raises BadRule."""
    texts = dict.fromkeys(LANGUAGES, value) if isinstance(value, str) else value
    if not isinstance(texts, Mapping) or not texts or not set(texts) <= set(LANGUAGES):
        raise BadRule(f"{name} is a text, or one for en and one for zh.")
    for text in texts.values():
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TEXT or "\x00" in text:
            raise BadRule(f"{name} is a text of 1 to {LONGEST_TEXT} characters.")
        unknown = [path for path in PLACE.findall(text) if path.split(".")[0] not in WORDS]
        if unknown:
            raise BadRule(f"{name}: there is no {{{unknown[0]}}}; texts may name {', '.join(WORDS)}.")
    some = next(iter(texts.values()))
    return Template({language: str(texts.get(language, some)) for language in LANGUAGES})


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it stands, or what an expression comes to."""

    plain: Any
    expression: Expression | None = None

    def of(self, world: World) -> Any:
        """Raises ExpressionFailed."""
        if self.expression is None:
            return self.plain
        return self.expression.value(world)

    def number(self, world: World) -> float:
        """Raises ExpressionFailed for what is no number."""
        found = self.of(world)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise ExpressionFailed("This must come to a number.")
        return float(found)


def value(data: object) -> Value:
    """``{cel = "…"}`` is computed, everything else stands for itself. Raises BadRule, BadExpression."""
    if isinstance(data, Mapping) and set(data) == {"cel"}:
        if not isinstance(data["cel"], str):
            raise BadRule("cel is an expression, as text.")
        return Value(None, compiled(data["cel"]))
    return Value(data)


def _shown(world: World, path: str) -> str:
    found = world.look(tuple(path.split(".")))
    if found is MISSING or found is None:
        return "–"
    if isinstance(found, datetime):
        return found.strftime("%Y-%m-%d %H:%M")
    if isinstance(found, list | tuple):
        return ", ".join(str(item) for item in found)
    return str(found)
