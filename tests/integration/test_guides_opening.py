"""Guides written beside a ticket that is being opened are those that would be chosen for it afterwards."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import Connection

from benchmarks import cost
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World, order
from tickets import hooks, service
from tickets.knowledge import push
from tickets.model import Ticket

KEPT: LiteralString = """
  select article_id, revision, place, score, reason, arm, pushed_at, withdrawn_at from article_pushes
  where ticket_id = %s order by 1"""


def kept(conn: Connection, ticket: Ticket) -> list[tuple[Any, ...]]:
    return conn.execute(KEPT, (ticket.ticket_id,)).fetchall()


def test_what_is_written_beside_an_opening_is_what_fits(conn: Connection) -> None:
    world: World = tickets_world.build(conn)
    with hooks.only(on_event=push.on_event) as wired:
        after = order(conn, world)
        service.transition(conn, world.planner, after.ticket_id, to="cancelled", fields={"reason": "again"}, now=NOW)
        wired.register_on_opening(push.on_opening)
        with cost.statements(conn) as sent:
            beside = order(conn, world)
    assert kept(conn, beside) == kept(conn, after) != []
    assert not [each for each in sent if each.lstrip().startswith("insert into article_pushes")]  # with the ticket
