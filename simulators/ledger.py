"""What was published, on disk before it was published: the checker's truth.

One JSON line a batch: ``{"device":…, "epoch":…, "seq":…, "payload":{…}}``, fsynced before the broker hears of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from simulators.machines.faults import Floats, Int64s


class Line(msgspec.Struct):
    """One published batch; ``payload`` is the exact message."""

    device: str
    epoch: str
    seq: int
    payload: msgspec.Raw


class _Series(msgspec.Struct):
    s: str
    t0: int
    dt: list[int]
    v: list[float]


class _Payload(msgspec.Struct):
    d: list[_Series]


class LedgerWriter:
    """Appends lines; ``write`` returns after they are on the disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._encoder = msgspec.json.Encoder()

    def write(self, lines: Sequence[Line]) -> None:
        """Append and fsync, all lines with one sync."""
        if not lines:
            return
        self._file.write(b"".join(self._encoder.encode(line) + b"\n" for line in lines))
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Published:
    """All samples of a ledger as columns, in the order of (tag, time): tag index, µs, value."""

    tags: tuple[str, ...]
    tag: np.ndarray[tuple[int], np.dtype[np.int32]]
    at_us: Int64s
    value: Floats

    def __len__(self) -> int:
        return len(self.at_us)

    def of(self, tag: str) -> tuple[Int64s, Floats]:
        """(at_us, value) of one tag; empty when it never sent."""
        if tag not in self.tags:
            return np.empty(0, np.int64), np.empty(0)
        mine = self.tag == self.tags.index(tag)
        return self.at_us[mine], self.value[mine]

    def triples(self) -> set[tuple[str, int, float]]:
        """(tag, at_us, value): for small ledgers."""
        return {(self.tags[t], int(a), float(v)) for t, a, v in zip(self.tag, self.at_us, self.value, strict=True)}


def lines(path: Path) -> Iterator[Line]:
    """Lines as written. A torn last line (killed while writing, so never published) is left out."""
    decoder = msgspec.json.Decoder(Line)
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield decoder.decode(raw)


def read(*paths: Path) -> Published:
    """All samples of one or several ledgers."""
    tags: dict[str, int] = {}
    pieces: list[tuple[int, Int64s, Floats]] = []
    decoder = msgspec.json.Decoder(_Payload)
    for path in paths:
        for line in lines(path):
            for one in decoder.decode(line.payload).d:
                at_us = one.t0 + np.asarray(one.dt, np.int64)
                pieces.append((tags.setdefault(one.s, len(tags)), at_us, np.asarray(one.v, np.float64)))
    if not pieces:
        return Published((), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))
    tag = np.concatenate([np.full(len(at), number, np.int32) for number, at, _ in pieces])
    at_us = np.concatenate([at for _, at, _ in pieces])
    value = np.concatenate([v for _, _, v in pieces])
    order = np.lexsort((at_us, tag))
    return Published(tuple(tags), tag[order], at_us[order], value[order])
