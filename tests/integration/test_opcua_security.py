"""OPC UA security against a real server: whom we trust, who we are, and what is refused with which sentence."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge.delivery import Delivery
from edge.errors import SourceConfig
from edge.kinds import Place
from edge.opcua import pki
from edge.sources import opcua
from simulators.machines import PHYSICS
from simulators.machines.base import Build, Machine
from simulators.machines.duty import Duty
from simulators.opcua_security import Security, certificate
from simulators.opcua_server import OpcUaPlant
from simulators.plantclock import started_at
from tests.integration.ingest_kit import wait_until

SECURE = {"policy": "Basic256Sha256", "mode": "SignAndEncrypt"}


@dataclass
class Ear:
    """A source that runs, and what it has told."""

    states: list[tuple[str, str]] = field(default_factory=list)
    samples: int = 0

    def __call__(self, delivery: Delivery) -> None:
        self.samples += sum(len(each.at_us) for each in delivery.content.readings)  # type: ignore[union-attr]
        delivery.ack()

    def has_room(self) -> bool:
        return True

    def reaches(self, state: str, *, within_s: float = 30.0) -> str:
        """Wait until the state is reached; returns its sentence."""
        wait_until(lambda: state in dict(self.states), within_s=within_s, what=f"{state} (told {self.states})")
        return dict(self.states)[state]


@contextmanager
def listening(url: str, folder: Path, **config: Any) -> Iterator[Ear]:
    """A source with one node of the pump."""
    nodes = [{"node_id": "ns=2;s=P-1/vibration", "tag": "vibration"}]
    ear, stop = Ear(), threading.Event()
    place = Place(
        "plant",
        "test",
        "plc",
        url,
        lambda: time.time_ns() // 1000,
        on_state=lambda *told: ear.states.append((str(told[0]), told[1])),
        folder=folder,
    )
    source = opcua.create(place, opcua.options({"nodes": nodes, "publishing_ms": 50, **config}))
    thread = threading.Thread(target=source.run, args=(ear, stop))
    thread.start()
    try:
        yield ear
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def serving(security: Security | None, *, port: int | None = None) -> Iterator[OpcUaPlant]:
    start_us = time.time_ns() // 1000
    machine = Machine(Build("P-1", 5, 0.1, Duty(stops_per_day=0.0), 1), PHYSICS["pump"](5), start_us=start_us)
    plant = OpcUaPlant(machine, started_at(start_us, factor=1.0), port=port, period_s=0.1, security=security)
    plant.start()
    try:
        yield plant
    finally:
        plant.stop()


def print_of(cert: Path) -> str:
    return pki.show(cert.read_bytes()).fingerprint


@pytest.fixture
def server_cert(tmp_path: Path) -> tuple[Path, Path]:
    return certificate(tmp_path)


@pytest.mark.parametrize("policy", opcua.POLICIES)
@pytest.mark.parametrize("mode", opcua.MODES)
def test_every_policy_and_mode_is_spoken(
    policy: str, mode: str, tmp_path: Path, server_cert: tuple[Path, Path]
) -> None:
    trusted = [print_of(server_cert[0])]
    with (
        serving(Security(*server_cert)) as plant,
        listening(plant.endpoint, tmp_path, security={"policy": policy, "mode": mode}, trusted=trusted) as ear,
    ):
        assert ear.reaches("connected") == ""
        wait_until(lambda: ear.samples >= 3, what="samples")
    key = tmp_path / "pki" / "opcua" / "own" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_our_certificate_is_made_once_and_says_who_we_are(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    first, second = pki.own(tmp_path, now=now), pki.own(tmp_path, now=now)
    assert first == second
    shown = pki.show(first.cert.read_bytes())
    assert shown.uris == (first.uri,)
    assert shown.not_before <= now <= shown.not_after


def test_a_server_that_nobody_has_accepted_is_refused(tmp_path: Path, server_cert: tuple[Path, Path]) -> None:
    with serving(Security(*server_cert)) as plant, listening(plant.endpoint, tmp_path, security=SECURE) as ear:
        why = ear.reaches("misconfigured")
        assert print_of(server_cert[0]) in why
        assert "millwright source trust plc" in why
        assert ear.samples == 0


def test_another_certificate_than_the_accepted_one_is_refused(tmp_path: Path, server_cert: tuple[Path, Path]) -> None:
    other = certificate(tmp_path, "other")
    with (
        serving(Security(*other)) as plant,
        listening(plant.endpoint, tmp_path, security=SECURE, trusted=[print_of(server_cert[0])]) as ear,
    ):
        assert "somebody stands between" in ear.reaches("misconfigured")
        assert ear.samples == 0


def test_who_shows_a_trusted_certificate_without_its_key_gets_nothing(
    tmp_path: Path, server_cert: tuple[Path, Path]
) -> None:
    _, other_key = certificate(tmp_path, "other")
    with (
        serving(Security(server_cert[0], other_key)) as plant,
        listening(plant.endpoint, tmp_path, security=SECURE, trusted=[print_of(server_cert[0])]) as ear,
    ):
        ear.reaches("lost", within_s=40)
        assert "connected" not in dict(ear.states)
        assert ear.samples == 0


def test_security_is_never_weakened_to_what_the_server_offers(tmp_path: Path) -> None:
    with serving(None) as plant, listening(plant.endpoint, tmp_path, security=SECURE) as ear:
        assert "does not offer Basic256Sha256" in ear.reaches("misconfigured")


def test_no_security_is_a_visible_warning(tmp_path: Path) -> None:
    with serving(None) as plant, listening(plant.endpoint, tmp_path, allow_none=True) as ear:
        assert "anybody on the network may read and forge" in ear.reaches("connected")


def test_an_expired_certificate_that_was_accepted_is_a_warning(tmp_path: Path) -> None:
    expired = certificate(tmp_path, "expired", days=-3)
    with (
        serving(Security(*expired)) as plant,
        listening(plant.endpoint, tmp_path, security=SECURE, trusted=[print_of(expired[0])]) as ear,
    ):
        assert "expired on" in ear.reaches("connected")


@pytest.mark.parametrize(("password", "state"), [("right", "connected"), ("wrong", "misconfigured")])
def test_a_user_signs_in_with_a_password_from_a_file(
    password: str, state: str, tmp_path: Path, server_cert: tuple[Path, Path]
) -> None:
    (tmp_path / "secret").write_text(password + "\n")
    who = {"user": "reader", "password_file": "secret"}
    with (
        serving(Security(*server_cert, users={"reader": "right"})) as plant,
        listening(plant.endpoint, tmp_path, security=SECURE, trusted=[print_of(server_cert[0])], **who) as ear,
    ):
        why = ear.reaches(state)
        assert ("'reader'" in why) == (state == "misconfigured")


@pytest.mark.parametrize("known", [True, False])
def test_a_user_signs_in_with_a_certificate(known: bool, tmp_path: Path, server_cert: tuple[Path, Path]) -> None:
    mine = certificate(tmp_path, "user")
    accepted = mine[0] if known else server_cert[0]
    who = {"user_certificate_file": "user.der", "user_key_file": "user.pem"}
    with (
        serving(Security(*server_cert, user_certs=[accepted.read_bytes()])) as plant,
        listening(plant.endpoint, tmp_path, security=SECURE, trusted=[print_of(server_cert[0])], **who) as ear,
    ):
        ear.reaches("connected" if known else "misconfigured")


def test_a_server_that_does_not_know_us_is_told_with_what_to_do(tmp_path: Path, server_cert: tuple[Path, Path]) -> None:
    with (
        serving(Security(*server_cert, clients=[])) as plant,
        listening(plant.endpoint, tmp_path, security=SECURE, trusted=[print_of(server_cert[0])]) as ear,
    ):
        assert "trusted clients" in ear.reaches("misconfigured")


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"security": "Basic256Sha256,SignAndEncrypt,cert,key"}, "table like"),
        ({"security": {"policy": "Basic128Rsa15"}}, "knows the policies"),
        ({"security": {"policy": "None"}}, "knows the policies"),
        ({"security": {"policy": "Basic256Sha256", "mode": "None"}}, "the modes"),
        ({"security": SECURE, "allow_none": True}, "exclude each other"),
        ({"security": SECURE, "trusted": ["ab"]}, "64 hexadecimal"),
        ({"security": SECURE, "user": "reader"}, "belong together"),
        ({"security": SECURE, "user": "reader", "password": "secret"}, "password_file"),
        ({"allow_none": True, "user": "reader", "password_file": "f"}, "only encrypted"),
        ({"security": {"policy": "Basic256Sha256", "mode": "Sign"}, "user": "r", "password_file": "f"}, "encrypted"),
        ({"security": SECURE, "user_certificate_file": "f"}, "belong together"),
    ],
)
def test_options_that_would_be_unsafe_are_refused(config: dict[str, Any], why: str) -> None:
    with pytest.raises(SourceConfig, match=why):
        opcua.options({"nodes": [], **config})


def test_a_url_with_a_password_is_refused() -> None:
    place = Place("plant", "test", "plc", "opc.tcp://me:secret@127.0.0.1:4840/", lambda: 0)
    with pytest.raises(SourceConfig, match="out of the url"):
        opcua.create(place, opcua.options({"nodes": [], "allow_none": True}))
