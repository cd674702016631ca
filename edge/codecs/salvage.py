"""The long way of a JSON batch that does not fit: keep every good sample, name what is wrong with the others. Pure."""

from __future__ import annotations

import json
import math
from typing import Any, TypeGuard

import numpy as np

from edge.delivery import Fault, Lane, Message
from edge.reasons import DecodeError, Reason
from edge.topics import clean_tag
from plant.model import Quality, Reading

MAX_US = 1 << 61
KEEP_BYTES = 4_096  # of a faulty part, for the person who looks at it


def salvage(payload: bytes, *, source: str, hint: str) -> Message:
    """What can be kept of a batch. ``hint`` is the first error. Raises DecodeError when nothing can be trusted."""
    document = _parse(payload, hint)
    if not isinstance(document, dict) or not isinstance(document.get("d"), list):
        raise DecodeError(Reason.MALFORMED, f"A batch is an object with a list d ({hint}).")
    epoch, seq = _sequence(document)
    hist = document.get("hist", False)
    if not isinstance(hist, bool):
        raise DecodeError(Reason.MALFORMED, "hist must be true or false.")
    readings: list[Reading] = []
    faults: list[Fault] = []
    for each in document["d"]:
        _salvage_series(each, source, readings, faults)
    return Message(tuple(readings), tuple(faults), epoch, seq, Lane.HISTORY if hist else Lane.LIVE)


def _parse(payload: bytes, hint: str) -> Any:
    """Plain JSON, but NaN and Infinity pass, to be refused sample by sample."""
    try:
        return json.loads(payload.decode())  # as text, since bytes may pass for UTF-16
    except (ValueError, RecursionError):
        raise DecodeError(Reason.MALFORMED, f"Not JSON: {hint}.") from None


def _sequence(document: dict[str, Any]) -> tuple[str | None, int | None]:
    epoch, seq = document.get("epoch"), document.get("seq")
    if epoch is None and seq is None:
        return None, None
    good_epoch = isinstance(epoch, str) and 0 < len(epoch) <= 64 and epoch.isprintable()
    if not good_epoch or not _is_int(seq) or not 0 < seq < MAX_US:
        raise DecodeError(Reason.BAD_SEQUENCE, f"epoch {str(epoch)[:80]!a} with seq {str(seq)[:40]!a}.")
    return epoch, seq


def _salvage_series(each: Any, source: str, readings: list[Reading], faults: list[Fault]) -> None:
    tag = each.get("s") if isinstance(each, dict) else None
    try:
        found, bad = _series(each, source)
    except DecodeError as error:
        shown = tag if isinstance(tag, str) and tag.isprintable() else ""
        count = len(each["v"]) if isinstance(each, dict) and isinstance(each.get("v"), list) else 1
        faults.append(Fault(shown[:256], error.reason, error.message, _keep(each), max(count, 1)))
        return
    readings.append(found)
    if bad:
        detail = f"{len(bad)} of {len(bad) + len(found.values)} values, the first {str(bad[0])[:40]!a}."
        faults.append(Fault(found.tag, Reason.NOT_A_NUMBER, detail, _keep(bad), len(bad)))


def _series(each: Any, source: str) -> tuple[Reading, list[Any]]:
    """The good samples of a series, and the values that are no numbers."""
    if not isinstance(each, dict) or not isinstance(each.get("s"), str):
        raise DecodeError(Reason.MALFORMED, "A series is an object with a text s.")
    tag, unit = clean_tag(each["s"]), each.get("u")
    if unit is not None and not isinstance(unit, str):
        raise DecodeError(Reason.MALFORMED, "u must be a text.")
    at_us, quality = _times(each), _qualities(each)
    good: list[tuple[int, float, int]] = []
    bad: list[Any] = []
    for at, value, code in zip(at_us, each["v"], quality, strict=True):
        number = math.nan if value is None and code == Quality.BAD else _number(value)
        if number is None:
            bad.append(value)
        else:
            good.append((at, number, code))
    columns = list(zip(*good, strict=True)) or [(), (), ()]
    return (
        Reading(
            source,
            tag,
            np.array(columns[0], np.int64),
            np.array(columns[1], np.float64),
            np.array(columns[2], np.uint8),
            unit,
        ),
        bad,
    )


def _times(each: dict[str, Any]) -> list[int]:
    start, offsets, values = each.get("t0"), each.get("dt"), each.get("v")
    if not isinstance(offsets, list) or not isinstance(values, list):
        raise DecodeError(Reason.MALFORMED, "dt and v must be lists.")
    if len(offsets) != len(values):
        raise DecodeError(Reason.WRONG_LENGTH, f"dt has {len(offsets)} entries, v has {len(values)}.")
    if not _is_int(start) or not -MAX_US < start < MAX_US:
        raise DecodeError(Reason.BAD_TIME, f"t0 {str(start)[:40]!a} is no integer of µs since 1970.")
    if not all(_is_int(offset) and -MAX_US < offset < MAX_US for offset in offsets):
        raise DecodeError(Reason.BAD_TIME, "dt must hold integers of µs.")
    return [start + offset for offset in offsets]


def _qualities(each: dict[str, Any]) -> list[int]:
    codes = each.get("q")
    if codes is None:
        return [int(Quality.GOOD)] * len(each["v"])
    if not isinstance(codes, list) or not all(_is_int(code) and 0 <= code <= Quality.BAD for code in codes):
        raise DecodeError(Reason.MALFORMED, "q must hold 0, 1 or 2.")
    if len(codes) != len(each["v"]):
        raise DecodeError(Reason.WRONG_LENGTH, f"q has {len(codes)} entries, v has {len(each['v'])}.")
    return codes


def _number(value: Any) -> float | None:
    """The value as a finite float that equals it, or None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number == value else None


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _keep(part: Any) -> bytes:
    return json.dumps(part)[:KEEP_BYTES].encode()
