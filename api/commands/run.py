"""Verbs that run the product as a whole, or look after its data."""

from __future__ import annotations

import argparse
import sys
import time

from api import doctor as checks
from api import first, identity, tree
from api.checks import State
from api.commands.parts import instance_of, say, start
from core import clock
from core.database import migrate as run_migrations
from core.embedded import EmbeddedServer
from core.lock import Lock
from core.settings import settings


def up(argv: list[str]) -> int:
    """Start everything and keep it running until Ctrl-C or SIGTERM."""
    instance = start("up", "Start database, broker, ingest, detectors, jobs, API and web; Ctrl-C stops all.", argv)
    began = time.monotonic()

    def ready(running: tree.Running) -> None:
        say(f"ready after {time.monotonic() - began:.1f} s; data in {instance.data_dir}")
        say("next: `millwright device add NAME` to let a machine publish, `millwright doctor` when in doubt")
        say(f"console: {running.address}/   sign in as administrator: {link_for(running, first.ADMIN)}")

    tree.run(instance, on_ready=ready, say=say)
    return 0


def link_for(running: tree.Running, login: str) -> str:
    """A single-use sign-in link of ``login``."""
    with running.instance.database.tx() as conn:
        secret = identity.create_link(conn, login, now=clock.wall_now())
    return f"{running.address}/#/link/{secret}"


def migrate(argv: list[str]) -> int:
    """Migrate one's own server, the running instance, or the embedded one started for the purpose."""
    instance = start("migrate", "Bring the database schema to this version.", argv)
    if instance.settings.database_url or instance.endpoints:
        first.prepare(instance.database, instance.settings)
        say(f"schema version {run_migrations(instance.database.owner_dsn)}")
        return 0
    with Lock(instance.data_dir):
        server = EmbeddedServer(instance.data_dir, instance.secrets)
        try:
            say(f"schema version {run_migrations(server.start().owner)}")
        finally:
            server.stop()
    return 0


def doctor(argv: list[str]) -> int:
    """Exit code 1 when something failed."""
    instance = start("doctor", "Say in words what is wrong and what to do.", argv)
    found = checks.check(instance.settings)
    print(checks.report(found))
    return int(any(check.state is State.FAIL for check in found))


def reset(argv: list[str]) -> int:
    """Delete the data directory with the embedded database after asking."""
    parser = argparse.ArgumentParser(prog="millwright reset", description="Delete this instance's data for good.")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args(argv)
    instance = instance_of(settings())
    if not instance.data_dir.exists():
        say(f"there is nothing at {instance.data_dir}")
        return 0
    if not arguments.yes:
        print(f"Delete {instance.data_dir} with all samples, tickets and secrets? Type yes: ", end="", flush=True)
        if sys.stdin.readline().strip() != "yes":
            say("nothing was deleted")
            return 1
    tree.destroy(instance)
    say("deleted; `millwright up` starts afresh")
    return 0
