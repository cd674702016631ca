"""A person's own sessions and tokens. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from api.identity import SESSION_IDLE, Kind, Person, Source, digest, keep
from core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Session:
    session_id: str  # the head of the hash: names the session, opens nothing
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None
    method: str
    client: str
    address: str
    current: bool


@dataclass(frozen=True, slots=True)
class Token:
    token_id: str
    user_id: int
    login: str
    kind: str
    name: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


COLUMNS = """left(encode(token_hash, 'hex'), 16) as token_id, s.user_id, u.login, u.kind, s.name, s.scopes,
  s.created_at, s.expires_at, s.used_at"""


def sessions(conn: Connection, person: Person, *, now: datetime) -> list[Session]:
    """Where a person is signed in, the last used first."""
    with conn.cursor(row_factory=class_row(Session)) as cursor:
        return cursor.execute(
            """select left(encode(token_hash, 'hex'), 16) as session_id, created_at, used_at, expires_at, method,
                 client, address, left(encode(token_hash, 'hex'), 16) = %s as current
               from sessions where user_id = %s and kind = 'session' and revoked_at is null
                 and expires_at > %s and used_at > %s order by used_at desc""",
            (person.secret_id, person.user_id, now, now - SESSION_IDLE),
        ).fetchall()


def end_one(conn: Connection, user_id: int, session_id: str) -> None:
    """Sign one session out. Raises NotFound."""
    if _revoke(conn, user_id, Kind.SESSION, session_id) is None:
        raise NotFound


def end_others(conn: Connection, person: Person) -> int:
    """Sign every other session out; returns how many."""
    return conn.execute(
        """update sessions set revoked_at = now() where user_id = %s and kind = 'session' and revoked_at is null
             and left(encode(token_hash, 'hex'), 16) <> %s""",
        (person.user_id, person.secret_id),
    ).rowcount


def tokens(conn: Connection, user_id: int) -> list[Token]:
    """A person's living tokens, newest first."""
    with conn.cursor(row_factory=class_row(Token)) as cursor:
        return cursor.execute(
            f"""select {COLUMNS} from sessions s join users u using (user_id)
                where s.user_id = %s and s.kind = 'token' and s.revoked_at is null
                order by s.created_at desc""",  # noqa: S608 - constant
            (user_id,),
        ).fetchall()


def revoke_token(conn: Connection, user_id: int, token_id: str) -> str:
    """Void one token; returns its name. Raises NotFound."""
    name = _revoke(conn, user_id, Kind.TOKEN, token_id)
    if name is None:
        raise NotFound
    return name


def confirmed(conn: Connection, secret: str, *, now: datetime) -> None:
    """The person has just proved who they are."""
    conn.execute("update sessions set confirmed_at = %s where token_hash = %s", (now, digest(secret)))


def strengthened(conn: Connection, secret: str) -> None:
    """The session's person has given a code beside what it was signed in with."""
    conn.execute(
        "update sessions set method = method || '+code' where token_hash = %s and method in ('password', 'provider')",
        (digest(secret),),
    )


def renewed(conn: Connection, person: Person, *, now: datetime, expires_at: datetime, source: Source) -> str:
    """A session in the place of one that a new password has ended."""
    return keep(
        conn, person.user_id, kind=Kind.SESSION, now=now, expires_at=expires_at, method=person.method, source=source
    )


def _revoke(conn: Connection, user_id: int, kind: Kind, ident: str) -> str | None:
    row = conn.execute(
        """update sessions set revoked_at = now() where user_id = %s and kind = %s and revoked_at is null
             and left(encode(token_hash, 'hex'), 16) = %s returning name""",
        (user_id, kind, ident),
    ).fetchone()
    return None if row is None else str(row[0])
