"""Routing: skill, shift and load, over midnight and over changes of the clock, with reasons a person can check."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tickets.routing import Candidate, Ranking, Shift, next_on_shift, on_shift, rank

BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")
DAY_SHIFT = tuple(Shift(day, time(6), time(14)) for day in range(5))
NIGHT_SHIFT = tuple(Shift(day, time(22), time(6)) for day in range(5))
MONDAY_9 = datetime(2026, 3, 2, 9, tzinfo=BERLIN).astimezone(UTC)
MONDAY_23 = datetime(2026, 3, 2, 23, tzinfo=BERLIN).astimezone(UTC)
SATURDAY_3 = datetime(2026, 3, 7, 3, tzinfo=BERLIN).astimezone(UTC)
SATURDAY_9 = datetime(2026, 3, 7, 9, tzinfo=BERLIN).astimezone(UTC)


def someone(
    ident: int,
    *,
    level: int | None = 2,
    jobs: int = 0,
    shifts: tuple[Shift, ...] = DAY_SHIFT,
    skill: str = "mechanical",
) -> Candidate:
    return Candidate(ident, f"E{ident}", {} if level is None else {skill: level}, shifts, jobs)


def ranked(
    *people: Candidate, now: datetime = MONDAY_9, priority: int = 3, skill: str | None = "mechanical"
) -> Ranking:
    return rank(people, skill=skill, priority=priority, zone=BERLIN, now=now)


def ids(ranking: Ranking) -> list[int]:
    return [choice.engineer_id for choice in ranking.choices]


def test_a_higher_level_wins_when_all_else_is_equal() -> None:
    assert ids(ranked(someone(1, level=1), someone(2, level=3), someone(3, level=2))) == [2, 3, 1]


def test_load_outweighs_one_level() -> None:
    assert ids(ranked(someone(1, level=3, jobs=4), someone(2, level=2, jobs=0))) == [2, 1]


def test_ties_go_to_the_lower_id_whatever_the_order() -> None:
    assert ids(ranked(someone(9), someone(3), someone(5))) == [3, 5, 9]


def test_who_is_on_shift_wins_over_the_better_one_at_home() -> None:
    people = (someone(1, level=3), someone(2, level=1, shifts=NIGHT_SHIFT))
    assert ids(ranked(*people, now=MONDAY_9)) == [1, 2]
    assert ids(ranked(*people, now=MONDAY_23)) == [2, 1]


def test_an_urgent_ticket_goes_to_whoever_is_there_even_with_much_to_do() -> None:
    people = (someone(1, shifts=NIGHT_SHIFT, jobs=5), someone(2, level=3))  # 2 starts in seven hours
    assert ids(ranked(*people, now=MONDAY_23, priority=3))[0] == 2
    assert ids(ranked(*people, now=MONDAY_23, priority=1))[0] == 1


def test_a_night_shift_runs_over_midnight_into_the_next_weekday() -> None:
    assert on_shift(NIGHT_SHIFT, zone=BERLIN, now=MONDAY_23)
    assert on_shift(NIGHT_SHIFT, zone=BERLIN, now=SATURDAY_3)  # Friday's night
    assert not on_shift(NIGHT_SHIFT, zone=BERLIN, now=SATURDAY_9)
    assert next_on_shift(NIGHT_SHIFT, zone=BERLIN, now=SATURDAY_9) == datetime(2026, 3, 9, 22, tzinfo=BERLIN)


def test_shifts_are_in_the_time_of_the_site() -> None:
    at = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)  # Tuesday 07:30 in Shanghai
    assert on_shift(DAY_SHIFT, zone=SHANGHAI, now=at)
    assert not on_shift(DAY_SHIFT, zone=BERLIN, now=at)


def test_a_round_the_clock_shift_covers_its_whole_day() -> None:
    always = tuple(Shift(day, time(0), time(0)) for day in range(7))
    assert all(on_shift(always, zone=BERLIN, now=MONDAY_9 + timedelta(hours=h)) for h in range(0, 200, 7))


def test_nobody_has_the_skill() -> None:
    ranking = ranked(someone(1, skill="electrical"))
    assert ranking.best is None
    assert ranking.reasons == ({"en": "No engineer has the skill “mechanical”.", "zh": "没有具备“机械”技能的工程师。"},)


def test_nobody_at_all() -> None:
    assert ranked().reasons[0]["en"] == "The site has no active engineer."


def test_no_skill_asked_for_makes_everybody_suitable() -> None:
    assert ids(ranked(someone(1, level=None, jobs=1), someone(2, level=None), skill=None)) == [2, 1]


def test_the_reasons_say_why_him_in_both_languages() -> None:
    reasons = ranked(someone(1, level=3), someone(2, jobs=2, shifts=NIGHT_SHIFT)).reasons
    assert [reason["en"] for reason in reasons] == [
        "Skill “mechanical” at level 3 (expert)",
        "On shift now",
        "No open job",
        "Preferred to E2 (Skill “mechanical” at level 2 (skilled); Next on shift 2026-03-02 22:00; 2 open jobs).",
    ]
    assert [reason["zh"] for reason in reasons][:3] == ["技能“机械” 3 级（专家）", "当前在班", "在手工单 0 个"]
    assert ranked(someone(1)).reasons[-1]["en"] == "The only suitable engineer."


def test_without_a_shift_plan_an_engineer_counts_as_there() -> None:
    ranking = ranked(someone(1, shifts=()), now=SATURDAY_9)
    assert ranking.choices[0].reasons[1]["en"].startswith("No shift plan entered")


shift_plans = st.lists(
    st.builds(Shift, st.integers(0, 6), st.times().map(lambda t: t.replace(second=0, microsecond=0)), st.times()),
    min_size=1,
    max_size=6,
)


@given(shifts=shift_plans, minutes=st.integers(0, 400 * 1440))
def test_the_next_shift_is_within_a_week_and_is_one(shifts: list[Shift], minutes: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    coming = next_on_shift(shifts, zone=BERLIN, now=now)
    assert now <= coming <= now + timedelta(days=7, hours=2)
    assert on_shift(shifts, zone=BERLIN, now=coming)
