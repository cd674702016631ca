"""An engineer's visits as an iCalendar feed behind a secret address, which can be made anew or taken away.

The address names the site and the engineer, since nobody signs in; without the right secret nothing else is said.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from icalendar import Calendar, Event
from psycopg import Connection

from core.errors import NotFound
from tickets.dispatch import planning
from tickets.rows import one

FORM = re.compile(r"(\d{1,9})-(\d{1,9})-([A-Za-z0-9_-]{43})")
BEHIND, AHEAD = timedelta(days=14), timedelta(days=60)


class Address(NamedTuple):
    """What an address names."""

    site_id: int
    engineer_id: int
    secret: str


def make(conn: Connection, engineer_id: int, *, now: datetime) -> str:
    """A new secret; the address before it ends. Raises NotFound."""
    secret = secrets.token_urlsafe(32)
    (site_id,) = one(
        conn,
        "update engineers set feed_hash = %s, feed_since = %s where engineer_id = %s returning site_id",
        (_hash(secret), now, engineer_id),
        missing=f"There is no engineer {engineer_id} on this site.",
    )
    return f"{site_id}-{engineer_id}-{secret}"


def revoke(conn: Connection, engineer_id: int) -> None:
    """No address leads to their calendar any more. Raises NotFound."""
    done = conn.execute(
        "update engineers set feed_hash = null, feed_since = null where engineer_id = %s", (engineer_id,)
    )
    if done.rowcount == 0:
        raise NotFound(f"There is no engineer {engineer_id} on this site.")


def parse(token: str) -> Address:
    """Site, engineer and secret of an address; raises NotFound for anything else."""
    found = FORM.fullmatch(token)
    if found is None:
        raise NotFound("There is no such calendar.")
    return Address(int(found[1]), int(found[2]), found[3])


def calendar(conn: Connection, address: Address, *, now: datetime) -> bytes:
    """The feed, on the address's site. Raises NotFound unless the secret is the one that stands."""
    row = conn.execute(
        "select feed_hash, name from engineers where engineer_id = %s and active", (address.engineer_id,)
    ).fetchone()
    kept = bytes(row[0]) if row and row[0] is not None else b""
    if not hmac.compare_digest(kept, _hash(address.secret)) or row is None:
        raise NotFound("There is no such calendar.")
    feed = Calendar()
    feed.add("prodid", "-//Millwright//Dispatch//EN")
    feed.add("version", "2.0")
    feed.add("x-wr-calname", f"Millwright: {row[1]}")
    for visit in planning.on_duty(conn, address.engineer_id, begins=now - BEHIND, ends=now + AHEAD):
        feed.add_component(_event(visit, address, now))
    return bytes(feed.to_ical())


def _event(visit: planning.VisitRow, address: Address, now: datetime) -> Event:
    event = Event()
    event.add("uid", f"{address.site_id}-{visit.ticket_id}-{visit.engineer_id}@millwright")
    event.add("dtstamp", now)
    event.add("dtstart", visit.starts)
    event.add("dtend", visit.ends)
    event.add("summary", f"{visit.ref} {visit.title}")
    event.add("description", "\n".join(reason["en"] for reason in visit.reasons))
    return event


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
