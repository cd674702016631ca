"""Detectors that judge beside the default chain, on the same rows and under their own names. Pure.

A module of ``detectors.algorithms`` becomes a companion by ``COMPANION = True``. Its ``create`` may give None for an
asset that does not concern it. On a site a companion begins in shadow (``maintenance.gate``): what it would have opened
is counted, until a person lets it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol, cast

from core import registry
from detectors.base import Asked, Detector, Finding, Frame, Intervenes
from plant.model import Asset, Signal

PACKAGE = "detectors.algorithms"


class CompanionFactory(Protocol):
    """``create`` of a companion's file."""

    def __call__(
        self, *, asset_id: int, site_id: int, asset_class: str, signals: Sequence[Signal]
    ) -> Detector | None: ...


class Companions:
    """The companions of one asset, each with its own state."""

    def __init__(self, asset: Asset, signals: Sequence[Signal]) -> None:
        made = (
            create(asset_id=asset.asset_id, site_id=asset.site_id, asset_class=asset.asset_class, signals=signals)
            for create in _factories().values()
        )
        self._each = [detector for detector in made if detector is not None]
        self._broken: dict[str, str] = {}

    def update(self, frame: Frame) -> list[Finding]:
        """What they say of these rows, one companion after another. One that breaks is silent until it is opened anew:
        a plugin's error must not keep the plant from being judged."""
        return [finding for each in tuple(self._each) for finding in self._heard(each, frame)]

    def _heard(self, detector: Detector, frame: Frame) -> Sequence[Finding]:
        try:
            return detector.update(frame).findings
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises
            self._each.remove(detector)
            self._broken[detector.name] = repr(error)
            return ()

    def take_broken(self) -> Mapping[str, str]:
        """Names and errors of those that broke since this was asked last."""
        found, self._broken = self._broken, {}
        return found

    def relearn(self, at_us: int) -> None:
        for each in self._each:
            each.relearn(at_us)

    def intervene(self, at_us: int) -> None:
        for each in self._each:
            if isinstance(each, Intervenes):
                each.intervene(at_us)

    def ask(self, alarms_month: float) -> None:
        """At most so many alarms of each an asset and month, from the next row on."""
        for each in self._each:
            if isinstance(each, Asked):
                each.ask(alarms_month)

    def dump(self) -> Mapping[str, bytes]:
        """The state of each under its name and version."""
        return {_key(each): each.dump() for each in self._each}

    def load(self, states: Mapping[str, bytes]) -> None:
        """Take what fits. One that is new, or of another version, begins here; history is not judged again for it."""
        for each in self._each:
            if _key(each) in states:
                each.load(states[_key(each)])


def names() -> frozenset[str]:
    """Of all companions there are."""
    return frozenset(_factories())


@cache
def _factories() -> Mapping[str, CompanionFactory]:
    found = registry.load(PACKAGE).items()
    return {
        name: cast("CompanionFactory", module.create) for name, module in found if getattr(module, "COMPANION", False)
    }


def _key(detector: Detector) -> str:
    return f"{detector.name} {detector.version}"
