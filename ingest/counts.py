"""What a flush did to the readings it was given, source by source. Pure.

Every reading that was heard ends in exactly one of these:

    heard + released = repeated + samples + quarantined + twins + dropped

``repeated``: of a message that had come before; ``twins``: a sample that the store had already; ``released``: it had
been quarantined, left there, and is counted anew. So a source's counts always balance, to the reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ingest.resolve import Heard, Resolved

Ints = npt.NDArray[np.int64]


class From(StrEnum):
    """Where the readings of a flush come from."""

    WIRE = "wire"
    QUARANTINE = "quarantine"  # they were heard once before


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of one source; all but ``messages`` and ``unsequenced`` are readings."""

    site_id: int
    source: str
    heard: int = 0
    messages: int = 0
    unsequenced: int = 0
    repeated: int = 0
    samples: int = 0
    quarantined: int = 0
    twins: int = 0
    released: int = 0
    dropped: int = 0

    @property
    def unaccounted(self) -> int:
        """0, or readings that went nowhere."""
        ended = self.repeated + self.samples + self.quarantined + self.twins + self.dropped
        return self.heard + self.released - ended


def of_flush(
    heard: Sequence[Heard],
    resolved: Resolved,
    new: Sequence[bool],
    stored_message: npt.NDArray[np.int32],
    *,
    origin: From = From.WIRE,
) -> list[Counted]:
    """Counts of each source. ``new`` says of each message whether it was; ``stored_message`` gives the message of each
    sample that was written."""
    if not heard:
        return []
    names: dict[tuple[int, str], int] = {}
    source = np.array([names.setdefault((each.site_id, each.source), len(names)) for each in heard], np.int64)
    fresh = np.array(new, bool)
    kept = _per_message(resolved.message, len(heard))
    stored = _per_message(stored_message, len(heard))
    total = readings(resolved, len(heard))
    refused = total - kept
    numbered = np.array([each.message.seq is not None for each in heard], bool)
    wire = origin is From.WIRE
    nothing = np.zeros(len(heard), np.int64)
    columns = [
        total if wire else nothing,
        np.ones(len(heard), np.int64) if wire else nothing,
        (~numbered & (total > 0)).astype(np.int64) if wire else nothing,
        np.where(fresh, 0, total),
        stored,
        np.where(fresh, refused, 0),
        np.where(fresh, kept - stored, 0),
        nothing if wire else total,
    ]
    sums = [_by_source(column, source, len(names)) for column in columns]
    return [Counted(*name, *(int(each[index]) for each in sums)) for name, index in names.items()]


def readings(resolved: Resolved, messages: int) -> Ints:
    """int64[messages]: how many readings each message has, good or bad."""
    found = _per_message(resolved.message, messages)
    for entry in resolved.entries:
        found[entry.message] += entry.readings
    return found


def columns(counted: Sequence[Counted]) -> tuple[list[object], ...]:
    """The counts column by column, in the order of the table's."""
    return tuple(list(column) for column in zip(*(astuple(each) for each in counted), strict=True))


def _per_message(message: npt.NDArray[np.int32], count: int) -> Ints:
    return np.bincount(message, minlength=count).astype(np.int64) if len(message) else np.zeros(count, np.int64)


def _by_source(column: Ints, source: Ints, count: int) -> Ints:
    return np.bincount(source, weights=column, minlength=count).astype(np.int64)
