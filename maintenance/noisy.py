"""A detector that raises far more alarms than a plant asked for goes back to shadow by itself, and says why. SQL.

    alarms since a person let it (30 days at most) ── not confirmed ──> more than twice what was asked of its machines,
    and that hardly by chance (Poisson, one in a thousand) ──> shadow, with the counts as the reason

Only detectors that are asked for a rate (``detectors.companions``): rules of people wait as long as those people want,
and the default chain is held by verdicts (``gate.fall_back``). Alarms whose order proved right do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection
from scipy.special import gammainc

from detectors import asked, companions
from maintenance import gate, sentences
from maintenance.gate import Gated, Standing
from plant import assets
from tickets import notify
from tickets.model import RIGHT_VERDICTS
from tickets.notify import NoticeKind

WINDOW = timedelta(days=30)
TWICE = 2.0
BY_CHANCE = 1e-3
LEAST = 5  # fewer alarms bother nobody


@dataclass(frozen=True, slots=True)
class Noise:
    """Alarms that were not confirmed, and how many were asked for, in ``days`` on ``machines``."""

    alarms: int
    wanted: float
    days: float
    machines: int

    @property
    def proven(self) -> bool:
        """Far more than asked, and hardly by chance. Pure."""
        return (
            self.alarms >= LEAST and self.alarms > TWICE * self.wanted and chance(self.alarms, self.wanted) < BY_CHANCE
        )

    @property
    def values(self) -> Mapping[str, float]:
        return {
            "alarms": float(self.alarms), "wanted": round(self.wanted, 1), "days": round(self.days, 1),
            "machines": float(self.machines),
        }  # fmt: skip


def chance(alarms: int, wanted: float) -> float:
    """Probability of so many alarms or more where ``wanted`` come on average (Poisson). Pure."""
    return 1.0 if alarms <= 0 else float(gammainc(alarms, max(wanted, 0.0)))


def demote(conn: Connection, now: datetime) -> list[Gated]:
    """Versions that are proven noisy are in shadow from now on; those are returned, and planners told."""
    names, fallen = companions.names(), []
    for each in gate.listed(conn):
        if each.standing is Standing.SHADOW or each.detector not in names:
            continue
        noise = measure(conn, each, now)
        if not noise.proven:
            continue
        plural = "" if noise.machines == 1 else "s"
        reason = (
            f"{noise.alarms} unconfirmed alarms in {noise.days:.0f} days on {noise.machines} machine{plural}; "
            f"{noise.wanted:.1f} were asked for"
        )
        fallen.append(
            gate.put(conn, gate.lock(conn, each.gate_id), Standing.SHADOW, by=gate.SYSTEM, reason=reason, now=now)
        )
        _tell(conn, fallen[-1], noise, now)
    return fallen


def measure(conn: Connection, gated: Gated, now: datetime) -> Noise:
    """What the version raised since its standing changed, in the last 30 days at most."""
    since = max(gated.changed_at, now - WINDOW)
    days = max((now - since) / timedelta(days=1), 0.0)
    machines = [row[0] for row in conn.execute("select asset_id from asset_watermarks")]
    rates = asked.rates(conn)
    month = sum(rates.of(each) for each in assets.assets_of(conn, machines).values())
    row = conn.execute(
        """select count(*) from alarms l where l.detector = %(detector)s and l.kind = 'machine'
             and l.raised_at > %(since)s and l.raised_at <= %(now)s
             and not exists (select 1 from verdicts v where v.alarm_id = l.alarm_id and v.verdict = any(%(right)s))
             and exists (select 1 from findings f where f.asset_id = l.asset_id and f.detector = l.detector
               and split_part(f.version, '.', 1) = %(version)s and f.at >= l.started_at)""",
        {"detector": gated.detector, "version": gated.version, "since": since, "now": now,
         "right": sorted(RIGHT_VERDICTS)},
    ).fetchone()  # fmt: skip
    return Noise(row[0] if row else 0, month * days / 30.0, days, len(machines))


def _tell(conn: Connection, gated: Gated, noise: Noise, now: datetime) -> None:
    values = {"detector": f"{gated.detector} {gated.version}", **noise.values}
    notify.tell_of(
        conn,
        notify.planners(conn),
        kind=NoticeKind.ALARM,
        title=sentences.say("gate.noisy_title", values),
        body=sentences.say("gate.noisy", values),
        key=f"gate:{gated.gate_id}:{gated.row_version}",
        now=now,
    )
