"""The words of dispatch. Pure: times are whole seconds after the plan's origin, places metres on the site's map.

Costs are seconds of travel: what an hour's delay or a job left over weighs against driving about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, hypot
from typing import NamedTuple

from tickets.model import Text

DETOUR = 1.3  # ways against the straight line
KEPT_SHARE = 0.9  # being late never costs more than this share of leaving the job over


class Span(NamedTuple):
    """From ``begins_s`` to before ``ends_s``."""

    begins_s: int
    ends_s: int


class Place(NamedTuple):
    """Metres east and north on the site's map."""

    x_m: float
    y_m: float


class Need(NamedTuple):
    """A skill at this level or better."""

    skill: str
    level: int


class Visit(NamedTuple):
    """One person's stay at one job."""

    job_id: int
    engineer_id: int
    start_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class Engineer:
    """``certificates``: code → valid until (None: for ever). ``shifts``: when they are paid to be here."""

    engineer_id: int
    name: str
    home: Place
    skills: Mapping[str, int]
    shifts: tuple[Span, ...]
    absences: tuple[Span, ...] = ()
    certificates: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done at one place without a break by ``crew`` people who all meet its needs.

    ``windows``: when the machine may stand (empty: always). ``after``: jobs that must have ended. ``frozen``: visits
    that a plan must hold exactly.
    """

    job_id: int
    name: str
    place: Place
    duration_s: int
    priority: int = 3  # 1 = most urgent … 5
    due_s: int | None = None
    needs: tuple[Need, ...] = ()
    certificates: tuple[str, ...] = ()
    crew: int = 1
    ready_s: int = 0  # parts are there
    windows: tuple[Span, ...] = ()
    after: tuple[int, ...] = ()
    frozen: tuple[Visit, ...] = ()


@dataclass(frozen=True, slots=True)
class Costs:
    """By priority: seconds of travel for a second's delay, and for a job left over."""

    late: Mapping[int, float] = field(default_factory=lambda: {1: 2.0, 2: 1.0, 3: 0.4, 4: 0.2, 5: 0.1})
    left: Mapping[int, int] = field(default_factory=lambda: {1: 80_000, 2: 60_000, 3: 40_000, 4: 30_000, 5: 20_000})

    def lateness(self, job: Job, end_s: int) -> int:
        """What it costs that ``job`` ends then."""
        if job.due_s is None or end_s <= job.due_s:
            return 0
        return min(ceil(self.late[job.priority] * (end_s - job.due_s)), int(KEPT_SHARE * self.left[job.priority]))


@dataclass(frozen=True, slots=True)
class Problem:
    """What a plan is made of. ``speed_m_s`` with ``stop_s`` for getting in and out turn metres into seconds."""

    engineers: tuple[Engineer, ...]
    jobs: tuple[Job, ...]
    horizon_s: int
    speed_m_s: float = 8.0
    stop_s: int = 120
    costs: Costs = field(default_factory=Costs)

    def travel_s(self, here: Place, there: Place) -> int:
        """Seconds from place to place; nothing within one place."""
        if here == there:
            return 0
        metres = hypot(here.x_m - there.x_m, here.y_m - there.y_m)
        return self.stop_s + ceil(DETOUR * metres / self.speed_m_s)

    def job(self, job_id: int) -> Job:
        """The job; KeyError for a stranger."""
        for job in self.jobs:
            if job.job_id == job_id:
                return job
        raise KeyError(job_id)


@dataclass(frozen=True, slots=True)
class Plan:
    """Visits, by start; ``left``: job → why nobody could be found."""

    visits: tuple[Visit, ...]
    left: Mapping[int, Text] = field(default_factory=dict)


def meets(engineer: Engineer, job: Job) -> bool:
    """Whether somebody has the skills and certificates at all; a certificate's expiry is a matter of the day."""
    return all(engineer.skills.get(need.skill, 0) >= need.level for need in job.needs) and all(
        code in engineer.certificates for code in job.certificates
    )


def valid_until(engineer: Engineer, job: Job, forever: int) -> int:
    """When the first of the certificates that the job asks for ends."""
    ends = [engineer.certificates.get(code) for code in job.certificates]
    return min((end for end in ends if end is not None), default=forever)


def ways(problem: Problem, plan: Plan) -> int:
    """Seconds of travel of all people: from home to home, once for each shift with a visit."""
    jobs = {job.job_id: job for job in problem.jobs}
    total = 0
    for engineer in problem.engineers:
        theirs = sorted((v for v in plan.visits if v.engineer_id == engineer.engineer_id), key=lambda v: v.start_s)
        shifts: dict[int, list[Place]] = {}
        for visit in theirs:
            shift = max((i for i, s in enumerate(engineer.shifts) if s.begins_s <= visit.start_s), default=-1)
            shifts.setdefault(shift, []).append(jobs[visit.job_id].place)
        for places in shifts.values():
            stops = [engineer.home, *places, engineer.home]
            total += sum(problem.travel_s(a, b) for a, b in pairwise(stops))
    return total


def cost(problem: Problem, plan: Plan) -> int:
    """Travel, delays and jobs left over, in seconds of travel. A job counts as done only with its whole crew."""
    ends: dict[int, list[int]] = {}
    for visit in plan.visits:
        ends.setdefault(visit.job_id, []).append(visit.end_s)
    total = ways(problem, plan)
    for job in problem.jobs:
        done = ends.get(job.job_id, [])
        if len(done) >= job.crew:
            total += problem.costs.lateness(job, max(done))
        else:
            total += problem.costs.left[job.priority]
    return total
