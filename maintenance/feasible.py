"""Could what a plan opens ever be ready? What nobody can and nothing holds is refused; what may come is a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from psycopg import Connection

from maintenance import job_plans, job_plans_store, sentences
from maintenance.errors import BadPlan, NeverReady
from maintenance.job_plans import Demand
from maintenance.plans_model import Condition, Meter, Plan
from plant import stops, windows

LOOKED_AHEAD = timedelta(days=400)

Warnings = list[dict[str, str]]


def check(conn: Connection, plan: Plan, asset_ids: Sequence[int], *, now: datetime) -> Warnings:
    """What may keep its orders from being ready. Raises NeverReady for what no order can get, and BadPlan for a meter
    or a signal that there is not."""
    found = list(_triggers(conn, plan, asset_ids[0]))
    if not plan.job_plan:
        return [*found, sentences.say("warning.no_job_plan")]
    job = job_plans_store.newest(conn, plan.job_plan)
    if job is None or job.state != "active":
        raise NeverReady(f"There is no job plan {plan.job_plan!r} on this site. Make it first, or leave it out.")
    needed = job_plans.together([job.plan])
    _refuse_windows(conn, plan, asset_ids, needed, now)
    return [*found, *_people(conn, needed, now), *_parts(conn, needed)]


def able(conn: Connection, skill: str) -> list[int]:
    """The levels of everybody active who has a skill."""
    rows = conn.execute("select (skills->>%s)::int from engineers where active", (skill,))
    return sorted((row[0] for row in rows if row[0] is not None), reverse=True)


def certified(conn: Connection, certificate: str, *, now: datetime) -> int:
    """How many active people hold a valid certificate."""
    row = conn.execute(
        """select count(distinct c.engineer_id) from engineer_certificates c join engineers e using (engineer_id)
           where e.active and c.code = %s and (c.valid_until is null or c.valid_until > %s)""",
        (certificate, now),
    ).fetchone()
    return int(row[0]) if row else 0


# -- inside -----------------------------------------------------------------------------------------------------------


def _triggers(conn: Connection, plan: Plan, asset_id: int) -> Iterator[dict[str, str]]:
    for trigger in plan.triggers:
        if isinstance(trigger, Meter):
            yield from _meter(conn, plan, asset_id, trigger.meter)
        elif isinstance(trigger, Condition):
            row = conn.execute(
                "select 1 from signals where asset_id = %s and code = %s", (asset_id, trigger.signal)
            ).fetchone()
            if row is None:
                raise BadPlan(f"{plan.assets[0]} has no signal {trigger.signal!r}.")


def _meter(conn: Connection, plan: Plan, asset_id: int, code: str) -> Iterator[dict[str, str]]:
    row = conn.execute(
        """select exists (select 1 from meter_readings r where r.meter_id = m.meter_id) from meters m
           where m.asset_id = %s and m.code = %s""",
        (asset_id, code),
    ).fetchone()
    if row is None:
        raise BadPlan(f"{plan.assets[0]} has no meter {code!r}. Make it first.")
    if not row[0]:
        yield sentences.say("warning.no_reading", {"meter": code})


def _people(conn: Connection, needed: Demand, now: datetime) -> Iterator[dict[str, str]]:
    for skill, level in needed.skills.items():
        levels = able(conn, skill)
        if not levels:
            raise NeverReady(f"Nobody on this site has the skill {skill!r}: no order of this plan could ever be ready.")
        there = sum(each >= level for each in levels)
        if there < needed.people:
            values = {"skill": skill, "level": level, "there": there, "needed": needed.people}
            yield sentences.say("warning.level", values)
    for certificate in needed.certificates:
        there = certified(conn, certificate, now=now)
        if there < needed.people:
            values = {"certificate": certificate, "there": there, "needed": needed.people}
            yield sentences.say("warning.certificate", values)


def _parts(conn: Connection, needed: Demand) -> Iterator[dict[str, str]]:
    known: Mapping[str, int] = job_plans_store.part_ids(conn, list(needed.parts))
    for code in needed.parts:
        row = conn.execute(
            """select count(*), coalesce(sum(on_hand), 0),
                 (select count(*) from purchase_requests where part_id = %(part)s and status in ('open', 'ordered'))
               from stock_levels where part_id = %(part)s""",
            {"part": known.get(code)},
        ).fetchone()
        stores, on_hand, asked = row or (0, 0, 0)
        if not stores and not asked:
            raise NeverReady(
                f"No store carries {code} and nobody was asked for it: no order of this plan could ever be ready. "
                "Give it a place in a store first."
            )
        if not on_hand:
            yield sentences.say("warning.part", {"part": code})


def _refuse_windows(conn: Connection, plan: Plan, asset_ids: Sequence[int], needed: Demand, now: datetime) -> None:
    lasting = timedelta(minutes=needed.minutes)
    found = stops.book(conn).common(asset_ids, start=now, end=now + LOOKED_AHEAD)
    if windows.next_stop(found, after=now, lasting=lasting) is None:
        hours = windows.longest(found) / timedelta(hours=1)
        raise NeverReady(
            f"The work takes {needed.minutes / 60:g} h, but within the next {LOOKED_AHEAD.days} days "
            f"{', '.join(plan.assets)} never stops for longer than {hours:g} h. Make a longer window or a shutdown, or "
            "split the work."
        )
