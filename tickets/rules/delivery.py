"""Sending the outbox: one attempt a job, at least once, with pauses that grow; whatever comes back is kept.

The message's id stays the same over all attempts, so that a receiver can drop what it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from psycopg import Connection

from core import clock, jobs
from tickets.rules import targets
from tickets.rules.errors import BadTarget
from tickets.rules.outbox import JOB
from tickets.rules.targets import Network, Target

PAUSES_S = (5, 30, 120, 600, 3_600, 4 * 3_600, 12 * 3_600)  # of the wall; then it has failed
TIMEOUT = httpx.Timeout(5.0, connect=3.0)
MOST_ANSWER = 2_000  # bytes of an answer that are read
SHOWN = 200
KEPT = timedelta(days=30)
GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt brought; status None: nobody answered."""

    status_code: int | None
    text: str

    @property
    def is_good(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


def attempt(conn: Connection, delivery_id: int, *, allowed: Sequence[Network], now: datetime) -> None:
    """Send a message that waits; its row says what became of it. Never raises for what the other side does."""
    row = conn.execute(
        """select d.message_id, d.body, d.attempts, e.url, e.secret, e.status,
             case when e.old_until > now() then e.old_secret end from webhook_deliveries d
           join webhook_endpoints e using (endpoint_id)
           where d.delivery_id = %s and d.state = 'waiting' for update of d skip locked""",
        (delivery_id,),
    ).fetchone()
    if row is None:
        return
    message_id, body, attempts, url, secret, status, old = row
    keys = [secret, *([old] if old else [])]
    if status != "on":
        _settle(conn, delivery_id, "refused", Answer(None, "The webhook is switched off."), now)
        return
    try:
        answer = send(targets.locate(url, allowed=allowed), secrets=keys, message_id=message_id, body=body)
    except BadTarget as error:
        _settle(conn, delivery_id, "refused", Answer(None, error.message), now)
        return
    if answer.is_good:
        _settle(conn, delivery_id, "delivered", answer, now)
    elif answer.status_code == GONE or attempts >= len(PAUSES_S):
        _settle(conn, delivery_id, "failed", answer, now)
    else:
        _again(conn, delivery_id, answer, timedelta(seconds=PAUSES_S[attempts]))


def send(target: Target, *, secrets: Sequence[str], message_id: str, body: str) -> Answer:
    """One POST to the address that was checked, signed with each secret; no redirect is followed, no proxy is used."""
    timestamp = int(clock.wall_now().timestamp())
    address = f"[{target.address}]" if ":" in target.address else target.address
    host = f"[{target.host}]" if ":" in target.host else target.host
    headers = {
        "host": host if target.port in (80, 443) else f"{host}:{target.port}",
        "content-type": "application/json",
        "user-agent": "millwright-webhook",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            targets.signature(each, message_id=message_id, timestamp=timestamp, body=body) for each in secrets
        ),
    }
    url = f"{target.scheme}://{address}:{target.port}{target.path}"
    try:
        with (
            httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client,
            client.stream(
                "POST", url, content=body.encode(), headers=headers, extensions={"sni_hostname": target.host}
            ) as response,
        ):
            return Answer(response.status_code, _beginning(response))
    except httpx.HTTPError as error:
        return Answer(None, f"{type(error).__name__}: {error}"[:SHOWN])


def _beginning(response: httpx.Response) -> str:
    read = b""
    for piece in response.iter_raw(1024):
        read += piece
        if len(read) >= MOST_ANSWER:
            break
    return read[:MOST_ANSWER].decode("utf-8", "replace").replace("\x00", "")[:SHOWN]


def _settle(conn: Connection, delivery_id: int, state: str, answer: Answer, now: datetime) -> None:
    conn.execute(
        """update webhook_deliveries set state = %s, attempts = attempts + 1, next_at = null, status_code = %s,
             answer = %s, settled_at = %s where delivery_id = %s""",
        (state, answer.status_code, answer.text, now, delivery_id),
    )


def _again(conn: Connection, delivery_id: int, answer: Answer, pause: timedelta) -> None:
    due = clock.load(conn).plant(clock.wall_now() + pause)
    conn.execute(
        """update webhook_deliveries set attempts = attempts + 1, next_at = %s, status_code = %s, answer = %s
           where delivery_id = %s""",
        (due, answer.status_code, answer.text, delivery_id),
    )
    jobs.at(conn, due, JOB, {"delivery_id": delivery_id})


def forget(conn: Connection, now: datetime) -> int:
    """Delete settled deliveries that are older than KEPT."""
    return conn.execute(
        "delete from webhook_deliveries where state <> 'waiting' and made_at < %s", (now - KEPT,)
    ).rowcount
