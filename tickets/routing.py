"""Who should do it: skill, shift, load, way, team and proven fixes make a ranking whose reasons are data. Pure.

cost = wait_h * hours until the engineer is there + load * open jobs + way_km * kilometres from where they begin
       - level * (skill level - 1) - fix * proven fixes of this failure mode (at most MOST_FIXES) - team if it is theirs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from tickets.model import Text

LEVEL_NAMES: Mapping[int, Text] = {
    1: {"en": "basic", "zh": "初级"},
    2: {"en": "skilled", "zh": "熟练"},
    3: {"en": "expert", "zh": "专家"},
}
SKILLS: Mapping[str, Text] = {
    "mechanical": {"en": "mechanical", "zh": "机械"},
    "electrical": {"en": "electrical", "zh": "电气"},
    "instrumentation": {"en": "instrumentation", "zh": "仪表"},
    "vibration": {"en": "vibration", "zh": "振动诊断"},
    "process": {"en": "process", "zh": "工艺"},
    "lubrication": {"en": "lubrication", "zh": "润滑"},
    "machining": {"en": "machining", "zh": "机加工"},
    "engine": {"en": "engine", "zh": "发动机"},
}
DAYS_AHEAD = 8
MOST_FIXES = 5  # more of them prove no more


@dataclass(frozen=True, slots=True)
class Shift:
    """A weekly shift in the site's time zone; Monday = 0; ``ends <= starts`` runs into the next day."""

    weekday: int
    starts: time
    ends: time


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engineer as routing sees them. ``skills``: skill → level 1..3; without shifts they count as always there.

    ``fixes``: orders of this failure mode that they closed and telemetry verified. ``away_until``: their absence's end.
    """

    engineer_id: int
    name: str
    skills: Mapping[str, int]
    shifts: tuple[Shift, ...]
    open_jobs: int
    fixes: int = 0
    way_m: float | None = None  # from where their day begins to the machine
    away_until: datetime | None = None
    on_call: bool = False
    of_team: bool = False  # the machine's team


@dataclass(frozen=True, slots=True)
class Weights:
    """What one hour of waiting, one open job and one skill level weigh against each other."""

    wait_h: float = 1.0
    load: float = 2.0
    level: float = 3.0
    way_km: float = 0.5
    fix: float = 1.5
    team: float = 4.0


URGENT = Weights(wait_h=6.0)  # priority 1: whoever is there


@dataclass(frozen=True, slots=True)
class Choice:
    """One engineer's place in the ranking and why."""

    engineer_id: int
    name: str
    cost: float
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Best first. ``nobody`` says why when there is no suitable engineer."""

    choices: tuple[Choice, ...]
    nobody: Text | None = None

    @property
    def best(self) -> Choice | None:
        return self.choices[0] if self.choices else None

    @property
    def reasons(self) -> tuple[Text, ...]:
        """Why the best one: their reasons, and whom they were preferred to; or why nobody."""
        if self.nobody is not None:
            return (self.nobody,)
        if len(self.choices) == 1:
            only = {"en": "The only suitable engineer.", "zh": "唯一合适的工程师。"}
            return (*self.choices[0].reasons, only)
        second = self.choices[1]
        why = {lang: ("; " if lang == "en" else "；").join(r[lang] for r in second.reasons) for lang in ("en", "zh")}
        other = {
            "en": f"Preferred to {second.name} ({why['en']}).",
            "zh": f"优先于{second.name}（{why['zh']}）。",
        }
        return (*self.choices[0].reasons, other)


def rank(
    candidates: Sequence[Candidate], *, skill: str | None, priority: int, zone: ZoneInfo, now: datetime
) -> Ranking:
    """Engineers who have ``skill`` at any level (None: everybody), best first; ties go to the lower id."""
    if not candidates:
        return Ranking((), {"en": "The site has no active engineer.", "zh": "本厂区没有在岗工程师。"})
    suitable = [one for one in candidates if skill is None or one.skills.get(skill, 0) >= 1]
    if not suitable:
        return Ranking((), nobody_with(skill or ""))
    weights = URGENT if priority == 1 else Weights()
    choices = [_choice(one, skill=skill, weights=weights, zone=zone, now=now) for one in suitable]
    return Ranking(tuple(sorted(choices, key=lambda choice: (choice.cost, choice.engineer_id))))


def skill_name(skill: str) -> Text:
    """A skill in words; one that a site made up is called by its code."""
    return SKILLS.get(skill, {"en": skill, "zh": skill})


def nobody_with(skill: str) -> Text:
    """The sentence for a skill that nobody has."""
    name = skill_name(skill)
    return {"en": f"No engineer has the skill “{name['en']}”.", "zh": f"没有具备“{name['zh']}”技能的工程师。"}


def _choice(one: Candidate, *, skill: str | None, weights: Weights, zone: ZoneInfo, now: datetime) -> Choice:
    starts = there(one, zone=zone, now=now)
    wait_h = (starts - now) / timedelta(hours=1)
    level = 1 if skill is None else min(one.skills[skill], 3)
    cost = weights.wait_h * wait_h + weights.load * one.open_jobs - weights.level * (level - 1)
    cost += weights.way_km * (one.way_m or 0.0) / 1000 - weights.fix * min(one.fixes, MOST_FIXES)
    cost -= weights.team if one.of_team else 0.0
    reasons = (*_skill_reason(skill, level), _shift_reason(one, starts, zone=zone, now=now), _load_reason(one))
    return Choice(one.engineer_id, one.name, round(cost, 3), (*reasons, *_more_reasons(one)))


def there(one: Candidate, *, zone: ZoneInfo, now: datetime) -> datetime:
    """When the engineer is there: now on shift or on call, never while away."""
    if one.away_until is not None and one.away_until > now:
        return next_on_shift(one.shifts, zone=zone, now=one.away_until)
    return now if one.on_call else next_on_shift(one.shifts, zone=zone, now=now)


def _more_reasons(one: Candidate) -> Iterator[Text]:
    if one.fixes:
        times = "once" if one.fixes == 1 else f"{one.fixes} times"
        yield {"en": f"Fixed this fault {times}, verified", "zh": f"曾修复此类故障 {one.fixes} 次，已验证"}
    if one.way_m is not None:
        yield {"en": f"{one.way_m / 1000:.1f} km away", "zh": f"距离 {one.way_m / 1000:.1f} 公里"}
    if one.of_team:
        yield {"en": "Of the machine's team", "zh": "属于该设备班组"}


def _skill_reason(skill: str | None, level: int) -> tuple[Text, ...]:
    if skill is None:
        return ()
    name, grade = skill_name(skill), LEVEL_NAMES[level]
    return (
        {
            "en": f"Skill “{name['en']}” at level {level} ({grade['en']})",
            "zh": f"技能“{name['zh']}” {level} 级（{grade['zh']}）",
        },
    )


def _shift_reason(one: Candidate, starts: datetime, *, zone: ZoneInfo, now: datetime) -> Text:
    if one.away_until is not None and one.away_until > now:
        back = starts.astimezone(zone)
        return {"en": f"Away; back {back:%Y-%m-%d %H:%M}", "zh": f"请假中；{back:%Y-%m-%d %H:%M} 返岗"}
    if one.on_call:
        return {"en": "On call", "zh": "值班待命"}
    if not one.shifts:
        return {"en": "No shift plan entered: counts as available", "zh": "未录入班次：视为可用"}
    if starts == now:
        return {"en": "On shift now", "zh": "当前在班"}
    local = starts.astimezone(zone)
    return {"en": f"Next on shift {local:%Y-%m-%d %H:%M}", "zh": f"下次上班时间 {local:%Y-%m-%d %H:%M}"}


def _load_reason(one: Candidate) -> Text:
    jobs = "no open job" if one.open_jobs == 0 else f"{one.open_jobs} open job{'s' if one.open_jobs > 1 else ''}"
    return {"en": jobs.capitalize(), "zh": f"在手工单 {one.open_jobs} 个"}


def on_shift(shifts: Sequence[Shift], *, zone: ZoneInfo, now: datetime) -> bool:
    """Whether one of the shifts covers ``now``; True without any shift plan."""
    return next_on_shift(shifts, zone=zone, now=now) == now


def next_on_shift(shifts: Sequence[Shift], *, zone: ZoneInfo, now: datetime) -> datetime:
    """``now`` while on shift (or without a plan), else when the next shift starts."""
    if not shifts:
        return now
    today = now.astimezone(zone).date()
    coming = []
    for ahead in range(-1, DAYS_AHEAD):
        day = today + timedelta(days=ahead)
        for shift in shifts:
            if shift.weekday != day.weekday():
                continue
            starts = datetime.combine(day, shift.starts, zone).astimezone(now.tzinfo)
            last = day + timedelta(days=1) if shift.ends <= shift.starts else day
            if starts <= now < datetime.combine(last, shift.ends, zone).astimezone(now.tzinfo):
                return now
            if starts > now:
                coming.append(starts)
    return min(coming)
