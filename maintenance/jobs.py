"""What runs by itself: alarms that time moves, repairs being verified, silence that ingest noticed. Once a site, by one
worker at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from core.jobs import every
from maintenance import (
    alarms_forget,
    alarms_telling,
    gate,
    grouping,
    guard,
    holding,
    noisy,
    policy_gate,
    service,
    silence,
)
from maintenance.replay import marks
from maintenance.replay.marks import witnessed


@every(seconds=5, name="maintenance.alarms")
def settle_alarms(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    witnessed(conn, "maintenance.alarms", now, lambda: service.settle(conn, now))


@every(seconds=5, name="maintenance.verify")
def verify_repairs(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    witnessed(conn, "maintenance.verify", now, lambda: guard.check_all(conn, now))


@every(seconds=2, name="maintenance.silence", wake=silence.CHANNEL)
def tell_silence(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    silence.settle(conn, now)


@every(seconds=5, name="maintenance.groups")
def settle_groups(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    witnessed(conn, "maintenance.groups", now, lambda: grouping.settle(conn, now, service.POLICY))


@every(seconds=5, name="maintenance.merge")
def merge_singles(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    witnessed(conn, "maintenance.merge", now, lambda: grouping.merge_singles(conn, now))


@every(seconds=5, name="maintenance.holds")
def settle_holds(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    witnessed(conn, "maintenance.holds", now, lambda: holding.settle(conn, now))


@every(seconds=60, name="maintenance.gate")
def stop_what_is_seldom_right(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    gate.fall_back(conn, now)
    policy_gate.fall_back(conn, now)
    noisy.demote(conn, now)


@every(seconds=5, name="maintenance.telling")
def tell_alarms(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    alarms_telling.settle(conn, now)


@every(seconds=3600, name="maintenance.replay.forget")
def forget_marks(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    marks.forget(conn)


@every(seconds=3600, name="maintenance.alarms.forget")
def forget_alarms(conn: Connection, payload: dict[str, Any], now: datetime) -> None:  # noqa: ARG001 - a job's signature
    alarms_forget.forget(conn, now)
