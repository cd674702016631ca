"""What the publishers wrote down against what the store holds, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from api.instance import Instance
from plant import telemetry
from plant.model import Floats, Int64s
from simulators import ledger

DAY_US = 86_400_000_000
Columns = tuple[Int64s, Int64s, Floats]  # signal id, µs, value


@dataclass(frozen=True, slots=True)
class Compared:
    """``lost``: published, not stored. ``doubled``: stored more often than published, or never published."""

    published: int
    stored: int
    lost: int
    doubled: int


def compare(instance: Instance, site_id: int, *paths: Path) -> Compared:
    """Compare every sample: signal, time in µs, and value bit by bit."""
    said = ledger.read(*paths)
    with instance.database.tx(site_id=site_id) as conn:
        by_tag = dict(conn.execute("select tag, signal_id from bindings").fetchall())
    signals = np.array([by_tag[tag] for tag in said.tags], dtype=np.int64)[said.tag]
    totals = np.zeros(3, dtype=np.int64)
    for day in np.unique(said.at_us // DAY_US):
        mine = said.at_us // DAY_US == day
        with instance.database.tx(site_id=site_id) as conn:
            kept = telemetry.read_frame_samples(conn, sorted(by_tag.values()), day * DAY_US - 1, (day + 1) * DAY_US - 1)
        wanted, found = counts(
            (signals[mine], said.at_us[mine], said.value[mine]),
            (kept.signal_id.astype(np.int64), kept.at_us, kept.value),
        )
        totals += [len(kept), np.maximum(wanted - found, 0).sum(), np.maximum(found - wanted, 0).sum()]
    return Compared(len(said), *(int(total) for total in totals))


def counts(wanted: Columns, found: Columns) -> tuple[Int64s, Int64s]:
    """How often each distinct sample was wanted and found: two int64[m] over all distinct samples of both."""
    signal, at_us, value = (np.concatenate(pair) for pair in zip(wanted, found, strict=True))
    bits = value.view(np.int64)
    order = np.lexsort((bits, at_us, signal))
    new = np.ones(len(order), dtype=np.int64)
    same = [np.diff(column[order]) == 0 for column in (signal, at_us, bits)]
    new[1:] = ~(same[0] & same[1] & same[2])
    group = np.cumsum(new) - 1
    ours = order < len(wanted[0])
    total = int(group[-1]) + 1 if len(group) else 0
    return np.bincount(group[ours], minlength=total), np.bincount(group[~ours], minlength=total)
