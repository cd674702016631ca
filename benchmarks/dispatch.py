"""Plans: a field-service week beside greedy nearest-skill with 2-opt, three surprises, and public instances.

    python -m benchmarks.dispatch [FOLDER] [--seconds 20] [--seed 1] [--weeks 3] [--instances 6] [--quick]

The week: 200 jobs and 15 people with skills, certificates, windows, parts, crews of two and jobs that wait for one
another. ``hard_violations`` counts what the independent checker finds in every plan made here; a spoilt copy of the
plan shows that it can find something (``control_violations``). FOLDER: instances in VRPLIB form with a ``.sol``
of the best known beside each (VRPTW, prize-collecting VRPTW); a gap is what ours costs more than that, both counted by
the same routine: travel and prizes not collected.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pyvrp
from pyvrp.stop import MaxRuntime

from benchmarks.result import finish
from tickets.dispatch import run, weeks
from tickets.dispatch.check import violations
from tickets.dispatch.greedy import greedy
from tickets.dispatch.model import Plan, Problem, cost, ways

GOALS = {
    "plan_s": "<= 30",
    "replan_s": "<= 10",
    "moved": "<= 0.2",
    "hard_violations": "== 0",
    "vs_greedy": "<= 0.9",
    "control_violations": ">= 1",
}
REPLAN_S = 5.0
DAY = 86_400


@dataclass(slots=True)
class Week:
    """What one week showed."""

    plan_s: float
    replan_s: float
    moved: float
    broken: int
    vs_greedy: float
    vs_greedy_travel: float
    left: int
    greedy_left: int
    fallbacks: int
    control: int


def main() -> None:
    """Print the figures."""
    args = _arguments()
    seconds, count = (8.0, 1) if args.quick else (args.seconds, args.weeks)
    found = [_week(args.seed + number, seconds) for number in range(count)]
    figures: dict[str, float | None] = {
        "plan_s": max(each.plan_s for each in found),
        "replan_s": max(each.replan_s for each in found),
        "moved": max(each.moved for each in found),
        "hard_violations": sum(each.broken for each in found),
        "vs_greedy": statistics.mean(each.vs_greedy for each in found),
        "vs_greedy_worst": max(each.vs_greedy for each in found),
        "vs_greedy_travel": statistics.mean(each.vs_greedy_travel for each in found),
        "left_over": statistics.mean(each.left for each in found),
        "greedy_left_over": statistics.mean(each.greedy_left for each in found),
        "fallbacks": sum(each.fallbacks for each in found),
        "control_violations": min(each.control for each in found),
    }
    if args.folder:
        figures |= _gaps(args.folder, most=2 if args.quick else args.instances, times=(10,) if args.quick else (10, 30))
    finish("dispatch", broker="none", figures=figures, goals=GOALS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dispatch")
    parser.add_argument("folder", nargs="?", type=Path, default=None)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weeks", type=int, default=3)
    parser.add_argument("--instances", type=int, default=6)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def _week(seed: int, seconds: float) -> Week:
    problem = weeks.week(seed)
    base = greedy(problem)
    made = run.make(problem, seconds=seconds, seed=seed)
    again = [
        (new, run.make(new, before=made.plan, seconds=REPLAN_S, seed=seed)) for new in surprises(problem, made.plan)
    ]
    plans = [(problem, base), (problem, made.plan), *((new, answer.plan) for new, answer in again)]
    return Week(
        plan_s=made.took_s,
        replan_s=max(answer.took_s for _, answer in again),
        moved=max(answer.moved for _, answer in again),
        broken=sum(len(violations(each, plan)) for each, plan in plans),
        vs_greedy=made.cost / cost(problem, base),
        vs_greedy_travel=ways(problem, made.plan) / ways(problem, base),
        left=len(made.plan.left),
        greedy_left=len(base.left),
        fallbacks=sum(answer.maker is run.Maker.GREEDY for answer in (made, *(answer for _, answer in again))),
        control=len(violations(problem, spoilt(made.plan))),
    )


def surprises(problem: Problem, plan: Plan) -> list[Problem]:
    """On the second day at nine: an emergency, somebody sick for the rest of the week, a job that takes two hours more.

    What began before then is frozen.
    """
    now = DAY + 9 * 3600
    frozen = freeze(problem, plan, now)
    coming = [visit for visit in plan.visits if visit.start_s > now]
    busiest = max({v.engineer_id for v in coming}, key=lambda who: sum(v.engineer_id == who for v in coming))
    running = [visit for visit in plan.visits if visit.start_s <= now < visit.end_s]
    longer = (running or coming)[0].job_id
    return [
        weeks.with_emergency(frozen, at_s=now, seed=7),
        weeks.with_sickness(frozen, engineer_id=busiest, from_s=now),
        weeks.with_overrun(frozen, job_id=longer, extra_s=2 * 3600),
    ]


def freeze(problem: Problem, plan: Plan, now: int) -> Problem:
    """What began before ``now`` stays, and nothing else starts before it."""
    begun = {visit.job_id for visit in plan.visits if visit.start_s <= now}
    jobs = tuple(
        replace(job, frozen=tuple(v for v in plan.visits if v.job_id == job.job_id))
        if job.job_id in begun
        else replace(job, ready_s=max(job.ready_s, now))
        for job in problem.jobs
    )
    return replace(problem, jobs=jobs)


def spoilt(plan: Plan) -> Plan:
    """The same plan with one visit a day early, which the checker has to see."""
    first, *others = sorted(plan.visits, key=lambda visit: -visit.start_s)
    moved = first._replace(start_s=first.start_s - 10 * 3600, end_s=first.end_s - 10 * 3600)
    return replace(plan, visits=(moved, *others))


def _gaps(folder: Path, *, most: int, times: tuple[int, ...]) -> dict[str, float | None]:
    """Mean gap to the best known after so many seconds, over instances spread evenly through the folder."""
    solved = sorted(path for path in folder.rglob("*.vrp") if path.with_suffix(".sol").exists())
    chosen = solved[:: max(len(solved) // most, 1)][:most]
    figures: dict[str, float | None] = {"instances": len(chosen)}
    for seconds in times:
        gaps = {path.stem: _gap(path, seconds) for path in chosen}
        figures[f"gap_{seconds}s"] = statistics.mean(gaps.values()) if gaps else None
        figures |= {f"gap_{seconds}s.{name}": gap for name, gap in gaps.items()}
    return figures


def _gap(path: Path, seconds: int) -> float:
    data = pyvrp.read(path, round_func="dimacs")
    known = pyvrp.read_solution(path.with_suffix(".sol"), data)
    count = pyvrp.CostEvaluator([1] * data.num_load_dimensions, 1, 1)
    began = time.monotonic()
    ours = pyvrp.solve(data, MaxRuntime(seconds), seed=1, collect_stats=False, display=False)
    print(
        f"  {path.stem}: {ours.cost():,.0f} after {time.monotonic() - began:.0f} s, best known {count.cost(known):,.0f}"
    )
    return float(ours.cost() / count.cost(known) - 1)


if __name__ == "__main__":
    main()
