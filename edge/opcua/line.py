"""The line to one server: connect, subscribe, listen, fill what was missed; again whenever it is lost.

opened ─ subscription ─┬─ listen: changes → emit          every step has a deadline; a server that says nothing,
                       ├─ filler: gaps ← history          not even that it lives, is left and connected to again,
                       └─ check: nodes gone, nodes back   after everything it had said was handed on
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from asyncua import ua

from core import log
from core.errors import MillwrightError
from edge.delivery import Delivery, Emit, Message, Origin
from edge.errors import SourceConfig
from edge.kinds import Place, State, TagStatus
from edge.opcua.book import Book, Stretch
from edge.opcua.fill import Filler, Reader
from edge.opcua.session import STEP_S, Session, left, opened, quiet, within
from edge.opcua.subscription import Change, Subscription
from edge.opcua.values import gather, name_of, one
from edge.sources.opcua import NAME, Options

MOST_CHANGES = 2_000  # a delivery
GATHER_S = 0.05
LOOK_S = 0.5
SAVE_S = 1.0
CHECK_CHUNK = 500
BACKOFF_S = (0.5, 10.0)
MISCONFIGURED_S = 30.0  # until a person has done something
DAY_US = 86_400_000_000
SHOWN_TAGS = 5
_GONE = {ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadNodeIdInvalid}


def run(place: Place, chosen: Options, emit: Emit, stop: threading.Event) -> None:
    """Hear until ``stop`` is set; survives every loss of the server."""
    quiet()
    asyncio.run(Line(place, chosen, emit, stop).run())


class Line:
    """What outlives a session: marks, the last status of each tag, nodes that the server refuses."""

    def __init__(self, place: Place, chosen: Options, emit: Emit, stop: threading.Event) -> None:
        self.place, self.chosen, self.emit, self.stop = place, chosen, emit, stop
        self.book = Book(place.marks.load())
        self.codes: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.heard_us: int | None = None  # when the server was last heard
        self.saved = time.monotonic()
        self.log = log.get("edge").bind(source=place.name)

    async def run(self) -> None:
        pause = BACKOFF_S[0]
        while not self.stop.is_set():
            began = time.monotonic()
            state, why = await self._try()
            self.save(at_once=True)
            if self.stop.is_set():
                return
            self.place.on_state(state, why)
            self.log.warning("opcua.lost", url=self.place.url, state=str(state), why=why)
            lasted = time.monotonic() - began
            pause = BACKOFF_S[0] if lasted > BACKOFF_S[1] else min(pause * 2, BACKOFF_S[1])
            await self._rest(MISCONFIGURED_S if state is State.MISCONFIGURED else pause)

    async def _try(self) -> tuple[State, str]:
        """One session; returns how it ended."""
        try:
            return State.LOST, await self._session()
        except SourceConfig as error:
            return State.MISCONFIGURED, error.message
        except MillwrightError as error:
            return State.LOST, error.message
        except Exception as error:  # noqa: BLE001 - asyncua raises of every kind; whichever it is, connect again
            return State.LOST, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

    async def _session(self) -> str:
        """From connecting to losing the server; returns why it was left."""
        now = datetime.fromtimestamp(time.time(), UTC)
        opening = opened(self.place.url, self.chosen, self.place.folder, name=self.place.name, now=now)
        session = await opening
        try:
            talk = Talk(self, session, await resolved(session.client, self.chosen.nodes))
            return await talk.hold()
        finally:
            await left(session.client)

    def save(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self.saved > SAVE_S:
            self.saved = time.monotonic()
            changed = self.book.take_changed()
            if changed:
                self.place.marks.save(changed)

    async def _rest(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self.stop.is_set() and time.monotonic() < deadline:  # noqa: ASYNC110 - the event belongs to threads
            await asyncio.sleep(0.05)


class Talk:
    """One session with its subscription."""

    def __init__(self, line: Line, session: Session, nodes: Mapping[str, ua.NodeId]) -> None:
        self.line, self.nodes = line, nodes
        self.session: Any = session.client.uaclient.session
        self.warnings = session.warnings
        self.subscription = Subscription(self.session, line.chosen)
        self.stretch: Stretch = line.book.begin()
        reader = Reader(line.place, self.session, nodes, line.emit)
        self.filler = Filler(reader, line.chosen, self.stretch, on_told=self._tell)

    async def hold(self) -> str:
        """Listen until the server is lost; returns why."""
        await self.subscription.start()
        self._join(list(self.nodes), await self.subscription.add(self.nodes))
        self._tell()
        self.line.log.info("opcua.connected", url=self.line.place.url, nodes=len(self.nodes))
        side = [asyncio.create_task(self.filler.run()), asyncio.create_task(self._look_after_nodes())]
        for task in side:
            task.add_done_callback(self._side_ended)
        try:
            return await self._listen()
        finally:
            for task in side:
                task.cancel()
            await asyncio.gather(*side, return_exceptions=True)

    def _join(self, tags: Sequence[str], refused: Mapping[str, int]) -> None:
        """Tags are heard from now on, but those that are refused; the gaps before are filled."""
        behind: dict[str, int] = {}
        for tag in tags:
            if tag in refused:
                self._refuse(tag, refused[tag])
                continue
            self.line.refused.pop(tag, None)
            mark = self.stretch.join(tag)
            if mark is not None:
                behind[tag] = mark
        if behind:
            known = self.line.heard_us
            self.filler.want(behind, from_us=max(behind.values()) if known is None else known)

    def _refuse(self, tag: str, code: int) -> None:
        self.stretch.excuse(tag)
        if self.line.refused.get(tag) != code:
            self.line.refused[tag] = code
            self.line.codes[tag] = code
            self.line.log.warning("opcua.node_refused", tag=tag, node=str(self.nodes[tag]), status=name_of(code))
            self.line.place.tell_status([TagStatus(tag, code, name_of(code), self.line.place.now_us())])

    def _tell(self) -> None:
        """Connected, and what is not as it should be."""
        parts = list(self.warnings)
        if not self.nodes:
            parts.append(f"No nodes are chosen yet: `millwright source browse {self.line.place.name}`.")
        if self.line.refused:
            shown = [f"{tag} ({name_of(code)})" for tag, code in list(self.line.refused.items())[:SHOWN_TAGS]]
            parts.append(f"{len(self.line.refused)} of {len(self.nodes)} nodes are refused: {', '.join(shown)}.")
        if self.filler.without:
            tag, why = next(iter(self.filler.without.items()))
            parts.append(f"Gaps of {len(self.filler.without)} tags cannot be filled; {tag}: {why}.")
        self.line.place.on_state(State.CONNECTED, " ".join(parts))

    async def _listen(self) -> str:
        """Gather what comes and hand it on; the server may be busy but not silent. What is queued goes on first."""
        loop, place, subscription = asyncio.get_running_loop(), self.line.place, self.subscription
        while not self.line.stop.is_set():
            await subscription.wait(LOOK_S)
            if len(subscription) and subscription.ended is None and len(subscription) < MOST_CHANGES:
                await asyncio.sleep(GATHER_S)
            self.line.heard_us = place.now_us() - int((time.monotonic() - subscription.heard_at) * 1e6)
            changes = subscription.take(MOST_CHANGES)
            if changes:
                delivery = self._delivery(changes)
                self.stretch.sent()
                await loop.run_in_executor(None, self.line.emit, delivery)
            elif subscription.ended is not None:
                return subscription.ended
            elif time.monotonic() - subscription.heard_at > subscription.silence_s:
                subscription.end(f"The server has been silent for {subscription.silence_s:g} s.")
            else:
                self.stretch.quiet(self.line.heard_us)
            self.line.save()
        return "stopped"

    def _delivery(self, changes: Sequence[Change]) -> Delivery:
        place = self.line.place
        now_us = place.now_us()
        values = [(each.tag, one(each.data)) for each in changes]
        statuses: list[TagStatus] = []
        newest: dict[str, int] = {}
        lost: set[str] = set()
        for change, (tag, value) in zip(changes, values, strict=True):
            at_us = now_us if value.at_us is None else value.at_us
            if value.code != self.line.codes.get(tag):
                self.line.codes[tag] = value.code
                statuses.append(TagStatus(tag, value.code, name_of(value.code), min(at_us, now_us)))
            if not change.first and 0 <= now_us - at_us < DAY_US:
                self.stretch.lag(now_us - at_us)
            if value.overflow:
                lost.add(tag)
            newest[tag] = max(min(at_us, now_us), newest.get(tag, 0))
        if statuses:
            place.tell_status(statuses)
        if lost:
            self._refill(lost)
        readings, faults = gather(place.name, values, now_us)
        message = Message(tuple(readings), tuple(faults))
        return Delivery(
            place.site,
            place.name,
            message,
            now_us,
            place.url,
            Origin.CONFIGURED,
            NAME,
            ack=lambda: self.stretch.acked(newest, heard_us=now_us),
        )

    def _refill(self, tags: set[str]) -> None:
        """The server's queue ran over: what it dropped is in its history."""
        self.line.log.warning("opcua.overflow", tags=sorted(tags)[:SHOWN_TAGS], count=len(tags))
        behind = {tag: mark for tag in tags if (mark := self.stretch.rejoin(tag)) is not None}
        self.filler.want(behind, from_us=max(behind.values(), default=0))

    async def _look_after_nodes(self) -> None:
        """Nodes that vanish are told; nodes that come (back) are subscribed."""
        while True:
            await asyncio.sleep(self.line.chosen.check_s)
            for start in range(0, len(self.nodes), CHECK_CHUNK):
                await self._look_at(list(self.nodes)[start : start + CHECK_CHUNK])
            self._tell()

    async def _look_at(self, tags: Sequence[str]) -> None:
        asked = self.session.read_attributes([self.nodes[tag] for tag in tags], ua.AttributeIds.NodeClass)
        found = await within(asked, STEP_S, "looking after its nodes")
        gone = {
            tag: each.StatusCode.value for tag, each in zip(tags, found, strict=True) if each.StatusCode.value in _GONE
        }
        for tag, code in gone.items():
            self._refuse(tag, code)
        back = [tag for tag in tags if tag in self.line.refused and tag not in gone]
        if back:
            self._join(back, await self.subscription.add({tag: self.nodes[tag] for tag in back}))

    def _side_ended(self, task: asyncio.Task[None]) -> None:
        """A side task ends only by being cancelled or by an error that the session does not survive."""
        if not task.cancelled() and task.exception() is not None:
            self.subscription.end(f"{type(task.exception()).__name__}: {task.exception()}")


async def resolved(client: Any, nodes: Mapping[str, str]) -> dict[str, ua.NodeId]:
    """Tag → node id; a namespace may be named by its URI (``nsu=``), which outlives a server's restart."""
    uris: list[str] = []
    if any(text.startswith("nsu=") for text in nodes):
        uris = await within(client.get_namespace_array(), STEP_S, "asking for its namespaces")
    return {tag: node_of(text, uris) for text, tag in nodes.items()}


def node_of(text: str, uris: Sequence[str]) -> ua.NodeId:
    """A node id from its text. Raises SourceConfig."""
    plain = text
    if text.startswith("nsu="):
        uri, _, rest = text.removeprefix("nsu=").partition(";")
        if unquote(uri) not in uris:
            raise SourceConfig(f"The server has no namespace {unquote(uri)!r}, which the node {text!r} names.")
        plain = f"ns={list(uris).index(unquote(uri))};{rest}"
    with suppress(Exception):
        return ua.NodeId.from_string(plain)
    raise SourceConfig(f"{text!r} is no node id. Write it like ns=2;s=Temp or ns=2;i=7.")
