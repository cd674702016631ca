"""A plan in the making that keeps every hard rule at every step: tours, what fits where, putting in and taking out.
Pure.

A tour is one person's way from home to home within one shift, less their absences. Jobs start as early as they may; a
pinned one (two people, or frozen) starts when it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

from tickets.dispatch.model import Engineer, Job, Place, Plan, Problem, Span, Visit, meets, valid_until

MOST_GAPS = 3  # places in one tour that are tried for each half of a crew


@dataclass(slots=True)
class Tour:
    """``stops``: job ids in the order of the way."""

    engineer: Engineer
    span: Span
    stops: list[int] = field(default_factory=list)


class Gap(NamedTuple):
    """Where a job fits into a tour: starting from ``first_s`` to ``last_s``, for so much more travel."""

    tour: int
    position: int
    first_s: int
    last_s: int
    detour_s: int


class Move(NamedTuple):
    """A way to put a job in, and what it costs more than without."""

    cost: int
    start_s: int
    gaps: tuple[Gap, ...]


class Board:
    """The tours of a problem with the jobs that are in them; ``starts``: job → when."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.jobs: Mapping[int, Job] = {job.job_id: job for job in problem.jobs}
        self.followers = _followers(problem)
        self.starts: dict[int, int] = {}
        self.pinned: set[int] = set()  # these start when they start
        self.kept: set[int] = set()  # of these, whose people stay the same too
        self.tours = [Tour(who, span) for who in problem.engineers for span in _spans(who)]
        self.ways: dict[tuple[Place, Place], int] = {}
        for job in problem.jobs:
            if job.frozen:
                self._freeze(job)

    # -- asking -------------------------------------------------------------------------------------------------------

    def way(self, here: Place, there: Place) -> int:
        """Travel time, remembered."""
        found = self.ways.get((here, there))
        if found is None:
            found = self.ways[here, there] = self.problem.travel_s(here, there)
        return found

    def left(self) -> list[Job]:
        """Jobs that are not in, the most pressing first."""
        return sorted((job for job in self.problem.jobs if job.job_id not in self.starts), key=pressing)

    def tours_of(self, job_id: int) -> list[int]:
        """Where the job is."""
        return [index for index, tour in enumerate(self.tours) if job_id in tour.stops]

    def plan(self) -> Plan:
        """The visits so far."""
        visits = []
        for tour in self.tours:
            for job_id in tour.stops:
                frozen = [v for v in self.jobs[job_id].frozen if v.engineer_id == tour.engineer.engineer_id]
                start = self.starts[job_id]
                end = start + self.jobs[job_id].duration_s
                visits.append(frozen[0] if frozen else Visit(job_id, tour.engineer.engineer_id, start, end))
        return Plan(tuple(sorted(visits, key=lambda v: (v.start_s, v.engineer_id))))

    def end(self, job_id: int) -> int:
        """When a job that is in ends."""
        job = self.jobs[job_id]
        return max((v.end_s for v in job.frozen), default=self.starts[job_id] + job.duration_s)

    def floor(self, job: Job) -> int | None:
        """The earliest start by parts and by what has to be done before; None while that is not planned."""
        floor = max(job.ready_s, 0)
        for other in job.after:
            if other not in self.starts:
                return None
            floor = max(floor, self.end(other))
        return floor

    def ceiling(self, job: Job) -> int:
        """The latest start that lets those wait for it who are in."""
        ends = [self.starts[other] for other in self.followers.get(job.job_id, ()) if other in self.starts]
        return min(ends, default=self.problem.horizon_s) - job.duration_s

    def gaps(self, index: int, job: Job) -> Iterator[Gap]:
        """Every place in a tour where the job fits without moving what is pinned."""
        tour, floor = self.tours[index], self.floor(job)
        if floor is None or not meets(tour.engineer, job):
            return
        ceiling = min(self.ceiling(job), valid_until(tour.engineer, job, tour.span.ends_s) - job.duration_s)
        lasts = self._lasts(tour)
        here, free = tour.engineer.home, tour.span.begins_s
        for position in range(len(tour.stops) + 1):
            there, last = self._next(tour, position, lasts)
            first = max(free + self.way(here, job.place), floor)
            last = min(last - self.way(job.place, there) - job.duration_s, ceiling)
            start = fit(job, first, last)
            if start is not None and not set(tour.stops[position:]) & set(job.after):
                detour = self.way(here, job.place) + self.way(job.place, there) - self.way(here, there)
                yield Gap(index, position, start, last, detour)
            if position < len(tour.stops):
                here, free = self.jobs[tour.stops[position]].place, self.end(tour.stops[position])

    def moves(self, job: Job, tours: Iterable[int] | None = None) -> Iterator[Move]:
        """Every way to put the job in, in the given tours or all."""
        wanted = list(tours) if tours is not None else range(len(self.tours))
        if job.crew == 1:
            for index in wanted:
                for gap in self.gaps(index, job):
                    yield self._move(job, gap.first_s, (gap,))
            return
        found = {index: sorted(self.gaps(index, job), key=lambda gap: gap.detour_s)[:MOST_GAPS] for index in wanted}
        for one, other in combinations([index for index in wanted if found[index]], 2):
            if self.tours[one].engineer.engineer_id != self.tours[other].engineer.engineer_id:
                yield from self._together(job, found[one], found[other])

    def best(self, job: Job, tours: Iterable[int] | None = None) -> Move | None:
        """The cheapest way to put the job in; None: there is none."""
        return min(self.moves(job, tours), default=None, key=lambda move: (move.cost, move.start_s))

    # -- changing -----------------------------------------------------------------------------------------------------

    def put(self, job: Job, move: Move) -> None:
        """Put the job in; what comes after it on the way moves back as far as it must."""
        self.starts[job.job_id] = move.start_s
        if job.crew > 1:
            self.pinned.add(job.job_id)
        for gap in move.gaps:
            self.tours[gap.tour].stops.insert(gap.position, job.job_id)
        for gap in move.gaps:
            for other, start in self._pushed(self.tours[gap.tour], gap.position + 1, job, move.start_s):
                self.starts[other] = start

    def take(self, job_id: int) -> list[int]:
        """Take a job out, and those that wait for it; returns them all. What is frozen stays."""
        if job_id not in self.starts or self.jobs[job_id].frozen:
            return []
        taken = [job_id]
        del self.starts[job_id]
        self.pinned.discard(job_id)
        self.kept.discard(job_id)
        for tour in self.tours:
            if job_id in tour.stops:
                tour.stops.remove(job_id)
        for other in self.followers.get(job_id, ()):
            taken += self.take(other)
        return taken

    def fill(self) -> None:
        """Put in every job that fits somewhere, the most pressing first."""
        stuck: set[int] = set()
        while waiting := [job for job in self.left() if job.job_id not in stuck and self.floor(job) is not None]:
            job = waiting[0]
            move = self.best(job)
            if move is None:
                stuck.add(job.job_id)
            else:
                self.put(job, move)

    def compact(self) -> None:
        """Let everything start as early as it may, in the order that stands."""
        for _ in range(3):
            before = dict(self.starts)
            for tour in sorted(self.tours, key=lambda tour: tour.span.begins_s):
                self._compact(tour)
            if before == self.starts:
                return

    def copy(self) -> Board:
        """Another board that stands alike."""
        other = Board.__new__(Board)
        other.problem, other.jobs, other.followers, other.ways = self.problem, self.jobs, self.followers, self.ways
        other.starts, other.pinned, other.kept = dict(self.starts), set(self.pinned), set(self.kept)
        other.tours = [Tour(tour.engineer, tour.span, list(tour.stops)) for tour in self.tours]
        return other

    def become(self, other: Board) -> None:
        """Stand as the other does."""
        self.starts, self.pinned, self.kept = dict(other.starts), set(other.pinned), set(other.kept)
        self.tours = [Tour(tour.engineer, tour.span, list(tour.stops)) for tour in other.tours]

    # -- inside -------------------------------------------------------------------------------------------------------

    def _freeze(self, job: Job) -> None:
        self.starts[job.job_id] = min(visit.start_s for visit in job.frozen)
        self.pinned.add(job.job_id)
        self.kept.add(job.job_id)
        for visit in job.frozen:
            tour = self._tour_of(visit)
            if tour is None:
                continue
            way = self.way(tour.engineer.home, job.place)
            there = Span(visit.start_s - way, visit.end_s + way)
            self._give_way(tour, there)
            tour.span = Span(min(tour.span.begins_s, there.begins_s), max(tour.span.ends_s, there.ends_s))
            tour.stops.append(job.job_id)
            tour.stops.sort(key=lambda each: self.starts[each])

    def _give_way(self, tour: Tour, taken: Span) -> None:
        """Nobody is in two tours at once: where a frozen visit reaches into the next shift, that one is shorter."""
        for other in self.tours:
            if other is tour or other.engineer.engineer_id != tour.engineer.engineer_id:
                continue
            begins, ends = other.span
            if tour.span.begins_s < begins < taken.ends_s:
                other.span = Span(min(taken.ends_s, ends), ends)
            elif taken.begins_s < ends < tour.span.ends_s:
                other.span = Span(begins, max(taken.begins_s, begins))

    def _tour_of(self, visit: Visit) -> Tour | None:
        """The tour that a frozen visit belongs to: the one it lies in deepest, else the nearest."""
        theirs = [tour for tour in self.tours if tour.engineer.engineer_id == visit.engineer_id]
        if not theirs:
            for engineer in self.problem.engineers:
                if engineer.engineer_id == visit.engineer_id:
                    self.tours.append(Tour(engineer, Span(visit.start_s, visit.end_s)))
                    return self.tours[-1]
            return None
        return min(theirs, key=lambda tour: max(tour.span.begins_s - visit.end_s, visit.start_s - tour.span.ends_s))

    def _next(self, tour: Tour, position: int, lasts: list[int]) -> tuple[Place, int]:
        """Where the way goes on after ``position``, and the latest arrival there."""
        if position == len(tour.stops):
            return tour.engineer.home, tour.span.ends_s
        return self.jobs[tour.stops[position]].place, lasts[position]

    def _lasts(self, tour: Tour) -> list[int]:
        """The latest start of every stop that lets the rest of the way keep its rules."""
        there, arrival = tour.engineer.home, tour.span.ends_s
        lasts: list[int] = []
        for job_id in reversed(tour.stops):
            job = self.jobs[job_id]
            arrival = min(arrival - self.way(job.place, there) - job.duration_s, self._own_last(tour.engineer, job))
            there = job.place
            lasts.append(arrival)
        return lasts[::-1]

    def _own_last(self, engineer: Engineer, job: Job) -> int:
        start = self.starts[job.job_id]
        if job.job_id in self.pinned:
            return start
        last = min(self.ceiling(job), valid_until(engineer, job, self.problem.horizon_s) - job.duration_s)
        for window in job.windows:
            if window.begins_s <= start and start + job.duration_s <= window.ends_s:
                last = min(last, window.ends_s - job.duration_s)
        return max(last, start)

    def _pushed(self, tour: Tour, position: int, job: Job, start: int) -> Iterator[tuple[int, int]]:
        """Which stops from ``position`` on start later when ``job`` starts at ``start`` before them, and when."""
        here, free = job.place, start + job.duration_s
        for other in tour.stops[position:]:
            arrival = free + self.way(here, self.jobs[other].place)
            if arrival <= self.starts[other]:
                return
            yield other, arrival
            here, free = self.jobs[other].place, arrival + self.jobs[other].duration_s

    def _move(self, job: Job, start: int, gaps: tuple[Gap, ...]) -> Move:
        costs = self.problem.costs
        total = costs.lateness(job, start + job.duration_s) + sum(gap.detour_s for gap in gaps)
        for gap in gaps:
            for other, later in self._pushed(self.tours[gap.tour], gap.position, job, start):
                them = self.jobs[other]
                total += costs.lateness(them, later + them.duration_s) - costs.lateness(them, self.end(other))
        return Move(total, start, gaps)

    def _together(self, job: Job, mine: list[Gap], theirs: list[Gap]) -> Iterator[Move]:
        for one in mine:
            for other in theirs:
                start = fit(job, max(one.first_s, other.first_s), min(one.last_s, other.last_s))
                if start is not None:
                    yield self._move(job, start, (one, other))

    def _compact(self, tour: Tour) -> None:
        here, free = tour.engineer.home, tour.span.begins_s
        for job_id in tour.stops:
            job = self.jobs[job_id]
            floor = self.floor(job)
            if job_id not in self.pinned and floor is not None:
                start = fit(job, max(free + self.way(here, job.place), floor), self.starts[job_id])
                self.starts[job_id] = self.starts[job_id] if start is None else start
            here, free = job.place, self.end(job_id)


def fit(job: Job, first_s: int, last_s: int) -> int | None:
    """The earliest start from ``first_s`` to ``last_s`` that lies in a window of the job's machine; None: none does."""
    if first_s > last_s:
        return None
    if not job.windows:
        return first_s
    starts = (max(first_s, w.begins_s) for w in job.windows if max(first_s, w.begins_s) + job.duration_s <= w.ends_s)
    earliest = min(starts, default=None)
    return earliest if earliest is not None and earliest <= last_s else None


def pressing(job: Job) -> tuple[int, int, int, int]:
    """The order in which jobs find their place: priority, then deadline, then crews."""
    return (job.priority, job.due_s if job.due_s is not None else 10**9, -job.crew, job.job_id)


def _followers(problem: Problem) -> Mapping[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for job in problem.jobs:
        for other in job.after:
            found.setdefault(other, []).append(job.job_id)
    return {job_id: tuple(those) for job_id, those in found.items()}


def _spans(engineer: Engineer) -> Iterator[Span]:
    """Shifts less absences."""
    for shift in engineer.shifts:
        free = [shift]
        for away in engineer.absences:
            free = [piece for span in free for piece in _without(span, away)]
        yield from (span for span in free if span.ends_s > span.begins_s)


def _without(span: Span, away: Span) -> Iterator[Span]:
    if away.ends_s <= span.begins_s or span.ends_s <= away.begins_s:
        yield span
        return
    if span.begins_s < away.begins_s:
        yield Span(span.begins_s, away.begins_s)
    if away.ends_s < span.ends_s:
        yield Span(away.ends_s, span.ends_s)
