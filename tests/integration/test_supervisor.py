"""The process tree: restarts, order, the lock, ports, and nothing left after kill -9."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from api.supervisor import STOP_S, CommandPart, PartStatus, ServerPart, State, Supervisor, in_words, read_status
from core import places
from core.embedded import EmbeddedServer
from core.lock import AlreadyRunning, Lock, holder
from core.ports import RESERVED, Ports, free, kept_ports, reserve
from core.processes import alive, tree
from core.secrets import load_or_create

ROOT = Path(__file__).resolve().parents[2]
OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
IGNORE = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
DEAF = [sys.executable, "-c", IGNORE]

UP_SCRIPT = """
import sys
from pathlib import Path
from api.supervisor import CommandPart, ServerPart, Supervisor
from core.broker import Broker
from core.embedded import Durability, EmbeddedServer
from core.lock import Lock
from core.ports import Ports
from core.secrets import load_or_create

data, web, mqtt = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with Lock(data) as lock:
    ports, secrets = Ports(data), load_or_create(data)
    lock.tell(f"http://127.0.0.1:{ports.choose('web', web)}")
    database = EmbeddedServer(data, secrets)
    broker = Broker(data, secrets, port=ports.choose("broker", mqtt))
    with Supervisor(data) as supervisor:
        supervisor.start(ServerPart("database", database, database.log))
        supervisor.start(ServerPart("broker", broker, broker.log_file))
        for name in ("ingest", "web"):
            command = [sys.executable, "-c", "import time; time.sleep(600)"]
            supervisor.start(CommandPart(name, command, data / "logs" / f"{name}.log"))
        supervisor.run()
"""


def until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def part(folder: Path, name: str, command: list[str]) -> CommandPart:
    return CommandPart(name, command, folder / "logs" / f"{name}.log")


def running(supervisor: Supervisor, work: Callable[[], None]) -> None:
    """Run the supervisor on this thread while ``work`` runs on another; SIGTERM to ourselves ends it."""
    raised: list[BaseException] = []

    def then_stop() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread below
            raised.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=then_stop)
    thread.start()
    supervisor.run()
    thread.join()
    if raised:
        raise raised[0]


def named(folder: Path) -> dict[str, State]:
    status = read_status(folder)
    return {each.name: each.state for each in status.parts} if status else {}


def test_a_dead_part_comes_back_and_is_counted(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(part(tmp_path, "a", SLEEP))
        supervisor.start(part(tmp_path, "b", SLEEP))
        before = {each.name: each.pid for each in supervisor.status().parts}

        def kill_one() -> None:
            assert before["a"]
            os.kill(before["a"], signal.SIGKILL)
            until(lambda: any(each.restarts == 1 and each.state is State.RUNNING for each in _parts(tmp_path)))

        running(supervisor, kill_one)
        found = {each.name: each for each in supervisor.status().parts}
        assert found["a"].last_exit == "killed by SIGKILL"
        assert found["a"].pid not in (None, before["a"])
        assert (found["b"].pid, found["b"].restarts) == (before["b"], 0)
    assert set(named(tmp_path).values()) == {State.STOPPED}


def test_parts_are_watched_while_waiting_for_something(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(part(tmp_path, "bad", [sys.executable, "-c", "raise SystemExit(3)"]))
        assert supervisor.wait_for(lambda: supervisor.status().parts[0].restarts >= 2, within_s=20)
        assert not supervisor.wait_for(lambda: False, within_s=0.2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert not supervisor.wait_for(lambda: False, within_s=60)


def test_a_part_that_always_fails_is_tried_less_and_less(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(part(tmp_path, "bad", [sys.executable, "-c", "raise SystemExit(3)"]))
        began = time.monotonic()
        running(supervisor, lambda: until(lambda: any(each.restarts >= 3 for each in _parts(tmp_path))))
        assert time.monotonic() - began >= 0.2 + 0.5 + 1.0
        assert supervisor.status().parts[0].last_exit == "exit code 3"


def test_parts_stop_in_reverse_order(tmp_path: Path) -> None:
    script = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n"); sys.exit(0)
signal.signal(signal.SIGTERM, end); print("up", flush=True); time.sleep(600)
"""
    with Supervisor(tmp_path) as supervisor:
        for name in ("first", "second", "third"):
            supervisor.start(part(tmp_path, name, [sys.executable, "-c", script, str(tmp_path / "order"), name]))
        logs = [tmp_path / "logs" / f"{name}.log" for name in ("first", "second", "third")]
        until(lambda: all("up" in log.read_text() for log in logs))
    assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]


def test_deaf_parts_are_killed_within_the_time(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        for n in range(5):
            supervisor.start(part(tmp_path, f"deaf{n}", DEAF))
        until(lambda: all("up" in (tmp_path / "logs" / f"deaf{n}.log").read_text() for n in range(5)))
        pids = [each.pid for each in supervisor.status().parts]
        began = time.monotonic()
    assert time.monotonic() - began < STOP_S
    assert not any(alive(pid) for pid in pids if pid)


def test_chores_are_done(tmp_path: Path) -> None:
    done: list[float] = []
    with Supervisor(tmp_path, every=[(0.1, lambda: done.append(time.monotonic()))]) as supervisor:
        running(supervisor, lambda: until(lambda: len(done) >= 3))


def test_a_chore_that_hangs_or_fails_holds_up_nothing(tmp_path: Path) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise OSError("broken")

    with Supervisor(tmp_path, every=[(0.05, threading.Event().wait), (0.05, fail)]) as supervisor:
        supervisor.start(part(tmp_path, "a", SLEEP))
        running(supervisor, lambda: until(lambda: len(tries) >= 3))
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_stop_during_the_start_starts_nothing_more(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: supervisor.stopping)
        supervisor.start(part(tmp_path, "late", SLEEP))
        assert supervisor.status().parts == ()
        supervisor.run()


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with Supervisor(tmp_path):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_killed_database_comes_back_under_its_old_address(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, load_or_create(tmp_path))
    try:
        with Supervisor(tmp_path) as supervisor:
            supervisor.start(ServerPart("database", server, server.log))
            dsn, pid = server.dsns().owner, server.pid
            assert pid

            def kill_and_wait() -> None:
                with psycopg.connect(dsn, autocommit=True) as conn:
                    conn.execute("create table t (n int)")
                os.kill(pid, signal.SIGKILL)
                until(lambda: any(each.restarts == 1 and each.state is State.RUNNING for each in _parts(tmp_path)))
                with psycopg.connect(dsn, connect_timeout=5) as conn:
                    assert conn.execute("select count(*) from t").fetchone() == (0,)

            running(supervisor, kill_and_wait)
    finally:
        server.destroy()


@pytest.fixture
def ups(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts whole trees in their own processes; at the end ends them and deletes their data."""
    started: list[subprocess.Popen[bytes]] = []
    folders: set[Path] = set()

    def start(folder: Path, web: int, mqtt: int) -> subprocess.Popen[bytes]:
        env = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", UP_SCRIPT, str(folder), str(web), str(mqtt)]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE))
        folders.add(folder)
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        process.wait(20)
        if process.stderr:
            process.stderr.close()
    for folder in folders:
        places.forget(load_or_create(folder).instance_id)


def test_nothing_survives_a_killed_supervisor_and_the_next_recovers(
    tmp_path: Path, ups: Callable[..., subprocess.Popen[bytes]]
) -> None:
    folder, web, mqtt = tmp_path / "data", reserve(), reserve()
    process = ups(folder, web, mqtt)
    until(lambda: list(named(folder).values()) == [State.RUNNING] * 4)
    family = tree(process.pid)
    assert len(family) >= 8
    process.kill()
    process.wait(10)
    assert holder(folder) is None
    again = ups(folder, web, mqtt)
    until(lambda: (status := read_status(folder)) is not None and status.pid == again.pid)
    until(lambda: list(named(folder).values()) == [State.RUNNING] * 4)
    assert not any(alive(pid) for pid in family)
    assert kept_ports(folder) == {"web": web, "broker": mqtt}
    again.terminate()
    began = time.monotonic()
    assert again.wait(20) == 0
    assert time.monotonic() - began < STOP_S
    assert set(named(folder).values()) == {State.STOPPED}


def test_two_side_by_side_and_a_second_in_the_same_folder(
    tmp_path: Path, ups: Callable[..., subprocess.Popen[bytes]]
) -> None:
    web, mqtt = reserve(), reserve()
    first, second = ups(tmp_path / "a", web, mqtt), ups(tmp_path / "b", web, mqtt)
    for folder in ("a", "b"):
        until(lambda: list(named(tmp_path / folder).values()) == [State.RUNNING] * 4)  # noqa: B023
    chosen = [kept_ports(tmp_path / folder) for folder in ("a", "b")]
    assert len({port for ports in chosen for port in ports.values()}) == 4
    third = ups(tmp_path / "a", web, mqtt)
    assert third.wait(20) == 1
    assert third.stderr
    said = third.stderr.read().decode()
    assert f"already runs on {tmp_path / 'a'} as process {first.pid} at http://127.0.0.1:" in said
    assert first.poll() is None
    assert second.poll() is None


def test_lock_is_free_after_its_holder_and_never_before(tmp_path: Path) -> None:
    with Lock(tmp_path) as lock:
        lock.tell("http://127.0.0.1:8080")
        found = holder(tmp_path)
        assert found
        assert (found.pid, found.address) == (os.getpid(), "http://127.0.0.1:8080")
        words = r"process \d+ at http://127\.0\.0\.1:8080.*MILLWRIGHT_DATA_DIR"
        with pytest.raises(AlreadyRunning, match=words), Lock(tmp_path):
            pass
        assert holder(tmp_path) is not None
    assert holder(tmp_path) is None
    with Lock(tmp_path):
        pass


def test_ports_are_kept_and_taken_ones_avoided(tmp_path: Path) -> None:
    wanted = reserve()
    ports = Ports(tmp_path)
    assert ports.choose("web", wanted) == wanted
    assert ports.choose("broker", wanted) != wanted
    assert Ports(tmp_path / "..").choose("web", wanted) != wanted  # claimed, though nobody listens yet
    (tmp_path / ".." / "ports.json").unlink()
    ports.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", wanted))
        other.listen()
        assert not free("127.0.0.1", wanted)
        moved = Ports(tmp_path)
        assert moved.choose("web", wanted) != wanted
        moved.close()
    assert Ports(tmp_path).choose("web", wanted) == kept_ports(tmp_path)["web"]
    (tmp_path / "ports.json").write_text("[1]")
    assert kept_ports(tmp_path) == {}


def test_a_reserved_port_is_nobody_elses_while_its_process_lives() -> None:
    asking = "import sys; from core.ports import reserve; print(*[reserve() for _ in range(50)], flush=True); input()"
    askers = [
        subprocess.Popen([sys.executable, "-c", asking], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        given = [int(port) for asker in askers for port in asker.stdout.readline().split()]  # type: ignore[union-attr]
        given += [reserve() for _ in range(50)]
    finally:
        for asker in askers:
            asker.communicate("\n", timeout=10)
    assert len(set(given)) == 250
    assert set(given) <= set(RESERVED)
    assert not set(given) & set(range(*_outgoing()))


def _outgoing() -> tuple[int, int]:
    """The ports that this system takes for outgoing connections, end excluded."""
    if not OUTGOING.exists():
        return 49_152, 65_536  # IANA's dynamic ports (RFC 6335)
    first, last = map(int, OUTGOING.read_text().split())
    return first, last + 1


def test_a_broken_status_file_is_nothing(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    for text in ("", "[]", "{}", json.dumps({"pid": 1, "started": "x", "at": "y", "parts": []})):
        (tmp_path / "status.json").write_text(text)
        assert read_status(tmp_path) is None


def test_exit_codes_in_words() -> None:
    assert [in_words(code) for code in (0, 7, -9, -15, -99)] == [
        "exit code 0",
        "exit code 7",
        "killed by SIGKILL",
        "killed by SIGTERM",
        "killed by signal 99",
    ]


def _parts(folder: Path) -> tuple[PartStatus, ...]:
    status = read_status(folder)
    return status.parts if status else ()
