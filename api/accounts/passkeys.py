"""Passkeys (WebAuthn level 2): registration, and signing in without typing a name. SQL.

The challenge is a random number with its end and a tag of ours, so that nobody fills the database by asking for one;
an answered challenge is kept until its end, so that none is answered twice. The authenticator must have asked for a
finger, a face or a PIN (user verification): a passkey is two factors at once.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import webauthn
from psycopg import Connection
from webauthn.helpers import base64url_to_bytes, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from api.accounts.vault import Vault
from api.errors import NoPasskeysHere, PasskeyRefused
from core.errors import Conflict, NotFound

LIFE = timedelta(minutes=5)
RANDOM, END, TAG = 16, 8, 16  # bytes of a challenge
ADDING, SIGNING_IN = "passkey add", "passkey in"
MOST = 20  # of one person


@dataclass(frozen=True, slots=True)
class Party:
    """Whom a passkey is for: the name in the browser's address line, and the whole origin."""

    rp_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Passkey:
    passkey_id: str
    name: str
    made_at: datetime
    used_at: datetime | None
    backed_up: bool


def party(origin: str) -> Party:
    """The relying party of an origin. Raises NoPasskeysHere for an IP address, which browsers refuse."""
    host = origin.partition("://")[2].rpartition(":")[0] if origin.count(":") > 1 else origin.partition("://")[2]
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return Party(host, origin)
    raise NoPasskeysHere


def creation_options(
    conn: Connection, user_id: int, *, login: str, name: str, party: Party, vault: Vault, now: datetime
) -> dict[str, Any]:
    """What `navigator.credentials.create` needs, with binary values in base64url."""
    row = conn.execute("select handle from users where user_id = %s", (user_id,)).fetchone()
    known = conn.execute("select credential_id from passkeys where user_id = %s", (user_id,)).fetchall()
    options = webauthn.generate_registration_options(
        rp_id=party.rp_id,
        rp_name="Millwright",
        user_id=bytes(row[0]) if row else b"",
        user_name=login,
        user_display_name=name,
        challenge=challenge(vault, f"{ADDING} {user_id}", now=now),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=bytes(each[0])) for each in known],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def add(
    conn: Connection,
    user_id: int,
    credential: Mapping[str, Any],
    *,
    name: str,
    party: Party,
    vault: Vault,
    now: datetime,
) -> Passkey:
    """Keep a new passkey. Raises PasskeyRefused, Conflict for one that is known already or one too many."""
    asked = _answered(conn, credential, vault=vault, purpose=f"{ADDING} {user_id}", now=now)
    try:
        verified = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=asked,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise PasskeyRefused from error
    if len(listed(conn, user_id)) >= MOST:
        raise Conflict(f"An account has at most {MOST} passkeys. Remove one that is not used any more.")
    row = conn.execute(
        """insert into passkeys (credential_id, user_id, public_key, sign_count, name, backed_up, made_at)
           values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing returning 1""",
        (
            *(verified.credential_id, user_id, verified.credential_public_key, verified.sign_count),
            *(name, verified.credential_backed_up, now),
        ),
    ).fetchone()
    if row is None:
        raise Conflict("This passkey is known already.")
    return Passkey(_ident(verified.credential_id), name, now, None, verified.credential_backed_up)


def request_options(*, party: Party, vault: Vault, now: datetime) -> dict[str, Any]:
    """What `navigator.credentials.get` needs; no name is asked for, and none is told."""
    options = webauthn.generate_authentication_options(
        rp_id=party.rp_id,
        challenge=challenge(vault, SIGNING_IN, now=now),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def owner(conn: Connection, credential: Mapping[str, Any], *, party: Party, vault: Vault, now: datetime) -> int:
    """Whose passkey answered. Raises PasskeyRefused, in the same words whatever is wrong."""
    asked = _answered(conn, credential, vault=vault, purpose=SIGNING_IN, now=now)
    row = conn.execute(
        """select p.user_id, p.public_key, p.sign_count, u.handle from passkeys p join users u using (user_id)
           where p.credential_id = %s and u.disabled_at is null and u.kind = 'person' for update of p""",
        (_bytes(credential, "rawId"),),
    ).fetchone()
    if row is None or bytes(row[3]) != _bytes(credential["response"], "userHandle"):
        raise PasskeyRefused
    try:
        verified = webauthn.verify_authentication_response(
            credential=dict(credential),
            expected_challenge=asked,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            credential_public_key=bytes(row[1]),
            credential_current_sign_count=row[2],
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise PasskeyRefused from error
    conn.execute(
        "update passkeys set sign_count = %s, used_at = %s, backed_up = %s where credential_id = %s",
        (verified.new_sign_count, now, verified.credential_backed_up, verified.credential_id),
    )
    return int(row[0])


def listed(conn: Connection, user_id: int) -> list[Passkey]:
    """A person's passkeys, oldest first."""
    rows = conn.execute(
        """select credential_id, name, made_at, used_at, backed_up from passkeys where user_id = %s
           order by made_at, credential_id""",
        (user_id,),
    )
    return [Passkey(_ident(bytes(row[0])), *row[1:]) for row in rows]


def remove(conn: Connection, user_id: int, passkey_id: str) -> str:
    """Forget one passkey; returns its name. Raises NotFound."""
    for credential_id, name in conn.execute(
        "select credential_id, name from passkeys where user_id = %s", (user_id,)
    ).fetchall():
        if _ident(bytes(credential_id)) == passkey_id:
            conn.execute("delete from passkeys where credential_id = %s", (credential_id,))
            return str(name)
    raise NotFound


def remove_all(conn: Connection, user_id: int) -> int:
    """Forget every passkey of a person; returns how many."""
    return conn.execute("delete from passkeys where user_id = %s", (user_id,)).rowcount


def challenge(vault: Vault, purpose: str, *, now: datetime) -> bytes:
    """A number to be signed: random, its end in seconds since the epoch, and our tag for the purpose."""
    body = secrets.token_bytes(RANDOM) + int((now + LIFE).timestamp()).to_bytes(END)
    return body + vault.sign(body, purpose=purpose)[:TAG]


def _answered(conn: Connection, credential: Mapping[str, Any], *, vault: Vault, purpose: str, now: datetime) -> bytes:
    """The challenge that was answered, if it is ours, in time, and for the first time. Raises PasskeyRefused."""
    try:
        asked = parse_client_data_json(_bytes(credential["response"], "clientDataJSON")).challenge
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise PasskeyRefused from error
    body, tag = asked[: RANDOM + END], asked[RANDOM + END :]
    ends = int.from_bytes(body[RANDOM:])
    if not hmac.compare_digest(tag, vault.sign(body, purpose=purpose)[:TAG]) or ends <= now.timestamp():
        raise PasskeyRefused
    first = conn.execute(
        "insert into answered_challenges values (%s, to_timestamp(%s)) on conflict do nothing",
        (hashlib.sha256(asked).digest(), ends),
    )
    if first.rowcount == 0:
        raise PasskeyRefused
    return asked


def _bytes(source: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64url_to_bytes(str(source.get(name) or ""))
    except ValueError as error:
        raise PasskeyRefused from error


def _ident(credential_id: bytes) -> str:
    """Names a passkey in addresses; 64 bits of its hash."""
    return hashlib.sha256(credential_id).hexdigest()[:16]
