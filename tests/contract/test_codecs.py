"""One battery for every codec: decoded or DecodeError, never anything else; encode is decode's inverse."""

from __future__ import annotations

import math
import time
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import registry
from edge.delivery import Lane, Message
from edge.reasons import SENTENCES, DecodeError, Reason
from plant.model import Quality, Reading

CODECS = list(registry.load("edge.codecs").values())
# the others are only heard; waveforms have tests of their own
BOTH_WAYS = [each for each in CODECS if hasattr(each, "encode") and each.NAME != "wave"]
TIMES = st.integers(-(2**60), 2**60)
TAGS = st.text('aZ09 /_-."\\äμ中𝄞', min_size=1, max_size=40)
FINITE = st.floats(allow_nan=False, allow_infinity=False)

every_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.NAME)
both_ways = pytest.mark.parametrize("codec", BOTH_WAYS, ids=lambda codec: codec.NAME)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    rows = draw(st.lists(st.tuples(TIMES, FINITE, st.sampled_from(list(Quality))), max_size=8))
    at, value, quality = zip(*rows, strict=True) if rows else ((), (), ())
    return Reading(
        "pump-house",
        draw(TAGS),
        np.array(at, np.int64),
        np.array(value, np.float64),
        np.array(quality, np.uint8),
        draw(st.none() | st.sampled_from(["mm/s", "°C", ""])),
    )


@st.composite
def messages(draw: st.DrawFn) -> Message:
    known = draw(st.booleans())
    return Message(
        tuple(draw(st.lists(readings(), max_size=4))),
        epoch=draw(TAGS) if known else None,
        seq=draw(st.integers(1, 2**60)) if known else None,
        lane=draw(st.sampled_from(list(Lane))),
    )


@both_ways
@given(message=messages())
def test_what_is_encoded_is_decoded_again(codec: ModuleType, message: Message) -> None:
    heard = codec.decode(codec.encode(message), source="pump-house", tag=None, heard_us=0)
    assert (heard.epoch, heard.seq, heard.lane, heard.faults) == (message.epoch, message.seq, message.lane, ())
    assert len(heard.readings) == len(message.readings)
    for got, sent in zip(heard.readings, message.readings, strict=True):
        assert (got.source, got.tag, got.unit) == (sent.source, sent.tag, sent.unit)
        np.testing.assert_array_equal(got.at_us, sent.at_us)
        np.testing.assert_array_equal(got.values, sent.values)
        np.testing.assert_array_equal(got.quality, sent.quality)
        assert (got.at_us.dtype, got.values.dtype, got.quality.dtype) == (np.int64, np.float64, np.uint8)


@both_ways
@given(message=messages(), position=st.floats(0, 1), junk=st.binary(max_size=6), tag=st.none() | TAGS)
def test_a_damaged_payload_is_decoded_or_refused(
    codec: ModuleType, message: Message, position: float, junk: bytes, tag: str | None
) -> None:
    payload = codec.encode(message)
    at = int(position * len(payload))
    _decoded_or_refused(codec, payload[:at] + junk + payload[at + len(junk) :], tag)
    _decoded_or_refused(codec, payload[:at], tag)


@every_codec
@given(payload=st.binary(max_size=200), tag=st.none() | st.text(max_size=300))
def test_garbage_is_decoded_or_refused(codec: ModuleType, payload: bytes, tag: str | None) -> None:
    _decoded_or_refused(codec, payload, tag)


@every_codec
@settings(max_examples=30, deadline=None)
@given(
    unit=st.sampled_from([b"[", b'{"a":', b'{"d":[', b"\xff", b"\x00", b'"', b"9", b"-", b" "]),
    count=st.integers(0, 200_000),
)
def test_long_nonsense_costs_little(codec: ModuleType, unit: bytes, count: int) -> None:
    payload = (unit * count)[: 1 << 20]
    started = time.process_time()
    _decoded_or_refused(codec, payload, None)
    _decoded_or_refused(codec, payload, "t")
    assert time.process_time() - started < 0.05 * (1 + len(payload) / 1000)


@both_ways
def test_too_large_is_refused_and_the_limit_is_inclusive(codec: ModuleType) -> None:
    body = codec.encode(Message(()))
    fits = body + b" " * ((1 << 20) - len(body))
    assert codec.decode(fits, source="s", tag=None, heard_us=0).readings == ()
    with pytest.raises(DecodeError) as caught:
        codec.decode(fits + b" ", source="s", tag=None, heard_us=0)
    assert caught.value.reason is Reason.TOO_LARGE


def _decoded_or_refused(codec: ModuleType, payload: bytes, tag: str | None) -> None:
    try:
        message = codec.decode(payload, source="pump-house", tag=tag, heard_us=1_767_225_600_000_000)
    except DecodeError as error:
        assert error.reason in SENTENCES
        assert error.message
        return
    assert (message.epoch is None) == (message.seq is None)
    for reading in message.readings:
        assert len(reading.at_us) == len(reading.values) == len(reading.quality)
        assert reading.tag.isprintable()
        assert all(
            math.isfinite(value) or code == Quality.BAD
            for value, code in zip(reading.values, reading.quality, strict=True)
        )
