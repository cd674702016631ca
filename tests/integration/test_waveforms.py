"""A waveform from the wire to its spectrum, stored once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from core.database import Database
from core.embedded import EmbeddedServer
from edge import topics
from edge.codecs import wave as codec
from ingest import release
from ingest.counts import From
from ingest.resolve import Heard, resolve
from ingest.store import snapshot
from ingest.writer import Doubt, Writer
from plant import retention, waveforms
from plant.assets import bind, create_asset, create_signal, register_device
from plant.model import Wave
from plant.telemetry import from_us, latest
from plant.tiers import Tier
from tests.api_world import API, World, cloned, living, problem
from tests.conftest import RunningBroker, missing
from tests.integration.ingest_kit import NOW_US, START_US, running_ingest, wait_until

RATE_HZ, LINE_HZ = 8192.0, 160.0


def sine(*, at_us: int = START_US, amplitude: float = 3.0, tag: str = "P-1/vib", unit: str | None = "m/s2") -> Wave:
    """A line at 160 Hz, and a carrier at 2 kHz that is modulated at 25 Hz, as int16 of 0.001."""
    t = np.arange(8192) / RATE_HZ
    carrier = 0.5 * (1 + np.cos(2 * np.pi * 25 * t)) * np.cos(2 * np.pi * 2000 * t)
    values = amplitude * np.sin(2 * np.pi * LINE_HZ * t) + carrier
    return Wave("gw", tag, at_us, RATE_HZ, np.round(values / 0.001).astype(np.int16), 0.001, unit)


def plant(database: Database, site: int) -> dict[str, int]:
    """A pump whose waveform is bound, with RMS and kurtosis as signals of their own."""
    with database.tx(site_id=site) as conn:
        register_device(conn, "gw", secret_hash="x")
        asset_id = create_asset(conn, code="P-1", name="Pump", asset_class="pump")
        found = {}
        for code, quantity, tag in [
            ("wave", "vibration_acceleration", "P-1/vib"), ("rms", "vibration_acceleration", "P-1/vib/rms"),
            ("kurtosis", "generic", "P-1/vib/kurtosis"),
        ]:  # fmt: skip
            found[code] = create_signal(
                conn, asset_id=asset_id, code=code, name=code, quantity=quantity,
                unit="1" if quantity == "generic" else "m/s2",
            )  # fmt: skip
            bind(conn, source="gw", tag=tag, signal_id=found[code])
    return found


def flush(database: Database, site: int, payload: bytes, *, times: int = 1) -> list[int]:
    """Through the lane; how many samples each time stored."""
    writer = Writer(database)
    stored = []
    with database.ingest_tx() as conn:
        known = snapshot(conn)
    for _ in range(times):
        message = codec.decode(payload, source="gw", tag=None, heard_us=0)
        heard = [Heard(site, "gw", message)]
        stored.append(writer.flush(heard, resolve(heard, known, now_us=NOW_US)).stored)
    return stored


def test_a_wave_is_kept_once_with_its_figures_and_spectra(database: Database, site: int) -> None:
    ids = plant(database, site)
    sent = sine()
    assert flush(database, site, codec.encode(sent), times=2) == [2, 0]
    with database.tx(site_id=site) as conn:
        (head,) = waveforms.of_signal(conn, ids["wave"])
        kept = waveforms.read(conn, head.wave_id)
        rows = dict(conn.execute("select signal_id, value from samples").fetchall())
    assert (head.at, head.rate_hz, head.n, head.unit) == (from_us(sent.at_us), RATE_HZ, 8192, "m/s2")
    assert kept.values is not None
    np.testing.assert_array_equal(kept.values, sent.samples.astype(np.float64) * 0.001)
    peak = int(np.argmax(kept.spectrum))
    assert peak * kept.step_hz <= LINE_HZ < (peak + 1) * kept.step_hz
    assert kept.spectrum[peak] == pytest.approx(3.0, rel=0.01)
    beat = int(np.argmax(kept.envelope))
    assert beat * kept.step_hz <= 25.0 < (beat + 1) * kept.step_hz
    assert rows == {ids["rms"]: head.features["rms"], ids["kurtosis"]: head.features["kurtosis"]}
    assert head.features["rms"] == pytest.approx(np.sqrt(4.5 + 3 / 16), rel=0.01)


def test_the_unit_is_converted_and_the_samples_stay_bit_by_bit(database: Database, site: int) -> None:
    ids = plant(database, site)
    flush(database, site, codec.encode(sine(unit="g")))
    with database.tx(site_id=site) as conn:
        (head,) = waveforms.of_signal(conn, ids["wave"])
        kept = waveforms.read(conn, head.wave_id)
        row = conn.execute("select value from samples where signal_id = %s", (ids["rms"],)).fetchone()
    assert kept.values is not None
    assert kept.values.max() == pytest.approx(9.80665 * sine().samples.max() * 0.001)
    assert kept.spectrum.max() == pytest.approx(3.0 * 9.80665, rel=0.01)
    assert row is not None
    assert row[0] == pytest.approx(head.features["rms"])


def test_a_wave_without_a_signal_waits_and_is_released(
    database: Database, site: int, superuser: psycopg.Connection
) -> None:
    ids = plant(database, site)
    flush(database, site, codec.encode(sine(tag="P-1/other")))
    flush(database, site, codec.encode(sine(at_us=NOW_US + 10 * 86_400_000_000)))
    flush(database, site, codec.encode(sine(unit="bar")))
    rows = superuser.execute("select tag, reason from quarantine order by quarantine_id").fetchall()
    assert rows == [("P-1/other", "unknown_tag"), ("P-1/vib", "implausible_time"), ("P-1/vib", "wrong_unit")]
    payload = superuser.execute("select payload from quarantine where reason = 'unknown_tag'").fetchone()
    assert payload is not None
    assert codec.decode(payload[0], source="gw", tag=None, heard_us=0).waves[0].tag == "P-1/other"
    with database.tx(site_id=site) as conn:
        bind(conn, source="gw", tag="P-1/other", signal_id=ids["wave"])
    with database.ingest_tx() as conn:
        known = snapshot(conn)
    found = release.waiting(database, known)
    Writer(database).flush(
        found.heard, resolve(found.heard, known, now_us=NOW_US), doubt=Doubt.ALL, origin=From.QUARANTINE,
        also=found.settle,
    )  # fmt: skip
    with database.tx(site_id=site) as conn:
        assert [head.at for head in waveforms.of_signal(conn, ids["wave"])] == [from_us(START_US)]
        row = conn.execute("select settled_as from quarantine where tag = 'P-1/other'").fetchone()
    assert row == ("released",)
    assert release.waiting(database, known).ids == ()


def test_retention_takes_the_samples_and_leaves_the_spectra(database: Database, site: int) -> None:
    ids = plant(database, site)
    flush(database, site, codec.encode(sine()))
    with database.tx(site_id=site) as conn:
        wanted = [Tier("*", None, None, None, 2)]
        (loss,) = retention.preview(conn, wanted, now=from_us(START_US) + timedelta(days=4))
        retention.replace(conn, wanted)
    assert (loss.waves, loss.samples) == (1, 0)
    assert loss.bytes > 1000
    with database.ingest_tx() as conn:
        assert retention.apply(conn, now=from_us(START_US) + timedelta(days=1)).waves == 0
        assert retention.apply(conn, now=from_us(START_US) + timedelta(days=4)).waves == 1
    with database.tx(site_id=site) as conn:
        (head,) = waveforms.of_signal(conn, ids["wave"])
        kept = waveforms.read(conn, head.wave_id)
    assert (head.has_samples, kept.values) == (False, None)
    assert kept.spectrum.max() > 2.9


def test_from_the_wire_to_the_spectrum_once(
    database: Database, site: int, mosquitto: RunningBroker, tmp_path: Path, superuser: psycopg.Connection
) -> None:
    """A stranger's tool sends it twice, and once more with a number, twice."""
    program = shutil.which("mosquitto_pub")
    if program is None:
        missing("mosquitto_pub", "Install it: apt-get install mosquitto-clients")
    ids = plant(database, site)
    payloads = []
    for name, payload in [
        ("plain", codec.encode(sine())), ("numbered", codec.encode(sine(at_us=START_US + 10**6), epoch="e", seq=1)),
        ("hostile", codec.encode(sine())[:-7]),
    ]:  # fmt: skip
        (tmp_path / name).write_bytes(payload)
        payloads.append(tmp_path / name)
    with running_ingest(database, mosquitto.port, tmp_path / "ingest.log"):
        for path in [*payloads, *payloads]:
            subprocess.run(
                [str(program), "-p", str(mosquitto.port), "-q", "1", "-t", topics.wave("plant", "gw", "P-1/vib"),
                 "-f", str(path)], check=True, timeout=20,
            )  # fmt: skip
        wait_until(lambda: refused(superuser) == 2, what="quarantining the second hostile wave")
        wait_until(lambda: kept(superuser) == 2, what="storing the waves")
        with database.tx(site_id=site) as conn:
            heads = waveforms.of_signal(conn, ids["wave"])
            found = waveforms.read(conn, heads[0].wave_id)
            assert len(latest(conn, [ids["rms"]])) in (0, 1)
    assert [head.at for head in heads] == [from_us(START_US + 10**6), from_us(START_US)]
    assert int(np.argmax(found.spectrum)) == int(LINE_HZ // found.step_hz)
    assert superuser.execute("select count(*) from samples").fetchone() == (4,)
    assert superuser.execute("select count(*) from message_ledger").fetchone() == (1,)


def refused(conn: psycopg.Connection) -> int:
    row = conn.execute("select count(*) from quarantine where reason = 'wrong_length'").fetchone()
    return int(row[0]) if row else 0


def kept(conn: psycopg.Connection) -> int:
    row = conn.execute("select count(*) from waveforms").fetchone()
    return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def world(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with cloned(server) as database, living(database, tmp_path_factory.mktemp("waves")) as made:
        yield made


def test_an_engineer_sees_the_waveforms_of_the_site_alone(world: World) -> None:
    ids = plant(world.database, world.alpha)
    for number in range(3):
        flush(world.database, world.alpha, codec.encode(sine(at_us=START_US + number * 10**6)))
    engineer = world.as_("engineer")
    first = engineer.get(f"{API}/signals/{ids['wave']}/waveforms", params={"limit": 2}).json()
    rest = engineer.get(f"{API}/signals/{ids['wave']}/waveforms", params={"limit": 2, "cursor": first["next"]}).json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]
    wave_id = rest["items"][0]["wave_id"]
    shown = engineer.get(f"{API}/waveforms/{wave_id}", params={"max_points": 1000}).json()
    assert len(shown["value"]) == len(shown["min"]) == len(shown["max"]) == 911
    assert max(shown["max"]) == pytest.approx(sine().samples.max() * 0.001)
    assert int(np.argmax(shown["spectrum"]["amplitude"])) == int(LINE_HZ // shown["spectrum"]["step_hz"])
    whole = engineer.get(f"{API}/waveforms/{wave_id}", params={"max_points": 20_000}).json()
    assert (len(whole["value"]), whole["min"], whole["step_s"]) == (8192, None, 1 / RATE_HZ)
    assert world.as_("requester").get(f"{API}/waveforms/{wave_id}").status_code == 403
    assert problem(world.as_("stranger").get(f"{API}/waveforms/{wave_id}"))["code"] == "waveform_not_found"
    assert world.as_("stranger").get(f"{API}/signals/{ids['wave']}/waveforms").status_code == 404
