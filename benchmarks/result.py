"""How every benchmark ends: a table for people, and one JSON object as its last line."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping
from typing import Any

OPERATORS = {">=": operator.ge, "<=": operator.le, "==": operator.eq}
GOAL = re.compile(r"^(>=|<=|==) (-?\d+(?:\.\d+)?)$")
RANGE = re.compile(r"^(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)$")


def meets(value: float | None, goal: str) -> bool:
    """Whether ``value`` meets a goal such as ``>= 0.6`` or ``3..5``. Raises ValueError for any other form."""
    if found := GOAL.match(goal):
        return value is not None and bool(OPERATORS[found[1]](value, float(found[2])))
    if found := RANGE.match(goal):
        return value is not None and float(found[1]) <= value <= float(found[2])
    raise ValueError(f"a goal reads '>= 0.6', '<= 1', '== 0' or '3..5', not {goal!r}")


def result(bench: str, *, broker: str, figures: Mapping[str, float | None], goals: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object: figures, and for each goal its value and whether it is met."""
    judged = {
        name: {"value": figures.get(name), "goal": goal, "ok": meets(figures.get(name), goal)}
        for name, goal in goals.items()
    }
    return {"bench": bench, "broker": broker, "figures": dict(figures), "goals": judged}


def finish(bench: str, *, broker: str, figures: Mapping[str, float | None], goals: Mapping[str, str]) -> dict[str, Any]:
    """Print the table and, as the last line, the JSON object; returns it."""
    found = result(bench, broker=broker, figures=figures, goals=goals)
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        judged = found["goals"].get(name)
        mark = "" if judged is None else f"   goal {judged['goal']}: {'met' if judged['ok'] else 'MISSED'}"
        print(f"  {name:<{width}}  {_shown(value):>14}{mark}")
    print(json.dumps(found), flush=True)
    return found


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}"
