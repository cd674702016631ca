"""What a gateway cannot read is not thrown away: it is spooled as faults, numbered, and judged like a device's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import config, envelope, gateway
from edge.codecs import faults, wave
from edge.delivery import Delivery, Fault, Message, Origin, Raw
from edge.quota import Quota
from edge.reasons import DecodeError, Reason
from edge.refusals import Refusals
from edge.sources.mqtt import MqttSource
from edge.spool import Spool
from ingest import admit
from ingest.signatures import Key, Signing
from plant.model import Wave
from tests.integration.ingest_kit import START_US

FILE = """
[gateway]
site = "plant"
device = "gw"

[broker]
host = "127.0.0.1"
password = "secret"

[[sources]]
kind = "mqtt"
name = "floor"
url = "mqtt://127.0.0.1:1883"
"""
KEY = envelope.key_of("secret", site="plant", device="gw")


@pytest.fixture
def found(tmp_path: Path) -> Iterator[gateway.Gateway]:
    (tmp_path / "gateway.toml").write_text(FILE)
    made = gateway.Gateway(config.read(tmp_path / "gateway.toml"))
    yield made
    made.spool.close()
    source = made.ears["floor"].source
    assert isinstance(source, MqttSource)
    for link in (made.sender.link, source.link):  # never run, so they do not close themselves
        link._wake_r.close()
        link._wake_w.close()


class Floor:
    """Devices behind a gateway; ``acked`` counts what the gateway took."""

    def __init__(self, found: gateway.Gateway) -> None:
        self.found, self.acked = found, 0

    def say(self, payload: bytes, *, tag: str | None = None, codec: str = "json") -> None:
        topic = f"mw/v1/plant/dev/{f's/{tag}' if tag else 'b'}"
        self.hear(Delivery("plant", "dev", Raw(payload, codec, tag), START_US, topic, ack=self._ack))

    def hear(self, delivery: Delivery) -> None:
        self.found._keep([delivery], threading.Event())

    def _ack(self) -> None:
        self.acked += 1

    def arrived(self) -> list[Message]:
        """What ingest makes of the spool: signed, on the topic of batches."""
        keys = {(1, "gw"): Key(KEY, Signing.REQUIRED)}
        heard = []
        for batch in self.found.spool.after(0, most=1000):
            topic, payload = self.found.sender._sealed(batch)
            raw = Raw(payload, "json", None, signed=True)
            assert len(payload) <= 2 << 20
            message = admit.read(Delivery("plant", "gw", raw, START_US, topic), site_id=1, keys=keys)
            assert (message.epoch, message.seq) == (self.found.spool.epoch, batch.seq)
            heard.append(message)
        return heard


MANY = {"s": "a", "t0": START_US, "dt": list(range(2000)), "v": [1.5] * 2000}


@pytest.mark.parametrize(
    ("bad", "stored", "reason"),
    [
        ({"q": [0] * 1999 + [3]}, 1999, Reason.MALFORMED),
        ({"dt": [*range(1999), 0.5]}, 1999, Reason.BAD_TIME),
        ({"dt": list(range(2001))}, 0, Reason.WRONG_LENGTH),
    ],
)
def test_no_sample_of_a_batch_is_thrown_away(
    found: gateway.Gateway, bad: dict[str, object], stored: int, reason: Reason
) -> None:
    floor = Floor(found)
    floor.say(json.dumps({"d": [MANY | bad]}).encode())
    heard = floor.arrived()
    assert floor.acked == 1
    assert sum(len(each.at_us) for message in heard for each in message.readings) == stored
    (fault,) = [fault for message in heard for fault in message.faults]
    assert (fault.tag, fault.reason, fault.readings) == ("dev/a", reason, 2000 - stored)
    assert "(dev, 'mw/v1/plant/dev/b')" in fault.detail
    (kept,) = json.loads(fault.payload)["d"]
    assert (kept["s"], kept["t0"], len(kept["v"])) == ("a", START_US, 2000 - stored)
    assert (found.spool.samples, found.spool.refused) == (2000, 2000 - stored)


@pytest.mark.parametrize(
    ("payload", "tag", "reason", "named"),
    [
        (b"\xff not text", None, Reason.HOSTILE_TEXT, "dev"),
        (b'{"d":[],"d":[]}', None, Reason.MALFORMED, "dev"),
        (b'{"v":1,"t":"2026-01-01T00:00:00"}', "t", Reason.TIME_WITHOUT_ZONE, "dev/t"),
        (b'{"d": "' + b"x" * (1 << 20) + b'"}', None, Reason.TOO_LARGE, "dev"),
    ],
    ids=["no text", "twice", "no zone", "large"],
)
def test_what_cannot_be_read_at_all_arrives_as_it_was(
    found: gateway.Gateway, payload: bytes, tag: str | None, reason: Reason, named: str
) -> None:
    floor = Floor(found)
    floor.say(payload, tag=tag)
    (message,) = floor.arrived()
    (fault,) = message.faults
    assert (fault.tag, fault.reason, fault.payload, fault.readings) == (named, reason, payload, 1)


def test_a_unit_that_cannot_be_kept_and_a_wave_that_is_too_long_arrive_too(found: gateway.Gateway) -> None:
    floor = Floor(found)
    floor.say(json.dumps({"v": 1.5, "t_us": START_US, "u": "x" * 65}).encode(), tag="t")
    noise = np.random.default_rng(1).integers(-32768, 32767, (1 << 19), np.int16)
    long = Wave("dev", "vib", START_US, 1000.0, noise, 1.0, "mm/s")
    floor.hear(Delivery("plant", "dev", Message((), waves=(long,)), START_US, origin=Origin.DEVICE, kind="x"))
    kept = [fault for message in floor.arrived() for fault in message.faults]
    assert [(each.tag, each.reason) for each in kept] == [
        ("dev/t", Reason.HOSTILE_TEXT),
        ("dev/vib", Reason.TOO_LARGE),
    ]
    assert json.loads(kept[0].payload)["d"][0]["v"] == [1.5]
    assert kept[1].payload.startswith(wave.MAGIC)
    assert len(kept[1].payload) > 1 << 20


def test_the_count_of_what_was_refused_outlives_the_process(found: gateway.Gateway) -> None:
    Floor(found).say(b"nonsense")
    found.spool.close()
    again = Spool(found.spool.path, most_bytes=10**9)
    again.close()
    assert again.refused == 1


FAULTS = st.builds(
    Fault,
    st.text(max_size=300),
    st.sampled_from(list(Reason)),
    st.text(max_size=300),
    st.just(b""),
    st.integers(1, 5000),
)
SIZES = st.sampled_from([0, 100, 900_000, 3_000_000])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(FAULTS, SIZES), max_size=8))
def test_faults_travel_in_messages_that_a_broker_takes(drawn: list[tuple[Fault, int]]) -> None:
    told = [replace(fault, payload=b"x" * size) for fault, size in drawn]
    sent = [faults.write(group, epoch="e", seq=seq) for seq, group in enumerate(faults.groups(told), 1)]
    assert all(len(each) + envelope.OVERHEAD < (2 << 20) - 1000 for each in sent)
    heard = [fault for each in sent for fault in faults.decode(each, source="gw", tag=None, heard_us=0).faults]
    assert [(each.readings, each.payload) for each in heard] == [
        (each.readings, each.payload[: len(got.payload)]) for each, got in zip(told, heard, strict=True)
    ]
    assert all(len(got.payload) >= min(len(each.payload), 2_000_000) for each, got in zip(told, heard, strict=True))
    assert not {each.reason for each in heard} & faults.INGESTS


@given(st.binary(max_size=300), st.integers(0, 300))
def test_faults_that_are_damaged_are_refused_in_words(junk: bytes, at: int) -> None:
    good = faults.write([Fault("t", Reason.MALFORMED, "why", b"payload", 3)], epoch="e", seq=1)
    for payload in (junk, faults.HEAD + junk, good[:at], good[:at] + junk + good[at:]):
        try:
            faults.decode(payload, source="gw", tag=None, heard_us=0)
        except DecodeError as error:
            assert error.message


def test_a_flood_of_rubbish_is_counted_in_full_and_kept_in_part() -> None:
    told = [(source, Fault(source, Reason.MALFORMED, "why", b"x" * 10, 2)) for source in ("a", "b") for _ in range(50)]
    (group,) = Refusals(Quota(3, 1000)).groups(told, now_s=1.0)
    assert sum(each.readings for each in group) == 200
    assert [(each.tag, each.readings, bool(each.payload)) for each in group] == [
        *[("a", 2, True)] * 3,
        *[("b", 2, True)] * 3,
        ("a", 94, False),
        ("b", 94, False),
    ]
    by_bytes = list(Refusals(Quota(100, 25)).groups(told[:5], now_s=1.0))
    assert [bool(each.payload) for each in by_bytes[0]] == [True, True, False]
