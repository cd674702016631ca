"""Which alarms began together, and what do their machines have in common? Pure.

A scan over the plant's topology (after Kulldorff's space-time scan statistic): a *scope* is the part of the tree below
an asset, or all that a feeder feeds, directly or through other feeders. For each scope and width of time the densest
window is weighed: one cause that reaches each machine there with the same probability, against every machine by chance
as often as alarms come as a rule. The scope with the highest log likelihood ratio explains most with least. Its alarms
are taken out and the rest is scanned again. Bursts that overlap in time are one: two causes in the same minutes are
rarer than a way that nobody declared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from plant.model import Floats

WIDTHS_S = (60.0, 300.0, 900.0, 1800.0)
GAP_S = 300.0  # a straggler this long after the last one still belongs
LONGEST_S = 3600.0
LEAST = {"machine": 5, "sensor": 3}  # machines; a sensor's order opens at once, so fewer must do
SHARE = 0.3  # of the scope's machines: fewer than that may as well be chance
SURE = 10.0  # log likelihood ratio, plus the logarithm of how many scopes and widths were tried
RARE = 10.0  # by how much a cause of the whole site, which nobody declared, must explain better
EVEN = 2.0  # … within which two scopes explain alike, and the medium decides
MOST_BURSTS = 12
SITE = 0  # the scope that is the whole site
MEDIA: Mapping[str, frozenset[str]] = {
    "power": frozenset({"current", "voltage", "speed", "power", "torque", "frequency"}),
    "air": frozenset({"pressure", "flow"}),
    "hydraulic": frozenset({"pressure"}),
    "water": frozenset({"temperature", "flow"}),
    "steam": frozenset({"temperature", "pressure"}),
    "network": frozenset({"silent"}),
}


@dataclass(frozen=True, slots=True)
class Onset:
    """An alarm that began at ``at_s`` (seconds); ``hint`` is the quantity that says most, or ``silent``."""

    alarm_id: int
    asset_id: int
    at_s: float
    hint: str = ""
    raised_s: float = 0.0  # when it was noticed


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """A part of the plant: below ``asset_id`` (medium ''), or fed by it through ``medium``."""

    asset_id: int
    medium: str = ""


@dataclass(frozen=True)
class Topology:
    """``parents``: asset → parent; ``feeds``: asset → (feeder, medium) of it and all below; ``watched``: machines."""

    parents: Mapping[int, int | None]
    feeds: Mapping[int, Sequence[tuple[int, str]]] = field(default_factory=dict)
    watched: frozenset[int] = frozenset()

    @cached_property
    def sizes(self) -> Mapping[Scope, int]:
        """Scope → its machines that are watched."""
        counted: dict[Scope, int] = {}
        for asset_id in self.watched:
            for scope in self.scopes(asset_id):
                counted[scope] = counted.get(scope, 0) + 1
        return counted

    def scopes(self, asset_id: int) -> frozenset[Scope]:
        """Everything this machine is a part of; a cycle in what was declared does no harm."""
        found = {Scope(SITE)}
        for above in self.above(asset_id):
            found.add(Scope(above))
            found |= self._fed(above)
        return frozenset(found)

    def depth(self, scope: Scope) -> int:
        """How many scopes a scope lies in itself: of two that have the same machines the nearer one is meant."""
        return len(self.scopes(scope.asset_id))

    def above(self, asset_id: int) -> list[int]:
        """The asset itself and what it is a part of, upwards."""
        path: list[int] = []
        at: int | None = asset_id
        while at is not None and at not in path:
            path.append(at)
            at = self.parents.get(at)
        return path

    def _fed(self, asset_id: int) -> set[Scope]:
        """Feeders of an asset, and what they need in turn: what feeds a feeder feeds whatever that one feeds."""
        found: set[Scope] = set()
        waiting = list(self.feeds.get(asset_id, ()))
        while waiting:
            feeder, medium = waiting.pop()
            if Scope(feeder, medium) in found:
                continue
            found.add(Scope(feeder, medium))
            for above in self.above(feeder):
                waiting.extend(self.feeds.get(above, ()))
        return found


@dataclass(frozen=True, slots=True)
class Burst:
    """Alarms of a common cause, with why: so many of so many machines, where so few were to be expected."""

    scope: Scope
    members: tuple[int, ...]  # alarm ids
    machines: int
    first_s: float
    last_s: float
    expected: float
    score: float


def bursts(onsets: Sequence[Onset], topology: Topology, *, rate_s: float, least: int) -> list[Burst]:
    """The bursts among these onsets, strongest first. ``rate_s``: alarms a machine and second, as a rule (> 0)."""
    left = list(onsets)
    found: list[tuple[Burst, list[Onset]]] = []
    while len(found) < MOST_BURSTS and len(left) >= least:
        best = _best(left, topology, rate_s=rate_s, least=least)
        if best is None:
            break
        burst, members = best
        found.append((burst, members))
        taken = set(burst.members)
        left = [each for each in left if each.alarm_id not in taken]
    return _joined(found, topology, rate_s)


def ratio(count: int, size: int, usual: float) -> float:
    """Log likelihood ratio of ``count`` machines of ``size`` at once, against ``usual`` of each by chance (< 1).

    Against: one cause that reaches each machine of the scope with the same probability.
    """
    if count <= size * usual:
        return 0.0
    missed = size - count
    return count * math.log(count / size / usual) + (missed * math.log(missed / size) if missed > 0 else 0.0)


def belongs(burst: Burst, onset: Onset, topology: Topology) -> bool:
    """Whether an alarm noticed later is one of these: a part of the same scope that began in the same minutes."""
    near = burst.first_s - GAP_S <= onset.at_s <= min(burst.last_s + GAP_S, burst.first_s + LONGEST_S)
    return near and burst.scope in topology.scopes(onset.asset_id)


def overlap(one: Burst, other: Burst) -> bool:
    """Whether they are of the same minutes."""
    return one.first_s <= other.last_s + GAP_S and other.first_s <= one.last_s + GAP_S


def common(asset_ids: Iterable[int], topology: Topology) -> Scope:
    """The smallest scope that has them all."""
    shared = frozenset.intersection(*(topology.scopes(each) for each in asset_ids))
    return min(shared, key=lambda scope: (topology.sizes.get(scope, 1), -topology.depth(scope), scope))


def _best(
    onsets: Sequence[Onset], topology: Topology, *, rate_s: float, least: int
) -> tuple[Burst, list[Onset]] | None:
    by_scope: dict[Scope, list[Onset]] = {}
    for onset in onsets:
        for scope in topology.scopes(onset.asset_id):
            by_scope.setdefault(scope, []).append(onset)
    sure = SURE + math.log(len(by_scope) * len(WIDTHS_S))
    tried = [
        (score - _rare(scope, topology), scope, start, width)
        for scope, inside in by_scope.items()
        for score, start, width in _windows(inside, topology.sizes.get(scope, 1), rate_s, least)
        if score - _rare(scope, topology) >= sure
    ]
    if not tried:
        return None
    top = max(score for score, *_ in tried)
    score, scope, start, width = max(
        (each for each in tried if each[0] >= top - EVEN),
        key=lambda each: (_fits(each[1], by_scope[each[1]]), each[0], topology.depth(each[1]), each[1]),
    )
    members = _with_stragglers(by_scope[scope], start, start + width)
    return _burst(scope, members, topology, rate_s, score), members


def _rare(scope: Scope, topology: Topology) -> float:
    whole = not scope.medium and topology.sizes.get(scope, 0) == len(topology.watched)
    return RARE if whole else 0.0


def _windows(inside: Sequence[Onset], size: int, rate_s: float, least: int) -> Iterable[tuple[float, float, float]]:
    """(score, start, width) of the densest window of each width, counting machines, where enough of them take part."""
    first: dict[int, float] = {}
    for onset in inside:
        first[onset.asset_id] = min(first.get(onset.asset_id, math.inf), onset.at_s)
    if len(first) < max(least, SHARE * size):
        return
    times: Floats = np.sort(np.fromiter(first.values(), np.float64, len(first)))
    for width in WIDTHS_S:
        ends = np.searchsorted(times, times + width, side="right")
        counts = ends - np.arange(len(times))
        at = int(np.argmax(counts))
        count = int(counts[at])
        if count >= max(least, SHARE * size):
            yield ratio(count, max(size, count), rate_s * width), float(times[at]), width


def _with_stragglers(inside: Sequence[Onset], first_s: float, last_s: float) -> list[Onset]:
    """Those of the window, and whoever follows or goes before without a long gap."""
    ranked = sorted(inside, key=lambda each: each.at_s)
    core = [index for index, each in enumerate(ranked) if first_s <= each.at_s <= last_s]
    low, high = core[0], core[-1]
    while high + 1 < len(ranked) and _next_to(ranked[high], ranked[high + 1], ranked[low]):
        high += 1
    while low > 0 and _next_to(ranked[low - 1], ranked[low], ranked[low - 1], ranked[high]):
        low -= 1
    return ranked[low : high + 1]


def _next_to(one: Onset, following: Onset, first: Onset, last: Onset | None = None) -> bool:
    return following.at_s - one.at_s <= GAP_S and (last or following).at_s - first.at_s <= LONGEST_S


def _burst(scope: Scope, members: Sequence[Onset], topology: Topology, rate_s: float, score: float) -> Burst:
    first, last = min(each.at_s for each in members), max(each.at_s for each in members)
    expected = rate_s * topology.sizes.get(scope, 1) * max(last - first, WIDTHS_S[0])
    ids = tuple(sorted(each.alarm_id for each in members))
    return Burst(scope, ids, len({each.asset_id for each in members}), first, last, expected, score)


def _fits(scope: Scope, inside: Sequence[Onset]) -> float:
    """How well the medium goes with what deviates; the tree says nothing of that."""
    known = MEDIA.get(scope.medium)
    if known is None:
        return 0.0
    return sum(each.hint in known for each in inside) / max(len(inside), 1)


def _joined(found: Sequence[tuple[Burst, list[Onset]]], topology: Topology, rate_s: float) -> list[Burst]:
    made: list[tuple[Burst, list[Onset]]] = []
    for burst, members in found:
        with_it = next((index for index, (other, _) in enumerate(made) if overlap(burst, other)), None)
        if with_it is None:
            made.append((burst, members))
            continue
        other, others = made[with_it]
        both = [*others, *members]
        scope = other.scope if burst.scope == other.scope else common({each.asset_id for each in both}, topology)
        made[with_it] = (_burst(scope, both, topology, rate_s, other.score + burst.score), both)
    return [burst for burst, _ in made]
