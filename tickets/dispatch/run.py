"""A plan by the optimiser in a child that is killed when it overstays, checked by somebody else, or the baseline's.

Whatever the child does (nothing, nonsense, a crash, for ever), an answer comes in time and keeps every hard rule.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

import msgspec

from tickets.dispatch.check import violations
from tickets.dispatch.greedy import greedy
from tickets.dispatch.model import Plan, Problem, cost
from tickets.dispatch.replan import SHARE, moved_share, patched
from tickets.dispatch.worker import Task

GRACE_S = 4.0  # to start Python, to finish the last round and to write
COMMAND = (sys.executable, "-m", "tickets.dispatch.worker")


class Maker(StrEnum):
    """Who made a plan."""

    OPTIMISER = "optimiser"
    GREEDY = "greedy"


@dataclass(frozen=True, slots=True)
class Made:
    """A plan that keeps the hard rules. ``reason``: why the optimiser's was not taken, or ""."""

    plan: Plan
    maker: Maker
    reason: str
    cost: int
    took_s: float
    moved: float  # of the jobs of the plan before


def make(
    problem: Problem,
    *,
    before: Plan | None = None,
    seconds: float = 20.0,
    seed: int = 1,
    share: float = SHARE,
    command: tuple[str, ...] = COMMAND,
) -> Made:
    """Plan the problem within ``seconds`` and a few more; with ``before`` at most ``share`` of its jobs move.

    The best plan that the child wrote before its end is taken, if an independent check passes it.
    """
    began = time.monotonic()
    task = Task(problem, before, seconds, ceil(seconds + GRACE_S) + 1, seed, share)
    lines, reason = _ask(task, command)
    plans = [plan for line in lines if (plan := _parsed(line)) is not None and not violations(problem, plan)]
    if plans:
        plan, maker = min(plans, key=lambda each: cost(problem, each)), Maker.OPTIMISER
    else:
        plan, maker = _fallback(problem, before), Maker.GREEDY
        reason = reason or "The optimiser gave no plan that keeps the hard rules."
    moved = moved_share(before, plan) if before is not None else 0.0
    return Made(
        plan, maker, reason if maker is Maker.GREEDY else "", cost(problem, plan), time.monotonic() - began, moved
    )


def _ask(task: Task, command: tuple[str, ...]) -> tuple[list[bytes], str]:
    """What the child wrote, and what went wrong."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.DEVNULL, env=_environment()
        )
        try:
            child.communicate(msgspec.json.encode(task), timeout=task.seconds + GRACE_S)
            reason = "" if child.returncode == 0 else f"The optimiser ended with code {child.returncode}."
        except subprocess.TimeoutExpired:
            reason = "The optimiser took too long and was ended."
        except BrokenPipeError:
            reason = "The optimiser ended at once."
        finally:
            child.kill()
            child.wait()
        said.seek(0)
        return said.read().splitlines(), reason


def _environment() -> dict[str, str]:
    """One core, our own code, nothing of the instance's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}


def _parsed(line: bytes) -> Plan | None:
    try:
        return msgspec.json.decode(line, type=Plan)
    except msgspec.DecodeError:
        return None  # cut off by the kill


def _fallback(problem: Problem, before: Plan | None) -> Plan:
    if before is None:
        return greedy(problem)
    return patched(problem, before)
