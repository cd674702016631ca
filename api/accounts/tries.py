"""Wrong tries by login: a lock that grows, and that tells nobody whether there is such a login.

A try is counted before the password is looked at, so that many at once cannot pass the limit; the same row is written
whether the login exists or not. What failed reaches the record later, so that writing it takes no time at the door.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from psycopg import Connection

from api.accounts.records import Act, By, write

FREE = 5  # the first wrong try in a row that shuts the door
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
SETTLED_AFTER = timedelta(minutes=1)
FORGOTTEN_AFTER = timedelta(days=1)
STRANGER = "somebody at the door"


def wait(failed: int) -> timedelta:
    """How long the door stays shut after the ``failed``-th wrong try: twice as long each time, at most an hour."""
    return timedelta(0) if failed < FREE else min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failed - FREE, 20))


def begin(conn: Connection, login: str, *, now: datetime, address: str = "") -> bool:
    """Count a try as wrong until it proves right. False while the login is locked; such a try is not counted."""
    row = conn.execute(
        """insert into sign_in_tries as t (login_hash, failed, last_at, last_address)
           values (%(login)s, 1, %(now)s, %(address)s)
           on conflict (login_hash) do update set failed = t.failed + 1, last_at = excluded.last_at,
             last_address = excluded.last_address,
             locked_until = case when t.failed + 1 >= %(free)s then
               %(now)s + least(%(longest)s, %(first)s * power(2, least(t.failed + 1 - %(free)s, 20))) end
           where t.locked_until is null or t.locked_until <= %(now)s
           returning failed""",
        {
            "login": key(login),
            "now": now,
            "address": address[:64],
            "free": FREE,
            "first": FIRST_WAIT,
            "longest": LONGEST_WAIT,
        },
    ).fetchone()
    return row is not None


def take_back(conn: Connection, login: str) -> None:
    """The try was right, but the sign-in is not complete: earlier wrong ones still count."""
    conn.execute(
        "update sign_in_tries set failed = greatest(failed - 1, 0), told = least(told, greatest(failed - 1, 0)), "
        "locked_until = null where login_hash = %s",
        (key(login),),
    )


def settle(conn: Connection, login: str) -> int:
    """The sign-in is complete, or the password is new: forget the tries; returns how many were wrong before."""
    row = conn.execute("delete from sign_in_tries where login_hash = %s returning failed", (key(login),)).fetchone()
    return max(0, int(row[0]) - 1) if row else 0


def tell(conn: Connection, *, now: datetime) -> None:
    """Bring wrong tries against people that exist into the record: how many, and from where the last one came."""
    # one of this minute may still prove right
    rows = conn.execute(
        """with due as (update sign_in_tries set told = failed
                        where failed > told and last_at < %s returning login_hash, failed, last_address, locked_until)
           select u.user_id, d.failed, d.last_address, d.locked_until from due d
             join users u on sha256(convert_to(u.login, 'UTF8')) = d.login_hash""",
        (now - SETTLED_AFTER,),
    ).fetchall()
    for user_id, failed, address, locked_until in rows:
        until = f", locked until {locked_until:%Y-%m-%d %H:%M} UTC" if locked_until else ""
        detail = f"{failed} wrong tries in a row{until}"
        write(conn, Act.SIGN_IN_FAILED, user_id, by=By(None, "system", STRANGER, address), detail=detail)


def sweep(conn: Connection, *, now: datetime) -> None:
    """Forget tries of yesterday."""
    conn.execute(
        "delete from sign_in_tries where last_at < %s and (locked_until is null or locked_until < %s)",
        (now - FORGOTTEN_AFTER, now),
    )


def key(login: str) -> bytes:
    """What is kept of a login that was typed."""
    return hashlib.sha256(login.lower().encode("utf-8", "surrogatepass")).digest()
