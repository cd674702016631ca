"""Live events: one LISTEN connection a process, fanned out to the open screens of each site (server-sent events).

    any transaction ──NOTIFY on commit──> Hub.run ──> Subscriber queue ──> GET /api/v1/events

An event only says what changed (`event: ticket`, `data: {"id": 12}`); the screen asks for it with its own rights. There
is no history: after every (re)connection comes `event: hello`, which means "ask for everything again".
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import AsyncConnection, Notify
from sse_starlette import EventSourceResponse, ServerSentEvent

from core import live, log, metrics
from core.database import Database

SAMPLES = "millwright_samples"
TELEMETRY = "telemetry"
TOPICS = ("ticket", "alarm", "prediction", "asset", "quarantine", "source", TELEMETRY, "notification")
PERSONAL = ("notification",)  # all that a requester hears
QUEUE = 256
PING_S = 15
STILL_IN_S = 60.0
TELEMETRY_EVERY_S = 1.0
SILENT_S = 10.0
CONNECT_S = 5
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)

logger = log.get("live")


@dataclass(frozen=True, slots=True)
class Event:
    topic: str
    ident: int | None = None


HELLO = Event("hello")
END = Event("end")


@dataclass(eq=False, slots=True)
class Subscriber:
    """One open stream; ``queue`` holds what it has not read yet."""

    site_id: int
    topics: frozenset[str]
    queue: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(QUEUE))

    def offer(self, event: Event) -> bool:
        """False when it reads too slowly."""
        if event.topic in self.topics or event is HELLO:
            try:
                self.queue.put_nowait(event)
            except asyncio.QueueFull:
                return False
        return True


class Hub:
    """Hears the database and tells the subscribers. Lives on the event loop; ``run`` is its one task."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.listening = asyncio.Event()
        self._subscribers: set[Subscriber] = set()
        self._telemetry: dict[int, float] = {}  # site → when it was last told
        self._due: set[int] = set()

    def subscribe(self, site_id: int, topics: frozenset[str]) -> Subscriber:
        """A new stream, beginning with hello."""
        subscriber = Subscriber(site_id, topics)
        subscriber.offer(HELLO)
        self._subscribers.add(subscriber)
        metrics.subscribers.set(len(self._subscribers))
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        metrics.subscribers.set(len(self._subscribers))

    async def run(self) -> None:
        """Listen until cancelled; a lost connection is opened again and everybody told to ask anew."""
        failures = 0
        while True:
            try:
                async with await self._connect() as conn:
                    failures = 0
                    self._connected()
                    await self._hear(conn)
            except (psycopg.Error, OSError, TimeoutError) as error:
                logger.warning("live connection lost", error=type(error).__name__)
            self.listening.clear()
            metrics.live_connected.set(0)
            await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1

    async def _connect(self) -> AsyncConnection:
        async with asyncio.timeout(CONNECT_S):
            conn = await AsyncConnection.connect(self.database.app_dsn, autocommit=True, connect_timeout=CONNECT_S)
            await conn.execute(f"listen {live.CHANNEL}; listen {SAMPLES}")
            return conn

    def _connected(self) -> None:
        self.listening.set()
        metrics.live_connected.set(1)
        for subscriber in list(self._subscribers):
            self._offer(subscriber, HELLO)

    async def _hear(self, conn: AsyncConnection) -> None:
        """Pass notices on; ask a silent server for a sign of life within a deadline."""
        while True:
            wait_s = TELEMETRY_EVERY_S if self._due else SILENT_S
            heard = False
            async for notice in conn.notifies(timeout=wait_s, stop_after=1):
                heard = True
                self.take(notice)
            self.flush(time.monotonic())
            if not heard:
                async with asyncio.timeout(CONNECT_S):
                    await conn.execute("select 1")

    def take(self, notice: Notify) -> None:
        """Turn a notice of the database into an event."""
        try:
            if notice.channel == SAMPLES:
                self._due.add(int(notice.payload))
                return
            site_id, topic, ident = live.parse(notice.payload)
        except (ValueError, KeyError, TypeError):
            logger.warning("strange notice", channel=notice.channel)
            return
        if topic == TELEMETRY:
            self._due.add(site_id)
        else:
            self._tell(site_id, Event(topic, ident))

    def flush(self, now: float) -> None:
        """Tell of new samples, at most once a second and site."""
        for site_id in list(self._due):
            if now - self._telemetry.get(site_id, -TELEMETRY_EVERY_S) >= TELEMETRY_EVERY_S:
                self._due.discard(site_id)
                self._telemetry[site_id] = now
                self._tell(site_id, Event(TELEMETRY))

    def _tell(self, site_id: int, event: Event) -> None:
        for subscriber in [each for each in self._subscribers if each.site_id == site_id]:
            self._offer(subscriber, event)

    def _offer(self, subscriber: Subscriber, event: Event) -> None:
        """A stream that does not keep up ends; its client connects again and asks for everything."""
        if not subscriber.offer(event):
            self.unsubscribe(subscriber)
            metrics.dropped.inc()
            subscriber.queue.get_nowait()
            subscriber.queue.put_nowait(END)


def stream(hub: Hub, subscriber: Subscriber, *, still_in: Callable[[], Awaitable[bool]]) -> EventSourceResponse:
    """The answer of an event stream; it ends when the sign-in has ended (looked at once a minute)."""

    async def events() -> AsyncIterator[ServerSentEvent]:
        checked = time.monotonic()
        try:
            while True:
                event = await _next(subscriber)
                if time.monotonic() - checked >= STILL_IN_S:
                    checked = time.monotonic()
                    if not await still_in():
                        return
                if event is END:
                    return
                if event is not None:
                    yield ServerSentEvent(json.dumps({"id": event.ident}), event=event.topic, retry=2000)
        finally:
            hub.unsubscribe(subscriber)

    return EventSourceResponse(events(), ping=PING_S, send_timeout=30, headers={"x-accel-buffering": "no"})


async def _next(subscriber: Subscriber) -> Event | None:
    """The next event, or None after a while without any."""
    try:
        async with asyncio.timeout(PING_S):
            return await subscriber.queue.get()
    except TimeoutError:
        return None
