"""What convinced us, frozen when an order opens and when it closes; and the pack that proves it without us.

    order opens, closes ──job──> freeze: signals, limits, findings, diagnosis, forecast, decision ──> evidence_frozen
                                                    its SHA-256 ──> the order's timeline (hash chain) ──> signed root
    pack  pack_year      frozen files, timeline, root and its path, pages ──> one signed zip (``evidence_seal``)

What retention deletes later stays in what was frozen.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from psycopg import Connection

from core import jobs
from core.errors import NotFound
from maintenance import libraries, moments, queries, store
from maintenance.evidence_seal import FROZEN, path_of
from maintenance.model import top
from plant import assets, telemetry
from plant.model import Role, Signal
from tickets import service
from tickets import store as tickets_store
from tickets.chain import canonical, time_text
from tickets.hooks import Change
from tickets.model import SYSTEM, Event, Ticket, TicketKind

JOB = "maintenance.freeze"
FORMAT = 1
BEFORE = timedelta(hours=48)  # of signals before the deviation began
WITHOUT_ALARM = timedelta(hours=72)
MOST_SIGNALS = 8
POINTS = 2000
MOST_FINDINGS = 500
KINDS = frozenset({TicketKind.PREVENTIVE, TicketKind.CORRECTIVE, TicketKind.INSPECTION, TicketKind.SENSOR_FAULT})


class What(StrEnum):
    """When it was frozen."""

    OPENED = "opened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Frozen:
    """Evidence as it was. ``content`` is canonical JSON, ``sha256`` its hash, as the timeline says too."""

    ticket_id: int
    what: What
    attempt: int
    frozen_at: datetime
    content: bytes
    sha256: bytes

    @property
    def name(self) -> str:
        return f"{self.what}.json" if self.attempt == 1 else f"{self.what}-{self.attempt}.json"

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found


# -- freezing ---------------------------------------------------------------------------------------------------------


def on_event(conn: Connection, change: Change) -> None:
    """Ask for the freezing of an order that opened or closed just now; ``tickets.hooks.OnEvent``."""
    ticket, before = change.ticket, change.before
    if ticket.asset_id is None or ticket.kind not in KINDS:
        return
    if before is None:
        ask(conn, ticket.ticket_id, What.OPENED)
    if ticket.status == "closed" and (before is None or before.status != "closed"):
        ask(conn, ticket.ticket_id, What.CLOSED)


def ask(conn: Connection, ticket_id: int, what: What) -> None:
    """Freeze soon after this transaction; its alarm names the order by then."""
    jobs.later(conn, JOB, {"ticket_id": ticket_id, "what": what.value}, key=f"freeze:{ticket_id}:{what}")


@jobs.job(JOB)
def freeze_job(conn: Connection, payload: dict[str, Any], now: datetime) -> None:
    freeze(conn, int(payload["ticket_id"]), What(payload["what"]), now=now)


def freeze(conn: Connection, ticket_id: int, what: What, *, now: datetime) -> Frozen:
    """Freeze the order's evidence as of its opening or closing, and say its hash on the timeline. Freezing the same
    moment again gives what was frozen. Raises NotFound."""
    ticket = tickets_store.lock(conn, ticket_id)
    attempt = 1 if what is What.OPENED else max(1, _closings(conn, ticket_id))
    known = [each for each in frozen(conn, ticket_id) if (each.what, each.attempt) == (what, attempt)]
    if known:
        return known[0]
    content = canonical(gather(conn, ticket, what, now=now)).encode()
    made = Frozen(ticket_id, what, attempt, now, content, hashlib.sha256(content).digest())
    conn.execute(
        """insert into evidence_frozen (ticket_id, what, attempt, frozen_at, content, sha256)
           values (%s, %s, %s, %s, %s, %s)""",
        (ticket_id, what.value, attempt, now, content, made.sha256),
    )
    body = {"what": what.value, "attempt": attempt, "sha256": made.sha256.hex(), "bytes": len(content)}
    service.note_evidence(conn, SYSTEM, ticket_id, kind=FROZEN, body=body, now=now)
    return made


def frozen(conn: Connection, ticket_id: int) -> list[Frozen]:
    """All that was frozen of an order, oldest first."""
    rows = conn.execute(
        """select ticket_id, what, attempt, frozen_at, content, sha256 from evidence_frozen where ticket_id = %s
           order by what = 'closed', attempt""",
        (ticket_id,),
    ).fetchall()
    return [Frozen(row[0], What(row[1]), row[2], row[3], bytes(row[4]), bytes(row[5])) for row in rows]


def _closings(conn: Connection, ticket_id: int) -> int:
    return sum(
        each.kind == "transition" and each.body.get("to") == "closed"
        for each in tickets_store.timeline(conn, ticket_id)
    )


# -- what is frozen ---------------------------------------------------------------------------------------------------


def gather(conn: Connection, ticket: Ticket, what: What, *, now: datetime) -> dict[str, Any]:
    """All that the order rests on, as plain JSON: times RFC 3339, samples and limits in columns with ms since 1970."""
    if ticket.asset_id is None:
        raise NotFound(f"{ticket.ref} is about no machine: there is no evidence to freeze.")
    asset = assets.asset(conn, ticket.asset_id)
    until = (ticket.opened_at if what is What.OPENED else ticket.closed_at) or now
    alarms = [queries.alarm(conn, alarm_id) for alarm_id in _alarms(conn, ticket.ticket_id)]
    since = _since(ticket, alarms)
    signals = _signals(conn, ticket)
    found: dict[str, Any] = plain(
        {
            "format": FORMAT,
            "what": what.value,
            "frozen_at": now,
            "since": since,
            "until": until,
            "ticket": {name: getattr(ticket, name) for name in TICKET},
            "asset": {
                name: getattr(asset, name) for name in ("asset_id", "code", "name", "asset_class", "criticality")
            },
            "mode": queries.mode_json(conn, asset.asset_class, ticket.mode or "unknown"),
            "limits": _limits(conn, asset.asset_class, ticket.mode),
            "alarms": alarms,
            "detectors": _versions(conn, asset.asset_id, since, until),
            "findings": _findings(conn, asset.asset_id, since, until),
            "curve": _curve(conn, alarms),
            "verification": None if what is What.OPENED else queries.verification(conn, ticket.ticket_id),
            "signals": [_series(conn, each, since, until) for each in signals],
        }
    )
    return found


TICKET = (
    "ticket_id", "ref", "kind", "status", "priority", "title", "description", "mode", "channel", "skill", "opened_at",
    "respond_by", "resolve_by", "responded_at", "done_at", "closed_at", "verdict", "failure_code", "cost", "downtime_s",
    "assignee_name",
)  # fmt: skip


def plain(value: Any) -> Any:
    """Plain JSON: times as text, sets and tuples as lists, no infinities."""
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _alarms(conn: Connection, ticket_id: int) -> list[int]:
    rows = conn.execute("select alarm_id from alarms where ticket_id = %s order by alarm_id", (ticket_id,)).fetchall()
    return [row[0] for row in rows]


def _since(ticket: Ticket, alarms: Sequence[Mapping[str, Any]]) -> datetime:
    began = [each["started_at"] for each in alarms]
    return min(began) - BEFORE if began else ticket.opened_at - WITHOUT_ALARM


def _signals(conn: Connection, ticket: Ticket) -> list[Signal]:
    """The signals that say most, then what the machine was asked for, then the rest."""
    if ticket.asset_id is None:
        return []
    told = [each for kept in store.alarms_of_ticket(conn, ticket.ticket_id) for each in top(
        kept.evidence, share=1.0, most=MOST_SIGNALS
    )]  # fmt: skip
    rank = {signal_id: place for place, signal_id in enumerate(dict.fromkeys(told))}
    every = assets.signals(conn, ticket.asset_id)
    every.sort(key=lambda each: (rank.get(each.signal_id, len(rank)), each.role is Role.MEASURED, each.signal_id))
    return every[:MOST_SIGNALS]


def _series(conn: Connection, signal: Signal, since: datetime, until: datetime) -> dict[str, Any]:
    line = telemetry.read(conn, [signal.signal_id], since, until, max_points=POINTS)[signal.signal_id]
    bands = telemetry.read_bands(conn, signal.signal_id, since, until, max_points=POINTS)
    return {
        "signal_id": signal.signal_id,
        "code": signal.code,
        "name": signal.name,
        "unit": signal.unit,
        "role": signal.role.value,
        "resolution": str(line.resolution.value),
        "at": [int(us) // 1000 for us in line.at_us],
        "value": line.value.tolist(),
        "low": None if line.low is None else line.low.tolist(),
        "high": None if line.high is None else line.high.tolist(),
        "bands": {
            "at": [int(us) // 1000 for us in bands.at_us],
            "low": bands.low.tolist(),
            "expected": bands.expected.tolist(),
            "high": bands.high.tolist(),
        },
    }


def _limits(conn: Connection, asset_class: str, mode: str | None) -> list[dict[str, Any]]:
    """The library's signature of the failure mode: direction, weight, and the level at which people act."""
    if mode is None or ":" in mode:
        return []
    return [
        {
            "quantity": each.quantity,
            "words": list(each.words),
            "direction": each.direction,
            "weight": each.weight,
            "alert": each.alert,
            "unit": each.unit,
        }
        for each in libraries.mode(conn, asset_class, mode).symptoms
    ]


def _versions(conn: Connection, asset_id: int, since: datetime, until: datetime) -> list[dict[str, Any]]:
    rows = conn.execute(
        """select detector, version, min(at), max(at), count(*) from findings
           where asset_id = %s and at between %s and %s and withdrawn_at is null group by 1, 2 order by 1, 2""",
        (asset_id, since, until),
    ).fetchall()
    return [dict(zip(("detector", "version", "first_at", "last_at", "findings"), row, strict=True)) for row in rows]


def _findings(conn: Connection, asset_id: int, since: datetime, until: datetime) -> list[dict[str, Any]]:
    rows = conn.execute(
        """select at, started_at, detector, version, kind, mode, active, surprise, health, contributions from findings
           where asset_id = %s and at between %s and %s and withdrawn_at is null order by at desc, finding_id desc
           limit %s""",
        (asset_id, since, until, MOST_FINDINGS),
    ).fetchall()
    names = ("at", "started_at", "detector", "version", "kind", "mode", "active", "surprise", "health", "features")
    return [dict(zip(names, row, strict=True)) for row in reversed(rows)]


def _curve(conn: Connection, alarms: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The cost curve of the newest prediction that has one."""
    for prediction in (made for alarm in alarms for made in alarm["predictions"]):
        if moments.last(conn, prediction["prediction_id"]) is not None:
            return moments.shown(conn, prediction["prediction_id"])
    return None


# -- the chain that a pack holds --------------------------------------------------------------------------------------


def events_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """A timeline as a pack keeps it; each hash can be computed from what stands beside it."""
    return [
        {
            "ticket_id": each.ticket_id,
            "site_id": each.site_id,
            "seq": each.seq,
            "at": time_text(each.at),
            "actor": [each.actor.kind.value, each.actor.actor_id, each.actor.name],
            "kind": each.kind,
            "audience": each.audience.value,
            "body": each.body,
            "prev": each.prev_hash.hex(),
            "hash": each.hash.hex(),
        }
        for each in events
    ]


def leaf_of(ticket_id: int, events: int, digest: bytes) -> list[Any]:
    """A ticket's leaf in a root (``tickets.roots``)."""
    return [ticket_id, events, digest.hex()]


def roots_of(conn: Connection, ticket_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Ticket → the newest signed root that covers it, with the path from the ticket to the root."""
    rows = conn.execute(
        """select w.ticket_id, site_id, seq, at, horizon, ticket_ids, event_counts, head_hashes, root,
             prev_hash, hash, signature
           from audit_newest w join audit_roots r using (site_id, seq) where w.ticket_id = any(%s)""",
        (list(ticket_ids),),
    ).fetchall()
    return {row[0]: _root(row) for row in rows}


def _root(row: tuple[Any, ...]) -> dict[str, Any]:
    leaves = _leaves(row)
    index = list(row[5]).index(row[0])
    contents = [canonical(each).encode() for each in leaves]
    return {
        "site_id": row[1],
        "seq": row[2],
        "at": time_text(row[3]),
        "horizon": row[4],
        "leaves": len(leaves),
        "leaf": leaves[index],
        "path": [list(step) for step in path_of(contents, index)],
        "root": bytes(row[8]).hex(),
        "prev": bytes(row[9]).hex(),
        "hash": bytes(row[10]).hex(),
        "signature": bytes(row[11]).hex(),
    }


def _leaves(row: tuple[Any, ...]) -> list[list[Any]]:
    return [leaf_of(ident, count, bytes(digest)) for ident, count, digest in zip(row[5], row[6], row[7], strict=True)]


def year(number: int) -> tuple[datetime, datetime]:
    """From when until when (that excluded), UTC."""
    return datetime(number, 1, 1, tzinfo=UTC), datetime(number + 1, 1, 1, tzinfo=UTC)
