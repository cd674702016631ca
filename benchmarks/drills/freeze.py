"""Parts that are there and do not answer: SIGSTOP of database, broker and ingest, and a line that swallows everything.

A process that is killed is noticed at once; a frozen one only by whoever keeps a deadline of its own.
"""

from __future__ import annotations

import signal
import time

from benchmarks.drills.proxy import Line, Proxy
from benchmarks.drills.rig import Part, Plan, Rig

GOALS = {"lost": "== 0", "doubled": "== 0", "altered": "== 0"}
RATE = 500.0
BETWEEN_S = 1.0
FROZEN = (Part.DATABASE, Part.BROKER, Part.INGEST)
BACK_S = 90.0  # a connection that died without a word is given up by its keep-alive


def run(frozen_s: float, seed: int) -> dict[str, float | None]:
    """Each part frozen once, then a black hole between gateway and broker; seconds until receipts came again."""
    proxies: list[Proxy] = []

    def behind(port: int) -> int:
        proxies.append(Proxy(port))
        return proxies[0].port

    recovery: dict[str, float | None] = {}
    try:
        with Rig(Plan(seed=seed, behind=behind)) as rig:
            rig.device.rate = RATE
            for part in FROZEN:
                time.sleep(BETWEEN_S)
                rig.freeze(part)
                time.sleep(frozen_s)
                rig.freeze(part, signal.SIGCONT)
                recovery[f"recovery_s.{part}"] = _back(rig)
            time.sleep(BETWEEN_S)
            proxies[0].set(Line.BLACK_HOLE)
            time.sleep(frozen_s)
            proxies[0].set(Line.GOOD)
            recovery["recovery_s.line"] = _back(rig)
            found = rig.settle()
    finally:
        for proxy in proxies:
            proxy.stop()
    return {
        "frozen_s": frozen_s,
        "samples": found.samples,
        "lost": found.lost,
        "doubled": found.doubled,
        "altered": found.altered,
        **recovery,
    }


def _back(rig: Rig) -> float:
    return round(rig.recovered(time.monotonic(), within_s=BACK_S), 2)
