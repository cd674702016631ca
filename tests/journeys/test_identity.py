"""Device identity as an operator meets it: register, publish over TLS, revoke while connected, read the audit.

The time from the verb's (or the API answer's) end until the live session is gone and refused is measured and printed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from api.instance import Instance
from core.broker import Kind, choose
from core.places import forget
from core.ports import reserve
from core.settings import Settings
from edge import envelope, topics
from edge.tls import context
from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
START_S, RUN_S, REVOKED_WITHIN_S = 90.0, 60.0, 5.0


def until(true: Callable[[], object], *, within_s: float, what: str) -> float:
    """Seconds until it was true."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + within_s, f"{what}: not within {within_s} s"
        time.sleep(0.02)
    return time.monotonic() - began


class House:
    """A whole instance with every door of its broker."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pki = folder, folder.parent / "devices"
        self.port, self.tls_port, self.certificate_port = reserve(), reserve(), reserve()
        self.env = os.environ | {
            "MILLWRIGHT_DATA_DIR": str(folder),
            "MILLWRIGHT_PORT": str(self.port),
            "MILLWRIGHT_MQTT_TLS_PORT": str(self.tls_port),
            "MILLWRIGHT_MQTT_CERTIFICATE_PORT": str(self.certificate_port),
        }
        self.instance = Instance(Settings(data_dir=folder))
        self.ca = folder / "pki" / "ca.pem"
        self._log = (folder.parent / "up.log").open("wb")
        self._up = subprocess.Popen(self._line("up"), cwd=ROOT, env=self.env, stdout=self._log, stderr=self._log)

    def ready(self) -> None:
        log = Path(self._log.name)
        until(lambda: b"console:" in log.read_bytes() or self._up.poll() is not None, within_s=START_S, what="start")
        assert self._up.poll() is None, log.read_text()[-3000:]
        token = self.run("token", "admin").split()[-1]
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=20
        )

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(
            self._line(*map(str, words)),
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(self, name: str, *options: str | Path) -> str:
        """The device's password."""
        found = re.search(r"shown this once: (\S+)", self.run("device", "add", name, *options))
        assert found
        return found[1]

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.instance.database.tx(site_id=1) as conn:
            return conn.execute(sql.encode(), values).fetchall()

    def device_id(self, name: str) -> int:
        items = self.api.get("/devices").json()["items"]
        return int(next(each["device_id"] for each in items if each["name"] == name))

    def publish(self, port: int, topic: str, *options: str | Path, message: str = '{"v": 1}') -> int:
        """Exit code of a real mosquitto_pub."""
        program = shutil.which("mosquitto_pub") or missing(
            "mosquitto_pub", "Install it: apt-get install mosquitto-clients"
        )
        command = [str(program), "-h", "localhost", "-p", str(port), "-q", "1", "-t", topic, "-m", message]
        done = subprocess.run([*command, *map(str, options)], capture_output=True, timeout=30, check=False)
        return done.returncode

    def close(self) -> None:
        self.api.close()
        self.instance.database.close()
        self._up.terminate()
        self._up.wait(30)
        self._log.close()
        forget(self.instance.short_id)

    def _line(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "api.cli", *words]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    if choose(Kind.AUTO)[0] is not Kind.MOSQUITTO:
        missing("mosquitto", "Install it: apt-get install mosquitto")
    made = House(tmp_path_factory.mktemp("identity") / "data")
    try:
        made.ready()
        yield made
    finally:
        made.close()


class Device:
    """A device that publishes ten times a second and comes back when its connection is lost, as real ones do."""

    def __init__(self, house: House, name: str, *, password: str | None = None, files: Path | None = None) -> None:
        self.topic = topics.sample("plant", name, "flow")
        self.lost_at: list[float] = []
        self.accepted: list[float] = []
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"{name}-client")
        self.paho.reconnect_delay_set(min_delay=1, max_delay=1)
        self.paho.on_connect = self._connected
        self.paho.on_disconnect = lambda *_: self.lost_at.append(time.monotonic())
        if files is not None:
            certificate, key, ca = files / f"{name}.pem", files / f"{name}.key", files / "ca.pem"
            self.paho.tls_set_context(context(ca_file=ca, cert_file=certificate, key_file=key))
        else:
            self.paho.username_pw_set(name, password)
            self.paho.tls_set_context(context(ca_file=house.ca))
        self.paho.connect("localhost", house.certificate_port if files else house.tls_port)
        self.paho.loop_start()
        until(lambda: self.accepted, within_s=10, what="connecting")

    def _connected(self, _client: object, _data: object, _flags: object, code: Any, _more: object) -> None:
        if not code.is_failure:
            self.accepted.append(time.monotonic())

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def connect(house: House) -> Iterator[Callable[..., Device]]:
    made: list[Device] = []

    def one(name: str, **options: Any) -> Device:
        made.append(Device(house, name, **options))
        return made[-1]

    yield one
    for each in made:
        each.close()


def revoke_by_verb(house: House, name: str) -> None:
    house.run("device", "revoke", name)


def revoke_by_api(house: House, name: str) -> None:
    assert house.api.delete(f"/devices/{house.device_id(name)}").status_code == 204


@pytest.mark.parametrize("revoke", [revoke_by_verb, revoke_by_api])
@pytest.mark.parametrize("kind", ["password", "certificate"])
def test_a_revoked_device_is_cut_off_within_five_seconds(
    house: House, connect: Callable[..., Device], kind: str, revoke: Callable[[House, str], None]
) -> None:
    name = f"{kind}-{revoke.__name__.rpartition('_')[2]}"
    files = house.pki / name
    password = house.add(name, *(["--certificate", files] if kind == "certificate" else []))
    until(lambda: opens(house, name, password), within_s=5, what="registration")
    device = connect(name, **({"files": files} if kind == "certificate" else {"password": password}))
    revoke(house, name)
    began = time.monotonic()
    until(lambda: device.lost_at, within_s=REVOKED_WITHIN_S, what="the session's end")
    dropped = device.lost_at[0] - began
    until(lambda: not opens(house, name, password), within_s=REVOKED_WITHIN_S - dropped, what="refusal")
    if kind == "certificate":
        ours = ("--cafile", files / "ca.pem", "--cert", files / f"{name}.pem", "--key", files / f"{name}.key")
        assert house.publish(house.certificate_port, device.topic, *ours) != 0
    refused = time.monotonic() - began
    print(f"{kind}, {revoke.__name__}: session ended after {dropped:.2f} s, refused after {refused:.2f} s")
    assert refused <= REVOKED_WITHIN_S
    time_of_drop = device.lost_at[0]
    until(lambda: time.monotonic() - time_of_drop > 2.2, within_s=5, what="a second try")  # it tries each second
    assert len(device.accepted) == 1
    kinds = [
        each["kind"] for each in house.api.get(f"/device-events?device_id={house.device_id(name)}").json()["items"]
    ]
    assert kinds[-1] == "registered" and "revoked" in kinds
    assert ("certificate_revoked" in kinds) is (kind == "certificate")


def opens(house: House, name: str, password: str) -> bool:
    ours = ("--cafile", house.ca, "-u", name, "-P", password)
    return house.publish(house.tls_port, topics.sample("plant", name, "flow"), *ours) == 0


def test_a_gateway_must_sign(house: House) -> None:
    """What it signs reaches the quarantine as an unknown tag, what it does not sign as unsigned; nothing is stored."""
    password = house.add("gw-sign", "--gateway")
    key = envelope.key_of(password, site="plant", device="gw-sign")
    batch = json.dumps({"epoch": "e", "seq": 1, "d": [{"s": "x", "t0": time.time_ns() // 1000, "dt": [0], "v": [1]}]})
    until(lambda: opens(house, "gw-sign", password), within_s=5, what="registration")
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("gw-sign", password)
    client.tls_set_context(context(ca_file=house.ca))
    client.connect("localhost", house.tls_port)
    client.loop_start()
    topic = topics.signed("plant", "gw-sign")
    sealed = envelope.seal(key, topic, batch.encode())
    for where, payload in (
        (topic, sealed),
        (topic, sealed[:-1] + b"]"),
        (topic, envelope.seal(key, topics.signed("plant", "other"), batch.encode())),
        (topics.batch("plant", "gw-sign"), batch.encode()),
    ):
        client.publish(where, payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
    wanted = {("unknown_tag", 1), ("bad_signature", 2), ("unsigned", 2)}  # the probe of `opens` was unsigned too
    found: list[tuple[Any, ...]] = []

    def settled() -> bool:
        found[:] = house.rows("select reason, count(*) from quarantine where source = 'gw-sign' group by 1 order by 1")
        return set(found) == wanted

    until(settled, within_s=15, what=f"quarantine {found}")
    assert house.rows("select count(*) from samples") == [(0,)]


def test_denied_publishes_are_shown(house: House) -> None:
    password = house.add("nosy")
    until(lambda: opens(house, "nosy", password), within_s=5, what="registration")
    ours = ("--cafile", house.ca, "-u", "nosy", "-P", password)
    for _ in range(3):
        assert house.publish(house.tls_port, "mw/v1/plant/gw-sign/b", *ours) == 0  # MQTT 3.1.1 says nothing

    def shown() -> bool:
        items = house.api.get("/devices").json()["items"]
        return bool(next(each["denied"] for each in items if each["name"] == "nosy") == 3)

    took = until(shown, within_s=15, what="the count")
    print(f"denied publishes shown after {took:.1f} s")
    told = house.api.get(f"/device-events?device_id={house.device_id('nosy')}").json()["items"]
    assert (told[0]["kind"], told[0]["detail"]) == ("publish_denied", "to mw/v1/plant/gw-sign/b")
    assert "3 publishes denied within the hour" in house.run("device", "list")
    assert "publish_denied" in house.run("device", "events", "nosy")


def test_a_rotated_device_needs_its_new_password(house: House, connect: Callable[..., Device]) -> None:
    files = house.pki / "turn"
    old = house.add("turn", "--certificate", files)
    until(lambda: opens(house, "turn", old), within_s=5, what="registration")
    session = connect("turn", files=files)
    said = house.run("device", "rotate", "turn", "--certificate", house.pki / "turn-2")
    until(lambda: session.lost_at, within_s=REVOKED_WITHIN_S, what="the session's end")
    new = re.search(r"shown this once: (\S+)", said)
    assert new and not opens(house, "turn", old)
    until(lambda: opens(house, "turn", new[1]), within_s=5, what="the new password")
    assert connect("turn", files=house.pki / "turn-2").accepted
    kept = (house.pki / "turn-2" / "turn.key").stat()
    assert kept.st_mode & 0o777 == 0o600
