"""Topics of Sparkplug B: ``spBv1.0/GROUP/VERB/NODE[/DEVICE]`` and ``spBv1.0/STATE/HOST``. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

NAMESPACE = "spBv1.0"
ALL = f"{NAMESPACE}/#"
MOST_TEXT = 256


class Verb(StrEnum):
    """What a message is."""

    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    NCMD = "NCMD"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"
    DCMD = "DCMD"


COMMANDS = frozenset({Verb.NCMD, Verb.DCMD})
_VERBS = {str(each): each for each in Verb}


@dataclass(frozen=True, slots=True)
class Topic:
    """Whose message it is; ``device`` only for the verbs of devices."""

    group: str
    verb: Verb
    node: str
    device: str | None = None

    def __str__(self) -> str:
        text = f"{NAMESPACE}/{self.group}/{self.verb}/{self.node}"
        return text if self.device is None else f"{text}/{self.device}"


@lru_cache(maxsize=100_000)
def parse(topic: str) -> Topic | None:
    """The topic of a node's or device's message; None for STATE and for what is no Sparkplug topic."""
    parts = topic.split("/")
    verb = _VERBS.get(parts[2]) if len(parts) in (4, 5) and parts[0] == NAMESPACE else None
    if verb is None or not all(part and part.isprintable() and len(part) <= MOST_TEXT for part in parts):
        return None
    if (len(parts) == 5) is not verb.startswith("D"):
        return None
    return Topic(parts[1], verb, parts[3], parts[4] if len(parts) == 5 else None)


def state(host_id: str) -> str:
    """Where a host application says that it is there."""
    return f"{NAMESPACE}/STATE/{host_id}"


def command(group: str, node: str) -> str:
    """Where a node hears commands."""
    return str(Topic(group, Verb.NCMD, node))
