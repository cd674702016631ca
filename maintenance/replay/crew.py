"""What becomes of people's work when one of them is missing: planned anew, and done so much later. SQL, in the sandbox.

An order that live was the missing person's, or that live gave to anybody by hand, goes to whom the plan of those who
are there gives it. What the missing person did at an order is done as much later as that plan lets it begin later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection

from core.errors import Conflict
from tickets import service as tickets
from tickets import store
from tickets.dispatch import drawing
from tickets.dispatch.greedy import greedy
from tickets.model import Actor

WAITING = ("new", "assigned", "reopened")  # nobody has accepted it: it may go to somebody else


class NobodyLeft(Conflict):
    """None of the engineers who are left can do this order within the planning horizon."""

    code = "nobody_left"


@dataclass(frozen=True, slots=True)
class Stay:
    """When somebody is planned to come, and who."""

    engineer_id: int
    starts: datetime


def plan(conn: Connection, now: datetime) -> dict[int, Stay]:
    """Order → who comes first and when, by the baseline planner (the same rows give the same plan)."""
    drawn = drawing.draw(conn, origin=now)
    stays: dict[int, Stay] = {}
    for visit in sorted(greedy(drawn.problem).visits, key=lambda each: (each.start_s, each.engineer_id)):
        stay = Stay(visit.engineer_id, drawn.origin + timedelta(seconds=visit.start_s))
        stays.setdefault(visit.job_id, stay)
    return stays


def give(conn: Connection, actor: Actor, ticket_id: int, *, now: datetime) -> Stay:
    """Give the order to whom the plan gives it. Raises NobodyLeft."""
    stay = plan(conn, now).get(ticket_id)
    if stay is None:
        raise NobodyLeft
    ticket = store.get(conn, ticket_id)
    if ticket.assignee_id != stay.engineer_id and ticket.status in WAITING:
        tickets.assign(conn, actor, ticket_id, assignee_id=stay.engineer_id, now=now)
    return stay
