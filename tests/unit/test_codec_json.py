"""The house's JSON: what each kind of bad input is called, and that a bad value costs no good one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import topics
from edge.codecs.json import decode, parse_time
from edge.delivery import Lane
from edge.reasons import SENTENCES, DecodeError, Reason
from plant.model import Quality

NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def _sample(payload: bytes) -> tuple[int, float, int]:
    message = decode(payload, source="gw", tag="P-101/vibration", heard_us=NOW)
    (reading,) = message.readings
    return int(reading.at_us[0]), float(reading.values[0]), int(reading.quality[0])


def _refused(payload: bytes, tag: str | None) -> Reason:
    with pytest.raises(DecodeError) as caught:
        decode(payload, source="gw", tag=tag, heard_us=NOW)
    return caught.value.reason


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"v":3.2,"t":"2026-01-01T00:00:00Z"}', (NOW, 3.2, Quality.GOOD)),
        (b'{"v":3,"t":"2026-01-01T08:00:00.5+08:00"}', (NOW + 500_000, 3.0, Quality.GOOD)),
        (b'{"v":-1e-3,"t_us":1767225600000001}', (NOW + 1, -0.001, Quality.GOOD)),
        (b'{"v":1,"t_ms":1767225600001}', (NOW + 1_000, 1.0, Quality.GOOD)),
        (b'{"v":1,"t_s":1767225601}', (NOW + 1_000_000, 1.0, Quality.GOOD)),
        (b'{"v":1,"t_s":0,"q":"bad"}', (0, 1.0, Quality.BAD)),
        (b'{"v":9007199254740992,"t_s":0}', (0, 2.0**53, Quality.GOOD)),
        (b'{"v":1e300,"t_s":0}', (0, 1e300, Quality.GOOD)),
        (b'{"v":1,"t_s":0,"new_field":[{}]}', (0, 1.0, Quality.GOOD)),
    ],
)
def test_single_samples(payload: bytes, expected: tuple[int, float, int]) -> None:
    assert _sample(payload) == expected


def test_no_time_means_time_of_arrival_and_uncertain() -> None:
    assert _sample(b'{"v":1}') == (NOW, 1.0, Quality.UNCERTAIN)
    assert _sample(b'{"v":1,"q":"bad"}') == (NOW, 1.0, Quality.BAD)


def test_a_bad_sample_may_have_no_value() -> None:
    at, value, quality = _sample(b'{"v":null,"q":"bad","t_s":1}')
    assert (at, quality) == (1_000_000, Quality.BAD)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.MALFORMED),
        (b"3.2", Reason.MALFORMED),
        (b"{}", Reason.MALFORMED),
        (b'{"v":1', Reason.MALFORMED),
        (b'{"v":1}x', Reason.MALFORMED),
        (b'{"v":1,"q":"fine"}', Reason.MALFORMED),
        (b'{"v":1,"q":0}', Reason.MALFORMED),
        (b'{"v":1,"u":5}', Reason.MALFORMED),
        (b'{"v":1,"t":5}', Reason.MALFORMED),
        (b'{"v":1,"t_s":1.5}', Reason.MALFORMED),
        (b'{"v":1,"t_s":true}', Reason.MALFORMED),
        (b'{"v":NaN}', Reason.NOT_A_NUMBER),
        (b'{"v":-Infinity}', Reason.NOT_A_NUMBER),
        (b'{"v":1e999}', Reason.NOT_A_NUMBER),
        (b'{"v":"3.2"}', Reason.NOT_A_NUMBER),
        (b'{"v":"12,5"}', Reason.NOT_A_NUMBER),
        (b'{"v":true}', Reason.NOT_A_NUMBER),
        (b'{"v":null}', Reason.NOT_A_NUMBER),
        (b'{"v":[1]}', Reason.NOT_A_NUMBER),
        (b'{"v":9007199254740993}', Reason.NOT_A_NUMBER),
        (b'{"v":1,"t":"2026-01-01T00:00:00"}', Reason.TIME_WITHOUT_ZONE),
        (b'{"v":1,"t":"yesterday"}', Reason.BAD_TIME),
        (b'{"v":1,"t":"2026-13-01T00:00:00Z"}', Reason.BAD_TIME),
        (b'{"v":1,"t":"2026-W01-1T00:00:00Z"}', Reason.BAD_TIME),
        (b'{"v":1,"t":"2026-01-01T00:00:60Z"}', Reason.BAD_TIME),
        (b'{"v":1,"t_s":1,"t_ms":1000}', Reason.BAD_TIME),
        (b'{"v":1,"t_us":9223372036854775808}', Reason.BAD_TIME),
        (b'{"v":1,"t_s":99999999999999999999}', Reason.BAD_TIME),
        (b'{"v":1,"epoch":"a"}', Reason.BAD_SEQUENCE),
        (b'{"v":1,"seq":1}', Reason.BAD_SEQUENCE),
        (b'{"v":1,"epoch":"a","seq":0}', Reason.BAD_SEQUENCE),
        (b'{"v":1,"epoch":"","seq":1}', Reason.BAD_SEQUENCE),
        (b'{"v":1,"epoch":"a\\u0000","seq":1}', Reason.BAD_SEQUENCE),
        (b'{"v":1,"u":"\xff\xfe"}', Reason.HOSTILE_TEXT),
        (b'{"v":1,"ignored":"\xc0\xaf"}', Reason.HOSTILE_TEXT),
        (b'{"v":1,"u":"\\ud800"}', Reason.MALFORMED),
        (b'{"a":' * 100_000, Reason.MALFORMED),
    ],
)
def test_bad_single_samples_have_a_reason(payload: bytes, reason: Reason) -> None:
    assert _refused(payload, "P-101/vibration") is reason


@pytest.mark.parametrize("tag", ["", "a\x00b", "line\nbreak", "\u202eevil", "x" * 257, "\ud800"])
def test_a_tag_that_cannot_be_shown_is_refused(tag: str) -> None:
    assert _refused(b'{"v":1}', tag) is Reason.HOSTILE_TEXT


def _batch(series: bytes, head: bytes = b'"epoch":"a","seq":1,') -> bytes:
    return b"{" + head + b'"d":[' + series + b"]}"


GOOD = b'{"s":"g","t0":0,"dt":[0,1],"v":[1,2.5]}'


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[]", Reason.MALFORMED),
        (b"{}", Reason.MALFORMED),
        (b'{"d":{}}', Reason.MALFORMED),
        (_batch(GOOD)[:-1], Reason.MALFORMED),
        (_batch(GOOD, b'"hist":1,'), Reason.MALFORMED),
        (_batch(GOOD, b'"epoch":"a",'), Reason.BAD_SEQUENCE),
        (_batch(GOOD, b'"epoch":"a","seq":"1",'), Reason.BAD_SEQUENCE),
        (_batch(GOOD, b'"epoch":"a","seq":-1,'), Reason.BAD_SEQUENCE),
        (_batch(GOOD, b'"epoch":"a","seq":99999999999999999999,'), Reason.BAD_SEQUENCE),
        (_batch(GOOD, b'"x":"\xff",'), Reason.HOSTILE_TEXT),
        ('{"d":[]}'.encode("utf-16"), Reason.HOSTILE_TEXT),
        (b"\xef\xbb\xbf" + _batch(GOOD), Reason.MALFORMED),
        (b"[" * 200_000, Reason.MALFORMED),
    ],
)
def test_a_batch_that_cannot_be_trusted_is_refused_whole(payload: bytes, reason: Reason) -> None:
    assert _refused(payload, None) is reason


@pytest.mark.parametrize(
    ("series", "reason", "count"),
    [
        (b"7", Reason.MALFORMED, 1),
        (b'{"t0":0,"dt":[0],"v":[1]}', Reason.MALFORMED, 1),
        (b'{"s":"b","dt":[0],"v":[1]}', Reason.BAD_TIME, 1),
        (b'{"s":"b","t0":1.5,"dt":[0],"v":[1]}', Reason.BAD_TIME, 1),
        (b'{"s":"b","t0":0,"dt":[0.5],"v":[1]}', Reason.BAD_TIME, 1),
        (b'{"s":"b","t0":0,"dt":[true],"v":[1]}', Reason.BAD_TIME, 1),
        (b'{"s":"b","t0":9223372036854775807,"dt":[1],"v":[1]}', Reason.BAD_TIME, 1),
        (b'{"s":"b","t0":0,"dt":[9223372036854775808],"v":[1]}', Reason.BAD_TIME, 1),
        (b'{"s":"b","t0":0,"dt":[0],"v":[1,2,3]}', Reason.WRONG_LENGTH, 3),
        (b'{"s":"b","t0":0,"dt":[0],"v":[1],"q":[]}', Reason.WRONG_LENGTH, 1),
        (b'{"s":"b","t0":0,"dt":[0],"v":[1],"q":[3]}', Reason.MALFORMED, 1),
        (b'{"s":"b","t0":0,"dt":[0],"v":[1],"q":[-1]}', Reason.MALFORMED, 1),
        (b'{"s":"b","t0":0,"dt":[0],"v":[1],"q":[999]}', Reason.MALFORMED, 1),
        (b'{"s":"b","t0":0,"dt":[0],"v":[1],"u":7}', Reason.MALFORMED, 1),
        (b'{"s":"b","t0":0,"dt":"0","v":[1]}', Reason.MALFORMED, 1),
        (b'{"s":"b\\u0000","t0":0,"dt":[0],"v":[1]}', Reason.HOSTILE_TEXT, 1),
        (b'{"s":"\\ud800","t0":0,"dt":[0],"v":[1]}', Reason.HOSTILE_TEXT, 1),
    ],
)
def test_a_bad_series_costs_no_other_series(series: bytes, reason: Reason, count: int) -> None:
    message = decode(_batch(series + b"," + GOOD), source="gw", tag=None, heard_us=NOW)
    (good,) = message.readings
    (fault,) = message.faults
    assert (fault.reason, fault.readings) == (reason, count)
    assert (message.epoch, message.seq) == ("a", 1)
    assert good.tag == "g"
    np.testing.assert_array_equal(good.values, [1, 2.5])


@pytest.mark.parametrize(
    "bad", [b"NaN", b"-Infinity", b'"12,5"', b"null", b"true", b"1e999", b"9007199254740993", b"[]"]
)
def test_a_bad_value_costs_no_other_value(bad: bytes) -> None:
    series = b'{"s":"a","u":"mm/s","t0":10,"dt":[0,1,2],"v":[1,' + bad + b',3],"q":[0,1,2]}'
    message = decode(_batch(series), source="gw", tag=None, heard_us=NOW)
    (reading,) = message.readings
    (fault,) = message.faults
    assert (fault.reason, fault.tag, fault.readings) == (Reason.NOT_A_NUMBER, "a", 1)
    np.testing.assert_array_equal(reading.at_us, [10, 12])
    np.testing.assert_array_equal(reading.values, [1, 3])
    np.testing.assert_array_equal(reading.quality, [0, 2])
    assert reading.unit == "mm/s"


def test_a_bad_sample_in_a_batch_may_have_no_value() -> None:
    message = decode(_batch(b'{"s":"a","t0":0,"dt":[0],"v":[null],"q":[2]}'), source="gw", tag=None, heard_us=NOW)
    assert message.faults == ()
    assert math.isnan(message.readings[0].values[0])


COLUMNS = {"dt": (b"[0,1,2]", b"0.5", Reason.BAD_TIME), "q": (b"[0,1,2]", b"3", Reason.MALFORMED)}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_bad_entry_costs_its_own_sample_alone_and_keeps_all_that_was_said_of_it(name: str) -> None:
    column, bad, reason = COLUMNS[name]
    wrong = column.replace(b",1,", b"," + bad + b",")
    series = {key: wrong if key == name else good for key, (good, _, _) in COLUMNS.items()}
    text = (
        b'{"s":"a","u":"mm/s","t0":10,"v":[1,2.5,3],'
        + b",".join(b'"%s":%s' % (k.encode(), c) for k, c in series.items())
        + b"}"
    )
    message = decode(_batch(text, b'"hist":true,'), source="gw", tag=None, heard_us=NOW)
    np.testing.assert_array_equal(message.readings[0].values, [1, 3])
    np.testing.assert_array_equal(message.readings[0].at_us, [10, 12])
    (fault,) = message.faults
    assert (fault.reason, fault.readings) == (reason, 1)
    part = {"s": "a", "u": "mm/s", "t0": 10, "dt": [1], "v": [2.5], "q": [1]} | {name: [json.loads(bad)]}
    assert json.loads(fault.payload) == {"hist": True, "d": [part], "i": [1]}


def test_a_bad_value_keeps_its_time_and_its_place() -> None:
    message = decode(_batch(b'{"s":"a","t0":10,"dt":[0,7],"v":[1,"warm"]}'), source="gw", tag=None, heard_us=NOW)
    kept = json.loads(message.faults[0].payload)
    assert kept == {"d": [{"s": "a", "t0": 10, "dt": [7], "v": ["warm"]}], "i": [1]}


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 5, 2.5, None, True]), st.sampled_from([1.5, 2, "x", None]), st.integers(-1, 3)
        ),
        min_size=1,
        max_size=40,
    )
)
def test_every_sample_of_a_series_is_stored_or_kept(rows: list[tuple[object, object, int]]) -> None:
    dt, values, codes = (list(column) for column in zip(*rows, strict=True))
    body = json.dumps({"d": [{"s": "a", "t0": 0, "dt": dt, "v": values, "q": codes}]}).encode()
    message = decode(body, source="gw", tag=None, heard_us=NOW)
    good = sum(len(each.at_us) for each in message.readings)
    assert good + sum(fault.readings for fault in message.faults) == len(rows)
    kept = [series for fault in message.faults for series in json.loads(fault.payload)["d"]]
    found = sorted(repr(row) for series in kept for row in zip(series["dt"], series["v"], series["q"], strict=True))
    bad = [row for row in rows if not _fits(*row)]
    assert found == sorted(map(repr, bad))


def _fits(offset: object, value: object, code: int) -> bool:
    return type(offset) is int and 0 <= code <= 2 and (isinstance(value, int | float) or (value is None and code == 2))


def test_what_is_refused_is_kept_whole_however_long() -> None:
    series = {"s": "a", "t0": 0, "dt": list(range(20_000)), "v": [1.25] * 20_001}
    body = json.dumps({"d": [series]}).encode()
    (fault,) = decode(body, source="gw", tag=None, heard_us=NOW).faults
    assert (fault.reason, fault.readings) == (Reason.WRONG_LENGTH, 20_001)
    assert json.loads(fault.payload) == {"d": [series]}


SINGLE = b'{"v":1,"t_s":1,"epoch":"a","seq":7}'
TWICE = [
    (b'{"epoch":"a","seq":7,"d":[' + GOOD + b'],"d":[]}', None, ("a", 7)),
    (b'{"epoch":"a","seq":7,"\\u0064":[' + GOOD + b'],"d":[]}', None, ("a", 7)),
    (b'{"epoch":"a","seq":7,"d":[{"s":"g:x","t0":0,"dt":[0],"v":[1],"v":[2]}]}', None, ("a", 7)),
    (b'{"epoch":"a","seq":7,"seq":8,"d":[' + GOOD + b"]}", None, None),
    (b'{"d":[{"s":"g","t0":0,"dt":[0],"v":[1.5],"u":"bar","u":"mm/s","q":[9]}]}', None, None),
    (b'{"v":1,"v":2,"t":"2026-01-01T00:00:00Z"}', "t", None),
    (b'{"v":1,"u":"\\u003a","v":2,"epoch":"a","seq":7}', "t", ("a", 7)),
    (SINGLE[:-1] + b',"t_s":2}', "t", ("a", 7)),
]


@pytest.mark.parametrize(("payload", "tag", "number"), TWICE)
def test_a_key_that_comes_twice_is_refused_since_one_of_the_two_would_be_lost(
    payload: bytes, tag: str | None, number: tuple[str, int] | None
) -> None:
    with pytest.raises(DecodeError, match="twice") as caught:
        decode(payload, source="gw", tag=tag, heard_us=NOW)
    assert (caught.value.reason, caught.value.number) == (Reason.MALFORMED, number)


def test_colons_in_texts_and_keys_that_nobody_reads_are_no_doubt() -> None:
    batch = b'{"v":1,"x":{"d":1,"y":"a:b"},"d":[{"s":"ns=2:a","u":null,"t0":0,"dt":[0],"v":[1],"note":"::"}]}'
    assert decode(batch, source="gw", tag=None, heard_us=NOW).readings[0].tag == "ns=2:a"
    assert _sample(b'{"v":1,"t":"2026-01-01T00:00:00+00:00","u":"a:b","x":":","x":1}') == (NOW, 1.0, Quality.GOOD)


@pytest.mark.parametrize(
    ("payload", "tag"),
    [
        (b'{"epoch":"a","seq":7,"d":{}}', None),
        (b'{"epoch":"a","seq":7,"hist":1,"d":[]}', None),
        (b'{"epoch":"a","seq":7,"d":[],"x":"\xff"}', None),
        (b'{"epoch":"a","seq":7,"d":[]}' + b" " * (1 << 20), None),
        (b'{"v":1,"q":"fine","epoch":"a","seq":7}', "t"),
        (b'{"v":"warm","epoch":"a","seq":7}', "t"),
        (b'{"v":1,"t":"yesterday","epoch":"a","seq":7}', "t"),
    ],
)
def test_what_is_refused_whole_still_says_its_number(payload: bytes, tag: str | None) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(payload, source="gw", tag=tag, heard_us=NOW)
    assert caught.value.number == ("a", 7)


def test_hist_is_the_lane_of_history() -> None:
    assert decode(_batch(GOOD, b'"hist":true,'), source="gw", tag=None, heard_us=NOW).lane is Lane.HISTORY
    assert decode(_batch(GOOD), source="gw", tag=None, heard_us=NOW).lane is Lane.LIVE


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1601-01-01T00:00:00Z", -11_644_473_600_000_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2038-01-19T03:14:08Z", 2**31 * 1_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
        ("2026-03-29T02:30:00+01:00", 1_774_747_800_000_000),
    ],
)
def test_times_are_exact(text: str, us: int) -> None:
    assert parse_time(text) == us


def test_topics_are_strict() -> None:
    assert topics.parse("mw/v1/plant/gw-1/s/area/P-101/vibration") == topics.Address(
        "plant", "gw-1", "area/P-101/vibration", topics.Leaf.SAMPLE
    )
    assert topics.parse("mw/v1/plant/gw-1/b") == topics.Address("plant", "gw-1", None)
    for topic in (
        "mw/v1/plant/gw-1/s",
        "mw/v1/plant/gw-1/s/",
        "mw/v1/plant/gw-1/b/x",
        "mw/v2/p/d/b",
        "mw/v1/p/../b",
        "",
    ):
        with pytest.raises(DecodeError) as caught:
            topics.parse(topic)
        assert caught.value.reason is Reason.BAD_TOPIC


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    assert set(SENTENCES) == set(Reason)
    assert all(set(texts) == {"en", "zh"} and all(texts.values()) for texts in SENTENCES.values())


def test_every_reason_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "telemetry.md").read_text()
    assert [reason for reason in Reason if f"| `{reason}` | {SENTENCES[reason]['en']} |" not in text] == []
