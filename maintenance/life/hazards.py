"""The forecast of a component of which the logs say that it fails soon. Pure."""

from __future__ import annotations

from detectors import event_hazard
from maintenance.model import Forecast


def forecast(health: float, *, horizon_h: float) -> Forecast:
    """What is left by the chance to fail within a day, which the finding told as health (1 − chance)."""
    chance = 1.0 - health
    p10, p50, p90 = event_hazard.remaining_h(chance)
    p_fail = event_hazard.within(chance, horizon_h)
    return Forecast(p10, p50, p90, p_fail, horizon_h, event_hazard.NAME, event_hazard.VERSION)
