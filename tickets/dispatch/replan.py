"""After an emergency, a sickness or an overrun: what holds stays, little else moves. Pure but for the solver.

Kept visits stay to the second; only what broke, what is new, and a bounded neighbourhood of it is planned anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tickets.dispatch.board import Board
from tickets.dispatch.check import violations
from tickets.dispatch.greedy import finished
from tickets.dispatch.model import Plan, Problem, Visit, cost

SAME_S = 900  # a start that differs by less is the same to people
SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Change:
    """What a new plan does to one job."""

    job_id: int
    before: tuple[Visit, ...]
    after: tuple[Visit, ...]

    @property
    def moved(self) -> bool:
        """Whether somebody who had been told has to be told again."""
        if not self.before:
            return False
        people = {visit.engineer_id for visit in self.before} == {visit.engineer_id for visit in self.after}
        return not people or abs(self.before[0].start_s - self.after[0].start_s) > SAME_S


def salvage(problem: Problem, before: Plan) -> Board:
    """A board with every visit of the old plan that breaks no rule of the new problem, pinned where it was."""
    jobs = {job.job_id for job in problem.jobs}
    frozen = [visit for job in problem.jobs for visit in job.frozen]
    taken = {visit.job_id for visit in frozen}
    kept = [visit for visit in before.visits if visit.job_id in jobs and visit.job_id not in taken]
    while broken := {each.job_id for each in violations(problem, Plan((*frozen, *kept)))} - taken:
        kept = [visit for visit in kept if visit.job_id not in broken]
    board = Board(problem)
    for visit in kept:
        _pin(board, visit)
    for job in problem.jobs:
        if job.job_id in board.kept and not job.frozen and len(board.tours_of(job.job_id)) != job.crew:
            board.take(job.job_id)
    return board


def patched(problem: Problem, before: Plan) -> Plan:
    """What still holds, and the rest put in wherever it fits without moving anything."""
    board = salvage(problem, before)
    board.fill()
    return finished(board)


def loosen(board: Board, before: Plan, *, share: float = SHARE) -> set[int]:
    """Let a neighbourhood of what is not in move again, within the share of jobs that may; returns whom.

    Nearest first: those who start about when the missing ones would like to, of lower priority, by people who can.
    """
    planned = {visit.job_id for visit in before.visits}
    missing = [job for job in board.problem.jobs if job.job_id not in board.starts]
    forced = sum(job.job_id in planned for job in missing)
    budget = max(int(share * len(planned)) - forced, 0)
    wanted = [(job.ready_s, job.place) for job in missing]
    free = [job for job in board.problem.jobs if job.job_id in board.kept and not job.frozen and job.crew == 1]

    def apart(job_id: int) -> float:
        job = board.jobs[job_id]
        near = min(
            (board.way(job.place, place) + abs(board.starts[job_id] - when) / 8 for when, place in wanted), default=0
        )
        return near - 3600 * job.priority

    loose = set(sorted((job.job_id for job in free), key=apart)[:budget])
    board.kept -= loose
    board.pinned -= loose
    return loose


def changes(before: Plan, after: Plan) -> list[Change]:
    """What is different, job by job; jobs that stay as they were are left out."""
    old, new = _by_job(before), _by_job(after)
    found = [Change(job_id, old.get(job_id, ()), new.get(job_id, ())) for job_id in sorted(old.keys() | new.keys())]
    return [change for change in found if change.before != change.after]


def moved_share(before: Plan, after: Plan) -> float:
    """How many of the jobs that were planned have to be told anew."""
    planned = {visit.job_id for visit in before.visits}
    return sum(change.moved for change in changes(before, after)) / len(planned) if planned else 0.0


def replan(problem: Problem, before: Plan, *, better: Callable[[Board], Board], share: float = SHARE) -> Plan:
    """A plan of the new problem in which at most ``share`` of the jobs move, unless more were broken anyway.

    ``better`` improves a board without touching what is kept.
    """
    board = salvage(problem, before)
    loosen(board, before, share=share)
    board.fill()
    board = better(board)
    plans = [finished(board), patched(problem, before)]
    fitting = [plan for plan in plans if moved_share(before, plan) <= share and not violations(problem, plan)]
    return min(fitting or [plans[1]], key=lambda plan: cost(problem, plan))


def _pin(board: Board, visit: Visit) -> None:
    tours = [
        tour
        for tour in board.tours
        if tour.engineer.engineer_id == visit.engineer_id
        and tour.span.begins_s <= visit.start_s
        and visit.end_s <= tour.span.ends_s
    ]
    if not tours:
        return
    board.starts[visit.job_id] = visit.start_s
    board.pinned.add(visit.job_id)
    board.kept.add(visit.job_id)
    tours[0].stops.append(visit.job_id)
    tours[0].stops.sort(key=lambda job_id: board.starts[job_id])


def _by_job(plan: Plan) -> dict[int, tuple[Visit, ...]]:
    found: dict[int, list[Visit]] = {}
    for visit in plan.visits:
        found.setdefault(visit.job_id, []).append(visit)
    return {job_id: tuple(sorted(visits, key=lambda v: v.engineer_id)) for job_id, visits in found.items()}
