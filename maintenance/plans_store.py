"""SQL of preventive plans: the plans, what became of their due days, and the history that judgement asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.types.json import Jsonb

from core.errors import NotFound
from maintenance import meters, plans_model
from maintenance.plans_due import History, Level, Ruling
from maintenance.plans_model import Condition, Meter, Plan, Relation
from plant import telemetry

FINISHED = ("done", "verifying", "closed", "cancelled")  # no longer in the way of the next order
SELECT: LiteralString = """
  select p.plan_id, p.code, p.version, p.state, p.body, p.since, p.cycle, p.look_at, p.warnings, p.made_at, p.by_name,
    (select array_agg(a.asset_id order by a.place) from pm_plan_assets a where a.plan_id = p.plan_id)
  from pm_plans p """
KNOWN: LiteralString = """
  select p.plan_id,
    (select max(o.due) from pm_occurrences o where o.plan_id = p.plan_id),
    (select max(o.due) from pm_occurrences o join tickets t using (ticket_id) where o.plan_id = p.plan_id
       and o.state = 'opened' and t.status <> all(%(finished)s)),
    (select max(c.done_at) from pm_completions c where c.plan_id = p.plan_id)
  from pm_plans p where p.plan_id = any(%(ids)s)"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A plan as it is kept."""

    plan_id: int
    code: str
    version: int
    state: str
    plan: Plan
    since: date
    cycle: int
    look_at: datetime
    warnings: tuple[Mapping[str, str], ...]
    made_at: datetime
    by_name: str
    asset_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What became of a due day."""

    occurrence_id: int
    cycle: int
    due: date
    state: str
    reason: Mapping[str, Any]
    ticket_id: int | None
    ticket_ref: str | None
    ticket_status: str | None
    recorded_at: datetime


# -- plans ------------------------------------------------------------------------------------------------------------


def find(conn: Connection) -> list[Kept]:
    """Every plan that is not retired, by code."""
    return [_kept(row) for row in conn.execute(SELECT + "where p.state <> 'retired' order by p.code")]


def of_ids(conn: Connection, plan_ids: Iterable[int]) -> list[Kept]:
    """These plans, by code."""
    return [_kept(row) for row in conn.execute(SELECT + "where p.plan_id = any(%s) order by p.code", (list(plan_ids),))]


def get(conn: Connection, plan_id: int) -> Kept:
    """Raises NotFound."""
    found = of_ids(conn, [plan_id])
    if not found:
        raise NotFound(f"There is no plan {plan_id} on this site.")
    return found[0]


def by_code(conn: Connection, code: str) -> Kept | None:
    """One plan, retired ones too."""
    row = conn.execute(SELECT + "where p.code = %s", (code,)).fetchone()
    return _kept(row) if row else None


def relatives(conn: Connection, plan_id: int) -> list[Kept]:
    """The plans that share a machine with this one, itself too."""
    rows = conn.execute(
        """select distinct o.plan_id from pm_plan_assets m join pm_plan_assets o using (asset_id)
           join pm_plans p on p.plan_id = o.plan_id where m.plan_id = %s and p.state <> 'retired'""",
        (plan_id,),
    )
    return of_ids(conn, [row[0] for row in rows])


def save(
    conn: Connection, plan: Plan, asset_ids: Sequence[int], *, warnings: Sequence[Mapping[str, str]], since: date,
    by_name: str, now: datetime,
) -> int:  # fmt: skip
    """A new plan or another definition of the one with this code, active; returns its id."""
    row = conn.execute(
        """insert into pm_plans (code, body, since, look_at, warnings, made_at, by_name)
           values (%s, %s, %s, %s, %s, %s, %s)
           on conflict (site_id, code) do update set body = excluded.body, look_at = excluded.look_at,
             warnings = excluded.warnings, made_at = excluded.made_at, by_name = excluded.by_name,
             version = pm_plans.version + 1,
             since = case when pm_plans.state = 'retired' then excluded.since else pm_plans.since end,
             state = case when pm_plans.state = 'retired' then 'active' else pm_plans.state end
           returning plan_id""",
        (plan.code, Jsonb(plans_model.as_json(plan)), since, now, Jsonb(list(map(dict, warnings))), now, by_name),
    ).fetchone()
    plan_id = int(row[0]) if row else 0
    conn.execute("delete from pm_plan_assets where plan_id = %s", (plan_id,))
    for place, asset_id in enumerate(asset_ids):
        conn.execute(
            "insert into pm_plan_assets (plan_id, asset_id, place) values (%s, %s, %s)", (plan_id, asset_id, place)
        )
    return plan_id


def set_state(conn: Connection, plan_id: int, state: str, *, now: datetime) -> None:
    """active, paused or retired."""
    conn.execute(
        "update pm_plans set state = %s, version = version + 1, look_at = %s where plan_id = %s", (state, now, plan_id)
    )


def look_again(conn: Connection, plan_id: int, *, at: datetime) -> None:
    """When something may be to be done next."""
    conn.execute("update pm_plans set look_at = %s where plan_id = %s", (at, plan_id))


# -- what happened ----------------------------------------------------------------------------------------------------


def record(
    conn: Connection, kept: Kept, ruling: Ruling, *, ticket_id: int | None, readings: Mapping[str, float], now: datetime
) -> bool:
    """Keep what became of a due day, once a plan and day whoever comes; False: it is kept already."""
    row = conn.execute(
        """with mine as (update pm_plans set cycle = cycle + 1 where plan_id = %(plan)s returning cycle)
           insert into pm_occurrences (plan_id, cycle, due, state, reason, ticket_id, readings, recorded_at)
           select %(plan)s, cycle, %(due)s, %(state)s, %(reason)s, %(ticket)s, %(readings)s, %(now)s from mine
           on conflict do nothing returning occurrence_id""",
        {
            "plan": kept.plan_id,
            "due": ruling.due,
            "state": ruling.fate.value,
            "reason": Jsonb(_reason(ruling)),
            "ticket": ticket_id,
            "readings": Jsonb(dict(readings)),
            "now": now,
        },
    ).fetchone()
    return row is not None


def complete(
    conn: Connection, plan_id: int, *, ticket_id: int | None, done_at: datetime, way: str,
    readings: Mapping[str, float], by_name: str = "",
) -> None:  # fmt: skip
    """The plan's work was done; once an order."""
    conn.execute(
        """insert into pm_completions (plan_id, ticket_id, done_at, way, readings, by_name)
           values (%s, %s, %s, %s, %s, %s)
           on conflict (plan_id, ticket_id) do update set done_at = excluded.done_at, readings = excluded.readings""",
        (plan_id, ticket_id, done_at, way, Jsonb(dict(readings)), by_name),
    )


def withdraw(conn: Connection, ticket_id: int) -> None:
    """The order was reopened: nothing was done by it."""
    conn.execute("delete from pm_completions where ticket_id = %s", (ticket_id,))


def unabsorb(conn: Connection, code: str, *, since: date, until: date | None) -> None:
    """Due days that were left to this plan's visit of ``since`` … ``until`` are to be decided again, where they are the
    last ones that were decided."""
    conn.execute(
        """delete from pm_occurrences o where o.state = 'suppressed' and o.reason->>'key' = 'absorbed'
             and o.reason->>'by' = %(code)s and (o.reason->>'about')::date >= %(since)s
             and (o.reason->>'about')::date <= coalesce(%(until)s::date, 'infinity')
             and o.due = (select max(l.due) from pm_occurrences l where l.plan_id = o.plan_id)""",
        {"code": code, "since": since, "until": until},
    )


def occurrences(conn: Connection, plan_id: int, *, most: int = 100) -> list[Occurrence]:
    """What became of a plan's due days, newest first."""
    rows = conn.execute(
        """select o.occurrence_id, o.cycle, o.due, o.state, o.reason, o.ticket_id, t.ref, t.status, o.recorded_at
           from pm_occurrences o left join tickets t using (ticket_id) where o.plan_id = %s
           order by o.due desc limit %s""",
        (plan_id, most),
    )
    return [Occurrence(*row) for row in rows]


def histories(conn: Connection, plans: Sequence[Kept], *, zone: ZoneInfo, now: datetime) -> dict[str, History]:
    """What judgement asks of each plan, by code."""
    params = {"ids": [each.plan_id for each in plans], "finished": list(FINISHED)}
    known = {row[0]: row[1:] for row in conn.execute(KNOWN, params)}
    levels = _levels(conn, plans, zone=zone, now=now)
    found = {}
    for each in plans:
        settled, still_open, done_at = known[each.plan_id]
        done = None if done_at is None else done_at.astimezone(zone).date()
        held = _held(conn, each, done_at, zone=zone, now=now)
        state = each.state
        found[each.code] = History(each.since, settled, done, still_open, state, levels.get(each.plan_id, {}), held)
    return found


def readings_now(conn: Connection, kept: Kept, *, now: datetime) -> dict[str, float]:
    """Where the plan's meters stand."""
    mine = _meters_of(conn, [kept])
    rates = meters.rates(conn, [ident for ident, _ in mine.get(kept.plan_id, [])], now=now)
    return {code: rates[ident].total for ident, code in mine.get(kept.plan_id, []) if ident in rates}


def levels_now(
    conn: Connection, plan: Plan, asset_ids: Sequence[int], *, today: date, now: datetime
) -> dict[str, Level]:
    """The meters of a plan that is new: they count from now."""
    wanted = [each.meter for each in plan.triggers if isinstance(each, Meter)]
    rows = conn.execute(
        "select meter_id, code from meters where asset_id = %s and code = any(%s)", (asset_ids[0], wanted)
    ).fetchall()
    rates = meters.rates(conn, [row[0] for row in rows], now=now)
    return {
        code: Level(rates[ident].total, today, rates[ident].per_day or 0.0, rates[ident].total)
        for ident, code in rows
        if ident in rates
    }


# -- inside -----------------------------------------------------------------------------------------------------------


def _reason(ruling: Ruling) -> dict[str, Any]:
    about = None if ruling.about is None else ruling.about.isoformat()
    return {"key": ruling.why.value} | {name: value for name, value in (("about", about), ("by", ruling.by)) if value}


def _meters_of(conn: Connection, plans: Sequence[Kept]) -> dict[int, list[tuple[int, str]]]:
    """Plan → (meter id, code) of the meters that its triggers name, on its first asset."""
    wanted = {(each.asset_ids[0], t.meter) for each in plans for t in each.plan.triggers if isinstance(t, Meter)}
    if not wanted:
        return {}
    rows = conn.execute(
        "select asset_id, code, meter_id from meters where asset_id = any(%s)", ([asset for asset, _ in wanted],)
    )
    known = {(row[0], row[1]): row[2] for row in rows}
    return {
        each.plan_id: [
            (known[each.asset_ids[0], t.meter], t.meter)
            for t in each.plan.triggers
            if isinstance(t, Meter) and (each.asset_ids[0], t.meter) in known
        ]
        for each in plans
    }


def _levels(conn: Connection, plans: Sequence[Kept], *, zone: ZoneInfo, now: datetime) -> dict[int, dict[str, Level]]:
    mine = _meters_of(conn, plans)
    rates = meters.rates(conn, [ident for those in mine.values() for ident, _ in those], now=now)
    found: dict[int, dict[str, Level]] = {}
    for plan_id, those in mine.items():
        for ident, code in those:
            if ident in rates:
                rate = rates[ident]
                base = _base(conn, plan_id, ident, code)
                found.setdefault(plan_id, {})[code] = Level(
                    rate.total, rate.at.astimezone(zone).date(), rate.per_day or 0.0, base
                )
    return found


def _base(conn: Connection, plan_id: int, meter_id: int, code: str) -> float:
    """Where the meter stood when the work was last settled, or else when the plan was made."""
    row = conn.execute(
        """select coalesce(
             (select max(total) from (
                select (readings->>%(code)s)::float8 as total from pm_occurrences where plan_id = %(plan)s
                union all
                select (readings->>%(code)s)::float8 from pm_completions where plan_id = %(plan)s) known),
             (select r.total from meter_readings r, pm_plans p where r.meter_id = %(meter)s and p.plan_id = %(plan)s
                and r.at <= p.since order by r.at desc limit 1),
             (select total from meter_readings where meter_id = %(meter)s order by at limit 1), 0)""",
        {"plan": plan_id, "meter": meter_id, "code": code},
    ).fetchone()
    return float(row[0]) if row else 0.0


def _held(conn: Connection, kept: Kept, done_at: datetime | None, *, zone: ZoneInfo, now: datetime) -> date | None:
    """Today, while one of the plan's conditions is met by what was measured since the work was done."""
    for trigger in kept.plan.triggers:
        if isinstance(trigger, Condition) and _is_met(conn, kept.asset_ids[0], trigger, done_at, now):
            return now.astimezone(zone).date()
    return None


def _is_met(conn: Connection, asset_id: int, trigger: Condition, done_at: datetime | None, now: datetime) -> bool:
    row = conn.execute(
        "select signal_id from signals where asset_id = %s and code = %s", (asset_id, trigger.signal)
    ).fetchone()
    newest = telemetry.latest(conn, [row[0]]).get(row[0]) if row else None
    if row is None or newest is None or newest.value is None or (done_at is not None and newest.at <= done_at):
        return False
    if not _lies(trigger, newest.value):
        return False
    since = now - timedelta(hours=trigger.hours)
    if trigger.hours <= 0 or (done_at is not None and since < done_at):
        return trigger.hours <= 0
    series = telemetry.read(conn, [row[0]], since, now)[row[0]]
    extremes = series.low if trigger.relation is Relation.ABOVE else series.high
    edges = series.value if extremes is None else extremes
    return len(edges) > 0 and all(_lies(trigger, float(value)) for value in edges)


def _lies(trigger: Condition, value: float) -> bool:
    return value > trigger.limit if trigger.relation is Relation.ABOVE else value < trigger.limit


def _kept(row: tuple[Any, ...]) -> Kept:
    plan_id, code, version, state, body, since, cycle, look_at, warnings, made_at, by_name, asset_ids = row
    plan = plans_model.parse(code, body)
    return Kept(
        plan_id, code, version, state, plan, since, cycle, look_at, tuple(warnings), made_at, by_name,
        tuple(asset_ids or ()),
    )  # fmt: skip
