"""What travels between simulators and the product, as bytes and topics. Pure.

The encoder is written apart from the product's codec on purpose: two hands that agree say more than one.
"""

from __future__ import annotations

import msgspec
import numpy as np

from simulators.machines.base import Columns

MAX_ROWS = 720  # rows of one machine in a batch: far below a broker's message limit


class Series(msgspec.Struct):
    """One series of a batch: ``dt`` are µs after ``t0``, ``v`` values; ``u`` the unit."""

    s: str
    t0: int
    dt: msgspec.Raw
    v: list[float]


class Receipt(msgspec.Struct, frozen=True):
    """Commit receipt: everything up to ``seq`` is durable but for the ``gaps`` (inclusive ranges)."""

    epoch: str
    seq: int
    gaps: list[tuple[int, int]] = []

    def covers(self, seq: int) -> bool:
        """Whether the batch ``seq`` of this epoch is durable."""
        return seq <= self.seq and not any(low <= seq <= high for low, high in self.gaps)


class Command(msgspec.Struct, frozen=True):
    """What somebody does to a machine on the floor."""

    action: str  # repair or sham
    what: str = "machine"  # machine or sensor


_ENCODER = msgspec.json.Encoder()
_RECEIPT = msgspec.json.Decoder(Receipt)
_COMMAND = msgspec.json.Decoder(Command)


def batch(columns: Columns, code: str, *, epoch: str, seq: int, hist: str = "live") -> bytes:
    """Columnar batch of one machine's rows; ``hist`` is "live" or "history" (the backfill lane).

    Values that are NaN were never sent. Needs at least one row.
    """
    body: dict[str, object] = {"epoch": epoch, "seq": seq, "d": series(columns, code)}
    if hist == "history":
        body["hist"] = True
    return _ENCODER.encode(body)


def series(columns: Columns, code: str) -> list[Series]:
    """One series per signal that sent anything, tags ``{code}/{signal}``."""
    shared = _offsets(columns.at_us)
    found: list[Series] = []
    for signal, values in columns.values.items():
        sent = ~np.isnan(values)
        if sent.all():
            found.append(Series(f"{code}/{signal}", int(columns.at_us[0]), shared, values.tolist()))
        elif sent.any():
            at_us = columns.at_us[sent]
            found.append(Series(f"{code}/{signal}", int(at_us[0]), _offsets(at_us), values[sent].tolist()))
    return found


def _offsets(at_us: np.ndarray[tuple[int], np.dtype[np.int64]]) -> msgspec.Raw:
    return msgspec.Raw(_ENCODER.encode((at_us - at_us[0]).tolist()))


def read_receipt(payload: bytes | bytearray) -> Receipt:
    """Raises msgspec.DecodeError (ValidationError among it)."""
    return _RECEIPT.decode(payload)


def read_command(payload: bytes | bytearray) -> Command:
    """Raises msgspec.DecodeError."""
    return _COMMAND.decode(payload)


def encode(value: object) -> bytes:
    """JSON bytes of anything msgspec knows."""
    return _ENCODER.encode(value)


def batch_topic(site: str, device: str) -> str:
    return f"mw/v1/{site}/{device}/b"


def receipt_topic(site: str, device: str) -> str:
    return f"mw/v1/{site}/{device}/receipt"


def command_topic(site: str, asset_code: str) -> str:
    """``asset_code`` may be ``+`` for all."""
    return f"mw/v1/{site}/{FLOOR}/cmd/{asset_code}"


FLOOR = "sim-floor"  # the MQTT user that people on the simulated floor share
