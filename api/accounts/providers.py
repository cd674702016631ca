"""Sign-in providers, and whom they let in where. SQL.

A provider is declared by one site. Every site says for itself which of a provider's claims give which role there, so
that no administrator opens another's site. A role that a provider gave follows its claims at every sign-in; a role that
a person gave stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from api.accounts.oidc import Client
from api.accounts.records import Act, By, write
from api.accounts.vault import Vault
from api.errors import NotLetIn
from core.errors import Conflict, NotFound, Stale

ANY = "*"
RANK = ("requester", "engineer", "planner", "manager", "admin")  # of several rules that fit, the last wins
LOGIN = re.compile(r"[a-z0-9._@-]{1,64}")
COLUMNS = """provider_id, site_id, code, name, issuer, client_id, client_secret is not null as has_secret, scopes,
  login_claim, matching, second, enabled, version, changed_at, changed_by"""


@dataclass(frozen=True, slots=True)
class Provider:
    """``matching``: whether a login that exists is taken over (`login`) or never (`none`). ``second``: who asks for the
    second factor, we (`asked`) or the provider (`trusted`)."""

    provider_id: int
    site_id: int
    code: str
    name: str
    issuer: str
    client_id: str
    has_secret: bool
    scopes: str
    login_claim: str
    matching: str
    second: str
    enabled: bool
    version: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Whoever has ``value`` (`*` = any) in ``claim`` gets ``role`` on the site."""

    claim: str
    value: str
    role: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the door tells of a provider."""

    code: str
    name: str


def on_the_door(conn: Connection) -> list[Shown]:
    """Providers that one may sign in with, by name."""
    with conn.cursor(row_factory=class_row(Shown)) as cursor:
        return cursor.execute("select code, name from identity_providers where enabled order by name, code").fetchall()


def listed(conn: Connection) -> list[Provider]:
    """Every provider; the current site may change its own, and have rules for all."""
    with conn.cursor(row_factory=class_row(Provider)) as cursor:
        return cursor.execute(f"select {COLUMNS} from identity_providers order by code").fetchall()  # noqa: S608 - constant


def named(conn: Connection, code: str) -> Provider:
    """Raises NotFound."""
    with conn.cursor(row_factory=class_row(Provider)) as cursor:
        found = cursor.execute(
            f"select {COLUMNS} from identity_providers where code = %s",  # noqa: S608 - constant
            (code,),
        ).fetchone()
    if found is None:
        raise NotFound("There is no sign-in provider with this code.")
    return found


def client(conn: Connection, provider: Provider, *, vault: Vault) -> Client:
    """Who we are to it."""
    row = conn.execute(
        "select client_secret from identity_providers where provider_id = %s", (provider.provider_id,)
    ).fetchone()
    sealed = row[0] if row else None
    secret = None if sealed is None else vault.opened(bytes(sealed), purpose=_purpose(provider.code))
    return Client(provider.issuer, provider.client_id, secret, provider.scopes)


def put(
    conn: Connection, code: str, terms: Mapping[str, str | bool], *, secret: str | None, vault: Vault, by: str
) -> None:
    """Declare a provider of the current site. Raises Conflict when the code is taken."""
    sealed = None if secret is None else vault.seal(secret, purpose=_purpose(code))
    done = conn.execute(
        """insert into identity_providers (code, name, issuer, client_id, client_secret, scopes, login_claim, matching,
             second, enabled, changed_by)
           values (%(code)s, %(name)s, %(issuer)s, %(client_id)s, %(secret)s, %(scopes)s, %(login_claim)s,
             %(matching)s, %(second)s, %(enabled)s, %(by)s) on conflict (code) do nothing""",
        {**terms, "code": code, "secret": sealed, "by": by},
    )
    if done.rowcount == 0:
        raise Conflict("There is already a sign-in provider with this code. Choose another.")


def change(
    conn: Connection,
    code: str,
    terms: Mapping[str, str | bool],
    *,
    version: int,
    secret: str | None,
    vault: Vault,
    by: str,
) -> None:
    """Change a provider of the current site; without a secret the old one stays. Raises NotFound, Stale."""
    found = named(conn, code)
    sealed = None if secret is None else vault.seal(secret, purpose=_purpose(code))
    done = conn.execute(
        """update identity_providers set name = %(name)s, issuer = %(issuer)s, client_id = %(client_id)s,
             client_secret = coalesce(%(secret)s, client_secret), scopes = %(scopes)s, login_claim = %(login_claim)s,
             matching = %(matching)s, second = %(second)s, enabled = %(enabled)s, version = version + 1,
             changed_at = now(), changed_by = %(by)s
           where provider_id = %(id)s and site_id = current_site() and version = %(version)s""",
        {**terms, "secret": sealed, "by": by, "id": found.provider_id, "version": version},
    )
    if done.rowcount == 0:
        raise _unchanged(conn, found)


def _unchanged(conn: Connection, found: Provider) -> Exception:
    row = conn.execute("select %s = current_site()", (found.site_id,)).fetchone()
    if row and row[0]:
        return Stale(current=found.version)
    return NotFound("This sign-in provider belongs to another site, whose administrator changes it.")


def rules(conn: Connection, provider_id: int) -> list[Rule]:
    """The current site's rules for a provider, in their order."""
    with conn.cursor(row_factory=class_row(Rule)) as cursor:
        return cursor.execute(
            """select claim, value, role from provider_rules
               where provider_id = %s and site_id = current_site() order by position""",
            (provider_id,),
        ).fetchall()


def set_rules(conn: Connection, provider_id: int, wanted: Sequence[Rule]) -> None:
    """Set the current site's rules for a provider, all of them."""
    conn.execute("delete from provider_rules where provider_id = %s and site_id = current_site()", (provider_id,))
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into provider_rules (provider_id, position, claim, value, role) values (%s, %s, %s, %s, %s)",
            [(provider_id, at, rule.claim, rule.value, rule.role) for at, rule in enumerate(wanted)],
        )


def let_in(conn: Connection, provider: Provider, claims: Mapping[str, Any], *, now: datetime, by: By) -> int:
    """The account of who came back, made if need be, with the roles that the rules give. Without a current site.

    Raises NotLetIn.
    """
    subject = str(claims["sub"])[:255]
    roles = granted(conn, provider.provider_id, claims)
    row = conn.execute(
        """update external_identities e set used_at = %s from users u
           where e.provider_id = %s and e.subject = %s and u.user_id = e.user_id
           returning e.user_id, u.disabled_at is null""",
        (now, provider.provider_id, subject),
    ).fetchone()
    if row is not None and not row[1]:
        raise NotLetIn
    user_id = int(row[0]) if row else _first_time(conn, provider, claims, roles=roles, subject=subject, now=now, by=by)
    _follow(conn, provider.provider_id, user_id, roles=roles, by=by)
    if not conn.execute("select 1 from memberships where user_id = %s", (user_id,)).fetchone():
        raise NotLetIn
    return user_id


def granted(conn: Connection, provider_id: int, claims: Mapping[str, Any]) -> dict[int, str]:
    """Site → the highest role that its rules give for these claims."""
    found: dict[int, str] = {}
    for site_id, claim, value, role in conn.execute(
        "select site_id, claim, value, role from provider_rules where provider_id = %s", (provider_id,)
    ):
        if fits(claims, claim, value) and RANK.index(role) >= RANK.index(found.get(site_id, RANK[0])):
            found[site_id] = role
    return found


def fits(claims: Mapping[str, Any], claim: str, value: str) -> bool:
    """Whether a claim holds a value: equal to it, or a list with it; `a.b` reaches into objects."""
    held: Any = claims.get(claim)
    if held is None and "." in claim:
        held = claims
        for part in claim.split("."):
            held = held.get(part) if isinstance(held, dict) else None
    values = held if isinstance(held, list) else [] if held is None else [held]
    texts = {str(each).lower() if isinstance(each, bool) else str(each) for each in values}
    return bool(texts) if value == ANY else value in texts


def _first_time(
    conn: Connection,
    provider: Provider,
    claims: Mapping[str, Any],
    *,
    roles: Mapping[int, str],
    subject: str,
    now: datetime,
    by: By,
) -> int:
    if not roles:
        raise NotLetIn
    login = _login(provider, claims, subject)
    user_id = _taken_over(conn, provider, login)
    if user_id is None:
        user_id = _made(conn, login, claims)
    conn.execute(
        """insert into external_identities (provider_id, subject, user_id, linked_at, used_at)
           values (%s, %s, %s, %s, %s)""",
        (provider.provider_id, subject, user_id, now, now),
    )
    _follow(conn, provider.provider_id, user_id, roles=roles, by=by)
    write(conn, Act.PROVIDER_LINKED, user_id, by=by, detail=f"{provider.code}: {subject}")
    return user_id


def _taken_over(conn: Connection, provider: Provider, login: str) -> int | None:
    """The person with this login, if this provider may speak for them: every site of theirs has rules for it."""
    row = conn.execute("select user_id, kind, disabled_at is null from users where login = %s", (login,)).fetchone()
    if row is None:
        return None
    strangers = conn.execute(
        """select exists (select 1 from memberships m where m.user_id = %s and not exists (
             select 1 from provider_rules r where r.site_id = m.site_id and r.provider_id = %s))""",
        (row[0], provider.provider_id),
    ).fetchone()
    if provider.matching != "login" or row[1] != "person" or not row[2] or (strangers and strangers[0]):
        raise NotLetIn("There is already an account with your login, which this provider may not speak for.")
    return int(row[0])


def _made(conn: Connection, login: str, claims: Mapping[str, Any]) -> int:
    locale = "zh" if str(claims.get("locale", "")).lower().startswith("zh") else "en"
    name = " ".join(str(claims.get("name") or login).split())[:200] or login
    row = conn.execute(
        "insert into users (login, name, locale) values (%s, %s, %s) on conflict (login) do nothing returning user_id",
        (login, name, locale),
    ).fetchone()
    if row is None:
        raise Conflict
    return int(row[0])


def _login(provider: Provider, claims: Mapping[str, Any], subject: str) -> str:
    """A login of ours: the provider's, if it can be one; a mail address only when the provider has verified it."""
    wanted = str(claims.get(provider.login_claim) or "").lower()
    if provider.login_claim == "email" and claims.get("email_verified") is not True:
        wanted = ""
    return wanted if LOGIN.fullmatch(wanted) else f"{provider.code}.{_plain(subject)}"[:64]


def _plain(subject: str) -> str:
    return re.sub(r"[^a-z0-9._@-]+", "-", subject.lower())


def _follow(conn: Connection, provider_id: int, user_id: int, *, roles: Mapping[int, str], by: By) -> None:
    """Bring the roles that this provider gave up to date; those that a person gave stay."""
    had: dict[int, str] = dict(
        conn.execute(
            "select site_id, role from memberships where user_id = %s and provider_id = %s", (user_id, provider_id)
        ).fetchall()
    )
    if had == {site: role for site, role in roles.items() if site in had} and not (roles.keys() - had.keys()):
        return
    for site_id in had.keys() - roles.keys():
        write(conn, Act.ROLE_TAKEN, user_id, by=by, detail=had[site_id])
        conn.execute("delete from memberships where user_id = %s and site_id = %s", (user_id, site_id))
    for site_id, role in roles.items():
        done = conn.execute(
            """insert into memberships as m (user_id, site_id, role, provider_id) values (%s, %s, %s, %s)
               on conflict (user_id, site_id) do update set role = excluded.role
               where m.provider_id = excluded.provider_id and m.role <> excluded.role""",
            (user_id, site_id, role, provider_id),
        )
        if done.rowcount:
            write(conn, Act.ROLE_GIVEN, user_id, by=by, detail=role)


def _purpose(code: str) -> str:
    return f"provider {code}"
