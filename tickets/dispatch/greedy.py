"""The baseline: the nearest person who can, one job after another, then untangled by 2-opt. Pure.

It is what the optimiser is measured against, and what stands in for it when it fails.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from tickets.dispatch.board import Board, Move, Tour, fit
from tickets.dispatch.explain import why_left
from tickets.dispatch.model import Job, Plan, Problem

ROUNDS = 5


def greedy(problem: Problem) -> Plan:
    """A plan that keeps every hard rule: the most pressing job first, to whom it is the shortest way."""
    board = Board(problem)
    append(board)
    two_opt(board)
    return finished(board)


def finished(board: Board) -> Plan:
    """The board's plan, with why each job that is not in could not be."""
    return replace(board.plan(), left={job.job_id: why_left(board, job) for job in board.left()})


def append(board: Board) -> None:
    """Give every job to the nearest who can, at the end of their way."""
    stuck: set[int] = set()
    while waiting := [job for job in board.left() if job.job_id not in stuck and board.floor(job) is not None]:
        move = _nearest(board, waiting[0])
        if move is None:
            stuck.add(waiting[0].job_id)
        else:
            board.put(waiting[0], move)


def two_opt(board: Board) -> None:
    """Turn stretches of a way round while that makes it shorter and breaks nothing."""
    for tour in board.tours:
        for _ in range(ROUNDS):
            if not _turned(board, tour):
                break


def _nearest(board: Board, job: Job) -> Move | None:
    ends = [move for move in board.moves(job) if all(g.position == len(board.tours[g.tour].stops) for g in move.gaps)]
    costs = board.problem.costs

    def late_then_far(move: Move) -> tuple[int, int, int]:
        return costs.lateness(job, move.start_s + job.duration_s), sum(gap.detour_s for gap in move.gaps), move.start_s

    return min(ends, default=None, key=late_then_far)


def _turned(board: Board, tour: Tour) -> bool:
    now = _cost(board, tour, tour.stops, board.starts)
    for first in range(len(tour.stops) - 1):
        for last in range(first + 2, len(tour.stops) + 1):
            order = [*tour.stops[:first], *reversed(tour.stops[first:last]), *tour.stops[last:]]
            starts = times(board, tour, order)
            if starts is not None and _cost(board, tour, order, starts) < now:
                tour.stops[:] = order
                board.starts.update(starts)
                return True
    return False


def times(board: Board, tour: Tour, order: list[int]) -> dict[int, int] | None:
    """When each stop of the way in this order would start; None where it breaks a rule."""
    here, free = tour.engineer.home, tour.span.begins_s
    starts: dict[int, int] = {}
    for job_id in order:
        job = board.jobs[job_id]
        arrival = free + board.way(here, job.place)
        start = _start(board, job, arrival, starts)
        if start is None:
            return None
        starts[job_id], here, free = start, job.place, start + job.duration_s
    return starts if free + board.way(here, tour.engineer.home) <= tour.span.ends_s else None


def _start(board: Board, job: Job, arrival: int, earlier: dict[int, int]) -> int | None:
    if job.job_id in board.pinned:
        return board.starts[job.job_id] if arrival <= board.starts[job.job_id] else None
    floor = max(
        board.floor(job) or 0,
        *(earlier[other] + board.jobs[other].duration_s for other in job.after if other in earlier),
        0,
    )
    if any(other in earlier for other in board.followers.get(job.job_id, ())):
        return None
    last = board.ceiling(job) if not job.certificates else min(board.ceiling(job), board.starts[job.job_id])
    return fit(job, max(arrival, floor), last)


def _cost(board: Board, tour: Tour, order: list[int], starts: dict[int, int]) -> int:
    stops = [tour.engineer.home, *(board.jobs[job_id].place for job_id in order), tour.engineer.home]
    travel = sum(board.way(a, b) for a, b in pairwise(stops))
    jobs = [board.jobs[job_id] for job_id in order]
    return travel + sum(board.problem.costs.lateness(job, starts[job.job_id] + job.duration_s) for job in jobs)
