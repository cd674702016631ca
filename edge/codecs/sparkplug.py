"""Sparkplug B payloads ↔ metrics. Pure.

No codec of the registry: what a data message means is said only by the births before it (``edge.sparkplug.session``),
so there is no ``NAME``. ``decode`` raises DecodeError and nothing else, whatever the bytes are.

Times are ms on the wire and µs here. Numbers travel in unsigned fields; ``number`` reads them by their data type, with
the three ways in which encoders in the field write a negative one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import msgspec
from google.protobuf.message import DecodeError as WireError

from edge.delivery import Fault
from edge.reasons import DecodeError, Reason
from edge.sparkplug import sparkplug_b_pb2 as wire
from plant.model import Quality

MAX_BYTES = 1 << 20  # inclusive
MOST_METRICS = 50_000  # of a payload, members of templates included
DEEPEST = 8  # templates within templates
MOST_TEXT = 256
MAX_US = 1 << 61
EXACT = 1 << 53  # beyond it an integer may not be kept exactly
KEEP_BYTES = MAX_BYTES

Scalar = int | float | bool | str


class DataType(IntEnum):
    """Data types of Sparkplug B 3.0."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14
    UUID = 15
    DATA_SET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATE_TIME_ARRAY = 34


_TYPES = {int(each): each for each in DataType}
_SIGNED = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_UNSIGNED = {DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64}
_REALS = (DataType.FLOAT, DataType.DOUBLE)
NUMERIC = frozenset({*_SIGNED, *_UNSIGNED, *_REALS, DataType.BOOLEAN})
_WHOLE = ("int_value", "long_value")
_REAL = ("float_value", "double_value")
_FIELDS = {
    **dict.fromkeys((*_SIGNED, *_UNSIGNED), "int_value"),
    DataType.INT64: "long_value",
    DataType.UINT64: "long_value",
    DataType.DATE_TIME: "long_value",
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.TEXT: "string_value",
    DataType.UUID: "string_value",
    DataType.BYTES: "bytes_value",
    DataType.FILE: "bytes_value",
}


class Metric(msgspec.Struct, frozen=True, gc=False):
    """One metric. ``field`` is the wire's field of ``value``; "" and None: null. ``members``: of a template."""

    name: str | None = None
    alias: int | None = None
    at_us: int | None = None
    datatype: DataType = DataType.UNKNOWN  # UNKNOWN: not said, as in data messages
    field: str = ""
    value: int | float | bool | str | bytes | None = None
    is_historical: bool = False
    is_transient: bool = False
    is_definition: bool = False
    members: tuple[Metric, ...] = ()
    properties: Mapping[str, Scalar] = {}
    description: str = ""


class Payload(msgspec.Struct, frozen=True):
    """One payload; ``faults`` are the metrics of it that cannot be read."""

    at_us: int | None = None
    seq: int | None = None
    metrics: tuple[Metric, ...] = ()
    faults: tuple[Fault, ...] = ()


def decode(payload: bytes) -> Payload:
    """What a payload says; a metric that cannot be read is a fault beside the others. Raises DecodeError."""
    if len(payload) > MAX_BYTES:
        raise DecodeError(Reason.TOO_LARGE, f"{len(payload)} bytes; the most is {MAX_BYTES}.")
    found = wire.Payload()
    try:
        found.ParseFromString(payload)
    except WireError as error:
        raise DecodeError(Reason.MALFORMED, f"Not a Sparkplug B payload: {error}.") from None
    if len(found.metrics) > MOST_METRICS:
        raise DecodeError(Reason.TOO_LARGE, f"{len(found.metrics)} metrics; the most is {MOST_METRICS}.")
    reader = _Reader()
    metrics = tuple(each for each in map(reader.metric, found.metrics) if each is not None)
    at_us = found.timestamp * 1000 if found.HasField("timestamp") else None
    return Payload(
        at_us if at_us is None or at_us < MAX_US else None,
        found.seq if found.HasField("seq") else None,
        metrics,
        tuple(reader.faults),
    )


def encode(payload: Payload) -> bytes:
    """The bytes of a payload; ``decode`` gives it back (faults are left out)."""
    found = wire.Payload()
    if payload.at_us is not None:
        found.timestamp = payload.at_us // 1000
    if payload.seq is not None:
        found.seq = payload.seq
    for each in payload.metrics:
        _write(found.metrics.add(), each)
    return bytes(found.SerializeToString())


def metric(
    name: str | None,
    datatype: DataType,
    value: Scalar | bytes | None,
    *,
    alias: int | None = None,
    at_us: int | None = None,
    historical: bool = False,
    properties: Mapping[str, Scalar] | None = None,
) -> Metric:
    """A metric to send. ``value`` None is null. Raises ValueError for a value that its type cannot hold."""
    written = None if value is None else _written(datatype, value)
    return Metric(
        name,
        alias,
        at_us,
        datatype,
        "" if written is None else _FIELDS[datatype],
        written,
        is_historical=historical,
        properties=properties or {},
    )


def number(found: Metric, datatype: DataType) -> float | None:
    """The value as a float that equals it; None when it is none (null, text, out of its type's or float64's range)."""
    value = found.value
    if datatype in _REALS:
        return value if found.field in _REAL and isinstance(value, float) else None
    if datatype is DataType.BOOLEAN:
        return float(value) if found.field == "boolean_value" and isinstance(value, bool) else None
    if found.field not in _WHOLE or not isinstance(value, int):
        return None
    whole = _signed(value, _SIGNED[datatype]) if datatype in _SIGNED else _unsigned(value, datatype)
    return float(whole) if whole is not None and abs(whole) <= EXACT else None


def quality(found: Metric) -> Quality:
    """Property ``Quality``: 192 good, 500 stale, 0 bad, and the codes of OPC between them."""
    code = found.properties.get("Quality", 192)
    if isinstance(code, int) and 192 <= code < 256:
        return Quality.GOOD
    if isinstance(code, int) and (64 <= code < 128 or 256 <= code < 300):
        return Quality.UNCERTAIN
    return Quality.BAD


def _signed(value: int, bits: int) -> int | None:
    """Two's complement of the type's own width, of 32 or of 64 bits: all three are sent for Int8 and Int16."""
    half = 1 << (bits - 1)
    if value < 2 * half:
        return value - 2 * half if value >= half else value
    for width in (32, 64):
        if (1 << width) - half <= value < (1 << width):
            return value - (1 << width)
    return None


def _unsigned(value: int, datatype: DataType) -> int | None:
    bits = _UNSIGNED.get(datatype)
    return value if bits is not None and value < (1 << bits) else None


def _written(datatype: DataType, value: Scalar | bytes) -> Scalar | bytes:
    """The value as its wire field holds it."""
    bits = _SIGNED.get(datatype) or _UNSIGNED.get(datatype)
    if bits is not None and isinstance(value, int | float) and value == int(value):
        low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if datatype in _SIGNED else (0, 1 << bits)
        if low <= value < high:
            return int(value) % (1 << bits)  # its own width: every reader in the field understands that one
    elif datatype in _REALS and isinstance(value, int | float):
        return float(value)
    elif datatype is DataType.BOOLEAN and value in (0, 1):
        return bool(value)
    elif datatype not in NUMERIC and datatype in _FIELDS and isinstance(value, int | str | bytes):
        return value
    raise ValueError(f"{value!r} is no {datatype.name}")


class _Reader:
    """Reads the metrics of one payload and keeps what is wrong with some."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._left = MOST_METRICS

    def metric(self, found: wire.Metric, depth: int = 0) -> Metric | None:
        """One metric, or None with a fault."""
        name = found.name if found.HasField("name") else None
        try:
            return self._metric(found, name, depth)
        except DecodeError as error:
            shown = name if isinstance(name, str) and name.isprintable() else ""
            kept = found.SerializeToString()[:KEEP_BYTES]
            self.faults.append(Fault(shown[:MOST_TEXT], error.reason, error.message, kept))
            return None

    def _metric(self, found: wire.Metric, name: object, depth: int) -> Metric:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise DecodeError(Reason.TOO_LARGE, f"More than {MOST_METRICS} members, or more than {DEEPEST} deep.")
        at_us = found.timestamp * 1000 if found.HasField("timestamp") else None
        if at_us is not None and at_us >= MAX_US:
            raise DecodeError(Reason.BAD_TIME, f"{found.timestamp} ms since 1970 is no time.")
        datatype = _TYPES.get(found.datatype)
        if datatype is None:
            raise DecodeError(Reason.MALFORMED, f"There is no data type {found.datatype}.")
        field = "" if found.is_null else found.WhichOneof("value") or ""
        template = found.template_value if field == "template_value" else None
        return Metric(
            None if name is None else _text(name),
            found.alias if found.HasField("alias") else None,
            at_us,
            datatype,
            field,
            None if field == "" or template is not None else _plain(found, field),
            found.is_historical,
            found.is_transient,
            template is not None and template.is_definition,
            () if template is None else self._members(template, depth),
            _properties(found.properties) if found.HasField("properties") else {},
            _shown(found.metadata.description) if found.HasField("metadata") else "",
        )

    def _members(self, template: wire.Template, depth: int) -> tuple[Metric, ...]:
        return tuple(found for each in template.metrics if (found := self.metric(each, depth + 1)) is not None)


def _plain(found: wire.Metric, field: str) -> int | float | bool | str | bytes | None:
    """The value of a field that holds one; data sets and extensions have none here."""
    value = getattr(found, field)
    return value if isinstance(value, int | float | str | bytes) else None


def _properties(found: wire.PropertySet) -> dict[str, Scalar]:
    """The properties that are plain; a set whose keys and values differ in number says nothing."""
    if len(found.keys) != len(found.values) or len(found.keys) > MOST_TEXT:
        return {}
    kept: dict[str, Scalar] = {}
    for key, value in zip(found.keys, found.values, strict=True):
        plain = None if value.is_null else _property(value)
        if plain is not None and isinstance(key, str):
            kept[key] = plain
    return kept


def _property(value: wire.PropertyValue) -> Scalar | None:
    field = value.WhichOneof("value")
    found = getattr(value, field) if field else None
    bits = _SIGNED.get(_TYPES.get(value.type, DataType.UNKNOWN))
    if bits is not None and field in _WHOLE and isinstance(found, int):
        return _signed(found, bits)
    return found if isinstance(found, int | float | str) else None


def _write(to: wire.Metric, each: Metric) -> None:
    if each.name is not None:
        to.name = each.name
    if each.alias is not None:
        to.alias = each.alias
    if each.at_us is not None:
        to.timestamp = each.at_us // 1000
    if each.datatype is not DataType.UNKNOWN:
        to.datatype = each.datatype
    for flag in ("is_historical", "is_transient"):
        if getattr(each, flag):
            setattr(to, flag, True)
    for key, value in each.properties.items():
        _write_property(to.properties, key, value)
    if each.description:
        to.metadata.description = each.description
    _write_value(to, each)


def _write_value(to: wire.Metric, each: Metric) -> None:
    if each.field == "template_value":
        to.template_value.is_definition = each.is_definition
        for member in each.members:
            _write(to.template_value.metrics.add(), member)
    elif each.value is None:
        to.is_null = True
    else:
        setattr(to, each.field, each.value)


def _write_property(to: wire.PropertySet, key: str, value: Scalar) -> None:
    kinds: tuple[tuple[type, DataType], ...] = (
        (bool, DataType.BOOLEAN),
        (int, DataType.INT32),
        (float, DataType.DOUBLE),
        (str, DataType.STRING),
    )
    kind = next(kind for plain, kind in kinds if isinstance(value, plain))
    to.keys.append(key)
    written = to.values.add()
    written.type = kind
    setattr(written, _FIELDS[kind], _written(kind, value))


def _text(name: object) -> str:
    """A name that can be kept and shown. Raises DecodeError (hostile_text)."""
    if not isinstance(name, str) or not name or len(name) > MOST_TEXT or not name.isprintable():
        raise DecodeError(
            Reason.HOSTILE_TEXT, f"The name {ascii(name)[:60]} is empty, too long, not UTF-8 or not printable."
        )
    return name


def _shown(text: object) -> str:
    """A text for people; what cannot be shown is left out."""
    if not isinstance(text, str):
        return ""
    return "".join(each for each in text[: 2 * MOST_TEXT] if each.isprintable())[:MOST_TEXT]
