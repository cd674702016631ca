"""Random kill -9 of gateway, broker, ingest and database while samples flow: none lost, doubled or altered.

The control is the same run with a gateway that lets a batch go at the broker's PUBACK: it must lose.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.drills.parts import Build
from benchmarks.drills.rig import Part, Plan, Rig
from benchmarks.drills.verdict import Verdict

EACH_S = 2.2  # a kill takes about this long, recovery included
AT_ONCE = 0.25  # of the kills do not wait until the one before is mended
PAUSE_S = 0.4
CONTROL_SETTLE_S = 5.0
LEAST_RATE = 200.0  # samples a second: something is always under way
PAIR_EVERY = 10  # kills: then ingest and, while it is still away, the broker with what it keeps for it
GOALS = {"lost": "== 0", "doubled": "== 0", "altered": "== 0", "control_lost": ">= 1", "drain_ratio": ">= 2"}
CONTROL_KILLS = (4, 40)


@dataclass(frozen=True, slots=True)
class Kill:
    """Which part, how long after the last recovery (or, ``at_once``, after the last kill)."""

    part: Part
    after_s: float
    at_once: bool = False


@dataclass(slots=True)
class Killed:
    """What a run of kills found."""

    verdict: Verdict
    kills: int
    recovery_s: dict[Part, list[float]] = field(default_factory=dict)
    drain_ratio: float | None = None


def kills(count: int, chance: random.Random) -> Iterator[Kill]:
    """Every part equally often, in random order; now and then two at once."""
    turns: list[Part] = []
    for number in range(count):
        if number % PAIR_EVERY in (1, 2):
            last = number % PAIR_EVERY == 2
            yield Kill(Part.BROKER if last else Part.INGEST, chance.uniform(0.2, 0.5), at_once=last)
            continue
        turns = turns or chance.sample(list(Part), len(Part))
        yield Kill(turns.pop(), chance.uniform(0.0, PAUSE_S), at_once=chance.random() < AT_ONCE)


def run(count: int, samples: int, seed: int, *, build: Build = Build.HONEST, outage_s: float = 0.0) -> Killed:
    """One run. ``outage_s``: at the end ingest is away so long, and then the backlog's drain is timed."""
    with Rig(Plan(build=build, seed=seed)) as rig:
        rig.device.rate = max(samples / max(count * EACH_S, 1.0), LEAST_RATE)
        recovery = _kill(rig, list(kills(count, random.Random(seed))))  # noqa: S311
        ratio = _drain(rig, outage_s) if outage_s else None
        _publish_the_rest(rig, samples)
        found = rig.settle(within_s=180.0 if build is Build.HONEST else CONTROL_SETTLE_S)
    return Killed(found, count, recovery, ratio)


def figures(main: Killed, control: Killed) -> dict[str, float | None]:
    """As the issue names them."""
    recovery = {
        f"recovery_s.{part}": round(statistics.median(taken), 2) for part, taken in sorted(main.recovery_s.items())
    }
    worst = {f"recovery_max_s.{part}": round(max(taken), 2) for part, taken in sorted(main.recovery_s.items())}
    found = main.verdict
    return {
        "kills": main.kills,
        "samples": found.samples,
        "lost": found.lost,
        "doubled": found.doubled,
        "altered": found.altered,
        "control_kills": control.kills,
        "control_samples": control.verdict.samples,
        "control_lost": control.verdict.lost,
        "drain_ratio": None if main.drain_ratio is None else round(main.drain_ratio, 2),
        **recovery,
        **worst,
    }


def _kill(rig: Rig, planned: list[Kill]) -> dict[Part, list[float]]:
    """Kill and start again at once; recovery is timed where the next kill waits for it."""
    recovery: dict[Part, list[float]] = {}
    for number, kill in enumerate(planned):
        time.sleep(kill.after_s)
        began = time.monotonic()
        rig.kill(kill.part)
        rig.start(kill.part)
        if number + 1 < len(planned) and planned[number + 1].at_once:
            continue
        seconds = rig.recovered(began)
        if not kill.at_once:
            recovery.setdefault(kill.part, []).append(seconds)
    return recovery


def _drain(rig: Rig, outage_s: float) -> float:
    """Samples a second that leave the backlog while new ones come, over the rate at which they come."""
    rig.device.rate, rig.device.message_samples = 2_000.0, 100
    rig.kill(Part.INGEST)
    first, began = rig.device.taken, time.monotonic()
    time.sleep(outage_s)
    arrival = (rig.device.taken - first) / (time.monotonic() - began)
    mark = rig.watch.seq
    rig.start(Part.INGEST)
    rig.wait(lambda: rig.watch.seq > mark, what="ingest")
    backlog, taken, began = rig.backlog(), rig.device.taken, time.monotonic()
    rig.wait(lambda: 0 <= rig.backlog() < arrival, within_s=120.0, what="the end of the backlog")
    gone = backlog + (rig.device.taken - taken) - rig.backlog()
    return gone / (time.monotonic() - began) / arrival


def _publish_the_rest(rig: Rig, samples: int) -> None:
    rig.device.rate, rig.device.message_samples = 2_000.0, 100
    rig.wait(lambda: rig.device.taken >= samples, within_s=30 + samples / 500, what=f"{samples} samples")
