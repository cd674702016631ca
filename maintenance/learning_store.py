"""Judged cases in the database, and what they add up to. The sums are made anew with each verdict of the class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import Connection
from psycopg.types.json import Jsonb

from maintenance import learning, libraries
from maintenance.diagnose import Expected, diagnose
from maintenance.learning import Case, Learnt, Tally
from maintenance.model import UNKNOWN, Candidate, Deviation, Mode
from maintenance.store import KeptAlarm
from plant import assets
from plant.model import Asset, Signal
from tickets.model import Verdict

MOST_CASES = 2000  # of a class, newest first: what was long ago counts no more


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of a machine's faults: modes with what their signatures have learnt, and its priors."""

    modes: tuple[Mode, ...]
    prior: Mapping[str, float]
    expects: Mapping[str, Expected] | None = None  # of the machine's signals, once for many diagnoses

    def diagnose(
        self, seen: Mapping[int, Deviation], signals: Iterable[Signal], *, told: str | None = None
    ) -> tuple[Candidate, ...]:
        """Every mode with its probability, likeliest first."""
        return diagnose(seen, signals, self.modes, told=told, prior=self.prior, expects=self.expects)


def knowledge(conn: Connection, asset: Asset) -> Knowledge:
    """The site's library of the asset's class, with what verdicts have taught."""
    modes = libraries.modes(conn, asset.asset_class)
    known = learnt(conn, asset)
    return Knowledge(learning.signatures(modes, known), learning.priors(modes, known))


def learnt(conn: Connection, asset: Asset) -> Learnt:
    """What the judged cases of the asset's class and of the asset itself add up to."""
    tallies = {
        mode: Tally(cases, profile)
        for mode, cases, profile in conn.execute(
            "select mode, cases, profile from learnt_modes where asset_class = %s", (asset.asset_class,)
        )
    }
    here = conn.execute("select mode, count(*) from judged_cases where asset_id = %s group by mode", (asset.asset_id,))
    return Learnt(tallies, dict(here.fetchall()))


def keep(conn: Connection, verdict_id: int, kept: KeptAlarm, *, verdict: str, found: str | None) -> None:
    """Count the alarm's verdict (again): the mode that it names, or none."""
    asset = assets.asset(conn, kept.asset_id)
    modes = libraries.modes(conn, asset.asset_class)
    mode = mode_named(kept.mode, modes, verdict=verdict, found=found)
    conn.execute("delete from judged_cases where verdict_id = %s", (verdict_id,))
    if mode is not None:
        profile = learning.profile(kept.evidence, assets.signals(conn, asset.asset_id), modes)
        conn.execute(
            """insert into judged_cases (verdict_id, asset_id, asset_class, mode, profile)
               values (%s, %s, %s, %s, %s)""",
            (verdict_id, asset.asset_id, asset.asset_class, mode, Jsonb(profile)),
        )
    _sum_up(conn, asset.asset_class)


def mode_named(alarm_mode: str, modes: tuple[Mode, ...], *, verdict: str, found: str | None) -> str | None:
    """The mode that a verdict says it was: the alarm's, the found one where the class has it, else ``unknown``.

    None for *nothing found* and *sensor*: the machine had no fault.
    """
    codes = {mode.code for mode in modes}
    if verdict == Verdict.CONFIRMED:
        return found if found in codes else alarm_mode
    if verdict == Verdict.OTHER_FAULT:
        return found if found in codes and found is not None else UNKNOWN
    return None


def _sum_up(conn: Connection, asset_class: str) -> None:
    conn.execute("select pg_advisory_xact_lock(hashtext('learnt_modes'), hashtext(%s))", (asset_class,))
    rows = conn.execute(
        """select asset_id, mode, profile from judged_cases where asset_class = %s
           order by verdict_id desc limit %s""",
        (asset_class, MOST_CASES),
    )
    total = learning.tally(Case(*row) for row in rows)
    conn.execute("delete from learnt_modes where asset_class = %s", (asset_class,))
    for mode, sums in sorted(total.tallies.items()):
        conn.execute(
            "insert into learnt_modes (asset_class, mode, cases, profile) values (%s, %s, %s, %s)",
            (asset_class, mode, sums.cases, Jsonb({key: round(value, 6) for key, value in sums.profile.items()})),
        )
