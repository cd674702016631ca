"""The people and tokens of one site, as its administrator sees them. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from core.errors import Forbidden, NotFound


@dataclass(frozen=True, slots=True)
class Member:
    user_id: int
    login: str
    name: str
    role: str
    locale: str
    disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Token:
    token_id: str  # the head of the hash: names the token, opens nothing
    user_id: int
    login: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


def members(conn: Connection, *, after: int, limit: int) -> list[Member]:
    """People with a role on the current site, by id."""
    with conn.cursor(row_factory=class_row(Member)) as cursor:
        return cursor.execute(
            """select user_id, login, name, role, locale, disabled_at is not null as disabled, created_at
               from users join memberships using (user_id)
               where site_id = current_site() and user_id > %s order by user_id limit %s""",
            (after, limit),
        ).fetchall()


def member(conn: Connection, user_id: int) -> Member:
    """One person of the current site. Raises NotFound."""
    with conn.cursor(row_factory=class_row(Member)) as cursor:
        found = cursor.execute(
            """select user_id, login, name, role, locale, disabled_at is not null as disabled, created_at
               from users join memberships using (user_id) where site_id = current_site() and user_id = %s""",
            (user_id,),
        ).fetchone()
    if found is None:
        raise NotFound
    return found


def only_here(conn: Connection, user_id: int) -> None:
    """Raise Forbidden when a person also belongs to another site: its administrator has a say in their account."""
    row = conn.execute(
        "select exists (select 1 from memberships where user_id = %s and site_id <> current_site())", (user_id,)
    ).fetchone()
    if row and row[0]:
        raise Forbidden("This person also belongs to another site. Use the command `millwright user` on the server.")


def rename(conn: Connection, user_id: int, name: str) -> None:
    conn.execute("update users set name = %s where user_id = %s", (name, user_id))


def tokens(conn: Connection) -> list[Token]:
    """Living API tokens of people of the current site, newest first."""
    with conn.cursor(row_factory=class_row(Token)) as cursor:
        return cursor.execute(
            """select left(encode(token_hash, 'hex'), 16) as token_id, s.user_id, login, s.name, s.created_at,
                 s.expires_at, s.used_at
               from sessions s join users using (user_id) join memberships m using (user_id)
               where m.site_id = current_site() and s.kind = 'token' and s.revoked_at is null
               order by s.created_at desc"""
        ).fetchall()


def revoke_token(conn: Connection, token_id: str) -> None:
    """Void a token of a person of the current site. Raises NotFound."""
    done = conn.execute(
        """update sessions s set revoked_at = now() from memberships m
           where m.user_id = s.user_id and m.site_id = current_site() and s.kind = 'token' and s.revoked_at is null
             and left(encode(token_hash, 'hex'), 16) = %s""",
        (token_id,),
    )
    if done.rowcount == 0:
        raise NotFound
