"""What the store's newest sample of each signal is: tells at once that a sample cannot be there yet. Pure.

Columns indexed by signal id. Samples of one signal that come in order of time are new by that alone; only the others
have to be looked up. The same columns are the last values that are written about once a second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plant.model import SampleBatch

NEVER = np.iinfo(np.int64).min
ROOM = 4096


class Newest:
    """Not thread-safe: whoever shares it brings a lock."""

    def __init__(self) -> None:
        self.at_us = np.full(ROOM, NEVER, np.int64)
        self.value = np.zeros(ROOM)
        self.quality = np.zeros(ROOM, np.uint8)
        self.site_id = np.zeros(ROOM, np.int16)
        self._dirty = np.zeros(ROOM, bool)

    def load(self, batch: SampleBatch, site_ids: npt.NDArray[np.int16]) -> None:
        """Take over what the store says; nothing goes back in time."""
        self._advance(batch, site_ids)

    def is_newer(self, batch: SampleBatch) -> npt.NDArray[np.bool_]:
        """bool[n]: the sample is newer than everything stored of its signal."""
        self._make_room(batch)
        found: npt.NDArray[np.bool_] = batch.at_us > self.at_us[batch.signal_id]
        return found

    def advance(self, batch: SampleBatch, site_ids: npt.NDArray[np.int16]) -> None:
        """Samples sorted by (signal, time) are stored now."""
        self._dirty[self._advance(batch, site_ids)] = True

    def take_dirty(self) -> tuple[SampleBatch, npt.NDArray[np.int16]]:
        """The newest sample of each signal that advanced since the last call."""
        ids = np.flatnonzero(self._dirty)
        self._dirty[ids] = False
        batch = SampleBatch(ids.astype(np.int32), self.at_us[ids], self.value[ids], self.quality[ids])
        return batch, self.site_id[ids]

    def put_back(self, batch: SampleBatch) -> None:
        """They could not be written: they stay dirty."""
        self._dirty[batch.signal_id] = True

    def _advance(self, batch: SampleBatch, site_ids: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
        if not len(batch):
            return batch.signal_id
        self._make_room(batch)
        last = np.flatnonzero(np.diff(batch.signal_id, append=-1))
        last = last[batch.at_us[last] >= self.at_us[batch.signal_id[last]]]
        ids = batch.signal_id[last]
        self.at_us[ids] = batch.at_us[last]
        self.value[ids] = batch.value[last]
        self.quality[ids] = batch.quality[last]
        self.site_id[ids] = site_ids[last]
        return ids

    def _make_room(self, batch: SampleBatch) -> None:
        most = int(batch.signal_id.max(initial=0))
        if most < len(self.at_us):
            return
        more = most * 3 // 2 + 1 - len(self.at_us)
        self.at_us = np.concatenate([self.at_us, np.full(more, NEVER, np.int64)])
        self.value = np.concatenate([self.value, np.zeros(more)])
        self.quality = np.concatenate([self.quality, np.zeros(more, np.uint8)])
        self.site_id = np.concatenate([self.site_id, np.zeros(more, np.int16)])
        self._dirty = np.concatenate([self._dirty, np.zeros(more, bool)])


def sort_and_drop_twins(batch: SampleBatch) -> tuple[SampleBatch, npt.NDArray[np.intp]]:
    """The batch sorted by (signal, time) with every identical sample (signal, time, value) once, and the rows taken."""
    order = np.lexsort((batch.at_us, batch.signal_id))
    ids, at_us, bits = batch.signal_id[order], batch.at_us[order], batch.value[order].view(np.int64)
    same = (ids[1:] == ids[:-1]) & (at_us[1:] == at_us[:-1])
    if same.any():
        first = _first_of_twins(ids, at_us, bits)
        order = order[first]
    return SampleBatch(batch.signal_id[order], batch.at_us[order], batch.value[order], batch.quality[order]), order


def _first_of_twins(
    ids: npt.NDArray[np.int32], at_us: npt.NDArray[np.int64], bits: npt.NDArray[np.int64]
) -> npt.NDArray[np.intp]:
    """Twins need not be neighbours: two values of one moment may take turns."""
    order = np.lexsort((np.arange(len(ids)), bits, at_us, ids))
    i, a, b = ids[order], at_us[order], bits[order]
    twin = np.concatenate([[False], (i[1:] == i[:-1]) & (a[1:] == a[:-1]) & (b[1:] == b[:-1])])
    return np.sort(order[~twin])
