"""PUBLISH packets as they come: the short way reads what paho reads, or leaves it alone."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.packets import Publish, parse_publish


def packet(topic: str, payload: bytes, *, mid: int, head: int = 0x32, properties: bytes | None = None) -> bytes:
    name = topic.encode()
    body = struct.pack("!H", len(name)) + name + struct.pack("!H", mid)
    if properties is not None:
        body += length(len(properties)) + properties
    body += payload
    return bytes([head]) + length(len(body)) + body


def length(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + length(rest) if rest else bytes([low])


@given(
    topic=st.text("abc/µ", min_size=1, max_size=200),
    payload=st.binary(max_size=400) | st.binary(min_size=16_384, max_size=16_500),
    mid=st.integers(1, 65_535),
    dup=st.booleans(),
    retain=st.booleans(),
    properties=st.none() | st.binary(max_size=150),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
)
def test_a_whole_publish_is_read(
    topic: str, payload: bytes, mid: int, dup: bool, retain: bool, properties: bytes | None, before: bytes, after: bytes
) -> None:
    sent = packet(topic, payload, mid=mid, head=0x32 | dup << 3 | retain, properties=properties)
    found = parse_publish(before + sent + after, len(before), properties=properties is not None)
    assert found is not None
    end, message = found
    assert end == len(before) + len(sent)
    assert message == Publish(topic.encode(), payload, mid, dup, retain)
    assert message.topic == topic


@given(payload=st.binary(max_size=300), cut=st.floats(0, 0.999), properties=st.booleans())
def test_a_part_is_left(payload: bytes, cut: float, properties: bool) -> None:
    sent = packet("mw/v1/a/b/b", payload, mid=7, properties=b"" if properties else None)
    assert parse_publish(sent[: int(cut * len(sent))], 0, properties=properties) is None


@given(data=st.binary(max_size=40), at=st.integers(0, 40), properties=st.booleans())
def test_garbage_never_reaches_beyond_itself(data: bytes, at: int, properties: bool) -> None:
    found = parse_publish(data, at, properties=properties)
    assert found is None or at < found[0] <= len(data)


@pytest.mark.parametrize("head", [0x30, 0x34, 0x36, 0x40, 0x20, 0xD0])
def test_other_packets_are_left(head: int) -> None:
    assert parse_publish(packet("t", b"12345678", mid=1, head=head), 0, properties=False) is None
