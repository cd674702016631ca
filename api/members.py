"""The people, tokens and devices of one site, as its administrator sees them. SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from api.errors import DeviceExists
from core.broker_rules import device_name, hash_password, new_password
from core.errors import Forbidden, NotFound

DEVICES = "millwright_devices"


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


@dataclass(frozen=True, slots=True)
class Device:
    device_id: int
    name: str
    registered_at: datetime
    revoked_at: datetime | None


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


def devices(conn: Connection) -> list[Device]:
    """Devices of the current site, revoked ones too, by name."""
    with conn.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute("select device_id, name, registered_at, revoked_at from devices order by name").fetchall()


def register_device(conn: Connection, name: str) -> str:
    """Let a device publish as ``name`` on the current site; returns its password, shown once.

    Raises BrokerNameInvalid, DeviceExists. Broker users have no site, so a name is one device's in the whole instance.
    """
    password = new_password()
    try:
        row = conn.execute(
            """insert into devices (name, secret_hash) values (%s, %s)
               on conflict (site_id, name) do update set secret_hash = excluded.secret_hash, revoked_at = null
                 where devices.revoked_at is not null
               returning device_id""",
            (device_name(name), hash_password(password)),
        ).fetchone()
    except UniqueViolation:  # another site's device: the unique index sees what the policy hides
        raise DeviceExists from None
    if row is None:
        raise DeviceExists
    tell_broker(conn)
    return password


def revoke_device(conn: Connection, device_id: int) -> None:
    """Shut a device out. Raises NotFound."""
    done = conn.execute(
        "update devices set revoked_at = now() where device_id = %s and revoked_at is null", (device_id,)
    )
    if done.rowcount == 0:
        raise NotFound
    tell_broker(conn)


def tell_broker(conn: Connection) -> None:
    """After the commit, whoever runs the broker reads its users again."""
    conn.execute("select pg_notify(%s, current_site()::text)", (DEVICES,))
