"""What a gateway knows of its sources: who says what, when it last did, and how much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.codecs.health import Heard
from edge.delivery import Delivery, Emit, Source
from edge.inbox import Inbox
from edge.kinds import Place, State, kinds
from edge.marks import FileMarks

STARTING = "starting"


@dataclass(slots=True)
class Ear:
    """One configured source, and what has come from it. Is the ``Emit`` that the source gets."""

    name: str
    kind: str
    inbox: Inbox
    source: Source | None = None
    state: str = STARTING
    last_heard_us: int = 0
    samples: int = 0
    _told_samples: int = 0
    _told_at: float = field(default_factory=time.monotonic)

    def __call__(self, delivery: Delivery) -> None:
        self.last_heard_us = max(self.last_heard_us, delivery.heard_us)
        self.inbox(replace(delivery, via=self.name))

    def has_room(self) -> bool:
        return self.inbox.has_room()

    def on_state(self, state: str, _detail: str) -> None:
        self.state = state

    def tell(self, now: float) -> Heard:
        """What the next report says of it; the rate is since the one before."""
        connected = getattr(self.source, "connected", None)
        if connected is not None:
            self.state = State.CONNECTED if connected else State.LOST
        rate = (self.samples - self._told_samples) / max(now - self._told_at, 0.1)
        self._told_samples, self._told_at = self.samples, now
        return Heard(self.name, self.kind, self.state, self.last_heard_us, round(rate, 3))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source as the gateway's file names it."""

    name: str
    kind: str
    url: str
    options: object


def ears(
    wanted: Sequence[Wanted], inbox: Inbox, *, site: str, device: str, folder: Path, now_us: Callable[[], int]
) -> dict[str, Ear]:
    """An ear for each source, by name; nothing is connected yet. ``folder`` is where they may remember something."""
    found = {}
    for each in wanted:
        ear = Ear(each.name, each.kind, inbox)
        marks = FileMarks(folder / f"{each.name}.marks.json")
        place = Place(site, device, each.name, each.url, now_us, ear.on_state, folder=folder, marks=marks)
        ear.source = kinds()[each.kind].create(place, each.options)
        found[each.name] = ear
    return found


def listen(ear: Ear, stop: threading.Event) -> None:
    """Run its source until ``stop`` is set."""
    if ear.source is not None:
        emit: Emit = ear
        ear.source.run(emit, stop)
