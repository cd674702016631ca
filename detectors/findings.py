"""Numbers → findings with shares, directions, health and a sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from detectors.base import Finding, FindingKind, Sentence
from detectors.episodes import Turn
from detectors.limits import functional_limit
from plant.model import Floats, Signal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
LOUDEST = 12.0  # sigmas; more says no more about which signal is concerned
FAINTEST = 1.0
ALONE = 0.75  # share above which one signal tells the whole story
BAND_SIGMAS = 4.0


def moment(at_us: int) -> datetime:
    """µs since the epoch as an aware time."""
    return EPOCH + timedelta(microseconds=at_us)


@dataclass(frozen=True, slots=True)
class Size:
    """How far each measured signal is off at one row: level in sigmas, expected value and sigma in its unit."""

    signals: Sequence[Signal]
    level: Floats
    expected: Floats
    sigma: Floats

    @property
    def leader(self) -> int:
        """Position of the signal that deviates most."""
        return int(np.argmax(np.abs(self.level))) if len(self.level) else 0

    @property
    def shares(self) -> Floats:
        """float64[k], summing to 1: squared sigmas, faint ones left out, loud ones capped."""
        loud = np.minimum(np.abs(self.level), LOUDEST)
        weight = np.where(loud >= FAINTEST, loud, 0.0) ** 2
        if weight.sum() == 0.0:
            weight = loud**2 + 1e-12
        return np.asarray(weight / weight.sum(), np.float64)

    @property
    def health(self) -> float:
        """1 = as expected … 0 = some signal has reached its functional limit."""
        worst = 0.0
        for signal, level, expected, sigma in zip(self.signals, self.level, self.expected, self.sigma, strict=True):
            if np.isfinite(expected) and sigma > 0:
                limit = functional_limit(signal, expected=float(expected), sigma=float(sigma))
                worst = max(worst, abs(float(level)) * float(sigma) / limit)
        return max(0.0, 1.0 - worst)


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks."""

    detector: str
    version: str
    asset_id: int
    site_id: int

    def machine(self, size: Size, *, turn: Turn, started_us: int, at_us: int, surprise: float) -> Finding:
        """A finding about the machine from the deviations of its signals."""
        shares = size.shares
        ids = [signal.signal_id for signal in size.signals]
        return Finding(
            detector=self.detector,
            version=self.version,
            kind=FindingKind.MACHINE,
            asset_id=self.asset_id,
            site_id=self.site_id,
            failure_mode=None,
            started_at=moment(min(started_us, at_us)),
            at=moment(at_us),
            surprise=surprise,
            active=turn is not Turn.ENDS,
            contributions={i: float(share) for i, share in zip(ids, shares, strict=True) if share > 0},
            directions={i: int(np.sign(level)) for i, level in zip(ids, size.level, strict=True)},
            health=size.health,
            sentence=_machine_sentence(size, turn, hours=max(at_us - started_us, 0) / HOUR_US),
        )

    def sensor(
        self, signal: Signal, mode: str, *, turn: Turn, started_us: int, at_us: int, surprise: float, value: float
    ) -> Finding:
        """A finding about one sensor; the machine's health is not concerned."""
        key = "sensor_recovered" if turn is Turn.ENDS else mode
        hours = max(at_us - started_us, 0) / HOUR_US
        words: dict[str, str | float] = {**_names(signal), "value": value, "hours": round(hours, 3), "fault": mode}
        words["low"] = signal.low if signal.low is not None else float("nan")
        words["high"] = signal.high if signal.high is not None else float("nan")
        return Finding(
            detector=self.detector,
            version=self.version,
            kind=FindingKind.SENSOR,
            asset_id=self.asset_id,
            site_id=self.site_id,
            failure_mode=mode,
            started_at=moment(min(started_us, at_us)),
            at=moment(at_us),
            surprise=surprise,
            active=turn is not Turn.ENDS,
            contributions={signal.signal_id: 1.0},
            directions={signal.signal_id: 0},
            health=1.0,
            sentence=Sentence(key, {k: v for k, v in words.items() if not (isinstance(v, float) and np.isnan(v))}),
        )


def _names(signal: Signal) -> dict[str, str | float]:
    return {"signal": signal.name or signal.code, "code": signal.code, "unit": signal.unit}


def _machine_sentence(size: Size, turn: Turn, *, hours: float) -> Sentence:
    leader, shares = size.leader, size.shares
    signal = size.signals[leader]
    expected, sigma, level = (float(column[leader]) for column in (size.expected, size.sigma, size.level))
    expected = expected if np.isfinite(expected) else 0.0
    sigma = sigma if np.isfinite(sigma) else 0.0
    many = [size.signals[j].code for j in np.argsort(-shares, kind="stable") if shares[j] >= 0.1]
    words: dict[str, str | float] = {
        **_names(signal),
        "value": expected + level * sigma,
        "expected": expected,
        "low": expected - BAND_SIGMAS * sigma,
        "high": expected + BAND_SIGMAS * sigma,
        "sigmas": round(abs(level), 1),
        "hours": round(hours, 2),
        "signals": ", ".join(many),
        "count": float(len(many)),
    }
    if turn is Turn.ENDS:
        return Sentence("recovered", words)
    return Sentence("drift" if shares[leader] >= ALONE else "multivariate", words)
