"""A fleet of which some devices, or all, speak Sparkplug B: each is an edge node, its machines are its devices.

Sparkplug has no receipts, so history before the live start goes as numbered batches like everybody's; from then on such
a device says births, data and deaths. Tags are the same either way: ``MACHINE/signal``.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from edge.sparkplug.node import Broker as NodeBroker
from edge.sparkplug.node import Node
from edge.sparkplug.voice import Tag, Told, Voice
from simulators.fleet import Fleet, Member
from simulators.ledger import LedgerWriter
from simulators.link import Broker
from simulators.machines.base import Columns
from simulators.plantclock import PlantClock
from simulators.wire import MAX_ROWS

MOST_WAITING = 50_000  # values of one device that nobody can hear yet; then its machines wait


class SparkplugFleet(Fleet):
    """``speakers`` are the devices that speak Sparkplug once the plant lives."""

    def __init__(
        self,
        members: Sequence[Member],
        broker: Broker,
        *,
        site: str,
        passwords: Mapping[str, str | None],
        clock: PlantClock,
        speakers: Collection[str],
        ledger: LedgerWriter | None = None,
        resend_s: float = 5.0,
    ) -> None:
        super().__init__(members, broker, site=site, passwords=passwords, clock=clock, ledger=ledger, resend_s=resend_s)
        self._spoken = [member for member in members if member.device in speakers]
        self._batched = [member for member in members if member.device not in speakers]
        self.nodes = {
            device: self._node(device, broker, site, passwords.get(device))
            for device in dict.fromkeys(member.device for member in self._spoken)
        }

    def drain(self, timeout_s: float) -> bool:
        """Until every batch has its receipt and every node could say what it knows."""
        deadline = time.monotonic() + timeout_s
        clean = super().drain(timeout_s)
        while any(node.waiting for node in self.nodes.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return clean and not any(node.waiting for node in self.nodes.values())

    def close(self) -> None:
        """Say the deaths, then disconnect all devices."""
        for node in self.nodes.values():
            node.close()
        super().close()

    def _advance(self, until_us: int, *, window: int, hist: str) -> None:
        if hist == "history":
            super()._advance(until_us, window=window, hist=hist)
            return
        for node in self.nodes.values():
            node.start()
        for member in self._spoken:
            if len(self.nodes[member.device].waiting) < MOST_WAITING:
                self._speak(member, member.machine.advance(until_us, max_rows=MAX_ROWS))
        self._round(self._batched, until_us, window=window, hist=hist)

    def _speak(self, member: Member, columns: Columns) -> None:
        told = [
            Told(signal, at_us, value)
            for signal, values in columns.values.items()
            for at_us, value in zip(columns.at_us.tolist(), values.tolist(), strict=True)
            if not np.isnan(value)
        ]
        if told:
            self.nodes[member.device].tell(member.code, told)
            self.samples += len(told)
            self.batches += 1

    def _node(self, device: str, broker: Broker, site: str, password: str | None) -> Node:
        tags = {member.code: _tags(member) for member in self._spoken if member.device == device}
        address = NodeBroker(broker.host, broker.port, device, password)
        return Node(Voice(site, device, tags), address, now_us=lambda: self.clock.now_us())


def _tags(member: Member) -> list[Tag]:
    return [
        Tag(each.code, unit=each.unit, low=each.low, high=each.high, description=each.name["en"])
        for each in member.machine.physics.signals
    ]
