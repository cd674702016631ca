"""Where an offered tag most likely belongs: asset, signal, quantity, unit, and how sure that is. Pure.

Names are compared by their parts: letters and digits apart, case and punctuation ignored, so that ``Pump_P101_Temp``
speaks of the asset ``P-101``. Every step leaves a reason code; a person decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from plant.model import Asset, Signal
from plant.offers import Offer
from plant.units import QUANTITIES, UnknownUnit, canonical, quantity_of, units_of

LONGEST_WINDOW = 6  # parts of a name that may make up a code
CODE, SIGNAL_CODE = 64, 128


class Because(StrEnum):
    """Reason codes of a guess."""

    ASSET_CODE = "asset_code"  # a part of the path is an asset's code
    ASSET_CODE_WITHIN = "asset_code_within"  # … holds an asset's code
    ASSET_NAME = "asset_name"  # the path holds every word of an asset's name
    ASSET_WORDS = "asset_words"  # … most words of it
    SEVERAL_ASSETS = "several_assets"  # another asset fits as well
    NEW_ASSET = "new_asset"  # no asset fits: one would be made, called after the folder
    SIGNAL_KNOWN = "signal_known"  # the asset has a signal of this code
    UNIT = "unit"  # the unit says the quantity
    UNIT_AND_NAME = "unit_and_name"
    NAME = "name"  # the name says the quantity, the unit is assumed
    UNIT_UNKNOWN = "unit_unknown"
    NOTHING = "nothing"  # neither unit nor name says what is measured


@dataclass(frozen=True, slots=True)
class Guess:
    """``confidence`` 0 … 1; ``asset_code`` names a new asset when ``asset_id`` is None."""

    asset_id: int | None
    asset_code: str
    signal_code: str
    quantity: str
    unit: str
    confidence: float
    reasons: tuple[str, ...]


# a part of a name → what it measures; the first that is found from the end of the path counts
_WORDS: Mapping[str, str] = {
    "vib": "vibration_velocity", "vibration": "vibration_velocity", "velocity": "vibration_velocity",
    "vrms": "vibration_velocity", "acc": "vibration_acceleration", "accel": "vibration_acceleration",
    "acceleration": "vibration_acceleration", "envelope": "acceleration_envelope",
    "displacement": "displacement", "temp": "temperature", "temperature": "temperature", "tmp": "temperature",
    "press": "pressure", "pressure": "pressure", "flow": "flow", "flowrate": "flow", "current": "current",
    "amps": "current", "voltage": "voltage", "volts": "voltage", "power": "power", "energy": "energy",
    "torque": "torque", "force": "force", "frequency": "frequency", "freq": "frequency",
    "rpm": "rotational_speed", "speed": "rotational_speed", "level": "level", "humidity": "humidity",
    "load": "ratio", "duty": "ratio", "opening": "ratio", "valve": "ratio", "count": "count", "state": "state",
    "status": "state", "running": "state", "mode": "state", "温度": "temperature", "压力": "pressure",
    "流量": "flow", "电流": "current", "电压": "voltage", "功率": "power", "转速": "rotational_speed",
    "振动": "vibration_velocity", "液位": "level",
}  # fmt: skip


class Guesser:
    """Knows a site's assets and signals; made once for many offers."""

    def __init__(self, assets: Iterable[Asset], signals: Iterable[Signal]) -> None:
        self._codes: dict[str, Asset] = {}
        self._words: dict[str, list[Asset]] = {}
        self._signals: dict[tuple[int, str], Signal] = {}
        for asset in assets:
            joined = "".join(parts(asset.code))
            if _tells(joined):
                self._codes[joined] = asset
            for word in set(parts(asset.name)):
                self._words.setdefault(word, []).append(asset)
        for signal in signals:
            self._signals[signal.asset_id, "".join(parts(signal.code))] = signal

    def guess(self, offer: Offer) -> Guess:
        """Where an offer belongs."""
        steps = [step for step in (offer.path or offer.tag).split("/") if step]
        asset, share, place, because = self._asset(steps)
        code = _signal_code(steps, place)
        quantity, unit, sure, why = _measured(offer, steps)
        known = self._signals.get((asset.asset_id, "".join(parts(code)))) if asset else None
        reasons = [*because, why]
        if known is not None and (known.quantity == quantity or not offer.unit):
            code, quantity, sure = known.code, known.quantity, 1.0
            unit = offer.unit if offer.unit in units_of(quantity) else known.unit
            reasons.append(Because.SIGNAL_KNOWN)
        confidence = round(share * (0.6 + 0.4 * sure), 2)
        return Guess(
            asset.asset_id if asset else None,
            asset.code if asset else _asset_code(steps),
            code,
            quantity,
            unit,
            confidence,
            tuple(str(each) for each in reasons),
        )

    def _asset(self, steps: Sequence[str]) -> tuple[Asset | None, float, int, list[Because]]:
        """The asset, how well it fits, the index of the step that names it, and why."""
        for index in range(len(steps) - 1, -1, -1):
            found = self._by_code(steps[index])
            if found is not None:
                whole = "".join(parts(steps[index])) == "".join(parts(found.code))
                because = Because.ASSET_CODE if whole else Because.ASSET_CODE_WITHIN
                return found, 1.0 if whole else 0.95, index, [because]
        return self._by_name(steps)

    def _by_code(self, step: str) -> Asset | None:
        """The asset with the longest code within a step."""
        words = parts(step)
        for length in range(min(LONGEST_WINDOW, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                found = self._codes.get("".join(words[start : start + length]))
                if found is not None:
                    return found
        return None

    def _by_name(self, steps: Sequence[str]) -> tuple[Asset | None, float, int, list[Because]]:
        heard = {word for step in steps for word in parts(step)}
        hits: dict[int, int] = {}
        assets: dict[int, Asset] = {}
        for word in heard:
            for asset in self._words.get(word, ()):
                hits[asset.asset_id] = hits.get(asset.asset_id, 0) + 1
                assets[asset.asset_id] = asset
        scored = sorted(((hits[key] / len(set(parts(assets[key].name))), hits[key], key) for key in hits), reverse=True)
        if not scored or scored[0][0] < 0.6:
            return None, 0.0, len(steps) - 2, [Because.NEW_ASSET]
        share, count, key = scored[0]
        because = [Because.ASSET_NAME if share == 1.0 else Because.ASSET_WORDS]
        weight = 0.9 if share == 1.0 else 0.6 * share
        if len(scored) > 1 and scored[1][:2] == (share, count):
            because.append(Because.SEVERAL_ASSETS)
            weight /= 2
        words = set(parts(assets[key].name))
        place = max(index for index, step in enumerate(steps) if words & set(parts(step)))
        return assets[key], weight, min(place, len(steps) - 2), because


def parts(name: str) -> list[str]:
    """A name's parts in lower case: runs of letters and runs of digits, ``camelCase`` apart."""
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return [each.casefold() for each in re.findall(r"[^\W\d_]+|\d+", split)]


def _tells(joined: str) -> bool:
    """Whether a code is long enough to be recognised inside other names."""
    return len(joined) >= 4 or (len(joined) >= 2 and any(each.isdigit() for each in joined))


def _measured(offer: Offer, steps: Sequence[str]) -> tuple[str, str, float, Because]:
    """Quantity, unit, how sure, and why."""
    if offer.quantity in QUANTITIES:
        unit = offer.unit if offer.unit in units_of(offer.quantity) else canonical(offer.quantity)
        return offer.quantity, unit, 1.0, Because.UNIT_AND_NAME
    named = _named(steps)
    if not offer.unit:
        return (named, canonical(named), 0.6, Because.NAME) if named else ("generic", "1", 0.2, Because.NOTHING)
    if named and offer.unit in units_of(named):
        return named, offer.unit, 1.0, Because.UNIT_AND_NAME
    try:
        return quantity_of(offer.unit), offer.unit, 0.9, Because.UNIT
    except UnknownUnit:
        return "generic", "1", 0.1, Because.UNIT_UNKNOWN


def _named(steps: Sequence[str]) -> str | None:
    for step in reversed(steps[-2:]):
        words = parts(step)
        for word in reversed(words):
            if word in _WORDS:
                return _WORDS[word]
        for word, quantity in _WORDS.items():
            if not word.isascii() and word in step:
                return quantity
    return None


def _signal_code(steps: Sequence[str], place: int) -> str:
    """What stands below the asset in the path; the last step alone when the asset stands there too."""
    below = steps[place + 1 :] if 0 <= place < len(steps) - 1 else steps[-1:]
    code = "/".join(re.sub(r"[^\w.-]+", "_", step).strip("_.-") for step in below).strip("/")
    return code[-SIGNAL_CODE:].lstrip("/._-") or "value"


def _asset_code(steps: Sequence[str]) -> str:
    """What a new asset would be called: the folder that the variable lies in."""
    if len(steps) < 2:
        return ""
    return re.sub(r"[^\w.-]+", "-", steps[-2]).strip("-_.")[:CODE]
