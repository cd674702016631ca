"""The whole way, for 24 machines over ten plant days: telemetry, fault, order, repair, verification, close.

    python -m benchmarks.journey [--seed N] [--quick] [--keep]

Twelve machines have one fault each, twelve are healthy, start, stop, change load and have lying sensors. Simulated
engineers do the work through the API; some only pretend. Counts of samples come from the publishers' fsynced ledgers.
Beside ours stands what a fixed 3-sigma limit on the same machines would have seen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.instance import Running, Simulator, wait_until
from benchmarks.ledgers import compare
from benchmarks.result import finish
from core import clock
from simulators import config, plants, stage, three_sigma
from simulators.client import ApiClient
from simulators.spec import DAY_US, MachineSpec, Plant

GOALS = {
    "faults": "== 12",
    "orders_before_failure": ">= 11",
    "orders_on_healthy": "<= 1",
    "duplicate_orders": "== 0",
    "closed_by_telemetry": ">= 10",
    "sham_repairs": ">= 3",
    "lost_samples": "== 0",
    "doubled_samples": "== 0",
    "pss_mb": "<= 800",
}
QUICK_GOALS = {name: goal for name, goal in GOALS.items() if name.endswith("_samples") or name == "duplicate_orders"}
ORDERS = ("preventive", "corrective")
SHAMS = 4
TAIL_DAYS = 3.0  # for what is still being verified when the ten days are over
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Order:
    """A work order as the API tells it."""

    ticket_id: int
    asset: str
    mode: str
    status: str
    opened_at: datetime
    closed_at: datetime | None
    verified: bool
    reopened: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the run left behind: the orders, and what people wrote into their diary."""

    orders: list[Order]
    diary: list[dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a smaller plant at double speed, within about a minute")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave logs and ledger there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millwright-journey-") as folder:
        run(arguments.keep or Path(folder), seed=arguments.seed, quick=arguments.quick)


def run(folder: Path, *, seed: int, quick: bool) -> dict[str, Any]:
    """One journey; prints the table and the JSON line, and returns the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    live_us = int(clock.wall_now().timestamp()) // 3600 * 3_600_000_000
    plant = plants.plant(f"{'quick' if quick else 'journey'}:{seed}", live_us=live_us)
    with Running(folder / "instance") as up:
        say(f"up after {up.ready_s:.1f} s; measuring the idle tree")
        pss = up.pss_idle_mb()
        told = play(up, plant, folder, live_us=live_us)
        keep_evidence(up, folder / "evidence.jsonl")
        say("comparing ledger and store")
        samples = compare(up.instance, 1, folder / "ledger.jsonl")
        broker = up.endpoints.broker_kind
    figures: dict[str, float | None] = {
        **judge(plant, live_us, told),
        "samples": samples.published,
        "lost_samples": samples.lost,
        "doubled_samples": samples.doubled,
        "pss_mb": round(pss, 1),
        **fixed_limit(plant, live_us),
    }
    goals = QUICK_GOALS if quick else GOALS | {"sham_repairs_reopened": f"== {figures['sham_repairs']}"}
    return finish("journey", broker=broker, figures=figures, goals=goals)


def play(up: Running, plant: Plant, folder: Path, *, live_us: int) -> Told:
    """History, then the live days at speed, until everything that was begun is settled."""
    with up.admin() as admin:
        return _play(up, admin, plant, folder, live_us=live_us)


def _play(up: Running, admin: ApiClient, plant: Plant, folder: Path, *, live_us: int) -> Told:
    wire = up.wire()
    set_clock(up, live_us, 1.0)
    made = stage.build(admin, plant, folder)
    config.write(folder / "fleet.json", wire.fleet(plant, made, live_us=live_us, ledger=folder / "ledger.jsonl"))
    people = wire.people(plant, made, live_us=live_us)
    people = msgspec.structs.replace(
        people, sham_assets=pretended(plant), diary=str(folder / "diary.jsonl"), poll_s=0.5
    )
    config.write(folder / "people.json", people)
    fleet = Simulator("fleet", folder / "fleet.json")
    took = wait_until(lambda: fleet.has_said("history_done"), within_s=600, what="the history")
    say(f"{plant.history_days:.0f} days of history stored after {took:.0f} s")
    took = wait_until(lambda: judged_until(up) >= live_us - 3_600_000_000, within_s=600, what="judging the history")
    say(f"judged {took:.0f} s later; {plant.live_days:.0f} live days at {plant.factor:.0f} times the wall's speed")
    set_clock(up, live_us, plant.factor)
    crew = Simulator("people", folder / "people.json")
    _live(up, admin, plant, live_us)
    crew.stop()
    fleet.stop()
    return Told(orders(admin), diary(folder / "diary.jsonl"))


def _live(up: Running, admin: ApiClient, plant: Plant, live_us: int) -> None:
    end_us = live_us + round(plant.live_days * DAY_US)
    limit_us = end_us + round(TAIL_DAYS * DAY_US)
    told = 0
    while (now_us := plant_us(up)) < limit_us:
        days = (now_us - live_us) / DAY_US
        if int(days) > told:
            told = int(days)
            say(f"day {told}: {len(list(admin.items('/tickets')))} tickets")
        if now_us > end_us and not any(each.status == "verifying" for each in orders(admin)):
            return
        time.sleep(1.0)


def pretended(plant: Plant) -> list[str]:
    """Machines whose first repair is a sham: every third that will fail."""
    return [spec.code for spec in plant.machines if spec.faults][:: max(1, len(_ill(plant)) // SHAMS)][:SHAMS]


def _ill(plant: Plant) -> list[MachineSpec]:
    return [spec for spec in plant.machines if spec.faults]


def judge(plant: Plant, live_us: int, told: Told) -> dict[str, float | None]:
    """Figures about orders, from the plan of faults and what the API and the diary tell."""
    by_asset: dict[str, list[Order]] = {}
    for order in told.orders:
        by_asset.setdefault(order.asset, []).append(order)
    leads, early, right, closed = [], 0, 0, 0
    duplicates = 0
    for spec in _ill(plant):
        fault = spec.faults[0].fault(live_us)
        onset, failure = at(fault.onset_us), at(fault.failure_us)
        mine = sorted(by_asset.get(spec.code, []), key=lambda order: order.opened_at)
        early += sum(order.opened_at < onset for order in mine)
        found = [order for order in mine if onset <= order.opened_at < failure]
        if found:
            leads.append((failure - found[0].opened_at) / timedelta(hours=1))
            right += found[0].mode == spec.faults[0].mode
        duplicates += max(0, sum(order.opened_at >= onset for order in mine) - 1)
        closed += any(order.verified for order in mine if order.opened_at >= onset)
        say(_line(spec, onset, failure, mine))
    ill = {spec.code for spec in _ill(plant)}
    healthy = [order for order in told.orders if order.asset not in ill]
    for order in healthy:
        say(f"  {order.asset}: HEALTHY, yet {order.mode} opened {order.opened_at:%m-%d %H:%M}, now {order.status}")
    return {
        "faults": len(ill),
        "orders_before_failure": len(leads),
        "right_mode": right,
        "orders_on_healthy": len(healthy) + early,
        "duplicate_orders": duplicates,
        "closed_by_telemetry": closed,
        **_shams(told),
        "median_lead_h": round(statistics.median(leads), 1) if leads else None,
    }


def _line(spec: MachineSpec, onset: datetime, failure: datetime, mine: list[Order]) -> str:
    seen = "; ".join(f"{order.mode} opened {order.opened_at:%m-%d %H:%M}, {order.status}" for order in mine)
    return f"  {spec.code}: {spec.faults[0].mode} {onset:%m-%d %H:%M} … {failure:%m-%d %H:%M}: {seen or 'MISSED'}"


def _shams(told: Told) -> dict[str, float | None]:
    """Sham repairs of work orders, and how many of these orders came back."""
    kept = {order.ticket_id: order for order in told.orders}
    pretended_at = [line["ticket_id"] for line in told.diary if line["action"] == "sham" and line["ticket_id"] in kept]
    reopened = sum(kept[ticket_id].reopened > 0 for ticket_id in pretended_at)
    return {
        "sham_repairs": len(pretended_at),
        "sham_repairs_reopened": reopened,
    }


def fixed_limit(plant: Plant, live_us: int) -> dict[str, float | None]:
    """What mean ± 3 sigma of each raw signal, learnt from the same history, would have done."""
    end_us = live_us + round(plant.live_days * DAY_US)
    crossed, alarms, blind, leads = 0, 0, 0, []
    for spec in plant.machines:
        columns = spec.build(live_us, start_us=plant.start_us(live_us)).advance(end_us)
        limits = three_sigma.learn(columns, until_us=live_us)
        if not spec.faults:
            alarms += three_sigma.alarms(limits, columns, after_us=live_us)
            continue
        fault = spec.faults[0].fault(live_us)
        blind += three_sigma.at_onset_ok(limits, columns, onset_us=fault.onset_us)
        first = three_sigma.first_crossing(limits, columns, after_us=fault.onset_us)
        if first is not None and first < fault.failure_us:
            crossed += 1
            leads.append((fault.failure_us - first) / 3_600_000_000)
    return {
        "three_sigma_faults": crossed,
        "three_sigma_blind_at_onset": blind,
        "three_sigma_alarms_on_healthy": alarms,
        "three_sigma_median_lead_h": round(statistics.median(leads), 1) if leads else None,
    }


def orders(admin: ApiClient) -> list[Order]:
    """Every work order of the site."""
    return [_order(admin, row) for row in list(admin.items("/tickets")) if row["kind"] in ORDERS]


def _order(admin: ApiClient, row: dict[str, Any]) -> Order:
    events = list(admin.items(f"/tickets/{row['ticket_id']}/events"))
    moves = [event["body"].get("to") or event["body"].get("status") for event in events]
    detail = admin.get(f"/tickets/{row['ticket_id']}")
    verification = detail.get("verification") or {}
    return Order(
        row["ticket_id"],
        row["asset"]["code"],
        row["mode"]["code"],
        row["status"],
        datetime.fromisoformat(row["opened_at"]),
        datetime.fromisoformat(detail["closed_at"]) if detail.get("closed_at") else None,
        verification.get("status") == "healthy" and row["status"] == "closed",
        sum(to == "reopened" for to in moves),
    )


def diary(path: Path) -> list[dict[str, Any]]:
    """Lines of the people's diary."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep_evidence(up: Running, path: Path) -> None:
    """Findings and decisions of the run as JSON lines, for whoever asks why (with ``--keep``)."""
    queries = {
        "finding": """select a.code, f.at, f.kind, f.mode, f.active, f.surprise, f.health
                      from findings f join assets a using (asset_id) order by finding_id""",
        "decision": """select a.code, d.at, d.action, d.reasons, d.ticket_id
                       from decisions d join assets a using (asset_id) order by decision_id""",
    }
    with up.instance.database.tx(site_id=1) as conn, path.open("w") as file:
        for kind, query in queries.items():
            cursor = conn.execute(query)
            names = [column.name for column in cursor.description or ()]
            for row in cursor:
                file.write(json.dumps({"what": kind, **dict(zip(names, row, strict=True))}, default=str) + "\n")


def judged_until(up: Running) -> int:
    """How far the detectors have come, in µs: the asset that is furthest behind."""
    with up.instance.database.tx(site_id=1) as conn:
        row = conn.execute(
            """select min(coalesce(w.watermark_us, 0)) from assets a left join asset_watermarks w using (asset_id)
               where exists (select 1 from signals s where s.asset_id = a.asset_id)"""
        ).fetchone()
    return int(row[0]) if row and row[0] else 0


def plant_us(up: Running) -> int:
    """Plant time now in µs."""
    with up.instance.database.tx() as conn:
        return (clock.load(conn).now() - EPOCH) // timedelta(microseconds=1)


def set_clock(up: Running, plant_us: int, factor: float) -> None:
    """Plant time ``plant_us`` from now on, at ``factor``."""
    up.command("clock", "--now", at(plant_us).isoformat(), "--factor", str(factor))


def at(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
