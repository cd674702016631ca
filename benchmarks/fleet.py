"""Engines replayed through the real broker: is each ordered in time, once, and not too early?

python -m benchmarks.fleet FOLDER [--quick] [--each N] [--seed N]

FOLDER holds ``train_FD001.txt`` (C-MAPSS: engines run to failure). A database, a broker and a real ingest process are
started; a device publishes each engine's signals over MQTT as it lived them, one cycle an hour of plant time. The
product's detectors and the watch of its worker then run in this process, as `detect` and `worker` run them, until
nothing is left to look at: the model of the class looks at every engine, finding, alarm, forecast, decision, order.

Five folds by engine (unit mod 5): while the engines of a fold are replayed, the model that stands is the one learnt
from the other four, by the function that learns from a plant's recorded failures, on the values of the file (their
lives are not replayed first). No engine is repaired: its signals simply go on to the last cycle.

The class's maintenance policy (HORIZON_H, and the costs that make it act at even odds) says: order when the engine is
as likely as not to fail within 30 cycles. It was set by what is asked for (a lead of 20 to 40 cycles), not by trial.
The lead is from the decision that opened the order (its cycle) to the last cycle.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from api import up
from benchmarks.lane import Rig
from benchmarks.result import finish
from benchmarks.rul import CAP, read_engines
from benchmarks.senders import DEVICE, PASSWORD, SITE
from benchmarks.wire import Wire, packet
from core import clock, log
from core.broker import Kind
from core.broker_rules import hash_password
from core.jobs import run_periodic
from detectors.runner import Runner
from edge import topics
from maintenance import policies
from maintenance.life import boosted, learned
from maintenance.life.boosted import LifeModel, Run
from maintenance.policies import Scope
from plant import assets, telemetry
from plant.assets import MachineSpec, SignalSpec
from plant.model import Floats

CLASS, MODE = "turbofan", "hpc_degradation"
FOLDS, QUICK_ENGINES = 5, 4
HORIZON_H = 30.0
POLICY: Mapping[str, Any] = {
    "horizon_h": HORIZON_H,
    "cost_planned": 40_000.0,
    "cost_failure": 100_000.0,
    "wait_limit_h": 8760.0,
    "act_health": 0.0,
    "opening": "automatic",
}
GOALS = {
    "ordered_before_failure": "== 100",
    "median_lead_cycles": "20..40",
    "earlier_than_60": "== 0",
    "second_orders": "== 0",
}
HOUR = timedelta(hours=1)
HOUR_US = 3_600_000_000
ROWS = 24  # cycles of an engine in a message
BEFORE_H = 550  # the first cycle lies so long ago
APART_H = 6  # engines begin so long after one another: a fleet does not live in step
PATIENCE_S = 120.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of one engine: its cycles, and the cycle of each decision that opened an order."""

    unit: int
    cycles: int
    opened: tuple[float, ...]
    orders: int


def main(argv: list[str] | None = None) -> int:
    """Replay the fleet and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="four engines of one fold")
    parser.add_argument("--each", type=int, help="so many engines of every fold, instead of all")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    up.wire()
    engines = read_engines(chosen.folder / "train_FD001.txt")
    began = time.monotonic()
    with Rig.up(Kind("auto"), chosen.seed) as rig, rig.ingest():
        each = QUICK_ENGINES if chosen.quick else chosen.each
        found = replay(rig, engines, seed=chosen.seed, folds=1 if chosen.quick else FOLDS, each=each)
        broker = f"{rig.broker.info.kind} {rig.broker.info.version}"
    told = {**figures(found), "seconds": time.monotonic() - began}
    finish("fleet", broker=broker, figures=told, goals=GOALS)
    return 0


def replay(rig: Rig, engines: Mapping[int, Floats], *, seed: int, folds: int, each: int | None) -> list[Ordered]:
    """Fold by fold; returns what became of every engine that was replayed."""
    moving = [column for column in range(21) if np.ptp(np.vstack(list(engines.values()))[:, column]) > 0]
    first_us = (round(clock.wall_now().timestamp()) // 3600 - BEFORE_H) * HOUR_US
    begin_us = {unit: first_us + unit // FOLDS * APART_H * HOUR_US for unit in engines}
    site = hangar(rig, sorted(engines), moving)
    runner = Runner(rig.database, clock.load, up.on_finding(), up.on_rejudged())
    found: list[Ordered] = []
    for fold in range(folds):
        mine = [unit for unit in sorted(engines) if unit % FOLDS == fold][:each]
        _stand(rig, site, learn(engines, moving, fold=fold, seed=seed), moving, fold)
        samples = publish(rig, engines, mine, moving, begin_us)
        _stored(rig, samples, since_us=first_us, units=mine)
        runner.run_once()
        _look(rig, site)
        found += [_ordered(rig, site, unit, len(engines[unit]), begin_us[unit]) for unit in mine]
        say(f"fold {fold}: " + ", ".join(f"{one.unit}:{_lead(one)}" for one in found[-len(mine) :]))
    return found


def hangar(rig: Rig, units: Sequence[int], moving: Sequence[int]) -> int:
    """The site with its device, its engines and the class's policy; returns its id."""
    with rig.database.tx() as conn:
        row = conn.execute("insert into sites (code, name) values (%s, 'Hangar') returning site_id", (SITE,)).fetchone()
    site = int(row[0]) if row else 0
    with rig.database.tx(site_id=site) as conn:
        assets.register_device(conn, DEVICE, secret_hash=hash_password(PASSWORD))
        for unit in units:
            signals = tuple(_signal(unit, column) for column in moving)
            assets.ensure_machine(conn, MachineSpec(_code(unit), f"Engine {unit}", CLASS, signals=signals))
        policies.create(conn, Scope(CLASS), POLICY, by="fleet", now=clock.wall_now())
    return site


def learn(engines: Mapping[int, Floats], moving: Sequence[int], *, fold: int, seed: int) -> LifeModel:
    """The model of the engines that are not in ``fold``."""
    others = [Run(engines[unit][:, moving]) for unit in sorted(engines) if unit % FOLDS != fold]
    return boosted.fit(others, cap=CAP, seed=seed)


def publish(
    rig: Rig,
    engines: Mapping[int, Floats],
    units: Sequence[int],
    moving: Sequence[int],
    begin_us: Mapping[int, int],
) -> int:
    """The engines side by side, a day of each in a message, until the broker has acknowledged all; returns samples."""
    topic, encode, seq, samples = topics.batch(SITE, DEVICE), msgspec.json.Encoder().encode, 0, 0
    with Wire(rig.port, user=DEVICE, password=PASSWORD, on_publish=lambda _: None) as wire:
        for start in range(0, max(len(engines[unit]) for unit in units), ROWS):
            for unit in units:
                rows = engines[unit][start : start + ROWS]
                if not len(rows):
                    continue
                seq += 1
                t0, dt = begin_us[unit] + start * HOUR_US, (HOUR_US * np.arange(len(rows))).tolist()
                series = [
                    {"s": _tag(unit, column), "t0": t0, "dt": dt, "v": rows[:, column].tolist()} for column in moving
                ]
                buffer, mid, _ = packet(topic, encode({"epoch": f"fleet-{units[0]}", "seq": seq, "d": series}))
                buffer[mid : mid + 2] = (seq % 60_000 + 1).to_bytes(2, "big")
                wire.send(bytes(buffer))
                samples += rows.shape[0] * len(moving)
            _acknowledged(wire, seq)
    return samples


def figures(found: Sequence[Ordered]) -> dict[str, float | None]:
    leads = [each.cycles - each.opened[0] for each in found if each.opened]
    before = [lead for lead in leads if lead > 0]
    return {
        "ordered_before_failure": 100.0 * len(before) / len(found),
        "median_lead_cycles": statistics.median(before) if before else None,
        "shortest_lead_cycles": min(before, default=None),
        "longest_lead_cycles": max(before, default=None),
        "earlier_than_60": float(sum(lead > 60 for lead in leads)),
        "second_orders": float(sum(max(0, each.orders - 1) for each in found)),
        "engines": float(len(found)),
    }


def _signal(unit: int, column: int) -> SignalSpec:
    return SignalSpec(f"s{column + 1}", "generic", "1", source=DEVICE, tag=_tag(unit, column), period_s=3600.0)


def _stand(rig: Rig, site: int, model: LifeModel, moving: Sequence[int], fold: int) -> None:
    with rig.database.tx(site_id=site) as conn:
        learned.keep(
            conn, model, asset_class=CLASS, mode=MODE, signals=tuple(f"s{column + 1}" for column in moving), step_h=1.0,
            lives=int(model.residuals.lives), learnt_from=f"all engines but those of fold {fold}", now=clock.wall_now(),
        )  # fmt: skip


def _stored(rig: Rig, samples: int, *, since_us: int, units: Sequence[int]) -> None:
    """Wait until every sample is stored and counted up by the hour, from which the beginning of a life is read."""
    codes, since = [_code(unit) for unit in units], time.monotonic()
    while time.monotonic() - since < PATIENCE_S:
        with rig.database.ingest_tx() as conn:
            row = conn.execute(
                """select coalesce(sum(n), 0) from rollups r join signals s using (signal_id)
                   join assets a using (asset_id)
                   where r.width_s = 3600 and a.code = any(%s) and r.bucket >= %s""",
                (codes, telemetry.from_us(since_us)),
            ).fetchone()
        if row and int(row[0]) >= samples:
            return
        time.sleep(0.5)
    say(f"of {samples} samples {row[0] if row else 0} are rolled up, and no more come")


def _look(rig: Rig, site: int) -> None:
    """Rounds of the worker's watch until there is nothing new."""
    before: list[Any] = []
    while True:
        run_periodic(rig.database, "maintenance.life.watch")
        with rig.database.tx(site_id=site) as conn:
            after = conn.execute("select asset_id, looked_at from life_watches order by asset_id").fetchall()
        if after == before:
            return
        before = after


def _ordered(rig: Rig, site: int, unit: int, cycles: int, begin_us: int) -> Ordered:
    with rig.database.tx(site_id=site) as conn:
        opened = conn.execute(
            """select d.at from decisions d join assets a using (asset_id) join alarms l using (alarm_id)
               where a.code = %s and d.action = 'open' and l.kind = 'machine' order by d.at""",
            (_code(unit),),
        ).fetchall()
        orders = conn.execute(
            """select count(*) from tickets t join assets a using (asset_id)
               where a.code = %s and t.kind <> 'sensor-fault'""",
            (_code(unit),),
        ).fetchone()
    at = tuple(((row[0] - EPOCH) / HOUR) - begin_us / HOUR_US for row in opened)
    return Ordered(unit, cycles, at, int(orders[0]) if orders else 0)


def _acknowledged(wire: Wire, count: int) -> None:
    since = time.monotonic()
    while wire.acked < count:
        wire.hear(1.0)
        if time.monotonic() - since > 60.0:
            raise TimeoutError(f"Of {count} messages {wire.acked} are acknowledged, and no more come.")


def _lead(one: Ordered) -> str:
    return f"{one.cycles - one.opened[0]:.0f}" if one.opened else "none"


def _code(unit: int) -> str:
    return f"FD-{unit:03d}"


def _tag(unit: int, column: int) -> str:
    return f"{_code(unit)}/s{column + 1}"


def say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
