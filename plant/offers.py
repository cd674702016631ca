"""What a machine's server says it could tell: one offer a tag. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offer:
    """A tag as its source describes it. ``unit`` is one of ``plant.units``, or "" when it says none that we know."""

    tag: str
    path: str = ""  # where it stands in the source's own tree, parts joined by "/"
    node_id: str | None = None  # OPC UA: what a subscription needs
    data_type: str = ""
    unit: str = ""
    quantity: str = ""  # when the source says so; "" = to be guessed
    description: str = ""
    low: float | None = None  # the sensor's range, in ``unit``
    high: float | None = None
    period_s: float | None = None
