"""How long what is kept: tiers of a site by class of signal. Pure.

Raw samples, minute and hour rollups and waveforms each have a number of days, None = for ever. What is coarser lives
at least as long as what it was made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from core.errors import Invalid
from plant.model import Role
from plant.units import QUANTITIES

EVERYTHING = "*"
ROLE = "role:"
MOST_DAYS = 36_500


class BadTiers(Invalid):
    """These retention tiers contradict themselves or name no class of signals."""

    code = "bad_tiers"


@dataclass(frozen=True, slots=True)
class Tier:
    """Days that each kind of data of a class is kept. ``name`` is a quantity, ``role:…`` or ``*``.

    A waveform's samples go after ``wave_days``; its spectra and figures stay as long as the hours.
    """

    name: str
    raw_days: int | None
    minute_days: int | None
    hour_days: int | None
    wave_days: int | None


# Nothing that was measured goes before somebody has said so: recorded tables may be years old when they come.
DEFAULT = Tier(EVERYTHING, raw_days=None, minute_days=None, hour_days=None, wave_days=180)


def tier_of(tiers: Mapping[str, Tier], *, quantity: str, role: str) -> Tier:
    """The tier of a signal: its quantity's, else its role's, else the site's, else the built-in one."""
    for name in (quantity, ROLE + role, EVERYTHING):
        if name in tiers:
            return tiers[name]
    return DEFAULT


def check(tiers: Iterable[Tier]) -> dict[str, Tier]:
    """By name. Raises BadTiers with the first thing that is wrong."""
    found: dict[str, Tier] = {}
    for tier in tiers:
        if tier.name in found:
            raise BadTiers(f"The class {tier.name!r} is named twice.")
        _check_name(tier.name)
        _check_days(tier)
        found[tier.name] = tier
    return found


def first_kept(days: int | None, now: datetime) -> date | None:
    """The oldest day that is kept whole; None = all are."""
    return None if days is None else (now - timedelta(days=days)).date()


def _check_name(name: str) -> None:
    classes = {EVERYTHING, *QUANTITIES, *(ROLE + role for role in Role)}
    if name not in classes:
        raise BadTiers(f"{name!r} is no class: name a quantity, 'role:measured', 'role:setpoint', 'role:state' or '*'.")


def _check_days(tier: Tier) -> None:
    days = [math.inf if each is None else each for each in (tier.raw_days, tier.minute_days, tier.hour_days)]
    waves = math.inf if tier.wave_days is None else tier.wave_days
    if not all(each == math.inf or 1 <= each <= MOST_DAYS for each in (*days, waves)):
        raise BadTiers(f"Days of {tier.name!r} are whole numbers from 1 to {MOST_DAYS}, or null for ever.")
    if sorted(days) != days:
        raise BadTiers(f"Minutes of {tier.name!r} must be kept as long as raw samples, and hours as long as minutes.")
    if waves > days[2]:
        raise BadTiers(f"Waveforms of {tier.name!r} cannot be kept longer than hours.")
