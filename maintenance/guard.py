"""The close guard: an order is closed by its machine, not by a click.

    done ──begin──> verifications row, detectors told of the intervention ──every round──> assess
                                          healthy ──> closed     unhealthy ──> reopened with the plot
                                          needs_person ──> a planner decides; it is still watched meanwhile

The detectors keep their baseline while an order is being verified; a new one is learnt only once it is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from core import live
from core.settings import settings
from maintenance import gate, libraries, library, orders, residuals, sentences, store, verify
from maintenance.diagnose import affinity
from maintenance.model import Deviation, Reason, VerifyPolicy, top
from maintenance.residuals import Span
from maintenance.verify import Assessment, Observation, Status, Watch
from plant import assets, telemetry
from plant.model import Role, Signal
from tickets import service
from tickets import store as tickets_store
from tickets.model import SYSTEM, ActorKind, Ticket, Verdict

LOOK_AGAIN = timedelta(minutes=15)  # plant time between two looks at one order
LONGEST_BEFORE = timedelta(hours=48)
MOST_SIGNALS = 6
TOLD_SHARE = 0.9
PLOTTED = 3


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification as kept."""

    ticket_id: int
    asset_id: int
    mode: str
    alarm_id: int | None
    started_at: datetime
    deadline: datetime
    status: Status
    attempt: int


class Guard:
    """Implements ``tickets.hooks.CloseGuard``."""

    def begin(self, conn: Connection, ticket: Ticket, now: datetime) -> None:
        """Start watching the ticket's machine, in the transaction of *done*."""
        deadline = now + policy().limit
        conn.execute(
            """insert into verifications (ticket_id, asset_id, mode, alarm_id, started_at, deadline)
               values (%(ticket)s, %(asset)s, %(mode)s,
                 (select max(alarm_id) from alarms where ticket_id = %(ticket)s and kind = 'machine'), %(now)s, %(end)s)
               on conflict (ticket_id) do update set started_at = excluded.started_at, deadline = excluded.deadline,
                 alarm_id = excluded.alarm_id, status = 'running', attempt = verifications.attempt + 1,
                 evidence = '{}', checked_at = null, settled_at = null""",
            {"ticket": ticket.ticket_id, "asset": ticket.asset_id, "mode": ticket.mode, "now": now, "end": deadline},
        )
        ask_detectors(conn, ticket.asset_id, "intervention", now)


GUARD = Guard()


def policy() -> VerifyPolicy:
    """The site's rules of proof, from the settings."""
    chosen = settings()
    return replace(
        VerifyPolicy(),
        verify=timedelta(hours=chosen.verify_hours),
        limit=timedelta(hours=chosen.verify_limit_hours),
    )


def ask_detectors(conn: Connection, asset_id: int | None, action: str, at: datetime) -> None:
    """Leave the detectors a request: *intervention* (gather evidence anew) or *relearn* (the baseline has changed)."""
    conn.execute("insert into detector_requests (asset_id, action, at) values (%s, %s, %s)", (asset_id, action, at))


def check_all(conn: Connection, now: datetime, rules: VerifyPolicy | None = None) -> int:
    """Look at every running verification of the site that was not looked at lately; returns how many."""
    rows = conn.execute(
        """select ticket_id, asset_id from verifications where settled_at is null
             and (checked_at is null or checked_at <= %s) order by asset_id, ticket_id""",
        (now - LOOK_AGAIN,),
    ).fetchall()
    seen = 0
    for ticket_id, asset_id in rows:
        if store.try_lock_asset(conn, asset_id):
            check(conn, ticket_id, now, rules or policy())
            seen += 1
    return seen


def check(conn: Connection, ticket_id: int, now: datetime, rules: VerifyPolicy) -> Status:
    """Look at one order's machine and do what follows. The asset is locked."""
    ticket = orders.lock(conn, ticket_id)
    kept = _load(conn, ticket_id)
    if ticket is None or ticket.status != "verifying":
        return _overruled(conn, kept, now)
    signals, evidence = _signals(conn, kept)
    if not signals:
        return _close(conn, kept, {"text": sentences.say("verify.no_telemetry")}, now)
    span = _span(conn, kept, now)
    seen, running_h = residuals.tracks(conn, signals, evidence, span, rules)
    elapsed = max(now - kept.started_at, timedelta(0))
    made = verify.assess(Observation(seen, running_h, elapsed, _watch(conn, kept)), rules)
    if made.status is Status.UNHEALTHY and ticket.verdict is Verdict.NOTHING_FOUND and kept.attempt > 1:
        made = replace(made, status=Status.NEEDS_PERSON, reasons=(Reason("second_look"), *made.reasons))
    shown = _shown(made, signals, running_h, rules)
    shown["plot"] = residuals.plot(conn, signals[:PLOTTED], span)
    return _carry_out(conn, kept, made, shown, now)


def _carry_out(conn: Connection, kept: Verification, made: Assessment, shown: dict[str, Any], now: datetime) -> Status:
    if made.status is Status.HEALTHY:
        return _close(conn, kept, shown, now)
    if made.status is Status.UNHEALTHY:
        _settle(conn, kept, Status.UNHEALTHY, shown, now)
        fields = {"evidence": shown, "note": shown["text"]["en"]}
        service.transition(conn, SYSTEM, kept.ticket_id, to="reopened", fields=fields, now=now)
        return Status.UNHEALTHY
    if made.status is Status.NEEDS_PERSON and kept.status is not Status.NEEDS_PERSON:
        service.note_evidence(conn, SYSTEM, kept.ticket_id, kind="needs_person", body=shown, now=now)
    _write(conn, kept, made.status, shown, now)
    return made.status


def _overruled(conn: Connection, kept: Verification, now: datetime) -> Status:
    """Somebody moved the order on: what was seen stays as it was."""
    conn.execute("update verifications set settled_at = %s where ticket_id = %s", (now, kept.ticket_id))
    live.announce(conn, "ticket", kept.ticket_id)
    return kept.status


def decided(conn: Connection, ticket_id: int) -> tuple[str, str] | None:
    """(who, why) when a person closed or reopened the order in place of telemetry, the last time; None: nobody did."""
    for event in reversed(tickets_store.timeline(conn, ticket_id)):
        if event.kind == "transition" and event.body.get("from") == "verifying":
            person = event.actor.kind in (ActorKind.PERSON, ActorKind.AGENT)
            return (event.actor.name, str(event.body.get("note") or event.body.get("reason") or "")) if person else None
    return None


def _close(conn: Connection, kept: Verification, evidence: dict[str, Any], now: datetime) -> Status:
    _settle(conn, kept, Status.HEALTHY, evidence, now)
    service.transition(conn, SYSTEM, kept.ticket_id, to="closed", fields={"evidence": evidence}, now=now)
    return Status.HEALTHY


# -- what is looked at ------------------------------------------------------------------------------------------------


def _signals(conn: Connection, kept: Verification) -> tuple[list[Signal], dict[int, Deviation]]:
    """The signals that convinced the detector; without an alarm those that the failure mode shows in, else all."""
    asset = assets.asset(conn, kept.asset_id)
    measured = [each for each in assets.signals(conn, kept.asset_id) if each.role is Role.MEASURED]
    evidence: dict[int, Deviation] = {}
    if kept.alarm_id is not None:
        evidence = dict(store.alarm(conn, kept.alarm_id).evidence)
    chosen = top(evidence, share=TOLD_SHARE, most=MOST_SIGNALS)
    if not chosen:
        modes = libraries.modes(conn, asset.asset_class)
        symptoms = library.pick(modes, kept.mode).symptoms
        chosen = [each.signal_id for each in measured if any(affinity(one, each, modes) for one in symptoms)]
    wanted = [each for each in measured if each.signal_id in chosen] or measured
    return wanted[:MOST_SIGNALS], evidence


def _span(conn: Connection, kept: Verification, now: datetime) -> Span:
    """Judge no further than the detectors have: beyond that no band is known."""
    row = conn.execute("select watermark_us from asset_watermarks where asset_id = %s", (kept.asset_id,)).fetchone()
    until = min(now, telemetry.from_us(row[0] + 1)) if row else now
    since = kept.started_at - LONGEST_BEFORE
    if kept.alarm_id is not None:
        since = max(since, store.alarm(conn, kept.alarm_id).alarm.started_at)
    since = min(since, kept.started_at)
    return Span(since, kept.started_at, max(until, since))


def _watch(conn: Connection, kept: Verification) -> Watch:
    said = store.latest_findings(conn, kept.asset_id)
    active = [began for detector, on, began, _ in said if on and not gate.silent(conn, detector)]
    if any(began > kept.started_at for began in active):
        return Watch.FRESH
    return Watch.OLD if active else Watch.QUIET


def _shown(made: Assessment, signals: Sequence[Signal], running_h: float, rules: VerifyPolicy) -> dict[str, Any]:
    by_id = {signal.signal_id: signal for signal in signals}
    return {
        "status": made.status.value,
        "text": sentences.join(sentences.reason(reason, group="verify") for reason in made.reasons),
        "running_h": round(running_h, 2),
        "need_h": rules.verify / timedelta(hours=1),
        "left": None if made.left is None else round(made.left, 4),
        "signals": [
            {
                "signal_id": check.signal_id,
                "code": by_id[check.signal_id].code,
                "unit": by_id[check.signal_id].unit,
                "before": _rounded(check.before),
                "after": _rounded(check.after),
                "inside": _rounded(check.inside),
            }
            for check in made.signals
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


# -- rows -------------------------------------------------------------------------------------------------------------


def _load(conn: Connection, ticket_id: int) -> Verification:
    row = conn.execute(
        """select ticket_id, asset_id, mode, alarm_id, started_at, deadline, status, attempt from verifications
           where ticket_id = %s for update""",
        (ticket_id,),
    ).fetchone()
    if row is None:
        raise LookupError(f"ticket {ticket_id} is not being verified")
    ticket_id, asset_id, mode, alarm_id, started_at, deadline, status, attempt = row
    return Verification(ticket_id, asset_id, mode, alarm_id, started_at, deadline, Status(status), attempt)


def _write(conn: Connection, kept: Verification, status: Status, evidence: dict[str, Any], now: datetime) -> None:
    conn.execute(
        "update verifications set status = %s, evidence = %s, checked_at = %s where ticket_id = %s",
        (status.value, Jsonb(evidence), now, kept.ticket_id),
    )
    live.announce(conn, "ticket", kept.ticket_id)


def _settle(conn: Connection, kept: Verification, status: Status, evidence: dict[str, Any], now: datetime) -> None:
    _write(conn, kept, status, evidence, now)
    conn.execute("update verifications set settled_at = %s where ticket_id = %s", (now, kept.ticket_id))
