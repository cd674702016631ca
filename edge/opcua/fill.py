"""Filling gaps: history is read in chunks of tags, each durable before the next is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua

from core import log
from edge.delivery import Delivery, Emit, Fault, Lane, Message, Origin
from edge.kinds import Fill, Gap, Place, TagStatus
from edge.opcua import history
from edge.opcua.book import Stretch
from edge.opcua.session import ServerAway
from edge.opcua.values import One, gather, stretches
from edge.sources.opcua import NAME, Options
from plant.model import Reading

CHUNK = 50  # tags
AHEAD_US = 86_400_000_000  # a server's clock may run ahead of ours
AGAIN_S = (5.0, 15.0, 60.0)
HOUR_US = 3_600_000_000
LOOK_S = 0.05
NO_HISTORY = "the server keeps no history of it"


@dataclass(slots=True)
class Outcome:
    """What reading gave: samples, and tags whose history cannot be read, each with the reason."""

    samples: int = 0
    missing: dict[str, str] = field(default_factory=dict)


class _Durable:
    """Counts deliveries that are not acked yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0

    def sent(self) -> None:
        with self._lock:
            self._waiting += 1

    def acked(self) -> None:
        with self._lock:
            self._waiting -= 1

    async def wait(self) -> None:
        """Return when everything is durable."""
        while self._waiting:  # noqa: ASYNC110 - acks come from other threads
            await asyncio.sleep(LOOK_S)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads history of some nodes of one session and hands it on. ``nodes``: tag → node id."""

    place: Place
    session: Any
    nodes: Mapping[str, ua.NodeId]
    emit: Emit

    async def read(
        self, starts_us: Mapping[str, int], end_us: int, *, on_done: Callable[[str], None], since_us: int | None = None
    ) -> Outcome:
        """Everything from each tag's start on, durable on return; ``on_done(tag)`` as soon as a tag's is.

        Faults and codes older than ``since_us`` were told when they were heard.
        """
        outcome = Outcome()
        nodes = {tag: self.nodes[tag] for tag in starts_us if tag in self.nodes}
        closed = await history.unreadable(self.session, nodes)
        self._miss(outcome, dict.fromkeys(closed, NO_HISTORY), on_done)
        tags = sorted(nodes.keys() - closed, key=lambda tag: starts_us[tag])
        for start in range(0, len(tags), CHUNK):
            chunk = tags[start : start + CHUNK]
            refused = await self._chunk(chunk, starts_us, end_us, outcome, since_us)
            self._miss(outcome, refused, on_done)
            for tag in chunk:
                if tag not in refused:
                    on_done(tag)
        return outcome

    async def _chunk(
        self, tags: list[str], starts_us: Mapping[str, int], end_us: int, outcome: Outcome, since_us: int | None
    ) -> dict[str, str]:
        durable = _Durable()
        refused: dict[str, str] = {}
        wanted = {tag: self.nodes[tag] for tag in tags}
        async for page in history.read(self.session, wanted, starts_us, end_us):
            if page.refused:
                refused[page.tag] = page.refused
                continue
            values = [each for each in page.values if starts_us[page.tag] <= (each.at_us or 0) <= end_us]
            outcome.samples += await self._hand_on(page.tag, values, durable, since_us)
        await durable.wait()
        return refused

    async def _hand_on(self, tag: str, values: list[One], durable: _Durable, since_us: int | None) -> int:
        """Returns how many samples went."""
        now_us = self.place.now_us()
        fresh = [each for each in values if since_us is None or (each.at_us or 0) > since_us]
        statuses: list[TagStatus] = list(stretches(tag, fresh))
        if statuses:
            self.place.tell_status(statuses)
        readings, _ = gather(self.place.name, [(tag, each) for each in values if each.value is not None], now_us)
        _, faults = gather(self.place.name, [(tag, each) for each in fresh if each.value is None], now_us)
        if not readings and not faults:
            return 0
        durable.sent()
        delivery = self._delivery(readings, faults, now_us, durable.acked)
        await asyncio.get_running_loop().run_in_executor(None, self.emit, delivery)
        return sum(len(each.at_us) for each in readings)

    def _delivery(
        self, readings: Iterable[Reading], faults: Iterable[Fault], now_us: int, ack: Callable[[], None]
    ) -> Delivery:
        message = Message(tuple(readings), tuple(faults), lane=Lane.HISTORY)
        place = self.place
        return Delivery(place.site, place.name, message, now_us, place.url, Origin.CONFIGURED, NAME, ack=ack)

    @staticmethod
    def _miss(outcome: Outcome, refused: Mapping[str, str], on_done: Callable[[str], None]) -> None:
        outcome.missing |= refused
        for tag in refused:
            on_done(tag)


class Filler:
    """Fills the gaps of one session, one after the other; ``wanted`` takes tag → µs that its gap begins at."""

    def __init__(self, reader: Reader, chosen: Options, stretch: Stretch, *, on_told: Callable[[], None]) -> None:
        self.reader, self.chosen, self.stretch, self.on_told = reader, chosen, stretch, on_told
        self.wanted: asyncio.Queue[tuple[dict[str, int], int]] = asyncio.Queue()
        self.without: dict[str, str] = {}  # tags that have no history, and why
        self._log = log.get("edge").bind(source=reader.place.name)

    def want(self, behind: Mapping[str, int], *, from_us: int) -> None:
        """Fill these tags' gaps; ``from_us`` is when the gap began for most."""
        if behind:
            gap = Gap(from_us, max(self.reader.place.now_us(), from_us), len(behind))
            self.reader.place.tell_gap(gap)
            self.wanted.put_nowait((dict(behind), from_us))

    async def run(self) -> None:
        """Fill until cancelled. Raises what asyncua raises when the connection is lost."""
        while True:
            behind, from_us = await self.wanted.get()
            until_us = self.reader.place.now_us()
            await asyncio.sleep(self.chosen.settle_s)
            outcome = await self._insist(behind, until_us)
            self.without |= outcome.missing
            self._tell(behind, from_us, until_us, outcome)

    async def _insist(self, behind: dict[str, int], until_us: int) -> Outcome:
        """Read until it is done; a server that is slow is asked again later."""
        if not self.chosen.history:
            for tag in behind:
                self.stretch.settle(tag)
            return Outcome(0, dict.fromkeys(behind, "`history` is off"))
        attempt = 0
        while True:
            try:
                return await self._read(behind, until_us)
            except ServerAway as error:
                pause = AGAIN_S[min(attempt, len(AGAIN_S) - 1)]
                self._log.warning("opcua.history_again", why=error.message, in_s=pause)
                attempt += 1
                await asyncio.sleep(pause)

    async def _read(self, behind: dict[str, int], until_us: int) -> Outcome:
        earliest = until_us - int(self.chosen.most_gap_h * HOUR_US)
        overlap_us = int(self.chosen.overlap_s * 1e6)
        starts = {tag: max(mark - overlap_us, earliest) for tag, mark in behind.items()}
        since_us = min(behind.values(), default=0)
        end_us = self.reader.place.now_us() + AHEAD_US
        outcome = await self.reader.read(starts, end_us, on_done=self.stretch.settle, since_us=since_us)
        outcome.missing |= {
            tag: f"the gap is longer than {self.chosen.most_gap_h:g} h: `millwright backfill opcua` reads the rest"
            for tag, mark in behind.items()
            if mark < earliest and tag not in outcome.missing
        }
        return outcome

    def _tell(self, behind: Mapping[str, int], from_us: int, until_us: int, outcome: Outcome) -> None:
        why = ""
        if outcome.missing:
            tag, reason = next(iter(outcome.missing.items()))
            why = f"{len(outcome.missing)} of {len(behind)} tags are not filled; {tag}: {reason}."
            self._log.warning("opcua.gap_not_filled", why=why)
        fill = Fill.MARKED if outcome.missing else Fill.FILLED
        self.reader.place.tell_gap(
            Gap(from_us, max(until_us, from_us), len(behind), fill, samples=outcome.samples, why=why)
        )
        self.on_told()
