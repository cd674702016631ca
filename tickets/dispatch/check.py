"""Does a plan keep the hard rules? Pure, and on purpose not built on anything that makes plans.

Every rule that is broken is named with its job and person. Frozen visits are facts: they are asked to be in the plan,
and that nobody is in two places; not whether they should have been made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from tickets.dispatch.model import Engineer, Job, Plan, Problem, Span, Visit


class Rule(StrEnum):
    """What no plan may break."""

    KNOWN = "known"  # job and person exist
    ONCE = "once"  # nobody comes twice to a job
    CREW = "crew"  # all of the crew or nobody
    TOGETHER = "together"  # a crew starts and ends as one
    DURATION = "duration"  # the work takes as long as it takes
    SKILL = "skill"
    CERTIFICATE = "certificate"  # there, and valid to the end of the visit
    SHIFT = "shift"  # from home and back within the shift
    ABSENCE = "absence"
    TRAVEL = "travel"  # time to get from one job to the next
    WINDOW = "window"  # the machine may stand
    PARTS = "parts"  # not before they are there
    ORDER = "order"  # what must have ended before has ended
    FROZEN = "frozen"  # what is frozen stays


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule broken."""

    rule: Rule
    job_id: int
    engineer_id: int | None
    detail: str


def violations(problem: Problem, plan: Plan) -> list[Violation]:
    """Every broken rule; empty: the plan may be carried out."""
    jobs = {job.job_id: job for job in problem.jobs}
    people = {one.engineer_id: one for one in problem.engineers}
    strangers = [v for v in plan.visits if v.job_id not in jobs or v.engineer_id not in people]
    if strangers:
        return [Violation(Rule.KNOWN, v.job_id, v.engineer_id, "no such job or person") for v in strangers]
    by_job: dict[int, list[Visit]] = {}
    for visit in plan.visits:
        by_job.setdefault(visit.job_id, []).append(visit)
    found: list[Violation] = []
    for job in problem.jobs:
        found += _of_job(job, by_job.get(job.job_id, []))
        found += _order(job, by_job)
    for visit in plan.visits:
        if visit not in jobs[visit.job_id].frozen:
            found += _of_visit(people[visit.engineer_id], jobs[visit.job_id], visit)
    for engineer in problem.engineers:
        found += _of_person(problem, engineer, jobs, [v for v in plan.visits if v.engineer_id == engineer.engineer_id])
    return found


def _of_job(job: Job, visits: list[Visit]) -> Iterator[Violation]:
    for visit in job.frozen:
        if visit not in visits:
            yield Violation(Rule.FROZEN, job.job_id, visit.engineer_id, "a frozen visit was moved")
    if job.frozen:
        return
    twice = [who for who, times in Counter(v.engineer_id for v in visits).items() if times > 1]
    for who in twice:
        yield Violation(Rule.ONCE, job.job_id, who, "comes more than once")
    if visits and len(visits) != job.crew:
        yield Violation(Rule.CREW, job.job_id, None, f"{len(visits)} of {job.crew} people")
    if len({(v.start_s, v.end_s) for v in visits}) > 1:
        yield Violation(Rule.TOGETHER, job.job_id, None, "the crew does not work at the same time")


def _order(job: Job, by_job: dict[int, list[Visit]]) -> Iterator[Violation]:
    mine = [visit for visit in by_job.get(job.job_id, []) if visit not in job.frozen]
    if not mine:
        return
    starts = min(visit.start_s for visit in mine)
    for other in job.after:
        before = by_job.get(other)
        if not before:
            yield Violation(Rule.ORDER, job.job_id, None, f"job {other} has to be done first and is not planned")
        elif max(visit.end_s for visit in before) > starts:
            yield Violation(Rule.ORDER, job.job_id, None, f"starts before job {other} has ended")


def _of_visit(engineer: Engineer, job: Job, visit: Visit) -> Iterator[Violation]:
    def broken(rule: Rule, detail: str) -> Violation:
        return Violation(rule, job.job_id, engineer.engineer_id, detail)

    if visit.end_s - visit.start_s != job.duration_s:
        yield broken(Rule.DURATION, f"takes {visit.end_s - visit.start_s} s instead of {job.duration_s}")
    for skill, level in job.needs:
        if engineer.skills.get(skill, 0) < level:
            yield broken(Rule.SKILL, f"{skill} at level {engineer.skills.get(skill, 0)}, needs {level}")
    for code in job.certificates:
        until = engineer.certificates.get(code, -1)
        if until is not None and until < visit.end_s:
            yield broken(Rule.CERTIFICATE, f"{code} is missing or ends before the work")
    if visit.start_s < job.ready_s:
        yield broken(Rule.PARTS, "starts before its parts are there")
    if job.windows and not any(w.begins_s <= visit.start_s and visit.end_s <= w.ends_s for w in job.windows):
        yield broken(Rule.WINDOW, "lies in no production window")
    if any(away.begins_s < visit.end_s and visit.start_s < away.ends_s for away in engineer.absences):
        yield broken(Rule.ABSENCE, "the person is away")


def _of_person(problem: Problem, engineer: Engineer, jobs: dict[int, Job], visits: list[Visit]) -> Iterator[Violation]:
    visits = sorted(visits, key=lambda visit: (visit.start_s, visit.end_s))
    for earlier, later in pairwise(visits):
        both_facts = earlier in jobs[earlier.job_id].frozen and later in jobs[later.job_id].frozen
        same_shift = _shift(engineer, earlier) == _shift(engineer, later)
        way = problem.travel_s(jobs[earlier.job_id].place, jobs[later.job_id].place) if same_shift else 0
        if not both_facts and later.start_s < earlier.end_s + way:
            yield Violation(
                Rule.TRAVEL, later.job_id, engineer.engineer_id, f"cannot come from job {earlier.job_id} in time"
            )
    for visit in visits:
        if visit in jobs[visit.job_id].frozen:
            continue
        shift = _shift(engineer, visit)
        way = problem.travel_s(engineer.home, jobs[visit.job_id].place)
        mates = [other for other in visits if _shift(engineer, other) == shift]
        late = visit is mates[0] and shift is not None and visit.start_s < shift.begins_s + way
        long = visit is mates[-1] and shift is not None and visit.end_s + way > shift.ends_s
        if shift is None or late or long:
            yield Violation(
                Rule.SHIFT, visit.job_id, engineer.engineer_id, "does not fit between leaving home and being back"
            )


def _shift(engineer: Engineer, visit: Visit) -> Span | None:
    """The shift that holds the visit."""
    for shift in engineer.shifts:
        if shift.begins_s <= visit.start_s and visit.end_s <= shift.ends_s:
            return shift
    return None
