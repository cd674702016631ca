"""The figures of maintenance, each with the rows that make it. Pure.

Numbers are whole: microseconds, minutes, counts; a figure is one numerator over one denominator, divided once at the
end, so that who recomputes it from the raw events gets exactly the same. Terms of EN 13306, figures after EN 15341 and
ISO 14224 (docs/indicators.md names each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from tickets.model import WRONG_VERDICTS

MICROSECOND = timedelta(microseconds=1)
HOUR_US = 3_600_000_000
WEEK_H = 40  # an engineer's hours in a week
ON_TIME = timedelta(days=1)  # work done so far from its visit was done as scheduled
FAILURES = frozenset({"incident", "corrective"})
PLANNED = frozenset({"preventive", "inspection"})


class Name(StrEnum):
    MTBF = "mtbf"
    MTTR = "mttr"
    AVAILABILITY = "availability"
    PLANNED_SHARE = "planned_share"
    PM_COMPLIANCE = "pm_compliance"
    SCHEDULE_COMPLIANCE = "schedule_compliance"
    BACKLOG_WEEKS = "backlog_weeks"


UNITS = {
    Name.MTBF: "h",
    Name.MTTR: "h",
    Name.AVAILABILITY: "share",
    Name.PLANNED_SHARE: "share",
    Name.PM_COMPLIANCE: "share",
    Name.SCHEDULE_COMPLIANCE: "share",
    Name.BACKLOG_WEEKS: "weeks",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What figures look at in an order. ``downtime_us`` None: nobody said that the machine stood."""

    ticket_id: int
    ref: str
    kind: str
    status: str
    asset_id: int | None
    verdict: str | None
    opened_at: datetime
    done_at: datetime | None
    downtime_us: int | None
    minutes: int  # of labour
    planned_minutes: int  # its duration times its crew, of an order that was open at the end of the span


@dataclass(frozen=True, slots=True)
class Failure:
    """A recorded failure; one that names its order is counted with that."""

    failure_id: int
    asset_id: int
    failed_at: datetime
    ticket_id: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """A plan's due day, and whether its work was done in time: its order, or a bigger one's, or a repair."""

    occurrence_id: int
    plan_id: int
    ticket_id: int | None
    earliest_at: datetime
    latest_at: datetime
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A plan's work was done, by its own order, a bigger plan's, a repair or by hand."""

    plan_id: int
    ticket_id: int | None
    done_at: datetime


@dataclass(frozen=True, slots=True)
class Visit:
    """The visit to an order that stood in the plan when it was to begin."""

    visit_id: int
    ticket_id: int
    starts: datetime
    ends: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when (that excluded)."""

    since: datetime
    until: datetime

    @property
    def us(self) -> int:
        return (self.until - self.since) // MICROSECOND

    def holds(self, at: datetime | None) -> bool:
        return at is not None and self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the figures of a span are made of; ``machines`` are the assets looked at."""

    span: Span
    machines: frozenset[int]
    engineers: int
    orders: Sequence[Order]
    failures: Sequence[Failure]
    dues: Sequence[Due]
    visits: Sequence[Visit]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a figure: what it adds to the numerator and to the denominator. ``kind`` order, failure, due, visit or
    period (machines times the span)."""

    kind: str
    id: int
    at: datetime
    above: int
    below: int
    ticket_id: int | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` = numerator ÷ (denominator × ``per``); None: nothing to divide by."""

    name: Name
    rows: tuple[Row, ...]
    per: int

    @property
    def numerator(self) -> int:
        return sum(each.above for each in self.rows)

    @property
    def denominator(self) -> int:
        return sum(each.below for each in self.rows)

    @property
    def value(self) -> float | None:
        below = self.denominator * self.per
        return None if below == 0 else self.numerator / below


def settled(dues: Sequence[Due], completions: Sequence[Completion]) -> list[Due]:
    """Each due day with when its work was done; a completion counts for one due day alone: that of its order, else the
    one that ends first of those that it came in time for."""
    own: dict[tuple[int, int | None], datetime] = {
        (each.plan_id, each.ticket_id): each.done_at for each in completions if each.ticket_id is not None
    }
    orders = {(each.plan_id, each.ticket_id) for each in dues}
    found = {each.occurrence_id: own.get((each.plan_id, each.ticket_id)) for each in dues}
    others = [each for each in completions if each.ticket_id is None or (each.plan_id, each.ticket_id) not in orders]
    for done in sorted(others, key=lambda each: each.done_at):
        waiting = [
            each
            for each in dues
            if each.plan_id == done.plan_id
            and found[each.occurrence_id] is None
            and each.earliest_at <= done.done_at < each.latest_at
        ]
        if waiting:
            first = min(waiting, key=lambda each: (each.latest_at, each.occurrence_id))
            found[first.occurrence_id] = done.done_at
    return [replace(each, done_at=found[each.occurrence_id]) for each in dues]


def all_of(facts: Facts) -> tuple[Figure, ...]:
    """Every figure."""
    return tuple(of(facts, name) for name in Name)


def of(facts: Facts, name: Name) -> Figure:
    """One figure with its rows, in their order of time."""
    rows, per = RULES[name](facts), PER.get(name, 1)
    return Figure(name, tuple(sorted(rows, key=lambda row: (row.at, row.kind, row.id))), per)


def _failures(facts: Facts) -> list[tuple[Order | Failure, datetime]]:
    """Failures of the span: orders to repair what had failed, and recorded failures without such an order."""
    orders = [each for each in facts.orders if each.kind in FAILURES and each.asset_id in facts.machines]
    held = [each for each in orders if facts.span.holds(each.opened_at) and _is_failure(each)]
    named = {each.ticket_id for each in held}
    alone = [
        each
        for each in facts.failures
        if each.asset_id in facts.machines and facts.span.holds(each.failed_at) and each.ticket_id not in named
    ]
    return [*((each, each.opened_at) for each in held), *((each, each.failed_at) for each in alone)]


def _is_failure(order: Order) -> bool:
    return order.status != "cancelled" and order.verdict not in WRONG_VERDICTS


def _stood(facts: Facts) -> list[Row]:
    """How long machines stood within the span, from the opening of each order on; a time that two orders of a machine
    share counts for the first."""
    rows, reached = [], dict[int, datetime]()
    for each in sorted(facts.orders, key=lambda order: (order.opened_at, order.ticket_id)):
        if each.downtime_us is None or each.asset_id is None or each.asset_id not in facts.machines:
            continue
        begins = max(each.opened_at, facts.span.since, reached.get(each.asset_id, each.opened_at))
        ends = min(each.opened_at + each.downtime_us * MICROSECOND, facts.span.until)
        if begins < ends:
            reached[each.asset_id] = ends
            rows.append(
                Row("stood", each.ticket_id, each.opened_at, -((ends - begins) // MICROSECOND), 0, each.ticket_id)
            )
    return rows


def _period(facts: Facts) -> Row:
    return Row("period", 0, facts.span.since, len(facts.machines) * facts.span.us, 0)


def _mtbf(facts: Facts) -> list[Row]:
    """Operating time ÷ failures: machines × span less what they stood."""
    return [_period(facts), *_stood(facts), *(_failed(each, at) for each, at in _failures(facts))]


def _failed(each: Order | Failure, at: datetime) -> Row:
    if isinstance(each, Order):
        return Row("order", each.ticket_id, at, 0, 1, each.ticket_id)
    return Row("failure", each.failure_id, at, 0, 1, each.ticket_id)


def _mttr(facts: Facts) -> list[Row]:
    """Time to restoration of the repairs that ended in the span: how long it stood, else from opening to done."""
    found = []
    for each in facts.orders:
        mine = each.kind in FAILURES and each.asset_id in facts.machines and _is_failure(each)
        if mine and each.done_at is not None and facts.span.holds(each.done_at):
            spent = each.downtime_us if each.downtime_us is not None else (each.done_at - each.opened_at) // MICROSECOND
            found.append(Row("order", each.ticket_id, each.done_at, spent, 1, each.ticket_id))
    return found


def _availability(facts: Facts) -> list[Row]:
    """Up time ÷ required time."""
    whole = len(facts.machines) * facts.span.us
    return [Row("period", 0, facts.span.since, whole, whole), *_stood(facts)]


def _planned_share(facts: Facts) -> list[Row]:
    """Labour on preventive work and inspections ÷ all labour, of the orders that were done in the span."""
    return [
        Row("order", each.ticket_id, each.done_at, _planned(each), each.minutes, each.ticket_id)
        for each in facts.orders
        if each.minutes and each.done_at is not None and facts.span.holds(each.done_at)
    ]


def _planned(order: Order) -> int:
    return order.minutes if order.kind in PLANNED else 0


def _pm_compliance(facts: Facts) -> list[Row]:
    """Due days whose work was done by the latest day ÷ all due days whose latest day lies in the span."""
    return [
        Row("due", each.occurrence_id, each.latest_at, int(_in_time(each)), 1, each.ticket_id)
        for each in facts.dues
        if facts.span.holds(each.latest_at)
    ]


def _in_time(due: Due) -> bool:
    return due.done_at is not None and due.done_at < due.latest_at


def _schedule_compliance(facts: Facts) -> list[Row]:
    """Visits whose order was done within a day of the visit ÷ all visits that were to end in the span."""
    return [
        Row("visit", each.visit_id, each.ends, int(_on_time(each)), 1, each.ticket_id)
        for each in facts.visits
        if facts.span.holds(each.ends)
    ]


def _on_time(visit: Visit) -> bool:
    return visit.done_at is not None and visit.starts - ON_TIME <= visit.done_at <= visit.ends + ON_TIME


def _backlog(facts: Facts) -> list[Row]:
    """Planned work of orders that were open at the end of the span ÷ what the engineers do in a week."""
    capacity = Row("period", 0, facts.span.until, 0, facts.engineers * WEEK_H)
    waiting = [
        Row("order", each.ticket_id, each.opened_at, each.planned_minutes, 0, each.ticket_id)
        for each in facts.orders
        if each.planned_minutes and each.opened_at < facts.span.until
    ]
    return [capacity, *waiting]


RULES = {
    Name.MTBF: _mtbf,
    Name.MTTR: _mttr,
    Name.AVAILABILITY: _availability,
    Name.PLANNED_SHARE: _planned_share,
    Name.PM_COMPLIANCE: _pm_compliance,
    Name.SCHEDULE_COMPLIANCE: _schedule_compliance,
    Name.BACKLOG_WEEKS: _backlog,
}
PER = {Name.MTBF: HOUR_US, Name.MTTR: HOUR_US, Name.BACKLOG_WEEKS: 60}
