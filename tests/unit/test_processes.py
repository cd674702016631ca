"""Children: real ones, that never outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core import places
from core.errors import MillwrightError
from core.processes import (
    NotMainThread,
    User,
    alive,
    pss_mb,
    rotate,
    service_user,
    spawn,
    state,
    tail,
    tree,
    working_in,
)

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it starts a child as another user")
PYTHON = sys.executable


def until(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def test_output_and_exit_code(tmp_path: Path) -> None:
    child = spawn([PYTHON, "-c", "print('hello'); raise SystemExit(7)"], log=tmp_path / "logs" / "x.log")
    assert child.wait(10) == 7
    assert child.poll() == 7
    assert tail(tmp_path / "logs" / "x.log") == "hello"


def test_missing_program_is_said_in_the_log(tmp_path: Path) -> None:
    child = spawn(["/no/such/program"], log=tmp_path / "x.log")
    assert child.wait(10) == 127
    assert "cannot run /no/such/program" in tail(tmp_path / "x.log")


def test_stop_asks_then_kills(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = spawn([PYTHON, "-c", deaf], log=tmp_path / "x.log")
    until(lambda: "up" in tail(tmp_path / "x.log"))
    assert child.stop((signal.SIGTERM, 0.2)) == -signal.SIGKILL
    assert not alive(child.pid)
    assert child.stop() == -signal.SIGKILL


def test_ignored_signals_are_not_inherited(tmp_path: Path) -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = spawn(["/bin/sleep", "60"], log=tmp_path / "x.log")
    finally:
        signal.signal(signal.SIGINT, old)
    until(lambda: Path(f"/proc/{child.pid}/comm").read_text().strip() == "sleep")
    assert child.stop((signal.SIGINT, 5.0)) == -signal.SIGINT


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_child_dies_with_a_killed_parent(tmp_path: Path, death: signal.Signals) -> None:
    parent = _parent(tmp_path, f"spawn(['/bin/sleep', '60'], log=log, death=signal.Signals({int(death)}))")
    child = _announced(tmp_path)
    parent.kill()
    parent.wait(10)
    until(lambda: not alive(child))


@as_root
def test_child_of_another_user_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """Dropping the user clears the parent-death signal; the launcher asks for it afterwards."""
    parent = _parent(tmp_path, "spawn(['/bin/sleep', '60'], log=log, user=service_user('nobody'))")
    child = _announced(tmp_path)
    until(lambda: Path(f"/proc/{child}").stat().st_uid != 0)
    parent.kill()
    parent.wait(10)
    until(lambda: not alive(child))


@as_root
def test_other_user_has_no_groups_of_ours(tmp_path: Path) -> None:
    child = spawn(["/usr/bin/id"], log=tmp_path / "x.log", user=service_user("nobody"))
    assert child.wait(10) == 0
    assert "uid=0" not in tail(child.log)
    assert "(root)" not in tail(child.log)


def test_only_the_main_thread_may_start_children(tmp_path: Path) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            spawn(["/bin/true"], log=tmp_path / "x.log")
        except MillwrightError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(raised[0], NotMainThread)


def test_tree_and_weight(tmp_path: Path) -> None:
    child = spawn(["/bin/sh", "-c", "sleep 60 & wait"], log=tmp_path / "x.log", cwd=tmp_path)
    try:
        until(lambda: len(tree(child.pid)) == 2)
        assert tree(child.pid)[0] == child.pid
        assert 0.05 < pss_mb(tree(child.pid)) < 50
        assert set(working_in(tmp_path)) == set(tree(child.pid))
    finally:
        for pid in reversed(tree(child.pid)):
            os.kill(pid, signal.SIGKILL)
        child.stop()
    assert tree(child.pid) == []
    assert pss_mb([child.pid]) == 0
    assert state(child.pid) == ""


def test_rotation_keeps_one_old_log_and_the_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    writer = "import sys\nfor line in sys.stdin: print('x' * 99, flush=True)"
    with log.open("ab") as output:
        process = subprocess.Popen([PYTHON, "-c", writer], stdin=subprocess.PIPE, stdout=output)
    assert process.stdin
    process.stdin.write(b"\n" * 20)
    process.stdin.flush()
    until(lambda: log.stat().st_size == 2000)
    assert not rotate(log, most_bytes=2000)
    assert rotate(log, most_bytes=1999)
    assert (log.stat().st_size, (tmp_path / "x.log.1").stat().st_size) == (0, 2000)
    process.communicate(b"\n")
    assert log.read_text() == "x" * 99 + "\n"


def test_service_user_names_what_is_missing() -> None:
    if os.geteuid() != 0:
        assert service_user("no-such-account") is None
        return
    with pytest.raises(MillwrightError, match="useradd"):
        service_user("no-such-account", "root")


def test_reachable_follows_every_folder(tmp_path: Path) -> None:
    stranger = User("stranger", 54321, 54321)
    inner = tmp_path / "open" / "inner"
    inner.mkdir(parents=True)
    tmp_path.chmod(0o711)
    closed = not all(each.stat().st_mode & 0o001 for each in tmp_path.parents)
    assert places.reachable(inner, stranger) is not closed
    (tmp_path / "open").chmod(0o700)
    assert not places.reachable(inner, stranger)
    (tmp_path / "open").chmod(0o755)
    assert places.reachable(tmp_path / "open" / "not yet", stranger) is not closed


def _parent(folder: Path, expression: str) -> subprocess.Popen[bytes]:
    """A process that starts one child, writes its pid into ``folder/pid`` and waits."""
    script = f"""
import signal, sys, time
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from core.processes import service_user, spawn
folder = Path({str(folder)!r}); log = folder / "x.log"
child = {expression}
while Path(f"/proc/{{child.pid}}/comm").read_text().strip() != "sleep": time.sleep(0.01)
(folder / "new").write_text(str(child.pid)); (folder / "new").rename(folder / "pid")
time.sleep(60)
"""
    return subprocess.Popen([PYTHON, "-c", script])


def _announced(folder: Path) -> int:
    until((folder / "pid").exists)
    return int((folder / "pid").read_text())
