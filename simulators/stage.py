"""Puts a plant on stage through the public API and remembers the secrets, so that it can go on after a restart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from simulators import config, plants
from simulators.client import ApiClient
from simulators.spec import Plant

STAGE_FILE = "stage.json"


class Stage(msgspec.Struct, kw_only=True):
    """Secrets of a staged plant: device → password, login → API token (the crew's and the planner's)."""

    devices: dict[str, str]
    tokens: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wire:
    """Where the instance listens, and the floor's password."""

    base_url: str
    mqtt_host: str
    mqtt_port: int
    site: str
    floor_password: str

    def fleet(
        self, plant: Plant, made: Stage, *, live_us: int, since_us: int | None = None, ledger: Path | None = None
    ) -> config.FleetConfig:
        """The fleet's orders; ``since_us``: no history, rows from there on."""
        return config.FleetConfig(
            base_url=self.base_url,
            mqtt_host=self.mqtt_host,
            mqtt_port=self.mqtt_port,
            site=self.site,
            plant=plant.name,
            live_us=live_us,
            passwords=made.devices,
            history=config.History.PLAY if since_us is None else config.History.SKIP,
            since_us=since_us,
            ledger=str(ledger) if ledger else None,
            tick_s=0.5,
        )

    def people(
        self, plant: Plant, made: Stage, *, live_us: int, visitor_engineer_id: int | None = None
    ) -> config.PeopleConfig:
        """The people's orders: the whole crew and the planner; and a watch over the visitor, where there is one."""
        watched = visitor_engineer_id is not None
        return config.PeopleConfig(
            base_url=self.base_url,
            mqtt_host=self.mqtt_host,
            mqtt_port=self.mqtt_port,
            site=self.site,
            plant=plant.name,
            live_us=live_us,
            floor_password=self.floor_password,
            engineers=[config.EngineerConfig(name=hand.name, token=made.tokens[hand.login]) for hand in plants.CREW],
            planner_token=made.tokens[plants.PLANNER],
            visitor=config.Visitor.WATCH if watched else config.Visitor.NONE,
            visitor_engineer_id=visitor_engineer_id,
        )


def build(api: ApiClient, which: Plant, folder: Path) -> Stage:
    """Make machines, devices and people that are missing (``api``: an administrator's); may be repeated."""
    kept = load(folder)
    made = plants.register(api, which, crew=plants.CREW, known=kept.devices if kept else None)
    stage = Stage(devices=dict(made.devices), tokens=dict(made.tokens))
    config.private(folder / STAGE_FILE, msgspec.json.encode(stage))
    return stage


def load(folder: Path) -> Stage | None:
    """What an earlier ``build`` kept in ``folder``."""
    path = folder / STAGE_FILE
    return msgspec.json.decode(path.read_bytes(), type=Stage) if path.exists() else None
