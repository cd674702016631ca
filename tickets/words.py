"""Checks of what callers hand in: texts, priorities, JSON fields. Pure; every refusal is InvalidFields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tickets.chain import canonical
from tickets.errors import InvalidFields
from tickets.model import TicketKind

LONGEST_TITLE = 300
LONGEST_TEXT = 20_000
MOST_JSON = 65_536
CODE = re.compile(r"[\w.:-]{1,64}\Z")


def refuse(field: str, detail: str, *, code: str = "invalid") -> InvalidFields:
    """The error for one field."""
    return InvalidFields(detail, errors=[{"field": field, "code": code, "detail": detail}])


def text(field: str, value: object, *, longest: int = LONGEST_TEXT, needed: bool = True) -> str:
    """Stripped text of at most ``longest`` characters."""
    if not isinstance(value, str):
        raise refuse(field, f"{field} must be text.", code="type")
    stripped = value.strip()
    if needed and not stripped:
        raise refuse(field, f"{field} must not be empty.", code="required")
    if len(stripped) > longest:
        raise refuse(field, f"{field} is longer than {longest} characters.", code="too_long")
    plain(field, stripped)
    return stripped


def title(value: object) -> str:
    return text("title", value, longest=LONGEST_TITLE)


def priority(value: object) -> int:
    """1 (most urgent) to 5."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 5:
        raise refuse("priority", "priority is a whole number from 1 (most urgent) to 5.")
    return value


def kind(value: object) -> TicketKind:
    try:
        return TicketKind(str(value))
    except ValueError as error:
        raise refuse("kind", f"kind is one of {', '.join(TicketKind)}.", code="choice") from error


def code(field: str, value: object) -> str | None:
    """A short code such as a failure mode or skill, or None."""
    if value is None:
        return None
    if not isinstance(value, str) or not CODE.match(value):
        raise refuse(field, f"{field} is a code of letters, digits and . : _ - up to 64 characters.")
    return value


def fields(value: object) -> dict[str, Any]:
    """Custom fields: a JSON object of bounded size."""
    return small("fields", value)


def small(field: str, value: object, *, most: int = MOST_JSON) -> dict[str, Any]:
    """A JSON object of at most ``most`` characters."""
    if not isinstance(value, Mapping):
        raise refuse(field, f"{field} must be an object.", code="type")
    if len(plain(field, value)) > most:
        raise refuse(field, f"{field} is too large.", code="too_long")
    return dict(value)


def plain(field: str, value: object) -> str:
    """The value as canonical JSON; refuses what JSON or the database cannot keep (NaN, NUL, lone surrogates)."""
    try:
        return canonical(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise refuse(field, f"{field} cannot be kept: {error}.") from error
