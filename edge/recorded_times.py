"""Times as tables write them → µs since the epoch. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_HOURS = r"(?:[T ]+(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?"
_ISO = re.compile(
    rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_HOURS}\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)
_GERMAN = re.compile(rf"(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}}){_HOURS}", re.ASCII)
_NUMBER = re.compile(r"\d{9,19}(\.\d+)?", re.ASCII)
_STEP = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|m|h|d)", re.ASCII)
_STEP_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SCALES = ((1e17, 1e-3), (1e14, 1.0), (1e11, 1e3))  # ns, µs, ms since 1970 by their size; else seconds
YEARS = (1900, 2200)  # what the store keeps
_PER_UNIT = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}
_EARLIEST_US, _LATEST_US = ((year - 1970) * 365 * 86_400 * 1_000_000 for year in YEARS)


class BadMoment(ValueError):
    """A text that is no time; the message says why."""


class Zone(StrEnum):
    """Whether the times of a table name their zone."""

    NAMED = "named"
    ASSUMED = "assumed"
    MIXED = "mixed"
    NONE_NEEDED = "none needed"


@dataclass(frozen=True, slots=True)
class Moment:
    """``zoned``: the text says its zone itself (a number since 1970 does)."""

    at_us: int
    zoned: bool


def moment(text: str, zone: tzinfo | None, *, after_us: int | None = None) -> Moment:
    """The time in a cell: ISO 8601 or RFC 3339 (``2026-01-31 08:00``, with or without a zone), ``31.01.2026 08:00``, or
    s, ms, µs or ns since 1970. ``zone`` (UTC if None) is for texts without one.

    An hour that the clocks show twice in autumn is the later one if the earlier would not be after ``after_us``.
    Raises BadMoment.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return Moment(_since_1970(text), True)
    when, named = _parse(text)
    if named is not None:
        return Moment(_us(when.replace(tzinfo=named), text), True)
    local = when.replace(tzinfo=zone or UTC)
    at_us = _us(local, text)
    if after_us is not None and at_us <= after_us:
        later_us = _us(local.replace(fold=1), text)
        at_us = later_us if later_us > after_us else at_us
    return Moment(at_us, False)


def scaled(text: str, unit: str) -> int:
    """A number of s, ms, us or ns since 1970, with or without a fraction. Raises BadMoment."""
    try:
        at_us = Decimal(text.replace(",", ".")) * Decimal(_PER_UNIT[unit])
        if at_us.is_finite() and _EARLIEST_US <= at_us < _LATEST_US:
            return int(at_us)
    except InvalidOperation:
        pass
    raise BadMoment(f"{text[:60]!r} is no number of {unit} since 1970")


def since_excel(text: str, zone: tzinfo | None) -> int:
    """A spreadsheet's number of days since 1899-12-30, wall time of ``zone`` (UTC if None). Raises BadMoment."""
    try:
        days = float(text.replace(",", "."))
        local = datetime(1899, 12, 30) + timedelta(days=days)  # noqa: DTZ001 the zone comes next
    except (ValueError, OverflowError):
        raise BadMoment(f"{text[:60]!r} is no number of days since 1899-12-30") from None
    rounded = local + timedelta(microseconds=500)  # a day's float holds no microseconds
    return _us(rounded.replace(microsecond=rounded.microsecond // 1000 * 1000, tzinfo=zone or UTC), text)


def step(text: str) -> timedelta:
    """A time between rows: ``1h``, ``10 min``, ``500ms``. Raises BadMoment."""
    found = _STEP.fullmatch(text.strip())
    if found is None or (length := float(found[1]) * _STEP_UNITS[found[2]]) < 1e-6 or length > 31 * 86_400:
        raise BadMoment(f"{text!r} is no time between rows. Give it like 1h, 10min, 1s or 500ms, at most 31d.")
    return timedelta(seconds=length)


def zoned(named: int, times: int) -> Zone:
    """What the times of a table do, ``named`` of ``times`` naming their zone."""
    if named == times:
        return Zone.NAMED
    return Zone.ASSUMED if named == 0 else Zone.MIXED


def _parse(text: str) -> tuple[datetime, tzinfo | None]:
    iso, german = _ISO.fullmatch(text), _GERMAN.fullmatch(text)
    if iso:
        parts, zone = (iso[1], iso[2], iso[3], *iso.groups()[3:7]), iso[8]
    elif german:
        parts, zone = (german[3], german[2], german[1], *german.groups()[3:]), None
    else:
        raise BadMoment(f"{text[:60]!r} is no time; write it like 2026-01-31 08:00:00")
    year, month, day, hour, minute, second = (int(part or 0) for part in parts[:6])
    micro = int((parts[6] or "0").ljust(6, "0")[:6])
    try:
        return datetime(year, month, day, hour, minute, second, micro), _zone(zone)  # noqa: DTZ001 the zone comes next
    except ValueError as error:
        raise BadMoment(f"{text[:60]!r} is no time ({error})") from None


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text.upper() in ("Z", "UTC"):
        return UTC
    away = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(away if text[0] == "+" else -away)


def _us(when: datetime, text: str) -> int:
    if not YEARS[0] <= when.year < YEARS[1]:
        raise BadMoment(f"{text[:60]!r} is not between {YEARS[0]} and {YEARS[1]}")
    return (when.astimezone(UTC) - _EPOCH) // _US


def _since_1970(text: str) -> int:
    whole, _, rest = text.partition(".")
    size = int(whole)
    factor = next((scale for least, scale in _SCALES if size >= least), 1e6)
    at_us = size // 1000 if factor == 1e-3 else size * int(factor) + int(float(f"0.{rest or 0}") * factor)
    if at_us >= (YEARS[1] - 1970) * 365 * 86_400 * 1_000_000:
        raise BadMoment(f"{text[:60]!r} is no time since 1970")
    return at_us
