"""What a custom field is, and whether a value fits it. Pure; every refusal is InvalidFields.

definition (a row of ``field_definitions``)  +  what somebody gave  ──value()──>  JSON as the ticket keeps it
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from tickets import words
from tickets.model import Audience, Text, TicketKind

FIELD_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}\Z")
LONGEST_LINE = 300
MOST_CHOSEN = 50
GREATEST = 2.0**53
FORMULA = re.compile(r"\s*(=|[@+\-](?=[A-Za-z(@=+\-])|[+\-][\d.]+[*/+\-(].*[!(|])")  # what a spreadsheet would run
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)\Z")


class FieldType(StrEnum):
    """What a field holds; assets and persons by their id."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"
    MULTI_CHOICE = "multi_choice"
    ASSET = "asset"
    PERSON = "person"
    URL = "url"


class Required(StrEnum):
    """When a field must have a value."""

    NEVER = "never"
    OPEN = "open"
    TRANSITION = "transition"


@dataclass(frozen=True, slots=True)
class Option:
    """One of the values of a choice."""

    value: str
    label: Text


@dataclass(frozen=True, slots=True)
class Definition:
    """A custom field. ``field_id`` None = built in; empty ``kinds`` = tickets of every kind."""

    field_id: int | None
    key: str
    label: Text
    type: FieldType
    unit: str = ""
    low: float | None = None
    high: float | None = None
    options: tuple[Option, ...] = ()
    kinds: tuple[str, ...] = ()
    required: Required = Required.NEVER
    required_to: tuple[str, ...] = ()  # states
    default: Any = None
    audience: Audience = Audience.INTERNAL
    position: int = 0
    retired_at: datetime | None = None
    version: int = 0
    changed_by: str = ""

    def of(self, kind: TicketKind) -> bool:
        """Whether tickets of this kind have the field."""
        return not self.kinds or kind.value in self.kinds

    @property
    def is_ordered(self) -> bool:
        """Whether a filter may ask for a range."""
        return self.type in (FieldType.NUMBER, FieldType.INTEGER)

    @property
    def is_filtered(self) -> bool:
        """Whether lists can be filtered by it; long texts are found by the search."""
        return self.type is not FieldType.LONG_TEXT


@dataclass(frozen=True, slots=True)
class FieldFilter:
    """What a list asks of a field: this value as text, or a number between ``low`` and ``high`` (None = no end)."""

    key: str
    value: str | None = None
    low: float | None = None
    high: float | None = None


def value(definition: Definition, given: Any) -> Any:
    """The value as the ticket keeps it. That an asset or person exists is not looked at here."""
    return CHECKS[definition.type](definition, given)


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet that opens an export could run this text."""
    return FORMULA.match(text) is not None


def line(field: str, given: Any, *, longest: int = LONGEST_LINE) -> str:
    """One line of text that is no spreadsheet formula."""
    said = words.text(field, given, longest=longest)
    if any(ord(char) < 32 for char in said):
        raise words.refuse(field, f"{field} must be one line of text.")
    if looks_like_formula(said):
        raise words.refuse(
            field,
            f"{field} begins like a spreadsheet formula ({said[:1]!r}). Put a word or a ' before it.",
            code="formula",
        )
    return said


def _text(definition: Definition, given: Any) -> str:
    return line(definition.key, given)


def _long_text(definition: Definition, given: Any) -> str:
    return words.text(definition.key, given)


def _number(definition: Definition, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise words.refuse(definition.key, f"{definition.key} must be a number{_in_unit(definition)}.", code="type")
    if abs(given) > GREATEST:
        raise words.refuse(definition.key, f"{definition.key} is too large a number.", code="range")
    low, high = definition.low, definition.high
    if (low is not None and given < low) or (high is not None and given > high):
        span = f"{'…' if low is None else f'{low:g}'} to {'…' if high is None else f'{high:g}'}{_in_unit(definition)}"
        raise words.refuse(definition.key, f"{definition.key} is {given:g}; it goes from {span}.", code="range")
    return given


def _integer(definition: Definition, given: Any) -> int:
    number = _number(definition, given)
    if number != int(number):
        raise words.refuse(definition.key, f"{definition.key} must be a whole number.", code="type")
    return int(number)


def _boolean(definition: Definition, given: Any) -> bool:
    if not isinstance(given, bool):
        raise words.refuse(definition.key, f"{definition.key} is true or false.", code="type")
    return given


def _date(definition: Definition, given: Any) -> str:
    try:
        if not isinstance(given, str) or len(given) != 10:
            raise ValueError(given)
        return date.fromisoformat(given).isoformat()
    except ValueError as error:
        raise words.refuse(definition.key, f"{definition.key} must be a day like 2026-03-31.", code="type") from error


def _datetime(definition: Definition, given: Any) -> str:
    try:
        if not isinstance(given, str) or not RFC3339.match(given):
            raise ValueError(given)
        at = datetime.fromisoformat(given.upper().replace(" ", "T")).astimezone(UTC)
        return at.isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        detail = f"{definition.key} must be a time with its zone, like 2026-03-31T08:00:00Z."
        raise words.refuse(definition.key, detail, code="type") from error


def _choice(definition: Definition, given: Any) -> str:
    known = [each.value for each in definition.options]
    if not isinstance(given, str) or given not in known:
        raise words.refuse(definition.key, f"{definition.key} is one of {_listed(known)}.", code="choice")
    return given


def _multi_choice(definition: Definition, given: Any) -> list[str]:
    if not isinstance(given, list | tuple) or len(given) > MOST_CHOSEN:
        raise words.refuse(definition.key, f"{definition.key} must be a list of choices.", code="type")
    chosen = {_choice(definition, each) for each in given}
    return [each.value for each in definition.options if each.value in chosen]


def _ident(definition: Definition, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given < 2**31:
        raise words.refuse(
            definition.key, f"{definition.key} must be the id of a {definition.type.value}.", code="type"
        )
    return given


def _url(definition: Definition, given: Any) -> str:
    said = words.text(definition.key, given, longest=2000)
    try:
        parts = urlsplit(said)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or any(char.isspace() for char in said):
        raise words.refuse(definition.key, f"{definition.key} must be an address like https://example.org/page.")
    return said


def _in_unit(definition: Definition) -> str:
    return f" in {definition.unit}" if definition.unit else ""


def _listed(known: list[str]) -> str:
    return ", ".join(known[:20]) + (" …" if len(known) > 20 else "") if known else "nothing yet"


CHECKS: Mapping[FieldType, Callable[[Definition, Any], Any]] = {
    FieldType.TEXT: _text,
    FieldType.LONG_TEXT: _long_text,
    FieldType.NUMBER: _number,
    FieldType.INTEGER: _integer,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATE: _date,
    FieldType.DATETIME: _datetime,
    FieldType.CHOICE: _choice,
    FieldType.MULTI_CHOICE: _multi_choice,
    FieldType.ASSET: _ident,
    FieldType.PERSON: _ident,
    FieldType.URL: _url,
}
