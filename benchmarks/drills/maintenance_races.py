"""Eight workers see one fault at the same moment, a thousand times over: detectors, a planner and a plan among them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from enum import StrEnum

from psycopg import Connection

from benchmarks.drills.maintenance_plant import T0
from core.database import Database
from detectors.base import Finding, FindingKind, Sentence
from maintenance import service
from maintenance.model import Policy
from plant import assets
from tickets import service as tickets
from tickets.model import SYSTEM, Actor, ActorKind

WORKERS = 8
MODE = "bearing_wear"
AT_ONCE = Policy(persist_findings=1, persist=timedelta(0), act_health=0.9)
PLANNER = Actor(ActorKind.PERSON, None, "Planner", "planner")
LONGEST_S = 60.0

Fault = tuple[int, int]  # asset, signal


class Build(StrEnum):
    """HONEST: the product. CHECKED: looks whether there is an order, and opens one if not."""

    HONEST = "honest"
    CHECKED = "checked"


def build(conn: Connection, faults: int) -> list[Fault]:
    """A machine a fault."""
    made = []
    for number in range(faults):
        asset_id = assets.create_asset(conn, code=f"R-{number:04d}", name=f"Racer {number}", asset_class="pump")
        signal_id = assets.create_signal(
            conn,
            asset_id=asset_id,
            code="vibration",
            name="vibration",
            quantity="vibration_velocity",
            unit="mm/s",
            period_s=60,
        )
        made.append((asset_id, signal_id))
    return made


def run(database: Database, site_id: int, faults: list[Fault], kind: Build) -> list[int]:
    """Race for every fault; returns the orders of each: a mean would hide one without behind one with two."""
    start = threading.Barrier(WORKERS, timeout=LONGEST_S)
    worker = {Build.HONEST: _honest, Build.CHECKED: _checked}[kind]

    def work(number: int) -> None:
        for fault in faults:
            start.wait()
            with database.tx(site_id=site_id) as conn:
                worker(conn, number, fault)

    with ThreadPoolExecutor(WORKERS) as pool:
        for ended in [pool.submit(_breaking, start, work, number) for number in range(WORKERS)]:
            ended.result()
    with database.tx(site_id=site_id) as conn:
        counted = conn.execute(
            """select count(t.ticket_id)::int from unnest(%s::int[]) with ordinality as f (asset_id, place)
               left join tickets t using (asset_id) group by place order by place""",
            ([asset_id for asset_id, _ in faults],),
        ).fetchall()
    return [count for (count,) in counted]


def _breaking(start: threading.Barrier, work: Callable[[int], None], number: int) -> None:
    """One that fails lets nobody wait."""
    try:
        work(number)
    except BaseException:
        start.abort()
        raise


def _honest(conn: Connection, number: int, fault: Fault) -> None:
    """Six detectors, a planner, and a plan."""
    asset_id, signal_id = fault
    if number >= WORKERS - 2:
        actor = PLANNER if number == WORKERS - 1 else SYSTEM
        tickets.open(conn, actor, kind="preventive", title="Bearing", asset_id=asset_id, mode=MODE, now=T0)
        return
    service.on_finding(conn, _finding(asset_id, signal_id, number), T0, policy=AT_ONCE)


def _checked(conn: Connection, number: int, fault: Fault) -> None:
    """The known defect; the order names its fault in its title alone, so that no index stands in the way."""
    asset_id, _ = fault
    if conn.execute("select 1 from tickets where asset_id = %s", (asset_id,)).fetchone() is None:
        tickets.open(conn, SYSTEM, kind="preventive", title=f"Bearing {number}", asset_id=asset_id, now=T0)


def _finding(asset_id: int, signal_id: int, number: int) -> Finding:
    return Finding(
        detector=f"detector-{number}",
        version="1",
        kind=FindingKind.MACHINE,
        asset_id=asset_id,
        site_id=0,
        failure_mode=MODE,
        started_at=T0 - timedelta(hours=6),
        at=T0,
        surprise=6.0,
        active=True,
        contributions={signal_id: 1.0},
        directions={signal_id: 1},
        health=0.3,
        sentence=Sentence("drift", {}),
    )
