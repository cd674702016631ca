"""The same POST twice has one effect: its key is claimed, and its answer kept, in the transaction of the effect itself.

A second request with the key waits at the unique index until the first has committed or rolled back; then it gets the
first one's answer, or does the work. Errors are not kept: their transaction left no trace, so a retry may succeed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.errors import KeyReused
from api.gate import BODY_DIGEST
from core.errors import Conflict, Invalid

HEADER = "idempotency-key"
KEY = re.compile(r"[\x21-\x7e]{1,200}")
KEPT_FOR = timedelta(days=7)
KEPT_HEADERS = ("etag", "location")


class ShownOnce(Conflict):
    """This was done already, and its secret is shown only once. Revoke it and make a new one."""

    code = "shown_once"


class Replay(Exception):
    """Ends a request whose answer is known already."""

    def __init__(self, response: Response) -> None:
        self.response = response


@dataclass(slots=True)
class Claim:
    """A key that this request holds until its transaction ends."""

    conn: Connection
    user_id: int
    key: str
    secret: bool = False  # the answer holds a secret, which is not kept

    def keep(self, response: Response) -> None:
        """Store the answer beside its key."""
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        text = "" if self.secret else bytes(response.body).decode()
        self.conn.execute(
            """update idempotency set status = %s, body = to_jsonb(%s::text), headers = %s
               where user_id = %s and key = %s""",
            (response.status_code, text, json.dumps(headers | {"secret": self.secret}), self.user_id, self.key),
        )


def claim(conn: Connection, request: Request, *, user_id: int) -> Claim | None:
    """Claim the request's key, if it brings one; raises Replay when its answer is known, KeyReused, ShownOnce."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST":
        return None
    if not KEY.fullmatch(key):
        raise Invalid("The Idempotency-Key must have 1 to 200 visible ASCII characters.")
    fingerprint = _fingerprint(request)
    row = conn.execute(
        """insert into idempotency (user_id, key, request, status, body) values (%s, %s, %s, 0, 'null')
           on conflict do nothing returning 1""",
        (user_id, key, fingerprint),
    ).fetchone()
    if row is None:
        _answer(conn, key, user_id=user_id, fingerprint=fingerprint)
    return Claim(conn, user_id, key)


def _answer(conn: Connection, key: str, *, user_id: int, fingerprint: bytes) -> None:
    row = conn.execute(
        "select request, status, body #>> '{}', headers from idempotency where user_id = %s and key = %s",
        (user_id, key),
    ).fetchone()
    if row is None or bytes(row[0]) != fingerprint:
        raise KeyReused
    _, status, text, headers = row
    if headers.pop("secret"):
        raise ShownOnce
    replayed = headers | {"idempotency-replayed": "true"}
    raise Replay(Response(text, status, replayed, media_type="application/json" if text else None))


def _fingerprint(request: Request) -> bytes:
    parts = (request.method, request.url.path, request.url.query, request.headers.get("if-match", ""))
    body: bytes = request.scope.get(BODY_DIGEST, b"")
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + body).digest()


def sweep(conn: Connection, *, now: datetime) -> int:
    """Forget keys of the current site older than a week; returns how many."""
    return conn.execute("delete from idempotency where made_at < %s", (now - KEPT_FOR,)).rowcount
