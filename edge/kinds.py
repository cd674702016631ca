"""A kind of source that a table of configuration describes: one module of ``edge.sources`` with

    NAME                        what ``kind`` says
    SCHEMES                     what its url may begin with, for example ("opc.tcp",)
    options(table) -> object    checks the table; raises SourceConfig with a sentence
    create(place, options)      a Source that runs until it is told to stop; raises SourceConfig

It appears by itself in ingest's connectors, in `millwright source add` and in a gateway's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from core.registry import load
from edge.delivery import Source
from edge.errors import SourceConfig
from plant.offers import Offer


class State(StrEnum):
    """How a source stands. MISCONFIGURED: it will stay away until somebody changes something, and says what."""

    CONNECTED = "connected"
    LOST = "lost"
    MISCONFIGURED = "misconfigured"


class Fill(StrEnum):
    """What became of a gap. OPEN: being read; FILLED: nothing is missing; MARKED: what is missing stays missing."""

    OPEN = "open"
    FILLED = "filled"
    MARKED = "marked"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch that a source did not hear live. Told again under the same ``from_us`` when its fate changes."""

    from_us: int
    until_us: int
    tags: int
    fill: Fill = Fill.OPEN
    samples: int = 0  # that history gave
    why: str = ""


@dataclass(frozen=True, slots=True)
class TagStatus:
    """From ``at_us`` on a tag has this status code of its source; 0 is good. ``name`` as the standard spells it.

    With ``until_us`` it is a stretch of the past, which says nothing of now.
    """

    tag: str
    code: int
    name: str
    at_us: int
    until_us: int | None = None


class Marks(Protocol):
    """Up to when each tag is durable without a gap; outlives the process."""

    def load(self) -> Mapping[str, int]:
        """Tag → µs."""

    def save(self, marks: Mapping[str, int]) -> None:
        """Called about once a second with marks that advanced; must not block for long."""


class NoMarks:
    """Remembers nothing: after a restart a gap is not known."""

    def load(self) -> Mapping[str, int]:
        return {}

    def save(self, marks: Mapping[str, int]) -> None:
        """Let them go."""


def _ignore(_anything: object) -> None:
    """Nobody wants to know."""


def _no_state(_state: str, _detail: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source stands and whom it tells. The callables may be called from any thread and return at once."""

    site: str
    device: str  # the gateway's name, or of the instance that connects by itself
    name: str
    url: str
    now_us: Callable[[], int]  # plant time
    on_state: Callable[[str, str], None] = _no_state  # a State, and a sentence
    folder: Path = field(default_factory=Path)  # keys and secrets lie here
    marks: Marks = field(default_factory=NoMarks)
    tell_status: Callable[[Sequence[TagStatus]], None] = _ignore
    tell_gap: Callable[[Gap], None] = _ignore
    offer: Callable[[Sequence[Offer]], None] = _ignore  # tags that could be bound; they become proposals


class Kind(Protocol):
    """A module as described above."""

    NAME: str
    SCHEMES: tuple[str, ...]

    def options(self, table: Mapping[str, Any]) -> object: ...

    def create(self, place: Place, chosen: Any) -> Source: ...


def kinds() -> dict[str, Kind]:
    """Name → module of every kind that a table can describe."""
    found = load("edge.sources")
    return {name: cast("Kind", module) for name, module in found.items() if hasattr(module, "create")}


def check_url(kind: Kind, url: str) -> None:
    """Raises SourceConfig unless the url names a host by one of the kind's schemes."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in kind.SCHEMES or not host:
        raise SourceConfig(f"The url must read {' or '.join(f'{each}://HOST:PORT' for each in kind.SCHEMES)}.")
