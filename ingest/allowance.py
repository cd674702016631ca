"""A device that sends rubbish must not fill the disk: of each kind of entry only so many a minute are kept whole. Pure.

The others are added up: their readings are counted in one row a flush, without payload. An entry is kept whole up to
the size of its message, so bytes are bounded too: of each kind, and of all kinds of a site together. What waits for a
binding is exempt, since its samples are released.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.quota import A_MINUTE, BYTES_A_MINUTE, Quota
from edge.reasons import Reason
from ingest.resolve import RELEASABLE, Entry

EXEMPT = RELEASABLE
SITE_BYTES_A_MINUTE = 4 * BYTES_A_MINUTE
Kind = tuple[int, str, Reason]


class Allowance:
    """Counts entries by site, source and reason in the current minute."""

    def __init__(
        self,
        a_minute: int = A_MINUTE,
        *,
        bytes_a_minute: int = BYTES_A_MINUTE,
        site_bytes_a_minute: int = SITE_BYTES_A_MINUTE,
    ) -> None:
        self._kinds = Quota(a_minute, bytes_a_minute)
        self._sites = Quota(1 << 62, site_bytes_a_minute)

    def trim(self, entries: Iterable[Entry], *, now_s: float) -> list[Entry]:
        """The entries to write down; the sum of their readings is what came in. ``now_s`` never runs backwards."""
        whole: list[Entry] = []
        summed: dict[Kind, Entry] = {}
        for entry in entries:
            if entry.reason in EXEMPT or self._grants(entry, now_s):
                whole.append(entry)
            else:
                kind = (entry.site_id, entry.source, entry.reason)
                before = summed[kind].readings if kind in summed else 0
                summed[kind] = replace(entry, tag="", payload=b"", readings=before + entry.readings)
        return whole + [replace(each, detail=_detail(each)) for each in summed.values()]

    def _grants(self, entry: Entry, now_s: float) -> bool:
        kind, size = (entry.site_id, entry.source, entry.reason), len(entry.payload)
        return self._kinds.grants(kind, size, now_s=now_s) and self._sites.grants(entry.site_id, size, now_s=now_s)


def _detail(entry: Entry) -> str:
    return f"{entry.readings} more within a minute were counted, not kept. The last said: {entry.detail}"
