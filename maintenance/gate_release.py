"""A person lets a detector's version open orders, or stops it, and says why and on which grounds."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

from core.errors import Stale
from maintenance import backtest, gate, grounds
from maintenance.errors import BadGate
from maintenance.gate import Gated, Standing
from maintenance.grounds import Ground, Grounds

IN_SHADOW = Grounds(Ground.SHADOW)


def change(
    conn: Connection,
    gate_id: int,
    to: Standing,
    *,
    by: str,
    reason: str,
    version: int,
    now: datetime,
    relied: Grounds = IN_SHADOW,
) -> Gated:
    """Its standing from now on; what it had shown by then, and the grounds of letting it, are kept with it.

    Raises NotFound, Stale, BadGate without a reason, Unproven when it is let and the grounds do not carry.
    """
    if not reason.strip():
        raise BadGate("Say why: what its back-test showed, or what went wrong.")
    kept = gate.lock(conn, gate_id)
    if kept.row_version != version:
        raise Stale(version=kept.row_version)
    if to is not Standing.LIVE:
        return gate.put(conn, kept, to, by=by, reason=reason.strip(), now=now)
    _prove(conn, kept, relied, now)
    return gate.put(
        conn, kept, to, by=by, reason=reason.strip(), now=now, grounds=relied.ground.value,
        backtest_id=relied.backtest_id,
    )  # fmt: skip


def _prove(conn: Connection, kept: Gated, relied: Grounds, now: datetime) -> None:
    if relied.ground is Ground.BACKTEST:
        grounds.must_be_done(conn, relied, backtest.config(conn, {}, lets=[kept.gate_id]))
    elif relied.ground is Ground.SHADOW:
        shown = gate.figures(conn, kept.detector, kept.version, since=now - grounds.SHADOW_WINDOW, until=now)
        grounds.must_have_shown(shown.shadow)
