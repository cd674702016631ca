"""Detector state ↔ bytes: named NumPy arrays in one msgpack map, never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FORMAT = 1


class _Column(msgspec.Struct, frozen=True, array_like=True):
    shape: list[int]
    data: bytes


class _Snapshot(msgspec.Struct, frozen=True):
    format: int
    kind: str
    columns: dict[str, _Column]


def pack(kind: str, arrays: Mapping[str, Array]) -> bytes:
    """Arrays by name as bytes; ``kind`` names who wrote them and in which version."""
    columns = {name: _Column(list(array.shape), array.tobytes()) for name, array in arrays.items()}
    return msgspec.msgpack.encode(_Snapshot(FORMAT, kind, columns))


def parts(kind: str, state: bytes) -> dict[str, bytes]:
    """The bytes of each array of ``pack(kind, …)`` by name, for states whose parts come and go.

    Raises ValueError with the reason when another kind wrote them.
    """
    return {name: column.data for name, column in _of(kind, state).columns.items()}


def restore(kind: str, arrays: Mapping[str, Array], state: bytes) -> None:
    """Fill ``arrays`` in place from ``pack(kind, …)``'s bytes.

    Raises ValueError with the reason when the bytes were written by another kind, version or set of signals;
    nothing is changed then.
    """
    snapshot = _of(kind, state)
    if snapshot.columns.keys() != arrays.keys():
        raise ValueError(f"state of {kind!r} has other parts: {sorted(snapshot.columns.keys() ^ arrays.keys())}")
    for name, array in arrays.items():
        column = snapshot.columns[name]
        if tuple(column.shape) != array.shape or len(column.data) != array.nbytes:
            raise ValueError(f"part {name!r} has shape {column.shape}, expected {list(array.shape)}")
    for name, array in arrays.items():
        array[...] = np.frombuffer(snapshot.columns[name].data, dtype=array.dtype).reshape(array.shape)


def _of(kind: str, state: bytes) -> _Snapshot:
    snapshot = _decode(state)
    if snapshot.format != FORMAT or snapshot.kind != kind:
        raise ValueError(f"state of {snapshot.kind!r} (format {snapshot.format}) does not fit {kind!r}")
    return snapshot


def _decode(state: bytes) -> _Snapshot:
    try:
        return msgspec.msgpack.decode(state, type=_Snapshot)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"no detector state: {error}") from error
