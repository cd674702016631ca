"""The strict JSON gate: every hostile kind has a name, everything good passes, and nothing is slow."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strict_json import MAX_BYTES, MAX_KEYS, JsonMalformed, JsonRefused, JsonTooLarge, check, loads

MALFORMED = {
    "nan": b'{"v": NaN}',
    "infinity": b"[Infinity]",
    "minus infinity": b"[-Infinity]",
    "empty": b"",
    "blank": b"  \n",
    "bom": b'\xef\xbb\xbf{"a": 1}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "utf-16 without mark": '{"a": 1}'.encode("utf-16-le"),
    "latin-1": '"é"'.encode("latin-1"),
    "overlong utf-8": b'"\xc0\xaf"',
    "surrogate in utf-8": b'"\xed\xa0\x80"',
    "raw nul": b'"a\0b"',
    "raw tab": b'"a\tb"',
    "trailing comma": b"[1,]",
    "leading zero": b"01",
    "bare dot": b"1.",
    "plus": b"+1",
    "hex": b"0x10",
    "single quotes": b"{'a': 1}",
    "comment": b"[1] // no",
    "two values": b"{} {}",
    "open": b'{"a": [1',
    "open text": b'{"a": "b',
    "closed too often": b"]]]",
    "wrong bracket": b'{"a": 1]',
    "no key": b'{: 1}',
    "key is a number": b"{1: 1}",
    "wrong escape": b'"\\x41"',
    "wrong escape in key": b'{"\\x41": 1}',
    "ends in a backslash": b'"abc\\',
    "true in capitals": b"True",
}  # fmt: skip
REFUSED = {
    "overflow": b"[1e999]",
    "negative overflow": b"-1e999",
    "many digits before the dot": b"9" * 400 + b".5",
    "int64 + 1": b"9223372036854775808",
    "int64 - 1": b"-9223372036854775809",
    "uint64": b'{"a": 18446744073709551615}',
    "huge integer": b"[" + b"7" * 5000 + b"]",
    "nul": b'"a\\u0000b"',
    "nul in a key": b'{"\\u0000": 1}',
    "lone high surrogate": b'"\\ud800 "',
    "lone low surrogate": b'"\\udc00"',
    "two high surrogates": b'"\\ud800\\ud800"',
    "duplicate key": b'{"a": 1, "a": 2}',
    "duplicate key deep": b'[{"x": {"a": 1, "b": {"a": 2}, "a": 3}}]',
    "duplicate key by escape": b'{"a": 1, "\\u0061": 2}',
    "too deep": b"[" * 65 + b"]" * 65,
    "too many keys": json.dumps({str(n): n for n in range(MAX_KEYS + 1)}).encode(),
    "too many lists": b"[" + b",".join([b"[]"] * 10_000) + b"]",
    "too many values": b"[" + b",".join([b"1"] * 50_001) + b"]",
}
GOOD = [
    b"0", b"-0", b"null", b'""', b"[]", b"{}", b' {"a" : [ ] }\n', b"1e308", b"1E-400", b"-1.5e+10",
    b"9223372036854775807", b"-9223372036854775808", b"12345678901234567890.5", b"1e00000000000000000000001",
    b"1e-00000000000000000000001", b"0.12345678901234567890123", b"12345678901234567890e-5",
    b'{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]}', b'"\\ud83d\\ude00"', '"机器 ✓ 😀"'.encode(),
    b'"\\\\u0000"', b'{"a\\"b": "c:d{[", "a\\\\": "\\\\"}', b'"NaN"',
    b'{"99999999999999999999": "99999999999999999999"}',
    b"[" * 64 + b"]" * 64, json.dumps({str(n): n for n in range(MAX_KEYS)}).encode(),
    b"[" + b",".join([b"1"] * 50_000) + b"]", b"[" + b",".join([b"[]"] * 9_999) + b"]",
]  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_is_400(name: str) -> None:
    with pytest.raises(JsonMalformed) as caught:
        check(MALFORMED[name])
    assert caught.value.status == 400


@pytest.mark.parametrize("name", REFUSED)
def test_well_formed_but_dangerous_is_422(name: str) -> None:
    with pytest.raises(JsonRefused) as caught:
        check(REFUSED[name])
    assert caught.value.status == 422, caught.value.message


@pytest.mark.parametrize("body", GOOD, ids=lambda body: body[:24].decode())
def test_good_passes_and_means_the_same(body: bytes) -> None:
    assert loads(body) == json.loads(body)


def test_one_mebibyte_inclusive() -> None:
    filled = b'"' + b"a" * (MAX_BYTES - 2) + b'"'
    assert len(loads(filled)) == MAX_BYTES - 2
    with pytest.raises(JsonTooLarge) as caught:
        check(filled + b" ")
    assert caught.value.status == 413


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(PLAIN, st.booleans())
def test_round_trip(value: object, ascii_only: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0aDd8E.-+1 \t', max_size=60).map(str.encode))
def test_agrees_with_the_standard_decoder_or_refuses(body: bytes) -> None:
    try:
        value = loads(body)
    except JsonRefused:
        return
    assert value == json.loads(body)


BOMBS = {
    "integers": b"[" + b",".join([b"1"] * 500_000) + b"]",
    "long integers": b"[" + b",".join([b"9223372036854775807"] * 50_000) + b"]",
    "empty objects": b"[" + b",".join([b"{}"] * 340_000) + b"]",
    "open brackets": b"[" * MAX_BYTES,
    "open objects": b'{"a":' * 200_000,
    "empty texts": b"[" + b",".join([b'""'] * 340_000) + b"]",
    "quotes": b'"' * MAX_BYTES,
    "backslashes": b'"' + b"\\" * (MAX_BYTES - 2) + b'"',
    "colons": b":" * MAX_BYTES,
    "digits": b"9" * MAX_BYTES,
    "keys": json.dumps({f"{n:090}": n for n in range(10_000)}).encode(),
    "surrogates": b'"' + b"\\ud800" * 170_000 + b'"',
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_megabyte_takes_at_most_50_ms(name: str) -> None:
    """Processor time, best of five: a busy machine must not fail it, a slow algorithm must."""
    assert min(_seconds(BOMBS[name]) for _ in range(5)) <= 0.05


def _seconds(body: bytes) -> float:
    started = time.thread_time()
    with contextlib.suppress(JsonRefused):
        loads(body)
    return time.thread_time() - started
