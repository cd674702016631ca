"""How many grid rows a time means: every constant of the chain that has to do with time, in one place. Pure."""

from __future__ import annotations

from typing import NamedTuple

from detectors.jit import kernel

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


class Pace(NamedTuple):
    """Rows and rates for one grid step. Sparse rows (one an hour, one a flight) get small counts, never zero."""

    step_us: int
    short_rows: float  # half-lives of the two memories
    long_rows: float
    settle_rows: int  # after a start nothing is judged
    step_rows: int  # after a large setpoint step nothing is judged
    novel_rows: int  # an unknown context teaches only after it lasted
    warm_rows: int  # rows a baseline needs at least
    warm_us: int  # time it must span where a context is known (three days: starts, loads, weather)
    persist_rows: int  # window of the k-of-n rule
    recover_rows: int
    repeat_rows: int
    band_rows: int
    jump_rows: int  # a sensor's jump is confirmed after; 0 = rows too far apart to tell a jump from wear
    lag_rates: tuple[float, float, float]  # low-passes of the context for what warms and cools slowly


def pace_of(step_us: int) -> Pace:
    """The pace of a grid with this step in µs (> 0)."""

    def rows(us: float, least: int, most: int) -> int:
        return int(min(max(round(us / step_us), least), most))

    def rate(half_life_us: float) -> float:
        return float(1.0 - 2.0 ** (-step_us / half_life_us))

    return Pace(
        step_us=step_us,
        short_rows=rows(15 * MINUTE_US, 4, 15),
        long_rows=rows(2 * HOUR_US, 8, 120),
        settle_rows=rows(30 * MINUTE_US, 1, 1_800),
        step_rows=rows(5 * MINUTE_US, 1, 300),
        novel_rows=rows(10 * MINUTE_US, 3, 600),
        warm_rows=rows(12 * HOUR_US, 40, 720),
        warm_us=min(3 * DAY_US, 4_320 * step_us),
        persist_rows=rows(30 * MINUTE_US, 10, 30),
        recover_rows=rows(HOUR_US, 10, 60),
        repeat_rows=rows(30 * MINUTE_US, 2, 30),
        band_rows=rows(15 * MINUTE_US, 1, 15),
        jump_rows=rows(15 * MINUTE_US, 8, 15) if step_us <= 5 * MINUTE_US else 0,
        lag_rates=(rate(7 * MINUTE_US), rate(28 * MINUTE_US), rate(112 * MINUTE_US)),
    )


HISTORY_SHARE = 1.0 / 12.0


@kernel
def reach(rows: int, least: float, most: float) -> float:
    """A memory's half-life after ``rows`` rows: never more than a twelfth of what was seen, so that short
    histories (an engine of 200 flights) are judged as well as long ones."""
    return min(max(rows * HISTORY_SHARE, least), most)


@kernel
def short_reach(pace: Pace, rows: int) -> float:
    """Half-life of the short memory in rows."""
    return reach(rows // 4, min(4.0, pace.short_rows), pace.short_rows)


@kernel
def long_reach(pace: Pace, rows: int) -> float:
    """Half-life of the long memory in rows."""
    return reach(rows, min(8.0, pace.long_rows), pace.long_rows)
