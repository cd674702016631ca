"""A small physical machine for the tests of judgement: load cycles, weather, starts and stops, thermal lag, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from detectors.base import Detector, Finding, FindingKind, Frame
from plant.model import Floats, Role, Signal

START_US = 1_767_225_600_000_000  # 2026-01-01
DAY_ROWS = 1_440
MINUTE_US = 60_000_000

SPECS = (
    # code, quantity, unit, low, high, role
    ("state", "state", "", None, None, Role.STATE),
    ("ambient", "temperature", "°C", -40.0, 80.0, Role.SETPOINT),
    ("load", "ratio", "%", 0.0, 120.0, Role.SETPOINT),
    ("flow", "flow", "m3/h", 0.0, 400.0, Role.MEASURED),
    ("pressure", "pressure", "bar", 0.0, 16.0, Role.MEASURED),
    ("current", "current", "A", 0.0, 200.0, Role.MEASURED),
    ("vibration", "vibration_velocity", "mm/s", 0.0, 50.0, Role.MEASURED),
    ("bearing_temp", "temperature", "°C", -40.0, 150.0, Role.MEASURED),
)
SIGNALS: tuple[Signal, ...] = tuple(
    Signal(i + 1, 1, 1, code, code.replace("_", " "), quantity, unit, low, high, 60.0, role)
    for i, (code, quantity, unit, low, high, role) in enumerate(SPECS)
)
COLUMN = {signal.code: i for i, signal in enumerate(SIGNALS)}

Wear = dict[str, float]  # signal → relative change at the end of the degradation
WEAR_MODES: dict[str, Wear] = {
    "bearing": {"vibration": 1.5, "bearing_temp": 0.35, "current": 0.04},
    "cavitation": {"pressure": -0.22, "flow": -0.15, "vibration": 1.0},
    "impeller": {"flow": -0.22, "pressure": -0.2, "current": -0.12},
    "seal": {"flow": -0.2, "pressure": -0.18},
}


@dataclass(frozen=True)
class Life:
    """Rows of one machine: ``values`` float64[n, signals] with NaN for missing, ``wear`` float64[n] 0..1."""

    at_us: npt.NDArray[np.int64]
    values: Floats
    wear: Floats

    def frame(self, start: int = 0, end: int | None = None) -> Frame:
        values = self.values[start:end]
        state = np.where(np.isfinite(values[:, 0]), values[:, 0], -1).astype(np.int16)
        return Frame(1, SIGNALS, self.at_us[start:end], values, np.zeros(values.shape, dtype=np.bool_), state)

    def with_values(self, values: Floats) -> Life:
        return replace(self, values=values)


def live(
    seed: int,
    days: float,
    *,
    mode: str | None = None,
    onset_day: float = 4.0,
    wear_days: float = 3.0,
    noise: float = 0.025,
) -> Life:
    """A machine's life, one row a minute; with a ``mode`` it degrades from ``onset_day`` on until its failure."""
    rng = np.random.default_rng([seed, 77])
    n = int(days * DAY_ROWS)
    minute = np.arange(n)
    state = _states(rng, n)
    load = np.clip(_load(rng, n) * (state == 1), 0.0, 120.0)
    ambient = 20 + rng.normal(0, 3) + 5 * np.sin(2 * np.pi * (minute / DAY_ROWS - 0.4)) + _wander(rng, n, 720, 1.0)
    wear = np.clip((minute / DAY_ROWS - onset_day) / wear_days, 0.0, 1.0) ** 2 if mode else np.zeros(n)
    healthy = _physics(load, ambient, state, minute)
    values = np.empty((n, len(SIGNALS)))
    values[:, COLUMN["state"]] = state
    values[:, COLUMN["ambient"]] = ambient + rng.normal(0, 0.1, n)
    values[:, COLUMN["load"]] = load + (state == 1) * rng.normal(0, 0.3, n)
    for code, clean in healthy.items():
        change = WEAR_MODES[mode].get(code, 0.0) if mode else 0.0
        size = np.abs(clean).mean() * noise * (0.4 if code == "bearing_temp" else 1.0)
        seen = clean * (1 + change * wear * (state > 0)) + rng.normal(0, size, n) * (state > 0)
        values[:, COLUMN[code]] = seen if code == "bearing_temp" else np.maximum(seen, 0.0)
    return Life(START_US + (minute + 1) * MINUTE_US, values, wear)


def _states(rng: np.random.Generator, n: int) -> npt.NDArray[np.int16]:
    state = np.ones(n, dtype=np.int16)
    row = 0
    while row < n:
        row += int(rng.exponential(900)) + 60
        stop = int(rng.exponential(90)) + 15
        state[row : row + stop] = 0
        state[row + stop : row + stop + 5] = 2
        row += stop + 5
    return state


def _load(rng: np.random.Generator, n: int) -> Floats:
    """Steps every few hours, a shift cycle, a slow wander."""
    steps = np.cumsum(rng.random(n) < 1 / 180)
    levels = rng.uniform(55, 95, int(steps[-1]) + 1)
    shift = 6 * np.sign(np.sin(2 * np.pi * np.arange(n) / DAY_ROWS))
    return np.asarray(levels[steps] + shift + _wander(rng, n, 120, 1.5), np.float64)


def _wander(rng: np.random.Generator, n: int, rows: int, size: float) -> Floats:
    out = np.empty(n)
    value, keep = 0.0, np.exp(-1 / rows)
    kicks = rng.normal(0, size * np.sqrt(1 - keep**2), n)
    for i in range(n):
        value = keep * value + kicks[i]
        out[i] = value
    return out


def _physics(
    load: Floats, ambient: Floats, state: npt.NDArray[np.int16], minute: npt.NDArray[np.intp]
) -> dict[str, Floats]:
    turning = (state == 1) * 1.0
    u = load / 100
    flow = 220 * u * (1 + 0.03 * (u - 0.8))
    pressure = turning * (9.5 - 2.8 * u**2)
    current = turning * (28 + 55 * u**1.4)
    vibration = turning * (1.1 + 0.9 * u**2)
    losses = turning * (12 + 22 * u**1.5)
    heat = np.empty(len(u))
    surroundings = np.empty(len(u))
    h, s = losses[0], ambient[0]
    for i in range(len(u)):
        h += (losses[i] - h) / 35
        s += (ambient[i] - s) / 60
        heat[i], surroundings[i] = h, s
    return {
        "flow": flow,
        "pressure": pressure,
        "current": current,
        "vibration": vibration,
        "bearing_temp": surroundings + heat,
    }


def play(detector: Detector, life: Life, *, rows: int = DAY_ROWS) -> list[Finding]:
    """All findings of a life, played in frames of ``rows``."""
    found: list[Finding] = []
    for start in range(0, len(life.at_us), rows):
        found.extend(detector.update(life.frame(start, start + rows)).findings)
    return found


def day_of(finding: Finding) -> float:
    """When a finding was made, in days of the life."""
    return float((finding.at.timestamp() * 1e6 - START_US) / (DAY_ROWS * MINUTE_US))


def begun(findings: Sequence[Finding], kind: FindingKind) -> list[Finding]:
    """Active findings of a kind."""
    return [finding for finding in findings if finding.kind is kind and finding.active]
