"""What people do with alarm rules: preview, enable, let open orders. SQL through ``detectors.classic``.

A rule's word goes through the same gate as a detector's: ``rule:<code>`` with a standing of its own, so that a rule
that is seldom right falls back to proposals like any detector.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from psycopg import Connection

from core import live
from detectors.classic import preview as previews
from detectors.classic import store
from detectors.classic.model import AlarmRule
from detectors.classic.store import Kept
from maintenance import gate
from maintenance.gate import Standing
from maintenance.machine import RULE


def look(conn: Connection, rule: AlarmRule, *, days: float, now: datetime) -> dict[str, Any]:
    """What it would have raised in the last days, as plain JSON. Raises BadAlarmRule."""
    found = asdict(previews.preview(conn, rule, days=days, now=now))
    for each in found["episodes"]:
        each["since"] = each["since"].isoformat()
        each["until"] = each["until"].isoformat() if each["until"] else None
    found["loudest"] = [{"asset_code": code, "raised": n} for code, n in found["loudest"]]
    return found | {"asked_days": days, "made_at": now.isoformat()}


def look_at_kept(conn: Connection, rule_id: int, *, days: float, now: datetime) -> Kept:
    """The same of the version that is written, kept with it: it may be enabled then."""
    kept = store.get(conn, rule_id)
    store.keep_preview(conn, kept, look(conn, kept.rule, days=days, now=now))
    return store.get(conn, rule_id)


def enable(conn: Connection, by: str, rule_id: int, *, row_version: int, standing: Standing, now: datetime) -> Kept:
    """It judges from now on, and may do what ``standing`` says. Raises NotFound, StaleAlarmRule, NotPreviewed."""
    kept = store.enable(conn, by, rule_id, row_version=row_version, now=now)
    raised = (kept.preview or {}).get("raised", 0)
    days = (kept.preview or {}).get("days", 0)
    reason = f"enabled by {by}: it would have raised {raised} in {days:.0f} days"
    gate.enter(conn, f"{RULE}{kept.rule.code}", str(kept.in_force), standing, reason=reason, at=now)
    live.announce(conn, "alarm_rule", rule_id)
    return kept
