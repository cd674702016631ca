"""The outbox of webhooks: a message is written in the transaction of what it tells, and sent by a job after it."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from core import jobs
from core.errors import Conflict, NotFound
from tickets.chain import canonical, time_text
from tickets.rows import one
from tickets.rules import targets
from tickets.rules.errors import BadRule, BadTarget
from tickets.rules.model import CODE, Rule
from tickets.rules.world import World

JOB = "rules.webhook"
SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where messages go. The secret is shown once, when it is made."""

    endpoint_id: int
    code: str
    url: str
    status: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message and what became of it."""

    delivery_id: int
    message_id: str
    ref: str | None
    made_at: datetime
    state: str
    attempts: int
    next_at: datetime | None
    status_code: int | None
    answer: str
    settled_at: datetime | None
    replays: int  # by hand


def put(conn: Connection, rule: Rule, world: World, *, endpoint: str, kind: str) -> str:
    """Keep a message for the endpoint and enqueue its sending; returns its id. Raises NotFound, BadTarget."""
    missing = f"There is no webhook {endpoint!r} on this site."
    query = "select endpoint_id, status from webhook_endpoints where code = %s"
    endpoint_id, status = one(conn, query, (endpoint,), missing=missing)
    if status != "on":
        raise BadTarget(f"The webhook {endpoint!r} is switched off.")
    message_id = f"msg_{uuid.uuid4().hex}"
    (delivery_id,) = one(
        conn,
        """insert into webhook_deliveries (endpoint_id, rule_id, ticket_id, message_id, body, made_at, next_at)
           values (%s, %s, %s, %s, %s, %s, %s) returning delivery_id""",
        (endpoint_id, rule.rule_id, world.ticket_id, message_id, body(rule, world, kind), world.now, world.now),
    )
    jobs.later(conn, JOB, {"delivery_id": delivery_id})
    return message_id


def body(rule: Rule, world: World, kind: str) -> str:
    """The message as JSON: type, timestamp, data."""
    data = {
        "rule": rule.code,
        "ticket": world.part("ticket"),
        "event": world.part("event"),
        "actor": world.part("actor"),
    }
    return canonical(_plain({"type": kind, "timestamp": world.happening.at, "data": data}))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


# -- endpoints --------------------------------------------------------------------------------------------------------


def new_secret() -> str:
    """A signing secret in the usual form."""
    return targets.PREFIX + targets.encode(secrets.token_bytes(SECRET_BYTES))


def add(conn: Connection, *, code: str, url: str, now: datetime) -> tuple[Endpoint, str]:
    """A new endpoint and its secret. Raises BadTarget, BadRule."""
    if not CODE.fullmatch(code):
        raise BadRule("A webhook's name is made of a–z, 0–9 and . _ - , up to 64 characters.")
    targets.parse(url)
    secret = new_secret()
    row = conn.execute(
        """insert into webhook_endpoints (code, url, secret, made_at) values (%s, %s, %s, %s)
           on conflict (site_id, code) do nothing returning endpoint_id""",
        (code, url, secret, now),
    ).fetchone()
    if row is None:
        raise BadRule(f"There is a webhook {code!r} already.")
    return Endpoint(row[0], code, url, "on", now), secret


def change(conn: Connection, endpoint_id: int, *, url: str | None, status: str | None) -> Endpoint:
    """Another address, or on and off. Raises NotFound, BadTarget."""
    if url is not None:
        targets.parse(url)
    row = one(
        conn,
        """update webhook_endpoints set url = coalesce(%s, url), status = coalesce(%s, status) where endpoint_id = %s
           returning endpoint_id, code, url, status, made_at""",
        (url, status, endpoint_id),
        missing=f"There is no webhook {endpoint_id} on this site.",
    )
    return Endpoint(*row)


def renew_secret(conn: Connection, endpoint_id: int) -> str:
    """A new secret; for a day messages are signed with the one before as well. Raises NotFound."""
    secret = new_secret()
    changed = conn.execute(
        """update webhook_endpoints set old_secret = secret, old_until = now() + %s, secret = %s
           where endpoint_id = %s""",
        (OVERLAP, secret, endpoint_id),
    )
    if changed.rowcount == 0:
        raise NotFound(f"There is no webhook {endpoint_id} on this site.")
    return secret


def endpoints(conn: Connection) -> list[Endpoint]:
    """All of the site, by name."""
    rows = conn.execute("select endpoint_id, code, url, status, made_at from webhook_endpoints order by code")
    return [Endpoint(*row) for row in rows]


def replay(conn: Connection, endpoint_id: int, delivery_id: int, *, now: datetime) -> Delivery:
    """Send a settled message once more, under the same id and from the first attempt on. Raises NotFound, Conflict."""
    (state,) = one(
        conn,
        "select state from webhook_deliveries where endpoint_id = %s and delivery_id = %s for update",
        (endpoint_id, delivery_id),
        missing=f"There is no message {delivery_id} of this webhook; they are kept for 30 days.",
    )
    if state == "waiting":
        raise Conflict("The message waits for its next attempt already.")
    conn.execute(
        """update webhook_deliveries set state = 'waiting', attempts = 0, next_at = %s, settled_at = null,
             replays = replays + 1 where delivery_id = %s""",
        (now, delivery_id),
    )
    jobs.later(conn, JOB, {"delivery_id": delivery_id})
    return deliveries(conn, endpoint_id, before=delivery_id + 1, limit=1)[0]


def deliveries(conn: Connection, endpoint_id: int, *, before: int | None = None, limit: int = 50) -> list[Delivery]:
    """What was sent, newest first. Raises NotFound."""
    if conn.execute("select 1 from webhook_endpoints where endpoint_id = %s", (endpoint_id,)).fetchone() is None:
        raise NotFound(f"There is no webhook {endpoint_id} on this site.")
    rows = conn.execute(
        """select d.delivery_id, d.message_id, t.ref, d.made_at, d.state, d.attempts, d.next_at, d.status_code,
             d.answer, d.settled_at, d.replays from webhook_deliveries d left join tickets t using (ticket_id)
           where d.endpoint_id = %s and (%s::bigint is null or d.delivery_id < %s)
           order by d.delivery_id desc limit %s""",
        (endpoint_id, before, before, limit),
    )
    return [Delivery(*row) for row in rows]
