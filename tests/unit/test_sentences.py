"""Numbers as people read them."""

from __future__ import annotations

import pytest

from maintenance import sentences


@pytest.mark.parametrize(
    ("hours", "en", "zh"), [(8.808, "8.81 h", "8.81 小时"), (47.9, "47.9 h", "47.9 小时"), (60.0, "2.5 days", "2.5 天")]
)
def test_a_span_is_said_in_hours_up_to_two_days(hours: float, en: str, zh: str) -> None:
    assert sentences.span(hours) == {"en": en, "zh": zh}


@pytest.mark.parametrize(
    ("percent", "said"),
    [(0.0, "0"), (0.00297, "< 0.1"), (0.1, "0.1"), (12.34, "12.3"), (99.96, "> 99.9"), (100.0, "100")],
)
def test_nobody_knows_the_third_digit_of_a_rare_or_a_sure_thing(percent: float, said: str) -> None:
    assert sentences.chance(percent) == said
    values = {"when": "2026-03-01 08:00", "total": 1.0, "currency": "EUR", "percent": percent}
    assert f"{said} %" in sentences.say("moment.chosen_now", values)["en"]


@pytest.mark.parametrize(
    ("expected", "seconds", "en", "zh"),
    [
        (2.4, 60.0, "2.4 in such a time", "这段时间内为 2.4 台"),
        (6.94e-4, 60.0, "one in 24 h", "约 24 小时才有 1 台"),
        (6.94e-5, 60.0, "one in 10 days", "约 10 天才有 1 台"),
        (1e-7, 60.0, "fewer than one in a year", "一年不到 1 台"),
        (0.0, 60.0, "fewer than one in a year", "一年不到 1 台"),
    ],
)
def test_what_is_rare_is_said_by_the_time_between_two(expected: float, seconds: float, en: str, zh: str) -> None:
    assert sentences.pace(expected, seconds) == {"en": en, "zh": zh}
