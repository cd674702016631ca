"""From an address to mapped tags (story OT2): browse, propose, accept in bulk, by the API against a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg import Connection

from core.database import Database
from edge.errors import SourceConfig
from edge.opcua.browse import Limits, NothingThere, browse
from edge.sources import opcua
from simulators.machines import PHYSICS
from simulators.machines.base import Build, Machine
from simulators.machines.duty import Duty
from simulators.opcua_server import OpcUaPlant
from simulators.plantclock import started_at
from tests.api_world import API, World, living
from tests.integration.ingest_kit import wait_until
from tests.integration.opcua_kit import hearing

LETTERS = {"compressor": "K", "conveyor": "C", "motor": "M", "pump": "P"}
CODES = {f"{letter}-{number}": name for number in range(101, 104) for name, letter in LETTERS.items()}


@contextmanager
def serving(codes: Mapping[str, str]) -> Iterator[OpcUaPlant]:
    start_us = time.time_ns() // 1000
    machines = [
        Machine(Build(code, 5, 1.0, Duty(stops_per_day=0.0), 1), PHYSICS[name](5), start_us=start_us)
        for code, name in codes.items()
    ]
    served = OpcUaPlant(machines, started_at(start_us, factor=1.0), period_s=1.0)
    served.start(timeout_s=60)
    try:
        yield served
    finally:
        served.stop()


@pytest.fixture(scope="module")
def plant() -> Iterator[OpcUaPlant]:
    """One pump's server."""
    with serving({"P-101": "pump"}) as served:
        yield served


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with living(database, tmp_path) as running:
        yield running


def test_more_than_fifty_tags_are_mapped_in_seconds(world: World, superuser: Connection, tmp_path: Path) -> None:
    with serving(CODES) as plant:
        map_everything(world, plant, superuser, tmp_path)


def map_everything(world: World, plant: OpcUaPlant, superuser: Connection, folder: Path) -> None:
    manager = world.as_("manager")
    assets = [{"code": code, "name": code, "asset_class": "pump"} for code in CODES]
    assert manager.post(f"{API}/assets/import", json={"assets": assets}).status_code == 200
    began = time.monotonic()
    body = {"name": "plc", "url": plant.endpoint, "config": {"nodes": [], "allow_none": True, "publishing_ms": 100}}
    assert manager.post(f"{API}/sources", json=body).status_code == 201
    done = manager.post(f"{API}/sources/plc/browse", json={})
    assert done.status_code == 200, done.text
    assert done.json()["tags"] >= 50 and done.json()["cut"] == ""
    offered = manager.get(f"{API}/proposals?source=plc").json()["items"]
    accepted = manager.post(f"{API}/proposals/accept", json={"source": "plc", "min_confidence": 0.8})
    assert accepted.status_code == 200, accepted.text
    mapped = time.monotonic() - began
    assert accepted.json()["accepted"] == len(offered) == accepted.json()["nodes"] >= 50
    assert mapped < 60, f"mapping took {mapped:.1f} s"
    signal_id = next(iter(accepted.json()["signals"].values()))
    assert manager.get(f"{API}/signals/{signal_id}/status-codes").json()["items"] == []
    with hearing(world.database, folder):
        wait_until(lambda: heard(superuser) >= len(offered), within_s=60, what="hearing every tag")
    shown = manager.get(f"{API}/sources").json()["items"][0]
    assert (shown["nodes"], shown["state"]) == (len(offered), "connected")
    assert manager.get(f"{API}/proposals?source=plc").json()["items"] == []


def heard(superuser: Connection) -> int:
    row = superuser.execute("select count(distinct signal_id) from samples").fetchone()
    return int(row[0]) if row else 0


def test_a_proposal_says_unit_range_and_why(world: World, plant: OpcUaPlant) -> None:
    admin = world.as_("admin")
    admin.post(f"{API}/assets", json={"code": "P-101", "name": "Feed pump", "asset_class": "pump"})
    admin.post(
        f"{API}/sources", json={"name": "plc", "url": plant.endpoint, "config": {"nodes": [], "allow_none": True}}
    )
    assert admin.post(f"{API}/sources/plc/browse", json={"under": "P-101"}).status_code == 200
    found = {each["tag"]: each for each in admin.get(f"{API}/proposals").json()["items"]}
    vibration = found["P-101/vibration"]
    spec = next(each for each in PHYSICS["pump"](5).signals if each.code == "vibration")
    assert (vibration["quantity"], vibration["unit"]) == ("vibration_velocity", "mm/s")
    assert (vibration["low"], vibration["high"]) == (spec.low, spec.high)
    assert (vibration["asset_code"], vibration["signal_code"]) == ("P-101", "vibration")
    assert vibration["reasons"] == ["asset_code", "unit_and_name"]
    assert vibration["confidence"] == 1.0
    assert vibration["node_id"] == "nsu=urn:millwright:simulators;s=P-101/vibration"


def test_edits_dismissals_and_missing_assets(world: World, plant: OpcUaPlant) -> None:
    admin = world.as_("admin")
    admin.post(
        f"{API}/sources", json={"name": "plc", "url": plant.endpoint, "config": {"nodes": [], "allow_none": True}}
    )
    admin.post(f"{API}/sources/plc/browse", json={"under": "P-101"})
    items = admin.get(f"{API}/proposals").json()["items"]
    first, second, third = (each["proposal_id"] for each in items[:3])
    assert items[0]["asset_id"] is None and items[0]["confidence"] == 0
    refused = admin.post(f"{API}/proposals/accept", json={"ids": [first]})
    assert (refused.status_code, refused.json()["code"]) == (422, "proposal_without_asset")
    edits = {str(first): {"signal_code": "renamed"}, str(second): {"signal_code": "renamed"}}
    twice = {"ids": [first, second], "create_assets": True, "asset_code": "NEW-1", "edits": edits}
    assert admin.post(f"{API}/proposals/accept", json=twice).json()["code"] == "signal_taken"
    one = {"ids": [first], "create_assets": True, "asset_code": "NEW-1", "edits": edits}
    made = admin.post(f"{API}/proposals/accept", json=one).json()
    assert (made["assets"], made["new_signals"], made["nodes"]) == (1, 1, 1)
    again = admin.post(f"{API}/proposals/accept", json=one).json()
    assert (again["assets"], again["new_signals"], again["nodes"]) == (0, 0, 0)
    assert admin.post(f"{API}/proposals/dismiss", json={"ids": [third]}).json() == {"dismissed": 1}
    left = {each["proposal_id"] for each in admin.get(f"{API}/proposals").json()["items"]}
    assert left.isdisjoint({first, third})
    admin.post(f"{API}/sources/plc/browse", json={"under": "P-101"})  # what was decided stays decided
    assert {each["proposal_id"] for each in admin.get(f"{API}/proposals").json()["items"]} == left


def test_secrets_stay_on_the_server(world: World, tmp_path: Path) -> None:
    admin = world.as_("admin")
    secure = {"nodes": [], "security": {"policy": "Basic256Sha256"}, "user": "reader"}
    body = {"name": "plc", "url": "opc.tcp://127.0.0.1:1/", "config": secure, "password": "quite secret"}
    made = admin.post(f"{API}/sources", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["has_password"] and "quite secret" not in made.text and "password_file" not in made.text
    assert (tmp_path / "pki" / "secrets" / "alpha.plc").read_text() == "quite secret"
    named = admin.patch(f"{API}/sources/plc", json={"config": {"password_file": "/etc/passwd"}})
    assert named.status_code == 422
    away = admin.post(f"{API}/sources/plc/browse", json={})
    assert (away.status_code, away.json()["code"]) == (503, "server_away")
    changed = admin.patch(f"{API}/sources/plc", json={"enabled": False, "config": {"silence_s": 5}})
    assert (changed.json()["enabled"], changed.json()["config"]["silence_s"]) == (False, 5)
    wrong = admin.patch(f"{API}/sources/plc", json={"config": {"silence_s": -1}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
    trusted = admin.post(f"{API}/sources/plc/trust", json={"fingerprint": "ab" * 32})
    assert trusted.json()["config"]["trusted"] == ["ab" * 32]
    assert admin.delete(f"{API}/sources/plc").status_code == 204
    assert admin.get(f"{API}/sources").json()["items"] == []


@pytest.mark.parametrize(
    ("role", "reads", "edits"), [("planner", 200, 403), ("engineer", 403, 403), ("manager", 200, 404)]
)
def test_planners_read_and_managers_edit(world: World, role: str, reads: int, edits: int) -> None:
    client = world.as_(role)
    assert client.get(f"{API}/sources").status_code == reads
    assert client.get(f"{API}/proposals").status_code == reads
    assert client.post(f"{API}/sources/none/browse", json={}).status_code == edits


def test_another_site_sees_neither_sources_nor_proposals(world: World, plant: OpcUaPlant) -> None:
    admin, stranger = world.as_("admin"), world.as_("stranger")
    admin.post(
        f"{API}/sources", json={"name": "plc", "url": plant.endpoint, "config": {"nodes": [], "allow_none": True}}
    )
    admin.post(f"{API}/sources/plc/browse", json={"under": "P-101"})
    mine = admin.get(f"{API}/proposals").json()["items"][0]["proposal_id"]
    assert stranger.get(f"{API}/sources").json()["items"] == []
    assert stranger.get(f"{API}/proposals").json()["items"] == []
    assert stranger.post(f"{API}/proposals/dismiss", json={"ids": [mine]}).status_code == 404


def test_a_walk_keeps_its_limits(plant: OpcUaPlant, tmp_path: Path) -> None:
    chosen = opcua.options({"nodes": [], "allow_none": True})
    few = browse(plant.endpoint, chosen, tmp_path, name="plc", limits=Limits(nodes=5))
    assert few.cut == "nodes" and few.looked_at <= 5
    shallow = browse(plant.endpoint, chosen, tmp_path, name="plc", limits=Limits(depth=1))
    assert shallow.offers == []
    by_id = browse(plant.endpoint, chosen, tmp_path, name="plc", under="ns=2;s=P-101")
    assert {each.tag for each in by_id.offers} == {each.code for each in PHYSICS["pump"](5).signals}
    with pytest.raises(NothingThere, match="P-999"):
        browse(plant.endpoint, chosen, tmp_path, name="plc", under="P-999")
    with pytest.raises(SourceConfig, match="does not offer"):
        secure = opcua.options({"nodes": [], "security": {"policy": "Basic256Sha256"}})
        browse(plant.endpoint, secure, tmp_path, name="plc")
