"""The door: from a password, link, passkey or provider to a session, over a second step where the account has one.

password ─┐                       ┌─ codes are off ──────────────> session
provider ─┴─> right? ─ codes on? ─┴─ pending (5 min) ── code ────> session
passkey (asks for a finger or a PIN itself), link from this machine ─> session
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from psycopg import Connection

from api.accounts import second, tries
from api.accounts.admit import require_fresh
from api.accounts.records import Act, By, write
from api.accounts.vault import Vault
from api.errors import InviteUsed, LinkUsed, StepEnded, WrongCode, WrongLogin
from api.identity import (
    HASHER,
    NOBODY,
    PENDING_LIFE,
    Kind,
    Method,
    Person,
    Source,
    digest,
    keep,
    open_session,
    set_password,
)
from core.database import Database

MOST_CODES = 5  # wrong codes against one pending sign-in
AFTER = {
    (Method.PASSWORD, "code"): Method.PASSWORD_CODE,
    (Method.PASSWORD, "recovery"): Method.PASSWORD_RECOVERY,
    (Method.PROVIDER, "code"): Method.PROVIDER_CODE,
    (Method.PROVIDER, "recovery"): Method.PROVIDER_RECOVERY,
}


class Step(NamedTuple):
    """A session's secret, or that of a pending sign-in whose second factor is still to come."""

    secret: str
    kind: Kind


def by_password(database: Database, login: str, password: str, *, now: datetime, source: Source) -> Step:
    """Raises WrongLogin, in the same words and time whatever is wrong. No connection is held while hashing."""
    with database.tx() as conn:
        counted = tries.begin(conn, login, now=now, address=source.address)
        row = conn.execute(
            """select user_id, password_hash from users
               where login = %s and kind = 'person' and disabled_at is null""",
            (login.lower(),),
        ).fetchone()
    user_id, kept = row or (None, None)
    fits, fresh = HASHER.verify_and_update(password, kept or NOBODY)
    if not counted or user_id is None or kept is None or not fits:
        raise WrongLogin
    with database.tx() as conn:
        if fresh:
            conn.execute("update users set password_hash = %s where user_id = %s", (fresh, user_id))
        return onward(conn, user_id, method=Method.PASSWORD, now=now, source=source)


def onward(conn: Connection, user_id: int, *, method: Method, now: datetime, source: Source) -> Step:
    """The first factor was right: a session, or the second step where the account has one."""
    if method in (Method.PASSWORD, Method.PROVIDER) and second.is_on(conn, user_id):
        tries.take_back(conn, _login(conn, user_id))
        until = now + PENDING_LIFE
        pending = keep(conn, user_id, kind=Kind.PENDING, now=now, expires_at=until, method=method, source=source)
        return Step(pending, Kind.PENDING)
    return Step(opened(conn, user_id, method=method, now=now, source=source), Kind.SESSION)


def by_code(database: Database, pending: str, code: str, *, vault: Vault, now: datetime, source: Source) -> Step:
    """The second step. Raises WrongCode, StepEnded. A wrong code counts against the login as a wrong password does."""
    with database.tx() as conn:
        user_id, method = _tried(conn, pending, now=now)
        login = _login(conn, user_id)
        if not tries.begin(conn, login, now=now, address=source.address):
            raise StepEnded
        kind = second.check(conn, user_id, code, vault=vault, now=now)
        if kind:
            conn.execute("update sessions set revoked_at = now() where token_hash = %s", (digest(pending),))
            after = AFTER[method, kind]
            return Step(opened(conn, user_id, method=after, now=now, source=source), Kind.SESSION)
    raise WrongCode  # outside of the transaction: the try stays counted


def _tried(conn: Connection, pending: str, *, now: datetime) -> tuple[int, Method]:
    row = conn.execute(
        """update sessions s set tries = tries + 1 from users u
           where s.token_hash = %(hash)s and s.kind = 'pending' and s.revoked_at is null and s.tries < %(most)s
             and s.expires_at > %(now)s and u.user_id = s.user_id and u.disabled_at is null
           returning s.user_id, s.method""",
        {"hash": digest(pending), "now": now, "most": MOST_CODES},
    ).fetchone()
    if row is None:
        raise StepEnded
    return int(row[0]), Method(row[1])


def by_link(conn: Connection, link: str, *, now: datetime, source: Source) -> Step:
    """Open a session by a sign-in link, which is used up. Raises LinkUsed."""
    user_id = _used(conn, link, Kind.LINK, now=now)
    if user_id is None:
        raise LinkUsed
    return Step(opened(conn, user_id, method=Method.LINK, now=now, source=source), Kind.SESSION)


def by_invite(conn: Connection, invite: str, password: str, *, now: datetime, source: Source) -> None:
    """Set a password by an administrator's link, which is used up; one signs in with it afterwards.

    Raises InviteUsed, WeakPassword.
    """
    user_id = _used(conn, invite, Kind.INVITE, now=now)
    if user_id is None:
        raise InviteUsed
    login = _login(conn, user_id)
    by = By(user_id, "person", login, source.address)
    write(conn, Act.INVITE_USED, user_id, by=by)
    set_password(conn, login, password, by=by)


def _used(conn: Connection, secret: str, kind: Kind, *, now: datetime) -> int | None:
    row = conn.execute(
        """update sessions s set used_at = %(now)s from users u
           where s.token_hash = %(hash)s and s.kind = %(kind)s and s.used_at is null and s.revoked_at is null
             and s.expires_at > %(now)s and u.user_id = s.user_id and u.disabled_at is null and u.kind = 'person'
           returning s.user_id""",
        {"hash": digest(secret), "kind": kind, "now": now},
    ).fetchone()
    return None if row is None else int(row[0])


def opened(conn: Connection, user_id: int, *, method: Method, now: datetime, source: Source) -> str:
    """A session, noted in the record with the tries that went wrong before it."""
    row = conn.execute("select login, name from users where user_id = %s", (user_id,)).fetchone()
    login, name = row or ("", "")
    failed = tries.settle(conn, login)
    detail = f"{method}, after {failed} wrong tries" if failed else str(method)
    write(conn, Act.SIGNED_IN, user_id, by=By(user_id, "person", name, source.address), detail=detail)
    return open_session(conn, user_id, now=now, method=method, source=source)


def confirm(database: Database, user_id: int, given: str, *, now: datetime, address: str) -> None:
    """That it is still them, by their password. Raises WrongLogin; wrong ones count as at the door."""
    with database.tx() as conn:
        row = conn.execute("select login, password_hash from users where user_id = %s", (user_id,)).fetchone()
        login, kept = row or ("", None)
        counted = tries.begin(conn, login, now=now, address=address)
    if not HASHER.verify(given, kept or NOBODY) or kept is None or not counted:
        raise WrongLogin
    with database.tx() as conn:
        tries.take_back(conn, login)


def confirm_by_code(database: Database, user_id: int, code: str, *, vault: Vault, now: datetime, address: str) -> None:
    """That it is still them, by a code. Raises WrongLogin; wrong ones count as at the door."""
    with database.tx() as conn:
        login = _login(conn, user_id)
        counted = tries.begin(conn, login, now=now, address=address)
        if counted and second.check(conn, user_id, code, vault=vault, now=now):
            tries.take_back(conn, login)
            return
    raise WrongLogin


def confirm_present(database: Database, person: Person, given: str | None, *, now: datetime, address: str) -> None:
    """Before a new password: the present one; or, without one, a sign-in of the last quarter hour.

    Raises WrongLogin, ConfirmNeeded.
    """
    with database.tx() as conn:
        row = conn.execute("select password_hash is null from users where user_id = %s", (person.user_id,)).fetchone()
    if row and row[0]:
        require_fresh(person, now=now)
    else:
        confirm(database, person.user_id, given or "", now=now, address=address)


def _login(conn: Connection, user_id: int) -> str:
    row = conn.execute("select login from users where user_id = %s", (user_id,)).fetchone()
    return str(row[0]) if row else ""
