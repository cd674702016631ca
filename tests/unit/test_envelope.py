"""Envelopes: only what was sealed with this key for this topic opens, whatever is done to it on the way."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import envelope
from edge.reasons import DecodeError, Reason

KEY = b"k" * 32
TOPIC = "mw/v1/plant/gw-1/g"
PAYLOADS = st.binary(max_size=200)
NAMES = st.text("abcXYZ09_-", min_size=1, max_size=8)


def refused(key: bytes, topic: str, sealed: bytes) -> bool:
    with pytest.raises(DecodeError) as caught:
        envelope.open(key, topic, sealed)
    return caught.value.reason is Reason.BAD_SIGNATURE


@given(st.binary(min_size=1, max_size=64), st.text(max_size=40), PAYLOADS)
def test_what_was_sealed_opens(key: bytes, topic: str, payload: bytes) -> None:
    sealed = envelope.seal(key, topic, payload)
    assert envelope.open(key, topic, sealed) == payload
    assert len(sealed) == len(payload) + envelope.OVERHEAD
    assert envelope.is_sealed(sealed)


@given(PAYLOADS, st.data())
def test_one_flipped_bit_is_refused(payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(envelope.seal(KEY, TOPIC, payload))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    assert refused(KEY, TOPIC, bytes(sealed))


def test_every_flipped_bit_of_one_envelope_is_refused() -> None:
    sealed = envelope.seal(KEY, TOPIC, b'{"v": 1}')
    for bit in range(len(sealed) * 8):
        wrong = bytearray(sealed)
        wrong[bit // 8] ^= 1 << bit % 8
        assert refused(KEY, TOPIC, bytes(wrong))


@given(PAYLOADS, st.data())
def test_cut_or_lengthened_is_refused(payload: bytes, data: st.DataObject) -> None:
    sealed = envelope.seal(KEY, TOPIC, payload)
    assert refused(KEY, TOPIC, sealed[: data.draw(st.integers(0, len(sealed) - 1))])
    assert refused(KEY, TOPIC, sealed + data.draw(st.binary(min_size=1, max_size=9)))


@given(st.binary(max_size=300))
def test_anything_else_is_refused(junk: bytes) -> None:
    assert refused(KEY, TOPIC, junk)
    assert refused(KEY, TOPIC, envelope.HEADER + junk)


@given(NAMES, NAMES, NAMES, NAMES, PAYLOADS)
def test_another_site_device_or_leaf_is_refused(site: str, device: str, other: str, tag: str, payload: bytes) -> None:
    topic = f"mw/v1/{site}/{device}/g"
    sealed = envelope.seal(KEY, topic, payload)
    for wrong in (
        f"mw/v1/{other}/{device}/g",
        f"mw/v1/{site}/{other}/g",
        f"mw/v1/{site}/{device}/w/{tag}",
        topic + "/",
    ):
        assert wrong == topic or refused(KEY, wrong, sealed)


@given(st.text(max_size=20), PAYLOADS, st.integers(1, 20))
def test_topic_and_payload_do_not_run_into_each_other(topic: str, payload: bytes, moved: int) -> None:
    text = payload[:moved].hex()  # what the topic would take from the payload
    assert not text or refused(KEY, topic + text, envelope.seal(KEY, topic, text.encode() + payload))


@given(st.binary(min_size=32, max_size=32), PAYLOADS)
def test_another_key_is_refused(key: bytes, payload: bytes) -> None:
    assert key == KEY or refused(key, TOPIC, envelope.seal(KEY, TOPIC, payload))


def test_keys_belong_to_one_password_site_and_device() -> None:
    key = envelope.key_of("secret", site="plant", device="gw")
    others = [
        ("secret", "plant", "gx"),
        ("secret", "plan", "gw"),
        ("Secret", "plant", "gw"),
        ("secret", "plant/g", "w"),
    ]
    assert len(key) == envelope.KEY_BYTES
    assert key not in [envelope.key_of(password, site=site, device=device) for password, site, device in others]
    assert envelope.key_of("secret", site="plant", device="gw") == key


def test_the_form_is_the_documented_one() -> None:
    """Written down here a second time, so that a change of the wire does not pass unnoticed."""
    key = hashlib.pbkdf2_hmac("sha256", b"secret", b"millwright envelope key 1\x00plant/gw-1", 50_000, 32)
    assert envelope.key_of("secret", site="plant", device="gw-1") == key
    signed = b"millwright envelope 1\x00" + (18).to_bytes(4, "big") + TOPIC.encode() + b"{}"
    assert envelope.seal(key, TOPIC, b"{}") == b"\xe7MW\x01" + hmac.new(key, signed, "sha256").digest() + b"{}"


def test_no_text_is_taken_for_an_envelope() -> None:
    with pytest.raises(UnicodeDecodeError):
        envelope.MAGIC.decode()


@pytest.mark.parametrize(
    ("sealed", "said"),
    [
        (b"{}", "no envelope"),
        (b"\xe7MW", "version ?"),
        (b"\xe7MW\x07" + bytes(40), "version 7"),
        (bytes(0), "no envelope"),
    ],
)
def test_the_complaint_says_what_is_wrong(sealed: bytes, said: str) -> None:
    with pytest.raises(DecodeError, match=said.replace("?", r"\?")):
        envelope.open(KEY, TOPIC, sealed)
