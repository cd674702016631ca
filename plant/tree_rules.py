"""What a tree of assets may look like, and how much a machine matters. Pure.

Levels after ISA-95 and ISO 14224: enterprise, site, area, line, unit, equipment, component; a node lies below a higher
level, and levels may be left out. Criticality 1 (minor) … 5 (stops the plant) comes from consequence × likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum


class Level(StrEnum):
    """From the top down."""

    ENTERPRISE = "enterprise"
    SITE = "site"
    AREA = "area"
    LINE = "line"
    UNIT = "unit"
    EQUIPMENT = "equipment"
    COMPONENT = "component"


RANK = {level: rank for rank, level in enumerate(Level)}
STEPS = 5  # of consequence, likelihood and criticality
LEAST = {5: 3, 4: 2}  # what can stop the plant is never minor, however seldom


def fits_below(level: str, parent: str) -> bool:
    """Whether a node of ``level`` may lie under one of ``parent``; components may consist of components."""
    child, above = Level(level), Level(parent)
    return RANK[child] > RANK[above] or child is above is Level.COMPONENT


def proposal(consequence: int, likelihood: int) -> int:
    """Criticality 1…5 from consequence and likelihood of failure, 1…5 each."""
    return max(math.ceil(consequence * likelihood / STEPS), LEAST.get(consequence, 1))


def rings(parents: Mapping[str, str | None]) -> list[list[str]]:
    """The circles of a tree that is none, each with its first code again at the end; every node is looked at once."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in parents:
        path: dict[str, int] = {}
        at: str | None = start
        while at is not None and at not in done and at not in path:
            path[at] = len(path)
            at = parents.get(at)
        if at is not None and at in path:
            found.append([*list(path)[path[at] :], at])
        done.update(path)
    return found
