"""The verbs `backup` and `restore`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from api import backing
from api.commands.parts import instance_of, say
from api.instance import Instance
from core import backups
from core.backup import make, verify_base
from core.backups import Backup, NoBackup
from core.clock import wall_now
from core.embedded import EmbeddedServer
from core.errors import Invalid
from core.lock import Lock
from core.mirror import CONTENT, listed
from core.restore import Point, Restored, Wanted, restore
from core.settings import settings
from tickets.files import root_of


def backup(argv: list[str]) -> int:
    """Make one now, list what there is, or verify one."""
    parser = argparse.ArgumentParser(
        prog="millwright backup", description="Backups of the embedded database, its attachments and secrets."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("make", help="back up now, whether or not the instance runs, and verify it")
    verbs.add_parser("list", help="every backup, and how far back a restore can go")
    verify = verbs.add_parser("verify", help="read every byte of a backup; exit code 1 when one is not as written")
    verify.add_argument("name", nargs="?", help="as `list` shows it (default: the newest)")
    asked = parser.parse_args(argv)
    instance = instance_of(settings())
    if asked.verb == "list":
        return _list(backing.folder_of(instance.settings))
    if asked.verb == "verify":
        return _verify(backing.folder_of(instance.settings), asked.name)
    backing.refuse_own_server(instance)
    began = time.monotonic()
    with server_of(instance) as server:
        made = make(server, backing.plan_of(instance), say=say)
    seconds = time.monotonic() - began
    say(f"backup {made.name}: {made.bytes / 1e9:.2f} GB and {made.files:,} attachments in {seconds:.0f} s, verified")
    return 0


def restore_verb(argv: list[str]) -> int:
    """Ask, restore beside the present database, check, and swap."""
    parser = argparse.ArgumentParser(
        prog="millwright restore",
        description="Bring a backup back. The instance must be stopped; its present database is set aside.",
    )
    parser.add_argument(
        "--to",
        default=Point.LATEST,
        help="a time (2026-03-01T14:30:00, in the first site's zone unless it names one), `latest`: all that the log "
        "holds, or `backup`: as the backup was made (default: latest)",
    )
    parser.add_argument("--backup", metavar="NAME", help="which backup (default: the newest that is old enough)")
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="the folder of the backups")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    asked = parser.parse_args(argv)
    instance = instance_of(settings())
    backing.refuse_own_server(instance)
    root = (asked.folder or backing.folder_of(instance.settings)).resolve()
    to = point(asked.to, zone=instance.settings.timezone)
    chosen = _chosen(root, asked.backup, to)
    say(f"backup {chosen.name}, made {chosen.ended:%Y-%m-%d %H:%M} UTC, to {asked.to}, into {instance.data_dir}")
    if not asked.yes and not _agreed():
        return 1
    began = time.monotonic()
    done = restored(instance, Wanted(root, chosen, to, root_of(instance.settings)))
    _tell(done, time.monotonic() - began)
    return 0


def restored(instance: Instance, wanted: Wanted) -> Restored:
    """Restore into the instance's data directory; what was brought there goes again when it fails."""
    with Lock(instance.data_dir):
        brought = _bring(wanted.backup.folder(wanted.root) / "data", instance.data_dir)
        try:
            server = EmbeddedServer(instance.data_dir, instance.secrets)
            return restore(server, wanted, check=backing.checker(instance, say), say=say)
        except BaseException:
            for path in brought:
                path.unlink(missing_ok=True)
            raise


@contextmanager
def server_of(instance: Instance) -> Iterator[EmbeddedServer]:
    """The embedded server: the running instance's, or started for the purpose."""
    if instance.endpoints:
        yield backing.attached(instance)
        return
    with Lock(instance.data_dir):
        server = EmbeddedServer(instance.data_dir, instance.secrets)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def point(text: str, *, zone: str) -> datetime | Point:
    """What --to says. Raises Invalid; a time to come is one too."""
    if text in tuple(Point):
        return Point(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"--to {text!r} is neither a time such as 2026-03-01T14:30:00 nor latest nor backup.") from error
    aware = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
    if aware > wall_now():
        raise Invalid(f"--to {text!r} is still to come.")
    return aware


def _chosen(root: Path, name: str | None, to: datetime | Point) -> Backup:
    """The backup that was named, or fits. Raises NoBackup, BackupBroken (only where one was named)."""
    if name is None:
        return backups.choose(backups.catalogue(root), to=to if isinstance(to, datetime) else None)
    folders = [folder for folder in root.glob(f"era-*/{name}") if backups.NAMED.match(folder.name)]
    if not folders:
        raise NoBackup(f"There is no backup {name!r} in {root}. `millwright backup list` shows what there is.")
    found = backups.read(folders[0])
    if isinstance(to, datetime) and found.ended > to:
        raise NoBackup(f"The backup {name} was made after {to.isoformat()}. Leave --backup out to get one that fits.")
    return found


def _bring(source: Path, data_dir: Path) -> list[Path]:
    """Small files that the data directory has not got, its secrets above all; returns them."""
    brought = []
    for path in sorted(source.rglob("*")):
        target = data_dir / path.relative_to(source)
        if path.is_file() and not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            target.chmod(path.stat().st_mode & 0o777)
            brought.append(target)
    return brought


def _agreed() -> bool:
    print("The present database is set aside and the backup takes its place. Type yes: ", end="", flush=True)
    if sys.stdin.readline().strip() == "yes":
        return True
    say("nothing was restored")
    return False


def _tell(done: Restored, seconds: float) -> None:
    rows = ", ".join(f"{count:,} {table}" for table, count in done.counts.items())
    say(f"restored in {seconds:.1f} s: {done.bytes / 1e9:.2f} GB, {done.files:,} attachments; {rows}")
    say(f"copied and verified in {done.copy_s:.1f} s, recovered in {done.recover_s:.1f}, checked in {done.check_s:.1f}")
    if done.before:
        say(f"the former database lies in {done.before}; delete it when you no longer need it")
    say("next: `millwright up`")


def _list(root: Path) -> int:
    found = backups.catalogue(root)
    for each in found:
        size = f"{each.bytes / 1e9:.2f} GB"
        print(f"{each.name}  {size:>10}  schema {each.schema}  {each.files:,} attachments  {each.era}")
    if not found:
        say(f"there is no backup in {root}; make one: `millwright backup make`")
        return 0
    say(f"a restore can go to any time since {found[0].ended:%Y-%m-%d %H:%M:%S} UTC")
    return 0


def _verify(root: Path, name: str | None) -> int:
    chosen = _chosen(root, name, Point.LATEST)
    folder = chosen.folder(root)
    verify_base(folder / "base")
    files = verified_files(root, folder)
    log = backups.log_of(root / chosen.era / "wal", chosen.first_segment)
    say(f"{chosen.name} is as it was written: the database, {files:,} attachments, {len(log):,} segments of its log")
    return 0


def verified_files(root: Path, folder: Path) -> int:
    """How many attachments of a backup are there and whole. Raises BackupBroken."""
    names = listed(folder)
    for name in names:
        path = root / "files" / name
        if not path.exists() or (CONTENT.match(path.name) and backups.sha256(path) != path.name):
            raise backups.BackupBroken(f"The attachment {name} of this backup is missing or altered.")
    return len(names)
