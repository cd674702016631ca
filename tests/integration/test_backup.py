"""A backup of a working server comes back to the moment asked for, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from api import backing, first
from api.checks import State
from api.commands.backup import point, restored, verified_files
from api.instance import Instance
from core import archive, backups, places
from core.archive import Archive
from core.backup import make
from core.backups import Backup, BackupBroken, BackupForeign, NoBackup
from core.clock import wall_now
from core.database import Database
from core.embedded import EmbeddedServer
from core.errors import Invalid
from core.processes import tree
from core.restore import Point, RestoreRefused, Wanted
from core.settings import Settings
from tests.integration.tickets_world import build, order
from tickets.files import root_of

CONTENT = b"a picture of the bearing"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def quiet(_text: str) -> None:
    pass


class Plant:
    """An instance with a backup, and orders opened before, after it, and after the noted point."""

    def __init__(self, folder: Path) -> None:
        self.instance = Instance(Settings(data_dir=folder))
        self.server = EmbeddedServer(folder, self.instance.secrets)
        self.archive = Archive(self.server, self.root)

    def fill(self) -> None:
        dsns = self.server.start()
        self.database = Database(dsns.app, dsns.ingest, dsns.owner)
        first.prepare(self.database, self.instance.settings)
        with self.database.tx() as conn:
            row = conn.execute("select site_id from sites").fetchone()
        assert row
        self.site = int(row[0])
        self.archive.start()
        with self.database.tx(site_id=self.site) as conn:
            self.world = build(conn)
        self.blob = f"{self.site}/{DIGEST[:2]}/{DIGEST}"
        self.attach()
        self.before = [self.open() for _ in range(3)]
        self.backup = make(self.server, backing.plan_of(self.instance), say=quiet)
        self.between = [self.open() for _ in range(3)]
        time.sleep(0.02)
        self.point = wall_now()
        time.sleep(0.02)
        self.after = [self.open() for _ in range(3)]

    @property
    def root(self) -> Path:
        return backing.folder_of(self.instance.settings)

    def make_home(self) -> None:
        places.home(
            self.instance.data_dir, "postgres", instance_id=self.server.secrets.instance_id, user=self.server.user
        )

    def attach(self) -> None:
        path = root_of(self.instance.settings) / self.blob
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)

    def open(self) -> str:
        with self.database.tx(site_id=self.site) as conn:
            return order(conn, self.world, mode=None).ref

    def wanted(self, to: datetime | Point, backup: Backup | None = None) -> Wanted:
        return Wanted(self.root, backup or self.backup, to, root_of(self.instance.settings))

    def kill(self) -> None:
        """kill -9 of the whole server, the archive with it."""
        self.database.close()
        for part in (self.archive.pid, self.server.pid):
            for pid in tree(part) if part else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.server.child:
            self.server.child.process.wait(10)
        self.archive.stop(5.0)

    def refs(self) -> set[str]:
        """The orders in the cluster as it lies there now."""
        server = EmbeddedServer(self.instance.data_dir, self.instance.secrets)
        try:
            with psycopg.connect(server.start().superuser) as conn:
                return {row[0] for row in conn.execute("select ref from tickets")}
        finally:
            server.stop()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Killed; its files as they were left. Tests that change them say so by their order in this file."""
    made = Plant(tmp_path_factory.mktemp("backup") / "data")
    try:
        made.fill()
        made.kill()
        yield made
    finally:
        made.archive.stop(5.0)
        made.server.destroy()
        places.forget(made.instance.secrets.instance_id)


def leftovers(plant: Plant) -> list[str]:
    return [path.name for path in plant.server.home.iterdir() if "restored" in path.name]


def test_a_backup_says_what_it_is_and_holds_the_secrets(plant: Plant) -> None:
    found = backups.catalogue(plant.root)
    assert found == [plant.backup]
    assert plant.backup.counts["tickets"] == 3
    folder = plant.backup.folder(plant.root)
    assert json.loads((folder / "data" / "secrets.json").read_text())["instance_id"] == plant.backup.instance_id
    assert (folder / "data" / "secrets.json").stat().st_mode & 0o077 == 0
    assert verified_files(plant.root, folder) == 1
    assert backing.check(plant.instance)[0].state is State.OK


def test_a_damaged_backup_is_refused_and_nothing_changes(plant: Plant) -> None:
    version = (plant.server.cluster / "PG_VERSION").stat().st_ino
    victim = max((plant.backup.folder(plant.root) / "base" / "base").rglob("*"), key=lambda path: path.stat().st_size)
    whole = victim.read_bytes()
    victim.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    try:
        with pytest.raises(BackupBroken, match="damaged"):
            restored(plant.instance, plant.wanted(plant.point))
    finally:
        victim.write_bytes(whole)
    assert (plant.server.cluster / "PG_VERSION").stat().st_ino == version
    assert leftovers(plant) == []


def test_a_list_that_was_altered_makes_a_backup_unreadable(plant: Plant) -> None:
    path = plant.backup.folder(plant.root) / "files.txt"
    path.write_text(path.read_text() + "1/ab/other\n")
    try:
        with pytest.raises(BackupBroken, match=r"files\.txt"):
            backups.read(plant.backup.folder(plant.root))
        assert backups.catalogue(plant.root) == []
    finally:
        path.write_text(f"{plant.blob}\n")
    assert backups.catalogue(plant.root) == [plant.backup]


def test_a_foreign_backup_is_refused(plant: Plant, tmp_path: Path) -> None:
    other = Instance(Settings(data_dir=tmp_path / "other"))
    other.secrets  # noqa: B018 - made now
    with pytest.raises(BackupForeign, match=plant.backup.instance_id):
        restored(other, plant.wanted(Point.LATEST))
    assert not (tmp_path / "other" / "postgres").exists()


def test_a_point_that_the_log_does_not_reach_is_refused(plant: Plant) -> None:
    late = wall_now() + timedelta(hours=1)
    with pytest.raises(RestoreRefused, match="does not reach"):
        restored(plant.instance, plant.wanted(late))
    assert leftovers(plant) == []


def test_a_problem_that_the_audit_finds_keeps_the_restored_database_out(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backing, "problems", lambda _database, _seal: iter(["WO-1: an event is missing."]))
    with pytest.raises(RestoreRefused, match="an event is missing"):
        restored(plant.instance, plant.wanted(Point.BACKUP))
    assert leftovers(plant) == []


def test_a_lost_machine_comes_back_from_the_backups_alone(plant: Plant, tmp_path: Path) -> None:
    """No cluster, no secrets, no attachments: nothing but the folder of the backups, and all that was committed."""
    shutil.copytree(plant.root, tmp_path / "disk")
    lost = plant.server.cluster.rename(plant.server.home.with_name("lost"))
    fresh = Instance(Settings(data_dir=tmp_path / "new" / "data"))
    try:
        done = restored(fresh, Wanted(tmp_path / "disk", plant.backup, Point.LATEST, root_of(fresh.settings)))
        assert (done.files, done.before) == (1, None)
        assert (root_of(fresh.settings) / plant.blob).read_bytes() == CONTENT
        assert fresh.secrets.signing_key == plant.instance.secrets.signing_key
        assert done.counts["tickets"] >= 6
    finally:
        EmbeddedServer(fresh.data_dir, fresh.secrets).destroy()
        plant.make_home()
        lost.rename(plant.server.cluster)


def test_all_before_the_point_and_nothing_after_it(plant: Plant) -> None:
    (root_of(plant.instance.settings) / plant.blob).unlink()
    done = restored(plant.instance, plant.wanted(plant.point))
    assert plant.refs() == {*plant.before, *plant.between}
    assert (root_of(plant.instance.settings) / plant.blob).read_bytes() == CONTENT
    assert done.before is not None
    assert archive.era_of(plant.server.cluster) not in (None, plant.backup.era)


def test_the_last_commit_is_still_to_be_had_after_a_restore_to_an_earlier_point(plant: Plant) -> None:
    restored(plant.instance, plant.wanted(Point.LATEST))
    assert plant.refs() >= {*plant.before, *plant.between}


def test_what_is_kept_for_how_long() -> None:
    def made(day: int, era: str = "new") -> Backup:
        at = datetime(2026, 3, day, 3, tzinfo=UTC)
        return Backup("i", era, f"{day}", "1", at, at, "0" * 24, 1, 0, {}, {})

    old, new = [made(1, "old"), made(2, "old")], [made(3), made(4), made(5)]
    assert backups.too_many(old + new[:1], era="new", keep=2) == []
    assert backups.too_many(old + new, era="new", keep=2) == [new[0], *old]
    assert backups.choose(old + new, to=datetime(2026, 3, 4, 4, tzinfo=UTC)) == new[1]
    with pytest.raises(NoBackup, match="2026-03-01"):
        backups.choose(old + new, to=datetime(2026, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("now", "newest", "expected"),
    [
        ((2, 1, 0), None, True),
        ((2, 1, 0), (1, 2, 31), False),
        ((2, 2, 29), (1, 2, 31), False),
        ((2, 2, 30), (1, 2, 31), True),
        ((2, 2, 31), (2, 2, 30), False),
        ((9, 12, 0), (2, 2, 30), True),
    ],
)
def test_one_backup_a_night_and_one_for_a_missed_night(
    now: tuple[int, int, int], newest: tuple[int, int, int] | None, expected: bool
) -> None:
    def at(day: int, hour: int, minute: int) -> datetime:
        return datetime(2026, 3, day, hour, minute, tzinfo=UTC)

    assert backups.due(at(*now), at(*newest) if newest else None, hour=2, minute=30) is expected


def test_a_gap_in_the_log_is_found(tmp_path: Path) -> None:
    names = ["0000000100000000000000FE", "0000000100000000000000FF", "000000010000000100000000"]
    for name in (*names[:2], f"{names[2]}.partial"):
        (tmp_path / name).touch()
    assert [path.name.removesuffix(".partial") for path in backups.log_of(tmp_path, names[0])] == names
    (tmp_path / names[1]).unlink()
    with pytest.raises(BackupBroken, match="gap"):
        backups.log_of(tmp_path, names[0])
    with pytest.raises(BackupBroken, match="needs it from"):
        backups.log_of(tmp_path, "0000000100000000000000FA")


def test_what_a_point_is() -> None:
    assert point("latest", zone="UTC") is Point.LATEST
    assert point("2026-03-01T14:30:00", zone="Europe/Berlin") == datetime(2026, 3, 1, 13, 30, tzinfo=UTC)
    for text in ("yesterday", "2999-01-01"):
        with pytest.raises(Invalid, match="--to"):
            point(text, zone="UTC")
