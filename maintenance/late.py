"""What judging a time again has changed: new findings are told, those that no longer hold are withdrawn.

    Rejudged ──> not told yet: on_finding, in order ──┐
             └─> told, but gone: marked withdrawn ────┴──> each alarm as the last finding that stands has it

Nothing is deleted: a withdrawn finding stays with the time it was withdrawn at. An alarm whose findings are gone goes
back to normal like one whose deviation has ended, so it clears after its delay, and its order says so. An order that
opens late says so too. One transaction's work, no commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from detectors.base import Changed, Finding, FindingKind, Rejudged, Sentence
from maintenance import orders, service, standing, store
from maintenance.model import Policy, Reason
from maintenance.replay import marks
from maintenance.standing import Standing
from maintenance.turn import Turn

Key = tuple[str, str, str, datetime, bool, str]  # detector, kind, mode, at, active, subject
Stream = tuple[str, str, str, str]  # detector, kind; of a sensor also mode and subject: what is active or not as one
SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class _Difference:
    fresh: Sequence[Finding]
    gone: Sequence[Standing]
    same: Sequence[tuple[int, Finding]]  # with other numbers


def on_rejudged(conn: Connection, rejudged: Rejudged, now: datetime, *, policy: Policy = service.POLICY) -> Changed:
    """Bring findings, alarms and orders to what is known now. ``now`` is plant time. Raises NotFound."""
    store.lock_asset(conn, rejudged.asset_id)
    marks.rejudged(conn, rejudged.asset_id, from_at=rejudged.from_at, until_at=rejudged.until_at, now=now)
    found = _difference(conn, rejudged)
    for finding_id, finding in found.same:
        standing.renew(conn, finding_id, finding)
    if not (found.fresh or found.gone):
        return Changed(0, 0)
    ordered = _orders(conn, rejudged.asset_id)
    standing.withdraw(conn, [each.finding_id for each in found.gone], at=now)
    for finding in found.fresh:
        service.on_finding(conn, finding, now, policy=policy)
    _set_right(conn, rejudged, found, now, policy)
    _tell_orders(conn, rejudged, found, ordered, now)
    return Changed(len(found.fresh), len(found.gone))


def _difference(conn: Connection, rejudged: Rejudged) -> _Difference:
    told = standing.standing(conn, rejudged.asset_id, since=rejudged.from_at, until=rejudged.until_at)
    known = {_key_of_standing(each): each for each in told}
    says = {_key(each): each for each in rejudged.findings}
    return _Difference(
        [each for key, each in says.items() if key not in known],
        [each for key, each in known.items() if key not in says],
        [(known[key].finding_id, each) for key, each in says.items() if key in known and _other(known[key], each)],
    )


def _other(kept: Standing, finding: Finding) -> bool:
    """Whether the numbers have changed."""
    return kept.surprise != min(finding.surprise, store.SURE) or kept.started_at != finding.started_at


def _set_right(conn: Connection, rejudged: Rejudged, found: _Difference, now: datetime, policy: Policy) -> None:
    """Findings were told out of order: let each alarm end up as the last finding that stands has it."""
    told = {_stream(each): each for each in found.fresh}  # the last of each
    gone = {_stream_of_standing(each): each for each in found.gone}
    for stream in sorted(told.keys() | gone.keys()):
        detector, kind, mode, subject = stream
        stands = standing.last_is_active(
            conn,
            rejudged.asset_id,
            detector=detector,
            kind=kind,
            mode=mode,
            subject=subject,
            until=rejudged.until_at,
        )
        last = told.get(stream) or gone[stream]
        if stands and not last.active:
            again = [each for each in rejudged.findings if _stream(each) == stream and each.active]
            _say(conn, again[-1:], now, policy)
        elif not stands and (stream in gone or last.active):
            _say(conn, [_end(rejudged, last)], now, policy)


def _say(conn: Connection, findings: Iterable[Finding], now: datetime, policy: Policy) -> None:
    """To the alarms alone: it is kept already, or is nothing that a detector said."""
    for finding in findings:
        turn = Turn(conn, finding.asset_id)
        service.judge(turn, finding, now, policy)
        turn.close()


def _end(rejudged: Rejudged, last: Finding | Standing) -> Finding:
    """The end of a deviation that was none. Nothing is deviating, so that it does no harm where nobody was told."""
    return Finding(
        detector=last.detector,
        version=last.version,
        kind=FindingKind(last.kind),
        asset_id=rejudged.asset_id,
        site_id=rejudged.site_id,
        failure_mode=last.failure_mode,
        started_at=min(last.started_at, rejudged.until_at),
        at=rejudged.until_at,
        surprise=0.0,
        active=False,
        contributions=dict(last.contributions),
        directions={},
        health=1.0,
        sentence=Sentence("withdrawn", {}),
    )


# -- what people are told ---------------------------------------------------------------------------------------------


def _orders(conn: Connection, asset_id: int) -> dict[int, str]:
    """Open orders of the asset's alarms, each with the detector of its alarm."""
    return dict(
        conn.execute(
            """select a.ticket_id, min(a.detector) from alarms a join tickets t using (ticket_id)
               where a.asset_id = %s and t.status not in ('closed', 'cancelled') group by a.ticket_id""",
            (asset_id,),
        ).fetchall()
    )


def _tell_orders(
    conn: Connection, rejudged: Rejudged, found: _Difference, before: dict[int, str], now: datetime
) -> None:
    """Say on an order that it opened late, or that some of its findings no longer hold."""
    hours = (now - rejudged.from_at).total_seconds() / SECONDS_AN_HOUR
    withdrawn = {each.detector for each in found.gone}
    for ticket_id, detector in sorted(_orders(conn, rejudged.asset_id).items()):
        ticket = orders.lock(conn, ticket_id)
        if ticket is None:
            continue
        if ticket_id not in before:
            orders.note(conn, ticket, detector, Reason("opened", {"hours": hours}), group="late", now=now)
        elif detector in withdrawn:
            count = sum(each.detector == detector for each in found.gone)
            values = {"hours": hours, "count": float(count)}
            orders.note(conn, ticket, detector, Reason("withdrawn", values), group="late", now=now)


# -- what is the same -------------------------------------------------------------------------------------------------


def _key(finding: Finding) -> Key:
    mode = finding.failure_mode or ""
    return finding.detector, finding.kind.value, mode, finding.at, finding.active, store.subject(finding)


def _key_of_standing(finding: Standing) -> Key:
    return finding.detector, finding.kind, finding.failure_mode or "", finding.at, finding.active, finding.subject


def _stream(finding: Finding) -> Stream:
    mode, subject = (finding.failure_mode or "", store.subject(finding)) if _of_sensor(finding.kind) else ("", "")
    return finding.detector, finding.kind.value, mode, subject


def _stream_of_standing(finding: Standing) -> Stream:
    mode, subject = (finding.failure_mode or "", finding.subject) if _of_sensor(finding.kind) else ("", "")
    return finding.detector, finding.kind, mode, subject


def _of_sensor(kind: str) -> bool:
    return kind == FindingKind.SENSOR.value
