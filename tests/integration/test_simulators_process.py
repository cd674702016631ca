"""The fleet as a process of its own, as a demo or a benchmark starts it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators import config, ledger, plants
from tests.conftest import RunningBroker

LIVE_US = 1_767_225_600_000_000
FACTOR = 1200.0
ROOT = Path(__file__).resolve().parents[2]


class PlantTime(BaseHTTPRequestHandler):
    """GET /api/v1/clock of an instance whose clock started with the process."""

    began = time.monotonic()

    def do_GET(self) -> None:
        now_s = LIVE_US / 1e6 + (time.monotonic() - self.began) * FACTOR
        now = datetime.fromtimestamp(now_s, UTC).isoformat().replace("+00:00", "Z")
        raw = json.dumps({"now": now, "factor": FACTOR, "offset_s": 0.0}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def clock_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), PlantTime)
    PlantTime.began = time.monotonic()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def acknowledge(client: mqtt.Client, kept: dict[tuple[str, int], bytes], message: mqtt.MQTTMessage) -> None:
    device, body = message.topic.split("/")[3], json.loads(message.payload)
    kept[device, body["seq"]] = bytes(message.payload)
    receipt = {"epoch": body["epoch"], "seq": body["seq"], "gaps": []}  # one device's messages come in order
    client.publish(f"mw/v1/plant/{device}/receipt", json.dumps(receipt), qos=1)


def test_a_fleet_process_plays_history_lives_and_stops_clean(
    mosquitto: RunningBroker, clock_url: str, tmp_path: Path
) -> None:
    kept: dict[tuple[str, int], bytes] = {}
    ingest = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="small-ingest")
    ingest.on_message = lambda client, _data, message: acknowledge(client, kept, message)
    ingest.connect(mosquitto.host, mosquitto.port)
    ingest.subscribe("mw/v1/+/+/b", qos=1)
    ingest.loop_start()
    path, book = tmp_path / "fleet.json", tmp_path / "ledger.jsonl"
    told = config.FleetConfig(
        base_url=clock_url,
        mqtt_host=mosquitto.host,
        mqtt_port=mosquitto.port,
        site="plant",
        plant="demo",
        live_us=LIVE_US,
        passwords={},
        ledger=str(book),
        tick_s=0.25,
    )
    config.write(path, told)
    assert path.stat().st_mode & 0o777 == 0o600 and config.read_fleet(path) == told
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "simulators", "fleet", str(path)],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            text=True,
        )
    assert process.stdout is not None
    try:
        history = json.loads(process.stdout.readline())
        assert json.loads(process.stdout.readline()) == {"event": "live"}
        deadline = time.monotonic() + 20.0
        while sum(b'"hist"' not in payload for payload in list(kept.values())) < 16:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGTERM)
        stopped = json.loads(process.stdout.readline())
        process.wait(30.0)
        process.stdout.close()
    ingest.disconnect()
    ingest.loop_stop()
    assert process.returncode == 0
    assert history["event"] == "history_done" and history["samples"] > 7 * 1440 * 8 * 7
    assert stopped["event"] == "stopped" and stopped["drained"] is True
    lines = {(line.device, line.seq): bytes(line.payload) for line in ledger.lines(book)}
    assert lines == kept
    assert {device for device, _ in kept} == set(plants.demo(1).devices)


def test_a_wrong_call_is_told_how() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulators", "dance"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2 and "fleet|people" in done.stderr
