"""What a simulator process is told, as one JSON file (0600: it holds passwords)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from simulators.spec import Protocol


class History(StrEnum):
    """Whether the fleet plays the baseline before the live start."""

    PLAY = "play"
    SKIP = "skip"


class Visitor(StrEnum):
    """Whether the floor answers orders that a person marks done."""

    WATCH = "watch"
    NONE = "none"


class FleetConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One plant on one broker. ``base_url``: where the plant clock is asked for."""

    base_url: str
    mqtt_host: str
    mqtt_port: int
    site: str
    plant: str  # demo, demo:SEED or journey:SEED
    live_us: int  # plant time of the live start, µs since the epoch
    passwords: dict[str, str]
    history: History = History.PLAY
    since_us: int | None = None  # SKIP: rows from here on; default now
    ledger: str | None = None
    tick_s: float = 1.0
    resend_s: float = 5.0
    protocol: Protocol | None = None  # of every device; default as the plant has it


class EngineerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    token: str


class PeopleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People of one plant. ``planner_token`` is also the visitor watch's."""

    base_url: str
    mqtt_host: str
    mqtt_port: int
    site: str
    plant: str
    live_us: int
    floor_password: str
    engineers: list[EngineerConfig]
    planner_token: str | None = None
    visitor: Visitor = Visitor.NONE
    visitor_engineer_id: int | None = None
    sham_assets: list[str] = []
    sham_share: float = 0.0
    accept_h: float = 0.2
    travel_h: float = 0.8
    work_h: float = 1.0
    seed: int = 0
    poll_s: float = 1.0
    diary: str | None = None


def read_fleet(path: Path) -> FleetConfig:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=FleetConfig)


def read_people(path: Path) -> PeopleConfig:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=PeopleConfig)


def write(path: Path, config: FleetConfig | PeopleConfig) -> None:
    """Keep a configuration where only its owner can read it."""
    private(path, msgspec.json.encode(config))


def private(path: Path, content: bytes) -> None:
    """Write a file that is readable by its owner alone from the first byte on."""
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(content)
