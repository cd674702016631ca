"""A small plant with a seeded past: tickets in every state, with costs, downtime, verdicts and reopenings."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World
from tickets import fields, hooks, search, service
from tickets.model import SYSTEM, Audience, Ticket
from tickets.views import Viewer

DAYS = 60
MODES = ("bearing_wear", "leak", "misalignment", None)
VERDICTS = ("confirmed", "other_fault", "nothing_found", "sensor")


@dataclass(frozen=True, slots=True)
class Past:
    """The world, its viewers, and how many tickets it has."""

    world: World
    planner: Viewer
    lin: Viewer
    requester: Viewer
    tickets: int


class Waits:
    """A close guard that leaves it to the test when an order is healthy."""

    def begin(self, conn: Connection, ticket: Ticket, now: datetime) -> None: ...


def build(conn: Connection, *, tickets: int = 60, seed: int = 7) -> Past:
    """Times lie within ``DAYS`` before ``NOW``."""
    world = tickets_world.build(conn)
    chance = random.Random(seed)
    area = tickets_world.asset(conn, "HALL-A", "")
    conn.execute("update assets set level = 'area' where asset_id = %s", (area,))
    conn.execute("update assets set parent_id = %s, location = 'Hall A' where asset_id = %s", (area, world.pump))
    for key, kind in (("colour", "choice"), ("crew", "number"), ("wet", "boolean"), ("seen", "date")):
        options = [{"value": each, "label": {"en": each, "zh": each}} for each in ("red", "blue")]
        more = {"options": options} if kind == "choice" else {}
        fields.define(conn, key=key, label={"en": key.title(), "zh": key.title()}, type=kind, **more)
    with hooks.only(close_guard=Waits()):
        for number in range(tickets):
            _one(conn, world, chance, number)
    search.keep_up(conn, {}, NOW)
    return Past(
        world,
        Viewer(world.planner.actor_id or 0, None),
        Viewer(world.lin.actor_id or 0, world.lin_id),
        Viewer(world.requester.actor_id or 0, None, Audience.REQUESTER),
        tickets,
    )


def _one(conn: Connection, world: World, chance: random.Random, number: int) -> None:
    at = NOW - timedelta(days=chance.uniform(1, DAYS))
    opened = service.open(
        conn,
        chance.choice([world.planner, world.lin, world.detector]),
        kind=chance.choice(["request", "incident", "corrective", "preventive", "inspection"]),
        title=chance.choice(["Noise", "Leak at the seal", "轴承磨损", "Check", "=SUM(A1)"]) + f" {number}",
        asset_id=chance.choice([world.pump, world.motor, None]),
        mode=f"{mode}.{number % 2}" if (mode := chance.choice(MODES)) else None,
        priority=chance.randint(1, 5),
        skill=chance.choice(["mechanical", None]),
        requester_id=chance.choice([world.requester.actor_id, None]),
        channel=chance.choice(["web", "phone"]),
        fields=_fields(chance),
        now=at,
    )
    if not opened.created:
        return
    ticket = opened.ticket
    if chance.random() < 0.7:
        _record(conn, world, ticket, chance, at)
    _work(conn, world, ticket, chance, at)


def _fields(chance: random.Random) -> dict[str, Any]:
    given = {"colour": "red", "crew": chance.randint(1, 9), "wet": chance.random() < 0.5, "seen": "2026-02-03"}
    return {key: value for key, value in given.items() if chance.random() < 0.5}


def _record(conn: Connection, world: World, ticket: Ticket, chance: random.Random, at: datetime) -> None:
    changes = {
        "cost": round(chance.uniform(0, 2000), 2),
        "downtime_s": chance.choice([None, float(chance.randint(0, 50_000))]),
        "tags": tuple(sorted(chance.sample(["oil", "night", "contractor"], chance.randint(0, 2)))),
        "safety": chance.random() < 0.2,
    }
    service.record(conn, world.planner, ticket.ticket_id, kind="costed", details={}, changes=changes, now=at)


def _work(conn: Connection, world: World, ticket: Ticket, chance: random.Random, at: datetime) -> None:
    """As far as chance has it: assigned, accepted, arrived, done, closed, some of them reopened, some cancelled."""
    far = chance.randint(0, 6)
    if far == 0 or ticket.kind == "request":
        if chance.random() < 0.3:
            _step(conn, world, ticket, "cancelled", at + timedelta(hours=1))
        return
    service.assign(
        conn, world.planner, ticket.ticket_id, assignee_id=chance.choice([world.lin_id, world.wang_id]), now=at
    )
    path = ["accepted", "arrived", "done", "closed"][: far - 1]
    if far == 6 and chance.random() < 0.5:
        path[3:] = ["reopened", "arrived", "done", "closed"]
    for state in path:
        at += timedelta(hours=chance.uniform(0.1, 30))
        _step(conn, world, ticket, state, at, chance.choice(VERDICTS))


def _step(conn: Connection, world: World, ticket: Ticket, to: str, at: datetime, verdict: str = "confirmed") -> None:
    given: dict[str, Any] = {"reason": "x"} if to == "cancelled" else {}
    if to == "done":
        given = {"verdict": verdict, "failure_code": "other", "note": "Done."}
    if to in ("closed", "reopened"):
        given = {"note": "Checked."}
    actor = SYSTEM if to == "reopened" or (to == "closed" and ticket.ticket_id % 2) else world.planner
    service.transition(conn, actor, ticket.ticket_id, to=to, fields=given, now=at)
