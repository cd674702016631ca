"""What people declared for the detectors of a site: the rates of alarms they ask for, and their alarm rules. SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection

from detectors import asked
from detectors.asked import Rates
from detectors.classic import store as classic_store
from detectors.classic.model import InForce
from detectors.line import Line


@dataclass(frozen=True, slots=True)
class Declared:
    """To be told to a line before its memory is loaded, and before it advances."""

    rates: Rates
    rules: Sequence[InForce]

    def tell(self, line: Line) -> None:
        line.ask(self.rates.of(line.asset))
        line.take_rules(self.rules)


def load(conn: Connection) -> Declared:
    """What is declared on the current site."""
    return Declared(asked.rates(conn), classic_store.in_force(conn))
