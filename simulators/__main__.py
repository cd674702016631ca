"""A simulator as a process of its own: ``python -m simulators fleet|people CONFIG.json``; a fleet takes ``--protocol``.

Prints one JSON line an event on standard output: ``{"event": "history_done"}``, ``{"event": "live"}``,
``{"event": "stopped", …}``. SIGTERM and SIGINT end it after the batches under way have their receipts.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec

from core.log import configure, get
from simulators import config, plantclock, plants
from simulators.client import ApiClient
from simulators.fleet import Fleet, Member
from simulators.floor import FloorRadio
from simulators.ledger import LedgerWriter
from simulators.link import Broker
from simulators.people import Diary, Engineer, Manner, Planner, Surroundings, VisitorWatch, live
from simulators.plantclock import PlantClock
from simulators.sparkplug import SparkplugFleet
from simulators.spec import Plant, Protocol
from simulators.world import World

log = get("simulators")
CLOCK_S = 5.0  # how often the instance's clock is asked for: its speed may be changed while it runs
DRAIN_S = 30.0
STALLED_S = 3600.0  # beginning anew would say everything twice: rather wait


def main(arguments: list[str]) -> int:
    """0 after a clean stop, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description="A simulator as a process of its own.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="fleet|people")
    fleet = kinds.add_parser("fleet", help="machines on MQTT")
    fleet.add_argument("config", type=Path)
    fleet.add_argument(
        "--protocol", type=Protocol, choices=list(Protocol), help="of every device (default: the plant's)"
    )
    kinds.add_parser("people", help="engineers, planner and visitor watch").add_argument("config", type=Path)
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as wrong:
        return int(wrong.code or 0)
    configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if chosen.kind == "fleet":
        told = config.read_fleet(chosen.config)
        run_fleet(told if chosen.protocol is None else msgspec.structs.replace(told, protocol=chosen.protocol), stop)
    else:
        run_people(chosen.config, stop)
    return 0


def run_fleet(told: config.FleetConfig, stop: threading.Event) -> None:
    """Play history, then live until told to stop."""
    clock = _first_clock(told.base_url, stop)
    which = plants.plant(told.plant, live_us=told.live_us)
    begin_us = which.start_us(told.live_us)
    if told.history is config.History.SKIP:
        begin_us = clock.now_us() if told.since_us is None else told.since_us
    members = [Member(spec.build(told.live_us, start_us=begin_us), spec.device) for spec in which.machines]
    ledger = LedgerWriter(Path(told.ledger)) if told.ledger else None
    fleet = SparkplugFleet(
        members,
        Broker(told.mqtt_host, told.mqtt_port),
        site=told.site,
        passwords=told.passwords,
        clock=clock,
        speakers=_speakers(told, which),
        ledger=ledger,
        resend_s=told.resend_s,
    )
    fleet.start()
    if told.history is config.History.PLAY:
        fleet.history(told.live_us, stalled_s=STALLED_S, stop=stop)
        tell("history_done", samples=fleet.samples, batches=fleet.batches)
    watch = _watch_clock(told.base_url, fleet, stop)
    tell("live")
    fleet.run(stop, tick_s=told.tick_s)
    clean = fleet.drain(DRAIN_S)
    fleet.close()
    watch.join()
    if ledger is not None:
        ledger.close()
    tell("stopped", samples=fleet.samples, batches=fleet.batches, drained=clean)


def run_people(path: Path, stop: threading.Event) -> None:
    """Let the people work until told to stop."""
    told = config.read_people(path)
    clock = _first_clock(told.base_url, stop)
    radio = FloorRadio(Broker(told.mqtt_host, told.mqtt_port), told.site, password=told.floor_password)
    radio.start()
    diary = Diary(Path(told.diary) if told.diary else None)
    world = World(plants.plant(told.plant, live_us=told.live_us), told.live_us)
    here = Surroundings(world, clock, radio, diary)
    people = [*_engineers(told, here), *_desk(told, here)]
    threads = [threading.Thread(target=live, args=(p, stop), kwargs={"poll_s": told.poll_s}) for p in people]
    threads.append(_watch_clock(told.base_url, here, stop))
    for thread in threads[:-1]:
        thread.start()
    tell("live")
    for thread in threads:
        thread.join()
    for person in people:
        person.api.close()
    radio.close()
    diary.close()
    tell("stopped")


def tell(event: str, **more: Any) -> None:
    """One line for whoever started this process."""
    print(json.dumps({"event": event, **more}), flush=True)


def _speakers(told: config.FleetConfig, which: Plant) -> frozenset[str]:
    """The devices that speak Sparkplug."""
    if told.protocol is None:
        return which.speakers
    return frozenset(which.devices) if told.protocol is Protocol.SPARKPLUG else frozenset()


def _engineers(told: config.PeopleConfig, here: Surroundings) -> list[Engineer]:
    manner = Manner(
        accept_h=told.accept_h,
        travel_h=told.travel_h,
        work_h=told.work_h,
        sham_assets=frozenset(told.sham_assets),
        sham_share=told.sham_share,
        seed=told.seed,
    )
    return [Engineer(e.name, _api(told, e.token), here, manner) for e in told.engineers]


def _desk(told: config.PeopleConfig, here: Surroundings) -> list[Planner | VisitorWatch]:
    if told.planner_token is None:
        return []
    desk: list[Planner | VisitorWatch] = [Planner("planner", _api(told, told.planner_token), here)]
    if told.visitor is config.Visitor.WATCH:
        desk.append(VisitorWatch(_api(told, told.planner_token), here, told.visitor_engineer_id))
    return desk


def _api(told: config.PeopleConfig, token: str) -> ApiClient:
    return ApiClient(told.base_url, token=token, site=told.site, patience_s=60.0)


def _first_clock(base_url: str, stop: threading.Event) -> PlantClock:
    """The plant clock as soon as the instance answers. Raises SystemExit when stopped before."""
    while not stop.is_set():
        try:
            return plantclock.fetch(base_url)
        except httpx.HTTPError as error:
            log.info("waiting for the clock", error=str(error))
            stop.wait(0.5)
    raise SystemExit(0)


def _watch_clock(base_url: str, holder: Fleet | Surroundings, stop: threading.Event) -> threading.Thread:
    """Follow the instance's clock when its speed or time is changed."""

    def watch() -> None:
        while not stop.wait(CLOCK_S):
            try:
                now = plantclock.fetch(base_url)
            except httpx.HTTPError:
                continue  # the API restarts; the clock goes on as it was
            if now.differs(holder.clock):
                holder.clock = now

    thread = threading.Thread(target=watch, name="plant clock", daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
