"""What people's verdicts teach: precision of every detector, silence after "nothing found", a new baseline.

``on_closed`` is told by the ticket core, in the transaction that closes or cancels an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.base import FindingKind
from maintenance import alarms, guard, store
from maintenance.alarms import AlarmState
from maintenance.decide import MuteWhy
from maintenance.model import Policy
from maintenance.store import KeptAlarm
from tickets.model import CANCELLED, Ticket, Verdict

POLICY = Policy()
RIGHT = frozenset({"confirmed", "other_fault"})
REPAIRED = frozenset({Verdict.CONFIRMED, Verdict.OTHER_FAULT})


@dataclass(frozen=True, slots=True)
class Precision:
    """How often a detector's orders were right: ``verdicts`` counts each word, ``precision`` is right ÷ judged."""

    detector: str
    asset_id: int
    mode: str
    verdicts: dict[str, int]
    precision: float


def on_closed(conn: Connection, ticket: Ticket, now: datetime) -> None:
    """Label the order's alarms with the verdict, clear them, and let the detectors learn. Safe to be told twice."""
    conn.execute(
        "update verifications set settled_at = %s where ticket_id = %s and settled_at is null", (now, ticket.ticket_id)
    )
    for kept in store.alarms_of_ticket(conn, ticket.ticket_id):
        if ticket.status == CANCELLED:
            _mute(conn, kept, ticket, MuteWhy.REJECTED, now)
        elif ticket.verdict is not None:
            _label(conn, kept, ticket, now)
            if ticket.verdict is Verdict.NOTHING_FOUND:
                _mute(conn, kept, ticket, MuteWhy.NOTHING_FOUND, now)
        if kept.alarm.state is not AlarmState.CLEARED:
            store.save_alarm(conn, replace(kept, alarm=alarms.cleared(kept.alarm, at=now)))
    if ticket.status != CANCELLED and ticket.verdict in REPAIRED and _verified(conn, ticket):
        guard.ask_detectors(conn, ticket.asset_id, "relearn", now)


def precision(conn: Connection) -> list[Precision]:
    """Precision of every (detector, asset, mode) that has verdicts, by detector, asset and mode."""
    found: dict[tuple[str, int, str], dict[str, int]] = {}
    for detector, asset_id, mode, verdict, count in conn.execute(
        """select detector, asset_id, mode, verdict, count(*) from verdicts
           group by detector, asset_id, mode, verdict order by detector, asset_id, mode, verdict"""
    ):
        found.setdefault((detector, asset_id, mode), {})[verdict] = count
    return [Precision(*key, counts, share_right(counts, mode=key[2])) for key, counts in found.items()]


def share_right(counts: dict[str, int], *, mode: str = "") -> float:
    """Right ÷ judged of one detector's verdicts (at least one); of a sensor's fault, *sensor* is the right answer."""
    right = RIGHT | {"sensor"} if mode.startswith(("sensor:", "source:")) else RIGHT
    return sum(count for verdict, count in counts.items() if verdict in right) / sum(counts.values())


def overall(judged: Iterable[Precision]) -> float | None:
    """Right ÷ judged over several assets and modes; None when nobody has judged."""
    counted = [(each.precision, sum(each.verdicts.values())) for each in judged]
    total = sum(count for _, count in counted)
    return sum(share * count for share, count in counted) / total if total else None


def _label(conn: Connection, kept: KeptAlarm, ticket: Ticket, now: datetime) -> None:
    """The verdict labels each alarm of the order."""
    if kept.kind is FindingKind.SENSOR and ticket.done_at is None:
        return  # nobody looked: the sensor recovered by itself
    conn.execute(
        """insert into verdicts (ticket_id, alarm_id, asset_id, detector, mode, verdict, failure_code, given_by,
             given_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing""",
        (
            ticket.ticket_id,
            kept.alarm_id,
            kept.asset_id,
            kept.detector,
            kept.mode,
            ticket.verdict,
            ticket.failure_code,
            ticket.assignee_name or "",
            ticket.done_at or now,
        ),
    )


def _mute(conn: Connection, kept: KeptAlarm, ticket: Ticket, why: MuteWhy, now: datetime) -> None:
    conn.execute(
        """insert into mutes (asset_id, kind, mode, contributions, why, health, ticket_id, made_at, until)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing""",
        (
            kept.asset_id,
            kept.kind.value,
            kept.mode,
            Jsonb(store.evidence_json(kept.evidence)),
            why.value,
            kept.health,
            ticket.ticket_id,
            now,
            now + POLICY.mute,
        ),
    )


def _verified(conn: Connection, ticket: Ticket) -> bool:
    row = conn.execute("select 1 from verifications where ticket_id = %s", (ticket.ticket_id,)).fetchone()
    return row is not None
