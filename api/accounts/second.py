"""The second factor by code: time-based one-time passwords (RFC 6238) and recovery codes. SQL.

A code is taken once: its time step must be newer than the last one taken. The secret is sealed, recovery codes (80
random bits) are kept as hashes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

import pyotp
from psycopg import Connection

from api.accounts.vault import Vault
from api.errors import CodesNotOn, WrongCode

ISSUER = "Millwright"
STEP_S = 30
DRIFT = (0, -1, 1)  # steps that a phone's clock may be off
RECOVERY_CODES, RECOVERY_BYTES = 10, 10


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs; shown once. ``uri`` is what the QR code says."""

    secret: str
    uri: str


def start(conn: Connection, user_id: int, *, login: str, vault: Vault, now: datetime) -> Enrolment:
    """A new secret, which counts once its first code was given. Raises WrongCode while codes are on already."""
    secret = pyotp.random_base32(32)
    done = conn.execute(
        """insert into totp_secrets as t (user_id, secret, made_at) values (%s, %s, %s)
           on conflict (user_id) do update set secret = excluded.secret, made_at = excluded.made_at, last_step = 0
           where t.confirmed_at is null""",
        (user_id, vault.seal(secret, purpose=_purpose(user_id)), now),
    )
    if done.rowcount == 0:
        raise WrongCode("Codes from an app are on already. Turn them off first.")
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER))


def confirm(conn: Connection, user_id: int, code: str, *, vault: Vault, now: datetime) -> list[str]:
    """The app works: codes are asked for from now on; returns the recovery codes. Raises WrongCode."""
    if not _take(conn, user_id, code, vault=vault, now=now, on=False):
        raise WrongCode
    conn.execute("update totp_secrets set confirmed_at = %s where user_id = %s", (now, user_id))
    return new_recovery(conn, user_id)


def check(conn: Connection, user_id: int, code: str, *, vault: Vault, now: datetime) -> str:
    """What kind of code it was, `code` or `recovery`, which is used up; '' when it fits neither."""
    plain = "".join(code.split()).replace("-", "").upper()
    if len(plain) == 6 and plain.isdigit():
        return "code" if _take(conn, user_id, plain, vault=vault, now=now, on=True) else ""
    used = conn.execute(
        "update recovery_codes set used_at = %s where user_id = %s and code_hash = %s and used_at is null",
        (now, user_id, _hash(plain)),
    )
    return "recovery" if used.rowcount else ""


def is_on(conn: Connection, user_id: int) -> bool:
    """Whether codes are asked for."""
    return bool(
        conn.execute(
            "select 1 from totp_secrets where user_id = %s and confirmed_at is not null", (user_id,)
        ).fetchone()
    )


def left(conn: Connection, user_id: int) -> int:
    """How many recovery codes are unused."""
    row = conn.execute(
        "select count(*) from recovery_codes where user_id = %s and used_at is null", (user_id,)
    ).fetchone()
    return int(row[0]) if row else 0


def new_recovery(conn: Connection, user_id: int) -> list[str]:
    """Ten new recovery codes, shown once; the old ones are void. Raises CodesNotOn."""
    if not is_on(conn, user_id):
        raise CodesNotOn
    made = [_recovery() for _ in range(RECOVERY_CODES)]
    conn.execute("delete from recovery_codes where user_id = %s", (user_id,))
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into recovery_codes (user_id, code_hash) values (%s, %s)",
            [(user_id, _hash(code.replace("-", ""))) for code in made],
        )
    return made


def turn_off(conn: Connection, user_id: int) -> bool:
    """No code is asked for any more; False when none was."""
    conn.execute("delete from recovery_codes where user_id = %s", (user_id,))
    return conn.execute("delete from totp_secrets where user_id = %s", (user_id,)).rowcount > 0


def _take(conn: Connection, user_id: int, code: str, *, vault: Vault, now: datetime, on: bool) -> bool:
    row = conn.execute(
        "select secret from totp_secrets where user_id = %s and (confirmed_at is not null) = %s", (user_id, on)
    ).fetchone()
    if row is None:
        return False
    totp, present = pyotp.TOTP(vault.opened(bytes(row[0]), purpose=_purpose(user_id))), int(now.timestamp()) // STEP_S
    fits = [step for step in (present + drift for drift in DRIFT) if _same(totp.generate_otp(step), code)]
    return bool(fits) and _is_first(conn, user_id, fits[0])


def _is_first(conn: Connection, user_id: int, step: int) -> bool:
    """Two requests with one code: the row's lock lets one of them through."""
    done = conn.execute(
        "update totp_secrets set last_step = %s where user_id = %s and last_step < %s", (step, user_id, step)
    )
    return done.rowcount == 1


def _same(right: str, given: str) -> bool:
    return hmac.compare_digest(right.encode(), given.encode())


def _recovery() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


def _purpose(user_id: int) -> str:
    return f"totp {user_id}"
