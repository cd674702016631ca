"""How well the alarms of a site serve its people: the figures of ISA-18.2, IEC 62682 and EEMUA 191. Pure.

An *alarm* here is a moment: an alarm was raised, or came back. Time is cut into slots of ten minutes from the start of
the span; a slot is a flood when one person got more than ten. Each figure knows the rows it counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

SLOT = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
FLOOD = 10  # alarms a person and slot; more is a flood
CALM = 5  # alarms in ten minutes below which a flood is over
BAD_ACTORS = 10
CAME = ("raised", "back")
QUIET = ("stale", "chattering")  # moves that are no change of the alarm itself
PRIORITY_TARGETS = {1: 0.05, 2: 0.15, 3: 0.80}  # high, medium, low (severity 3 and 4 together)


class Figure(StrEnum):
    """What is counted."""

    ALARMS = "alarms"
    PER_SLOT = "per_person_10min"
    PEAK = "peak_10min"
    FLOOD_SHARE = "flood_share"
    TOP_TEN = "top10_share"
    CHATTERING = "chattering"
    FLEETING = "fleeting"
    STALE = "stale"
    SHELVED = "shelved"
    HELD = "held"
    HIGH = "priority_high"
    MEDIUM = "priority_medium"
    LOW = "priority_low"


@dataclass(frozen=True, slots=True)
class Move:
    """A row of ``alarm_moves``."""

    alarm_id: int
    asset_id: int
    at: datetime
    what: str
    severity: int


@dataclass(frozen=True, slots=True)
class Standing:
    """An open alarm at the end of the span: ``changed_at`` its last change, what holds it ('' = nothing)."""

    alarm_id: int
    asset_id: int
    state: str
    changed_at: datetime
    deviates: bool
    held: str


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end), seen by so many people."""

    start: datetime
    end: datetime
    people: int

    @property
    def slots(self) -> int:
        return max(1, -(-(self.end - self.start) // SLOT))


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as chatter, fleeting and stale."""

    chatter: int = 3
    fleeting: timedelta = timedelta(seconds=60)
    stale: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Told:
    """A figure: its value, unit and target (None = no target), and the alarms behind it, most first: id → count."""

    figure: Figure
    value: float
    unit: str
    target: str | None
    met: bool | None
    behind: Mapping[int, float]


def report(moves: Sequence[Move], standing: Sequence[Standing], span: Span, limits: Limits) -> list[Told]:
    """Every figure of the span; ``moves`` in the order of time."""
    came = [each for each in moves if each.what in CAME and span.start <= each.at < span.end]
    by_alarm = Counter(each.alarm_id for each in came)
    in_slots = slots(came, span)
    busy = {number for number, inside in in_slots.items() if len(inside) > FLOOD}
    worst = max(in_slots.values(), key=len, default=[])
    top = dict(by_alarm.most_common(BAD_ACTORS))
    total = len(came)
    per_slot = total / span.slots / max(span.people, 1)
    flooded = Counter(each.alarm_id for number in busy for each in in_slots[number])
    chatter = chattering(came, least=limits.chatter)
    brief = fleeting(moves, came, limits.fleeting)
    stale = {each.alarm_id: _hours(span.end - each.changed_at) for each in standing if _stale(each, span, limits)}
    shelved = {each.alarm_id: 1.0 for each in standing if each.state == "shelved"}
    held = {each.alarm_id: 1.0 for each in standing if each.held}
    return [
        Told(Figure.ALARMS, total, "alarms", None, None, _ranked(by_alarm)),
        _told(Figure.PER_SLOT, per_slot, "alarms", 1.0, _ranked(by_alarm)),
        _told(Figure.PEAK, len(worst), "alarms", FLOOD, _ranked(Counter(each.alarm_id for each in worst))),
        _told(Figure.FLOOD_SHARE, len(busy) / span.slots, "share", 0.01, _ranked(flooded)),
        _told(Figure.TOP_TEN, sum(top.values()) / total if total else 0.0, "share", 0.05, _ranked(top)),
        _told(Figure.CHATTERING, len(chatter), "alarms", 0, _ranked(chatter)),
        _told(Figure.FLEETING, sum(brief.values()), "alarms", 0, _ranked(brief)),
        _told(Figure.STALE, len(stale), "alarms", 5, _ranked(stale)),
        Told(Figure.SHELVED, len(shelved), "alarms", None, None, shelved),
        Told(Figure.HELD, len(held), "alarms", None, None, held),
        *_priorities(came),
    ]


def slots(came: Iterable[Move], span: Span) -> dict[int, list[Move]]:
    """Slot number → its alarms."""
    found: dict[int, list[Move]] = defaultdict(list)
    for each in came:
        found[(each.at - span.start) // SLOT].append(each)
    return found


def chattering(came: Iterable[Move], *, least: int) -> dict[int, float]:
    """Alarm id → the most times it came within a minute, for those that came at least ``least`` times."""
    times: dict[int, list[datetime]] = defaultdict(list)
    for each in came:
        times[each.alarm_id].append(each.at)
    most = {alarm_id: float(densest(sorted(found), MINUTE)) for alarm_id, found in times.items()}
    return {alarm_id: count for alarm_id, count in most.items() if count >= least}


def densest(times: Sequence[datetime], width: timedelta) -> int:
    """The most of these (sorted) within a half-open stretch of this width."""
    most, low = 0, 0
    for high, at in enumerate(times):
        while at - times[low] >= width:
            low += 1
        most = max(most, high - low + 1)
    return most


def fleeting(moves: Iterable[Move], came: Iterable[Move], limit: timedelta) -> dict[int, float]:
    """Alarm id → how often it came and was back to normal within the limit."""
    ends: dict[int, list[datetime]] = defaultdict(list)
    for each in moves:
        if each.what == "normal":
            ends[each.alarm_id].append(each.at)
    found: Counter[int] = Counter()
    for each in came:
        end = min((at for at in ends[each.alarm_id] if at >= each.at), default=None)
        found[each.alarm_id] += end is not None and end - each.at < limit
    return {alarm_id: float(count) for alarm_id, count in found.items() if count}


def flood_begins(recent: int, new: int) -> bool:
    """Whether so many told in the last ten minutes and so many new ones are too many for a person."""
    return new > 0 and recent + new > FLOOD


def flood_over(recent: int) -> bool:
    """Whether a flood has passed: fewer than five in the last ten minutes."""
    return recent < CALM


def _stale(each: Standing, span: Span, limits: Limits) -> bool:
    standing = each.deviates and each.state in ("active", "acknowledged") and not each.held
    return standing and span.end - each.changed_at > limits.stale


def _priorities(came: Sequence[Move]) -> list[Told]:
    levels = ((Figure.HIGH, 1, (1,)), (Figure.MEDIUM, 2, (2,)), (Figure.LOW, 3, (3, 4)))
    made = []
    for figure, level, severities in levels:
        inside = Counter(each.alarm_id for each in came if each.severity in severities)
        share = sum(inside.values()) / len(came) if came else 0.0
        target = PRIORITY_TARGETS[level]
        if figure is Figure.LOW:
            met = not came or share >= target
            made.append(Told(figure, share, "share", f">= {target:g}", met, _ranked(inside)))
        else:
            made.append(_told(figure, share, "share", target, _ranked(inside)))
    return made


def _told(figure: Figure, value: float, unit: str, most: float, behind: Mapping[int, float]) -> Told:
    return Told(figure, value, unit, f"<= {most:g}", value <= most, behind)


def _ranked(counts: Mapping[int, float]) -> dict[int, float]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)
