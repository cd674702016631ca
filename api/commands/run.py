"""Verbs that run the product or one of its parts, or look after its data."""

from __future__ import annotations

import argparse
import shutil
import time

from api import doctor as checks
from api import identity, tree
from api import up as root
from api.instance import Instance
from core import clock, log
from core.database import migrate as run_migrations
from core.embedded import EmbeddedServer
from core.lock import Lock
from core.settings import Settings, settings


def say(text: str) -> None:
    """A line of progress for the person at the terminal."""
    print(f"[millwright] {text}", flush=True)


def start_up(verb: str, summary: str, argv: list[str]) -> Instance:
    """Parse a verb without options, set up logging, and return the instance."""
    argparse.ArgumentParser(prog=f"millwright {verb}", description=summary).parse_args(argv)
    return instance_of(settings())


def instance_of(found: Settings) -> Instance:
    log.configure(found.log_level, found.log_format)
    return Instance(found)


def up(argv: list[str]) -> int:
    """Start everything and keep it running until Ctrl-C or SIGTERM."""
    instance = start_up("up", "Start database, broker, ingest, detectors, jobs, API and web; Ctrl-C stops all.", argv)
    began = time.monotonic()

    def ready(running: tree.Running) -> None:
        say(f"ready after {time.monotonic() - began:.1f} s; data in {instance.data_dir}")
        say("next: `millwright device add NAME` to let a machine publish, `millwright doctor` when in doubt")
        say(f"console: {running.address}/   sign in as administrator: {link_for(running, root.ADMIN)}")

    tree.run(instance, on_ready=ready, say=say)
    return 0


def link_for(running: tree.Running, login: str) -> str:
    """A single-use sign-in link of ``login``."""
    with running.instance.database.tx() as conn:
        secret = identity.create_link(conn, login, now=clock.wall_now())
    return f"{running.address}/#/link/{secret}"


def ingest(argv: list[str]) -> int:
    root.run_ingest(start_up("ingest", "Hear machines and keep their samples.", argv))
    return 0


def detect(argv: list[str]) -> int:
    root.run_detect(start_up("detect", "Judge new samples and open orders.", argv))
    return 0


def worker(argv: list[str]) -> int:
    root.run_worker(start_up("worker", "Run timers, verifications and notices.", argv))
    return 0


def serve(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="millwright serve", description="Serve API and web.")
    parser.add_argument("--host", default=settings().host, help="address to bind to (default: %(default)s)")
    parser.add_argument("--port", type=int, default=settings().port, help="port (default: %(default)s)")
    arguments = parser.parse_args(argv)
    root.run_serve(instance_of(settings()), host=arguments.host, port=arguments.port)
    return 0


def migrate(argv: list[str]) -> int:
    """Migrate one's own server, the running instance, or the embedded one started for the purpose."""
    instance = start_up("migrate", "Bring the database schema to this version.", argv)
    if instance.settings.database_url or instance.endpoints:
        root.prepare(instance, owner_dsn=instance.database.owner_dsn, database=instance.database)
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
    instance = start_up("doctor", "Say in words what is wrong and what to do.", argv)
    found = checks.check(instance.settings)
    print(checks.report(found))
    return int(any(check.state is checks.State.FAIL for check in found))


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
        answer = input(f"Delete {instance.data_dir} with all samples, tickets and secrets? Type yes: ")
        if answer.strip() != "yes":
            say("nothing was deleted")
            return 1
    with Lock(instance.data_dir):
        EmbeddedServer(instance.data_dir, instance.secrets).destroy()
        shutil.rmtree(instance.data_dir)
    say("deleted; `millwright up` starts afresh")
    return 0
