"""A small plant for the tests of the ticket core: two machines, two engineers, a planner and a requester."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import Connection

from tickets import engineers, fields, seed, service
from tickets.model import Actor, ActorKind, Ticket

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
DONE = {"verdict": "confirmed", "failure_code": "bearing_wear", "note": "Bearing changed."}


@dataclass(frozen=True, slots=True)
class World:
    """Ids and actors."""

    pump: int
    motor: int
    lin: Actor  # expert
    wang: Actor  # beginner
    planner: Actor
    requester: Actor
    lin_id: int
    wang_id: int
    detector: Actor


def build(conn: Connection) -> World:
    """Make it on the current site."""
    seed.seed_site(conn)
    define(
        conn,
        hall="integer",
        gate="text",
        crane="boolean",
        count="integer",
        by="integer",
        a="number",
        b="number",
        c="number",
    )
    users = {role: user(conn, role) for role in ("lin", "wang", "planner", "requester")}
    for name, role in (("lin", "engineer"), ("wang", "engineer"), ("planner", "planner"), ("requester", "requester")):
        conn.execute(
            "insert into memberships (user_id, site_id, role) values (%s, current_site(), %s)", (users[name], role)
        )
    return World(
        pump=asset(conn, "P-101", "pump"),
        motor=asset(conn, "M-201", "motor"),
        lin=Actor(ActorKind.PERSON, users["lin"], "Lin", "engineer"),
        wang=Actor(ActorKind.PERSON, users["wang"], "Wang", "engineer"),
        planner=Actor(ActorKind.PERSON, users["planner"], "Pat", "planner"),
        requester=Actor(ActorKind.PERSON, users["requester"], "Rita", "requester"),
        lin_id=engineers.create(conn, name="Lin", skills={"mechanical": 3}, user_id=users["lin"]),
        wang_id=engineers.create(conn, name="Wang", skills={"mechanical": 1}, user_id=users["wang"]),
        detector=Actor(ActorKind.DETECTOR, None, "bank"),
    )


def user(conn: Connection, login: str) -> int:
    return _id(conn, "insert into users (login, name) values (%s, %s) returning user_id", (login, login.title()))


def define(conn: Connection, **types: str) -> None:
    """Custom fields by key and type."""
    for key, kind in types.items():
        fields.define(conn, key=key, label={"en": key.title(), "zh": key.title()}, type=kind)


def asset(conn: Connection, code: str, asset_class: str) -> int:
    return _id(
        conn, "insert into assets (code, name, class) values (%s, %s, %s) returning asset_id", (code, code, asset_class)
    )


def order(conn: Connection, world: World, **changes: Any) -> Ticket:
    """A preventive order of a worn bearing, opened by a detector, given to Lin by routing."""
    wanted: dict[str, Any] = {
        "kind": "preventive",
        "title": "Bearing wear on P-101",
        "asset_id": world.pump,
        "mode": "bearing_wear",
        "skill": "mechanical",
        "now": NOW,
    }
    return service.open(conn, world.detector, **{**wanted, **changes}).ticket


def walk(conn: Connection, actor: Actor, ticket: Ticket, *states: str, now: datetime = NOW) -> Ticket:
    """Move a ticket through states, giving *done* its fields."""
    for state in states:
        fields = DONE if state == "done" else {"reason": "waiting_parts"} if state == "on_hold" else {}
        ticket = service.transition(
            conn, actor, ticket.ticket_id, to=state, version=ticket.version, fields=fields, now=now
        )
    return ticket


def _id(conn: Connection, query: Any, params: tuple[Any, ...]) -> int:
    row = conn.execute(query, params).fetchone()
    assert row
    return int(row[0])
