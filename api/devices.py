"""Devices that may publish: their passwords, keys, certificates, and what was done to them. SQL.

The password is shown once and not kept: the broker gets its ``$7$`` hash, ingest the key that signatures are verified
with (``edge.envelope``), which the app may write and never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from api.errors import DeviceExists
from core import certificates
from core.broker_log import Denied
from core.broker_rules import device_name, hash_password, new_password
from core.errors import NotFound
from edge import envelope
from ingest.signatures import Signing

CHANNEL = "millwright_devices"
BROKER = "broker"


class DeviceKind(StrEnum):
    """A GATEWAY speaks for other machines, and signs what it sends unless told otherwise."""

    DEVICE = "device"
    GATEWAY = "gateway"

    @property
    def signing(self) -> Signing:
        return Signing.REQUIRED if self is DeviceKind.GATEWAY else Signing.OPTIONAL


@dataclass(frozen=True, slots=True)
class Device:
    """``certificate_…`` of the newest certificate that is not revoked; ``denied`` publishes within the last hour."""

    device_id: int
    name: str
    kind: str
    signing: str
    registered_at: datetime
    rotated_at: datetime | None
    revoked_at: datetime | None
    certificate_serial: str | None
    certificate_fingerprint: str | None
    certificate_expires_at: datetime | None
    denied: int


@dataclass(frozen=True, slots=True, repr=False)
class Made:
    """A device and its new password, which nobody is told again."""

    device_id: int
    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Event:
    event_id: int
    at: datetime
    device_id: int
    device: str
    actor: str
    kind: str
    detail: str


def devices(conn: Connection) -> list[Device]:
    """Devices of the current site, revoked ones too, by name."""
    with conn.cursor(row_factory=class_row(Device)) as cursor:
        return cursor.execute(
            """select device_id, name, kind, signing, registered_at, rotated_at, d.revoked_at,
                 c.serial as certificate_serial, c.fingerprint as certificate_fingerprint,
                 c.expires_at as certificate_expires_at,
                 (select coalesce(sum(count), 0)::int8 from device_denials n
                  where n.device_id = d.device_id and n.minute > now() - interval '1 hour') as denied
               from devices d left join lateral (
                 select serial, fingerprint, expires_at from device_certificates c
                 where c.device_id = d.device_id and c.revoked_at is null order by issued_at desc limit 1) c on true
               order by name"""
        ).fetchall()


def device(conn: Connection, device_id: int) -> Device:
    """One device of the current site. Raises NotFound."""
    found = next((each for each in devices(conn) if each.device_id == device_id), None)
    if found is None:
        raise NotFound
    return found


def living(conn: Connection, name: str) -> Device:
    """The device of this name that is not revoked. Raises NotFound."""
    found = next((each for each in devices(conn) if each.name == name and each.revoked_at is None), None)
    if found is None:
        raise NotFound(f"There is no living device {name!r} on this site. See `millwright device list`.")
    return found


def register(
    conn: Connection, name: str, *, actor: str, kind: DeviceKind = DeviceKind.DEVICE, signing: Signing | None = None
) -> Made:
    """Let a device publish as ``name`` on the current site; a revoked one comes back with a new password.

    Raises BrokerNameInvalid, DeviceExists. Broker users have no site, so a name is one device's in the whole instance.
    """
    password, signing = new_password(), signing or kind.signing
    digest, key = hash_password(password), _key(conn, device_name(name), password)
    try:
        row = conn.execute(
            """insert into devices (name, secret_hash, mac_key, kind, signing) values (%s, %s, %s, %s, %s)
               on conflict (site_id, name) do update set secret_hash = excluded.secret_hash, revoked_at = null,
                   kind = excluded.kind, signing = excluded.signing, mac_key = %s, rotated_at = now()
                 where devices.revoked_at is not null
               returning device_id""",
            (name, digest, key, kind, signing, key),
        ).fetchone()
    except UniqueViolation:  # another site's device: the unique index sees what the policy hides
        raise DeviceExists from None
    if row is None:
        raise DeviceExists
    _note(conn, row[0], actor, "registered", f"{kind}, signing {signing}")
    tell_broker(conn)
    return Made(row[0], name, password)


def rotate(conn: Connection, device_id: int, *, actor: str) -> Made:
    """A new password; the old one and every certificate open nothing any more. Raises NotFound."""
    name = _living_name(conn, device_id)
    password = new_password()
    conn.execute(
        "update devices set secret_hash = %s, mac_key = %s, rotated_at = now() where device_id = %s",
        (hash_password(password), _key(conn, name, password), device_id),
    )
    _note(conn, device_id, actor, "rotated")
    _revoke_certificates(conn, device_id, actor)
    tell_broker(conn)
    return Made(device_id, name, password)


def revoke(conn: Connection, device_id: int, *, actor: str) -> None:
    """Shut a device out, its open sessions too. Raises NotFound."""
    _living_name(conn, device_id)
    conn.execute("update devices set revoked_at = now() where device_id = %s", (device_id,))
    _note(conn, device_id, actor, "revoked")
    _revoke_certificates(conn, device_id, actor)
    tell_broker(conn)


def keep_certificate(conn: Connection, device_id: int, certificate: bytes, *, actor: str) -> str:
    """Know a certificate (PEM) that was issued to a device, so that it can be revoked; its serial. Raises NotFound."""
    _living_name(conn, device_id)
    serial, until = certificates.serial(certificate), certificates.expires(certificate)
    conn.execute(
        "insert into device_certificates (serial, device_id, fingerprint, expires_at) values (%s, %s, %s, %s)",
        (serial, device_id, certificates.fingerprint(certificate), until),
    )
    _note(conn, device_id, actor, "certificate_issued", f"serial {serial}, until {until:%Y-%m-%d}")
    return serial


def events(conn: Connection, *, before: int, limit: int, device_id: int | None = None) -> list[Event]:
    """What was done to the site's devices, newest first, older than event ``before``."""
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(
            """select event_id, at, device_id, name as device, actor, e.kind, detail
               from device_events e join devices using (device_id)
               where event_id < %s and device_id = coalesce(%s, device_id) order by event_id desc limit %s""",
            (before, device_id, limit),
        ).fetchall()


def denials(conn: Connection) -> dict[str, int]:
    """Denied publishes of the last hour by device of the current site; devices without any are left out."""
    rows = conn.execute(
        """select name, sum(count)::int8 from device_denials join devices using (device_id)
           where minute > now() - interval '1 hour' group by name"""
    )
    return dict(rows.fetchall())


def tell_broker(conn: Connection) -> None:
    """After the commit, whoever runs the broker reads its users again."""
    conn.execute("select pg_notify(%s, current_site()::text)", (CHANNEL,))


# as the ingest role, which sees all sites: for whoever runs the broker


def broker_users(conn: Connection) -> list[tuple[str, str]]:
    """Name and password hash of every device that is not revoked."""
    return conn.execute("select name, secret_hash from devices where revoked_at is null order by name").fetchall()


def revoked_certificates(conn: Connection) -> dict[str, str]:
    """Serial number → device of certificates that were revoked before their end."""
    rows = conn.execute(
        """select serial, name from device_certificates c join devices using (device_id)
           where c.revoked_at is not null and expires_at > now()"""
    )
    return dict(rows.fetchall())


def keep_denials(conn: Connection, counts: Mapping[str, Denied]) -> None:
    """Add denied publishes to this minute; the first of a device after a quiet hour is an event as well."""
    arguments = (
        list(counts),
        [each.count for each in counts.values()],
        [each.topic.replace("\x00", "\ufffd") for each in counts.values()],
    )
    conn.execute(
        """with told as (
             select distinct on (name) site_id, device_id, count, topic
             from unnest(%s::text[], %s::int8[], %s::text[]) as t(name, count, topic) join devices using (name)
             order by name, devices.revoked_at desc nulls first),
           noted as (
             insert into device_events (site_id, device_id, actor, kind, detail)
             select site_id, device_id, %s, 'publish_denied', 'to ' || topic from told
             where not exists (select from device_denials n
               where n.device_id = told.device_id and n.minute > now() - interval '1 hour'))
           insert into device_denials as n (site_id, device_id, minute, count, topic)
           select site_id, device_id, date_trunc('minute', now()), count, topic from told
           on conflict (device_id, minute) do update set count = n.count + excluded.count, topic = excluded.topic""",
        (*arguments, BROKER),
    )


def forget_denials(conn: Connection) -> None:
    """What is older than a week goes."""
    conn.execute("delete from device_denials where minute < now() - interval '7 days'")


def _living_name(conn: Connection, device_id: int) -> str:
    row = conn.execute(
        "select name from devices where device_id = %s and revoked_at is null for update", (device_id,)
    ).fetchone()
    if row is None:
        raise NotFound
    return str(row[0])


def _key(conn: Connection, name: str, password: str) -> bytes:
    row = conn.execute("select code from sites where site_id = current_site()").fetchone()
    if row is None:
        raise NotFound
    return envelope.key_of(password, site=row[0], device=name)


def _revoke_certificates(conn: Connection, device_id: int, actor: str) -> None:
    rows = conn.execute(
        """update device_certificates set revoked_at = now() where device_id = %s and revoked_at is null
           returning serial""",
        (device_id,),
    ).fetchall()
    for (serial,) in rows:
        _note(conn, device_id, actor, "certificate_revoked", f"serial {serial}")


def _note(conn: Connection, device_id: int, actor: str, kind: str, detail: str = "") -> None:
    conn.execute(
        "insert into device_events (device_id, actor, kind, detail) values (%s, %s, %s, %s)",
        (device_id, actor, kind, detail),
    )
