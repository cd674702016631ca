"""A sender that changes its mind: units, names, types, formats. Nothing vanishes, and everything is told why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.drills.poison import BATCH
from benchmarks.drills.rig import DEVICE, GATEWAY, WARM, House, Plan
from benchmarks.drills.talker import Talker
from edge.codecs import columns
from edge.delivery import Message
from edge.reasons import Reason
from plant.assets import bind
from plant.model import Reading

EPOCH = "schema"
TAG = f"{DEVICE}/{WARM}"
RENAMED = f"{DEVICE}/warm-2"
EACH, STEP_US = 20, 1_000
Payload = Callable[[int, int], bytes]  # seq, first µs


@dataclass(frozen=True, slots=True)
class Step:
    """``reason`` None: it must be stored."""

    name: str
    payload: Payload
    reason: Reason | None = None


def run(batches: int, seed: int) -> dict[str, float | None]:
    """Each change for ``batches`` batches in a row; then the new name is bound."""
    sent, wrong = 0, []
    seq, at_us = 0, time.time_ns() // 1000 - 60_000_000
    with House(Plan(seed=seed)) as house, Talker(house.broker.port) as talker:
        for step in STEPS:
            before = _fate(house)
            for _ in range(batches):
                seq, at_us = seq + 1, at_us + EACH * STEP_US
                talker.publish([(BATCH, step.payload(seq, at_us))])
                sent += EACH
            talker.wait_durable(EPOCH, seq)
            gained = {key: count - before.get(key, 0) for key, count in _fate(house).items()}
            if {key: count for key, count in gained.items() if count} != {step.reason: batches * EACH}:
                wrong.append((step.name, gained))
        fate = _fate(house)
        stored, quarantined = fate.pop(None, 0), sum(fate.values())
        _bind(house)
        house.wait(lambda: _fate(house).get(None, 0) >= stored + batches * EACH, what="the renamed tag's samples")
        converted = house.query("select count(*) from samples where value between 19.9 and 20.1")[0][0]
    for name, gained in wrong:
        print(f"  {name}: {gained}")
    return {
        "steps": len(STEPS),
        "steps_wrong": len(wrong),
        "sent": sent,
        "stored": stored,
        "quarantined": quarantined,
        "untold": sent - stored - quarantined,
        "reasons": len(fate),
        "released": batches * EACH,
        "wrong_values": stored - int(converted) + batches * EACH,
    }


GOALS = {"untold": "== 0", "steps_wrong": "== 0", "wrong_values": "== 0"}


def _json(series: dict[str, object], **more: object) -> Payload:
    def payload(seq: int, at_us: int) -> bytes:
        fit = {"s": TAG, "t0": at_us, "dt": list(range(0, EACH * STEP_US, STEP_US)), "v": [20.0] * EACH}
        return json.dumps({"epoch": EPOCH, "seq": seq, "d": [fit | series], **more}).encode()

    return payload


def _milliseconds(seq: int, at_us: int) -> bytes:
    return _json({"t0": at_us // 1000, "dt": list(range(EACH))})(seq, at_us)


def _columns(seq: int, at_us: int) -> bytes:
    at = at_us + np.arange(0, EACH * STEP_US, STEP_US)
    reading = Reading("", TAG, at, np.full(EACH, 20.0), np.zeros(EACH, np.uint8), "°C")
    return columns.encode(Message((reading,), epoch=EPOCH, seq=seq))


STEPS = (
    Step("as agreed", _json({})),
    Step("says its unit", _json({"u": "°C"})),
    Step("another unit of the same", _json({"u": "°F", "v": [68.0] * EACH})),
    Step("a unit of something else", _json({"u": "bar"}), Reason.WRONG_UNIT),
    Step("a unit nobody knows", _json({"u": "furlong"}), Reason.UNKNOWN_UNIT),
    Step("another name", _json({"s": RENAMED}), Reason.UNKNOWN_TAG),
    Step("whole numbers", _json({"v": [20] * EACH})),
    Step("numbers as text", _json({"v": ["20.0"] * EACH}), Reason.NOT_A_NUMBER),
    Step("truth values", _json({"v": [True] * EACH}), Reason.NOT_A_NUMBER),
    Step("milliseconds", _milliseconds, Reason.IMPLAUSIBLE_TIME),
    Step("columns", _columns),
    Step("a field more", _json({"colour": "red"}, version=2)),
    Step("as agreed again", _json({})),
)


def _fate(house: House) -> dict[Reason | None, int]:
    """Samples stored (None), and readings in quarantine by reason."""
    rows = house.query("select reason, sum(readings) from quarantine where settled_at is null group by 1")
    found: dict[Reason | None, int] = {Reason(reason): int(count) for reason, count in rows}
    return found | {None: int(house.query("select count(*) from samples")[0][0])}


def _bind(house: House) -> None:
    with house.database() as database, database.tx(site_id=house.site_id) as conn:
        bind(conn, source=GATEWAY, tag=RENAMED, signal_id=house.signals[WARM])
