"""Drills of the telemetry lane: what kills, power cuts, freezes, poison and floods cost.

python -m benchmarks.drill telemetry [--kills 300] [--samples 100000] [--powercut 20] [--seed N] [--quick]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.drills import disk, powercut, telemetry
from benchmarks.drills.parts import Build
from benchmarks.result import finish
from core import log
from core.broker import Kind, choose

TELEMETRY_GOALS = {
    "lost": "== 0",
    "doubled": "== 0",
    "altered": "== 0",
    "control_lost": ">= 1",
    "drain_ratio": ">= 2",
}
POWERCUT_GOALS = {
    "powercut_lost": "== 0",
    "powercut_doubled": "== 0",
    "powercut_altered": "== 0",
    "powercut_control_lost.spool": ">= 1",
    "powercut_control_lost.database": ">= 1",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one drill and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drill", choices=["telemetry"])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--powercut", type=int, default=0, help="so many power cuts each of spool and database (root)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="within a minute: 20 kills, 5,000 samples")
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    _telemetry(chosen)
    return 0


def _telemetry(chosen: argparse.Namespace) -> None:
    count, samples = (20, 5_000) if chosen.quick else (chosen.kills, chosen.samples)
    main_run = telemetry.run(count, samples, chosen.seed, outage_s=4.0 if chosen.quick else 20.0)
    least, most = telemetry.CONTROL_KILLS
    control_kills = min(max(least, count // 8), most)
    control = telemetry.run(control_kills, samples * control_kills // count, chosen.seed, build=Build.ACKED)
    figures = telemetry.figures(main_run, control)
    goals = dict(TELEMETRY_GOALS)
    if chosen.powercut and (reason := disk.why_not()):
        print(f"  no power cuts: {reason}")
    elif chosen.powercut:
        figures |= powercut.figures(powercut.run(chosen.powercut, chosen.seed))
        goals |= POWERCUT_GOALS
    kind, _, version = choose(Kind.MOSQUITTO)
    finish("drill.telemetry", broker=f"{kind} {version}", figures=figures, goals=goals)


if __name__ == "__main__":
    sys.exit(main())
