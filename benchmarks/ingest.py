"""How near to the database's own speed a sample over MQTT becomes a durable row.

python -m benchmarks.ingest [--quick] [--seed N] [--only ratio,small,…]

One machine, one run: an embedded PostgreSQL with its default settings, the managed broker, real ingest processes, and a
publisher. ``copy_rows_s`` is COPY of a prebuilt binary buffer of 10,000 rows a commit into a day partition (heap +
BRIN). ``durable_rows_s`` is from the first publish to the receipt of the last message of 1,000 samples: by then every
row was de-duplicated, committed and can be queried. Both are measured in turn, several times; ``ratio`` is the median
of the pairs. Latency is from publish to the receipt's arrival at the publisher, at half that rate.

``cpu_s_per_m_rows.N`` is of N ingest processes, with what the others spent beside it. ``cost_100k_vs_100`` compares the
CPU a sample costs in ingest and PostgreSQL. ``rss_growth_pct_h`` is the slope of the ingest process's memory over
``rss_window_s`` at a steady rate, after the parts before it have warmed it up.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable

import msgspec
import numpy as np

from benchmarks import store_figures
from benchmarks.lane import (
    CHILD,
    Rig,
    Stock,
    add_signals,
    check,
    child,
    make_plant,
    raw_copy,
    rss_bytes,
    run_child,
)
from benchmarks.result import finish
from benchmarks.senders import MESSAGE_ROWS, SMALL_ROWS, Seen
from core import log
from core.broker import Kind

Figures = dict[str, float | None]
PARTS = ("ratio", "small", "workers", "signals", "rss", "store")
GOALS = {
    "ratio": ">= 0.60",
    "small_msgs_s": ">= 12000",
    "p99_ms": "<= 50",
    "view_day_ms": "<= 20",
    "latest_10k_ms": "<= 50",
    "rss_growth_pct_h": "<= 1",
    "cost_100k_vs_100": "<= 1.5",
}
MANY_CORES = 6
MANY_SIGNALS = 100_000
STEADY_ROWS_S = 100_000
REST_CPU_S = 0.1


def main(argv: list[str] | None = None) -> int:
    """Run it all and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--seed", type=int, default=1, help="of the sample values")
    parser.add_argument("--broker", default="auto", choices=["auto", "mosquitto", "amqtt"])
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to run, of {', '.join(PARTS)}")
    chosen = parser.parse_args(argv)
    log.configure("WARNING")
    wanted = set(chosen.only.split(","))
    with Rig.up(Kind(chosen.broker), chosen.seed) as rig:
        make_plant(rig.database, 100)
        figures: Figures = {"rows_a_commit": 10_000, "rows_a_message": MESSAGE_ROWS}
        for name, part in _parts(chosen.quick).items():
            if name in wanted:
                figures |= part(rig)
        check(rig)
        figures["rows"] = rig.rows
        version = f"{rig.broker.info.kind} {rig.broker.info.version}"
    if "store" in wanted:
        figures |= store(chosen.quick, chosen.seed)
    goals = {name: goal for name, goal in GOALS.items() if name in figures}
    if "two_workers_ratio" in figures and (os.cpu_count() or 1) >= MANY_CORES:
        goals["two_workers_ratio"] = ">= 1.6"
    finish("ingest", broker=version, figures=figures, goals=goals)
    return 0


def _parts(quick: bool) -> dict[str, Callable[[Rig], Figures]]:
    pairs, rows, seconds = (2, 200_000, 3) if quick else (7, 500_000, 20)
    return {
        "ratio": lambda rig: ratio(rig, pairs=pairs, rows=rows, seconds=seconds),
        "small": lambda rig: small(rig, messages=8_000 if quick else 100_000),
        "workers": lambda rig: workers(rig, rows=200_000 if quick else 2_000_000),
        "signals": lambda rig: signals(rig, rows=100_000 if quick else 1_000_000, turns=1 if quick else 3),
        "rss": lambda rig: rss(rig, seconds=5 if quick else 180),
    }


def ratio(rig: Rig, *, pairs: int, rows: int, seconds: int) -> Figures:
    """COPY and the whole way in turn, then the latency at half the rate."""
    chance = np.random.default_rng(rig.seed)
    raw_copy(rig.database, rows, chance)  # the server makes its log files
    copies, durables = [], []
    with rig.ingest():
        rig.publish("flat", 100)
        for _ in range(pairs):
            copies.append(raw_copy(rig.database, rows, chance))
            seen = rig.publish("flat", rows // MESSAGE_ROWS)
            durables.append(seen.rows / seen.seconds)
        half = statistics.median(durables) / 2
        paced = rig.publish("paced", int(half * seconds / MESSAGE_ROWS), rows_s=half)
    ratios = [durable / copy for durable, copy in zip(durables, copies, strict=True)]
    return {
        "copy_rows_s": round(statistics.median(copies)),
        "durable_rows_s": round(statistics.median(durables)),
        "ratio": round(statistics.median(ratios), 3),
        "ratio.lowest": round(min(ratios), 3),
        "ratio.highest": round(max(ratios), 3),
        "p50_ms": round(paced.p50_ms, 2),
        "p99_ms": round(paced.p99_ms, 2),
        "longest_ms": round(paced.max_ms, 2),
    }


def small(rig: Rig, *, messages: int) -> Figures:
    """Messages of three samples: ours until durable, a stock client's until received."""
    with rig.ingest():
        rig.publish("small", 1_000, window=4_000)
        _all_rolled(rig)
        ours = rig.publish("small", messages, window=4_000)
    log_file = rig.folder / "stock.log"
    with child(Stock(rig.port, rig.password, messages), log_file) as process:
        rig.publish("small", messages, window=4_000, receipts=False)
        process.wait(60)
    theirs = msgspec.json.decode(log_file.read_text().splitlines()[-1])
    stock_s = theirs["messages"] / theirs["seconds"]
    ours_s = ours.rows / SMALL_ROWS / ours.seconds
    return {
        "small_msgs_s": round(ours_s),
        "small_vs_stock_paho": round(ours_s / stock_s, 2),
        "stock_paho_msgs_s": round(stock_s),
    }


def workers(rig: Rig, *, rows: int) -> Figures:
    """CPU seconds a million rows, with one ingest process and with two on a shared subscription."""
    found: Figures = {}
    speeds = []
    for count in (1, 2):
        with rig.ingest(workers=count) as pids:
            seen, spent = _spent(rig, pids, rows=rows, signals=100)
        speeds.append(seen.rows / seen.seconds)
        found[f"cpu_s_per_m_rows.{count}"] = round(spent["ingest"], 3)
        if count == 1:
            found |= {f"cpu_s_per_m_rows.{name}": round(each, 3) for name, each in spent.items() if name != "ingest"}
    found["two_workers_ratio"] = round(speeds[1] / speeds[0], 2)
    return found


def signals(rig: Rig, *, rows: int, turns: int) -> Figures:
    """What a sample costs with 100,000 signals against 100, in ingest and PostgreSQL together."""
    add_signals(rig.database, range(100, MANY_SIGNALS))
    costs = []
    with rig.ingest() as pids:
        for count in (100, MANY_SIGNALS) * turns:
            _, spent = _spent(rig, pids, rows=rows, signals=count)
            costs.append(spent["ingest"] + spent["postgres"])
    few, many = sum(costs[::2]), sum(costs[1::2])
    return {"cost_100k_vs_100": round(many / few, 2), "cost_s_per_m_rows.100": round(few / turns, 2)}


def store(quick: bool, seed: int) -> Figures:
    """What a sample takes on disk, and how long it takes to look at them: on a database of its own."""
    with Rig.up(Kind.AUTO, seed) as rig:
        found = store_figures.figures(rig.database, rows=200_000 if quick else store_figures.ROWS, seed=seed)
    kept: Figures = {name: found[name] for name in found if name not in {"rows", "copy_rows_s"}}
    return kept | {"store_rows": found["rows"]}


def _spent(rig: Rig, pids: list[int], *, rows: int, signals: int) -> tuple[Seen, dict[str, float]]:
    """A flat phase, and the CPU seconds a million rows of each part until everything has come to rest."""
    rig.publish("flat", 50, signals=signals)
    _come_to_rest(rig, pids)
    before = rig.cpu_s(pids)
    seen = rig.publish("flat", rows // MESSAGE_ROWS, signals=signals)
    time.sleep(1.5)  # last values are written about once a second
    after = rig.cpu_s(pids)
    spent = {name: (after[name] - before[name]) / seen.rows * 1e6 for name in after}
    return seen, spent | {"publisher": seen.cpu_s / seen.rows * 1e6}


def _come_to_rest(rig: Rig, pids: list[int], *, within_s: float = 20.0) -> None:
    """Wait until ingest and PostgreSQL have done what was left over: it would be counted for the next phase."""
    deadline = time.monotonic() + within_s
    spent = 0.0
    while time.monotonic() < deadline:
        now = rig.cpu_s(pids)
        if now["ingest"] + now["postgres"] - spent < REST_CPU_S:
            return
        spent = now["ingest"] + now["postgres"]
        time.sleep(0.7)


def _all_rolled(rig: Rig, *, within_s: float = 150.0) -> None:
    """Wait until the rollups of earlier phases are made, the newest minute's too: this one pays for its own only."""
    deadline = time.monotonic() + within_s
    waiting: object = True
    while waiting is not None and time.monotonic() < deadline:
        time.sleep(0.5)
        with rig.database.ingest_tx() as conn:
            waiting = conn.execute("select 1 from ingest_batches where not rolled limit 1").fetchone()


def rss(rig: Rig, *, seconds: int) -> Figures:
    """The slope of memory at a steady rate."""
    with rig.ingest() as pids:
        rig.publish("flat", 500)
        times: list[float] = []
        sizes: list[float] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.5):
                times.append(time.monotonic())
                sizes.append(rss_bytes(pids[0]))

        for measured in (False, True):
            watcher = threading.Thread(target=watch)
            if measured:
                watcher.start()
            span = seconds if measured else max(seconds // 2, 2)  # until its memory has settled
            rig.publish("paced", STEADY_ROWS_S * span // MESSAGE_ROWS, rows_s=STEADY_ROWS_S)
        stop.set()
        watcher.join()
    slope = float(np.polyfit(times, sizes, 1)[0])
    return {
        "rss_growth_pct_h": round(slope * 3600 / float(np.mean(sizes)) * 100, 2),
        "rss_window_s": seconds,
        "rss_mib": round(sizes[-1] / 2**20),
    }


if __name__ == "__main__":
    if CHILD in os.environ:
        run_child(os.environ[CHILD])
    else:
        sys.exit(main())
