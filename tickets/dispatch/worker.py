"""The optimiser's child: a problem on stdin, better and better plans on stdout, one JSON line each.

    python -m tickets.dispatch.worker        started by ``tickets.dispatch.run`` only

The kernel's alarm ends it at its deadline even where nobody is left to do so: C++ code answers no Python signal.
"""

from __future__ import annotations

import signal
import sys

import msgspec

from tickets.dispatch import optimise, replan
from tickets.dispatch.board import Board
from tickets.dispatch.greedy import finished
from tickets.dispatch.model import Plan, Problem


class Task(msgspec.Struct, frozen=True):
    """``before``: the plan that stands, of which little may move; None: plan everything."""

    problem: Problem
    before: Plan | None
    seconds: float
    killed_s: int
    seed: int
    share: float


def main() -> int:
    """Read the task, write plans as they become better, end."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(task.killed_s)
    if task.before is None:
        optimise.optimised(task.problem, seconds=task.seconds, seed=task.seed, heard=_say)
    else:
        _write(replan.patched(task.problem, task.before))  # at once, lest the deadline find nothing
        _write(
            replan.replan(
                task.problem,
                task.before,
                better=lambda board: optimise.bettered(board, seconds=task.seconds, seed=task.seed),
                share=task.share,
            )
        )
    return 0


def _say(board: Board) -> None:
    _write(finished(board))


def _write(plan: Plan) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(plan) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
