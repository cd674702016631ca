"""The people, agents and tokens of one site, as its administrator sees them. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from api.accounts import mine
from api.accounts.mine import Token
from api.policies import Grant, Policy
from core.errors import Forbidden, NotFound


@dataclass(frozen=True, slots=True)
class Member:
    user_id: int
    login: str
    name: str
    role: str
    locale: str
    kind: str
    disabled: bool
    codes_on: bool
    passkeys: int
    created_at: datetime


COLUMNS = """user_id, login, name, role, locale, kind, disabled_at is not null as disabled, u.created_at,
  exists (select 1 from totp_secrets t where t.user_id = u.user_id and confirmed_at is not null) as codes_on,
  (select count(*) from passkeys p where p.user_id = u.user_id) as passkeys"""


def members(conn: Connection, *, after: int, limit: int) -> list[Member]:
    """People with a role on the current site, by id."""
    with conn.cursor(row_factory=class_row(Member)) as cursor:
        return cursor.execute(
            f"""select {COLUMNS} from users u join memberships using (user_id)
                where site_id = current_site() and user_id > %s order by user_id limit %s""",  # noqa: S608 - constant
            (after, limit),
        ).fetchall()


def member(conn: Connection, user_id: int) -> Member:
    """One person of the current site. Raises NotFound."""
    with conn.cursor(row_factory=class_row(Member)) as cursor:
        found = cursor.execute(
            f"""select {COLUMNS} from users u join memberships using (user_id)
                where site_id = current_site() and user_id = %s""",  # noqa: S608 - constant
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


def may(role: str, action: str) -> bool:
    """Whether a role has a right at all."""
    return Policy(action).grant(role) is not Grant.NO


def tokens(conn: Connection) -> list[Token]:
    """Living API tokens of people and agents of the current site, newest first."""
    with conn.cursor(row_factory=class_row(Token)) as cursor:
        return cursor.execute(
            f"""select {mine.COLUMNS} from sessions s join users u using (user_id) join memberships m using (user_id)
                where m.site_id = current_site() and s.kind = 'token' and s.revoked_at is null
                order by s.created_at desc"""  # noqa: S608 - constant
        ).fetchall()


def revoke_token(conn: Connection, token_id: str) -> tuple[int, str]:
    """Void a token of the current site; returns whose it was and its name. Raises NotFound."""
    row = conn.execute(
        """update sessions s set revoked_at = now() from memberships m
           where m.user_id = s.user_id and m.site_id = current_site() and s.kind = 'token' and s.revoked_at is null
             and left(encode(token_hash, 'hex'), 16) = %s returning s.user_id, s.name""",
        (token_id,),
    ).fetchone()
    if row is None:
        raise NotFound
    return int(row[0]), str(row[1])
