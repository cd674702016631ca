"""A board as a vehicle routing problem: a tour is a vehicle, a job a client a half of its crew and stretch of time.

- Who may not do a job drives to it for a bounded price (``FORBIDDEN``) that no prize outweighs; no edge is left out.
- A job's prize is what leaving it over would cost, less the delay of the stretch: on time, or later.
- A pinned job has one moment; a kept one only its own people. Both are required, since the board already holds them.
- Jobs that wait for one another meet at a moment between them that ``share`` draws, so that each round may shift it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyvrp
from pyvrp.stop import MaxRuntime

from tickets.dispatch.board import Board, Tour
from tickets.dispatch.model import Job, Place, Span, meets, valid_until

FORBIDDEN = 100_000
NEVER = 10**7
Matrix = Any  # numpy, whose shapes the solver's own stubs name otherwise
CLOCK_S = 2 * 86_400  # the solver knows no negative times; what is under way began before the origin


class Piece(NamedTuple):
    """One client: half ``slot`` of a job, starting within ``span`` (both ends included)."""

    job: Job
    slot: int
    span: Span
    prize: int
    required: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """The problem as the solver sees it."""

    data: pyvrp.ProblemData
    pieces: tuple[Piece, ...]
    first: pyvrp.Solution


def improved(board: Board, *, seconds: float, seed: int, share: float) -> Board:
    """A cheaper board found within ``seconds``, or the one given. ``share``: where those who wait meet, 0 to 1."""
    if not board.tours or not board.jobs:
        return board.copy()
    drawn = draw(board, share=share)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of penalties at their maximum: what is not feasible is not taken
        result = pyvrp.solve(
            drawn.data, MaxRuntime(seconds), seed=seed, collect_stats=False, display=False, initial_solution=drawn.first
        )
    return read(board, drawn, result.best) if result.is_feasible() else board.copy()


# -- drawing ----------------------------------------------------------------------------------------------------------


def draw(board: Board, *, share: float) -> Drawn:
    """The board as a problem, and the board itself as its first solution."""
    pieces = tuple(piece for job in board.problem.jobs for piece in _pieces(board, job, share))
    homes = sorted({tour.engineer.home for tour in board.tours})
    jobs = list({piece.job.job_id: piece.job for piece in pieces}.values())
    places: list[Place] = [*homes, *(job.place for job in jobs)]
    at = {job.job_id: len(homes) + i for i, job in enumerate(jobs)}
    ways: Matrix = np.array([[board.way(a, b) for b in places] for a in places], dtype=np.int64)
    groups = _groups(pieces)
    clients = [_client(board, piece, at[piece.job.job_id], groups[1][i]) for i, piece in enumerate(pieces)]
    profiles, vehicles = _vehicles(board, jobs, homes)
    data = pyvrp.ProblemData(
        locations=[pyvrp.Location(place.x_m, place.y_m) for place in places],
        clients=clients,
        depots=[pyvrp.Depot(i) for i in range(len(homes))],
        vehicle_types=vehicles,
        distance_matrices=[
            _priced(ways, [at[job.job_id] for job in jobs if job.job_id in barred]) for barred in profiles
        ],
        duration_matrices=[ways] * len(profiles),
        groups=[pyvrp.ClientGroup(members, required=False) for members in groups[0]],
    )
    return Drawn(data, pieces, _first(board, data, pieces))


def _pieces(board: Board, job: Job, share: float) -> Iterator[Piece]:
    inside = job.job_id in board.starts
    if job.job_id in board.pinned and inside:
        moment = Span(board.starts[job.job_id], board.starts[job.job_id])
        for slot in range(len(board.tours_of(job.job_id))):
            yield Piece(job, slot, moment, 0, required=True)
        return
    floor = _floor(board, job, share)
    if floor is None or job.crew > 1:
        return
    prize = board.problem.costs.left[job.priority]
    for span in _stretches(board, job, floor, _ceiling(board, job, share)):
        middle = (span.begins_s + span.ends_s) // 2 + job.duration_s
        yield Piece(job, 0, span, max(prize - board.problem.costs.lateness(job, middle), 1), required=False)


def _floor(board: Board, job: Job, share: float) -> int | None:
    if any(other not in board.starts for other in job.after if other in board.jobs):
        return None
    return max([job.ready_s, 0, *(_meeting(board, other, job, share) for other in job.after if other in board.jobs)])


def _ceiling(board: Board, job: Job, share: float) -> int:
    """The latest end."""
    those = [board.jobs[other] for other in board.followers.get(job.job_id, ())]
    return min([board.problem.horizon_s, *(_meeting(board, job.job_id, other, share) for other in those)])


def _meeting(board: Board, before: int, job: Job, share: float) -> int:
    """When ``before`` has to have ended, and the earliest start of ``job``."""
    if before not in board.starts:
        return board.problem.horizon_s
    end = board.end(before)
    if job.job_id not in board.starts:
        return end
    return end + int(share * (board.starts[job.job_id] - end))


def _stretches(board: Board, job: Job, floor: int, ceiling: int) -> Iterator[Span]:
    """When the job may start: each window, cut where it becomes late."""
    for window in job.windows or (Span(0, board.problem.horizon_s),):
        first, last = max(window.begins_s, floor), min(window.ends_s, ceiling) - job.duration_s
        due = None if job.due_s is None else job.due_s - job.duration_s
        cuts = [first, last] if due is None or not first <= due < last else [first, due, last]
        for begins, ends in pairwise(cuts):
            if begins <= ends:
                yield from (_days(Span(begins, ends)) if due is not None and begins >= due else (Span(begins, ends),))


def _days(span: Span) -> Iterator[Span]:
    """A late stretch in at most four pieces, since every hour of it costs."""
    step = max((span.ends_s - span.begins_s) // 4, 4 * 3600)
    for begins in range(span.begins_s, span.ends_s, step):
        yield Span(begins, min(begins + step, span.ends_s))


def _groups(pieces: Sequence[Piece]) -> tuple[list[list[int]], list[int | None]]:
    """Stretches of one job exclude each other: the groups, and each piece's group."""
    by_job: dict[int, list[int]] = {}
    for index, piece in enumerate(pieces):
        if not piece.required:
            by_job.setdefault(piece.job.job_id, []).append(index)
    groups = [members for members in by_job.values() if len(members) > 1]
    mine = {index: number for number, members in enumerate(groups) for index in members}
    return groups, [mine.get(index) for index in range(len(pieces))]


def _client(board: Board, piece: Piece, location: int, group: int | None) -> pyvrp.Client:
    job = piece.job
    return pyvrp.Client(
        location,
        service_duration=board.end(job.job_id) - piece.span.begins_s if job.frozen else job.duration_s,
        tw_early=piece.span.begins_s + CLOCK_S,
        tw_late=piece.span.ends_s + CLOCK_S,
        prize=piece.prize,
        required=piece.required,
        group=group,
    )


def _vehicles(
    board: Board, jobs: Sequence[Job], homes: Sequence[Place]
) -> tuple[list[frozenset[int]], list[pyvrp.VehicleType]]:
    profiles: dict[frozenset[int], int] = {}
    vehicles = []
    for index, tour in enumerate(board.tours):
        barred = frozenset(job.job_id for job in jobs if not _may(board, index, tour, job))
        home = homes.index(tour.engineer.home)
        vehicles.append(
            pyvrp.VehicleType(
                1,
                start_depot=home,
                end_depot=home,
                tw_early=tour.span.begins_s + CLOCK_S,
                tw_late=tour.span.ends_s + CLOCK_S,
                profile=profiles.setdefault(barred, len(profiles)),
            )
        )
    return list(profiles), vehicles


def _may(board: Board, index: int, tour: Tour, job: Job) -> bool:
    if job.job_id in board.kept:
        return job.job_id in board.tours[index].stops
    return meets(tour.engineer, job) and valid_until(tour.engineer, job, NEVER) >= tour.span.ends_s


def _priced(ways: Matrix, barred: Sequence[int]) -> Matrix:
    priced = ways.copy()
    priced[:, barred] = FORBIDDEN
    priced[barred, :] = FORBIDDEN
    np.fill_diagonal(priced, 0)
    return priced


def _first(board: Board, data: pyvrp.ProblemData, pieces: Sequence[Piece]) -> pyvrp.Solution:
    """The board's own tours as a solution."""
    used: set[int] = set()
    routes = []
    for index, tour in enumerate(board.tours):
        visits = [found for job_id in tour.stops if (found := _piece_of(board, pieces, job_id, used)) is not None]
        if visits:
            routes.append(pyvrp.Route(data, visits, index))
    return pyvrp.Solution(data, routes)


def _piece_of(board: Board, pieces: Sequence[Piece], job_id: int, used: set[int]) -> int | None:
    start = board.starts[job_id]
    for index, piece in enumerate(pieces):
        inside = piece.span.begins_s <= start <= piece.span.ends_s
        if piece.job.job_id == job_id and index not in used and inside:
            used.add(index)
            return index
    return None


# -- reading ----------------------------------------------------------------------------------------------------------


def read(board: Board, drawn: Drawn, solution: pyvrp.Solution) -> Board:
    """The solution as a board; what the solver left over, or did against the rules, is taken out."""
    other = board.copy()
    for tour in other.tours:
        tour.stops.clear()
    other.starts.clear()
    for route in solution.routes():
        tour = other.tours[route.vehicle_type()]
        for activity in route.schedule():
            if activity.is_client():
                job = drawn.pieces[activity.idx].job
                tour.stops.append(job.job_id)
                other.starts[job.job_id] = int(activity.start_time) - CLOCK_S
    _clean(other)
    other.compact()
    return other


def _clean(board: Board) -> None:
    for job_id in list(board.starts):
        job = board.jobs[job_id]
        tours = board.tours_of(job_id)
        lost = [other for other in job.after if other in board.jobs and other not in board.starts]
        barred = any(not _may(board, index, board.tours[index], job) for index in tours) and not job.frozen
        if lost or barred or (len(tours) != job.crew and not job.frozen):
            board.take(job_id)
    board.pinned &= board.starts.keys()
    board.kept &= board.starts.keys()
