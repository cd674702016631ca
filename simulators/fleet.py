"""A fleet of simulated machines on MQTT, living in plant time.

    tick:  commands ──> machines.advance(plant now) ──> ledger (fsync) ──> outbox ──> broker
                                                                            ^── receipt ── ingest

A machine makes rows only when the window has room for them, so an outage costs no memory and loses nothing: the rows
are made, and sent, when the way is free again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from core.log import get
from simulators.ledger import LedgerWriter, Line
from simulators.link import Broker, DeviceLink, Heard
from simulators.machines.base import Machine, Repair
from simulators.plantclock import PlantClock
from simulators.wire import MAX_ROWS, batch

log = get("simulators")
HISTORY_WINDOW = 50  # batches under way while history is played
LIVE_WINDOW = 400


@dataclass(frozen=True, slots=True)
class Member:
    """A machine and the device (its own, or a gateway) that speaks for it."""

    machine: Machine
    device: str

    @property
    def code(self) -> str:
        return self.machine.build.code


class HistoryStalled(Exception):
    """No receipt has come for a long while; the baseline could not be played. Is ingest running?"""


class Fleet:
    """All machines of one plant. One thread calls ``history``, ``run`` or ``tick``; links have threads of their own."""

    def __init__(
        self,
        members: Sequence[Member],
        broker: Broker,
        *,
        site: str,
        passwords: Mapping[str, str | None],
        clock: PlantClock,
        ledger: LedgerWriter | None = None,
        resend_s: float = 5.0,
    ) -> None:
        self.members = list(members)
        self.clock = clock
        self.samples = 0
        self.batches = 0
        self._ledger = ledger
        self._by_code = {m.code: m for m in self.members}
        codes: dict[str, list[str]] = {}
        for member in self.members:
            codes.setdefault(member.device, []).append(member.code)
        self.links = {
            device: DeviceLink(
                broker, site, device, password=passwords.get(device), asset_codes=mine, resend_s=resend_s
            )
            for device, mine in codes.items()
        }

    def start(self) -> None:
        """Connect all devices in the background."""
        for link in self.links.values():
            link.start()

    @property
    def under_way(self) -> int:
        """Batches without a receipt."""
        return sum(len(link.outbox) for link in self.links.values())

    def history(self, until_us: int, *, stalled_s: float = 120.0, stop: threading.Event | None = None) -> None:
        """Publish every row up to ``until_us`` (plant time) as history, as fast as receipts come.

        Returns when all have their receipts, or ``stop`` is set. Raises HistoryStalled when no receipt comes for
        ``stalled_s``.
        """
        last, moved_s = self.under_way, time.monotonic()
        while self.under_way or any(m.machine.next_us <= until_us for m in self.members):
            if stop is not None and stop.is_set():
                return
            self._advance(until_us, window=HISTORY_WINDOW, hist="history")
            self._wait(0.25)
            if self.under_way != last:
                last, moved_s = self.under_way, time.monotonic()
            if time.monotonic() - moved_s > stalled_s:
                raise HistoryStalled(f"{HistoryStalled.__doc__} {last} batches wait for their receipts.")

    def run(self, stop: threading.Event, *, tick_s: float = 1.0) -> None:
        """Live in plant time until ``stop`` is set."""
        while not stop.is_set():
            began = time.monotonic()
            self.tick()
            stop.wait(max(0.05, tick_s - (time.monotonic() - began)))

    def tick(self) -> None:
        """Carry out commands, make the rows up to now, publish them, send again what is overdue."""
        self._obey()
        self._advance(self.clock.now_us(), window=LIVE_WINDOW, hist="live")

    def drain(self, timeout_s: float) -> bool:
        """Wait until every batch has its receipt; whether that came true within ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while self.under_way and time.monotonic() < deadline:
            self._pump()
            self._wait(0.1)
        return not self.under_way

    def close(self) -> None:
        """Disconnect all devices."""
        for link in self.links.values():
            link.close()

    def _obey(self) -> None:
        for link in self.links.values():
            while link.commands:
                self._carry_out(link.commands.popleft())

    def _carry_out(self, heard: Heard) -> None:
        member = self._by_code.get(heard.asset_code)
        if member is None:
            return
        at_us = self.clock.at_us(heard.wall_us)
        if heard.command.action == "repair":
            what = Repair.SENSOR if heard.command.what == Repair.SENSOR else Repair.MACHINE
            member.machine.repair(at_us, what=what)
        elif heard.command.action == "sham":
            member.machine.sham(at_us)
        else:
            log.warning("unknown command", asset=heard.asset_code, action=heard.command.action)
            return
        log.info("command", asset=heard.asset_code, action=heard.command.action, what=heard.command.what)

    def _advance(self, until_us: int, *, window: int, hist: str) -> None:
        self._round(self.members, until_us, window=window, hist=hist)

    def _round(self, members: Sequence[Member], until_us: int, *, window: int, hist: str) -> None:
        """One round over these machines: rows → ledger → outbox → broker, machines that lag most first."""
        made: list[tuple[DeviceLink, int, bytes]] = []
        for member in sorted(members, key=lambda m: m.machine.next_us):
            if self.under_way + len(made) >= window:
                break
            columns = member.machine.advance(until_us, max_rows=MAX_ROWS)
            if not len(columns):
                continue
            link = self.links[member.device]
            seq = link.outbox.next_seq()
            made.append((link, seq, batch(columns, member.code, epoch=link.outbox.epoch, seq=seq, hist=hist)))
            self.samples += sum(int(np.count_nonzero(~np.isnan(v))) for v in columns.values.values())
        self._keep(made)
        self._pump()

    def _keep(self, made: Sequence[tuple[DeviceLink, int, bytes]]) -> None:
        if self._ledger is not None:
            self._ledger.write(
                [Line(link.device, link.outbox.epoch, seq, msgspec.Raw(payload)) for link, seq, payload in made]
            )
        for link, seq, payload in made:
            link.outbox.put(seq, payload, now_s=time.monotonic())
        self.batches += len(made)

    def _pump(self) -> None:
        for link in self.links.values():
            link.pump()

    def _wait(self, timeout_s: float) -> None:
        """Until some link made progress; several links are looked at in turn."""
        share = timeout_s / len(self.links)
        for link in self.links.values():
            if link.progress.wait(share):
                link.progress.clear()
                return
