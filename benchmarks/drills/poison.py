"""Messages of every bad kind among good ones: the next good one is durable at once, and every bad one is told."""

from __future__ import annotations

import json
import random
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from benchmarks.drills.rig import DEVICE, GATEWAY, SITE, TAGS, House, Plan
from benchmarks.drills.talker import Talker
from edge import topics
from edge.codecs import columns, health

EPOCH = "poison"
PATIENCE_S = 3.0
TAG = f"{DEVICE}/{TAGS[0]}"
BATCH, SIGNED = topics.batch(SITE, GATEWAY).encode(), topics.signed(SITE, GATEWAY).encode()


@dataclass(frozen=True, slots=True)
class Bad:
    """A message that must not be kept; it counts as one reading."""

    name: str
    topic: bytes
    payload: bytes


def run(rounds: int, seed: int) -> dict[str, float | None]:
    """Every kind of bad message ``rounds`` times, in random order, a good one after each."""
    chance = random.Random(seed)  # noqa: S311
    bad = [each for _ in range(rounds) for each in kinds(chance)]
    chance.shuffle(bad)
    delays = []
    untold: dict[str, int] = {}
    with House(Plan(seed=seed)) as house, Talker(house.broker.port) as talker:
        _good(talker, 1)
        before = _told(house)
        for number, each in enumerate(bad, 2):
            talker.publish([(each.topic, each.payload)])
            delays.append(_good(talker, number))
            now = _told_more(house, before)
            if now == before:
                untold[each.name] = untold.get(each.name, 0) + 1
            before = now
        stored = int(house.query("select count(*) from samples")[0][0])
        alive = house.log_has_no("ingest.failed")
    if untold:
        print("  not told:", untold)
    return {
        "kinds": len(bad) / rounds,
        "bad": len(bad),
        "good": len(delays) + 1,
        "good_lost": len(delays) + 1 - stored,
        "bad_untold": sum(untold.values()),
        "next_good_s.median": round(sorted(delays)[len(delays) // 2], 3),
        "next_good_s.max": round(max(delays), 3),
        "ingest_failed": 0 if alive else 1,
    }


GOALS = {
    "good_lost": "== 0",
    "bad_untold": "== 0",
    "next_good_s.max": "<= 1",
    "ingest_failed": "== 0",
}


def kinds(chance: random.Random) -> Iterator[Bad]:
    """One of each."""
    now_us = time.time_ns() // 1000
    good = json.dumps({"d": [{"s": TAG, "t0": now_us, "dt": [0], "v": [1.5]}]}).encode()
    for name, series in _bad_series(now_us).items():
        yield Bad(name, BATCH, json.dumps({"d": [series]}).encode())
    for name, payload in _bad_payloads(good, chance).items():
        yield Bad(name, BATCH, payload)
    for name, payload in _bad_samples().items():
        yield Bad(f"sample {name}", topics.sample(SITE, GATEWAY, TAG).encode(), payload)
    for name, topic in _bad_topics().items():
        yield Bad(f"topic {name}", topic, b'{"v": 1}')
    yield Bad("unsigned on the signed topic", SIGNED, good)
    yield Bad("forged signature", SIGNED, b"\xe7MW\x01" + bytes(32) + good)
    yield Bad("health of another shape", topics.health(SITE, GATEWAY).encode(), b'{"epoch": 1}')
    yield Bad("health as JSON array", topics.health(SITE, GATEWAY).encode(), b"[]" + health.NAME.encode())


def _bad_series(now_us: int) -> dict[str, object]:
    fit = {"s": TAG, "t0": now_us, "dt": [0], "v": [1.0]}
    return {
        "unknown tag": fit | {"s": "nobody/knows"},
        "empty tag": fit | {"s": ""},
        "tag with NUL": fit | {"s": "a\x00b"},
        "tag of 10,000": fit | {"s": "x" * 10_000},
        "unknown unit": fit | {"u": "furlong"},
        "lone surrogate": fit | {"s": "\ud800"},
        "null": fit | {"v": [None]},
        "text": fit | {"v": ["12,5"]},
        "boolean": fit | {"v": [True]},
        "int beyond 2^53": fit | {"v": [2**53 + 1]},
        "int of 400 digits": fit | {"v": [10**400]},
        "list in list": fit | {"v": [[1.0]]},
        "year 1601": fit | {"t0": -11_644_473_600_000_000},
        "year 9999": fit | {"t0": 253_370_764_800_000_000},
        "seconds for µs": fit | {"t0": now_us // 1_000_000},
        "next week": fit | {"t0": now_us + 7 * 86_400_000_000},
        "time beyond int64": fit | {"t0": 2**70},
        "offset beyond int64": fit | {"dt": [2**63]},
        "quality 7": fit | {"q": [7]},
        "longer dt": fit | {"dt": [0, 1]},
        "no t0": {name: value for name, value in fit.items() if name != "t0"},
    }


def _bad_payloads(good: bytes, chance: random.Random) -> dict[str, bytes]:
    return {
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "random bytes": chance.randbytes(200),
        "compressed": zlib.compress(good),
        "UTF-16": good.decode().encode("utf-16"),
        "byte-order mark": b"\xef\xbb\xbf" + good,
        "NaN": good.replace(b"1.5", b"NaN"),
        "Infinity": good.replace(b"1.5", b"-Infinity"),
        "1e999": good.replace(b"1.5", b"1e999"),
        "not UTF-8": good.replace(TAG.encode(), b"\xff\xfe"),
        "an array": b"[" + good + b"]",
        "a number": b"12",
        "deep nesting": b'{"d":' + b"[" * 100_000,
        "over 1 MiB": b'{"d": "' + b"x" * (1 << 20) + b'"}',
        "seq without epoch": b'{"seq": 3, "d": []}',
        "negative seq": b'{"epoch": "a", "seq": -3, "d": []}',
        "seq 0": b'{"epoch": "a", "seq": 0, "d": []}',
        "epoch of 300": json.dumps({"epoch": "e" * 300, "seq": 1, "d": []}).encode(),
        "columns cut": columns.MAGIC + b"\x01\x00" + bytes(10),
        "columns of version 9": columns.MAGIC + b"\x09" + bytes(40),
        "columns that lie": columns.MAGIC + b"\x01\x00" + b"\xff" * 18 + bytes(40),
    }


def _bad_samples() -> dict[str, bytes]:
    return {
        "no value": b"{}",
        "two times": b'{"v": 1, "t_s": 1, "t_ms": 2}',
        "time without zone": b'{"v": 1, "t": "2026-01-01T00:00:00"}',
        "the 30th of February": b'{"v": 1, "t": "2026-02-30T00:00:00Z"}',
        "quality fair": b'{"v": 1, "q": "fair"}',
        "text": b'{"v": "high"}',
    }


def _bad_topics() -> dict[str, bytes]:
    own = f"mw/v1/{SITE}/{GATEWAY}"
    return {
        "with an unknown leaf": f"{own}/x/y".encode(),
        "of a batch with a tag": f"{own}/b/y".encode(),
        "of a sample without a tag": f"{own}/s".encode(),
        "of a site that is not": f"mw/v1/nowhere/{GATEWAY}/b".encode(),
        "with a waveform that is none": f"{own}/w/{TAG}".encode(),
    }


def good_batch(seq: int, at_us: int, value: float = 1.5) -> bytes:
    return json.dumps({"epoch": EPOCH, "seq": seq, "d": [{"s": TAG, "t0": at_us, "dt": [0], "v": [value]}]}).encode()


def _good(talker: Talker, number: int) -> float:
    """Seconds until a good message is durable."""
    began = time.monotonic()
    talker.publish([(BATCH, good_batch(number, time.time_ns() // 1000))])
    talker.wait_durable(EPOCH, number)
    return time.monotonic() - began


def _told_more(house: House, before: tuple[int, int]) -> tuple[int, int]:
    """What is told now; drops are written down a moment later."""
    with suppress(TimeoutError):
        house.wait(lambda: _told(house) != before, within_s=PATIENCE_S, what="a word")
    return _told(house)


def _told(house: House) -> tuple[int, int]:
    """Quarantined readings, and drops that are written down."""
    quarantined = house.query("select coalesce(sum(readings), 0) from quarantine")[0][0]
    return int(quarantined), house.dropped()
