"""Ten times the usual rate: memory stays bounded, and every message is stored, quarantined or counted as dropped."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

from benchmarks.drills.rig import DEVICE, GATEWAY, SITE, TAGS, House, Part, Plan
from benchmarks.drills.talker import Talker
from core.processes import pss_mb, tree
from edge import topics

USUAL_S, CALM_S = 400.0, 5.0  # messages a second of three samples; how long
TIMES = 10
PIECE_S = 0.02
BAD_EVERY, STRAY_EVERY = 97, 89  # messages: one that is malformed, one of a site that is not
SAMPLES = 3
ONE = topics.sample(SITE, GATEWAY, f"{DEVICE}/{TAGS[0]}").encode()
BATCH = topics.batch(SITE, GATEWAY).encode()
STRAY = topics.batch("nowhere", GATEWAY).encode()


class Memory:
    """The most that ingest and broker hold, in MB; looked at five times a second."""

    def __init__(self, house: House) -> None:
        self.most = dict.fromkeys((Part.INGEST, Part.BROKER), 0.0)
        self._pids = {part: house.pid(part) for part in self.most}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def now(self) -> dict[Part, float]:
        return {part: pss_mb(tree(pid)) for part, pid in self._pids.items()}

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            for part, held in self.now().items():
                self.most[part] = max(self.most[part], held)


def run(seconds: float, seed: int) -> dict[str, float | None]:
    """The usual rate for a while, then ten times that for ``seconds``."""
    with House(Plan(seed=seed)) as house, Talker(house.broker.port) as talker:
        memory = Memory(house)
        source = messages()
        _publish(talker, source, USUAL_S, CALM_S)
        calm = memory.now()
        began = time.monotonic()
        _publish(talker, source, USUAL_S * TIMES, seconds)
        talker.wait_taken()
        reached = (talker.sent - USUAL_S * CALM_S) / (time.monotonic() - began)
        last = time.monotonic()
        house.wait(lambda: _kept(house) >= talker.acked, within_s=120.0, what="all that was sent")
        behind = time.monotonic() - last
        memory.stop()
        kept, sent = _kept(house), talker.sent
        quarantined = int(house.query("select coalesce(sum(readings), 0) from quarantine")[0][0])
        dropped = house.dropped()
        alarmed = "ingest.dropped" in house.log(Part.INGEST)
    return {
        "messages": sent,
        "burst_msgs_s": round(reached),
        "stored": kept - quarantined - dropped,
        "quarantined": quarantined,
        "dropped": dropped,
        "uncounted": sent - kept,
        "unalarmed": 0 if alarmed or not dropped else dropped,
        "behind_s": round(behind, 2),
        **{f"growth_mb.{part}": round(most - calm[part], 1) for part, most in memory.most.items()},
        **{f"most_mb.{part}": round(most, 1) for part, most in memory.most.items()},
    }


GOALS = {"uncounted": "== 0", "unalarmed": "== 0", "growth_mb.ingest": "<= 150", "growth_mb.broker": "<= 300"}


def messages() -> Iterator[tuple[bytes, bytes]]:
    """Small messages without end: three samples each, now and then a bad or a stray one."""
    at_us = time.time_ns() // 1000 - 600_000_000
    number = 0
    while True:
        number += 1
        if number % STRAY_EVERY == 0:
            yield STRAY, b'{"d": []}'
        elif number % BAD_EVERY == 0:
            yield ONE, b'{"v": "high"}'
        else:
            at_us += SAMPLES * 1_000
            values = [number + 0.1, number + 0.2, number + 0.3]
            series = {"s": f"{DEVICE}/{TAGS[number % len(TAGS)]}", "t0": at_us, "dt": [0, 1_000, 2_000], "v": values}
            yield BATCH, json.dumps({"d": [series]}).encode()


def _publish(talker: Talker, source: Iterator[tuple[bytes, bytes]], rate: float, seconds: float) -> None:
    began, done = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - done
        talker.publish([next(source) for _ in range(due)])
        done += due
        time.sleep(PIECE_S)
    rest = int(seconds * rate) - done
    talker.publish([next(source) for _ in range(rest)])


def _kept(house: House) -> int:
    """Messages whose fate is known: stored, quarantined, or counted as dropped."""
    stored = int(house.query("select count(*) from samples")[0][0])
    quarantined = int(house.query("select coalesce(sum(readings), 0) from quarantine")[0][0])
    return stored // SAMPLES + quarantined + house.dropped()
