"""What people said of the orders, in the database: verdicts, their corrections, and the precision that follows.

    of (detector, machine, mode) = (BELIEF · that of (detector, machine) + right here) / (BELIEF + judged here)

and so on upwards to the detector everywhere, which starts from the policy's prior. Shown numbers are counts and a 90 %
interval of the share (Jeffreys); the belief enters decisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.types.json import Jsonb
from scipy.special import betaincinv

from core.errors import NotFound
from maintenance.model import Policy
from tickets.model import RIGHT_VERDICTS, Verdict

ELSEWHERE = 0.25  # what a verdict on another machine counts beside one on this
BELIEF = 4.0  # verdicts that the machine's precision counts as, for one mode of it
INTERVAL = 0.9
SAID: LiteralString = """select verdict_id, ticket_id, alarm_id, asset_id, detector, mode, verdict, failure_code,
  mechanism, cause, given_by, given_at, version, corrected_by, corrected_at from verdicts """


@dataclass(frozen=True, slots=True)
class Said:
    """One alarm's verdict; ``failure_code``, ``mechanism`` and ``cause`` are codes of ISO 14224 or the site's own."""

    verdict_id: int
    ticket_id: int | None  # None: a proposal that a planner rejected before it became an order
    alarm_id: int
    asset_id: int
    detector: str
    mode: str
    verdict: str
    failure_code: str | None
    mechanism: str | None
    cause: str | None
    given_by: str
    given_at: datetime
    version: int = 0
    corrected_by: str | None = None
    corrected_at: datetime | None = None

    def words(self) -> dict[str, str | None]:
        """What was said, for the audit."""
        return {
            "verdict": self.verdict,
            "failure_code": self.failure_code,
            "mechanism": self.mechanism,
            "cause": self.cause,
        }


@dataclass(frozen=True, slots=True)
class Precision:
    """How often a detector's orders were right: ``verdicts`` counts each word, ``precision`` is right ÷ judged."""

    detector: str
    asset_id: int
    mode: str
    verdicts: dict[str, int]
    precision: float

    @property
    def right(self) -> int:
        """Orders that were right."""
        return sum(count for word, count in self.verdicts.items() if word in right_words(self.mode))

    @property
    def judged(self) -> int:
        """Orders that somebody judged."""
        return sum(self.verdicts.values())


def precision(conn: Connection) -> list[Precision]:
    """Precision of every (detector, asset, mode) that has verdicts, by detector, asset and mode."""
    found: dict[tuple[str, int, str], dict[str, int]] = {}
    for detector, asset_id, mode, verdict, count in conn.execute(
        """select detector, asset_id, mode, verdict, count(*) from verdicts
           group by detector, asset_id, mode, verdict order by detector, asset_id, mode, verdict"""
    ):
        found.setdefault((detector, asset_id, mode), {})[verdict] = count
    return [Precision(*key, counts, share_right(counts, mode=key[2])) for key, counts in found.items()]


def right_words(mode: str) -> frozenset[str]:
    """The verdicts that prove an order right; of a sensor's fault, *sensor* is the right answer."""
    return RIGHT_VERDICTS | {"sensor"} if mode.startswith(("sensor:", "source:")) else RIGHT_VERDICTS


def share_right(counts: Mapping[str, int], *, mode: str = "") -> float:
    """Right ÷ judged of one detector's verdicts (at least one)."""
    right = right_words(mode)
    return sum(count for verdict, count in counts.items() if verdict in right) / sum(counts.values())


def counted(judged: Iterable[Precision]) -> dict[str, int]:
    """How often each word was said over several assets and modes; a word that nobody said counts 0."""
    found: dict[str, int] = {word.value: 0 for word in Verdict}
    for each in judged:
        for word, count in each.verdicts.items():
            found[word] += count
    return found


def overall(judged: Iterable[Precision]) -> float | None:
    """Right ÷ judged over several assets and modes; None when nobody has judged."""
    kept = list(judged)
    total = sum(each.judged for each in kept)
    return sum(each.right for each in kept) / total if total else None


def interval(right: int, judged: int, *, level: float = INTERVAL) -> tuple[float, float]:
    """Between which shares the true one lies with that probability; (0, 1) before any verdict.

    Jeffreys' interval, with the ends at 0 and 1 where no order was right or none was wrong (Brown et al., 2001).
    """
    if judged <= 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 0.0 if right == 0 else float(betaincinv(right + 0.5, judged - right + 0.5, tail))
    high = 1.0 if right == judged else float(betaincinv(right + 0.5, judged - right + 0.5, 1 - tail))
    return low, high


def belief(conn: Connection, detector: str, asset_id: int, mode: str | None, policy: Policy) -> float:
    """How often such an alarm is right, 0..1: from this mode here, this machine, this detector, the policy's prior."""
    rows = conn.execute(
        """select asset_id = %(asset)s, coalesce(mode = %(mode)s, false), verdict, count(*) from verdicts
           where detector = %(detector)s and mode not like 'sensor:%%' and mode not like 'source:%%'
           group by 1, 2, 3""",
        {"asset": asset_id, "mode": mode, "detector": detector},
    ).fetchall()
    return believed(rows, policy)


def believed(rows: Iterable[tuple[bool, bool, str, int]], policy: Policy) -> float:
    """The belief from (this machine?, this mode?, verdict, count) rows. Pure."""
    right, wrong = policy.precision_prior
    mode_right = mode_wrong = 0.0
    for here, same_mode, verdict, count in rows:
        weight = count * (1.0 if here else ELSEWHERE)
        right, wrong = (right + weight, wrong) if verdict in RIGHT_VERDICTS else (right, wrong + weight)
        if here and same_mode:
            mode_right += count * (verdict in RIGHT_VERDICTS)
            mode_wrong += count * (verdict not in RIGHT_VERDICTS)
    machine = right / (right + wrong)
    return (BELIEF * machine + mode_right) / (BELIEF + mode_right + mode_wrong)


def get(conn: Connection, verdict_id: int) -> Said:
    """One verdict. Raises NotFound."""
    row = conn.execute(SAID + "where verdict_id = %s", (verdict_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no verdict {verdict_id} on this site.")
    return Said(*row)


def listed(
    conn: Connection,
    *,
    asset_id: int | None = None,
    detector: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Said]:
    """Verdicts, newest first."""
    rows = conn.execute(
        SAID
        + """where (%(asset)s::int is null or asset_id = %(asset)s)
             and (%(detector)s::text is null or detector = %(detector)s)
             and (%(before)s::int is null or verdict_id < %(before)s) order by verdict_id desc limit %(limit)s""",
        {"asset": asset_id, "detector": detector, "before": before_id, "limit": limit},
    )
    return [Said(*row) for row in rows]


def add(conn: Connection, given: Said) -> Said | None:
    """Keep a verdict; None when this alarm of the order was judged before."""
    row = conn.execute(
        """insert into verdicts (ticket_id, alarm_id, asset_id, detector, mode, verdict, failure_code, mechanism, cause,
             given_by, given_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict do nothing returning verdict_id""",
        (
            given.ticket_id, given.alarm_id, given.asset_id, given.detector, given.mode, given.verdict,
            given.failure_code, given.mechanism, given.cause, given.given_by, given.given_at,
        ),
    ).fetchone()  # fmt: skip
    return None if row is None else get(conn, row[0])


def change(conn: Connection, before: Said, given: Said, *, reason: str, by: str, now: datetime) -> Said:
    """Say something else, and keep what was said before."""
    conn.execute(
        """update verdicts set verdict = %s, failure_code = %s, mechanism = %s, cause = %s, version = version + 1,
             corrected_by = %s, corrected_at = %s where verdict_id = %s""",
        (given.verdict, given.failure_code, given.mechanism, given.cause, by, now, before.verdict_id),
    )
    conn.execute(
        """insert into verdict_changes (verdict_id, before, after, reason, changed_by, changed_at)
           values (%s, %s, %s, %s, %s, %s)""",
        (before.verdict_id, Jsonb(before.words()), Jsonb(given.words()), reason, by, now),
    )
    return get(conn, before.verdict_id)


def changes(conn: Connection, verdict_id: int) -> list[dict[str, Any]]:
    """The corrections of a verdict, oldest first."""
    rows = conn.execute(
        """select before, after, reason, changed_by, changed_at from verdict_changes where verdict_id = %s
           order by change_id""",
        (verdict_id,),
    )
    return [dict(zip(("before", "after", "reason", "by", "at"), row, strict=True)) for row in rows]


def unmute(conn: Connection, ticket_id: int, now: datetime) -> None:
    """End the silence that an order's "nothing found" began."""
    conn.execute(
        "update mutes set until = least(until, %s) where ticket_id = %s and why = 'nothing_found'", (now, ticket_id)
    )


def unmute_proposal(conn: Connection, kind: str, said: Said, now: datetime) -> None:
    """End the silence that began when this proposal was rejected."""
    conn.execute(
        """update mutes set until = least(until, %s)
           where ticket_id is null and asset_id = %s and kind = %s and mode = %s and made_at = %s""",
        (now, said.asset_id, kind, said.mode, said.given_at),
    )


def mute_proposal(conn: Connection, kind: str, said: Said, until: datetime) -> None:
    """Let the silence of this rejected proposal last until then."""
    conn.execute(
        """update mutes set until = greatest(until, %s)
           where ticket_id is null and asset_id = %s and kind = %s and mode = %s and made_at = %s""",
        (until, said.asset_id, kind, said.mode, said.given_at),
    )
