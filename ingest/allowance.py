"""A device that sends rubbish must not fill the disk: of each kind of entry only so many a minute are kept whole. Pure.

The others are added up: their readings are counted in one row a flush, without payload. Unknown tags are exempt, since
their samples wait for a binding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.reasons import Reason
from ingest.resolve import Entry

A_MINUTE = 1_000
EXEMPT = frozenset({Reason.UNKNOWN_TAG})
Kind = tuple[int, str, Reason]


class Allowance:
    """Counts entries by site, source and reason in the current minute."""

    def __init__(self, a_minute: int = A_MINUTE) -> None:
        self._a_minute = a_minute
        self._minute = -1
        self._kept: dict[Kind, int] = {}

    def trim(self, entries: Iterable[Entry], *, now_s: float) -> list[Entry]:
        """The entries to write down; the sum of their readings is what came in. ``now_s`` never runs backwards."""
        if int(now_s // 60) != self._minute:
            self._minute = int(now_s // 60)
            self._kept.clear()
        whole: list[Entry] = []
        summed: dict[Kind, Entry] = {}
        for entry in entries:
            kind = (entry.site_id, entry.source, entry.reason)
            kept = self._kept[kind] = self._kept.get(kind, 0) + 1
            if kept <= self._a_minute or entry.reason in EXEMPT:
                whole.append(entry)
            else:
                before = summed[kind].readings if kind in summed else 0
                summed[kind] = replace(entry, tag="", payload=b"", readings=before + entry.readings)
        return whole + [replace(each, detail=_detail(each)) for each in summed.values()]


def _detail(entry: Entry) -> str:
    return f"{entry.readings} more within a minute were counted, not kept. The last said: {entry.detail}"
