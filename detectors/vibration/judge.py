"""Waveforms and levels of one machine → findings about its bearings and its zone. Pure.

waveform ──edge.features──> envelope spectrum ──lines──> a part's defect frequency ──┐
RMS of velocity or displacement ──zones──> a zone, with hysteresis ──────────────────┴──> finding with sentence
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.base import Finding, FindingKind, Sentence
from detectors.calibrate import ALARMING, CAP
from detectors.findings import moment
from detectors.vibration import lines, zones
from detectors.vibration.bearings import Bearing, Part
from detectors.vibration.errors import UnitUndeclared
from detectors.vibration.lines import Line
from detectors.vibration.zones import Standing, Zone
from edge.features import envelope_spectrum
from plant.model import Floats, Signal
from plant.units import conversion

NAME = "vibration"
VERSION = "1"
LOST_GE = 4.0  # line in the envelope at which the function counts as lost, as in ``limits``
HEALTH: Mapping[Zone, float] = {Zone.A: 1.0, Zone.B: 0.8, Zone.C: 0.4, Zone.D: 0.0}
STANDARD_GRAVITY = 9.80665


@dataclass(frozen=True, slots=True)
class Take:
    """One waveform: acceleration float64[n] in ``unit``, evenly at ``rate_hz``, at a shaft speed, of one signal."""

    signal: Signal
    wave: Floats
    rate_hz: float
    speed_rpm: float
    unit: str | None
    band: tuple[float, float] | None = None  # carrier band of the envelope in Hz


@dataclass(frozen=True, slots=True)
class Heard:
    """The defect that stands out most over all takes: its line in the loudest of them, and each take's surprise."""

    bearing: Bearing
    line: Line
    take: Take
    surprise: float
    by_signal: Mapping[int, float]


def loudest(takes: Sequence[Take], bearings: Sequence[Bearing]) -> Heard | None:
    """The bearing and part whose line is the most surprising, counting how many were looked for; None: no line at all.

    Raises UnitUndeclared, UnknownUnit or WrongUnit for a take that is no acceleration, and BadWave.
    """
    found: dict[tuple[int, Part], list[tuple[Take, Line]]] = {}
    for take in takes:
        frequency, amplitude = envelope_spectrum(_acceleration(take), take.rate_hz, band=take.band)
        for which, bearing in enumerate(bearings):
            for part, line in lines.lines(frequency, amplitude, bearing, speed_rpm=take.speed_rpm).items():
                found.setdefault((which, part), []).append((take, line))
    if not found:
        return None
    (which, _), heard = max(found.items(), key=lambda item: max(_weight(line) for _, line in item[1]))
    take, line = max(heard, key=lambda pair: _weight(pair[1]))
    tries = math.log10(len(takes) * len(bearings))
    by_signal: dict[int, float] = {}
    for other, its in heard:
        by_signal[other.signal.signal_id] = max(by_signal.get(other.signal.signal_id, 0.0), its.surprise)
    return Heard(bearings[which], line, take, max(line.surprise - tries, 0.0), by_signal)


def bearing_finding(takes: Sequence[Take], bearings: Sequence[Bearing], *, at_us: int) -> Finding | None:
    """A finding where a bearing's defect is heard with an alarming surprise, else None. Raises as ``loudest``."""
    heard = loudest(takes, bearings)
    if heard is None or heard.surprise < ALARMING:
        return None
    total = sum(heard.by_signal.values())
    shares = {signal_id: each / total for signal_id, each in heard.by_signal.items() if each > 0.0}
    return _finding(
        heard.take.signal,
        at_us,
        surprise=min(heard.surprise, CAP),
        shares=shares,
        health=max(0.0, 1.0 - heard.line.amplitude / STANDARD_GRAVITY / LOST_GE),
        sentence=sentence_of(heard),
    )


def sentence_of(heard: Heard) -> Sentence:
    """What to say of a line: the frequency found and expected in Hz, the speed, the bearing."""
    return Sentence(f"vibration.{heard.line.part.value.lower()}", _words(heard))


class ZoneWatch:
    """The zone of one signal's RMS values, one after another."""

    def __init__(self, signal: Signal, standing: Standing) -> None:
        """Raises UnitUndeclared or OutsideStandard where the signal's quantity has no zones."""
        zones.zone_of(0.0, signal.unit, standing)
        self._signal, self._standing = signal, standing
        self.zone = Zone.A

    def take(self, rms: float, *, at_us: int) -> Finding | None:
        """A finding when the value enters zone C or D, and one that ends it when it is back in A or B."""
        before, self.zone = self.zone, zones.next_zone(self.zone, rms, self._signal.unit, self._standing)
        if self.zone == before or max(before, self.zone) < Zone.C:
            return None
        active = self.zone >= Zone.C
        return _finding(
            self._signal,
            at_us,
            surprise=ALARMING * (self.zone - Zone.B) if active else 0.0,
            shares={self._signal.signal_id: 1.0},
            health=HEALTH[self.zone],
            sentence=Sentence(f"vibration.zone_{self.zone.name.lower()}", self._words(rms)),
            active=active,
        )

    def _words(self, rms: float) -> dict[str, str | float]:
        passed = max(self.zone, Zone.B)
        return {
            "signal": self._signal.name or self._signal.code,
            "value": rms,
            "unit": self._signal.unit,
            "limit": zones.limit_of(passed, self._signal.quantity, self._standing),
            "group": self._standing.group.value,
        }


def _weight(line: Line) -> tuple[float, float]:
    """Which of two lines counts more: harmonics of one part's defect may lie near those of another's."""
    return line.surprise, line.prominence


def _acceleration(take: Take) -> Floats:
    """The wave in m/s²."""
    if take.unit is None or take.unit in ("", "1"):
        raise UnitUndeclared
    return np.asarray(take.wave, np.float64) * conversion("vibration_acceleration", take.unit).scale


def _words(heard: Heard) -> dict[str, str | float]:
    line, take = heard.line, heard.take
    return {
        "signal": take.signal.name or take.signal.code,
        "bearing": heard.bearing.name,
        "hz": round(line.found_hz, 2),
        "expected_hz": round(line.expected_hz, 2),
        "rpm": round(take.speed_rpm),
        "times": round(line.prominence, 1),
        "harmonics": float(line.harmonics),
    }


def _finding(
    signal: Signal,
    at_us: int,
    *,
    surprise: float,
    shares: Mapping[int, float],
    health: float,
    sentence: Sentence,
    active: bool = True,
) -> Finding:
    return Finding(
        detector=NAME,
        version=VERSION,
        kind=FindingKind.MACHINE,
        asset_id=signal.asset_id,
        site_id=signal.site_id,
        failure_mode=None,
        started_at=moment(at_us),
        at=moment(at_us),
        surprise=surprise,
        active=active,
        contributions=shares,
        directions=dict.fromkeys(shares, 1),
        health=health,
        sentence=sentence,
    )
