"""Which tier a signal has, and which tiers contradict themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from plant.tiers import DEFAULT, BadTiers, Tier, check, first_kept, tier_of

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)


def tier(name: str, raw: int | None = 10, minute: int | None = 20, hour: int | None = 30) -> Tier:
    return Tier(name, raw, minute, hour, 5)


def test_the_narrowest_class_counts() -> None:
    tiers = check([tier("*"), tier("role:state"), tier("temperature")])
    assert tier_of(tiers, quantity="temperature", role="state").name == "temperature"
    assert tier_of(tiers, quantity="state", role="state").name == "role:state"
    assert tier_of(tiers, quantity="pressure", role="measured").name == "*"
    assert tier_of({}, quantity="pressure", role="measured") is DEFAULT


def test_the_built_in_tier_is_good() -> None:
    assert check([DEFAULT]) == {"*": DEFAULT}


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ([tier("*"), tier("*")], "twice"),
        ([tier("warmth")], "no class"),
        ([tier("role:boss")], "no class"),
        ([tier("*", raw=None)], "as long as"),
        ([tier("*", raw=21)], "as long as"),
        ([tier("*", minute=None)], "as long as"),
        ([tier("*", raw=0)], "whole numbers"),
        ([tier("*", hour=40_000)], "whole numbers"),
        ([Tier("*", 1, 2, 3, 4)], "Waveforms"),
        ([Tier("*", 1, 2, 3, None)], "Waveforms"),
    ],
)
def test_contradictions_are_refused_in_a_sentence(wanted: list[Tier], says: str) -> None:
    with pytest.raises(BadTiers, match=says):
        check(wanted)


def test_whole_days_are_kept() -> None:
    assert first_kept(1, NOW) == date(2026, 6, 14)
    assert first_kept(None, NOW) is None
