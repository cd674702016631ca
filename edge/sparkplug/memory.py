"""The births that a host follows, kept in a folder over its restarts: without them nobody could read what comes before
a node has answered the request for rebirth. Losing the folder costs no data that a node says again.

One file a birth, replaced as a whole; a device's counts only together with the node's birth that it came after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from core import log

SUFFIX = ".birth"


class _Birth(msgspec.Struct):
    group: str
    node: str
    device: str | None
    under: str  # which birth of the node
    raw: bytes


@dataclass(slots=True)
class Remembered:
    """One node's birth and those of its devices."""

    group: str
    node: str
    raw: bytes
    devices: dict[str, bytes] = field(default_factory=dict)


class Memory:
    """``folder`` None remembers nothing. Never raises: what cannot be written is not remembered."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._under: dict[tuple[str, str], str] = {}
        self._log = log.get("edge")

    def save(self, group: str, node: str, device: str | None, raw: bytes) -> None:
        """A birth is followed from now on."""
        if device is None:
            self._under[group, node] = _mark(raw)
        birth = _Birth(group, node, device, self._under.get((group, node), ""), raw)
        if self._folder is None:
            return
        path = self._folder / (_mark(f"{group}/{node}/{device or ''}".encode()) + SUFFIX)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            fresh.write_bytes(msgspec.msgpack.encode(birth))
            fresh.replace(path)
        except OSError as error:
            self._log.warning("sparkplug.forgetful", error=str(error))

    def load(self) -> Iterator[Remembered]:
        """What was followed when this program last ended."""
        births = list(self._births())
        nodes: dict[tuple[str, str, str], Remembered] = {}
        for each in births:
            if each.device is None:
                self._under[each.group, each.node] = each.under
                nodes[each.group, each.node, each.under] = Remembered(each.group, each.node, each.raw)
        for each in births:
            under = nodes.get((each.group, each.node, each.under))
            if each.device is not None and under is not None:
                under.devices[each.device] = each.raw
        yield from nodes.values()

    def _births(self) -> Iterator[_Birth]:
        paths = [] if self._folder is None or not self._folder.is_dir() else sorted(self._folder.glob(f"*{SUFFIX}"))
        for path in paths:
            try:
                yield msgspec.msgpack.decode(path.read_bytes(), type=_Birth)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
                self._log.warning("sparkplug.forgotten", path=str(path), error=str(error)[:200])


def _mark(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:32]
