"""What can be counted, and by what: one row of data a measure and a dimension. Pure.

Every measure has a *basis*, the time of a ticket that decides which period it belongs to: what came in counts by its
opening, what was finished by its end. The same basis makes the days, weeks and hours of a time dimension, on the
site's clock. A measure of nothing is 0 when it counts or adds up, and no value when it is a share or a mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from tickets.model import Text
from tickets.views_fields import OPEN, OVERDUE, Field, Form

REOPENED: LiteralString = """(select count(*) from ticket_events ev where ev.ticket_id = t.ticket_id
  and ev.kind = 'transition' and ev.body->>'to' = 'reopened')"""
ARRIVED: LiteralString = """(select count(*) from ticket_events ev where ev.ticket_id = t.ticket_id
  and ev.kind = 'transition' and ev.body->>'to' = 'arrived')"""
VERIFIED: LiteralString = """exists (select 1 from ticket_events ev
  where ev.ticket_id = t.ticket_id and ev.kind = 'transition'
  and ev.body->>'from' = 'verifying' and ev.body->>'to' = 'closed' and ev.actor_kind = 'system')"""
LABOUR_H: LiteralString = """(select coalesce(sum(l.minutes), 0) / 60.0 from labour l
  where l.ticket_id = t.ticket_id and l.voided_at is null)"""

FAILURE: LiteralString = "t.kind in ('corrective', 'incident') and t.asset_id is not null"
RESPONSE_MIN: LiteralString = "extract(epoch from t.responded_at - t.opened_at)::float8 / 60"
RESOLUTION_H: LiteralString = "extract(epoch from t.done_at - t.opened_at)::float8 / 3600"
AGE_H: LiteralString = "extract(epoch from %(now)s::timestamptz - t.opened_at)::float8 / 3600"


@dataclass(frozen=True, slots=True)
class Measure:
    """``value`` is computed of each ticket of the basis that fits ``only``; ``aggregate`` is SQL over ``v``."""

    name: str
    label: Text
    unit: str
    basis: str
    value: LiteralString
    aggregate: LiteralString
    only: LiteralString = "true"


COUNT: LiteralString = "count(v)::float8"
SUM: LiteralString = "coalesce(sum(v), 0)::float8"
MEAN: LiteralString = "avg(v)::float8"
MEDIAN: LiteralString = "percentile_cont(0.5) within group (order by v)"
P90: LiteralString = "percentile_cont(0.9) within group (order by v)"
SHARE: LiteralString = "avg(v)::float8"  # of 0 and 1


def _measure(
    name: str,
    en: str,
    zh: str,
    unit: str,
    basis: str,
    value: LiteralString,
    aggregate: LiteralString,
    only: LiteralString = "true",
) -> Measure:
    return Measure(name, {"en": en, "zh": zh}, unit, basis, value, aggregate, only)


MEASURES: Mapping[str, Measure] = {
    each.name: each
    for each in (
        _measure("opened", "Opened", "新建数", "tickets", "opened_at", "1", COUNT),
        _measure("open", "Open now", "未结束数", "tickets", "opened_at", "1", COUNT, OPEN),
        _measure("overdue", "Overdue now", "超期数", "tickets", "opened_at", "1", COUNT, f"{OPEN} and {OVERDUE}"),
        _measure("closed", "Closed", "关闭数", "tickets", "closed_at", "1", COUNT, "t.status = 'closed'"),
        _measure("cancelled", "Cancelled", "取消数", "tickets", "closed_at", "1", COUNT, "t.status = 'cancelled'"),
        _measure("failures", "Failures", "故障数", "tickets", "opened_at", "1", COUNT, FAILURE),
        _measure("backlog_age_mean", "Age of the backlog, mean", "积压平均时长", "h", "opened_at", AGE_H, MEAN, OPEN),
        _measure("backlog_age_p90", "Age of the backlog, 90 %", "积压时长 P90", "h", "opened_at", AGE_H, P90, OPEN),
        _measure("response_median", "Response, median", "响应时间中位数", "min", "responded_at", RESPONSE_MIN, MEDIAN),
        _measure("response_p90", "Response, 90 %", "响应时间 P90", "min", "responded_at", RESPONSE_MIN, P90),
        _measure("resolution_median", "Resolution, median", "解决时间中位数", "h", "done_at", RESOLUTION_H, MEDIAN),
        _measure("resolution_p90", "Resolution, 90 %", "解决时间 P90", "h", "done_at", RESOLUTION_H, P90),
        _measure(
            "response_kept", "Response deadline kept", "响应达标率", "share", "responded_at",
            "(t.responded_at <= t.respond_by)::int", SHARE, "t.respond_by is not null",
        ),
        _measure(
            "resolution_kept", "Resolution deadline kept", "解决达标率", "share", "done_at",
            "(t.done_at <= t.resolve_by)::int", SHARE, "t.resolve_by is not null",
        ),
        _measure(
            "first_time_fix", "Fixed at the first visit", "一次修复率", "share", "closed_at",
            f"({REOPENED} = 0 and {ARRIVED} <= 1)::int", SHARE, "t.status = 'closed' and t.done_at is not null",
        ),
        _measure(
            "reopen_rate", "Reopened", "重开率", "share", "closed_at",
            f"({REOPENED} > 0)::int", SHARE, "t.status = 'closed'",
        ),
        _measure("reopenings", "Reopenings", "重开次数", "times", "closed_at", REOPENED, SUM),
        _measure("verified", "Verified by telemetry", "遥测验证修复数", "tickets", "closed_at", "1", COUNT, VERIFIED),
        _measure(
            "verified_share", "Verified by telemetry, share", "遥测验证率", "share", "closed_at", f"({VERIFIED})::int",
            SHARE, "t.status = 'closed' and t.kind in ('preventive', 'corrective')",
        ),
        _measure(
            "nothing_found_share", "Nothing found", "未发现问题率", "share", "done_at",
            "(t.verdict = 'nothing_found')::int", SHARE, "t.verdict is not null",
        ),
        _measure("cost", "Cost", "费用", "currency", "opened_at", "t.cost", SUM),
        _measure("cost_mean", "Cost per ticket", "单均费用", "currency", "opened_at", "t.cost", MEAN),
        _measure("downtime", "Downtime", "停机时间", "h", "opened_at", "t.downtime_s / 3600", SUM),
        _measure("downtime_mean", "Downtime per ticket", "单均停机时间", "h", "opened_at", "t.downtime_s / 3600", MEAN),
        _measure("mttr", "Mean time to repair", "平均修复时间 MTTR", "h", "done_at", RESOLUTION_H, MEAN, FAILURE),
        _measure(
            "mtbf", "Mean time between failures", "平均故障间隔 MTBF", "h", "opened_at",
            "coalesce(t.downtime_s, 0) / 3600",
            "(count(distinct asset_id) * %(period_h)s::float8 - sum(v)) / nullif(count(v), 0)", FAILURE,
        ),
        _measure("labour", "Labour", "工时", "h", "opened_at", LABOUR_H, SUM),
    )
}  # fmt: skip


# -- dimensions -------------------------------------------------------------------------------------------------------

LOCAL: LiteralString = "(t.{basis} at time zone %(zone)s::text)"
CALENDAR: Mapping[str, tuple[str, str, str]] = {  # name → SQL over the local time, labels
    "day": ("to_char({local}, 'YYYY-MM-DD')", "Day", "日"),
    "week": ("to_char({local}, 'IYYY-\"W\"IW')", "Week", "周"),
    "month": ("to_char({local}, 'YYYY-MM')", "Month", "月"),
    "quarter": ("to_char({local}, 'YYYY-\"Q\"Q')", "Quarter", "季度"),
    "weekday": ("to_char({local}, 'ID')", "Day of the week (1 = Monday)", "星期（1 = 周一）"),
    "hour": ("to_char({local}, 'HH24')", "Hour of the day", "小时"),
}
OF_FIELDS = (
    "kind", "status", "priority", "asset", "area", "location", "class", "criticality", "mode", "engineer", "requester",
    "channel", "skill", "failure_code", "verdict", "hold_reason", "safety", "tags", "unassigned",
)  # fmt: skip
GROUPABLE = frozenset({Form.CHOICE, Form.FLAG, Form.SET})  # of custom fields


@dataclass(frozen=True, slots=True)
class Dimension:
    """What a report is broken down by. A ticket with two tags counts under both; None is the group without a name."""

    name: str
    label: Text
    field: Field | None  # None: of the calendar

    @property
    def is_time(self) -> bool:
        return self.field is None


def dimensions(fields: Mapping[str, Field]) -> dict[str, Dimension]:
    """Every dimension over these fields (``views_custom.known``)."""
    of_calendar = {name: Dimension(name, {"en": en, "zh": zh}, None) for name, (_, en, zh) in CALENDAR.items()}
    named = [name for name in fields if name in OF_FIELDS or _custom(name, fields[name])]
    return of_calendar | {name: Dimension(name, fields[name].label, fields[name]) for name in named}


def _custom(name: str, field: Field) -> bool:
    return name.startswith("fields.") and field.form in GROUPABLE


def expression(dimension: Dimension, measure: Measure) -> sql.Composable:
    """The group of a ticket as text; null for none."""
    if dimension.field is None:
        local = LOCAL.format(basis=measure.basis)
        return sql.SQL(CALENDAR[dimension.name][0].format(local=local))
    if dimension.field.form is Form.SET:
        return sql.SQL("unnest(case when cardinality({0}) = 0 then array[null::text] else {0} end)").format(
            dimension.field.expression
        )
    return sql.SQL("nullif(({})::text, '')").format(dimension.field.expression)
