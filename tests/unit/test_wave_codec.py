"""The wave codec: bit-true there and back, and nothing but a DecodeError for whatever else comes."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.codecs import wave
from edge.delivery import Lane
from edge.reasons import DecodeError, Reason
from plant.model import Wave

SAMPLES = st.one_of(
    arrays.arrays(np.int16, st.integers(16, 400)),
    arrays.arrays(np.float32, st.integers(16, 400), elements=st.floats(-1e6, 1e6, width=32)),
)
WAVES = st.builds(
    Wave,
    source=st.just("gw"),
    tag=st.text('aZ09 /_-."\\äμ中𝄞', min_size=1, max_size=40),
    at_us=st.integers(-(2**60), 2**60),
    rate_hz=st.floats(1e-3, 1e7),
    samples=SAMPLES,
    scale=st.floats(1e-9, 1e9) | st.floats(-1e9, -1e-9),
    unit=st.none() | st.sampled_from(["m/s2", "µm", "g"]),
)
NUMBERS = st.none() | st.tuples(st.text("aZ09中", min_size=1, max_size=20), st.integers(1, 2**60))


def decode(payload: bytes, tag: str | None = None) -> Wave:
    (found,) = wave.decode(payload, source="gw", tag=tag, heard_us=0).waves
    return found


def a_wave(count: int = 64) -> Wave:
    return Wave("gw", "P-1/vib", 1_767_225_600_000_000, 1000.0, np.arange(count, dtype=np.int16), 0.01, "m/s2")


@given(sent=WAVES, number=NUMBERS, lane=st.sampled_from(list(Lane)))
def test_what_is_encoded_is_decoded_again(sent: Wave, number: tuple[str, int] | None, lane: Lane) -> None:
    epoch, seq = number or (None, None)
    message = wave.decode(wave.encode(sent, epoch=epoch, seq=seq, lane=lane), source="gw", tag=None, heard_us=0)
    assert (message.epoch, message.seq, message.lane, message.readings, message.faults) == (epoch, seq, lane, (), ())
    (got,) = message.waves
    assert got.samples.dtype == sent.samples.dtype
    assert got.samples.tobytes() == sent.samples.tobytes()
    for name in ("source", "tag", "at_us", "rate_hz", "scale", "unit"):
        assert getattr(got, name) == getattr(sent, name)


@given(sent=WAVES, position=st.floats(0, 1), junk=st.binary(max_size=12))
def test_a_damaged_payload_is_decoded_or_refused(sent: Wave, position: float, junk: bytes) -> None:
    payload = wave.encode(sent)
    at = int(position * len(payload))
    for damaged in (payload[:at] + junk + payload[at + len(junk) :], payload[:at], payload + junk):
        try:
            found = decode(damaged)
        except DecodeError:
            continue
        assert len(found.samples) >= 16
        assert np.isfinite(found.samples).all()
        assert 0 < found.rate_hz <= wave.MAX_RATE_HZ


@settings(max_examples=200)
@given(payload=st.binary(max_size=300), tag=st.none() | st.text(max_size=300))
def test_garbage_is_refused(payload: bytes, tag: str | None) -> None:
    for each in (payload, wave.MAGIC + payload, wave.MAGIC + b"\x01" + payload):
        try:
            decode(each, tag)
        except DecodeError as error:
            assert error.message


def test_the_topics_tag_counts_more_than_the_payloads() -> None:
    assert decode(wave.encode(a_wave()), "other").tag == "other"


def head(**changed: object) -> bytes:
    fields = {
        "magic": wave.MAGIC, "version": 1, "flags": 0, "unit": 0, "epoch": 0, "tag": 0, "pad": 0,
        "t0": 0, "rate": 1000.0, "scale": 1.0, "n": 16, "seq": 0,
    } | changed  # fmt: skip
    return wave.HEAD.pack(*fields.values())


NAN = float("nan")
ZERO = bytes(32)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.MALFORMED),
        (head(magic=b"NOPE") + ZERO, Reason.MALFORMED),
        (head(version=2) + ZERO, Reason.MALFORMED),
        (head(flags=16) + ZERO, Reason.MALFORMED),
        (head(pad=1) + ZERO, Reason.MALFORMED),
        (head(rate=0.0) + ZERO, Reason.MALFORMED),
        (head(rate=NAN) + ZERO, Reason.MALFORMED),
        (head(rate=float("inf")) + ZERO, Reason.MALFORMED),
        (head(scale=NAN) + ZERO, Reason.NOT_A_NUMBER),
        (head(scale=0.0) + ZERO, Reason.NOT_A_NUMBER),
        (head(scale=1e300) + b"\x01" * 32, Reason.NOT_A_NUMBER),
        (head(t0=2**62) + ZERO, Reason.BAD_TIME),
        (head(n=15) + ZERO[:30], Reason.WRONG_LENGTH),
        (head(n=17) + ZERO, Reason.WRONG_LENGTH),
        (head() + ZERO + b"x", Reason.WRONG_LENGTH),
        (head(tag=9) + b"abc", Reason.WRONG_LENGTH),
        (head(n=2**32 - 1) + ZERO, Reason.TOO_LARGE),
        (head(n=(1 << 19) + 1) + ZERO, Reason.TOO_LARGE),
        (head() + bytes(1 << 20), Reason.TOO_LARGE),
        (head(flags=2, n=16) + struct.pack("<16f", *[NAN] * 16), Reason.NOT_A_NUMBER),
        (head(flags=2, n=16) + struct.pack("<16f", *[float("-inf")] * 16), Reason.NOT_A_NUMBER),
        (head(flags=4) + ZERO, Reason.BAD_SEQUENCE),
        (head(flags=4, epoch=1) + b"a" + ZERO, Reason.BAD_SEQUENCE),
        (head(tag=2) + b"\xff\xfe" + ZERO, Reason.HOSTILE_TEXT),
        (head(tag=1) + b"\x07" + ZERO, Reason.HOSTILE_TEXT),
        (head(unit=1, tag=1) + b"\x00t" + ZERO, Reason.HOSTILE_TEXT),
        (head() + ZERO, Reason.HOSTILE_TEXT),  # no tag at all
        (head(flags=1, tag=1) + b"t" + b"not zlib", Reason.MALFORMED),
        (head(flags=1, tag=1) + b"t" + zlib.compress(bytes(33)), Reason.WRONG_LENGTH),
        (head(flags=1, tag=1) + b"t" + zlib.compress(bytes(32))[:-3], Reason.WRONG_LENGTH),
        (head(flags=1, tag=1) + b"t" + zlib.compress(ZERO) + b"more", Reason.WRONG_LENGTH),
    ],
)
def test_every_lie_of_the_head_has_its_reason(payload: bytes, reason: Reason) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(payload)
    assert caught.value.reason is reason


def test_a_bomb_costs_nothing() -> None:
    bomb = zlib.compress(bytes(1 << 28), 9)
    assert len(bomb) < 1 << 20
    began = time.process_time()
    with pytest.raises(DecodeError):
        decode(head(flags=1, tag=1, n=1 << 19) + b"t" + bomb)
    assert time.process_time() - began < 0.2


def test_the_largest_wave_fits_packed() -> None:
    largest = Wave("gw", "t", 0, 51_200.0, np.zeros(1 << 19, np.int16))
    assert len(decode(wave.encode(largest)).samples) == 1 << 19
