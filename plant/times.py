"""µs since the Unix epoch, as columns hold them, and aware times, as PostgreSQL takes them. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000
DAY_US = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(moment: datetime) -> int:
    """µs since epoch of an aware time."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Aware UTC time of µs since epoch."""
    return EPOCH + timedelta(0, 0, int(us))


def date_of(day: int) -> date:
    """The date of a day counted since epoch."""
    return EPOCH.date() + timedelta(days=int(day))
