"""Engines replayed through the real broker: is each ordered in time, once, and not too early?

python -m benchmarks.fleet FOLDER [--quick] [--each N] [--seed N] [--kept FILE [--only FOLD]]

FOLDER holds ``train_FD001.txt`` (C-MAPSS: engines run to failure). A database, a broker and a real ingest process are
started; a device publishes each engine's signals over MQTT as it lived them, one cycle an hour of plant time. The
product's detectors and the watch of its worker then run in this process, as `detect` and `worker` run them, until
nothing is left to look at: the model of the class looks at every engine, finding, alarm, forecast, decision, order.

Five folds by engine (unit mod 5): while the engines of a fold are replayed, the model that stands is the one learnt
from the other four, by the function that learns from a plant's recorded failures, on the values of the file (their
lives are not replayed first). Which columns are signals at all is chosen by the other four too: those that move. No
engine is repaired: its signals simply go on to the last cycle.

Orders of kind *sensor fault* are about an instrument, not about the engine: they are counted as ``sensor_orders`` and
are neither leads nor second orders.

The class's maintenance policy (HORIZON_H, and the costs that make it act at even odds) says: order when the engine is
as likely as not to fail within 30 cycles. It was set by what is asked for (a lead of 20 to 40 cycles), not by trial.
The lead is from the decision that opened the order (its cycle) to the last cycle.

With ``--kept`` each fold's outcome is written to FILE once it is done, and folds that are in it are not replayed again:
the whole fleet in pieces, a fold each with ``--only``. Figures are always of all that is in the file.
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
    """What became of one engine: its cycles, the cycle of each decision that opened an order, and how many orders
    there are about the engine and about its sensors."""

    unit: int
    cycles: int
    opened: tuple[float, ...]
    orders: int
    sensors: int


def main(argv: list[str] | None = None) -> int:
    """Replay the fleet and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="four engines of one fold")
    parser.add_argument("--each", type=int, help="so many engines of every fold, instead of all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, help="a file of outcomes, a fold a line, that is read and added to")
    parser.add_argument("--only", type=int, choices=range(FOLDS), help="replay this fold alone")
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    up.wire()
    engines = read_engines(chosen.folder / "train_FD001.txt")
    began, kept = time.monotonic(), _kept(chosen.kept)
    folds = [0] if chosen.quick else [chosen.only] if chosen.only is not None else list(range(FOLDS))
    each = QUICK_ENGINES if chosen.quick else chosen.each
    with Rig.up(Kind("auto"), chosen.seed) as rig, rig.ingest():
        broker = f"{rig.broker.info.kind} {rig.broker.info.version}"
        hall = Hall.made(rig, engines)
        for fold in (fold for fold in folds if fold not in kept):
            kept[fold] = hall.replay(fold, seed=chosen.seed, each=each)
            _keep(chosen.kept, fold, kept[fold])
    told = {**figures([one for fold in sorted(kept) for one in kept[fold]]), "seconds": time.monotonic() - began}
    finish("fleet", broker=broker, figures=told, goals=GOALS)
    return 0


@dataclass(frozen=True, slots=True)
class Hall:
    """A site with its device and the class's policy, where engines are replayed, a fold at a time."""

    rig: Rig
    engines: Mapping[int, Floats]
    site: int
    runner: Runner
    first_us: int

    @staticmethod
    def made(rig: Rig, engines: Mapping[int, Floats]) -> Hall:
        """The empty site."""
        with rig.database.tx() as conn:
            query = "insert into sites (code, name) values (%s, 'Hangar') returning site_id"
            row = conn.execute(query, (SITE,)).fetchone()
        site = int(row[0]) if row else 0
        with rig.database.tx(site_id=site) as conn:
            assets.register_device(conn, DEVICE, secret_hash=hash_password(PASSWORD))
            policies.create(conn, Scope(CLASS), POLICY, by="fleet", now=clock.wall_now())
        runner = Runner(rig.database, clock.load, up.on_finding(), up.on_rejudged())
        return Hall(rig, engines, site, runner, (round(clock.wall_now().timestamp()) // 3600 - BEFORE_H) * HOUR_US)

    def replay(self, fold: int, *, seed: int, each: int | None) -> list[Ordered]:
        """The engines of a fold, at most ``each``; returns what became of every one."""
        watch = _Watch()
        mine = [unit for unit in sorted(self.engines) if unit % FOLDS == fold][:each]
        moving = moved_in([values for unit, values in self.engines.items() if unit % FOLDS != fold])
        begin_us = {unit: self.first_us + unit // FOLDS * APART_H * HOUR_US for unit in mine}
        _engines(self.rig, self.site, mine, moving)
        _stand(self.rig, self.site, learn(self.engines, moving, fold=fold, seed=seed), moving, fold)
        watch.lap("learn")
        samples = publish(self.rig, self.engines, mine, moving, begin_us)
        _stored(self.rig, samples, since_us=self.first_us, units=mine)
        watch.lap("store")
        self.runner.run_once()
        watch.lap("detect")
        _look(self.rig, self.site)
        watch.lap("look")
        found = [_ordered(self.rig, self.site, unit, len(self.engines[unit]), begin_us[unit]) for unit in mine]
        say(f"fold {fold}: " + ", ".join(f"{one.unit}:{_lead(one)}" for one in found) + f"  ({watch})")
        return found


def moved_in(training: Sequence[Floats]) -> list[int]:
    """Columns that are not the same on every row of these engines."""
    rows = np.vstack(training)
    return [column for column in range(rows.shape[1]) if np.ptp(rows[:, column]) > 0]


class _Watch:
    """Seconds of each part, for the line of a fold."""

    def __init__(self) -> None:
        self._at, self._laps = time.monotonic(), dict[str, float]()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self._laps[name], self._at = now - self._at, now

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self._laps.items())


def _kept(path: Path | None) -> dict[int, list[Ordered]]:
    """Fold → outcomes of the file; nothing without one."""
    if path is None or not path.exists():
        return {}
    rows = [msgspec.json.decode(line, type=tuple[int, list[Ordered]]) for line in path.read_bytes().splitlines()]
    return dict(rows)


def _keep(path: Path | None, fold: int, found: Sequence[Ordered]) -> None:
    if path is not None:
        with path.open("ab") as file:
            file.write(msgspec.json.encode((fold, found)) + b"\n")


def _engines(rig: Rig, site: int, units: Sequence[int], moving: Sequence[int]) -> None:
    with rig.database.tx(site_id=site) as conn:
        for unit in units:
            signals = tuple(_signal(unit, column) for column in moving)
            assets.ensure_machine(conn, MachineSpec(_code(unit), f"Engine {unit}", CLASS, signals=signals))


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
        "sensor_orders": float(sum(each.sensors for each in found)),
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
            """select count(*) filter (where t.kind <> 'sensor-fault'), count(*) filter (where t.kind = 'sensor-fault')
               from tickets t join assets a using (asset_id) where a.code = %s""",
            (_code(unit),),
        ).fetchone()
    at = tuple(((row[0] - EPOCH) / HOUR) - begin_us / HOUR_US for row in opened)
    return Ordered(unit, cycles, at, *(int(count) for count in orders or (0, 0)))


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
