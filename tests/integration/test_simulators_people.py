"""Simulated people on the real API and a real broker: register a plant, do the work, answer a visitor."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core.database import Database
from simulators import plants
from simulators.client import ApiClient
from simulators.floor import FloorRadio
from simulators.link import Broker
from simulators.people import Diary, Engineer, Manner, Planner, Surroundings, VisitorWatch
from simulators.plantclock import started_at
from simulators.spec import HOUR_US
from simulators.world import World
from tests.api_world import World as Instance
from tests.api_world import living
from tests.conftest import RunningBroker
from tickets import seed

LIVE_US = 1_767_225_600_000_000
QUICK = Manner(accept_h=0.1, travel_h=0.1, work_h=0.1, sham_assets=frozenset({"P-102"}))


@dataclass
class Floor:
    """A registered demo plant with its people; ``heard`` are the commands that reached the floor."""

    admin: ApiClient
    planner: ApiClient
    here: Surroundings
    crew: list[Engineer]
    desk: Planner
    diary: Path
    heard: list[tuple[str, dict[str, str]]]
    assets: dict[str, int]

    def order(self, code: str, mode: str, kind: str = "preventive") -> dict[str, Any]:
        body = {"kind": kind, "title": f"{code} {mode}", "asset_id": self.assets[code], "mode": mode}
        made: dict[str, Any] = self.planner.post("/tickets", body)
        return made

    def ticket(self, ticket_id: int) -> dict[str, Any]:
        found: dict[str, Any] = self.planner.get(f"/tickets/{ticket_id}")
        return found

    def move(self, ticket_id: int, to: str, **fields: str) -> None:
        version = int(self.ticket(ticket_id)["version"])
        self.planner.post(f"/tickets/{ticket_id}/transition", {"to": to, "fields": fields}, version=version)

    def until(self, true: Callable[[], bool], *, within_s: float = 30.0) -> None:
        """Let everybody work until it is true."""
        deadline = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < deadline, "timeout"
            for person in (self.desk, *self.crew):
                person.step()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.diary.read_text().splitlines()]


@pytest.fixture
def floor(database: Database, mosquitto: RunningBroker, tmp_path: Path) -> Iterator[Floor]:
    with living(database, tmp_path) as instance:
        with database.tx(site_id=instance.alpha) as conn:
            seed.seed_site(conn)
        yield from working(instance, mosquitto, tmp_path)


def working(instance: Instance, mosquitto: RunningBroker, folder: Path) -> Iterator[Floor]:
    heard: list[tuple[str, dict[str, str]]] = []
    ears = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="ears")
    ears.on_message = lambda _c, _d, m: heard.append((m.topic.rpartition("/")[2], json.loads(m.payload)))
    ears.connect(mosquitto.host, mosquitto.port)
    ears.subscribe("mw/v1/alpha/sim-floor/cmd/+", qos=1)
    ears.loop_start()
    radio = FloorRadio(Broker(mosquitto.host, mosquitto.port), "alpha", password=None)
    radio.start()
    admin = ApiClient(instance.address, token=instance.tokens["admin"], site="alpha")
    plant = plants.demo(1)
    made = plants.register(admin, plant, crew=plants.CREW)
    clock = started_at(LIVE_US + 200 * HOUR_US, factor=3600.0)
    here = Surroundings(World(plant, LIVE_US), clock, radio, Diary(folder / "diary.jsonl"))
    apis = {login: ApiClient(instance.address, token=token, site="alpha") for login, token in made.tokens.items()}
    crew = [Engineer(hand.login, apis[hand.login], here, QUICK) for hand in plants.CREW]
    desk = Planner("planner", apis[plants.PLANNER], here)
    assets = {each["code"]: each["asset_id"] for each in admin.items("/assets")}
    try:
        yield Floor(admin, apis[plants.PLANNER], here, crew, desk, folder / "diary.jsonl", heard, assets)
    finally:
        for api in (admin, *apis.values()):
            api.close()
        here.diary.close()
        radio.close()
        ears.disconnect()
        ears.loop_stop()


def test_registering_twice_makes_nothing_twice(floor: Floor) -> None:
    plant = plants.demo(1)
    assert {code for code in floor.assets if code in {m.code for m in plant.machines}} == {
        m.code for m in plant.machines
    }
    kept = plants.register(floor.admin, plant, known={"P-101": "kept"})
    assert kept.devices["P-101"] == "kept" and set(kept.devices) == set(plant.devices)
    living_devices = [d["name"] for d in floor.admin.items("/devices") if d["revoked_at"] is None]
    assert sorted(living_devices) == sorted(plant.devices)
    assert len(list(floor.admin.items("/assets"))) == len(floor.assets)
    pump = floor.admin.get(f"/assets/{floor.assets['P-101']}")
    assert {s["code"] for s in pump["signals"]} == {s.code for s in plant.machine("P-101").signals}


def test_an_order_is_done_with_its_true_finding(floor: Floor) -> None:
    truth = floor.here.world.condition("V-401", floor.here.clock.now_us())
    assert truth is not None
    number = int(floor.order("V-401", truth)["ticket_id"])
    floor.until(lambda: floor.ticket(number)["status"] in ("done", "verifying", "closed"))
    ticket = floor.ticket(number)
    assert ticket["verdict"] == "confirmed"
    actions = [line["action"] for line in floor.lines() if line["ticket_id"] == number]
    assert actions == ["accepted", "arrived", "repair", "done"]
    assert ("V-401", {"action": "repair", "what": "machine"}) in floor.heard
    assert floor.here.world.condition("V-401", floor.here.clock.now_us()) is None


def test_a_sound_machine_is_found_sound_and_left_alone(floor: Floor) -> None:
    number = int(floor.order("C-302", "valve_leak")["ticket_id"])
    floor.here.world.plant = plants.plant("journey:1", live_us=LIVE_US + 10**15)  # nothing has begun there
    floor.until(lambda: floor.ticket(number)["status"] in ("done", "verifying", "closed"))
    assert floor.ticket(number)["verdict"] == "nothing_found"
    assert floor.heard == []


def test_a_sham_is_honest_the_second_time(floor: Floor) -> None:
    truth = floor.here.world.condition("P-102", floor.here.clock.now_us())
    assert truth is not None
    number = int(floor.order("P-102", truth)["ticket_id"])
    floor.until(lambda: floor.ticket(number)["status"] in ("done", "verifying"))
    assert [command for code, command in floor.heard if code == "P-102"] == [{"action": "sham", "what": "machine"}]
    assert floor.here.world.condition("P-102", floor.here.clock.now_us()) == truth
    floor.move(number, "reopened", note="The vibration is still there.")
    floor.until(lambda: floor.ticket(number)["status"] in ("done", "verifying"))
    assert [command["action"] for code, command in floor.heard if code == "P-102"] == ["sham", "repair"]


def test_the_crew_leaves_the_visitors_machine_alone_and_the_floor_answers_him(floor: Floor) -> None:
    watch = VisitorWatch(floor.planner, floor.here)
    number = int(floor.order("M-201", "bearing_outer_race")["ticket_id"])
    mine = int(floor.order("V-401", "belt_slip")["ticket_id"])
    floor.until(lambda: floor.ticket(mine)["status"] in ("done", "verifying", "closed"))
    assert floor.ticket(number)["status"] == "assigned"
    watch.step()
    assert all(code != "M-201" for code, _ in floor.heard)
    for to in ("accepted", "arrived"):
        floor.move(number, to)
    floor.move(number, "done", verdict="confirmed", failure_code="bearing_outer_race", note="Changed the bearing.")
    watch.step()
    watch.step()
    floor.until(lambda: any(code == "M-201" for code, _ in floor.heard))
    assert [command["action"] for code, command in floor.heard if code == "M-201"] == ["repair"]
    assert sum(code == "V-401" for code, _ in floor.heard) == 1
