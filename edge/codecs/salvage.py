"""The long way of a JSON batch that does not fit: keep every good sample, name what is wrong with the others. Pure.

What is wrong is kept whole, as a batch of its own: ``{"d": [{"s", "u", "t0", "dt", "v", "q"}], "i": [places]}`` has the
samples of one series that share a reason, and ``i`` where they stood in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np

from edge.delivery import Fault, Lane, Message
from edge.reasons import DecodeError, Number, Reason
from edge.topics import clean_tag
from plant.model import Quality, Reading

MAX_US = 1 << 61
OVERHEAD = 4_096
OURS = frozenset({"d", "epoch", "seq", "hist", "s", "u", "t0", "dt", "v", "q", "t", "t_us", "t_ms", "t_s"})
SHORT = {Reason.BAD_TIME: "times", Reason.MALFORMED: "qualities", Reason.NOT_A_NUMBER: "values"}


class _Twice(ValueError):
    """A key of ours comes twice in one object: nobody knows which was meant."""


def salvage(payload: bytes, *, source: str, hint: str) -> Message:
    """What can be kept of a batch. ``hint`` is the first error. Raises DecodeError when nothing can be trusted; it
    carries the message's number where that can be read."""
    document = _parse(payload, hint)
    if not isinstance(document, dict) or not isinstance(document.get("d"), list):
        raise DecodeError(Reason.MALFORMED, f"A batch is an object with a list d ({hint}).", _number_in(document))
    number = _sequence(document)
    hist = document.get("hist", False)
    if not isinstance(hist, bool):
        raise DecodeError(Reason.MALFORMED, "hist must be true or false.", _number_in(document))
    found = _Salvage(payload, source, {"hist": True} if hist else {})
    for each in document["d"]:
        found.take(each)
    return Message(tuple(found.readings), tuple(found.faults), *number, Lane.HISTORY if hist else Lane.LIVE)


def number_of(payload: bytes) -> Number | None:
    """Epoch and seq of a JSON message that does not fit, where they can be read."""
    try:
        return _number_in(json.loads(payload.decode("utf-8", "replace"), object_pairs_hook=_last))
    except (ValueError, RecursionError):
        return None


def check_keys(payload: bytes) -> None:
    """Raises DecodeError (malformed) when a key of ours comes twice in one object of this JSON."""
    _parse(payload, "")


def _parse(payload: bytes, hint: str) -> Any:
    """Plain JSON, but NaN and Infinity pass, to be refused sample by sample."""
    try:
        return json.loads(payload.decode(), object_pairs_hook=_once)  # as text, since bytes may pass for UTF-16
    except _Twice as twice:
        raise DecodeError(Reason.MALFORMED, str(twice), number_of(payload)) from None
    except (ValueError, RecursionError):
        raise DecodeError(Reason.MALFORMED, f"Not JSON: {hint}.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        met: set[str] = set()
        for key, _ in pairs:
            if key in met and key in OURS:
                raise _Twice(f"The key {key!r} comes twice in one object, so one of the two would be lost.")
            met.add(key)
    return found


def _last(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For the number alone: one that comes twice is none."""
    found = dict(pairs)
    for key in ("epoch", "seq") if len(found) < len(pairs) else ():
        if sum(each == key for each, _ in pairs) > 1:
            found[key] = None
    return found


def _number_in(document: Any) -> Number | None:
    try:
        epoch, seq = _sequence(document) if isinstance(document, dict) else (None, None)
    except DecodeError:
        return None
    return None if epoch is None or seq is None or "\ufffd" in epoch else (epoch, seq)


def _sequence(document: dict[str, Any]) -> tuple[str | None, int | None]:
    epoch, seq = document.get("epoch"), document.get("seq")
    if epoch is None and seq is None:
        return None, None
    good_epoch = isinstance(epoch, str) and 0 < len(epoch) <= 64 and epoch.isprintable()
    if not good_epoch or not _is_int(seq) or not 0 < seq < MAX_US:
        raise DecodeError(Reason.BAD_SEQUENCE, f"epoch {str(epoch)[:80]!a} with seq {str(seq)[:40]!a}.")
    return epoch, seq


class _Salvage:
    """Good samples and faults of one message. ``head`` is what its parts say beside ``d``."""

    def __init__(self, payload: bytes, source: str, head: dict[str, Any]) -> None:
        self.readings: list[Reading] = []
        self.faults: list[Fault] = []
        self._payload, self._source, self._head = payload, source, head

    def take(self, each: Any) -> None:
        """One entry of ``d``."""
        try:
            start, tag = _check(each)
        except DecodeError as error:
            named = each.get("s") if isinstance(each, dict) else None
            shown = named[:256] if isinstance(named, str) and named.isprintable() else ""
            self.faults.append(Fault(shown, error.reason, error.message, self._kept(each), _count(each)))
            return
        dt, values = each["dt"], each["v"]
        codes = [int(Quality.GOOD)] * len(values) if each.get("q") is None else each["q"]
        numbers = [_number(value, code) for value, code in zip(values, codes, strict=True)]
        wrong = [_wrong(*row) for row in zip(dt, codes, numbers, strict=True)]
        good = [index for index, reason in enumerate(wrong) if reason is None]
        if good or not wrong:
            rows = [(start + dt[index], numbers[index], codes[index]) for index in good]
            self.readings.append(_reading(self._source, tag, each.get("u"), rows))
        for reason in dict.fromkeys(each for each in wrong if each is not None):
            self._refuse(each, tag, reason, [index for index, own in enumerate(wrong) if own is reason])

    def _refuse(self, each: dict[str, Any], tag: str, reason: Reason, places: list[int]) -> None:
        """The samples of a series at these places, with all that was said of them."""
        column = each[{Reason.BAD_TIME: "dt", Reason.MALFORMED: "q", Reason.NOT_A_NUMBER: "v"}[reason]]
        total = len(each["v"])
        detail = f"{len(places)} of {total} {SHORT[reason]}, the first at {places[0]}: {str(column[places[0]])[:40]!a}."
        part = {key: value for key, value in each.items() if key not in ("dt", "v", "q")}
        part |= {key: [each[key][i] for i in places] for key in ("dt", "v", "q") if each.get(key) is not None}
        self.faults.append(Fault(tag, reason, detail, self._kept(part, i=places), len(places)))

    def _kept(self, part: Any, **more: list[int]) -> bytes:
        """All of the part; where another spelling of its numbers makes it longer than the message, that as it came."""
        text = json.dumps({**self._head, "d": [part], **more}, separators=(",", ":")).encode()
        return text if len(text) <= len(self._payload) + OVERHEAD else self._payload


def _check(each: Any) -> tuple[int, str]:
    """The start and the tag of a series whose columns fit together. Raises DecodeError."""
    if not isinstance(each, dict) or not isinstance(each.get("s"), str):
        raise DecodeError(Reason.MALFORMED, "A series is an object with a text s.")
    tag, start, dt, values, codes = clean_tag(each["s"]), *(each.get(key) for key in ("t0", "dt", "v", "q"))
    if each.get("u") is not None and not isinstance(each["u"], str):
        raise DecodeError(Reason.MALFORMED, "u must be a text.")
    if not isinstance(dt, list) or not isinstance(values, list):
        raise DecodeError(Reason.MALFORMED, "dt and v must be lists.")
    if not isinstance(codes, list | None):
        raise DecodeError(Reason.MALFORMED, "q must hold 0, 1 or 2.")
    if len(dt) != len(values):
        raise DecodeError(Reason.WRONG_LENGTH, f"dt has {len(dt)} entries, v has {len(values)}.")
    if codes is not None and len(codes) != len(values):
        raise DecodeError(Reason.WRONG_LENGTH, f"q has {len(codes)} entries, v has {len(values)}.")
    if not _is_int(start) or not -MAX_US < start < MAX_US:
        raise DecodeError(Reason.BAD_TIME, f"t0 {str(start)[:40]!a} is no integer of µs since 1970.")
    return start, tag


def _wrong(offset: Any, code: Any, number: float | None) -> Reason | None:
    """A sample has one reason."""
    if not _is_int(offset) or not -MAX_US < offset < MAX_US:
        return Reason.BAD_TIME
    if not _is_int(code) or not 0 <= code <= Quality.BAD:
        return Reason.MALFORMED
    return Reason.NOT_A_NUMBER if number is None else None


def _reading(source: str, tag: str, unit: str | None, rows: Iterable[tuple[int, float | None, int]]) -> Reading:
    at, values, codes = list(zip(*rows, strict=True)) or [(), (), ()]
    return Reading(source, tag, np.array(at, np.int64), np.array(values, np.float64), np.array(codes, np.uint8), unit)


def _count(each: Any) -> int:
    return max(len(each["v"]), 1) if isinstance(each, dict) and isinstance(each.get("v"), list) else 1


def _number(value: Any, code: Any) -> float | None:
    """The value as a finite float that equals it, or None; a bad sample may say that there is none (NaN)."""
    if value is None and _is_int(code) and code == Quality.BAD:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number == value else None


def _is_int(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
