"""The default chain of one asset: what every machine gets without anybody choosing. Pure.

frame ──> sensor check ──> trusted values ──> context ──> bank + multivariate ──> one machine finding
               │                                 │
               └── stuck, silent, out of range   └── spikes and steps of one signal: sensor findings
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detectors.algorithms import bank_detector, multivariate, sensor_check
from detectors.base import Frame, Judgement
from detectors.findings import Voice
from detectors.jumps import JumpWatch
from detectors.machine import MachineDetector
from detectors.snapshot import Array, pack, restore
from plant.model import Role, Signal

NAME = "chain"
VERSION = "1"


class Chain:
    """Sensor check, context, bank and multivariate detector as one detector (see ``Detector``)."""

    name = NAME
    version = VERSION

    def __init__(self, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> None:
        self._sensors = sensor_check.SensorCheck(asset_id=asset_id, site_id=site_id, signals=signals)
        self._machine = MachineDetector(
            NAME,
            VERSION,
            asset_id=asset_id,
            site_id=site_id,
            asset_class=asset_class,
            signals=signals,
            scorers=(bank_detector.BankScorer, multivariate.MultivariateScorer),
        )
        measured = [signal for signal in signals if signal.role is Role.MEASURED]
        voice = Voice(sensor_check.NAME, sensor_check.VERSION, asset_id, site_id)
        self._jumps = JumpWatch(voice, measured, self._machine.pace)

    def update(self, frame: Frame) -> Judgement:
        """Findings of sensors and machine in time order; ``surprise`` is the machine's."""
        faults, trusted, _ = self._sensors.scan(frame)
        judgement, residuals = self._machine.judge(frame, trusted)
        found = [*faults, *self._jumps.watch(residuals), *judgement.findings]
        return Judgement(sorted(found, key=lambda finding: finding.at), judgement.bands, judgement.surprise)

    def relearn(self, at_us: int) -> None:
        self._sensors.relearn(at_us)
        self._machine.relearn(at_us)

    def intervene(self, at_us: int) -> None:
        """Somebody worked on the machine at ``at_us``: keep the baseline, gather the evidence anew; findings end."""
        self._machine.intervene(at_us)

    def dump(self) -> bytes:
        return pack(f"{NAME} {VERSION}", self._arrays())

    def load(self, state: bytes) -> None:
        restore(f"{NAME} {VERSION}", self._arrays(), state)

    def _arrays(self) -> Mapping[str, Array]:
        return {**self._sensors.arrays(), **self._machine.arrays(), **self._jumps.arrays()}


def create_chain(asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]) -> Chain:
    """The default chain of one asset."""
    return Chain(asset_id, site_id, asset_class, signals)
