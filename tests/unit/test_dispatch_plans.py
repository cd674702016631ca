"""Plans: greedy, filled, routed and re-planned ones all pass the checker, which knows nothing of how they are made."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.dispatch import freeze, spoilt, surprises
from tickets.dispatch import optimise, replan, run, weeks
from tickets.dispatch.board import Board
from tickets.dispatch.check import violations
from tickets.dispatch.explain import why, why_left
from tickets.dispatch.greedy import finished, greedy
from tickets.dispatch.model import Engineer, Job, Need, Place, Plan, Problem, Span, Visit, cost
from tickets.dispatch.run import Maker

SMALL = weeks.week(3, jobs=30, people=5, days=2)


@pytest.fixture(scope="module")
def made() -> run.Made:
    return run.make(SMALL, seconds=2)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 6))
def test_greedy_and_filled_plans_break_no_rule_and_account_for_every_job(seed: int, jobs: int, people: int) -> None:
    problem = weeks.week(seed, jobs=jobs, people=people, days=3)
    board = Board(problem)
    board.fill()
    for plan in (greedy(problem), finished(board)):
        assert violations(problem, plan) == []
        assert {visit.job_id for visit in plan.visits} | plan.left.keys() == {job.job_id for job in problem.jobs}
        assert not {visit.job_id for visit in plan.visits} & plan.left.keys()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 30), max_size=12))
def test_whatever_is_taken_out_leaves_a_sound_plan(seed: int, taken: list[int]) -> None:
    board = Board(weeks.week(seed, jobs=30, people=4, days=2))
    board.fill()
    for job_id in taken:
        board.take(job_id)
    board.compact()
    assert violations(board.problem, board.plan()) == []
    board.fill()
    assert violations(board.problem, board.plan()) == []


def test_the_optimiser_breaks_no_rule_and_beats_greedy(made: run.Made) -> None:
    assert made.maker is Maker.OPTIMISER, made.reason
    assert violations(SMALL, made.plan) == []
    assert made.cost == cost(SMALL, made.plan) < cost(SMALL, greedy(SMALL))


def test_a_spoilt_plan_is_caught(made: run.Made) -> None:
    assert violations(SMALL, spoilt(made.plan))


def test_after_a_surprise_a_fifth_moves_at_most(made: run.Made) -> None:
    for problem in surprises(SMALL, made.plan):
        again = run.make(problem, before=made.plan, seconds=1)
        assert violations(problem, again.plan) == []
        broken = {each.job_id for each in violations(problem, made.plan)}
        assert again.moved <= max(0.2, len(broken) / len({visit.job_id for visit in made.plan.visits}))
        assert again.moved == replan.moved_share(made.plan, again.plan)


def test_an_emergency_is_met_in_time(made: run.Made) -> None:
    problem = surprises(SMALL, made.plan)[0]
    again = run.make(problem, before=made.plan, seconds=1)
    urgent = problem.jobs[-1]
    assert any(visit.job_id == urgent.job_id for visit in again.plan.visits)


def test_without_a_surprise_nothing_moves(made: run.Made) -> None:
    board = replan.salvage(SMALL, made.plan)
    assert Counter(board.plan().visits) == Counter(made.plan.visits)
    assert replan.changes(made.plan, made.plan) == []


def test_what_began_stays_to_the_second(made: run.Made) -> None:
    problem = freeze(SMALL, made.plan, sorted(visit.start_s for visit in made.plan.visits)[4])
    frozen = {visit for job in problem.jobs for visit in job.frozen}
    assert frozen
    again = optimise.optimised(problem, seconds=1, seed=1).plan()
    assert violations(problem, again) == []
    assert frozen <= set(again.visits)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import time; print('{', flush=True); time.sleep(60)", "too long"),
        ("import sys; sys.exit(3)", "code 3"),
        ("print('nonsense')", "no plan"),
        ("import os; os.kill(os.getpid(), 9)", "code -9"),
    ],
)
def test_whatever_the_child_does_a_sound_plan_comes(program: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "GRACE_S", 0.3)
    made = run.make(SMALL, seconds=0.2, command=(sys.executable, "-S", "-c", program))
    assert (made.maker, violations(SMALL, made.plan)) == (Maker.GREEDY, [])
    assert reason in made.reason


def test_a_plan_against_the_rules_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = weeks.week(5, jobs=4, people=3, days=1)
    bad = '{"visits": [[1, 1, 0, 60]], "left": {}}'
    made = run.make(problem, seconds=1, command=(sys.executable, "-S", "-c", f"print('{bad}')"))
    assert made.maker is Maker.GREEDY


@pytest.mark.parametrize("start_s", [2399, 2400, 2401, 6000])
def test_what_is_frozen_where_two_shifts_meet_takes_its_time_from_both(start_s: int) -> None:
    there = Place(0, 0)
    always = Engineer(1, "Lin", there, {}, (Span(0, 2400), Span(2400, 88_800)))
    stands = tuple(
        Job(number, str(number), there, 3600, frozen=(Visit(number, 1, begins, begins + 3600),))
        for number, begins in ((5, start_s), (4, start_s + 3600))
    )
    problem = Problem((always,), (*stands, Job(6, "urgent", there, 3600, priority=1)), 88_800)
    board = Board(problem)
    board.fill()
    for plan in (greedy(problem), finished(board)):
        assert {visit.job_id for visit in plan.visits} == {4, 5, 6}
        urgent = next(visit for visit in plan.visits if visit.job_id == 6)
        assert urgent.end_s <= start_s or urgent.start_s >= start_s + 7200
        assert violations(problem, plan) == []


def test_every_assignment_and_every_job_left_over_is_explained(made: run.Made) -> None:
    board = replan.salvage(SMALL, made.plan)
    for job in SMALL.jobs:
        reasons = why(board, job) if job.job_id in board.starts else (why_left(board, job),)
        assert reasons
        assert all(reason["en"] and reason["zh"] for reason in reasons)
    impossible = replace(SMALL.jobs[0], job_id=99, needs=(Need("juggling", 1),))
    alone = Problem(SMALL.engineers, (impossible,), SMALL.horizon_s)
    assert "juggling" in greedy(alone).left[99]["en"]


def test_nothing_to_plan_is_no_trouble() -> None:
    empty = Problem((), (), 86_400)
    assert optimise.optimised(empty, seconds=0.5, seed=1).plan() == Plan(())
    alone = Problem((), SMALL.jobs[:3], 86_400)
    assert len(finished(optimise.optimised(alone, seconds=0.5, seed=1)).left) == 3
