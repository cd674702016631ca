"""The gatherer: a lonely message goes at once, a crowd in full batches in order, and few batches wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from edge.delivery import Delivery, Message
from edge.inbox import Inbox
from ingest.gather import Batch, Gatherer, Item
from ingest.prepared import prepare
from ingest.resolve import Heard, Snapshot, resolve

ROWS = 10


def delivery(number: int) -> Delivery:
    return Delivery("plant", f"d{number}", Message(()), 0)


def admit(heard: Delivery) -> Item | None:
    if heard.source == "d13":
        return None
    return Item(heard, Heard(1, heard.source, Message(())), 1)


def make_ready(items: Sequence[Item]) -> Batch:
    resolved = resolve([], Snapshot(), now_us=0)
    return Batch(items, [item.heard for item in items], resolved, prepare(resolved))


@contextmanager
def running(*, linger_s: float, most: int = 1000) -> Iterator[tuple[Inbox, Gatherer]]:
    inbox = Inbox(most_messages=most)
    gatherer = Gatherer(inbox, admit, make_ready, batch_rows=ROWS, linger_s=linger_s)
    stop = threading.Event()
    thread = threading.Thread(target=gatherer.run, args=(stop,))
    thread.start()
    try:
        yield inbox, gatherer
    finally:
        stop.set()
        inbox.close()
        thread.join(5)
        assert not thread.is_alive()


def test_a_lonely_message_does_not_wait() -> None:
    with running(linger_s=30.0) as (inbox, gatherer):
        began = time.monotonic()
        inbox(delivery(1))
        batch = gatherer.take(within_s=5.0)
        assert batch is not None
        assert [item.delivery.source for item in batch.items] == ["d1"]
        assert time.monotonic() - began < 5.0


def test_the_next_one_waits_its_linger() -> None:
    with running(linger_s=0.2) as (inbox, gatherer):
        inbox(delivery(1))
        assert gatherer.take(within_s=5.0) is not None
        began = time.monotonic()
        inbox(delivery(2))
        assert gatherer.take(within_s=5.0) is not None
        assert time.monotonic() - began > 0.1


def test_everything_comes_once_and_in_order() -> None:
    with running(linger_s=0.001) as (inbox, gatherer):
        for number in range(200):
            inbox(delivery(number))
        found: list[str] = []
        while len(found) < 199:
            batch = gatherer.take(within_s=5.0)
            assert batch is not None
            found += [item.delivery.source for item in batch.items]
    assert found == [f"d{number}" for number in range(200) if number != 13]


def test_who_stores_nothing_holds_the_senders_back() -> None:
    with running(linger_s=0.001, most=20) as (inbox, gatherer):
        sent = 0
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and sent < 10_000:
            if not inbox.has_room():
                time.sleep(0.05)
                if not inbox.has_room():
                    break
            inbox(delivery(1))
            sent += 1
        assert sent < 200
        assert gatherer.take(within_s=5.0) is not None


def test_nothing_is_none() -> None:
    with running(linger_s=0.001) as (_, gatherer):
        assert gatherer.take(within_s=0.05) is None


def test_rows_keep_their_bytes_when_some_are_taken() -> None:
    resolved = resolve([], Snapshot(), now_us=0)
    assert prepare(resolved).by_day() == []
    assert len(prepare(resolved).take(np.empty(0, np.intp))) == 0
