"""Sparkplug B payloads: every number comes back as it was, and whatever the bytes are, nothing but DecodeError."""

from __future__ import annotations

import math
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codecs import sparkplug as codec
from edge.codecs.sparkplug import NUMERIC, DataType, Metric, Payload
from edge.reasons import SENTENCES, DecodeError, Reason
from edge.sparkplug import sparkplug_b_pb2 as wire
from edge.sparkplug import state, tables
from edge.sparkplug.state import Presence
from edge.sparkplug.tables import Table, Trust
from edge.sparkplug.units import known_unit
from plant.model import Quality

RANGES = {
    DataType.INT8: (-(1 << 7), (1 << 7) - 1),
    DataType.INT16: (-(1 << 15), (1 << 15) - 1),
    DataType.INT32: (-(1 << 31), (1 << 31) - 1),
    DataType.INT64: (-(1 << 53), 1 << 53),
    DataType.UINT8: (0, (1 << 8) - 1),
    DataType.UINT16: (0, (1 << 16) - 1),
    DataType.UINT32: (0, (1 << 32) - 1),
    DataType.UINT64: (0, 1 << 53),
}
NAMES = st.text('aZ09 /_-."äμ中𝄞', min_size=1, max_size=40)
TIMES = st.none() | st.integers(0, 1 << 50).map(lambda ms: ms * 1000)
PROPERTIES = st.dictionaries(
    st.sampled_from(["engUnit", "engLow", "Quality", "x"]),
    st.integers(-(1 << 31), (1 << 31) - 1) | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9),
    max_size=3,
)


def value_of(datatype: DataType) -> st.SearchStrategy[float]:
    if datatype in RANGES:
        return st.integers(*RANGES[datatype])
    if datatype is DataType.BOOLEAN:
        return st.integers(0, 1)
    return st.floats(width=32 if datatype is DataType.FLOAT else 64, allow_nan=False)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    datatype = draw(st.sampled_from(sorted(NUMERIC)))
    value = draw(st.none() | value_of(datatype))
    return codec.metric(
        draw(st.none() | NAMES),
        datatype,
        value,
        alias=draw(st.none() | st.integers(0, (1 << 64) - 1)),
        at_us=draw(TIMES),
        historical=draw(st.booleans()),
        properties=draw(PROPERTIES),
    )


payloads = st.builds(
    Payload, TIMES, st.none() | st.integers(0, 255), st.lists(metrics(), max_size=5).map(tuple), st.just(())
)


@given(payload=payloads)
def test_what_is_encoded_is_decoded_again(payload: Payload) -> None:
    assert codec.decode(codec.encode(payload)) == payload


@given(data=st.data(), datatype=st.sampled_from(sorted(NUMERIC)))
def test_every_number_comes_back(data: st.DataObject, datatype: DataType) -> None:
    value = data.draw(value_of(datatype))
    (heard,) = codec.decode(codec.encode(Payload(metrics=(codec.metric("m", datatype, value),)))).metrics
    assert codec.number(heard, datatype) == float(value)


@pytest.mark.parametrize("datatype", [DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64])
@pytest.mark.parametrize("width", [0, 32, 64])
def test_a_negative_number_is_read_however_it_was_written(datatype: DataType, width: int) -> None:
    bits = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}[datatype]
    width = max(width, bits)
    field = "long_value" if width > 32 else "int_value"
    for value in (-1, -(1 << min(bits - 1, 53))):
        assert codec.number(Metric(field=field, value=value % (1 << width)), datatype) == value


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        (DataType.UINT8, "int_value", 256),
        (DataType.INT8, "int_value", 0x1FF),
        (DataType.INT64, "long_value", (1 << 53) + 1),
        (DataType.UINT64, "long_value", (1 << 64) - 1),
        (DataType.FLOAT, "int_value", 3),
        (DataType.INT32, "double_value", 3.0),
        (DataType.BOOLEAN, "int_value", 1),
        (DataType.DOUBLE, "string_value", "3.0"),
        (DataType.DOUBLE, "", None),
    ],
)
def test_what_its_type_cannot_hold_is_no_number(datatype: DataType, field: str, value: object) -> None:
    assert codec.number(Metric(field=field, value=value), datatype) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("datatype", "value"), [(DataType.INT8, 128), (DataType.UINT8, -1), (DataType.INT32, 0.5), (DataType.BOOLEAN, 2)]
)
def test_a_value_that_its_type_cannot_hold_is_not_sent(datatype: DataType, value: float) -> None:
    with pytest.raises(ValueError, match="is no"):
        codec.metric("m", datatype, value)


@given(payload=payloads, position=st.floats(0, 1), bit=st.integers(0, 7), junk=st.binary(max_size=6))
def test_a_damaged_payload_is_decoded_or_refused(payload: Payload, position: float, bit: int, junk: bytes) -> None:
    raw = bytearray(codec.encode(payload))
    at = int(position * len(raw))
    decoded_or_refused(bytes(raw[:at]) + junk + bytes(raw[at + len(junk) :]))
    decoded_or_refused(bytes(raw[:at]))
    if raw:
        raw[min(at, len(raw) - 1)] ^= 1 << bit
        decoded_or_refused(bytes(raw))


@given(raw=st.binary(max_size=200))
def test_garbage_is_decoded_or_refused(raw: bytes) -> None:
    decoded_or_refused(raw)


@settings(max_examples=20, deadline=None)
@given(unit=st.sampled_from([b"\x12\x00", b"\x12\x02\x52\x00", b"\x12\x03\x92\x01\x00", b"\xff", b"\x08"]))
def test_a_megabyte_of_nothing_costs_little(unit: bytes) -> None:
    raw = (unit * (1 << 20))[: (1 << 20) // len(unit) * len(unit)]
    started = time.process_time()
    decoded_or_refused(raw)
    assert time.process_time() - started < 2.0


def test_too_large_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode(bytes((1 << 20) + 1))
    assert caught.value.reason is Reason.TOO_LARGE


def test_templates_without_end_are_refused() -> None:
    found = wire.Payload()
    inner = found.metrics.add()
    for _ in range(40):
        inner = inner.template_value.metrics.add()
    heard = codec.decode(found.SerializeToString())
    assert [each.reason for each in heard.faults] == [Reason.TOO_LARGE]


def test_a_name_that_is_no_text_costs_one_metric() -> None:
    raw = codec.encode(
        Payload(0, 0, (codec.metric("good", DataType.DOUBLE, 1.0), codec.metric("bad!", DataType.DOUBLE, 2.0)))
    )
    heard = codec.decode(raw.replace(b"bad!", b"b\xff\xfe!"))
    assert [each.name for each in heard.metrics] == ["good"]
    assert [each.reason for each in heard.faults] == [Reason.HOSTILE_TEXT]


@pytest.mark.parametrize(
    ("code", "quality"),
    [
        (192, Quality.GOOD),
        (0, Quality.BAD),
        (500, Quality.BAD),
        (64, Quality.UNCERTAIN),
        ("x", Quality.BAD),
        (-1, Quality.BAD),
    ],
)
def test_quality_is_read(code: object, quality: Quality) -> None:
    assert codec.quality(Metric(properties={"Quality": code})) is quality  # type: ignore[dict-item]
    assert codec.quality(Metric()) is Quality.GOOD


def template(members: tuple[Metric, ...], **more: object) -> Metric:
    return Metric(datatype=DataType.TEMPLATE, field="template_value", members=members, **more)  # type: ignore[arg-type]


def test_a_template_is_unfolded_and_its_definition_is_not() -> None:
    def members(speed: float) -> tuple[Metric, ...]:
        return (codec.metric("speed", DataType.FLOAT, speed), codec.metric("make", DataType.STRING, "X"))

    birth = Payload(
        1_000,
        0,
        (template(members(0.0), name="_types_/Pump", is_definition=True), template(members(1.0), name="P1", alias=4)),
    )
    table = tables.born(codec.decode(codec.encode(birth)))
    told = Metric(name="speed", field="float_value", value=2.0)  # data need not say the type again
    data = codec.decode(codec.encode(Payload(2_000, 1, (template((told,), alias=4),))))
    found = tables.find(data, table, 9)
    assert [(each.place.name, each.at_us, each.value) for each in found.samples] == [("P1/speed", 2_000, 2.0)]
    first = tables.find(birth, table, 9)
    assert [each.place.name for each in first.samples] == ["P1/speed"]
    assert first.wordy == ["P1/make (STRING)"]


def test_a_data_set_and_words_are_counted_and_told() -> None:
    found = wire.Payload(timestamp=1, seq=0)
    table_metric = found.metrics.add(name="recipe", datatype=DataType.DATA_SET)
    table_metric.dataset_value.num_of_columns = 1
    found.metrics.add(name="make", datatype=DataType.STRING, string_value="X")
    found.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=3)
    heard = codec.decode(found.SerializeToString())
    (message,) = tables.messages(tables.find(heard, tables.born(heard), 0), None, "n")
    (fault,) = message.faults
    assert (fault.reason, fault.readings) == (Reason.NOT_A_NUMBER, 2)
    assert "recipe (DATA_SET)" in fault.detail
    assert tables.bd_seq(heard) == 3


def test_null_is_a_bad_sample_and_not_finite_is_a_fault() -> None:
    null = codec.metric("n", DataType.DOUBLE, None)
    nan = Metric("x", None, None, DataType.DOUBLE, "double_value", math.nan)
    bad = Metric("b", None, None, DataType.DOUBLE, "double_value", math.inf, properties={"Quality": 0})
    found = tables.find(Payload(5_000, 1, (null, nan, bad)), Table(), 9)
    assert [(each.place.name, each.quality) for each in found.samples] == [("n", Quality.BAD), ("b", Quality.BAD)]
    assert all(math.isnan(each.value) for each in found.samples)
    assert [each.tag for each in found.faults] == ["x"]


def test_a_sample_without_any_time_is_uncertain() -> None:
    found = tables.find(Payload(None, 1, (codec.metric("m", DataType.INT32, -3),)), Table(), 77)
    assert [(each.at_us, each.value, each.quality) for each in found.samples] == [(77, -3.0, Quality.UNCERTAIN)]


def test_transient_metrics_are_not_data() -> None:
    found = tables.find(Payload(0, 1, (Metric("m", field="double_value", value=1.0, is_transient=True),)), Table(), 7)
    assert (found.samples, found.transient) == ([], 1)


def test_an_alias_that_comes_as_another_type_is_nobody() -> None:
    table = tables.born(
        Payload(
            0,
            0,
            (
                codec.metric("m", DataType.INT32, 1, alias=1),
                codec.metric("a", DataType.INT32, 1, alias=2),
                codec.metric("b", DataType.INT32, 1, alias=2),
            ),
        )
    )
    for metric in (
        Metric(alias=1, field="double_value", value=1.0),
        Metric(alias=2, field="int_value", value=1),
        Metric(alias=9),
    ):
        assert tables.find(Payload(0, 1, (metric,)), table, 0).homeless
    assert tables.find(
        Payload(0, 1, (Metric(alias=1, field="int_value", value=1),)), table, 0, trust=Trust.NAMES
    ).homeless


def test_a_tag_that_is_too_long_is_told_and_not_cut() -> None:
    found = tables.find(Payload(0, 1, (codec.metric("m" * 250, DataType.INT32, 1),)), Table(), 0)
    (message,) = tables.messages(found, "device-1", "n")
    assert message.readings == ()
    assert [each.reason for each in message.faults] == [Reason.HOSTILE_TEXT]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("psi", "psi"),
        ("Deg C", "°C"),
        ("RPM", "rpm"),
        ("kPa", "kPa"),
        ("Amps", "A"),
        ("furlong", None),
        ("", None),
        (3, None),
    ],
)
def test_units_are_understood_or_left_alone(text: object, unit: str | None) -> None:
    assert known_unit(text) == unit


def test_a_unit_that_case_tells_apart_is_not_guessed() -> None:
    assert known_unit("MPa") == "MPa"
    assert known_unit("mpa") in (None, "MPa")
    assert known_unit("MW") == "MW"


def test_the_only_command_is_a_rebirth() -> None:
    heard = codec.decode(state.rebirth(1_700_000_000_123_456))
    assert (heard.seq, heard.at_us) == (None, 1_700_000_000_123_000)
    (metric,) = heard.metrics
    assert (metric.name, metric.datatype, metric.value) == ("Node Control/Rebirth", DataType.BOOLEAN, True)
    assert state.is_rebirth(state.rebirth(0))
    assert not state.is_rebirth(
        codec.encode(Payload(0, None, (codec.metric("Node Control/Reboot", DataType.BOOLEAN, True),)))
    )


def test_the_state_of_a_host_reads_as_the_standard_has_it() -> None:
    assert Presence(True, 17).encode() == b'{"online":true,"timestamp":17}'
    assert state.read(b'{"online":false,"timestamp":17}') == Presence(False, 17)
    for other in (b"ONLINE", b"{}", b"\xff", b"[" * 5000, b'{"online":1,"timestamp":2}'):
        assert state.read(other) is None


def decoded_or_refused(raw: bytes) -> None:
    try:
        heard = codec.decode(raw)
    except DecodeError as error:
        assert error.reason in SENTENCES
        return
    table = tables.born(heard)
    for trust in Trust:
        for message in tables.messages(tables.find(heard, table, 0, trust=trust), "d", "n"):
            for reading in message.readings:
                assert len(reading.at_us) == len(reading.values) == len(reading.quality)
                assert reading.tag.isprintable()
                finite = [math.isfinite(value) for value in reading.values]
                assert all(good or code == Quality.BAD for good, code in zip(finite, reading.quality, strict=True))
    tables.offers(heard, "d", "n")
    tables.bd_seq(heard)


def test_a_float_is_the_float_that_was_sent() -> None:
    sent = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    (heard,) = codec.decode(codec.encode(Payload(metrics=(codec.metric("m", DataType.FLOAT, 0.1),)))).metrics
    assert codec.number(heard, DataType.FLOAT) == sent
