"""A maintenance policy as people edit it: names, units and bounds of its settings, from JSON and back. Pure.

Times are edited in hours (``persist_h``), shares as 0..1, money in the currency of the failure-mode library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from enum import StrEnum
from math import isfinite
from typing import Any

from maintenance.errors import BadPolicy
from maintenance.model import Opening, Policy

HOUR = timedelta(hours=1)
SHIPPED = Policy()


class Unit(StrEnum):
    HOURS = "h"
    SHARE = "share"
    COUNT = "count"
    MONEY = "money"
    MONEY_H = "money/h"
    CHOICE = "choice"
    PRIOR = "prior"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name outside, the field of ``Policy``, its unit and bounds (both included)."""

    name: str
    field: str
    unit: Unit
    least: float
    most: float
    optional: bool = False


MONEY_MOST, YEARS_10 = 1e9, 87_600.0
SETTINGS: Mapping[str, Setting] = {
    each.name: each
    for each in (
        Setting("opening", "opening", Unit.CHOICE, 0, 0),
        Setting("proven", "proven", Unit.SHARE, 0, 0.999),
        Setting("proven_share", "proven_share", Unit.SHARE, 0.5, 0.999),
        Setting("persist_findings", "persist_findings", Unit.COUNT, 1, 1000),
        Setting("persist_h", "persist", Unit.HOURS, 0, 720),
        Setting("horizon_h", "horizon", Unit.HOURS, 1, 8760),
        Setting("wait_limit_h", "wait_limit", Unit.HOURS, 1, 8760),
        Setting("act_health", "act_health", Unit.SHARE, 0, 1),
        Setting("cost_planned", "cost_planned", Unit.MONEY, 0, MONEY_MOST, optional=True),
        Setting("cost_failure", "cost_failure", Unit.MONEY, 0, MONEY_MOST, optional=True),
        Setting("down_h", "down", Unit.HOURS, 0, 8760),
        Setting("down_cost_h", "down_cost_h", Unit.MONEY_H, 0, MONEY_MOST),
        Setting("work_h", "work", Unit.HOURS, 0, 720),
        Setting("stop_cost_h", "stop_cost_h", Unit.MONEY_H, 0, MONEY_MOST, optional=True),
        Setting("travel", "travel", Unit.MONEY, 0, MONEY_MOST),
        Setting("parts_lead_h", "parts_lead", Unit.HOURS, 0, 17_520),
        Setting("expedite", "expedite", Unit.MONEY, 0, MONEY_MOST, optional=True),
        Setting("expedite_h", "expedite_time", Unit.HOURS, 0, 17_520),
        Setting("send_back", "send_back", Unit.MONEY, 0, MONEY_MOST),
        Setting("look_share", "look_share", Unit.SHARE, 0, 1),
        Setting("false_lasting_h", "false_lasting", Unit.HOURS, 1, 8760),
        Setting("life_h", "life", Unit.HOURS, 24, YEARS_10 * 4),
        Setting("unwarned", "unwarned", Unit.SHARE, 0, 1),
        Setting("doubt", "doubt", Unit.SHARE, 0, 1),
        Setting("mute_h", "mute", Unit.HOURS, 0, 8760),
        Setting("mute_growth", "mute_growth", Unit.SHARE, 0, 1),
        Setting("refresh_h", "refresh", Unit.HOURS, 0.05, 168),
        Setting("clear_delay_h", "clear_delay", Unit.HOURS, 0, 168),
        Setting("sensor_clear_delay_h", "sensor_clear_delay", Unit.HOURS, 0, 168),
        Setting("silence_clear_delay_h", "silence_clear_delay", Unit.HOURS, 0, 168),
        Setting("reopen_within_h", "reopen_within", Unit.HOURS, 0, 720),
        Setting("shelve_most_h", "shelve_most", Unit.HOURS, 1, 8760),
        Setting("deadline_share", "deadline_share", Unit.SHARE, 0.05, 1),
        Setting("deadline_least_h", "deadline_least", Unit.HOURS, 0, 720),
        Setting("deadline_move", "deadline_move", Unit.SHARE, 0, 1),
        Setting("precision_prior", "precision_prior", Unit.PRIOR, 0.1, 1000),
    )
}


def shown(policy: Policy) -> dict[str, Any]:
    """Every setting of a policy as JSON."""
    return {name: _out(getattr(policy, setting.field), setting.unit) for name, setting in SETTINGS.items()}


def merged(base: Policy, settings: Mapping[str, Any]) -> Policy:
    """``base`` with the settings that were checked before."""
    known = {SETTINGS[name].field: _in(value, SETTINGS[name]) for name, value in settings.items() if name in SETTINGS}
    return replace(base, **known)


def check(base: Policy, settings: Mapping[str, Any]) -> Policy:
    """``base`` with these settings. Raises BadPolicy with a sentence about the first that does not fit."""
    problem = next(_problems(settings), None)
    if problem is not None:
        raise BadPolicy(problem)
    made = merged(base, settings)
    problem = next(iter(contradictions(made)), None)
    if problem is not None:
        raise BadPolicy(problem)
    return made


def contradictions(policy: Policy) -> list[str]:
    """What in a policy cannot be meant together, in sentences."""
    return list(_contradictions(policy))


def _problems(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        setting = SETTINGS.get(name)
        if setting is None:
            yield f"A maintenance policy has no setting {name!r}. It has: {', '.join(SETTINGS)}."
        elif not _fits(value, setting):
            yield _bounds(setting)


def _fits(value: Any, setting: Setting) -> bool:
    if value is None:
        return setting.optional
    if setting.unit is Unit.CHOICE:
        return value in tuple(Opening)
    if setting.unit is Unit.PRIOR:
        return isinstance(value, list | tuple) and len(value) == 2 and all(_within(each, setting) for each in value)
    return _within(value, setting) and (setting.unit is not Unit.COUNT or float(value).is_integer())


def _within(value: Any, setting: Setting) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and isfinite(value) and setting.least <= value <= setting.most


def _bounds(setting: Setting) -> str:
    if setting.unit is Unit.CHOICE:
        return f"{setting.name} is one of {', '.join(Opening)}."
    span = f"from {setting.least:g} to {setting.most:g}"
    if setting.unit is Unit.PRIOR:
        return f"{setting.name} is two numbers {span}: true and false orders believed before any verdict."
    if setting.unit in (Unit.MONEY, Unit.MONEY_H):
        return f"{setting.name} is an amount that is not negative, at most {setting.most:,.0f}."
    return f"{setting.name} is a {'whole number' if setting.unit is Unit.COUNT else 'number'} {span} ({setting.unit})."


def _contradictions(policy: Policy) -> Iterator[str]:
    planned, failure = policy.cost_planned, policy.cost_failure
    if planned is not None and failure is not None and failure < planned:
        yield "cost_failure is below cost_planned: then nothing would ever be worth preventing."
    if policy.persist > policy.wait_limit:
        yield "persist_h is longer than wait_limit_h: an alarm would be looked at before it may count."
    if policy.expedite is not None and policy.parts_lead and policy.expedite_time > policy.parts_lead:
        yield "expedite_h is longer than parts_lead_h: expediting would make the parts come later."


def _out(value: Any, unit: Unit) -> Any:
    if unit is Unit.HOURS:
        return round(value / HOUR, 10)
    if unit is Unit.PRIOR:
        return list(value)
    return value.value if unit is Unit.CHOICE else value


def _in(value: Any, setting: Setting) -> Any:
    if value is None:
        return None
    if setting.unit is Unit.HOURS:
        return timedelta(hours=value)
    if setting.unit is Unit.CHOICE:
        return Opening(value)
    if setting.unit is Unit.PRIOR:
        return (float(value[0]), float(value[1]))
    return int(value) if setting.unit is Unit.COUNT else float(value)


def complete() -> bool:
    """Whether every field of ``Policy`` can be edited."""
    return {each.field for each in SETTINGS.values()} == {each.name for each in fields(Policy)}
