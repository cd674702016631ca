"""The plan checker: every hard rule is named when it is broken, and a sound plan passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tickets.dispatch.check import Rule, violations
from tickets.dispatch.model import Engineer, Job, Need, Place, Plan, Problem, Span, Visit, cost

H = 3600
HOME, FAR = Place(0, 0), Place(4000, 0)  # 650 s there and 120 s for getting out
LIN = Engineer(
    1, "Lin", HOME, {"mechanical": 2}, (Span(8 * H, 16 * H),), (Span(14 * H, 15 * H),), {"crane": None, "gas": 12 * H}
)
WANG = Engineer(2, "Wang", HOME, {"mechanical": 1}, (Span(8 * H, 16 * H),))
FIRST = Job(1, "first", FAR, H, needs=(Need("mechanical", 1),))
PAIR = Job(2, "pair", FAR, H, crew=2)
WEEK = Problem((LIN, WANG), (FIRST, PAIR), 24 * H)


def visit(job: int, who: int, hour: float, length: float = 1) -> Visit:
    return Visit(job, who, int(hour * H), int((hour + length) * H))


def rules(job: Job, *visits: Visit, others: tuple[Job, ...] = ()) -> set[Rule]:
    return {each.rule for each in violations(replace(WEEK, jobs=(job, *others)), Plan(visits))}


def test_a_sound_plan_breaks_nothing() -> None:
    plan = Plan((visit(1, 1, 9), visit(2, 1, 10), visit(2, 2, 10)))
    assert violations(WEEK, plan) == []


@pytest.mark.parametrize(
    ("job", "visits", "rule"),
    [
        (FIRST, [visit(9, 1, 9)], Rule.KNOWN),
        (FIRST, [visit(1, 9, 9)], Rule.KNOWN),
        (PAIR, [visit(2, 2, 9), visit(2, 2, 9)], Rule.ONCE),
        (replace(PAIR, job_id=1), [visit(1, 1, 9)], Rule.CREW),
        (replace(PAIR, job_id=1), [visit(1, 1, 9), visit(1, 2, 9.5)], Rule.TOGETHER),
        (FIRST, [visit(1, 1, 9, 0.5)], Rule.DURATION),
        (replace(FIRST, needs=(Need("mechanical", 3),)), [visit(1, 1, 9)], Rule.SKILL),
        (replace(FIRST, needs=(Need("electrical", 1),)), [visit(1, 1, 9)], Rule.SKILL),
        (replace(FIRST, certificates=("crane",)), [visit(1, 2, 9)], Rule.CERTIFICATE),
        (replace(FIRST, certificates=("gas",)), [visit(1, 1, 11.5)], Rule.CERTIFICATE),
        (FIRST, [visit(1, 2, 8)], Rule.SHIFT),  # no time to come from home
        (FIRST, [visit(1, 2, 15)], Rule.SHIFT),  # nor to get back
        (FIRST, [visit(1, 2, 20)], Rule.SHIFT),
        (FIRST, [visit(1, 1, 13.5)], Rule.ABSENCE),
        (replace(FIRST, ready_s=10 * H), [visit(1, 1, 9)], Rule.PARTS),
        (replace(FIRST, windows=(Span(10 * H, 11 * H),)), [visit(1, 1, 10.5)], Rule.WINDOW),
        (replace(FIRST, frozen=(visit(1, 1, 9),)), [visit(1, 1, 10)], Rule.FROZEN),
        (replace(FIRST, frozen=(visit(1, 1, 9),)), [], Rule.FROZEN),
    ],
)
def test_every_rule_is_named_when_it_is_broken(job: Job, visits: list[Visit], rule: Rule) -> None:
    assert rules(job, *visits) - {Rule.TRAVEL} == {rule}


def test_two_jobs_of_one_person_need_the_way_between_them() -> None:
    other = Job(2, "near home", HOME, H)
    assert rules(FIRST, visit(1, 1, 9), visit(2, 1, 10), others=(other,)) == {Rule.TRAVEL}
    assert rules(FIRST, visit(1, 1, 9), visit(2, 1, 10.5), others=(other,)) == set()
    assert rules(FIRST, visit(1, 1, 9), visit(2, 2, 10), others=(other,)) == set()


def test_what_comes_first_has_ended() -> None:
    other = Job(2, "then", FAR, H, after=(1,))
    assert rules(FIRST, visit(1, 1, 10), visit(2, 2, 10.5), others=(other,)) == {Rule.ORDER}
    assert rules(FIRST, visit(2, 2, 10.5), others=(other,)) == {Rule.ORDER}
    assert rules(FIRST, visit(1, 1, 9), visit(2, 2, 10), others=(other,)) == set()


def test_what_is_frozen_is_a_fact_but_nobody_is_in_two_places() -> None:
    early = replace(FIRST, frozen=(visit(1, 1, 6),))  # before the shift: so it was decided
    other = Job(2, "other", HOME, H)
    assert rules(early, visit(1, 1, 6)) == set()
    frozen = replace(FIRST, frozen=(visit(1, 1, 9),))
    assert rules(frozen, visit(1, 1, 9), visit(2, 1, 9.5), others=(other,)) == {Rule.TRAVEL}


def test_the_cost_counts_ways_delays_and_what_is_left_over() -> None:
    way = WEEK.travel_s(HOME, FAR)
    late = replace(FIRST, priority=2, due_s=9 * H)
    problem = replace(WEEK, jobs=(late, PAIR))
    assert cost(problem, Plan((visit(1, 1, 9),))) == 2 * way + H + WEEK.costs.left[3]
    assert cost(problem, Plan(())) == WEEK.costs.left[2] + WEEK.costs.left[3]
