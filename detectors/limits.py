"""How far a quantity may deviate before the function is lost: turns deviations into a health index. Pure."""

from __future__ import annotations

import math

from plant.model import Signal

# quantity → (share of the expected value, least amount in the canonical unit)
_LIMITS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 40.0),  # K over what load and surroundings explain: grease, oil, class F windings
    "vibration_velocity": (3.0, 8.0),  # from zone A/B into zone D of ISO 20816-3
    "acceleration_envelope": (0.0, 4.0),  # gE
    "flow": (0.30, 0.0),
    "pressure": (0.33, 0.0),
    "current": (0.25, 0.0),
    "power": (0.25, 0.0),
    "ratio": (0.0, 12.0),  # points of per cent
    "rotational_speed": (0.10, 0.0),
    "ratio_1": (math.inf, 0.0),  # crest factor, kurtosis: early signs that fall again; no limit of function
}
STEP = 1.0 / 40.0
_LEAST_SIGMAS = 8.0  # a limit within the noise would be no limit


def functional_limit(signal: Signal, *, expected: float, sigma: float) -> float:
    """Deviation from ``expected`` at which the function counts as lost, in the signal's unit (> 0).

    ``inf``: the signal warns but knows no limit. Quantities without a rule of their own get eight sigmas of their
    healthy spread.
    """
    share, least = _LIMITS.get(signal.quantity, (0.0, 0.0))
    if math.isinf(share):
        return math.inf
    return max(share * abs(expected), least, _LEAST_SIGMAS * sigma, 1e-12)


def material(signal: Signal) -> tuple[float, float]:
    """(share of the expected value, amount) of one step that matters: a fortieth of the way to the limit.

    Healthy spread counts as at least this: sensors may be finer than any model of a machine.
    """
    share, least = _LIMITS.get(signal.quantity, (0.0, 0.0))
    return (0.0, 0.0) if math.isinf(share) else (STEP * share, STEP * least)
