"""A simulated plant in which one thing fails and everything speaks at once, while five machines have own faults.

All that decides a scenario is drawn from its seed and stays here: which supply fails, what it feeds, how soon and how
far each machine follows, for how long, how they come back; and of each hidden fault what it is, when it began, how much
of the deviation is its own. The product sees findings, the tree and the declared supplies, nothing else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from psycopg import Connection

from detectors.base import Finding, FindingKind, Sentence
from maintenance import library, works
from maintenance.model import UNKNOWN
from plant import assets

BEGIN = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
REPEAT_H = 0.7  # a detector says again what goes on
VIBRATION, HEAT = ("vibration_velocity", "mm/s"), ("temperature", "°C")
FLOW, PRESSURE, CURRENT, SPEED = ("flow", "m3/h"), ("pressure", "bar"), ("current", "A"), ("speed", "m/s")
SIGNALS = {
    "pump": {"vibration": VIBRATION, "bearing_temp": HEAT, "flow": FLOW, "pressure": PRESSURE, "current": CURRENT},
    "fan": {"vibration": VIBRATION, "bearing_temp": HEAT, "flow": FLOW, "current": CURRENT},
    "conveyor": {"vibration": VIBRATION, "bearing_temp": HEAT, "current": CURRENT, "speed": SPEED},
    "compressor": {"vibration": VIBRATION, "discharge_temp": HEAT, "pressure": PRESSURE, "current": CURRENT},
}
CAUSES = ("power", "air", "water", "network")
UNDECLARED = "undeclared"  # a supply fails of which nobody told the product: only the tree is known
LASTS_H = {UNDECLARED: (0.5, 4.0), "power": (0.4, 2.5), "air": (2.0, 6.0), "water": (3.0, 9.0), "network": (0.5, 4.0)}
FOLLOWS_S = {UNDECLARED: 15.0, "power": 4.0, "air": 25.0, "water": 40.0, "network": 8.0}  # mean delay of a machine
PULLS = {  # how a supply that fails may move what is measured: the strongest first, drawn anew for each scenario
    "power": {"current": -1.0, "speed": -0.8, "flow": -0.5, "pressure": -0.3},
    "air": {"pressure": -1.0, "flow": -0.7, "current": -0.2, "speed": -0.4},
    "water": {"bearing_temp": 1.0, "discharge_temp": 1.0, "current": 0.15},
    UNDECLARED: {},
}
ASIDE = 0.5  # spread of what a failing supply does to any signal besides: the product's table of media knows none of it
HIDDEN = ("elsewhere", "earlier", "signature", "persists", "late")
HIDDEN_NETWORK = ("elsewhere", "elsewhere", "earlier", "persists", "persists")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A fault of its own: ``kind`` how it hides, ``begins_s`` from the cause's beginning, ``own`` share it has."""

    kind: str
    begins_s: float
    own: float
    pull: Mapping[str, float]
    mode: str


@dataclass(slots=True)
class Machine:
    """A machine with what happens to it."""

    asset_id: int
    code: str
    asset_class: str
    signals: Mapping[str, int]
    affected: bool = False
    follows_s: float = 0.0
    back_h: float = 0.0
    pull: Mapping[str, float] = field(default_factory=dict)
    health: float = 0.7
    hidden: Hidden | None = None


@dataclass(slots=True)
class Scenario:
    """One plant and its bad day."""

    cause: str
    feeder: int
    machines: list[Machine]
    lasts_h: float
    site: int
    pulls: Mapping[str, float] = field(default_factory=dict)

    @property
    def affected(self) -> list[Machine]:
        return [each for each in self.machines if each.affected]

    @property
    def hidden(self) -> list[Machine]:
        return [each for each in self.machines if each.hidden is not None]

    @property
    def over_h(self) -> float:
        """When everything that comes back has come back, and what persists has been seen to."""
        return max(each.back_h for each in self.affected) + 7.0


def draw(conn: Connection, site: int, *, seed: int, cause: str, machines: int) -> Scenario:
    """Build the plant in the database and draw its day."""
    chance = random.Random(seed)  # noqa: S311 - no secret comes of it
    made, fed = _build(conn, chance, cause, machines)
    scenario = Scenario(cause, fed[0], made, chance.uniform(*LASTS_H[cause]), site, _pulls(cause, chance))
    reached = chance.uniform(0.6, 1.0)
    below = {each.asset_id for each in made if each.asset_id in fed[1]}
    for machine in made:
        machine.affected = machine.asset_id in below and chance.random() < reached
        if machine.affected:
            _disturb(machine, scenario, chance)
    _hide(scenario, below, chance)
    return scenario


def burst(scenario: Scenario, anomalies: int, *, seed: int) -> list[tuple[Machine, list[Finding]]]:
    """The minute in which everything speaks: ``anomalies`` findings, by machine, in the order of their first word."""
    chance = random.Random(seed + 1)  # noqa: S311
    speaking = [each for each in scenario.machines if each.affected or _hides_in_the_minute(each)]
    counts = [anomalies // len(speaking) + (index < anomalies % len(speaking)) for index in range(len(speaking))]
    said = []
    for machine, count in zip(speaking, counts, strict=True):
        first = machine.follows_s if machine.affected else chance.uniform(2, 50)
        times = sorted(chance.uniform(first + 0.5, 59.9) if first < 59 else 59.9 for _ in range(count))
        said.append((machine, [_finding(scenario, machine, at / 3600, chance, nth) for nth, at in enumerate(times)]))
    return sorted(said, key=lambda each: each[1][0].at)


def after(scenario: Scenario, *, seed: int) -> Iterator[tuple[float, list[tuple[Machine, list[Finding]]]]]:
    """(hours, what is said then) until the end, every ``REPEAT_H``: what goes on is said again, what ends ends once."""
    chance = random.Random(seed + 2)  # noqa: S311
    spoken = {each.asset_id for each in scenario.machines if each.affected or _hides_in_the_minute(each)}
    hours = REPEAT_H
    while hours <= scenario.over_h:
        said = []
        for machine in scenario.machines:
            if _deviates(machine, hours):
                said.append((machine, [_finding(scenario, machine, hours, chance, 0)]))
                spoken.add(machine.asset_id)
            elif machine.asset_id in spoken:
                spoken.discard(machine.asset_id)
                ends = [_ending(scenario, machine, min(machine.back_h, hours), nth) for nth in range(DETECTORS)]
                said.append((machine, ends))
        yield hours, said
        hours += REPEAT_H


# -- the plant --------------------------------------------------------------------------------------------------------


def _build(
    conn: Connection, chance: random.Random, cause: str, machines: int
) -> tuple[list[Machine], tuple[int, set[int]]]:
    """Areas, lines, machines; supplies of each kind that cut across the lines. Returns also the supply that fails."""
    lines = []
    for area in range(chance.randint(2, 4)):
        above = assets.create_asset(conn, code=f"A{area}", name="Area", asset_class="", level="area")
        for line in range(chance.randint(2, 5)):
            code = f"A{area}-L{line}"
            lines.append(
                assets.create_asset(conn, code=code, name="Line", asset_class="", level="line", parent_id=above)
            )
    made = [_machine(conn, chance, number, chance.choice(lines)) for number in range(machines)]
    fails: tuple[int, set[int]] = (0, set())
    if cause == UNDECLARED:
        return made, (0, {each.asset_id for each in chance.sample(made, int(chance.uniform(0.35, 0.75) * machines))})
    for medium in CAUSES:
        top = assets.create_asset(conn, code=f"{medium}-0", name="Supply", asset_class="")
        for part in range(1, chance.randint(2, 4)):
            feeder = assets.create_asset(conn, code=f"{medium}-{part}", name="Supply", asset_class="")
            works.feed(conn, feeder, top, medium)
            share = chance.uniform(0.35, 0.75) if part == 1 else chance.uniform(0.1, 0.3)
            fed = {each.asset_id for each in chance.sample(made, int(share * machines))}
            for asset_id in sorted(fed):
                works.feed(conn, asset_id, feeder, medium)
            if medium == cause and part == 1:
                fails = (feeder, fed)
    return made, fails


def _machine(conn: Connection, chance: random.Random, number: int, line: int) -> Machine:
    asset_class = chance.choice(sorted(SIGNALS))
    code = f"M-{number:04d}"
    asset_id = assets.create_asset(
        conn, code=code, name="Machine", asset_class=asset_class, parent_id=line, criticality=chance.randint(1, 5)
    )
    signals = {
        name: assets.create_signal(conn, asset_id=asset_id, code=name, name=name, quantity=quantity, unit=unit)
        for name, (quantity, unit) in SIGNALS[asset_class].items()
    }
    return Machine(asset_id, code, asset_class, signals)


def _disturb(machine: Machine, scenario: Scenario, chance: random.Random) -> None:
    machine.follows_s = min(chance.expovariate(1 / FOLLOWS_S[scenario.cause]), 58.0)
    machine.back_h = scenario.lasts_h * math.exp(chance.gauss(0, 0.08)) + chance.expovariate(1 / 0.15)
    machine.health = min(max(chance.gauss(0.65, 0.06), 0.45), 0.9)
    pulls = scenario.pulls
    machine.pull = {
        name: pulls.get(name, 0.0) * math.exp(chance.gauss(0, 0.25)) + chance.gauss(0, 0.06) for name in machine.signals
    }


def _pulls(cause: str, chance: random.Random) -> dict[str, float]:
    """What this failure does to each signal of a plant: what such a supply does as a rule, and anything besides.

    Nothing at all is said of a network: its machines fall silent.
    """
    if cause == "network":
        return {}
    names = sorted({name for signals in SIGNALS.values() for name in signals})
    usual = PULLS[cause]
    return {name: usual.get(name, 0.0) * chance.uniform(0.3, 1.0) + chance.gauss(0, ASIDE) for name in names}


def _hide(scenario: Scenario, below: set[int], chance: random.Random) -> None:
    inside = [each for each in scenario.machines if each.affected]
    outside = [each for each in scenario.machines if each.asset_id not in below]
    kinds = HIDDEN_NETWORK if scenario.cause == "network" else HIDDEN
    for kind in kinds:
        pool = outside if kind == "elsewhere" else inside
        machine = chance.choice([each for each in pool if each.hidden is None])
        begins = {
            "earlier": -chance.uniform(1.5, 20) * 3600,
            "late": chance.uniform(0.1, 0.5) * scenario.lasts_h * 3600,
        }
        own = {"elsewhere": 1.0, "persists": chance.uniform(0.0, 0.3)}.get(kind, chance.uniform(0.4, 0.9))
        mode, pull = _fault(machine, chance)
        machine.hidden = Hidden(kind, begins.get(kind, chance.uniform(0, 55)), own, pull, mode)


def _fault(machine: Machine, chance: random.Random) -> tuple[str, dict[str, float]]:
    """One of the class's failure modes, and its signature as this machine shows it."""
    modes = [mode for mode in library.modes(machine.asset_class) if mode.code != UNKNOWN and mode.symptoms]
    kinds = SIGNALS[machine.asset_class]
    while True:
        mode = chance.choice(modes)
        pull = {
            name: symptom.direction * symptom.weight * math.exp(chance.gauss(0, 0.2))
            for symptom in mode.symptoms
            for name, (quantity, _) in kinds.items()
            if quantity == symptom.quantity and (not symptom.words or set(symptom.words) & set(name.split("_")))
        }
        if pull:
            return mode.code, {name: pull.get(name, 0.0) + chance.gauss(0, 0.05) for name in machine.signals}


# -- what is said -----------------------------------------------------------------------------------------------------

DETECTORS = 2
NAMES = ("bank", "multivariate")


def _hides_in_the_minute(machine: Machine) -> bool:
    return machine.hidden is not None and machine.hidden.kind in ("elsewhere", "earlier")


def _deviates(machine: Machine, hours: float) -> bool:
    if machine.hidden is not None and hours * 3600 >= machine.hidden.begins_s:
        return True
    return machine.affected and hours < machine.back_h


def _pull(scenario: Scenario, machine: Machine, hours: float) -> dict[str, float]:
    """What moves the machine now: the cause, its own fault, or both."""
    hidden = machine.hidden
    common = machine.affected and hours < machine.back_h
    if hidden is None or hours * 3600 < hidden.begins_s:
        return dict(machine.pull)
    own = hidden.own if common else 1.0
    if scenario.cause == "network" and hidden.kind != "elsewhere":
        own = 1.0
    one, other = _unit(machine.pull if common else {}), _unit(hidden.pull)
    if hidden.kind == "persists" and not common:
        return {name: machine.pull.get(name, 0.0) + hidden.own * other.get(name, 0.0) for name in machine.signals}
    return {name: (1 - own) * one.get(name, 0.0) + own * other.get(name, 0.0) for name in machine.signals}


def _finding(scenario: Scenario, machine: Machine, hours: float, chance: random.Random, nth: int) -> Finding:
    if scenario.cause == "network" and not (machine.hidden is not None and machine.hidden.kind == "elsewhere"):
        return _silent(scenario, machine, hours)
    pull = {name: value + chance.gauss(0, 0.03) for name, value in _pull(scenario, machine, hours).items()}
    total = sum(abs(value) for value in pull.values())
    hidden = machine.hidden
    lost = 0.0
    if hidden is not None and hidden.kind != "persists":
        lost = 0.02 * max(0.0, hours - hidden.begins_s / 3600)
    return Finding(
        detector=NAMES[nth % DETECTORS],
        version="1",
        kind=FindingKind.MACHINE,
        asset_id=machine.asset_id,
        site_id=scenario.site,
        failure_mode=None,
        started_at=BEGIN + timedelta(seconds=_started_s(machine, chance)),
        at=BEGIN + hours * HOUR,
        surprise=chance.uniform(4, 9),
        active=True,
        contributions={machine.signals[name]: abs(value) / total for name, value in pull.items()},
        directions={machine.signals[name]: 1 if value > 0 else -1 for name, value in pull.items()},
        health=max(0.05, machine.health + chance.gauss(0, 0.015) - lost),
        sentence=Sentence("drift", {}),
    )


def _started_s(machine: Machine, chance: random.Random) -> float:
    """Since when, as a detector believes it: some seconds off."""
    hidden = machine.hidden
    if hidden is not None and (not machine.affected or hidden.kind == "earlier"):
        return hidden.begins_s
    return machine.follows_s + min(chance.expovariate(1 / 3.0), 1.0)


def _silent(scenario: Scenario, machine: Machine, hours: float) -> Finding:
    """Nothing comes of the machine; of one that fell silent before, since then."""
    name = next(iter(machine.signals))
    hidden = machine.hidden
    started = hidden.begins_s if hidden is not None and hidden.kind == "earlier" else machine.follows_s
    return Finding(
        "sensors", "1", FindingKind.SENSOR, machine.asset_id, scenario.site, "silent",
        BEGIN + timedelta(seconds=started), BEGIN + hours * HOUR, 9.0, True, {machine.signals[name]: 1.0},
        {machine.signals[name]: 0}, 1.0, Sentence("silent", {"signal": name}),
    )  # fmt: skip


def _ending(scenario: Scenario, machine: Machine, hours: float, nth: int) -> Finding:
    """The end of a deviation, by one of the detectors that spoke."""
    if scenario.cause == "network":
        return replace(_silent(scenario, machine, hours + nth * 1e-4), active=False)
    first = next(iter(machine.signals.values()))
    return Finding(
        NAMES[nth], "1", FindingKind.MACHINE, machine.asset_id, scenario.site, None, BEGIN, BEGIN + hours * HOUR, 0.0,
        False, {first: 1.0}, {}, 0.97, Sentence("recovered", {}),
    )  # fmt: skip


def _unit(pull: Mapping[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(value * value for value in pull.values()))
    return {name: value / length for name, value in pull.items()} if length else {}


def causes_of(seed: int, scenarios: int) -> Sequence[str]:
    """Which supply fails in each scenario: every kind before any comes again."""
    chance = random.Random(seed)  # noqa: S311
    order: list[str] = []
    while len(order) < scenarios:
        order += [*chance.sample(CAUSES, len(CAUSES)), UNDECLARED]
    return order[:scenarios]
