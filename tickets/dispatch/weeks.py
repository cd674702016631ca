"""A field-service week to try plans on: jobs and people of a district, the same for the same seed. Pure."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tickets.dispatch.model import Engineer, Job, Need, Place, Problem, Span

HOUR, DAY = 3600, 86_400
DISTRICT_M = 16_000
SKILLS = ("mechanical", "electrical", "instrumentation", "vibration", "lubrication", "process")
CERTIFICATES = ("forklift", "explosive_areas", "high_voltage")


def week(seed: int, *, jobs: int = 200, people: int = 15, days: int = 5) -> Problem:
    """Early and late shifts, two or three skills a head, certificates of which some end in the week.

    Of the jobs a tenth for two, an eighth waiting for another, a quarter in production windows, some waiting for parts.
    """
    chance = Random(seed)  # noqa: S311 - a made-up week is no secret
    engineers = tuple(_engineer(chance, number, days) for number in range(1, people + 1))
    made: list[Job] = []
    for number in range(1, jobs + 1):
        made.append(_job(chance, number, days, made))
    return Problem(engineers, tuple(made), days * DAY)


def with_emergency(problem: Problem, *, at_s: int, seed: int) -> Problem:
    """The same with a job that cannot wait, wanted within three hours of ``at_s``."""
    chance = Random(seed)  # noqa: S311
    job = Job(
        max(each.job_id for each in problem.jobs) + 1,
        "emergency",
        _place(chance),
        HOUR,
        priority=1,
        due_s=at_s + 3 * HOUR,
        needs=(Need("mechanical", 1),),
        ready_s=at_s,
    )
    return replace(problem, jobs=(*problem.jobs, job))


def with_sickness(problem: Problem, *, engineer_id: int, from_s: int) -> Problem:
    """The same with somebody away from ``from_s`` for the rest of the week."""
    away = Span(from_s, problem.horizon_s)
    return replace(
        problem,
        engineers=tuple(
            replace(one, absences=(*one.absences, away)) if one.engineer_id == engineer_id else one
            for one in problem.engineers
        ),
    )


def with_overrun(problem: Problem, *, job_id: int, extra_s: int) -> Problem:
    """The same with a job, perhaps under way, that takes longer than thought."""

    def longer(job: Job) -> Job:
        frozen = tuple(visit._replace(end_s=visit.end_s + extra_s) for visit in job.frozen)
        return replace(job, duration_s=job.duration_s + extra_s, frozen=frozen)

    return replace(problem, jobs=tuple(longer(job) if job.job_id == job_id else job for job in problem.jobs))


def _engineer(chance: Random, number: int, days: int) -> Engineer:
    begins = 6 * HOUR if number % 3 else 13 * HOUR
    shifts = tuple(Span(day * DAY + begins, day * DAY + begins + 8 * HOUR) for day in range(days))
    skills = {skill: chance.choice((1, 2, 2, 3)) for skill in chance.sample(SKILLS, chance.choice((2, 3)))}
    skills[SKILLS[(number - 1) % len(SKILLS)]] = 3
    held = [code for code in CERTIFICATES if chance.random() < 0.5]
    ends = {code: (chance.randint(1, days) * DAY if chance.random() < 0.15 else None) for code in held}
    return Engineer(number, f"E{number:02d}", _place(chance), skills, shifts, certificates=ends)


def _job(chance: Random, number: int, days: int, before: list[Job]) -> Job:
    priority = chance.choices((1, 2, 3, 4, 5), (5, 15, 45, 25, 10))[0]
    ready = chance.randint(0, 2 * DAY) if chance.random() < 0.15 else 0
    due = ready + int(chance.uniform(0.6, 1.5) * priority * DAY)
    after = (chance.choice(before).job_id,) if before and chance.random() < 0.125 else ()
    return Job(
        number,
        f"J{number:03d}",
        _place(chance),
        chance.choice((1800, 2700, 3600, 5400, 7200, 9000, 10_800)),
        priority=priority,
        due_s=due if due < days * DAY else None,
        needs=(Need(chance.choice(SKILLS), chance.choices((1, 2, 3), (60, 30, 10))[0]),),
        certificates=(chance.choice(CERTIFICATES),) if chance.random() < 0.08 else (),
        crew=2 if chance.random() < 0.1 else 1,
        ready_s=ready,
        windows=_windows(chance, days) if chance.random() < 0.25 else (),
        after=after,
    )


def _windows(chance: Random, days: int) -> tuple[Span, ...]:
    """Two to three stretches of four to eight hours."""
    starts = sorted(chance.sample(range(days), min(chance.choice((2, 3)), days)))
    found = []
    for day in starts:
        begins = day * DAY + chance.choice((6, 8, 10, 13, 15)) * HOUR
        found.append(Span(begins, begins + chance.choice((4, 6, 8)) * HOUR))
    return tuple(found)


def _place(chance: Random) -> Place:
    return Place(round(chance.uniform(0, DISTRICT_M)), round(chance.uniform(0, DISTRICT_M)))
