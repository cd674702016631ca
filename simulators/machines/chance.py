"""Chance that depends on the seed and the time alone, never on how the time is cut into chunks. Pure."""

from __future__ import annotations

import numpy as np

from simulators.machines.faults import Floats

_BLOCK = 1024
_KNOTS = 256


class RowNoise:
    """Standard normal noise for a machine's rows: row ``k`` gets the same numbers however it is asked for."""

    def __init__(self, seed: int, columns: int) -> None:
        self._seed = seed
        self._columns = columns
        self._blocks: dict[int, Floats] = {}

    def rows(self, first: int, count: int) -> Floats:
        """float64[columns, count]: the noise of the rows ``first`` … ``first + count - 1``."""
        last = first + count - 1
        blocks = [self._block(b) for b in range(first // _BLOCK, last // _BLOCK + 1)]
        start = first % _BLOCK
        joined = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
        return joined[:, start : start + count]

    def _block(self, number: int) -> Floats:
        block = self._blocks.get(number)
        if block is None:
            rng = np.random.default_rng([self._seed, 1, number])
            block = rng.standard_normal((self._columns, _BLOCK))
            if len(self._blocks) > 1:
                self._blocks.clear()
            self._blocks[number] = block
        return block


class SmoothNoise:
    """A smooth random curve of about unit variance: normal knots every ``knot_s`` seconds, joined by cosines."""

    def __init__(self, seed: int, stream: int, knot_s: float) -> None:
        self._seed = seed
        self._stream = stream
        self._knot_s = knot_s
        self._blocks: dict[int, Floats] = {}

    def at(self, at_s: Floats) -> Floats:
        """float64[n] at the given ascending times in seconds since the epoch."""
        place = at_s / self._knot_s
        knot = np.floor(place).astype(np.int64)
        weight = 0.5 - 0.5 * np.cos(np.pi * (place - knot))
        low = int(knot[0])
        knots = self._knots(low, int(knot[-1]) + 1)
        left = knots[knot - low]
        return np.asarray((left + weight * (knots[knot - low + 1] - left)) * 1.15, np.float64)

    def _knots(self, first: int, last: int) -> Floats:
        blocks = [self._block(b) for b in range(first // _KNOTS, last // _KNOTS + 1)]
        joined = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        start = first % _KNOTS
        return joined[start : start + last - first + 1]

    def _block(self, number: int) -> Floats:
        block = self._blocks.get(number)
        if block is None:
            block = np.random.default_rng([self._seed, 2, self._stream, number]).standard_normal(_KNOTS)
            if len(self._blocks) > 64:
                self._blocks.clear()
            self._blocks[number] = block
        return block


def spread(seed: int, names: tuple[str, ...], share: float) -> dict[str, float]:
    """Factors near 1 (standard deviation ``share``): no two machines leave the works alike."""
    draws = np.random.default_rng([seed, 3]).standard_normal(len(names))
    return {name: float(1.0 + share * np.clip(d, -2.5, 2.5)) for name, d in zip(names, draws, strict=True)}
