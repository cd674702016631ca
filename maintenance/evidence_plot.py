"""A signal with its limits as SVG that needs nothing else to be seen. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

WIDTH, HEIGHT = 760, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 24, 28
MS = 1000.0
Marks = Mapping[str, int]  # label → ms since the epoch


def svg(line: Mapping[str, Any], marks: Marks) -> str:
    """``line``: code, unit, at [ms], value, bands {at, low, expected, high}; ``marks`` stand upright."""
    bands = line["bands"]
    times = [*line["at"], *bands["at"]]
    values = [v for v in (*line["value"], *bands["low"], *bands["high"]) if v is not None and math.isfinite(v)]
    if not times or not values:
        return _frame(f"{_text(LEFT, HEIGHT / 2, 'no data · 无数据')}", _title(line))
    x, y = _scale(min(times), max(times), LEFT, WIDTH - RIGHT), _scale(min(values), max(values), HEIGHT - BOTTOM, TOP)
    low = [(x(at), y(v)) for at, v in zip(bands["at"], bands["low"], strict=True) if v is not None]
    high = [(x(at), y(v)) for at, v in zip(bands["at"], bands["high"], strict=True) if v is not None]
    inside = [
        _axis(min(values), max(values), y, min(times), max(times)),
        f'<polygon points="{_points([*low, *reversed(high)])}" fill="#9db4c8" fill-opacity="0.35"/>' if low else "",
        _line([(x(a), y(v)) for a, v in zip(bands["at"], bands["expected"], strict=True) if v is not None], "#6b8299"),
        _line([(x(a), y(v)) for a, v in zip(line["at"], line["value"], strict=True) if v is not None], "#1d3f5e"),
        *(_mark(x(at), label) for label, at in marks.items() if min(times) <= at <= max(times)),
    ]
    return _frame("".join(inside), _title(line))


def _scale(low: float, high: float, begin: float, end: float) -> Any:
    span = (high - low) or 1.0
    return lambda value: begin + (value - low) / span * (end - begin)


def _axis(low: float, high: float, y: Any, first: float, last: float) -> str:
    found = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#d5dbe1"/>'
        f"{_text(LEFT - 6, y(v) + 4, f'{v:.4g}', anchor='end')}"
        for v in (low, (low + high) / 2, high)
    ]
    found += [_text(LEFT, HEIGHT - 8, _when(first)), _text(WIDTH - RIGHT, HEIGHT - 8, _when(last), anchor="end")]
    return "".join(found)


def _mark(x: float, label: str) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#a33b2a" stroke-dasharray="4 3"/>'
        f"{_text(x + 3, TOP + 10, label)}"
    )


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    return f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="1.2"/>' if points else ""


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _title(line: Mapping[str, Any]) -> str:
    return f"{line['code']} ({line['unit']})" if line["unit"] else str(line["code"])


def _text(x: float, y: float, said: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def _when(ms: float) -> str:
    return datetime.fromtimestamp(ms / MS, UTC).strftime("%Y-%m-%d %H:%M")


def _frame(inside: str, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title, quote=True)}" font-family="sans-serif" font-size="11">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>{_text(LEFT, 14, title)}{inside}</svg>'
    )
