"""May this detector's word open orders? Asked before every order and proposal."""

from __future__ import annotations

from enum import StrEnum

from psycopg import Connection

from plant.model import Asset


class Standing(StrEnum):
    """What a detector version may do on an asset."""

    LIVE = "live"  # open orders, as the policy says
    REVIEW = "review"  # propose only: a planner decides
    SHADOW = "shadow"  # be written down only


def standing(conn: Connection, detector: str, version: str, asset: Asset) -> Standing:
    """The standing of a detector version on an asset; every one is live until something else is said of it."""
    del conn, detector, version, asset
    return Standing.LIVE
