"""Who follows a ticket: told of comments and of every step. Naming somebody (@login) in a comment makes them follow.

Somebody whose role is requester hears of what is meant for requesters only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection

from tickets import verbs
from tickets.chain import time_text
from tickets.held import WATCHERS
from tickets.model import Actor, Audience, Text, Ticket
from tickets.notify import NoticeKind, tell

MENTION = re.compile(r"(?<![\w.@-])@([a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)", re.ASCII)
MOST_MENTIONED = 20
LONGEST_SHOWN = 200


class Why(StrEnum):
    """How somebody came to follow a ticket."""

    ASKED = "asked"
    MENTIONED = "mentioned"
    MERGED = "merged"
    CONVERTED = "converted"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Watcher:
    """Somebody who follows a ticket; ``role`` on this site."""

    user_id: int
    login: str
    name: str
    role: str
    why: Why
    since: datetime


def of(conn: Connection, ticket_id: int) -> list[Watcher]:
    """Who follows the ticket, longest first; somebody without a role on this site any more is left out."""
    rows = conn.execute(
        """select u.user_id, u.login, u.name, m.role, w.why, w.since from ticket_watchers w join users u using (user_id)
           join memberships m on m.user_id = w.user_id and m.site_id = current_site()
           where w.ticket_id = %s and u.disabled_at is null order by w.since, w.user_id""",
        (ticket_id,),
    )
    return [Watcher(user, login, name, role, Why(why), since) for user, login, name, role, why, since in rows]


def follows(conn: Connection, ticket_id: int, user_id: int) -> bool:
    """Whether the user follows the ticket."""
    query = "select 1 from ticket_watchers where ticket_id = %s and user_id = %s"
    return conn.execute(query, (ticket_id, user_id)).fetchone() is not None


def add(conn: Connection, ticket_id: int, users: Iterable[int | None], *, why: Why, now: datetime) -> list[int]:
    """Let the users follow, inside a verb whose next event keeps it; returns those who did not yet. None is nobody."""
    new = []
    for user_id in sorted({user for user in users if user is not None}):
        added = conn.execute(
            """insert into ticket_watchers (ticket_id, user_id, why, since) values (%s, %s, %s, %s)
               on conflict (ticket_id, user_id) do nothing""",
            (ticket_id, user_id, why.value, now),
        )
        if added.rowcount:
            after = {"why": why.value, "since": time_text(now)}
            verbs.leave(conn, ticket_id, WATCHERS, str(user_id), before={}, after=after)
            new.append(user_id)
    return new


def remove(conn: Connection, ticket_id: int, user_id: int) -> bool:
    """Let the user follow no more, inside a verb whose next event keeps it; False when they did not."""
    gone = conn.execute(
        "delete from ticket_watchers where ticket_id = %s and user_id = %s returning why, since", (ticket_id, user_id)
    ).fetchone()
    if gone is None:
        return False
    before = {"why": gone[0], "since": time_text(gone[1])}
    verbs.leave(conn, ticket_id, WATCHERS, str(user_id), before=before, after={"why": None, "since": None})
    return True


def named_in(conn: Connection, ticket_id: int, *, text: str, reader: Audience, now: datetime) -> list[int]:
    """Whom a comment that is about to be written names; from now on they follow the ticket."""
    named = _mentioned(conn, text, reader)
    add(conn, ticket_id, named, why=Why.MENTIONED, now=now)
    return named


def on_comment(
    conn: Connection,
    actor: Actor,
    ticket: Ticket,
    *,
    named: Collection[int],
    text: str,
    reader: Audience,
    now: datetime,
) -> None:
    """Tell whom a comment names, who follows the ticket, and (if it is meant for them) the requester."""
    key = f"{ticket.ticket_id}:{ticket.event_count}"
    said: Text = {"en": f"{actor.name}: {_short(text)}", "zh": f"{actor.name}：{_short(text)}"}
    myself = {actor.actor_id}
    told = [user for user in named if user not in myself]
    tell(conn, told, kind=NoticeKind.MENTIONED, ticket=ticket, key=f"mentioned:{key}", extra=said, now=now)
    others = {each.user_id for each in of(conn, ticket.ticket_id) if _hears(each, reader)}
    if reader is Audience.REQUESTER and ticket.requester_id is not None:
        others.add(ticket.requester_id)
    tell(
        conn,
        others - myself - set(told),
        kind=NoticeKind.COMMENTED,
        ticket=ticket,
        key=f"commented:{key}",
        extra=said,
        now=now,
    )


def on_move(conn: Connection, actor: Actor, ticket: Ticket, *, label: Text, now: datetime) -> None:
    """Tell who follows the ticket that it has become something else."""
    users = {each.user_id for each in of(conn, ticket.ticket_id)} - {actor.actor_id}
    if users:
        key = f"moved:{ticket.ticket_id}:{ticket.event_count}"
        tell(conn, users, kind=NoticeKind.MOVED, ticket=ticket, key=key, extra=label, now=now)


def _mentioned(conn: Connection, text: str, reader: Audience) -> list[int]:
    logins = list(dict.fromkeys(MENTION.findall(text)))[:MOST_MENTIONED]
    if not logins:
        return []
    rows = conn.execute(
        """select u.user_id, m.role from users u join memberships m using (user_id)
           where m.site_id = current_site() and u.disabled_at is null and u.login = any(%s)""",
        (logins,),
    )
    return [user for user, role in rows if reader is Audience.REQUESTER or role != "requester"]


def _hears(watcher: Watcher, reader: Audience) -> bool:
    return reader is Audience.REQUESTER or watcher.role != "requester"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
