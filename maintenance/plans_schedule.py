"""What plans will ask for: visits of the weeks to come, each done on its day, merged and absorbed as orders are. Pure.

Standing plans ──groups that share machines──▶ forecast ──▶ Visit(day, plans) and due days that need none, and why
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from maintenance.plans_due import Fate, History, Ruling, Slot, Why, finish, is_done, join, next_due, settle
from maintenance.plans_model import Plan

DAY = timedelta(days=1)
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


def forecast(standings: Iterable[Standing], *, until: date) -> Forecast:
    """Everything due up to and including ``until``, by day. An open order counts as done on the day it is due."""
    visits: list[Visit] = []
    spared: list[tuple[str, Ruling]] = []
    for group in groups(standings):
        run = _Run(group, until)
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


def related(one: Plan, other: Plan) -> bool:
    """Whether one visit can serve both: the machines of one are among those of the other."""
    mine, theirs = set(one.assets), set(other.assets)
    return mine <= theirs or theirs <= mine


class _Run:
    """One group, day by day."""

    def __init__(self, group: Sequence[Standing], until: date) -> None:
        self.until = until
        self.plans = {each.plan.code: each.plan for each in group}
        self.histories = {each.plan.code: each.history for each in group if each.history.state == "active"}
        self.bigger = bigger_of(self.plans)
        self.spared: list[tuple[str, Ruling]] = []
        self._dues: dict[str, date | None] = {}
        for code, history in self.histories.items():
            if history.open is not None:
                self.histories[code] = finish(history, max(history.open, history.since))

    def visits(self) -> Iterator[Visit]:
        while (first := self._first()) is not None:
            code, due = first
            absorbed = self._absorbed(code, due)
            if absorbed is not None:
                self._spare(code, absorbed)
            else:
                yield self._visit(Slot(code, due, self.plans[code].tolerance_days))

    def _first(self) -> tuple[str, date] | None:
        """The plan that is due first; of several the biggest."""
        best: tuple[date, int, str] | None = None
        for code in self.histories:
            due = self._due(code)
            if due is not None and due <= self.until:
                rank = (due, len(self.bigger[code]), code)
                best = rank if best is None or rank < best else best
        return None if best is None else (best[2], best[0])

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
            coming = self._due(big) if big in self.histories else None
            if coming is not None and abs((coming - due).days) <= tolerance:
                return Ruling(due, Fate.SUPPRESSED, Why.ABSORBED, coming, big)
        return None

    def _spare(self, code: str, ruling: Ruling) -> None:
        self.spared.append((code, ruling))
        self.histories[code] = settle(self.plans[code], self.histories[code], ruling)
        del self._dues[code]

    def _visit(self, first: Slot) -> Visit:
        slots, day = [first], first.due
        for code in sorted(self.histories):
            slot = self._joins(code, slots)
            if slot is not None:
                slots.append(slot)
        day = max(first.due, *(each.earliest for each in slots))
        for slot in slots:
            self._do(slot, day)
        assets = dict.fromkeys(asset for slot in slots for asset in self.plans[slot.code].assets)
        return Visit(day, tuple(assets), tuple(slots))

    def _joins(self, code: str, slots: Sequence[Slot]) -> Slot | None:
        due = None if any(code == each.code for each in slots) else self._due(code)
        if due is None or not all(related(self.plans[code], self.plans[each.code]) for each in slots):
            return None
        slot = Slot(code, due, self.plans[code].tolerance_days)
        if join(slots, slot) is None or self._absorbed(code, due) is not None:
            return None
        return slot

    def _do(self, slot: Slot, day: date) -> None:
        settled = settle(self.plans[slot.code], self.histories[slot.code], Ruling(slot.due, Fate.OPENED, Why.DUE))
        self.histories[slot.code] = finish(settled, day)
        self._dues.pop(slot.code, None)
        for code, those in self.bigger.items():
            if slot.code in those and code in self.histories:
                self.histories[code] = finish(self.histories[code], day)
                self._dues.pop(code, None)
