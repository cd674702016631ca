"""The optimiser's rounds: fill, route, move the crews, route again; what it hands back keeps every hard rule.

Everything here runs in a child (``tickets.dispatch.worker``) that is killed when it overstays.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tickets.dispatch import vrp
from tickets.dispatch.board import Board
from tickets.dispatch.check import violations
from tickets.dispatch.greedy import two_opt
from tickets.dispatch.model import Problem, cost

SHARES = (0.5, 0.0, 1.0, 0.5, 0.25, 0.75)  # where jobs that wait for one another meet, round by round
LEAST_S = 0.4

Heard = Callable[[Board], None]


def optimised(problem: Problem, *, seconds: float, seed: int, heard: Heard | None = None) -> Board:
    """A board of the whole problem, bettered for ``seconds``; ``heard`` is told of every better one."""
    board = Board(problem)
    board.fill()
    two_opt(board)
    if heard is not None:
        heard(board)
    return bettered(board, seconds=seconds, seed=seed, heard=heard)


def bettered(board: Board, *, seconds: float, seed: int, heard: Heard | None = None) -> Board:
    """Rounds of routing and of moving crews, as long as there is time. Never worse, and never against a hard rule."""
    ends = time.monotonic() + seconds
    best, lowest = board, cost(board.problem, board.plan())
    for number, share in enumerate(SHARES):
        left = ends - time.monotonic()
        if left < LEAST_S:
            break
        found = vrp.improved(best, seconds=left / (len(SHARES) - number), seed=seed + number, share=share)
        found.fill()
        _move_crews(found)
        total = cost(found.problem, found.plan())
        if total < lowest and not violations(found.problem, found.plan()):
            best, lowest = found, total
            if heard is not None:
                heard(best)
    return best


def _move_crews(board: Board) -> None:
    """Take each crew, and each job that others wait for, out and put it in where it is cheapest now."""
    for job in board.problem.jobs:
        alone = job.crew == 1 and not board.followers.get(job.job_id) and not job.after
        if alone or job.job_id in board.kept or job.job_id not in board.starts:
            continue
        if any(other in board.starts for other in board.followers.get(job.job_id, ())):
            continue  # it would take them with it
        before, standing = cost(board.problem, board.plan()), board.copy()
        board.take(job.job_id)
        board.compact()
        move = board.best(job)
        if move is not None:
            board.put(job, move)
        if move is None or cost(board.problem, board.plan()) >= before:
            board.become(standing)
