"""Power cuts of the gateway's disk (its spool) and of the database's, while samples flow.

Controls: a spool that does not wait for the disk, and a database with ``synchronous_commit = off``. Both must lose:
kill -9 alone says nothing of what an fsync is for.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.drills.parts import Build
from benchmarks.drills.rig import READY_S, Part, Plan, Rig
from benchmarks.drills.verdict import Verdict

GOALS = {
    "powercut_lost": "== 0",
    "powercut_doubled": "== 0",
    "powercut_altered": "== 0",
    "powercut_control_lost.spool": ">= 1",
    "powercut_control_lost.database": ">= 1",
}
RATE = 300.0
AWAY_S = 1.5  # ingest is frozen up to so long before the spool's cut, so that the spool holds something
PAUSE_S = 0.7
CONTROL_CUTS = 3
CONTROL_S = 10.0
LAZY = {"synchronous_commit": "off", "wal_writer_delay": "2000ms"}


@dataclass(frozen=True, slots=True)
class Cuts:
    """``spool`` and ``database`` are the controls'."""

    cuts: int
    verdict: Verdict
    spool: Verdict
    database: Verdict


def run(count: int, seed: int) -> Cuts:
    """``count`` cuts of each disk, and the controls."""
    both = [Part.GATEWAY, Part.DATABASE]
    found = _cut(Plan(seed=seed, power=frozenset(both)), both * count)
    spool = Plan(build=Build.HASTY, seed=seed, power=frozenset({Part.GATEWAY}))
    database = Plan(seed=seed, power=frozenset({Part.DATABASE}), database=LAZY)
    return Cuts(
        2 * count,
        found,
        _cut(spool, [Part.GATEWAY] * CONTROL_CUTS, within_s=CONTROL_S),
        _cut(database, [Part.DATABASE] * CONTROL_CUTS, within_s=CONTROL_S),
    )


def figures(found: Cuts) -> dict[str, float | None]:
    verdict = found.verdict
    return {
        "powercuts": found.cuts,
        "powercut_samples": verdict.samples,
        "powercut_lost": verdict.lost,
        "powercut_doubled": verdict.doubled,
        "powercut_altered": verdict.altered,
        "powercut_control_lost.spool": found.spool.lost,
        "powercut_control_lost.database": found.database.lost,
    }


def _cut(plan: Plan, parts: Iterable[Part], *, within_s: float = 180.0) -> Verdict:
    chance = random.Random(plan.seed)  # noqa: S311
    with Rig(plan) as rig:
        rig.device.rate = RATE
        for part in parts:
            time.sleep(chance.uniform(0.0, PAUSE_S))
            began = time.monotonic()
            if part is Part.GATEWAY:
                rig.freeze(Part.INGEST)
                time.sleep(chance.uniform(AWAY_S / 3, AWAY_S))
            rig.cut_power(part)
            if part is Part.GATEWAY:
                rig.freeze(Part.INGEST, signal.SIGCONT)
            _recover(rig, began, within_s)
        return rig.settle(within_s=within_s)


def _recover(rig: Rig, began: float, within_s: float) -> None:
    """A control may have lost so much that it never comes back; that is its verdict's business."""
    try:
        rig.recovered(began, within_s=min(within_s, READY_S))
    except TimeoutError:
        if within_s != CONTROL_S:
            raise
