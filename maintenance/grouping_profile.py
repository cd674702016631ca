"""What the members of a common cause look like, and which of them looks like something else besides. Pure.

Machines of one class that a common cause disturbs deviate alike: the same signals, the same way. A member's own fault
adds something of its own. What is left of its deviation once the class's common part is taken out speaks for that, when
it is larger than chance makes it among so many members, and when it is a failure mode that can be named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from maintenance.model import Deviation

Vector = Mapping[str, float]  # what a signal is called → its signed share

FEW = 4  # members of a class below which it has no picture of its own
LEAST_LEFT = 0.35  # of the deviation's length: less is no fault of its own
LEAST_WORSE = 0.25  # of health below the others
CHANCE = 0.05  # members of a group that may stand out by chance alone
SIGMA = 1.4826  # of the median absolute deviation


@dataclass(frozen=True, slots=True)
class Look:
    """One member: its class, its deviation, its health."""

    group: str
    vector: Vector
    health: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A class's common part (a vector of length 1), how much its members have left of it, and their health."""

    common: Vector
    left: float  # a member with more than this has something of its own
    health: float  # a member with less than this is worse than the cause makes it
    members: int


def profiles(looks: Sequence[Look]) -> dict[str, Profile]:
    """A profile for every class with members enough."""
    by_class: dict[str, list[Look]] = {}
    for look in looks:
        by_class.setdefault(look.group, []).append(look)
    return {name: _profile(members) for name, members in by_class.items() if len(members) >= FEW}


def left_over(vector: Vector, common: Vector) -> tuple[float, dict[str, float]]:
    """(its length as a share of the deviation's, the part itself) of what the common part does not explain."""
    length = _length(vector)
    if length == 0:
        return 0.0, {}
    along = max(0.0, sum(value * common.get(name, 0.0) for name, value in vector.items()))
    rest = {name: vector.get(name, 0.0) - along * common.get(name, 0.0) for name in {*vector, *common}}
    return _length(rest) / length, rest


def own_part(vector: Vector, profile: Profile) -> dict[str, float] | None:
    """What this member has of its own; None when it is like the others."""
    share, rest = left_over(vector, profile.common)
    return rest if share > profile.left else None


def deviations(rest: Vector, signals: Mapping[str, int]) -> dict[int, Deviation]:
    """A part of a deviation as a diagnosis reads it; ``signals``: what it is called → its id. Shares sum to 1."""
    known = {signals[name]: value for name, value in rest.items() if name in signals and value}
    total = sum(abs(value) for value in known.values())
    return {key: Deviation(abs(value) / total, 1 if value > 0 else -1) for key, value in known.items()}


def to_json(made: Mapping[str, Profile]) -> dict[str, object]:
    """Plain JSON."""
    return {
        name: {"common": dict(each.common), "left": each.left, "health": each.health, "members": each.members}
        for name, each in made.items()
    }


def of_json(kept: Mapping[str, Mapping[str, object]], name: str) -> Profile | None:
    """A class's profile out of what :func:`to_json` gave."""
    each = kept.get(name)
    if each is None:
        return None
    common, left, health, members = each["common"], each["left"], each["health"], each["members"]
    if not isinstance(common, Mapping):
        return None
    return Profile(dict(common), float(str(left)), float(str(health)), int(str(members)))


def _profile(members: Sequence[Look]) -> Profile:
    """Medians, so that a few faults do not paint the picture."""
    names = sorted({name for look in members for name in look.vector})
    units = [_unit(look.vector) for look in members]
    common = _unit({name: median(unit.get(name, 0.0) for unit in units) for name in names})
    shares = [left_over(look.vector, common)[0] for look in members]
    healths = [look.health for look in members]
    return Profile(
        {name: round(value, 6) for name, value in common.items() if value},
        max(LEAST_LEFT, _beyond(shares, len(members))),
        min(median(healths) - LEAST_WORSE, -_beyond([-each for each in healths], len(members))),
        len(members),
    )


def _beyond(values: Sequence[float], count: int) -> float:
    """The value that ``CHANCE`` of so many exceed, by median and median absolute deviation."""
    middle = median(values)
    scatter = SIGMA * median(abs(each - middle) for each in values)
    return middle + NormalDist().inv_cdf(1 - CHANCE / count) * scatter


def _unit(vector: Vector) -> dict[str, float]:
    length = _length(vector)
    return {name: value / length for name, value in vector.items()} if length else {}


def _length(vector: Vector) -> float:
    return math.sqrt(sum(value * value for value in vector.values()))
