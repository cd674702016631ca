"""The verb `demo`: a plant that lives. Machines, a fleet on MQTT and people, all through the public doors.

The baseline comes as history through the backfill lane, the plant clock runs faster than the wall, and a restart goes
on where the plant stood.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from api import identity, tree
from api.commands.parts import instance_of, say
from api.commands.run import link_for
from api.instance import Instance
from api.supervisor import CommandPart, Supervisor
from core import broker_rules, clock
from core.database import Database
from core.errors import Unavailable
from core.settings import Settings, settings
from simulators import config, plants, stage
from simulators.client import ApiClient, ApiError
from simulators.spec import Plant

FOLDER = Path(".millwright-demo")
LIVE_FILE = "live.json"
HISTORY_S = 300.0
HTTP_CONFLICT = 409
AUDIENCE = (("planner", "Planner"), ("manager", "Maintenance manager"), ("requester", "Operator"))
SKILLS = {"mechanical": 1, "electrical": 1, "vibration": 1}


def demo(argv: list[str]) -> int:
    """Start the instance, put the plant on stage, and keep both running until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="millwright demo", description=demo.__doc__)
    parser.add_argument("--seed", type=int, default=1, help="another seed is another plant (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="forget the earlier demo first")
    arguments = parser.parse_args(argv)
    instance = instance_of(demo_settings())
    if arguments.fresh:
        tree.destroy(instance)
        instance = instance_of(demo_settings())  # its secrets are made anew
    began = time.monotonic()
    tree.run(instance, on_ready=lambda running: _play(running, arguments.seed, began), say=say)
    return 0


def demo_settings() -> Settings:
    """The settings with a data directory of the demo's own, unless one is named."""
    found = settings()
    named = "MILLWRIGHT_DATA_DIR" in os.environ
    return found if named else found.model_copy(update={"data_dir": FOLDER, "site_name": "Demo plant"})


def _play(running: tree.Running, seed: int, began: float) -> None:
    say(f"console answers after {time.monotonic() - began:.1f} s; putting the plant on stage …")
    instance = running.instance
    live_us, first = _live_start(instance.database, instance.data_dir)
    plant = plants.plant(f"demo:{seed}", live_us=live_us)
    wire = _wire(running)
    with _admin(instance, wire) as api:
        made = stage.build(api, plant, instance.data_dir)
        visitor = _audience(api)
    told = wire.fleet(plant, made, live_us=live_us, since_us=None if first else live_us)
    fleet = _simulator(running, "fleet", told)
    running.supervisor.start(fleet)
    if first:
        _wait_for_history(running.supervisor, fleet.log_file, plant)
    _start_clock(instance.database, live_us, plant.factor)
    people = wire.people(plant, made, live_us=live_us, visitor_engineer_id=visitor)
    running.supervisor.start(_simulator(running, "people", people))
    _links(running, plant, began)


def _live_start(database: Database, folder: Path) -> tuple[int, bool]:
    """(µs since the epoch at which the plant goes live, whether this is its first time).

    A plant that was stopped goes on a minute after its last sample, as if no time had passed.
    """
    kept = folder / LIVE_FILE
    with database.tx() as conn:
        sites = [row[0] for row in conn.execute("select site_id from sites")]
    newest: datetime | None = None
    for site_id in sites:
        with database.tx(site_id=site_id) as conn:
            row = conn.execute("select max(at) from last_values").fetchone()
        newest = max(filter(None, (newest, row[0] if row else None)), default=None)
    if newest is None or not kept.exists():
        kept.write_text(json.dumps({"played": True}))
        start = clock.wall_now().replace(second=0, microsecond=0)
        return _us(start), True
    return _us(newest.replace(second=0, microsecond=0) + timedelta(minutes=2)), False


def _us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _start_clock(database: Database, live_us: int, factor: float) -> None:
    with database.tx() as conn:
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=live_us)
        clock.set_clock(conn, plant_now=start, factor=factor)


def _wire(running: tree.Running) -> stage.Wire:
    floor = running.instance.broker(broker_rules.SIMULATOR)
    return stage.Wire(running.address, floor.host, floor.port, running.instance.settings.site, floor.password)


def _admin(instance: Instance, wire: stage.Wire) -> ApiClient:
    with instance.database.tx() as conn:
        token = identity.create_token(
            conn, "admin", name="demo set-up", now=clock.wall_now(), expires_at=clock.wall_now() + timedelta(minutes=10)
        )
    return ApiClient(wire.base_url, token=token, site=wire.site)


def _audience(api: ApiClient) -> int:
    """A person for each role, for whoever looks at the demo; returns the engineer's id."""
    for login, name in (*AUDIENCE, ("engineer", "Engineer")):
        try:
            api.post("/users", {"login": login, "name": name, "role": login})
        except ApiError as error:
            if error.status != HTTP_CONFLICT:
                raise
    body = {"login": "engineer", "name": "Engineer", "skills": SKILLS, "shifts": "always"}
    return plants.enlist(api, body)


def _simulator(running: tree.Running, kind: str, told: config.FleetConfig | config.PeopleConfig) -> CommandPart:
    folder = running.instance.data_dir
    path = folder / f"{kind}.json"
    config.write(path, told)
    log_file = folder / "logs" / f"{kind}.log"
    log_file.unlink(missing_ok=True)
    return CommandPart(kind, [sys.executable, "-m", "simulators", kind, str(path)], log_file)


def _wait_for_history(supervisor: Supervisor, log_file: Path, plant: Plant) -> None:
    """Wait until the baseline is stored. Raises Unavailable with where to look."""
    say(f"playing {plant.history_days:.0f} days of history of {len(plant.machines)} machines …")
    done = supervisor.wait_for(lambda: '"history_done"' in log_file.read_text(), within_s=HISTORY_S)
    if not done and not supervisor.stopping:
        raise Unavailable(f"The plant's history was not stored within {HISTORY_S:.0f} s. Look into {log_file}.")


def _links(running: tree.Running, plant: Plant, began: float) -> None:
    say(f"live after {time.monotonic() - began:.0f} s; {plant.factor / 3600 * 60:.0f} plant minutes pass a second")
    say(f"soon P-101's bearing begins to wear; the crew repairs it. {plants.VISITORS} is yours: look under predictions")
    roles = ("planner", "engineer", "requester", "manager", "admin")
    links = [f"{role:<10} {link_for(running, role)}" for role in roles]
    say("sign-in links work once, for 15 minutes; `millwright link LOGIN` makes another; Ctrl-C stops")
    print(f"console: {running.address}/\n  " + "\n  ".join(links), flush=True)
