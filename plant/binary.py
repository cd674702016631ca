"""PostgreSQL's binary COPY format ↔ numpy, whole columns at once. Pure.

Format: PostgreSQL documentation, chapter "COPY", section "Binary Format". Every field is a big-endian length and the
big-endian value; times are µs since 2000-01-01.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plant.model import SampleBatch

COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"
PG_EPOCH_US = 946_684_800_000_000

_SAMPLE = np.dtype(
    [
        ("fields", ">i2"),
        ("at_len", ">i4"),
        ("at", ">i8"),
        ("value_len", ">i4"),
        ("value", ">f8"),
        ("signal_len", ">i4"),
        ("signal_id", ">i4"),
        ("quality_len", ">i4"),
        ("quality", ">i2"),
        ("site_len", ">i4"),
        ("site_id", ">i2"),
    ]
)
_TEMPLATE = np.zeros((), _SAMPLE)
_TEMPLATE["fields"] = 5
_TEMPLATE["at_len"] = _TEMPLATE["value_len"] = 8
_TEMPLATE["signal_len"] = 4
_TEMPLATE["quality_len"] = _TEMPLATE["site_len"] = 2


def pack_samples(batch: SampleBatch, site_ids: npt.NDArray[np.int16], order: npt.NDArray[np.intp]) -> memoryview:
    """Rows (at, value, signal_id, quality, site_id) of the batch in ``order``, without header and trailer."""
    rows = np.full(len(order), _TEMPLATE)
    rows["at"] = batch.at_us[order] - PG_EPOCH_US
    rows["value"] = batch.value[order]
    rows["signal_id"] = batch.signal_id[order]
    rows["quality"] = batch.quality[order]
    rows["site_id"] = site_ids[order]
    return rows.view(np.uint8).data


def unpack(data: bytes, *columns: tuple[str, str]) -> npt.NDArray[np.void]:
    """Rows of a COPY TO of fixed-width columns that are never null; ``columns`` are (name, numpy type) as in ``i8``.

    Returns native-endian columns by name. Raises ValueError when the bytes do not have this form.
    """
    heard = np.dtype(
        [("fields", ">i2")]
        + [field for name, kind in columns for field in ((f"{name}_len", ">i4"), (name, f">{kind}"))]
    )
    body = memoryview(data)[len(COPY_HEADER) : -len(COPY_TRAILER)]
    if len(body) % heard.itemsize:
        raise ValueError(
            f"{len(body)} bytes are no whole rows of {heard.itemsize}: a column is null or of another type"
        )
    rows = np.frombuffer(body, heard)
    kept = np.empty(len(rows), np.dtype([(name, kind) for name, kind in columns]))
    for name, _ in columns:
        kept[name] = rows[name]
    return kept
