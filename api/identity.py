"""Who is it? People, their roles on sites, sessions, tokens and sign-in links. SQL; secrets are kept only as hashes.

A *session* lives in a cookie (at most 14 days, 3 days unused), a *token* in an Authorization header (`mwt_…`), a *link*
is typed once within 15 minutes. All three are random; the database knows their SHA-256.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from psycopg import Connection
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from api.errors import LinkUsed, LoginTaken, WeakPassword, WrongLogin
from api.policies import ROLES
from core.database import Database
from core.errors import Invalid, NotFound

SESSION_LIFE = timedelta(days=14)
SESSION_IDLE = timedelta(days=3)
SEEN_EVERY = timedelta(minutes=5)
LINK_LIFE = timedelta(minutes=15)
TRIES = 10
LOCKED_FOR = timedelta(minutes=15)
SHORTEST_PASSWORD = 12
TOKEN_PREFIX = "mwt_"  # noqa: S105 - a prefix, so that scanners find a leaked token
HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
NOBODY = HASHER.hash(secrets.token_urlsafe())  # verified for unknown logins, so that they take as long


class Kind(StrEnum):
    """What a secret is good for."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Site:
    site_id: int
    code: str
    name: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Person:
    """A user with their sites, first site first, and their role on each (by site id)."""

    user_id: int
    login: str
    name: str
    locale: str
    sites: tuple[Site, ...]
    roles: Mapping[int, str]
    via: Kind

    def site(self, code: str | None) -> Site:
        """The site called ``code``, or the first; raises NotFound for a site that is not theirs."""
        for site in self.sites:
            if code is None or site.code == code:
                return site
        raise NotFound("You have no role on this site, or there is none with this code.")


# people ---------------------------------------------------------------------------------------------------------------


def create_user(
    conn: Connection, *, login: str, name: str, role: str, site_id: int, password: str | None = None, locale: str = "en"
) -> int:
    """Make a person with a role on a site; without a password they sign in by link. Raises LoginTaken, WeakPassword."""
    row = conn.execute(
        """insert into users (login, name, password_hash, locale) values (%s, %s, %s, %s)
           on conflict (login) do nothing returning user_id""",
        (login, name, None if password is None else hashed(login, password), locale),
    ).fetchone()
    if row is None:
        raise LoginTaken
    give_role(conn, row[0], site_id=site_id, role=role)
    return int(row[0])


def give_role(conn: Connection, user_id: int, *, site_id: int, role: str) -> None:
    """Set a person's role on a site."""
    if role not in ROLES:
        raise Invalid(f"There is no role {role!r}. The roles are {', '.join(ROLES)}.")
    conn.execute(
        """insert into memberships (user_id, site_id, role) values (%s, %s, %s)
           on conflict (user_id, site_id) do update set role = excluded.role""",
        (user_id, site_id, role),
    )


def set_password(conn: Connection, login: str, password: str) -> None:
    """Set a new password, unlock the account, and end every session of it. Raises NotFound, WeakPassword."""
    user_id = user_named(conn, login)
    conn.execute(
        "update users set password_hash = %s, failed_logins = 0, locked_until = null where user_id = %s",
        (hashed(login, password), user_id),
    )
    end_sessions(conn, user_id)


def set_disabled(conn: Connection, user_id: int, at: datetime | None) -> None:
    """Shut a person out (and end their sessions and tokens), or let them in again (None)."""
    conn.execute("update users set disabled_at = %s where user_id = %s", (at, user_id))
    if at is not None:
        conn.execute("update sessions set revoked_at = now() where user_id = %s and revoked_at is null", (user_id,))


def user_named(conn: Connection, login: str) -> int:
    """The id of a login. Raises NotFound."""
    row = conn.execute("select user_id from users where login = %s", (login.lower(),)).fetchone()
    if row is None:
        raise NotFound(f"There is nobody with the login {login!r}.")
    return int(row[0])


def hashed(login: str, password: str) -> str:
    """The argon2id hash of a password; raises WeakPassword."""
    if len(password) < SHORTEST_PASSWORD or login.lower() in password.lower() or len(set(password)) < 3:
        raise WeakPassword
    return HASHER.hash(password)


# signing in -----------------------------------------------------------------------------------------------------------


def sign_in(database: Database, login: str, password: str, *, now: datetime) -> str:
    """Open a session; returns its secret. Raises WrongLogin, in the same words and time whatever is wrong.

    A try is counted before the password is looked at, so that many tries at once cannot pass the limit. No connection
    is held while hashing.
    """
    with database.tx() as conn:
        row = conn.execute(
            """update users set failed_logins = failed_logins + 1,
                 locked_until = case when failed_logins + 1 >= %(tries)s then %(now)s + %(locked)s else locked_until end
               where login = %(login)s and disabled_at is null and (locked_until is null or locked_until <= %(now)s)
               returning user_id, password_hash""",
            {"login": login.lower(), "now": now, "tries": TRIES, "locked": LOCKED_FOR},
        ).fetchone()
    user_id, kept = row or (None, None)
    fits, fresh = HASHER.verify_and_update(password, kept or NOBODY)
    if user_id is None or kept is None or not fits:
        raise WrongLogin
    with database.tx() as conn:
        conn.execute(
            """update users set failed_logins = 0, locked_until = null, password_hash = coalesce(%s, password_hash)
               where user_id = %s""",
            (fresh, user_id),
        )
        return open_session(conn, user_id, now=now)


def use_link(conn: Connection, link: str, *, now: datetime) -> str:
    """Open a session by a sign-in link, which is used up; returns the session's secret. Raises LinkUsed."""
    row = conn.execute(
        """update sessions s set used_at = %(now)s from users u
           where s.token_hash = %(hash)s and s.kind = 'link' and s.used_at is null and s.revoked_at is null
             and s.expires_at > %(now)s and u.user_id = s.user_id and u.disabled_at is null
           returning s.user_id""",
        {"hash": digest(link), "now": now},
    ).fetchone()
    if row is None:
        raise LinkUsed
    return open_session(conn, row[0], now=now)


def open_session(conn: Connection, user_id: int, *, now: datetime) -> str:
    """A new session's secret."""
    return _keep(conn, secrets.token_urlsafe(32), user_id, kind=Kind.SESSION, now=now, expires_at=now + SESSION_LIFE)


def create_link(conn: Connection, login: str, *, now: datetime) -> str:
    """The secret of a single-use sign-in link. Raises NotFound."""
    user_id = user_named(conn, login)
    return _keep(conn, secrets.token_urlsafe(32), user_id, kind=Kind.LINK, now=now, expires_at=now + LINK_LIFE)


def create_token(conn: Connection, login: str, *, name: str, now: datetime, expires_at: datetime | None = None) -> str:
    """An API token (`mwt_…`) with all the rights of ``login``; shown once. Raises NotFound."""
    user_id = user_named(conn, login)
    made = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return _keep(conn, made, user_id, kind=Kind.TOKEN, now=now, expires_at=expires_at, name=name)


def _keep(
    conn: Connection,
    secret: str,
    user_id: int,
    *,
    kind: Kind,
    now: datetime,
    expires_at: datetime | None,
    name: str = "",
) -> str:
    conn.execute(
        """insert into sessions (token_hash, user_id, kind, name, created_at, expires_at, used_at)
           values (%s, %s, %s, %s, %s, %s, %s)""",
        (digest(secret), user_id, kind, name, now, expires_at, now if kind is Kind.SESSION else None),
    )
    return secret


# every request --------------------------------------------------------------------------------------------------------


def who(conn: Connection, secret: str, *, kind: Kind, now: datetime) -> Person | None:
    """Whose secret is it? None when unknown, ended, idle for too long, or its owner is shut out."""
    found = digest(secret)
    rows = conn.execute(
        """select u.user_id, u.login, u.name, u.locale, t.site_id, t.code, t.name, t.timezone, m.role,
             s.used_at is null or s.used_at < %(now)s - %(seen)s
           from sessions s join users u using (user_id)
           left join memberships m using (user_id) left join sites t using (site_id)
           where s.token_hash = %(hash)s and s.kind = %(kind)s and s.revoked_at is null and u.disabled_at is null
             and (s.expires_at is null or s.expires_at > %(now)s)
             and (s.kind <> 'session' or s.used_at > %(now)s - %(idle)s)
           order by t.site_id""",
        {"hash": found, "kind": kind, "now": now, "idle": SESSION_IDLE, "seen": SEEN_EVERY},
    ).fetchall()
    if not rows:
        return None
    if rows[0][9]:
        _seen(conn, found, now=now)
    user_id, login, name, locale = rows[0][:4]
    mine = [row for row in rows if row[4] is not None]
    sites = tuple(Site(*row[4:8]) for row in mine)
    return Person(user_id, login, name, locale, sites, {row[4]: row[8] for row in mine}, kind)


def _seen(conn: Connection, token_hash: bytes, *, now: datetime) -> None:
    """Remember the use, unless another request of the same session is just doing so: nobody waits for this."""
    conn.execute(
        """update sessions set used_at = %s where token_hash = (
             select token_hash from sessions where token_hash = %s for update skip locked)""",
        (now, token_hash),
    )


def end(conn: Connection, secret: str) -> None:
    """Sign out: the session or token is worth nothing from now on."""
    conn.execute("update sessions set revoked_at = now() where token_hash = %s", (digest(secret),))


def end_sessions(conn: Connection, user_id: int) -> None:
    """Sign a person out everywhere and void their links; API tokens stay."""
    conn.execute(
        "update sessions set revoked_at = now() where user_id = %s and kind <> 'token' and revoked_at is null",
        (user_id,),
    )


def sweep(conn: Connection, *, now: datetime) -> int:
    """Forget secrets that ended more than 30 days ago; returns how many."""
    return conn.execute(
        "delete from sessions where least(expires_at, revoked_at) < %s", (now - timedelta(days=30),)
    ).rowcount


def set_locale(conn: Connection, user_id: int, locale: str) -> None:
    conn.execute("update users set locale = %s where user_id = %s", (locale, user_id))


def digest(secret: str) -> bytes:
    """What is kept of a random secret; no salt is needed since it holds 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
