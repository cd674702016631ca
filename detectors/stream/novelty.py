"""The novelty map: how far is a value from the nearest one ever seen? Bounded memory, one number line a map. Pure.

Every value is kept until the map is full; then the two values nearest to each other become one, so that dense regions
lose detail and the borders stay. Scale-free in use: the distances are calibrated by whoever asks.
"""

from __future__ import annotations

import numpy as np

from detectors.jit import inner, kernel
from plant.model import Floats

FILLED = 0  # a map is float64[capacity + 2]: how many values are in it, then the values in order


def empty(maps: int, capacity: int) -> Floats:
    """``maps`` maps of at most ``capacity`` values: float64[maps, capacity + 2]."""
    return np.zeros((maps, capacity + 2))


@inner
def distance(book: Floats, value: float) -> float:
    """Distance of ``value`` to the nearest one seen before (0 for the first), then keep it."""
    filled = int(book[FILLED])
    place = _place(book, filled, value)
    nearest = np.inf
    if place <= filled:
        nearest = book[place] - value
    if place > 1:
        nearest = min(nearest, value - book[place - 1])
    if nearest > 0.0:
        _insert(book, filled, place, value)
    return float(nearest) if filled > 0 else 0.0


@kernel
def distances(book: Floats, values: Floats) -> Floats:
    """``distance`` of each of ``values`` float64[n], oldest first."""
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = distance(book, values[i])
    return out


@inner
def _place(book: Floats, filled: int, value: float) -> int:
    """Index of the first kept value that is at least ``value``; ``filled`` + 1 when there is none."""
    low, high = 1, filled + 1
    while low < high:
        middle = (low + high) // 2
        if book[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def _insert(book: Floats, filled: int, place: int, value: float) -> None:
    for i in range(filled + 1, place, -1):
        book[i] = book[i - 1]
    book[place] = value
    filled += 1
    if filled > len(book) - 2:
        closest = 2
        for i in range(3, filled + 1):
            if book[i] - book[i - 1] < book[closest] - book[closest - 1]:
                closest = i
        for i in range(closest, filled):
            book[i] = book[i + 1]
        filled -= 1
    book[FILLED] = filled
