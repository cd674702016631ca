"""People who do the work by the public API alone: engineers, a planner, and the floor that answers a visitor.

    engineer:  assigned → accept → travel → arrived → read the guide → mend (radio) → comment → done
    planner:   acknowledge alarms, assign what nobody has
    floor:     an order that a visitor marked done gets its repair

All look, do one thing, and look again; nothing is remembered that the API would not tell again, but for what hands did.
"""

from __future__ import annotations

import json
import random
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.log import get
from simulators.client import ApiClient, ApiDown, ApiError
from simulators.floor import FloorRadio, FloorSilent
from simulators.machines.base import Repair
from simulators.plantclock import PlantClock
from simulators.spec import HOUR_US, Care
from simulators.wire import Command
from simulators.world import World

log = get("simulators")
SENSOR_FAULT = "sensor-fault"


class Diary:
    """What people did, one JSON line each; also the memory that tells our people's work from a visitor's."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = path.open("a", encoding="utf-8") if path is not None else None
        self._lock = threading.Lock()
        self._by_us: set[int] = set()

    def write(self, at_us: int, who: str, action: str, ticket: Mapping[str, Any], **more: Any) -> None:
        line = {"at_us": at_us, "who": who, "action": action, "ticket_id": ticket["ticket_id"], **more}
        log.info("people", **line)
        with self._lock:
            if self._file is not None:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()

    def ours(self, ticket_id: int) -> bool:
        """Whether one of our engineers did this ticket last."""
        with self._lock:
            return ticket_id in self._by_us

    def claim(self, ticket_id: int) -> None:
        with self._lock:
            self._by_us.add(ticket_id)

    def release(self, ticket_id: int) -> None:
        with self._lock:
            self._by_us.discard(ticket_id)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, slots=True)
class Manner:
    """How an engineer works: delays in plant hours; who gets a sham repair at the first visit."""

    accept_h: float = 0.2
    travel_h: float = 0.8
    work_h: float = 1.0
    sham_assets: frozenset[str] = frozenset()
    sham_share: float = 0.0  # of all others, drawn once a ticket
    seed: int = 0

    def shams(self, asset_code: str, ticket_id: int, visit: int) -> bool:
        """Whether this visit only pretends. Second visits are honest."""
        if visit > 1:
            return False
        draw = random.Random(zlib.crc32(f"{self.seed}/{asset_code}/{ticket_id}".encode()))
        return asset_code in self.sham_assets or draw.random() < self.sham_share


@dataclass(slots=True)
class Surroundings:
    """What all people share."""

    world: World
    clock: PlantClock
    radio: FloorRadio
    diary: Diary


@dataclass(slots=True)
class _Job:
    status: str
    since_us: int
    visit: int = 0
    outcome: dict[str, str] | None = None  # fields for done, once the hands did their work


@dataclass(slots=True)
class Engineer:
    """One engineer, by one API user. ``step`` looks at all own open jobs and moves each that is due."""

    name: str
    api: ApiClient
    here: Surroundings
    manner: Manner = field(default_factory=Manner)
    _jobs: dict[int, _Job] = field(default_factory=dict)

    def step(self) -> None:
        """Raises ApiDown, FloorSilent; a lost race is looked at again the next time."""
        for ticket in list(self.api.items("/tickets", assignee="me", open="true")):
            asset = (ticket.get("asset") or {}).get("code", "")
            if self.here.world.care(asset) is Care.CREW:
                self._move(ticket, asset)

    def _move(self, ticket: Mapping[str, Any], asset: str) -> None:
        now_us = self.here.clock.now_us()
        job = self._job(ticket, now_us)
        waited_h = (now_us - job.since_us) / HOUR_US
        match job.status:
            case "assigned" | "reopened" if waited_h >= self.manner.accept_h:
                self._transition(ticket, "accepted")
            case "accepted" if waited_h >= self.manner.travel_h:
                self._transition(ticket, "arrived")
            case "arrived" if waited_h >= self.manner.work_h:
                self._work(ticket, asset, job)

    def _job(self, ticket: Mapping[str, Any], now_us: int) -> _Job:
        """What we know of a ticket; its waiting time begins anew with every status."""
        number, status = int(ticket["ticket_id"]), str(ticket["status"])
        job = self._jobs.setdefault(number, _Job(status, now_us))
        if job.status != status:
            if status in ("reopened", "arrived"):
                job.outcome = None
            if status == "reopened":
                self.here.diary.release(number)
            job.status, job.since_us = status, now_us
        return job

    def _work(self, ticket: Mapping[str, Any], asset: str, job: _Job) -> None:
        detail = self.api.get(f"/tickets/{ticket['ticket_id']}")
        if job.outcome is None:
            for article in detail.get("articles", [])[:1]:
                self.api.get(f"/articles/{article['article_id']}")
            job.visit += 1
            job.outcome = self._hands(detail, asset, job.visit)
        self.here.diary.claim(int(ticket["ticket_id"]))
        if self._transition(detail, "done", job.outcome):
            self._comment(detail, job.outcome["note"])

    def _hands(self, detail: Mapping[str, Any], asset: str, visit: int) -> dict[str, str]:
        """Look inside, mend or pretend; what to write down about it."""
        now_us = self.here.clock.now_us()
        found = self.here.world.condition(asset, now_us)
        sensor = self.here.world.lying_sensor(asset, now_us)
        if detail["kind"] == SENSOR_FAULT or (found is None and sensor is not None):
            self._mend(detail, asset, Repair.SENSOR)
            return {"verdict": "sensor", "note": f"Sensor {sensor or 'checked'}: cleaned, connected, compared."}
        if found is None:
            self.here.diary.write(now_us, self.name, "nothing_found", detail, asset=asset)
            return {"verdict": "nothing_found", "note": "Looked, listened, measured: the machine is sound."}
        mode = (detail.get("mode") or {}).get("code")
        verdict = "confirmed" if mode == found else "other_fault"
        fields = {"verdict": verdict, "failure_code": found, "note": f"{found}: part renewed, machine tried."}
        if self.manner.shams(asset, int(detail["ticket_id"]), visit):
            self.here.radio.send(asset, Command("sham"))
            self.here.diary.write(now_us, self.name, "sham", detail, asset=asset)
        else:
            self._mend(detail, asset, Repair.MACHINE)
        return fields

    def _mend(self, detail: Mapping[str, Any], asset: str, what: Repair) -> None:
        self.here.radio.send(asset, Command("repair", what.value))
        now_us = self.here.clock.now_us()
        self.here.world.mended(asset, now_us, what)
        self.here.diary.write(now_us, self.name, "repair", detail, asset=asset, what=what.value)

    def _transition(self, ticket: Mapping[str, Any], to: str, fields: Mapping[str, str] | None = None) -> bool:
        """Whether the ticket went there; False when somebody was faster or it may not."""
        path = f"/tickets/{ticket['ticket_id']}/transition"
        try:
            self.api.post(path, {"to": to, "fields": fields or {}}, version=int(ticket["version"]))
        except ApiError as error:
            if error.lost_race or error.status in (403, 404):
                log.info("somebody was faster", who=self.name, ticket=ticket["ticket_id"], to=to, code=error.code)
                return False
            raise
        self.here.diary.write(self.here.clock.now_us(), self.name, to, ticket, **(fields or {}))
        return True

    def _comment(self, ticket: Mapping[str, Any], text: str) -> None:
        self.api.post(f"/tickets/{ticket['ticket_id']}/comments", {"text": text, "audience": "internal"})


@dataclass(slots=True)
class Planner:
    """Acknowledges alarms and gives away what nobody has."""

    name: str
    api: ApiClient
    here: Surroundings

    def step(self) -> None:
        """Raises ApiDown."""
        for ticket in list(self.api.items("/tickets", open="true")):
            if ticket["status"] in ("new", "reopened") and ticket.get("assignee") is None:
                self._try(f"/tickets/{ticket['ticket_id']}/assign", {"engineer_id": None}, int(ticket["version"]))
        for alarm in list(self.api.items("/alarms", state="active")):
            self._try(f"/alarms/{alarm['alarm_id']}/acknowledge", {}, None)

    def _try(self, path: str, body: Mapping[str, Any], version: int | None) -> None:
        try:
            self.api.post(path, body, version=version)
        except ApiError as error:  # nobody free just now, or somebody was faster: look again later
            if error.status not in (404, 409, 412, 422):
                raise
            log.debug("planner", path=path, code=error.code)


@dataclass(slots=True)
class VisitorWatch:
    """When a person marks an order done in the web, the floor mends the machine. ``api``: a planner's token."""

    api: ApiClient
    here: Surroundings
    engineer_id: int | None = None  # the visitor as an engineer: gets the orders of the visitor's machine
    _answered: set[int] = field(default_factory=set)

    def step(self) -> None:
        """Raises ApiDown, FloorSilent."""
        for ticket in list(self.api.items("/tickets", open="true")):
            number = int(ticket["ticket_id"])
            self._hand_over(ticket)
            if ticket["status"] not in ("done", "verifying"):
                self._answered.discard(number)
            elif number not in self._answered and not self.here.diary.ours(number):
                self._mend(ticket)
                self._answered.add(number)

    def _hand_over(self, ticket: Mapping[str, Any]) -> None:
        """An order of the visitor's machine that the routing gave to one of the crew goes to the visitor."""
        asset = (ticket.get("asset") or {}).get("code", "")
        holder = (ticket.get("assignee") or {}).get("engineer_id")
        if self.engineer_id is None or ticket["status"] not in ("new", "assigned") or holder == self.engineer_id:
            return
        if self.here.world.knows(asset) and self.here.world.care(asset) is Care.VISITOR:
            path = f"/tickets/{ticket['ticket_id']}/assign"
            try:
                self.api.post(path, {"engineer_id": self.engineer_id}, version=int(ticket["version"]))
            except ApiError as error:
                if not error.lost_race:
                    raise

    def _mend(self, ticket: Mapping[str, Any]) -> None:
        asset = (ticket.get("asset") or {}).get("code", "")
        if not self.here.world.knows(asset):
            return
        what = Repair.SENSOR if ticket["kind"] == SENSOR_FAULT else Repair.MACHINE
        self.here.radio.send(asset, Command("repair", what.value))
        now_us = self.here.clock.now_us()
        self.here.world.mended(asset, now_us, what)
        self.here.diary.write(now_us, "visitor", "repair", ticket, asset=asset, what=what.value)


def live(person: Engineer | Planner | VisitorWatch, stop: threading.Event, *, poll_s: float = 1.0) -> None:
    """Let somebody work until ``stop``; an API or floor that is away for long is waited for."""
    while not stop.is_set():
        began = time.monotonic()
        try:
            person.step()
        except (ApiDown, FloorSilent) as error:
            log.warning("waiting", who=getattr(person, "name", "visitor watch"), error=str(error))
        except ApiError as error:
            log.error("refused", who=getattr(person, "name", "visitor watch"), error=str(error))
        stop.wait(max(0.05, poll_s - (time.monotonic() - began)))
