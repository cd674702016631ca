"""The plants we play: a demo for a visitor and a journey for the benchmark. Pure but for ``register``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulators import three_sigma
from simulators.client import ApiClient, ApiError
from simulators.machines import PHYSICS
from simulators.machines.base import RUNNING, Columns
from simulators.machines.duty import Duty, Shifts
from simulators.machines.faults import Law, SensorKind
from simulators.spec import DAY_US, HOUR_US, Care, FaultPlan, MachineSpec, Plant, Protocol, SensorPlan

DEMO_FACTOR = 1200.0  # an hour of the plant in three seconds
VISITORS = "M-201"  # the demo's machine that the crew leaves alone
SPEAKER = "V-402"  # the demo's machine that speaks Sparkplug
JOURNEY_FACTOR = 3600.0
JOURNEY_DAYS = 10.0
SETTLE_H = 18.0  # hours after the last failure for its repair to be proven
SITES = ("Hall A", "Hall B", "Yard")
CLASSES = (
    ("pump", "P-1", "Feed pump", "给水泵"),
    ("motor", "M-2", "Mill motor", "磨机电机"),
    ("compressor", "C-3", "Air compressor", "空压机"),
    ("conveyor", "V-4", "Belt conveyor", "皮带输送机"),
)


def plant(name: str, *, live_us: int) -> Plant:
    """The plant ``demo``, ``demo:SEED``, ``journey:SEED`` or ``quick:SEED`` for a live start in µs.

    It is the same wherever it is asked for.

    Raises ValueError for another name.
    """
    kind, _, seed = name.partition(":")
    if kind == "demo":
        return demo(int(seed or 1))
    if kind == "journey":
        return quieten(journey(int(seed or 1)), live_us)
    if kind == "quick":
        return quick(int(seed or 1))
    raise ValueError(f"There is no plant {name!r}. Use demo, demo:SEED, journey:SEED or quick:SEED.")


def demo(seed: int = 1) -> Plant:
    """Eight machines at 1200 times the speed of the wall.

    P-101's bearing begins to wear 6 plant hours (18 s) after the live start and would fail 30 hours (90 s) later;
    C-302's oil thermometer sticks after 20 hours; M-201's bearing, left to the visitor, begins after 14 hours and
    fails 100 hours (5 minutes) later. Then another of the crew's machines begins to fail about every 40 hours.
    """
    rng = np.random.default_rng([seed, 21])
    specs = [_spec(seed, rng, kind, number, device="") for kind in range(4) for number in (1, 2)]
    by_code = {spec.code: spec for spec in specs}
    faults: dict[str, list[FaultPlan]] = {code: [] for code in by_code}
    faults["P-101"].append(FaultPlan("bearing_wear", 6.0, 36.0, Law.POWER, 1.5))
    faults["M-201"].append(FaultPlan("bearing_outer_race", 14.0, 114.0, Law.POWER, 1.6))
    crew = ["V-401", "C-301", "P-102", "M-202", "V-402", "P-101"]
    for turn in range(24):
        code = crew[turn % len(crew)]
        onset = 70.0 + 40.0 * turn + rng.uniform(0.0, 8.0)
        faults[code].append(_fault(rng, by_code[code].asset_class, onset, rng.uniform(30.0, 60.0)))
    sensors = {"C-302": (SensorPlan("oil_temp", SensorKind.STUCK, 20.0),)}
    machines = [_with(spec, faults[spec.code], sensors.get(spec.code, ())) for spec in specs]
    machines = [replace(spec, care=Care.VISITOR) if spec.code == VISITORS else spec for spec in machines]
    machines = [replace(spec, protocol=Protocol.SPARKPLUG) if spec.code == SPEAKER else spec for spec in machines]
    return Plant(f"demo:{seed}", DEMO_FACTOR, 7.0, 42.0, tuple(machines))


def journey(seed: int) -> Plant:
    """24 machines: 12 with one fault each over all classes, 12 healthy that start, stop and change load more.

    Seven days of history, ten live ones; a fault takes 1.5 to 5 days and has failed by the ninth day. Four healthy
    machines have a sensor fault. Machines speak through four gateways, one a class.
    """
    rng = np.random.default_rng([seed, 22])
    machines: list[MachineSpec] = []
    lying = _sensor_plans(rng)
    for kind, (asset_class, *_) in enumerate(CLASSES):
        modes = rng.permutation(list(PHYSICS[asset_class](0).modes))[:3].tolist()
        ill = set(rng.permutation(6)[:3].tolist())
        healthy = 0
        for number in range(6):
            spec = _spec(seed, rng, kind, number + 1, device=f"gw-{kind + 1}", healthy=number not in ill)
            if number in ill:
                machines.append(_with(spec, [_journey_fault(rng, modes.pop())], ()))
            else:
                machines.append(_with(spec, [], lying[asset_class] if healthy == 0 else ()))
                healthy += 1
    return Plant(f"journey:{seed}", JOURNEY_FACTOR, 7.0, JOURNEY_DAYS, tuple(machines))


def quick(seed: int) -> Plant:
    """Six machines of the journey for a smoke run: four with an early fault, two healthy; two live days."""
    rng = np.random.default_rng([seed, 23])
    whole = journey(seed)
    ill = [next(spec for spec in whole.machines if spec.faults and spec.asset_class == name) for name, *_ in CLASSES]
    well = [spec for spec in whole.machines if not spec.faults][:2]
    faulty = []
    for spec in ill:
        onset = float(rng.uniform(3.0, 6.0))
        plan = replace(spec.faults[0], onset_h=onset, failure_h=onset + float(rng.uniform(36.0, 40.0)))
        faulty.append(replace(spec, faults=(plan,), duty=replace(spec.duty, shifts=Shifts.CONTINUOUS)))
    return Plant(f"quick:{seed}", 2 * JOURNEY_FACTOR, 4.0, 2.0, (*faulty, *well))


def quieten(which: Plant, live_us: int) -> Plant:
    """Move faults by whole hours so that in the hour after its onset no fault passes a fixed 3-sigma limit.

    The limit is learnt from the plant's own history. A stop, a start or a hot day may pass it on a sound machine at
    any time; a fault that begins just then would seem to be seen at its onset by chance.
    """
    return replace(which, machines=tuple(_quiet(which, spec, live_us) for spec in which.machines))


def _quiet(which: Plant, spec: MachineSpec, live_us: int) -> MachineSpec:
    if not spec.faults:
        return spec
    fault = spec.faults[0]
    until_us, start_us = live_us + round(which.live_days * DAY_US), which.start_us(live_us)
    well = replace(spec, faults=()).build(live_us, start_us=start_us).advance(until_us)
    limits = three_sigma.learn(well, until_us=live_us)
    latest = which.live_days * 24.0 - SETTLE_H
    for shift_h in sorted(range(-72, 73), key=abs):
        moved = replace(fault, onset_h=fault.onset_h + shift_h, failure_h=fault.failure_h + shift_h)
        onset_us = moved.fault(live_us).onset_us
        if moved.onset_h < 6.0 or moved.failure_h > latest or not _calm(limits, well, onset_us):
            continue
        found = replace(spec, faults=(moved,))
        ill = found.build(live_us, start_us=start_us).advance(onset_us + HOUR_US)
        if _calm(limits, ill, onset_us):
            return found
    raise ValueError(f"{spec.code}: no hour is calm enough for an onset")


def _calm(limits: three_sigma.Limits, columns: Columns, onset_us: int) -> bool:
    """Running all through the hour after the onset, and never outside the limits."""
    hour = (columns.at_us >= onset_us) & (columns.at_us < onset_us + HOUR_US)
    running = columns.values["state"][hour] == RUNNING
    return bool(running.all() and not limits.outside(columns)[hour].any())


@dataclass(frozen=True, slots=True)
class Hand:
    """A simulated engineer as registered: skill → level 1..3."""

    login: str
    name: str
    skills: Mapping[str, int]


CREW = (
    Hand("crew-1", "Mechanic 1", {"mechanical": 3, "vibration": 3, "process": 1, "electrical": 1}),
    Hand("crew-2", "Mechanic 2", {"mechanical": 3, "process": 3, "instrumentation": 2, "vibration": 1}),
    Hand("crew-3", "Electrician", {"electrical": 3, "instrumentation": 3, "mechanical": 2, "vibration": 2}),
    Hand("crew-4", "Shift fitter", {"mechanical": 2, "electrical": 2, "process": 2, "instrumentation": 2}),
)
PLANNER = "crew-planner"


@dataclass(frozen=True, slots=True)
class Registered:
    """Secrets of what was made now: device → password, login → API token."""

    devices: Mapping[str, str]
    tokens: Mapping[str, str]


def register(
    api: ApiClient,
    which: Plant,
    *,
    crew: Sequence[Hand] = (),
    known: Mapping[str, str] | None = None,
    language: str = "en",
) -> Registered:
    """Create assets, signals, bindings, devices and people through the public API (admin); may be repeated.

    ``known``: passwords of devices from an earlier time; a device that exists with a forgotten password is revoked
    and made anew. People get a new token each time; with a crew comes a planner, login ``crew-planner``. Raises
    ApiError.
    """
    api.post("/assets/import", which.import_body(language=language))
    devices = dict(known or {})
    for device in which.devices:
        if device not in devices:
            devices[device] = _device(api, device)
    for hand in crew:
        _unless_there(api, "/users", {"login": hand.login, "name": hand.name, "role": "engineer"})
        body = {"login": hand.login, "name": hand.name, "skills": dict(hand.skills), "shifts": "always"}
        enlist(api, body)
    if crew:
        _unless_there(api, "/users", {"login": PLANNER, "name": "Planning desk", "role": "planner"})
    logins = [hand.login for hand in crew] + ([PLANNER] if crew else [])
    tokens = {login: str(api.post("/tokens", {"login": login, "name": "simulator"})["token"]) for login in logins}
    return Registered(devices, tokens)


def _device(api: ApiClient, name: str) -> str:
    """The password of a device made now, in place of one of the same name."""
    made = _unless_there(api, "/devices", {"name": name})
    if made is None:
        for each in api.items("/devices"):
            if each["name"] == name and each["revoked_at"] is None:
                api.delete(f"/devices/{each['device_id']}")
        made = api.post("/devices", {"name": name})
    return str(made["secret"])


def enlist(api: ApiClient, body: Mapping[str, object]) -> int:
    """Make a user an engineer, or change the one they are; returns the engineer's id."""
    there = {each["login"]: each["version"] for each in api.items("/engineers")}
    made = api.post("/engineers", body, version=there.get(str(body["login"])))
    return int(made["engineer_id"])


def _unless_there(api: ApiClient, path: str, body: Mapping[str, object]) -> Mapping[str, Any] | None:
    """What the POST made; None when it existed already."""
    try:
        made: Mapping[str, Any] = api.post(path, body)
    except ApiError as error:
        if error.status != 409:
            raise
        return None
    return made


def _spec(
    seed: int, rng: np.random.Generator, kind: int, number: int, *, device: str, healthy: bool = False
) -> MachineSpec:
    asset_class, prefix, en, zh = CLASSES[kind]
    code = f"{prefix}{number:02d}"
    shifts = [Shifts.CONTINUOUS, Shifts.CONTINUOUS, Shifts.TWO, Shifts.DAY if healthy else Shifts.TWO]
    duty = Duty(
        shifts=shifts[int(rng.integers(len(shifts)))] if device else Shifts.CONTINUOUS,
        stops_per_day=1.2 if healthy else 0.4,
        load=float(rng.uniform(0.72, 0.84)),
        step=0.06 if healthy else 0.04,
    )
    return MachineSpec(
        code=code,
        name={"en": f"{en} {number}", "zh": f"{number}号{zh}"},
        asset_class=asset_class,
        criticality=int(rng.integers(2, 6)),
        location=SITES[int(rng.integers(len(SITES)))],
        device=device or code,
        seed=seed,
        duty=duty,
        weather_seed=seed,
        corner_c=float(rng.uniform(-2.0, 3.0)),
    )


def _with(spec: MachineSpec, faults: Sequence[FaultPlan], sensors: Sequence[SensorPlan]) -> MachineSpec:
    return replace(spec, faults=tuple(faults), sensor_faults=tuple(sensors))


def _fault(rng: np.random.Generator, asset_class: str, onset_h: float, hours: float) -> FaultPlan:
    modes = list(PHYSICS[asset_class](0).modes)
    mode = modes[int(rng.integers(len(modes)))]
    law, shape = _law(rng)
    return FaultPlan(mode, onset_h, onset_h + hours, law, shape)


def _journey_fault(rng: np.random.Generator, mode: str) -> FaultPlan:
    hours = float(rng.uniform(36.0, 120.0))
    onset = float(rng.uniform(12.0, 9.0 * 24.0 - hours))
    law, shape = _law(rng)
    return FaultPlan(mode, onset, onset + hours, law, shape)


def _law(rng: np.random.Generator) -> tuple[Law, float]:
    if rng.random() < 0.5:
        return Law.POWER, float(rng.uniform(1.3, 2.6))
    return Law.EXPONENTIAL, float(rng.uniform(1.5, 3.5))


def _sensor_plans(rng: np.random.Generator) -> dict[str, tuple[SensorPlan, ...]]:
    """One lying sensor on a healthy machine of every class."""
    kinds = [SensorKind.STUCK, SensorKind.SILENT, SensorKind.OUT_OF_RANGE, SensorKind.STUCK]
    signals = {"pump": "bearing_temp", "motor": "winding_temp", "compressor": "oil_temp", "conveyor": "vibration"}
    plans: dict[str, tuple[SensorPlan, ...]] = {}
    for asset_class, kind in zip(signals, rng.permutation([k.value for k in kinds]), strict=True):
        start = float(rng.uniform(24.0, 150.0))
        end = start + float(rng.uniform(12.0, 36.0))
        plans[asset_class] = (SensorPlan(signals[asset_class], SensorKind(str(kind)), start, end),)
    return plans
