"""Drills: what kills, power cuts, freezes, poison, changes of mind, floods, jumps of the clock and races cost.

python -m benchmarks.drill telemetry [--kills 300] [--samples 100000] [--powercut 20] [--seed N] [--quick]
python -m benchmarks.drill freeze | poison | schema | burst [--seed N] [--quick]
python -m benchmarks.drill sla [--kills 200] [--jumps 20] [--sync] [--seed N] [--quick]
python -m benchmarks.drill restore [--mb 1000] [--quick]
python -m benchmarks.drill api [--kills 100] [--seed N] [--quick]
python -m benchmarks.drill maintenance [--kills 200] [--races 1000] [--seed N] [--quick]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks.drills import api, burst, disk, freeze, maintenance, poison, powercut, restore, schema, sla, telemetry
from benchmarks.drills.parts import Build
from benchmarks.result import finish
from core import log
from core.broker import Kind, choose

Figures = dict[str, float | None]
Found = tuple[Figures, Mapping[str, str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one drill and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drill", choices=list(DRILLS))
    parser.add_argument("--kills", type=int, help="300 of the telemetry lane, 200 of the job worker or the detectors")
    parser.add_argument("--jumps", type=int, default=20, help="of the plant clock")
    parser.add_argument(
        "--sync", action="store_true", help="sla: the database waits for the disk, as it does elsewhere"
    )
    parser.add_argument("--races", type=int, default=1000, help="maintenance: faults that eight workers see at once")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--powercut", type=int, default=0, help="so many power cuts each of spool and database (root)")
    parser.add_argument("--mb", type=int, default=1000, help="restore: size of the samples")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="smoke size: 20 kills, 5,000 samples")
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    figures, goals = DRILLS[chosen.drill](chosen)
    kind, _, version = choose(Kind.MOSQUITTO)
    finish(f"drill.{chosen.drill}", broker=f"{kind} {version}", figures=figures, goals=goals)
    return 0


def _telemetry(chosen: argparse.Namespace) -> Found:
    count, samples = (20, 5_000) if chosen.quick else (chosen.kills or 300, chosen.samples)
    main_run = telemetry.run(count, samples, chosen.seed, outage_s=2.0 if chosen.quick else 20.0)
    print(f"  {main_run.verdict}", flush=True)
    least, most = telemetry.CONTROL_KILLS
    control_kills = min(max(least, count // 8), most)
    control = telemetry.run(control_kills, samples * control_kills // count, chosen.seed, build=Build.ACKED)
    figures, goals = telemetry.figures(main_run, control), telemetry.GOALS
    if not chosen.powercut:
        return figures, goals
    if reason := disk.why_not():
        print(f"  no power cuts: {reason}")
        return figures, goals
    cuts = powercut.figures(powercut.run(chosen.powercut, chosen.seed))
    return figures | cuts, {**goals, **powercut.GOALS}


def _sla(chosen: argparse.Namespace) -> Found:
    kills, jumps = (6, 4) if chosen.quick else (chosen.kills or 200, chosen.jumps)
    settings = {} if chosen.sync else sla.UNSYNCED
    print(
        "  the database waits for the disk" if chosen.sync else "  fsync is off: --sync measures the disk too",
        flush=True,
    )
    return sla.figures(kills, jumps, chosen.seed, settings=settings), sla.GOALS


def _maintenance(chosen: argparse.Namespace) -> Found:
    kills, faults = (20, 100) if chosen.quick else (chosen.kills or 200, chosen.races)
    return maintenance.figures(kills, faults, chosen.seed), maintenance.GOALS


def _api(chosen: argparse.Namespace) -> Found:
    kills, tamperings = (8, 200) if chosen.quick else (chosen.kills or 100, 1000)
    goals = {**api.GOALS, "tamperings_detected": f"== {tamperings}"}
    return api.figures(kills, tamperings, chosen.seed), goals


DRILLS: Mapping[str, Callable[[argparse.Namespace], Found]] = {
    "telemetry": _telemetry,
    "freeze": lambda chosen: (freeze.run(4.0 if chosen.quick else 10.0, chosen.seed), freeze.GOALS),
    "poison": lambda chosen: (poison.run(1 if chosen.quick else 10, chosen.seed), poison.GOALS),
    "schema": lambda chosen: (schema.run(5 if chosen.quick else 50, chosen.seed), schema.GOALS),
    "sla": _sla,
    "maintenance": _maintenance,
    "restore": lambda chosen: (
        restore.run(50 if chosen.quick else chosen.mb, 1.0 if chosen.quick else 4.0),
        restore.GOALS,
    ),
    "api": _api,
    "burst": lambda chosen: (burst.run(5.0 if chosen.quick else 20.0, chosen.seed), burst.GOALS),
}

if __name__ == "__main__":
    sys.exit(main())
