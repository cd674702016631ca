"""Orders beside real faults: which foresaw what, which were wrong, with what lead. One rule for live orders, shadow and
back-tests. Pure.

An order *foresaw* a fault of its machine when it was opened before it, at most ``WINDOW`` earlier, nobody judged it
wrong, and it was about the same failure mode or still open when the fault came. A fault counts for the first such order
alone; a further one is no second success and no false order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from tickets.model import RIGHT_VERDICTS, WRONG_VERDICTS

WINDOW = timedelta(days=30)
HOUR = timedelta(hours=1)
MONTH_DAYS = 30.4375


class Judged(StrEnum):
    """What an engineer said of an order."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Order:
    """An order that was opened, or would have been; ``ended_at`` None: it is open still."""

    order_id: int
    machine: int | str
    mode: str
    opened_at: datetime
    ended_at: datetime | None = None
    judged: Judged | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure at that time; ``found``: an engineer found the fault before it failed, which gives no lead."""

    fault_id: int
    machine: int | str
    mode: str
    at: datetime
    found: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """Ids of orders and faults. ``leads``: fault → time from the order that foresaw it."""

    right: frozenset[int]  # judged right, or the first to foresee a fault
    wrong: frozenset[int]  # judged wrong
    further: frozenset[int]  # foresaw only what another had foreseen
    leads: Mapping[int, timedelta]  # of failures that were foreseen
    missed: tuple[int, ...]  # failures that nothing foresaw

    @property
    def foreseen(self) -> int:
        return len(self.leads)

    @property
    def failures(self) -> int:
        return len(self.leads) + len(self.missed)

    @property
    def lead_h(self) -> float | None:
        """The median, in hours."""
        return median(lead / HOUR for lead in self.leads.values()) if self.leads else None


def judged_by(verdict: str | None) -> Judged | None:
    """A verdict as right or wrong; None: nobody judged."""
    if verdict in RIGHT_VERDICTS:
        return Judged.RIGHT
    return Judged.WRONG if verdict in WRONG_VERDICTS else None


def score(orders: Sequence[Order], faults: Sequence[Fault]) -> Score:
    """How well the orders foresaw the faults."""
    of_machine: dict[int | str, list[Order]] = defaultdict(list)
    for order in sorted(orders, key=lambda each: (each.opened_at, each.order_id)):
        of_machine[order.machine].append(order)
    first, also = set[int](), set[int]()
    leads, missed = dict[int, timedelta](), list[int]()
    for fault in sorted(faults, key=lambda each: (each.at, each.fault_id)):
        before = [each for each in of_machine[fault.machine] if foresaw(each, fault)]
        also.update(each.order_id for each in before)
        if before:
            first.add(before[0].order_id)
        if before and not fault.found:
            leads[fault.fault_id] = fault.at - before[0].opened_at
        elif not before and not fault.found:
            missed.append(fault.fault_id)
    said = {each.order_id: each.judged for each in orders}
    right = frozenset(first | {number for number, judged in said.items() if judged is Judged.RIGHT})
    wrong = frozenset(number for number, judged in said.items() if judged is Judged.WRONG)
    return Score(right, wrong, frozenset(also) - right, leads, tuple(missed))


def foresaw(order: Order, fault: Fault) -> bool:
    """Whether the order was opened for this fault, as far as anybody can tell."""
    if order.judged is Judged.WRONG or not order.opened_at < fault.at <= order.opened_at + WINDOW:
        return False
    still_open = order.ended_at is None or order.ended_at >= fault.at
    return still_open or order.mode == fault.mode


def false_a_month(false: int, *, machines: int, days: float) -> float | None:
    """False orders per machine and month; None: no machine or no time."""
    months = machines * days / MONTH_DAYS
    return false / months if months > 0 else None
