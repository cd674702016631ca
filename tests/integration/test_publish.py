"""A recorded table through a real broker, real ingest and the real API: every row stored once, whatever happens."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from api.instance import Instance
from core.errors import NotFound
from core.places import forget
from core.ports import reserve
from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
RUN_S = 60.0


class House:
    """A whole instance as a person runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "MILLWRIGHT_DATA_DIR": str(folder), "MILLWRIGHT_PORT": str(reserve())}
        self.instance = Instance(Settings(data_dir=folder))
        self._log = (folder.parent / "up.log").open("wb")
        self._up = subprocess.Popen(self._line("up"), cwd=ROOT, env=self.env, stdout=self._log, stderr=self._log)

    def ready(self) -> None:
        deadline = time.monotonic() + START_S
        log = Path(self._log.name)
        while b"console:" not in log.read_bytes():
            if self._up.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the instance did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._line(*words), cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=RUN_S, check=False
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._line(*words), cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.instance.database.tx(site_id=1) as conn:
            return conn.execute(sql.encode(), values).fetchall()

    def samples(self, code: str) -> list[tuple[str, float, float]]:
        """(signal code, seconds since 1970, value) in the order of time."""
        return self.rows(
            """select s.code, extract(epoch from x.at)::float8, x.value from samples x join signals s using (signal_id)
               join assets a using (asset_id) where a.code = %s order by x.at, s.code""",
            code,
        )

    def close(self) -> None:
        self.instance.database.close()
        self._up.terminate()
        self._up.wait(30)
        self._log.close()
        forget(self.instance.short_id)

    def _line(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "api.cli", *words]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("publish") / "data")
    try:
        made.ready()
        yield made
    finally:
        made.close()


def table(folder: Path, name: str, rows: int, *, start: int = 1_400_000_000) -> Path:
    path = folder / name
    lines = [
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(start + 300 * n))},{n},{20 + n / 8}" for n in range(rows)
    ]
    path.write_text("\n".join(["timestamp,flow,temp [K]", *lines]) + "\n")
    return path


def test_a_table_becomes_a_machine_with_every_row(house: House, tmp_path: Path) -> None:
    done = house.run("publish", str(table(tmp_path, "pump 7.csv", 600)))
    assert (done.returncode, done.stderr) == (0, "")
    assert "the times have no zone: taken as UTC" in done.stdout
    assert "rows read: 600; rows sent: 600; samples sent: 1200; receipts: 1 of 1 batches, complete" in done.stdout
    stored = house.samples("pump-7")
    flow = [(at, value) for code, at, value in stored if code == "flow"]
    assert [value for _, value in flow] == [float(n) for n in range(600)]
    assert {round(b[0] - a[0]) for a, b in itertools.pairwise(flow)} == {300}
    assert abs(flow[-1][0] - time.time()) < RUN_S
    assert [value for code, _, value in stored if code == "temp_K"][:1] == [pytest.approx(20 - 273.15)]
    kept = house.folder / "publish.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(kept.read_text())) == ["plant/recorded-tables"]


def test_two_that_start_at_once_share_a_device_that_is_new(house: House, tmp_path: Path) -> None:
    paths = [table(tmp_path, f"both-{n}.csv", 3) for n in (1, 2)]
    playing = [house.start("publish", str(path), "--device", "new-device") for path in paths]
    said = [each.communicate(timeout=RUN_S) for each in playing]
    assert [each.returncode for each in playing] == [0, 0], said
    assert len(house.samples("both-1")) == len(house.samples("both-2")) == 6


def test_recorded_times_played_twice_are_stored_once(house: House, tmp_path: Path) -> None:
    path = table(tmp_path, "twice.csv", 40)
    for _ in range(2):
        done = house.run("publish", str(path), "--keep-time", "--tz", "Asia/Shanghai")
        assert (done.returncode, done.stderr) == (0, "")
    stored = house.samples("twice")
    assert len(stored) == 80
    assert stored[0][1] == 1_400_000_000 - 8 * 3600


def test_paced_rows_come_at_their_time(house: House, tmp_path: Path) -> None:
    path = tmp_path / "paced.csv"
    path.write_text("a\n" + "\n".join(str(n * n) for n in range(5)) + "\n")
    began = time.time()
    done = house.run("publish", str(path), "--time-step", "1s", "--speed", "1", "--setpoint", "a", "--unit", "a=rpm")
    assert (done.returncode, done.stderr) == (0, "")
    stored = house.samples("paced")
    assert [round(at - stored[0][1], 3) for _, at, _ in stored] == [0, 1, 2, 3, 4]
    assert began <= stored[0][1]
    assert stored[-1][1] <= time.time()
    roles = house.rows("select s.role, s.quantity from signals s join assets a using (asset_id) where a.code = 'paced'")
    assert roles == [("setpoint", "rotational_speed")]


def test_ctrl_c_stops_with_counts(house: House, tmp_path: Path) -> None:
    path = tmp_path / "stopped.csv"
    path.write_text("a\n" + "\n".join(str(n * n) for n in range(500)) + "\n")
    playing = house.start("publish", str(path), "--time-step", "1s", "--speed", "1")
    try:
        deadline = time.monotonic() + RUN_S
        while not _stored(house, "stopped") and time.monotonic() < deadline:
            time.sleep(0.1)
        playing.send_signal(2)
        said, wrong = playing.communicate(timeout=20)
    finally:
        playing.kill()
    assert (playing.returncode, wrong) == (130, "")
    assert "NOT complete" in said


def _stored(house: House, code: str) -> int:
    return len(house.samples(code))


def test_ingest_killed_in_the_middle_loses_and_doubles_nothing(house: House, tmp_path: Path) -> None:
    path = table(tmp_path, "killed.csv", 60_000)
    playing = house.start("publish", str(path))
    try:
        deadline = time.monotonic() + RUN_S
        while not _stored(house, "killed") and time.monotonic() < deadline:
            time.sleep(0.02)
        _kill(house, "ingest")
        said, wrong = playing.communicate(timeout=120)
    finally:
        playing.kill()
    assert (playing.returncode, wrong) == (0, "")
    assert "samples sent: 120000; receipts: 12 of 12 batches, complete" in said
    flow = [value for code, _, value in house.samples("killed") if code == "flow"]
    assert flow == [float(n) for n in range(60_000)]


def _kill(house: House, part: str) -> None:
    """kill -9 of a part of this instance, by the id that its supervisor tells."""
    for child in psutil.Process(house._up.pid).children(recursive=True):
        if part in child.cmdline():
            child.kill()
            return
    raise NotFound(part)


def test_without_leave_to_create_unknown_tags_wait_in_the_quarantine(house: House, tmp_path: Path) -> None:
    done = house.run("publish", str(table(tmp_path, "nobody.csv", 3)), "--no-create")
    assert done.returncode == 0
    assert "3 samples of nobody/flow wait in the quarantine" in done.stdout
    assert house.samples("nobody") == []


@pytest.mark.parametrize(
    ("content", "words", "says"),
    [
        ("", (), "The table is empty."),
        ("timestamp,a\n2014-04-01,1\n", ("--asset-class", "No Such Class"), "--asset-class"),
        ("timestamp,a\n2014-04-01,1\n", ("--asset", "no/code"), "--asset "),
        ("timestamp,a\n2014-04-01,1\n", ("--device", "a b"), "--device"),
        ("timestamp,a\n2014-04-01,1\n", ("--site", "mars"), "site"),
        ("timestamp,a\n2014-04-01,1\n", ("--unit", "a=K", "--asset", "pump-7", "--skip", "a"), "No column is left"),
        ("timestamp,a\n2014-04-01,1\n", ("--login", "nobody"), "nobody"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    house: House, tmp_path: Path, content: str, words: tuple[str, ...], says: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    done = house.run("publish", str(path), *words)
    assert done.returncode == 1
    assert done.stderr.startswith("millwright: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_a_device_whose_password_is_gone_is_said_with_a_way_out(house: House, tmp_path: Path) -> None:
    path = table(tmp_path, "gone.csv", 2)
    assert house.run("device", "add", "gone-device").returncode == 0
    done = house.run("publish", str(path), "--device", "gone-device")
    assert done.returncode == 1
    assert "millwright device revoke gone-device" in done.stderr
    assert house.run("device", "revoke", "gone-device").returncode == 0
    assert house.run("publish", str(path), "--device", "gone-device").returncode == 0
