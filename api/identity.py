"""Who is it? People and agents, their roles on sites, sessions and tokens. SQL; secrets are kept only as hashes.

A *session* lives in a cookie (at most 14 days, 3 days unused), a *token* in an Authorization header (`mwt_…`), a *link*
is typed once within 15 minutes, an *invite* sets a password once within a day, a *pending* sign-in waits 5 minutes for
its second factor. All are random; the database knows their SHA-256. How one signs in: api/accounts/door.py.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from psycopg import Connection
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from api.accounts import tries
from api.accounts.records import COMMAND_LINE, Act, By, write
from api.errors import LoginTaken, WeakPassword
from api.policies import ROLES
from core.errors import Invalid, NotFound

SESSION_LIFE = timedelta(days=14)
SESSION_IDLE = timedelta(days=3)
SEEN_EVERY = timedelta(minutes=5)
LINK_LIFE = timedelta(minutes=15)
INVITE_LIFE = timedelta(days=1)
PENDING_LIFE = timedelta(minutes=5)
FRESH = timedelta(minutes=15)  # so long a proof of who one is counts for changing how one signs in
SHORTEST_PASSWORD = 12
TOKEN_PREFIX = "mwt_"  # noqa: S105 - a prefix, so that scanners find a leaked token
HASHER = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1),))
NOBODY = HASHER.hash(secrets.token_urlsafe())  # verified for unknown logins, so that they take as long


class Kind(StrEnum):
    """What a secret is good for."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    LINK = "link"
    PENDING = "pending"
    INVITE = "invite"


class UserKind(StrEnum):
    """An agent is an AI or a service: it has tokens only, and what it does is marked as its own."""

    PERSON = "person"
    AGENT = "agent"


class Method(StrEnum):
    """How a session was signed in."""

    PASSWORD = "password"  # noqa: S105 - a word, no secret
    PASSWORD_CODE = "password+code"  # noqa: S105
    PASSWORD_RECOVERY = "password+recovery"  # noqa: S105
    PASSKEY = "passkey"
    LINK = "link"  # whoever can print it holds the machine itself
    PROVIDER = "provider"
    PROVIDER_CODE = "provider+code"
    PROVIDER_RECOVERY = "provider+recovery"
    PROVIDER_TRUSTED = "provider+trusted"  # the provider asks for the second factor


STRONG = frozenset(Method) - {Method.PASSWORD, Method.PROVIDER}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sign-in comes from: the peer's address and what its browser calls itself."""

    address: str = ""
    client: str = ""


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
    kind: UserKind = UserKind.PERSON
    scopes: tuple[str, ...] | None = None  # of a token; None = all the rights of its owner
    method: str = ""
    confirmed_at: datetime | None = None
    secret_id: str = ""  # names the session or token, opens nothing

    @property
    def is_strong(self) -> bool:
        """Whether two factors, or a passkey, were asked for; a token is a strong secret by itself."""
        return self.via is Kind.TOKEN or self.method in STRONG

    def site(self, code: str | None) -> Site:
        """The site called ``code``, or the first; raises NotFound for a site that is not theirs."""
        for site in self.sites:
            if code is None or site.code == code:
                return site
        raise NotFound("You have no role on this site, or there is none with this code.")


# people ---------------------------------------------------------------------------------------------------------------


def create_user(
    conn: Connection,
    *,
    login: str,
    name: str,
    role: str,
    site_id: int,
    password: str | None = None,
    locale: str = "en",
    by: By = COMMAND_LINE,
) -> int:
    """Make a person with a role on a site; without a password they sign in by link. Raises LoginTaken, WeakPassword.

    With the role `agent` it is an agent.
    """
    kind = UserKind.AGENT if role == UserKind.AGENT else UserKind.PERSON
    row = conn.execute(
        """insert into users (login, name, password_hash, locale, kind) values (%s, %s, %s, %s, %s)
           on conflict (login) do nothing returning user_id""",
        (login, name, None if password is None else hashed(login, password), locale, kind),
    ).fetchone()
    if row is None:
        raise LoginTaken
    _member(conn, row[0], site_id=site_id, role=role)
    write(conn, Act.USER_ADDED, row[0], by=by, detail=f"{login}, {role}")
    return int(row[0])


def give_role(conn: Connection, user_id: int, *, site_id: int, role: str, by: By = COMMAND_LINE) -> None:
    """Set a person's role on a site; from now on it is this and not what a sign-in provider says."""
    _member(conn, user_id, site_id=site_id, role=role)
    write(conn, Act.ROLE_GIVEN, user_id, by=by, detail=role)


def _member(conn: Connection, user_id: int, *, site_id: int, role: str) -> None:
    if role not in ROLES:
        raise Invalid(f"There is no role {role!r}. The roles are {', '.join(ROLES)}.")
    conn.execute(
        """insert into memberships (user_id, site_id, role) values (%s, %s, %s)
           on conflict (user_id, site_id) do update set role = excluded.role, provider_id = null""",
        (user_id, site_id, role),
    )


def set_password(conn: Connection, login: str, password: str, *, by: By = COMMAND_LINE) -> None:
    """Set a new password, unlock the account, and end every session of it. Raises NotFound, WeakPassword."""
    user_id = user_named(conn, login)
    conn.execute("update users set password_hash = %s where user_id = %s", (hashed(login, password), user_id))
    tries.settle(conn, login)
    end_sessions(conn, user_id)
    write(conn, Act.PASSWORD_SET, user_id, by=by)


def set_disabled(conn: Connection, user_id: int, at: datetime | None, *, by: By = COMMAND_LINE) -> None:
    """Shut a person out (and end their sessions and tokens), or let them in again (None)."""
    conn.execute("update users set disabled_at = %s where user_id = %s", (at, user_id))
    if at is not None:
        conn.execute("update sessions set revoked_at = now() where user_id = %s and revoked_at is null", (user_id,))
    write(conn, Act.USER_ENABLED if at is None else Act.USER_DISABLED, user_id, by=by)


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


# secrets --------------------------------------------------------------------------------------------------------------


def open_session(
    conn: Connection, user_id: int, *, now: datetime, method: Method = Method.PASSWORD, source: Source | None = None
) -> str:
    """A new session's secret."""
    return keep(conn, user_id, kind=Kind.SESSION, now=now, expires_at=now + SESSION_LIFE, method=method, source=source)


def create_link(conn: Connection, login: str, *, now: datetime, by: By = COMMAND_LINE) -> str:
    """The secret of a single-use sign-in link. Raises NotFound."""
    user_id = user_named(conn, login)
    write(conn, Act.LINK_MADE, user_id, by=by)
    return keep(conn, user_id, kind=Kind.LINK, now=now, expires_at=now + LINK_LIFE)


def create_invite(conn: Connection, user_id: int, *, now: datetime, by: By) -> str:
    """The secret of a link that sets a password once; earlier ones are void."""
    conn.execute(
        "update sessions set revoked_at = now() where user_id = %s and kind = 'invite' and revoked_at is null",
        (user_id,),
    )
    write(conn, Act.INVITE_MADE, user_id, by=by)
    return keep(conn, user_id, kind=Kind.INVITE, now=now, expires_at=now + INVITE_LIFE)


def create_token(
    conn: Connection,
    login: str,
    *,
    name: str,
    now: datetime,
    expires_at: datetime | None = None,
    scopes: Sequence[str] | None = None,
    by: By = COMMAND_LINE,
) -> str:
    """An API token (`mwt_…`) with the rights of ``login`` that ``scopes`` name; shown once. Raises NotFound."""
    user_id = user_named(conn, login)
    limits = "all rights" if scopes is None else ", ".join(scopes)
    write(conn, Act.TOKEN_MADE, user_id, by=by, detail=f"{name}: {limits}")
    return keep(conn, user_id, kind=Kind.TOKEN, now=now, expires_at=expires_at, name=name, scopes=scopes)


def keep(
    conn: Connection,
    user_id: int,
    *,
    kind: Kind,
    now: datetime,
    expires_at: datetime | None,
    name: str = "",
    scopes: Sequence[str] | None = None,
    method: str = "",
    source: Source | None = None,
) -> str:
    """Make a secret of this kind; the database gets its hash."""
    secret = (TOKEN_PREFIX if kind is Kind.TOKEN else "") + secrets.token_urlsafe(32)
    opened = now if kind is Kind.SESSION else None
    source = source or Source()
    conn.execute(
        """insert into sessions (token_hash, user_id, kind, name, created_at, expires_at, used_at, confirmed_at,
             scopes, method, client, address) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            *(digest(secret), user_id, kind, name, now, expires_at, opened, opened),
            *(None if scopes is None else list(scopes), method, source.client[:200], source.address[:64]),
        ),
    )
    return secret


# every request --------------------------------------------------------------------------------------------------------


def who(conn: Connection, secret: str, *, kind: Kind, now: datetime) -> Person | None:
    """Whose secret is it? None when unknown, ended, idle for too long, or its owner is shut out."""
    found = digest(secret)
    rows = conn.execute(
        """select u.user_id, u.login, u.name, u.locale, t.site_id, t.code, t.name, t.timezone, m.role,
             s.used_at is null or s.used_at < %(now)s - %(seen)s, u.kind, s.scopes, s.method, s.confirmed_at
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
    user_kind, scopes, method, confirmed_at = rows[0][10:14]
    mine = [row for row in rows if row[4] is not None]
    sites = tuple(Site(*row[4:8]) for row in mine)
    return Person(
        *(user_id, login, name, locale, sites, {row[4]: row[8] for row in mine}, kind),
        *(UserKind(user_kind), None if scopes is None else tuple(scopes), method, confirmed_at, found.hex()[:16]),
    )


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
    """Forget secrets that ended more than 30 days ago, and yesterday's wrong tries; returns how many secrets."""
    tries.sweep(conn, now=now)
    conn.execute("delete from answered_challenges where expires_at < %s", (now,))
    return conn.execute(
        "delete from sessions where least(expires_at, revoked_at) < %s", (now - timedelta(days=30),)
    ).rowcount


def set_locale(conn: Connection, user_id: int, locale: str) -> None:
    conn.execute("update users set locale = %s where user_id = %s", (locale, user_id))


def digest(secret: str) -> bytes:
    """What is kept of a random secret; no salt is needed since it holds 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
