"""SLA policies: what is promised to which tickets, and why this policy and no other. Pure.

policies in order ──choose(facts)──> the first whose kind, priority and conditions all hold, with the reasons in words
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tickets import words
from tickets.model import Text, TicketKind
from tickets.sla import ClockKind, Do, Mark, Terms

EVERY = "*"
CONDITIONS = ("criticality", "areas", "tags", "teams")
MOST_MARKS = 24
LONGEST_OFFSET_S = 30 * 86_400.0
LONGEST_TARGET_S = 5 * 366 * 86_400
RECIPIENTS = frozenset({"assignee", "planners", "requester", "on_call", "team"})  # and role:NAME, user:ID
ROLES = frozenset({"engineer", "planner", "manager", "admin"})
MARK_FIELDS = frozenset({"clock", "fraction", "offset_s", "whom", "do"})
DEFAULT_WHOM = ("assignee", "planners")
NAMES: Mapping[str, Text] = {
    "criticality": {"en": "criticality", "zh": "关键度"},
    "areas": {"en": "area", "zh": "区域"},
    "tags": {"en": "tag", "zh": "标签"},
    "teams": {"en": "requester's team", "zh": "报修人班组"},
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What policies may ask of a ticket. ``areas``: codes of its asset and of everything above; ``teams``: of the one
    who asked."""

    kind: TicketKind
    priority: int
    criticality: int | None = None
    areas: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()

    def of(self, condition: str) -> frozenset[Any]:
        if condition == "criticality":
            return frozenset() if self.criticality is None else frozenset({self.criticality})
        return frozenset(getattr(self, condition))


@dataclass(frozen=True, slots=True)
class Policy:
    """Targets in seconds of open time; None = no such clock. ``kind`` ``*`` and ``priority`` None are every one."""

    policy_id: int
    version: int
    code: str
    name: str
    kind: str
    priority: int | None
    calendar_id: int | None  # None = the site's default
    targets: Mapping[ClockKind, timedelta]
    conditions: Mapping[str, tuple[Any, ...]]
    marks: Mapping[ClockKind, tuple[Mark, ...]]
    pauses: Mapping[str, frozenset[ClockKind]] | None  # reason of a hold → clocks; None = as the life cycle says

    def terms(self, kind: ClockKind, why: tuple[Text, ...]) -> Terms:
        """What a clock of this kind is promised."""
        reasons = None
        if self.pauses is not None:
            reasons = frozenset(reason for reason, clocks in self.pauses.items() if kind in clocks)
        return Terms(self.marks.get(kind, ()), reasons, self.policy_id, self.version, self.name, why)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The policy that counts, and why."""

    policy: Policy
    why: tuple[Text, ...]


def choose(policies: Iterable[Policy], facts: Facts) -> Chosen | None:
    """The first policy in order that holds."""
    for policy in policies:
        why = reasons(policy, facts)
        if why is not None:
            return Chosen(policy, why)
    return None


def reasons(policy: Policy, facts: Facts) -> tuple[Text, ...] | None:
    """What of the ticket the policy asked for and found, in words; None where something does not hold."""
    if policy.kind not in (EVERY, facts.kind.value) or policy.priority not in (None, facts.priority):
        return None
    why = [] if policy.kind == EVERY else [_both(f"kind {facts.kind}", f"类型 {facts.kind}")]
    if policy.priority is not None:
        why.append(_both(f"priority {facts.priority}", f"优先级 {facts.priority}"))
    for name in CONDITIONS:
        wanted = policy.conditions.get(name, ())
        met = [value for value in wanted if value in facts.of(name)]
        if wanted and not met:
            return None
        if met:
            listed = ", ".join(map(str, met))
            why.append(_both(f"{NAMES[name]['en']} {listed}", f"{NAMES[name]['zh']} {listed}"))
    return tuple(why) or (_both("every ticket", "所有工单"),)


def _both(en: str, zh: str) -> Text:
    return {"en": en, "zh": zh}


# -- from data --------------------------------------------------------------------------------------------------------


def marks(rows: object) -> dict[ClockKind, tuple[Mark, ...]]:
    """The marks of each clock from a policy's rows; a row without ``clock`` is for all. Raises InvalidFields."""
    if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) > MOST_MARKS:
        raise words.refuse("marks", f"marks is a list of at most {MOST_MARKS} rows.", code="type")
    found: dict[ClockKind, list[Mark]] = {kind: [] for kind in ClockKind}
    for row in rows:
        mark, kinds = _mark(row)
        for kind in kinds:
            if any(mark.key == other.key for other in found[kind]):
                raise words.refuse("marks", f"The {kind} clock has two rows {mark.key}; name everybody in one.")
            found[kind].append(mark)
    return {kind: tuple(each) for kind, each in found.items()}


def _mark(row: object) -> tuple[Mark, tuple[ClockKind, ...]]:
    if not isinstance(row, Mapping) or set(row) - MARK_FIELDS:
        raise words.refuse("marks", f"A row of marks has {', '.join(sorted(MARK_FIELDS))} and nothing else.")
    whom = tuple(row.get("whom", DEFAULT_WHOM))
    for who in whom:
        recipient(who)
    clock = row.get("clock", EVERY)
    if clock != EVERY and clock not in set(ClockKind):
        raise words.refuse("marks", f"clock is * or one of {', '.join(ClockKind)}.", code="choice")
    if row.get("do", Do.NOTICE) not in set(Do):
        raise words.refuse("marks", f"do is one of {', '.join(Do)}.", code="choice")
    mark = Mark(*_point(row), whom=whom, do=Do(row.get("do", Do.NOTICE)))
    return mark, tuple(ClockKind) if clock == EVERY else (ClockKind(clock),)


def _point(row: Mapping[str, Any]) -> tuple[float | None, timedelta]:
    if ("fraction" in row) == ("offset_s" in row):
        raise words.refuse("marks", "A mark has either a fraction of the target or offset_s, seconds from it.")
    if "fraction" in row:
        return _number("fraction", row["fraction"], 0.001, 10.0), timedelta(0)
    return None, timedelta(seconds=_number("offset_s", row["offset_s"], -LONGEST_OFFSET_S, LONGEST_OFFSET_S))


def _number(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise words.refuse("marks", f"{name} is a number from {low:g} to {high:g}.")
    return float(value)


def recipient(who: object) -> tuple[str, str]:
    """Whom a mark tells, as (sort, name): ``role:manager`` → role, manager. Raises InvalidFields."""
    sort, _, name = str(who).partition(":")
    known = (
        (not name and sort in RECIPIENTS)
        or (sort == "role" and name in ROLES)
        or (sort == "user" and name.isascii() and name.isdigit() and len(name) <= 9)
    )
    if not known:
        raise words.refuse(
            "whom", f"{who!r} is nobody; whom lists {', '.join(sorted(RECIPIENTS))}, role:NAME or user:ID."
        )
    return sort, name


def conditions(value: object) -> dict[str, tuple[Any, ...]]:
    """Condition → the values of which one must hold. Raises InvalidFields."""
    if not isinstance(value, Mapping) or set(value) - set(CONDITIONS):
        raise words.refuse("conditions", f"conditions are {', '.join(CONDITIONS)}, each a list.", code="type")
    return {name: _values(name, values) for name, values in value.items() if values}


def _values(name: str, values: object) -> tuple[Any, ...]:
    sort = int if name == "criticality" else str
    listed = isinstance(values, Sequence) and not isinstance(values, str) and len(values) <= 100
    if not listed or any(not isinstance(each, sort) or isinstance(each, bool) for each in values):  # type: ignore[attr-defined]
        raise words.refuse("conditions", f"{name} is a list of at most 100 {'numbers' if sort is int else 'names'}.")
    words.plain("conditions", list(values))  # type: ignore[call-overload]
    return tuple(values)  # type: ignore[arg-type]


def pauses(value: object) -> dict[str, frozenset[ClockKind]] | None:
    """Reason of a hold → the clocks that it pauses. Raises InvalidFields."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or len(value) > 50:
        raise words.refuse("pauses", "pauses is an object: reason of a hold → list of clocks.", code="type")
    if any(set(kinds) - set(ClockKind) for kinds in value.values()):
        raise words.refuse("pauses", f"A reason pauses some of {', '.join(ClockKind)}.", code="choice")
    words.plain("pauses", dict(value))
    return {str(reason): frozenset(map(ClockKind, kinds)) for reason, kinds in value.items()}


def mark_row(mark: Mark) -> dict[str, Any]:
    """A mark as data, the inverse of reading it."""
    point = {"offset_s": mark.offset.total_seconds()} if mark.fraction is None else {"fraction": mark.fraction}
    return {**point, "whom": list(mark.whom), "do": mark.do.value}


def terms_row(terms: Terms) -> dict[str, Any]:
    """A clock's terms as data; the ids stand in columns of their own."""
    return {
        "name": terms.name,
        "why": [dict(each) for each in terms.why],
        "marks": [mark_row(mark) for mark in terms.marks],
        "pauses": None if terms.pauses is None else sorted(terms.pauses),
    }


def read_terms(row: Mapping[str, Any], policy_id: int | None, policy_version: int | None) -> Terms:
    """The inverse of :func:`terms_row`."""
    reasons_of = row.get("pauses")
    return Terms(
        tuple(_mark(each)[0] for each in row.get("marks", ())),
        None if reasons_of is None else frozenset(reasons_of),
        policy_id,
        policy_version,
        row.get("name", ""),
        tuple(row.get("why", ())),
    )
