"""One subscription: what the server says of our nodes, in order and without a hole, until it ends.

Once anything is missing (the queue is full, a number is skipped) nothing more is taken in: what was taken is complete
up to there, and the rest comes from history.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from edge.opcua.session import STEP_S, within
from edge.sources.opcua import Options

QUEUED = 100_000
ITEMS_A_CALL = 500
KEEPALIVES = 3  # the server says it lives at least this often within `silence_s`
LIFETIME_COUNT = 1_000
MOST_KEEPALIVES = 1_000_000
LAST_NUMBER = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Change:
    """A value as notified. ``first``: what the node had when it was subscribed, not a change."""

    tag: str
    data: ua.DataValue
    first: bool


class Subscription:
    """Lives in the event loop of its session. ``ended`` says why nothing more will come; what is queued stays."""

    def __init__(self, session: Any, chosen: Options) -> None:
        self._session, self._chosen = session, chosen
        self._queue: deque[Change] = deque()
        self._tags: dict[int, str] = {}
        self._met: set[int] = set()
        self._came = asyncio.Event()
        self._number: int | None = None
        self._id = 0
        self.ended: str | None = None
        self.heard_at = time.monotonic()
        self.silence_s = chosen.silence_s

    async def start(self) -> None:
        """Make the subscription. Raises ServerAway, and what asyncua raises."""
        wanted = ua.CreateSubscriptionParameters()
        wanted.RequestedPublishingInterval = self._chosen.publishing_ms
        wanted.RequestedLifetimeCount = LIFETIME_COUNT
        alive = self._chosen.silence_s * 1000 / KEEPALIVES / self._chosen.publishing_ms
        wanted.RequestedMaxKeepAliveCount = int(min(max(1, alive), MOST_KEEPALIVES))
        wanted.MaxNotificationsPerPublish = 10_000
        wanted.PublishingEnabled = True
        made = await within(self._session.create_subscription(wanted, self._publish), STEP_S, "subscribing")
        self._id = made.SubscriptionId
        promised = made.RevisedPublishingInterval * max(1, made.RevisedMaxKeepAliveCount) / 1000
        self.silence_s = max(self._chosen.silence_s, 2 * promised)
        self.heard_at = time.monotonic()

    async def add(self, nodes: Mapping[str, ua.NodeId]) -> dict[str, int]:
        """Hear these nodes too, tag → id; returns the status code of each that the server refuses."""
        refused: dict[str, int] = {}
        tags = list(nodes)
        for start in range(0, len(tags), ITEMS_A_CALL):
            chunk = tags[start : start + ITEMS_A_CALL]
            handles = range(len(self._tags) + 1, len(self._tags) + 1 + len(chunk))
            self._tags.update(zip(handles, chunk, strict=True))
            wanted = ua.CreateMonitoredItemsParameters()
            wanted.SubscriptionId = self._id
            wanted.TimestampsToReturn = ua.TimestampsToReturn.Both
            wanted.ItemsToCreate = [self._item(nodes[tag], handle) for tag, handle in zip(chunk, handles, strict=True)]
            results = await within(self._session.create_monitored_items(wanted), STEP_S, "subscribing to nodes")
            for tag, result in zip(chunk, results, strict=True):
                if not result.StatusCode.is_good():
                    refused[tag] = result.StatusCode.value
        return refused

    def take(self, most: int) -> list[Change]:
        """The oldest changes that are queued."""
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def __len__(self) -> int:
        return len(self._queue)

    async def wait(self, seconds: float) -> None:
        """Return when something has come or ended, or after a while."""
        if not self._queue and self.ended is None:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), seconds)
            except TimeoutError:
                return

    def end(self, why: str) -> None:
        """Take nothing more in."""
        self.ended = self.ended or why
        self._came.set()

    def _item(self, node_id: ua.NodeId, handle: int) -> ua.MonitoredItemCreateRequest:
        item = ua.MonitoredItemCreateRequest()
        item.ItemToMonitor.NodeId = node_id
        item.ItemToMonitor.AttributeId = ua.AttributeIds.Value
        item.MonitoringMode = ua.MonitoringMode.Reporting
        item.RequestedParameters.ClientHandle = handle
        item.RequestedParameters.SamplingInterval = self._chosen.sampling_ms
        item.RequestedParameters.QueueSize = self._chosen.queue_size
        item.RequestedParameters.DiscardOldest = True
        return item

    async def _publish(self, result: ua.PublishResult) -> None:
        """Called by asyncua for every answer, an empty one (the server lives) included."""
        self.heard_at = time.monotonic()
        message = result.NotificationMessage
        if self.ended is not None or not message.NotificationData:
            return
        number = int(message.SequenceNumber)
        if self._number is not None and number != self._number % LAST_NUMBER + 1 and number != 0:
            self.end("The server skipped notifications.")
            return
        self._number = number or self._number
        for part in message.NotificationData:
            self._take_in(part)

    def _take_in(self, part: Any) -> None:
        if isinstance(part, ua.StatusChangeNotification):
            self.end(f"The server ended the subscription: {_name(part.Status)}.")
        elif isinstance(part, ua.DataChangeNotification):
            if len(self._queue) + len(part.MonitoredItems) > QUEUED:
                self.end("More changes came than could be stored.")
                return
            for item in part.MonitoredItems:
                tag = self._tags.get(item.ClientHandle)
                if tag is not None and item.Value is not None:
                    self._queue.append(Change(tag, item.Value, item.ClientHandle not in self._met))
                    self._met.add(item.ClientHandle)
            self._came.set()


def _name(status: Any) -> str:
    return str(getattr(status, "name", None) or status)
