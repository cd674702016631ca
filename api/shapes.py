"""Shapes that every router shares: what may come in (typed, bounded, nothing unknown) and what goes out."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from fastapi import Path, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.errors import Invalid

T = TypeVar("T")
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)")
MOST_ITEMS = 200
MOST_UNKNOWN = 20


class Input(BaseModel):
    """A request body: a field that we do not know is an error, not a surprise; many of them are one error."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000)

    @model_validator(mode="before")
    @classmethod
    def _few(cls, value: Any) -> Any:
        """Thousands of unknown fields would be thousands of errors, which take longer to write than anyone reads."""
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + MOST_UNKNOWN:
            raise PydanticCustomError("too_many_fields", "has more fields than are known")
        return value


class Change(Input):
    """The body of a PATCH: the fields that it names change."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000, json_schema_extra={"minProperties": 1})


class Output(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="null")


class Page(Output, Generic[T]):
    """A part of a list. ``next`` is the cursor of the following part; null at the end."""

    items: list[T]
    next: str | None = None


def _rfc3339(value: Any) -> Any:
    if not (isinstance(value, str) and RFC3339.fullmatch(value)):
        raise ValueError("a time must be RFC 3339 with a zone, like 2026-01-31T08:00:00Z")
    return value


def _plausible(value: datetime) -> datetime:
    if value.tzinfo is None or not EARLIEST <= value < LATEST:
        raise ValueError("a time must have a zone and lie between 1970 and 2200")
    return value.astimezone(UTC)


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 2.0 is a whole one, "2" and true are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a whole number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


When = Annotated[
    datetime, BeforeValidator(_rfc3339), AfterValidator(_plausible), Field(examples=["2026-01-31T08:00:00Z"])
]
Moment = Annotated[datetime, AfterValidator(_utc), Field(examples=["2026-01-31T08:00:00Z"])]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\r\n]*$")]
Prose = Annotated[str, StringConstraints(max_length=20_000)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Login = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._@-]{1,64}$"), Field(examples=["wang.li"])]
Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Locale = Literal["en", "zh"]
Role = Literal["device", "gateway", "requester", "engineer", "planner", "manager", "admin", "agent"]
Id = Annotated[int, Path(ge=1, le=2**31 - 1)]
BigId = Annotated[int, Path(ge=1, le=2**53)]
Ref = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=2**31 - 1)]
Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="At most so many items.")]
Cursor = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_=-]{1,64}$", description="`next` of the part before.")]


class Words(Output):
    """A text in every language of the product."""

    en: str
    zh: str


def page(items: list[T], limit: int, key: str) -> Page[T]:
    """The page of at most ``limit`` items, of which one more than that was asked for; ``key`` names the cursor."""
    shown = items[:limit]
    return Page(items=shown, next=str(getattr(shown[-1], key)) if len(items) > limit else None)


def position(cursor: str | None, *, start: int) -> int:
    """The id that a cursor stands for. Raises Invalid for one that is none of ours."""
    if cursor is None:
        return start
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise Invalid("This cursor is none of ours; start the list again without it.")
    return int(cursor)


class EmptyPatch(Invalid):
    """The change names no field."""

    code = "empty_change"


def changes(body: BaseModel) -> dict[str, Any]:
    """The fields that a PATCH body names. Raises EmptyPatch."""
    named = body.model_dump(exclude_unset=True)
    if not named:
        raise EmptyPatch
    return named
