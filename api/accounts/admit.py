"""What a credential is good for beyond its role: a token's scopes, and the second factor that a site asks for. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from api.accounts.scopes import ScopeMissing, covers
from api.errors import ConfirmNeeded, SecondNeeded, SessionNeeded
from api.identity import FRESH, Kind, Person
from core.errors import Stale

WITHOUT_SECOND = frozenset({"session.end", "me.read", "me.edit", "me.secure"})  # so that it can be set up


@dataclass(frozen=True, slots=True)
class SignInPolicy:
    """Which roles of the site need a second factor. Version 0: nobody has decided yet, and none does."""

    second_roles: list[str]
    version: int
    changed_at: datetime | None
    changed_by: str


def admit(conn: Connection, person: Person, *, role: str, action: str | None) -> None:
    """On the current site: raise ScopeMissing or SecondNeeded unless the credential is good for the right."""
    if action is None:
        return
    if not covers(person.scopes, action):
        raise ScopeMissing
    if not person.is_strong and action not in WITHOUT_SECOND and needs_second(conn, role):
        raise SecondNeeded


def needs_second(conn: Connection, role: str) -> bool:
    """Whether this role needs a second factor on the current site."""
    return bool(
        conn.execute(
            "select 1 from sign_in_policies where site_id = current_site() and %s = any(second_roles)", (role,)
        ).fetchone()
    )


def require_session(person: Person) -> None:
    """Raise SessionNeeded for a token."""
    if person.via is not Kind.SESSION:
        raise SessionNeeded


def require_fresh(person: Person, *, now: datetime) -> None:
    """Raise SessionNeeded for a token, ConfirmNeeded when the last proof of who it is is older than a quarter hour."""
    require_session(person)
    if person.confirmed_at is None or person.confirmed_at < now - FRESH:
        raise ConfirmNeeded


def policy(conn: Connection) -> SignInPolicy:
    """The current site's."""
    with conn.cursor(row_factory=class_row(SignInPolicy)) as cursor:
        found = cursor.execute(
            """select second_roles, version, changed_at, changed_by from sign_in_policies
               where site_id = current_site()"""
        ).fetchone()
    return found or SignInPolicy([], 0, None, "")


def set_policy(conn: Connection, roles: list[str], *, version: int, by: str) -> None:
    """Set the roles that need a second factor. Raises Stale."""
    done = conn.execute(
        """insert into sign_in_policies as p (second_roles, changed_by) select %(roles)s, %(by)s where %(version)s = 0
           on conflict do nothing""",
        {"roles": roles, "by": by, "version": version},
    )
    if done.rowcount == 0:
        done = conn.execute(
            """update sign_in_policies set second_roles = %s, version = version + 1, changed_at = now(), changed_by = %s
               where site_id = current_site() and version = %s""",
            (roles, by, version),
        )
    if done.rowcount == 0:
        raise Stale(current=policy(conn).version)
