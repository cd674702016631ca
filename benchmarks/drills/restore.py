"""A database is lost while orders are opened and samples stored; it comes back to a moment, from its backups.

    writers on ── backup ── writers ── POINT ── writers ── kill -9 ── the cluster is deleted ── restore to POINT

Every commit answered before the point must be there, none begun after it. The same again with ``latest`` (how much the
log's archive had not got when the disk was gone) and, as the control, from the base backup alone: that must lose.
A restore that the audit finds wrong is refused and ends the drill. Its time, checks included, is set beside a plain
copy of the same bytes made durable, in the same run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import psycopg

from api import backing, first
from api.commands.backup import restored
from api.instance import Instance
from core import places
from core.archive import Archive
from core.backup import make
from core.backups import Backup
from core.clock import wall_now
from core.database import Database
from core.embedded import EmbeddedServer
from core.processes import tree
from core.restore import Point, Restored, Wanted
from core.settings import Settings
from plant import telemetry
from plant.assets import MachineSpec, SignalSpec, ensure_machine, signals
from tickets import service
from tickets.files import root_of
from tickets.model import Actor, ActorKind

GOALS = {
    "lost_before_point": "== 0",
    "found_after_point": "== 0",
    "time_vs_copy": "<= 3",
    "control_lost": ">= 1",
}
WRITERS = 3
FILES = 20
FILE_BYTES = 200_000
MARGIN = timedelta(microseconds=1)
FILL = """
  insert into samples (site_id, signal_id, at, value, quality)
  select %s, %s, now() - interval '2 days' + n %% 17000000 * interval '10 ms', sqrt(n), 0
  from generate_series(1, %s) n"""
BYTES_A_ROW = 60
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Commit:
    """One order: when its transaction was begun, and when its commit was answered."""

    ref: str
    began: datetime
    answered: datetime


class Rig:
    """An instance's database with its archive and writers; ``with Rig(…) as rig:`` leaves nothing."""

    def __init__(self, mb: int) -> None:
        self.mb = mb
        self.folder = Path(tempfile.mkdtemp(prefix="millwright-restore-"))
        self.folder.chmod(0o755)
        self.instance = Instance(Settings(data_dir=self.folder / "data", backup_dir=self.folder / "backups"))
        self.commits: list[Commit] = []
        self._stop = threading.Event()
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._ends.callback(places.forget, self.instance.secrets.instance_id)
        self.server = EmbeddedServer(self.instance.data_dir, self.instance.secrets)
        self._ends.callback(self.server.destroy)
        dsns = self.server.start()
        self.database = Database(dsns.app, dsns.ingest, dsns.owner)
        self._ends.callback(self.database.close)
        first.prepare(self.database, self.instance.settings)
        self._fill()
        self.archive = Archive(self.server, backing.folder_of(self.instance.settings))
        self.archive.start()
        self._ends.callback(self.archive.stop, 5.0)
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._ends.close()

    def write(self) -> None:
        for thread in self._threads:
            thread.start()

    def kill(self) -> None:
        """kill -9 of the server and of the archive, under load."""
        for root in (self.server.pid, self.archive.pid):
            for pid in tree(root) if root else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert self.server.child is not None
        self.server.child.process.wait(10)
        while self.archive.pid:
            time.sleep(0.01)
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.database.close()

    def restore(self, backup: Backup, to: datetime | Point, *, root: Path | None = None) -> tuple[Restored, float]:
        """As a person does after the disk was changed: nothing is left but the backups. Returns it and its seconds."""
        for name in ("cluster", *(path.name for path in self.server.home.glob("cluster.before-*"))):
            shutil.rmtree(self.server.home / name, ignore_errors=True)
        shutil.rmtree(root_of(self.instance.settings), ignore_errors=True)
        chosen = root or backing.folder_of(self.instance.settings)
        began = time.monotonic()
        done = restored(self.instance, Wanted(chosen, backup, to, root_of(self.instance.settings)))
        return done, time.monotonic() - began

    def refs(self) -> set[str]:
        """The orders of the cluster as it lies there."""
        server = EmbeddedServer(self.instance.data_dir, self.instance.secrets)
        try:
            with psycopg.connect(server.start().superuser) as conn:
                return {row[0] for row in conn.execute("select ref from tickets")}
        finally:
            server.stop()

    def _fill(self) -> None:
        """Samples of the wanted size, a machine, and files of orders."""
        with self.database.tx() as conn:
            row = conn.execute("select site_id from sites").fetchone()
        assert row is not None
        self.site = int(row[0])
        with self.database.tx(site_id=self.site) as conn:
            self.asset = ensure_machine(
                conn, MachineSpec("drill", "Drill", "generic", signals=[SignalSpec("s", "generic", "1", "gw", "dev/s")])
            )
            signal_id = signals(conn, self.asset)[0].signal_id
        today = int(time.time() // DAY_S)
        with self.database.ingest_tx() as conn:
            telemetry.ensure_days(conn, range(today - 3, today + 2))
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as conn:
            conn.execute(FILL, (self.site, signal_id, self.mb * 1_000_000 // BYTES_A_ROW))
            conn.execute("checkpoint")
        for number in range(FILES):
            self._place(bytes([number]) * FILE_BYTES)

    def _place(self, content: bytes) -> None:
        digest = hashlib.sha256(content).hexdigest()
        path = root_of(self.instance.settings) / str(self.site) / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _write(self, number: int) -> None:
        actor = Actor(ActorKind.DETECTOR, None, f"writer {number}")
        while not self._stop.is_set():
            began = wall_now()
            with suppress(Exception):  # the kill; an order without an answer may be there or not
                with self.database.tx(site_id=self.site) as conn:
                    ref = service.open(
                        conn, actor, kind="corrective", title="Drill", asset_id=self.asset, now=wall_now()
                    ).ticket.ref
                self.commits.append(Commit(ref, began, wall_now()))


def run(mb: int, seconds: float) -> dict[str, float | None]:
    """Figures; ``seconds`` of writing on each side of backup and point."""
    with Rig(mb) as rig:
        rig.write()
        time.sleep(seconds)
        began = time.monotonic()
        backup = make(rig.server, backing.plan_of(rig.instance), say=_say)
        backup_s = time.monotonic() - began
        time.sleep(seconds)
        point = wall_now()
        time.sleep(seconds)
        rig.kill()
        killed = wall_now()
        copied_s = _copy(rig, backup)
        done, took_s = rig.restore(backup, point)
        at_point = rig.refs()
        rig.restore(backup, Point.LATEST)
        at_end = rig.refs()
        rig.restore(backup, Point.BACKUP)
        control = rig.refs()
        return _judged(rig.commits, point, (at_point, at_end, control)) | {
            "point_before_kill_s": (killed - point).total_seconds(),
            "gb": done.bytes / 1e9,
            "backup_s": backup_s,
            "restore_s": took_s,
            "restore_s.copy_and_verify": done.copy_s,
            "restore_s.recover": done.recover_s,
            "restore_s.check": done.check_s,
            "copy_s": copied_s,
            "time_vs_copy": took_s / copied_s,
            "attachments_back": float(done.files),
        }


def _judged(
    commits: Sequence[Commit], point: datetime, found: tuple[set[str], set[str], set[str]]
) -> dict[str, float | None]:
    at_point, at_end, control = found
    before = {each.ref for each in commits if each.answered <= point}
    after = {each.ref for each in commits if each.began >= point + MARGIN}
    return {
        "commits": len(commits),
        "commits_before_point": len(before),
        "commits_after_point": len(after),
        "lost_before_point": len(before - at_point),
        "found_after_point": len(after & at_point),
        "lost_with_the_disk": len({each.ref for each in commits} - at_end),
        "control_lost": len(before - control),
    }


def _copy(rig: Rig, backup: Backup) -> float:
    """Seconds of a plain copy of what a restore reads (base, log, attachments), until it is on the disk."""
    root, target = backing.folder_of(rig.instance.settings), rig.folder / "copy"
    began = time.monotonic()
    shutil.copytree(backup.folder(root), target / "backup")
    shutil.copytree(root / backup.era / "wal", target / "wal")
    shutil.copytree(root / "files", target / "files")
    os.sync()
    took = time.monotonic() - began
    shutil.rmtree(target)
    return took


def _say(text: str) -> None:
    print(f"  {text}", flush=True)
