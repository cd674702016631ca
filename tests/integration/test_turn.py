"""Findings of a machine that are judged together in one transaction lead to what they lead to one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import Connection, Cursor

from detectors.base import Finding, FindingKind, Sentence
from maintenance import policies, service
from maintenance.policies import Scope
from plant import assets

T0 = datetime(2026, 3, 2, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEPT = {  # table → what must be the same, whatever the ids are
    "findings": "detector, kind, mode, started_at, at, surprise, active, health, contributions, sentence, told_at",
    "alarms": """kind, mode, detector, severity, surprise, health, contributions, sentence, diagnosis, state,
      started_at, raised_at, last_at, deviating_since, deviating, findings, returns, returned_at, cleared_at, onset_at,
      held,
      ticket_id is null""",
    "alarm_moves": "at, what, by, severity, detail",
    "health_points": "detector, at, health",
    "predictions": "mode, made_at, p10_h, p50_h, p90_h, p_fail_horizon, health, risk, model",
    "decisions": "at, action, reasons, prediction_id is null, ticket_id is null",
    "tickets": "kind, mode, status, priority, title, opened_at, resolve_by",
}
Judge = Callable[[Connection, Sequence[Finding], datetime], object]


class Undone(Exception):
    """Ends the savepoint of one way."""


def plant(conn: Connection) -> list[int]:
    pump = assets.create_asset(conn, code="P-1", name="Pump", asset_class="pump", criticality=4)
    kinds = {"vibration": ("vibration_velocity", "mm/s"), "heat": ("temperature", "°C"), "flow": ("flow", "m3/h")}
    return [pump] + [
        assets.create_signal(conn, asset_id=pump, code=code, name=code, quantity=quantity, unit=unit)
        for code, (quantity, unit) in kinds.items()
    ]


def life(ids: Sequence[int], site: int, seed: int) -> list[list[Finding]]:
    """What two detectors and the watch of sensors say, in turns, over some hours."""
    chance = random.Random(seed)
    pump, *signals = ids
    turns: list[list[Finding]] = []
    at = T0
    for _ in range(14):
        said = []
        for _ in range(chance.randint(1, 5)):
            at += timedelta(seconds=chance.uniform(5, 1800))
            kind = FindingKind.SENSOR if chance.random() < 0.15 else FindingKind.MACHINE
            active = chance.random() < 0.85
            weights = [chance.random() for _ in signals]
            told = [signals[0]] if kind is FindingKind.SENSOR else signals
            shares = {key: weight / sum(weights) for key, weight in zip(told, weights, strict=False)}
            said.append(Finding(
                "sensors" if kind is FindingKind.SENSOR else chance.choice(["bank", "multivariate"]), "1", kind, pump,
                site, "stuck" if kind is FindingKind.SENSOR else None, at - MINUTE, at, chance.uniform(4, 9), active,
                shares, dict.fromkeys(shares, 1), chance.uniform(0.3, 0.9), Sentence("drift", {}),
            ))  # fmt: skip
        turns.append([*said, *said[:1]])  # one of them is told twice
    return turns


def outcome(conn: Connection, site: int, seed: int, judge: Judge) -> dict[str, list[tuple[Any, ...]]]:
    """What a life leads to when it is judged this way; undone afterwards."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    try:
        with conn.transaction():
            ids = plant(conn)
            policies.create(conn, Scope("pump"), {"persist_h": 1.0, "refresh_h": 0.5}, by="Li", now=T0)
            for said in life(ids, site, seed):
                judge(conn, said, said[-2].at if len(said) > 1 else said[-1].at)
                service.settle(conn, said[0].at)
            for table, columns in KEPT.items():
                rows = conn.execute(f"select {columns} from {table}").fetchall()  # noqa: S608
                names = {str(number): f"s{n}" for n, number in enumerate(ids)}
                found[table] = [tuple(_named(each, names) for each in row) for row in rows]
            raise Undone
    except Undone:
        return {table: sorted(rows, key=repr) for table, rows in found.items()}


def _named(value: Any, names: dict[str, str]) -> Any:
    """Without the ids of signals, which differ from way to way, and by which sums differ in their last digit."""
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key not in ("alarm_id", "because")}
        return {names.get(key, key): _named(each, names) for key, each in kept.items()}
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    return value


def one_by_one(conn: Connection, said: Sequence[Finding], now: datetime) -> None:
    for each in said:
        service.on_finding(conn, each, now)


@pytest.mark.parametrize("seed", range(4))
def test_together_is_as_one_by_one(conn: Connection, site: int, seed: int) -> None:
    singly = outcome(conn, site, seed, one_by_one)
    together = outcome(conn, site, seed, service.on_findings)
    for table in KEPT:
        for mine, theirs in zip(together[table], singly[table], strict=True):
            for a, b in zip(mine, theirs, strict=True):
                assert a == b, (table, a, b)
    assert len(singly["findings"]) > 20 and len(singly["decisions"]) > 3 and singly["tickets"]


def test_a_turn_costs_few_statements(conn: Connection, site: int) -> None:
    sent: list[object] = []

    class Counting(Cursor[Any]):
        def execute(self, *args: Any, **more: Any) -> Any:
            sent.append(args[0])
            return super().execute(*args, **more)

    pump, *signals = plant(conn)

    def said(second: int) -> list[Finding]:
        times = [T0 + timedelta(seconds=second + each / 10) for each in range(20)]
        return [
            Finding(
                "bank", "1", FindingKind.MACHINE, pump, site, None, T0, at, 5.0, True, {signals[0]: 1.0},
                {signals[0]: 1}, 0.7, Sentence("drift", {}),
            )
            for at in times
        ]  # fmt: skip

    service.on_findings(conn, said(0), T0)
    conn.cursor_factory = Counting
    service.on_findings(conn, said(60), T0 + MINUTE)
    conn.cursor_factory = Cursor
    assert len(sent) <= 14
