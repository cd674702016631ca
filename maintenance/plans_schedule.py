"""What plans will ask for: visits of the weeks to come, each done on its day, merged and absorbed as orders are. Pure.

Standing plans ──groups that share machines──▶ forecast ──▶ Visit(day, plans) and due days that need none, and why
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from heapq import heapify, heappop, heapreplace

from maintenance.plans_due import Fate, History, Ruling, Slot, Why, finish, is_done, join, next_due, settle
from maintenance.plans_model import Plan

MOST_VISITS = 200_000


@dataclass(frozen=True, slots=True)
class Standing:
    """A plan and what happened to it."""

    plan: Plan
    history: History


@dataclass(frozen=True, slots=True)
class Visit:
    """One order of the future: its day, its machines, and the plans that it serves with their own due days."""

    day: date
    assets: tuple[str, ...]
    plans: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """``spared``: due days without a visit of their own, by plan."""

    visits: tuple[Visit, ...]
    spared: tuple[tuple[str, Ruling], ...]


def forecast(standings: Iterable[Standing], *, today: date, until: date) -> Forecast:
    """Everything due up to and including ``until``, by day, nothing before ``today``.

    An order that is open counts as done on the day it is due.
    """
    visits: list[Visit] = []
    spared: list[tuple[str, Ruling]] = []
    for group in groups(standings):
        run = _Run(group, today, until)
        visits += run.visits()
        spared += run.spared
        if len(visits) > MOST_VISITS:
            break
    return Forecast(
        tuple(sorted(visits, key=lambda visit: (visit.day, visit.assets, visit.plans[0].code))),
        tuple(sorted(spared, key=lambda each: (each[1].due, each[0]))),
    )


def groups(standings: Iterable[Standing]) -> list[list[Standing]]:
    """Plans that share a machine, directly or through others, in one group."""
    kept = list(standings)
    roots: dict[str, str] = {}

    def root(asset: str) -> str:
        while (above := roots.setdefault(asset, asset)) != asset:
            roots[asset] = asset = roots[above]
        return asset

    for each in kept:
        for asset in each.plan.assets[1:]:
            roots[root(asset)] = root(each.plan.assets[0])
    found: dict[str, list[Standing]] = {}
    for each in kept:
        found.setdefault(root(each.plan.assets[0]), []).append(each)
    return list(found.values())


def bigger_of(plans: Mapping[str, Plan]) -> dict[str, set[str]]:
    """Plan → the plans that absorb it, directly or through others."""
    found: dict[str, set[str]] = {code: set() for code in plans}
    for code in plans:
        below, seen = list(plans[code].absorbs), {code}
        while below:
            small = below.pop()
            if small in plans and small not in seen:
                seen.add(small)
                found[small].add(code)
                below += plans[small].absorbs
    return found


def coming(code: str, plans: Mapping[str, Plan], known: Mapping[str, History]) -> dict[str, list[date]]:
    """When the plans that absorb this one come: the order that is open, and the next due day that is not done yet."""
    found: dict[str, list[date]] = {}
    for big in sorted(bigger_of(plans)[code]):
        history = known[big]
        if history.state == "active":
            due = next_due(plans[big], history)
            days = [] if due is None or is_done(plans[big], history, due) else [due]
            found[big] = days if history.open is None else [history.open, *days]
    return found


def is_absorbed(slot: Slot, bigger: Mapping[str, Sequence[date]]) -> bool:
    """Whether one of these days is near enough to stand for the due day."""
    return any(abs((day - slot.due).days) <= slot.tolerance for days in bigger.values() for day in days)


def related(one: Plan, other: Plan) -> bool:
    """Whether one visit can serve both: the machines of one are among those of the other."""
    mine, theirs = set(one.assets), set(other.assets)
    return mine <= theirs or theirs <= mine


class _Run:
    """One group, in the order of due days. A due day only ever moves on, so that a heap may hold old ones."""

    def __init__(self, group: Sequence[Standing], today: date, until: date) -> None:
        self.today, self.until = today, until
        self.plans = {each.plan.code: each.plan for each in group}
        self.histories = {each.plan.code: _closed(each.history, today) for each in group if _is_active(each)}
        self.bigger = bigger_of(self.plans)
        self.smaller: dict[str, list[str]] = {code: [] for code in self.plans}
        for code, those in self.bigger.items():
            for big in those:
                self.smaller[big].append(code)
        self.spared: list[tuple[str, Ruling]] = []
        self._relatives = _relatives({code: self.plans[code] for code in self.histories})
        self._dues: dict[str, date | None] = {}
        self._heap = [(date.min, len(self.bigger[code]), code) for code in self.histories]
        heapify(self._heap)

    def visits(self) -> Iterator[Visit]:
        while (first := self._first()) is not None:
            absorbed = self._absorbed(first.code, first.due)
            if absorbed is not None:
                self._spare(first.code, absorbed)
            else:
                yield self._visit(first)

    def _first(self) -> Slot | None:
        """The plan that is due first; of several the biggest."""
        while self._heap:
            due, rank, code = self._heap[0]
            actual = self._due(code)
            if actual is None or actual > self.until:
                heappop(self._heap)
            elif actual != due:
                heapreplace(self._heap, (actual, rank, code))
            else:
                return Slot(code, due, self.plans[code].tolerance_days)
        return None

    def _due(self, code: str) -> date | None:
        """The next due day that the last time it was done does not stand for."""
        if code not in self._dues:
            plan = self.plans[code]
            due = next_due(plan, self.histories[code])
            while due is not None and due <= self.until and is_done(plan, self.histories[code], due):
                ruling = Ruling(due, Fate.SUPPRESSED, Why.DONE_BEFORE, self.histories[code].done)
                self.spared.append((code, ruling))
                self.histories[code] = settle(plan, self.histories[code], ruling)
                due = next_due(plan, self.histories[code])
            self._dues[code] = due
        return self._dues[code]

    def _absorbed(self, code: str, due: date) -> Ruling | None:
        tolerance = self.plans[code].tolerance_days
        for big in sorted(self.bigger[code]):
            near = self._due(big) if big in self.histories else None
            if near is not None and abs((near - due).days) <= tolerance:
                return Ruling(due, Fate.SUPPRESSED, Why.ABSORBED, near, big)
        return None

    def _spare(self, code: str, ruling: Ruling) -> None:
        self.spared.append((code, ruling))
        self.histories[code] = settle(self.plans[code], self.histories[code], ruling)
        del self._dues[code]

    def _visit(self, first: Slot) -> Visit:
        slots = [first]
        for code in self._relatives[first.code]:
            slot = self._joins(code, slots)
            if slot is not None:
                slots.append(slot)
        day = max(first.due, self.today, *(each.earliest for each in slots))
        for slot in slots:
            self._do(slot, day)
        assets = dict.fromkeys(asset for slot in slots for asset in self.plans[slot.code].assets)
        return Visit(day, tuple(assets), tuple(slots))

    def _joins(self, code: str, slots: Sequence[Slot]) -> Slot | None:
        due = self._due(code)
        if due is None or not all(code in self._relatives[each.code] for each in slots):
            return None
        slot = Slot(code, due, self.plans[code].tolerance_days)
        if join(slots, slot) is None or self._absorbed(code, due) is not None:
            return None
        return slot

    def _do(self, slot: Slot, day: date) -> None:
        settled = settle(self.plans[slot.code], self.histories[slot.code], Ruling(slot.due, Fate.OPENED, Why.DUE))
        self.histories[slot.code] = finish(settled, day)
        self._dues.pop(slot.code, None)
        for code in self.smaller[slot.code]:
            if code in self.histories:
                self.histories[code] = finish(self.histories[code], day)
                self._dues.pop(code, None)


def _is_active(each: Standing) -> bool:
    return each.history.state == "active"


def _closed(history: History, today: date) -> History:
    """An order that is open counts as done on the day it is due, or today."""
    return history if history.open is None else finish(history, max(history.open, today))


def _relatives(plans: Mapping[str, Plan]) -> dict[str, dict[str, None]]:
    """Plan → those that one visit can serve with it, by code."""
    of_asset: dict[str, list[str]] = {}
    for code in sorted(plans):
        for asset in plans[code].assets:
            of_asset.setdefault(asset, []).append(code)
    found: dict[str, dict[str, None]] = {}
    for code, plan in plans.items():
        near = sorted({other for asset in plan.assets for other in of_asset[asset]} - {code})
        found[code] = dict.fromkeys(other for other in near if related(plan, plans[other]))
    return found
