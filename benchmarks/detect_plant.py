"""A plant of many signals at 1 Hz over MQTT, and what judging it costs: for ``benchmarks.detect``."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from api import devices
from benchmarks.instance import Running, wait_until
from core.processes import tree
from edge import topics
from edge.codecs import columns
from edge.delivery import Message
from plant.model import Reading

Figures = dict[str, float | None]
DEVICE = "many"
MACHINES, SIGNALS = 1_000, 10
MACHINES_A_MESSAGE = 10
TICKS = os.sysconf("SC_CLK_TCK")
FOLLOWS_S = 150.0  # until every machine has its line and the first samples are judged
ADMITTED_S = 20.0  # until the broker lets a new device in


def run(folder: Path, *, quick: bool, seed: int) -> tuple[Figures, str]:
    """Start a plant, fill it, let it run, and measure; the figures and the broker's name."""
    warm_s, seconds = (10, 15) if quick else (30, 60)
    with Running(folder) as up:
        site_id, password = make_plant(up)
        with Publisher(up, up.settings.site, password, seed) as publisher:
            wait_until(
                lambda: judged(up, site_id) >= MACHINES, within_s=FOLLOWS_S, what="a watermark for every machine"
            )
            time.sleep(warm_s)
            figures = measure(up, site_id, publisher, seconds)
        return figures, up.endpoints.broker_kind


def make_plant(up: Running) -> tuple[int, str]:
    """A device, machines and bound signals; returns the site's id and the device's password."""
    with up.instance.database.ingest_tx() as conn:
        row = conn.execute("select site_id from sites where code = %s", (up.settings.site,)).fetchone()
    site_id = row[0] if row else 0
    with up.instance.database.tx(site_id=site_id) as conn:
        password = devices.register(conn, DEVICE, actor="bench").password
        conn.execute(
            """insert into assets (code, name, class, level)
               select 'M-' || n, 'Machine ' || n, 'pump', 'unit' from generate_series(1, %s::int) n""",
            (MACHINES,),
        )
        conn.execute(
            """with made as (
                 insert into signals (asset_id, code, name, quantity, unit, period_s)
                 select asset_id, 's' || n, 's' || n, 'temperature', 'degC', 1
                 from assets, generate_series(1, %s::int) n
                 where code like 'M-%%'
                 returning signal_id, asset_id, code)
               insert into bindings (source, tag, signal_id, unit)
               select %s, a.code || '/' || m.code, m.signal_id, 'degC' from made m join assets a using (asset_id)""",
            (SIGNALS, DEVICE),
        )
    return site_id, password


def measure(up: Running, site_id: int, publisher: Publisher, seconds: float) -> Figures:
    """Processor seconds of the parts over a while, and how far behind the machines are judged."""
    parts = ("detect", "ingest", "database")
    before, sent, began = {part: cpu_s(up.pid_of(part)) for part in parts}, publisher.sent, time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    shares = {f"{part}_core_share": (cpu_s(up.pid_of(part)) - before[part]) / took for part in parts}
    return {**shares, "samples_s": (publisher.sent - sent) / took, "detect_lag_s": lag_s(up, site_id)}


def judged(up: Running, site_id: int) -> int:
    with up.instance.database.tx(site_id=site_id) as conn:
        row = conn.execute("select count(*) from asset_watermarks").fetchone()
    return row[0] if row else 0


def lag_s(up: Running, site_id: int) -> float:
    """Of the median machine, behind the wall."""
    with up.instance.database.tx(site_id=site_id) as conn:
        row = conn.execute(
            """select extract(epoch from now()) - percentile_disc(0.5) within group (order by watermark_us) / 1e6
               from asset_watermarks"""
        ).fetchone()
    return float(row[0]) if row else 0.0


def cpu_s(pid: int) -> float:
    """Processor seconds so far of a process and its children."""
    return sum(_ticks(each) for each in tree(pid)) / TICKS


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:  # it has ended meanwhile
        return 0
    return int(fields[11]) + int(fields[12])


class Publisher:
    """Sends every signal once a second, a hundred signals a message, spread over the second, in a thread."""

    def __init__(self, up: Running, site: str, password: str, seed: int) -> None:
        self.sent = 0
        self._topic, self._chance = topics.batch(site, DEVICE), np.random.default_rng(seed)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=DEVICE)
        self._client.username_pw_set(DEVICE, password)
        self._client.connect(up.endpoints.broker_host, up.endpoints.broker_port)
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._client.loop_start()
        wait_until(self._client.is_connected, within_s=ADMITTED_S, what="the broker's admission of the device")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        groups = MACHINES // MACHINES_A_MESSAGE
        began, epoch = time.monotonic(), f"bench-{time.time_ns()}"
        for seq in range(1, 10**9):
            if self._stop.wait(max(0.0, began + seq / groups - time.monotonic())):
                return
            self._client.publish(self._topic, self._message(epoch, seq, (seq - 1) % groups), qos=1)
            self.sent += MACHINES_A_MESSAGE * SIGNALS

    def _message(self, epoch: str, seq: int, group: int) -> bytes:
        at_us, good = np.array([time.time_ns() // 1_000], dtype=np.int64), np.zeros(1, np.uint8)
        first = group * MACHINES_A_MESSAGE + 1
        readings = tuple(
            Reading(DEVICE, f"M-{machine}/s{number}", at_us, 50 + self._chance.normal(size=1), good)
            for machine in range(first, first + MACHINES_A_MESSAGE)
            for number in range(1, SIGNALS + 1)
        )
        return columns.encode(Message(readings, epoch=epoch, seq=seq))
