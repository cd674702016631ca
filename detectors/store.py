"""SQL of the detectors: state snapshots, watermarks, and requests to relearn or to gather evidence anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection

from plant import assets
from plant.model import Signal
from plant.telemetry import from_us, to_us


class Action(StrEnum):
    """What is asked of a detector after somebody worked on the machine."""

    RELEARN = "relearn"  # forget the baseline
    INTERVENTION = "intervention"  # keep the baseline, gather the evidence anew


@dataclass(frozen=True, slots=True)
class Machine:
    """An asset with signals of its own: what one detector watches."""

    asset_id: int
    site_id: int
    asset_class: str
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A detector's state as it was after the row at ``watermark_us``."""

    version: str
    watermark_us: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Request:
    request_id: int
    asset_id: int
    action: Action
    at_us: int


def machines(conn: Connection) -> list[Machine]:
    """Every asset of the site that has signals, its signals by id."""
    signals: dict[int, list[Signal]] = {}
    for signal in sorted(assets.signals_of_site(conn), key=lambda each: each.signal_id):
        signals.setdefault(signal.asset_id, []).append(signal)
    return [
        Machine(asset.asset_id, asset.site_id, asset.asset_class, tuple(signals[asset.asset_id]))
        for asset in assets.assets(conn)
        if asset.asset_id in signals
    ]


def newest(conn: Connection) -> dict[int, int]:
    """Asset id → time of its newest sample in µs."""
    rows = conn.execute(
        "select s.asset_id, max(l.at) from last_values l join signals s using (signal_id) group by s.asset_id"
    )
    return {asset_id: to_us(at) for asset_id, at in rows}


def first_sample_us(conn: Connection, signal_ids: Sequence[int]) -> int | None:
    """Time of the oldest sample of these signals; reads much, so ask once."""
    row = conn.execute("select min(at) from samples where signal_id = any(%s)", (list(signal_ids),)).fetchone()
    return to_us(row[0]) if row and row[0] else None


def watermarks(conn: Connection) -> dict[int, int]:
    """Asset id → last judged row in µs."""
    return dict(conn.execute("select asset_id, watermark_us from asset_watermarks").fetchall())


def advance(conn: Connection, asset_id: int, *, before_us: int | None, to_us: int) -> bool:
    """Move an asset's watermark from ``before_us`` (None: there was none); False when somebody else moved it."""
    if before_us is None:
        done = conn.execute(
            "insert into asset_watermarks (asset_id, watermark_us) values (%s, %s) on conflict do nothing",
            (asset_id, to_us),
        )
    else:
        done = conn.execute(
            "update asset_watermarks set watermark_us = %s where asset_id = %s and watermark_us = %s",
            (to_us, asset_id, before_us),
        )
    return done.rowcount == 1


def load(conn: Connection, asset_id: int, detector: str) -> Snapshot | None:
    """The kept state of an asset's detector."""
    row = conn.execute(
        "select version, watermark_us, state from detector_state where asset_id = %s and detector = %s",
        (asset_id, detector),
    ).fetchone()
    return Snapshot(row[0], row[1], bytes(row[2])) if row else None


def save(conn: Connection, asset_id: int, detector: str, snapshot: Snapshot) -> None:
    """Keep the state of an asset's detector in place of the last one."""
    conn.execute(
        """insert into detector_state (asset_id, detector, version, watermark_us, state) values (%s, %s, %s, %s, %s)
           on conflict (asset_id, detector) do update set version = excluded.version, saved_at = now(),
             watermark_us = excluded.watermark_us, state = excluded.state""",
        (asset_id, detector, snapshot.version, snapshot.watermark_us, snapshot.state),
    )


def requests(conn: Connection) -> list[Request]:
    """Requests nobody has carried out yet, oldest first."""
    rows = conn.execute(
        "select request_id, asset_id, action, at from detector_requests where done_at is null order by request_id"
    )
    return [Request(request_id, asset_id, Action(action), to_us(at)) for request_id, asset_id, action, at in rows]


def ask(conn: Connection, asset_id: int, action: Action, at: datetime) -> None:
    """Ask an asset's detector to relearn, or to gather its evidence anew, from ``at`` on."""
    conn.execute(
        "insert into detector_requests (asset_id, action, at) values (%s, %s, %s)", (asset_id, action.value, at)
    )


def settle(conn: Connection, request_id: int, *, at_us: int) -> None:
    """A request was carried out after the row at ``at_us``."""
    conn.execute("update detector_requests set done_at = %s where request_id = %s", (from_us(at_us), request_id))
