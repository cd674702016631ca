"""The one parameter set of the stream judges: the same for every data set, signal and asset. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameters:
    """Few, and each with its reason; what a plant chooses by itself is the alarm rate, never one of these."""

    memory_rows: float = 10_000.0
    """Half-life of what calibration remembers: long enough for tails of one in a thousand, and it follows wear-in."""

    patience_rows: float = 60.0
    """A longer excursion is taken for a fault and hardly taught: no fault becomes normal by lasting."""

    gain: float = 0.1
    """How much one alarm raises the limit of the asked rate, in decades: after n rows the rate is off by at most
    1 / (gain · n) a decade of travel."""

    short_rows: float = 10.0
    """Span of the short memories: long enough to still the noise of single rows, short beside a fault."""

    level_rows: float = 200.0
    """How slowly a level follows a machine that wanders without a fault; a fault that grows slower is missed."""

    ridge: float = 0.01
    """Shrinkage of the regression of a signal on the others, in variances: ten times less does the same."""

    doubt: float = 3.0
    """How many times the textbook's uncertainty of a regression is counted away from where it was learnt: neighbouring
    rows are not independent, so there were fewer of them than it looks."""

    fault_evidence: float = 4.75
    """Nominal surprise of the farthest chart at which a lasting fault of several signals begins, when no other limit is
    asked for; it ends below half of it."""

    calm_rows: float = 3.0
    """Rows in a row below half the limit that end a fault: one is chance."""

    baseline_rows: int = 400
    """Normal rows from which the judge of several signals learns: as many as the rig's published protocol gives."""

    map_values: int = 400
    """Values a novelty map keeps: twice as many change nothing."""

    long_rows: float = 40.0
    """Span of the long mean of a plain stream, for smaller changes that last."""

    rest_share: float = 0.08
    """After an order a weaker one waits for this share of the rows seen: people are told less often of what goes on."""

    rest_least_rows: float = 100.0
    """Shortest such wait."""

    rest_most_rows: float = 1_000.0
    """Longest such wait."""

    peers: float = 0.5
    """Weight of an order's surprise among the earlier orders of its signal: less where orders are common."""

    @property
    def short_share(self) -> float:
        """What one row counts in the short memory, by the usual span of an exponential mean."""
        return 2.0 / (self.short_rows + 1.0)

    @property
    def settle_rows(self) -> int:
        """Rows after a change of the operating state that are not judged: the short memory must have left it."""
        return int(3 * self.short_rows)

    @property
    def warm_rows(self) -> int:
        """Rows of a baseline until its first ones no longer show in how far the short memory is from its level."""
        return int(6 * self.short_rows)

    @property
    def refractory_rows(self) -> float:
        """Rows between two changes told: the short memory must have left the first one behind."""
        return 2.0 * self.short_rows


DEFAULT = Parameters()
