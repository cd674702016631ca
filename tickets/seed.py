"""What a site needs before its first ticket: calendars, SLA policies, articles. Safe to run again."""

from __future__ import annotations

from psycopg import Connection
from psycopg.types.json import Jsonb

from core import clock
from tickets import checklists
from tickets.engineers import site_zone
from tickets.knowledge import articles
from tickets.rows import one

OFFICE = "Office hours"
ALWAYS = "Around the clock"
WEEK = {str(day): [["08:00", "17:00"]] for day in range(5)}
EVERY_HOUR = {str(day): [["00:00", "24:00"]] for day in range(7)}
HOUR = 3600

# kind, priority: calendar, hours to respond, hours to resolve; '*' is every other kind
POLICIES: tuple[tuple[str, int, str, float, float], ...] = (
    ("*", 1, ALWAYS, 0.5, 8),
    ("*", 2, ALWAYS, 2, 24),
    ("*", 3, OFFICE, 4, 45),
    ("*", 4, OFFICE, 9, 90),
    ("*", 5, OFFICE, 18, 180),
    ("incident", 1, ALWAYS, 0.25, 4),
    ("incident", 2, ALWAYS, 1, 8),
    ("sensor-fault", 1, OFFICE, 2, 18),
    ("sensor-fault", 2, OFFICE, 4, 36),
    ("sensor-fault", 3, OFFICE, 9, 90),
    ("request", 3, OFFICE, 9, 90),
)
UPDATES: dict[tuple[str, int], float] = {("request", 3): 18}  # open hours between two words to the requester
SPECIFIC, GENERAL = 100, 1000  # places in the order: policies of a kind before those of every kind


def seed_site(conn: Connection) -> None:
    """Give the current site its default calendars, policies, articles and checklists; what was changed by hand stays.

    Articles and checklists are brought to the shipped text, as they carry its corrections.
    """
    zone = site_zone(conn).key
    calendars = {OFFICE: _calendar(conn, OFFICE, zone, WEEK), ALWAYS: _calendar(conn, ALWAYS, "UTC", EVERY_HOUR)}
    conn.execute(
        """update calendars set is_default = true where calendar_id = %s
           and not exists (select 1 from calendars where is_default)""",
        (calendars[OFFICE],),
    )
    for kind, priority, calendar, response_h, resolution_h in POLICIES:
        name = f"Priority {priority}" if kind == "*" else f"{kind.capitalize()}, priority {priority}"
        place = (SPECIFIC if kind != "*" else GENERAL) + priority
        update_h = UPDATES.get((kind, priority))
        conn.execute(
            """insert into sla_policies (code, name, position, kind, priority, calendar_id, response_s, update_s,
                 resolution_s) values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (site_id, code) do nothing""",
            (
                *(f"{kind.replace('*', 'any')}-{priority}", name, place, kind, priority, calendars[calendar]),
                *(int(response_h * HOUR), update_h and int(update_h * HOUR), int(resolution_h * HOUR)),
            ),
        )
    articles.seed(conn)
    checklists.seed(conn, now=clock.wall_now())


def _calendar(conn: Connection, name: str, zone: str, hours: dict[str, list[list[str]]]) -> int:
    conn.execute(
        """insert into calendars (name, timezone, hours) values (%s, %s, %s)
           on conflict (site_id, name) do nothing""",
        (name, zone, Jsonb(hours)),
    )
    (calendar_id,) = one(conn, "select calendar_id from calendars where name = %s", (name,))
    return int(calendar_id)
