"""Samples made ready to be stored, while the flush before is still on its way: sorted, no twins, packed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.newest import sort_and_drop_twins
from ingest.resolve import Resolved
from plant.binary import pack_samples
from plant.model import SampleBatch
from plant.times import DAY_US


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows sorted by signal and time, each with its site, the index of its message, and its bytes for COPY."""

    batch: SampleBatch
    site_ids: npt.NDArray[np.int16]
    message: npt.NDArray[np.int32]
    packed: npt.NDArray[np.uint8]  # [n, bytes a row]

    def __len__(self) -> int:
        return len(self.batch)

    def take(self, rows: npt.NDArray[np.generic]) -> Prepared:
        """Some of the rows: bool[n] or indices."""
        batch = self.batch
        part = SampleBatch(batch.signal_id[rows], batch.at_us[rows], batch.value[rows], batch.quality[rows])
        return Prepared(part, self.site_ids[rows], self.message[rows], self.packed[rows])

    def by_day(self) -> list[tuple[int, memoryview]]:
        """Days since epoch, each with the bytes of its rows."""
        if not len(self):
            return []
        at_us = self.batch.at_us
        first, last = int(at_us.min()) // DAY_US, int(at_us.max()) // DAY_US
        if first == last:
            return [(first, self.packed.data)]
        days = at_us // DAY_US
        return [(day, self.packed[days == day].data) for day in np.unique(days).tolist()]


def prepare(resolved: Resolved) -> Prepared:
    """Everything resolved, ready for COPY."""
    batch, order = sort_and_drop_twins(resolved.batch)
    site_ids, message = resolved.site_ids[order], resolved.message[order]
    packed = np.frombuffer(pack_samples(batch, site_ids, np.arange(len(batch))), np.uint8)
    return Prepared(batch, site_ids, message, packed.reshape(len(batch), -1) if len(batch) else packed.reshape(0, 1))
