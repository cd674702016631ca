"""What people's verdicts teach: precision of every detector, silence after "nothing found", a new baseline, and how the
diagnosis weighs modes and signals.

``on_closed`` is told by the ticket core, in the transaction that closes or cancels an order; ``correct`` is a person
who has come to know better.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from psycopg import Connection

from detectors.base import FindingKind
from maintenance import alarms, guard, learning_store, libraries, mutes, policies, store, verdicts
from maintenance.alarms import AlarmState
from maintenance.decide import MuteWhy
from maintenance.errors import BadVerdict, StaleVerdict
from maintenance.store import KeptAlarm
from maintenance.verdicts import Precision, Said, overall, precision, share_right
from plant import assets
from tickets import failure_codes
from tickets import service as tickets
from tickets.model import CANCELLED, RIGHT_VERDICTS, Actor, Ticket, Verdict

__all__ = ["Precision", "correct", "on_closed", "overall", "precision", "share_right"]


def on_closed(conn: Connection, ticket: Ticket, now: datetime) -> None:
    """Label the order's alarms with the verdict, clear them, and let the detectors learn. Safe to be told twice."""
    conn.execute(
        "update verifications set settled_at = %s where ticket_id = %s and settled_at is null", (now, ticket.ticket_id)
    )
    for kept in store.alarms_of_ticket(conn, ticket.ticket_id):
        if ticket.status == CANCELLED:
            mutes.add(conn, kept, MuteWhy.REJECTED, now=now, ticket_id=ticket.ticket_id)
        elif ticket.verdict is not None:
            _label(conn, kept, ticket, now)
            if ticket.verdict is Verdict.NOTHING_FOUND:
                mutes.add(conn, kept, MuteWhy.NOTHING_FOUND, now=now, ticket_id=ticket.ticket_id)
        if kept.alarm.state is not AlarmState.CLEARED:
            store.save_alarm(conn, replace(kept, alarm=alarms.cleared(kept.alarm, at=now)))
    if ticket.status != CANCELLED and ticket.verdict in RIGHT_VERDICTS and _verified(conn, ticket):
        guard.ask_detectors(conn, ticket.asset_id, "relearn", now)


def correct(
    conn: Connection, actor: Actor, verdict_id: int, given: Said, *, reason: str, version: int | None, now: datetime
) -> Said:
    """Another verdict for one alarm of a closed order: the counts, the silence and the diagnosis follow at once.

    What was said before stays in the audit and on the order's timeline. The order itself keeps what its engineer
    signed. A proposal that was rejected has no order: it stays rejected, but its silence follows too. Raises
    NotFound, BadVerdict, StaleVerdict.
    """
    if not reason.strip():
        raise BadVerdict("Say why the verdict is corrected: a reading, a photograph, what the workshop found.")
    asset_id = verdicts.get(conn, verdict_id).asset_id
    store.lock_asset(conn, asset_id)
    before = verdicts.get(conn, verdict_id)
    ticket = None
    if before.ticket_id is not None:
        told = {"before": before.words(), "after": given.words(), "reason": reason.strip()}
        ticket = tickets.note_evidence(conn, actor, before.ticket_id, kind="verdict", body=told, now=now)
    if version is not None and before.version != version:
        raise StaleVerdict
    _check(conn, before, given)
    after = verdicts.change(conn, before, given, reason=reason.strip(), by=actor.name, now=now)
    kept = store.alarm(conn, before.alarm_id)
    _teach(conn, kept, after)
    if ticket is None:
        _silence_proposal(conn, kept, before, after, now)
    else:
        _silence(conn, kept, ticket, before, after, now)
    return after


def _silence(conn: Connection, kept: KeptAlarm, ticket: Ticket, before: Said, after: Said, now: datetime) -> None:
    """A fault after all: speak again. Nothing after all: be still from now on. A repair after all: a new baseline."""
    was, is_now = before.verdict == Verdict.NOTHING_FOUND, after.verdict == Verdict.NOTHING_FOUND
    if was and not is_now:
        verdicts.unmute(conn, ticket.ticket_id, now)
    if is_now and not was:
        mutes.add(conn, kept, MuteWhy.NOTHING_FOUND, now=now, ticket_id=ticket.ticket_id)
    if after.verdict in RIGHT_VERDICTS and before.verdict not in RIGHT_VERDICTS and _verified(conn, ticket):
        guard.ask_detectors(conn, kept.asset_id, "relearn", now)


def _silence_proposal(conn: Connection, kept: KeptAlarm, before: Said, after: Said, now: datetime) -> None:
    """A fault after all: the rejected proposal silences the alarm no longer. None after all: it does again."""
    if before.verdict not in RIGHT_VERDICTS and after.verdict in RIGHT_VERDICTS:
        verdicts.unmute_proposal(conn, kept.kind.value, before, now)
    if before.verdict in RIGHT_VERDICTS and after.verdict not in RIGHT_VERDICTS:
        policy = policies.of(conn, assets.asset(conn, kept.asset_id), kept.mode)
        verdicts.mute_proposal(conn, kept.kind.value, before, now + policy.mute)


def _check(conn: Connection, before: Said, given: Said) -> None:
    if given.verdict not in set(Verdict):
        raise BadVerdict(f"A verdict is {', '.join(Verdict)}; {given.verdict!r} is none of them.")
    if given.verdict == Verdict.OTHER_FAULT and not given.failure_code:
        raise BadVerdict("Another fault: name its failure mode; 'unknown' and 'other' are modes too.")
    known = {part: {each.code for each in failure_codes.catalogue(conn, part=part)} for part in failure_codes.Part}
    asset = assets.asset(conn, before.asset_id)
    own = {mode.code for mode in libraries.modes(conn, asset.asset_class)}
    named: tuple[tuple[failure_codes.Part, str | None, set[str]], ...] = (
        (failure_codes.Part.MODE, given.failure_code, own | {before.mode}),
        (failure_codes.Part.MECHANISM, given.mechanism, set()),
        (failure_codes.Part.CAUSE, given.cause, set()),
    )
    for part, code, more in named:
        if code and code not in known[part] | more:
            raise BadVerdict(f"There is no {part} {code!r}; GET /failure-codes lists them.")


def _label(conn: Connection, kept: KeptAlarm, ticket: Ticket, now: datetime) -> None:
    """The verdict labels each alarm of the order."""
    if kept.kind is FindingKind.SENSOR and ticket.done_at is None:
        return  # nobody looked: the sensor recovered by itself
    given = Said(
        verdict_id=0,
        ticket_id=ticket.ticket_id,
        alarm_id=kept.alarm_id,
        asset_id=kept.asset_id,
        detector=kept.detector,
        mode=kept.mode,
        verdict=str(ticket.verdict),
        failure_code=ticket.failure_code,
        mechanism=ticket.fields.get(failure_codes.MECHANISM),
        cause=ticket.fields.get(failure_codes.CAUSE),
        given_by=ticket.assignee_name or "",
        given_at=ticket.done_at or now,
    )
    if (kept_as := verdicts.add(conn, given)) is not None:
        _teach(conn, kept, kept_as)


def _teach(conn: Connection, kept: KeptAlarm, said: Said) -> None:
    """Machine alarms teach the diagnosis; a sensor's fault is no failure mode of its machine."""
    if kept.kind is FindingKind.MACHINE:
        learning_store.keep(conn, said.verdict_id, kept, verdict=said.verdict, found=said.failure_code)


def _verified(conn: Connection, ticket: Ticket) -> bool:
    row = conn.execute("select 1 from verifications where ticket_id = %s", (ticket.ticket_id,)).fetchone()
    return row is not None
