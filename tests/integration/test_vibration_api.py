"""Bearings are declared of a machine, and a stored waveform is judged by them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from core.database import Database
from core.embedded import EmbeddedServer
from edge.codecs import wave as codec
from ingest.resolve import Heard, resolve
from ingest.store import snapshot
from ingest.writer import Doubt, Writer
from plant import telemetry
from plant.assets import bind, create_asset, create_signal, register_device
from plant.model import Quality, SampleBatch, Wave
from tests.api_world import API, World, cloned, living, problem
from tests.integration.ingest_kit import NOW_US, START_US

RATE_HZ, RPM = 8192.0, 1_480.0
BEARING = {"name": "N1", "balls": 9, "ball_mm": 12.0, "pitch_mm": 60.0}
BPFO_HZ = 3.6 * RPM / 60


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("vibration")) as made:
        yield made


@pytest.fixture(scope="module")
def ids(world: World) -> dict[str, int]:
    """A motor with a waveform, a measured speed, and a temperature."""
    with world.database.tx(site_id=world.alpha) as conn:
        register_device(conn, "gw", secret_hash="x")
        found = {"asset": create_asset(conn, code="M-1", name="Motor", asset_class="motor")}
        kinds = {
            "wave": ("vibration_acceleration", "m/s2"),
            "speed": ("rotational_speed", "rpm"),
            "temp": ("temperature", "°C"),
        }
        for code, (quantity, unit) in kinds.items():
            found[code] = create_signal(
                conn, asset_id=found["asset"], code=code, name=code, quantity=quantity, unit=unit
            )
            bind(conn, source="gw", tag=f"M-1/{code}", signal_id=found[code])
    return found


def outer_race(*, at_us: int, seed: int = 1) -> Wave:
    """Two seconds of noise with a decaying 2.5 kHz ringing at each pass of a ball."""
    rng = np.random.default_rng(seed)
    n = int(2 * RATE_HZ)
    hits, t = np.zeros(n), np.arange(64) / RATE_HZ
    hits[(np.arange(int(2 * BPFO_HZ) - 1) / BPFO_HZ * RATE_HZ).astype(int)] = 8.0
    ring = np.exp(-t / 0.0012) * np.sin(2 * np.pi * 2_500 * t)
    values = rng.normal(size=n) + np.convolve(hits, ring)[:n]
    return Wave("gw", "M-1/wave", at_us, RATE_HZ, np.round(values / 0.001).astype(np.int16), 0.001, "m/s2")


def keep(database: Database, site: int, wave: Wave) -> None:
    with database.ingest_tx() as conn:
        known = snapshot(conn)
    heard = [Heard(site, "gw", codec.decode(codec.encode(wave), source="gw", tag=None, heard_us=0))]
    Writer(database).flush(heard, resolve(heard, known, now_us=NOW_US), doubt=Doubt.ALL)


def turns(world: World, signal_id: int, *, at_us: int, rpm: float = RPM) -> None:
    """The shaft's speed was measured."""
    batch = SampleBatch(
        np.array([signal_id], np.int32), np.array([at_us]), np.array([rpm]), np.array([Quality.GOOD], np.uint8)
    )
    with world.database.ingest_tx() as conn:
        telemetry.ensure_days(conn, [at_us // telemetry.DAY_US])
        telemetry.write(conn, batch, site_ids=np.array([world.alpha], np.int16))


def test_declared_shown_changed_and_refused(world: World, ids: dict[str, int]) -> None:
    planner, path = world.as_("planner"), f"{API}/assets/{ids['asset']}/vibration"
    assert problem(planner.get(path))["code"] == "vibration_undeclared"
    body = {"speed_rpm": RPM, "power_kw": 75.0, "foundation": "rigid", "bearings": [BEARING]}
    made = planner.put(path, json=body)
    assert made.status_code == 200 and made.headers["etag"] == '"1"'
    shown = planner.get(path).json()
    assert shown["group"] == "2" and shown["limits_mm_s"] == [1.4, 2.8, 4.5]
    assert shown["bearings"][0]["frequencies_hz"]["BPFO"] == pytest.approx(BPFO_HZ)
    assert problem(planner.put(path, json=body))["code"] == "stale"
    assert problem(planner.put(path, json=body, headers={"If-Match": '"7"'}))["code"] == "stale"
    sized = {**body, "bearings": [{"name": "N2", "bore_mm": 40, "outside_mm": 80, "ratio": 0.5}], "power_kw": 5}
    changed = planner.put(path, json=sized, headers={"If-Match": '"1"'}).json()
    assert (changed["version"], changed["limits_mm_s"], changed["bearings"][0]["origin"]) == (2, None, "estimated")
    for bad in ({**BEARING, "balls": 40}, {**BEARING, "bore_mm": 40, "outside_mm": 80}, {"name": "N3"}):
        refused = planner.put(path, json={**body, "bearings": [bad]}, headers={"If-Match": '"2"'})
        assert problem(refused)["code"] == "bad_bearing"
    wrong = planner.put(path, json={**body, "speed_signal_id": ids["temp"]}, headers={"If-Match": '"2"'})
    assert problem(wrong)["code"] == "wrong_speed_signal"
    assert planner.get(path).json()["version"] == 2
    assert world.as_("engineer").put(path, json=body, headers={"If-Match": '"2"'}).status_code == 403
    assert world.as_("stranger").get(path).status_code == 404


def test_a_waveform_is_judged_at_the_speed_it_had(world: World, ids: dict[str, int]) -> None:
    planner, path = world.as_("planner"), f"{API}/assets/{ids['asset']}/vibration"
    keep(world.database, world.alpha, outer_race(at_us=START_US))
    wave_id = planner.get(f"{API}/signals/{ids['wave']}/waveforms").json()["items"][0]["wave_id"]
    version = planner.get(path).headers.get("etag", '"0"')
    body = {"speed_rpm": RPM, "power_kw": 75.0, "foundation": "rigid", "bearings": [BEARING]}
    assert planner.put(path, json=body, headers={"If-Match": version}).status_code == 200
    judged = planner.get(f"{API}/waveforms/{wave_id}/judgement").json()
    assert judged["line"]["part"] == "BPFO" and judged["line"]["alarming"]
    assert judged["line"]["found_hz"] == pytest.approx(BPFO_HZ, rel=0.01)
    assert judged["zone"] == "A" and 0 < judged["rms_mm_s"] < 1.4
    assert "88.8 Hz" in judged["sentences"][0]["en"] and "外圈" in judged["sentences"][0]["zh"]
    version = planner.get(path).headers["etag"]
    slow = {**body, "speed_rpm": 1_230.0, "speed_signal_id": ids["speed"]}
    assert planner.put(path, json=slow, headers={"If-Match": version}).status_code == 200
    wrong = planner.get(f"{API}/waveforms/{wave_id}/judgement").json()
    assert wrong["speed_rpm"] == 1_230.0 and not (wrong["line"] or {"alarming": False})["alarming"]
    turns(world, ids["speed"], at_us=START_US - 5_000_000)
    right = planner.get(f"{API}/waveforms/{wave_id}/judgement").json()
    assert right["speed_rpm"] == RPM and right["line"]["part"] == "BPFO" and right["line"]["alarming"]
    turns(world, ids["speed"], at_us=START_US - 1_000_000, rpm=0.0)
    stood = planner.get(f"{API}/waveforms/{wave_id}/judgement").json()
    assert (stood["speed_rpm"], stood["line"], stood["zone"], stood["sentences"]) == (0.0, None, None, [])
    assert world.as_("stranger").get(f"{API}/waveforms/{wave_id}/judgement").status_code == 404


def test_geometries_can_be_looked_up(world: World) -> None:
    found = world.as_("engineer").get(f"{API}/bearing-geometries").json()["items"]
    assert all(each["balls"] >= 3 and 0 < each["orders"]["FTF"] < 0.5 for each in found) and len(found) >= 5
