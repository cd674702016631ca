"""The fields of a ticket as lists, filters, exports and reports name them: one row of data a field. Pure.

A field that is a row of the site's custom fields is named ``fields.KEY``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString

from psycopg import sql

from tickets.model import Text


class Form(StrEnum):
    """What a field holds; it decides which comparisons make sense."""

    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    TIME = "time"
    FLAG = "flag"
    SET = "set"


@dataclass(frozen=True, slots=True)
class Field:
    """``expression`` is SQL over ``tickets t`` and what ``needs`` joins; ``unit`` of its number; ``kept``: the key of a
    custom field, under which ``ticket_field_values`` has it."""

    name: str
    form: Form
    expression: sql.Composable
    label: Text
    needs: tuple[str, ...] = ()
    unit: str = ""
    kept: str | None = None


JOINS: Mapping[str, LiteralString] = {
    "asset": "left join assets a on a.asset_id = t.asset_id",
    "area": """left join lateral (with recursive up(asset_id, parent_id, code, level) as (
                 select p.asset_id, p.parent_id, p.code, p.level from assets p where p.asset_id = t.asset_id
                 union all
                 select p.asset_id, p.parent_id, p.code, p.level from assets p join up on p.asset_id = up.parent_id
               ) select code from up where level = 'area' limit 1) area on true""",
    "engineer": "left join engineers e on e.engineer_id = t.assignee_id",
    "requester": "left join users u on u.user_id = t.requester_id",
    "parent": "left join tickets parent on parent.ticket_id = t.parent_id",
}

OPEN: LiteralString = "(t.status not in ('closed', 'cancelled'))"
OVERDUE: LiteralString = (
    """(t.resolve_by is not null and t.resolve_by < coalesce(t.done_at, t.closed_at, %(now)s::timestamptz))"""
)


def _field(
    name: str, form: Form, expression: LiteralString, en: str, zh: str, *, needs: tuple[str, ...] = (), unit: str = ""
) -> Field:
    return Field(name, form, sql.SQL(expression), {"en": en, "zh": zh}, needs, unit)


BUILT_IN: Mapping[str, Field] = {
    each.name: each
    for each in (
        _field("ref", Form.TEXT, "t.ref", "Number", "编号"),
        _field("title", Form.TEXT, "t.title", "Title", "标题"),
        _field("description", Form.TEXT, "t.description", "Description", "描述"),
        _field("kind", Form.CHOICE, "t.kind", "Kind", "类型"),
        _field("status", Form.CHOICE, "t.status", "Status", "状态"),
        _field("priority", Form.NUMBER, "t.priority", "Priority", "优先级"),
        _field("asset_id", Form.NUMBER, "t.asset_id", "Asset (id)", "设备（内部号）"),
        _field("asset", Form.CHOICE, "a.code", "Asset", "设备", needs=("asset",)),
        _field("asset_name", Form.TEXT, "a.name", "Asset name", "设备名称", needs=("asset",)),
        _field("area", Form.CHOICE, "area.code", "Area", "区域", needs=("area",)),
        _field("location", Form.TEXT, "a.location", "Location", "位置", needs=("asset",)),
        _field("class", Form.CHOICE, "a.class", "Asset class", "设备类别", needs=("asset",)),
        _field("criticality", Form.NUMBER, "a.criticality", "Criticality", "重要度", needs=("asset",)),
        _field("mode", Form.CHOICE, "t.mode", "Failure mode", "故障模式"),
        _field("channel", Form.CHOICE, "t.channel", "Channel", "渠道"),
        _field("requester_id", Form.NUMBER, "t.requester_id", "Requester (id)", "报修人（内部号）"),
        _field("requester", Form.CHOICE, "u.name", "Requester", "报修人", needs=("requester",)),
        _field("assignee_id", Form.NUMBER, "t.assignee_id", "Assignee (id)", "负责人（内部号）"),
        _field("engineer", Form.CHOICE, "e.name", "Engineer", "工程师", needs=("engineer",)),
        _field("skill", Form.CHOICE, "t.skill", "Skill", "技能"),
        _field("opened_at", Form.TIME, "t.opened_at", "Opened", "创建时间"),
        _field("respond_by", Form.TIME, "t.respond_by", "Respond by", "响应期限"),
        _field("resolve_by", Form.TIME, "t.resolve_by", "Resolve by", "解决期限"),
        _field("responded_at", Form.TIME, "t.responded_at", "Responded", "响应时间"),
        _field("done_at", Form.TIME, "t.done_at", "Done", "完成时间"),
        _field("closed_at", Form.TIME, "t.closed_at", "Closed", "关闭时间"),
        _field("hold_reason", Form.CHOICE, "t.hold_reason", "On hold for", "挂起原因"),
        _field("verdict", Form.CHOICE, "t.verdict", "Verdict", "结论"),
        _field("failure_code", Form.CHOICE, "t.failure_code", "Failure code", "故障代码"),
        _field("parent", Form.CHOICE, "parent.ref", "Parent", "上级工单", needs=("parent",)),
        _field("cost", Form.NUMBER, "t.cost", "Cost", "费用", unit="currency"),
        _field("downtime_h", Form.NUMBER, "(t.downtime_s / 3600)", "Downtime", "停机时间", unit="h"),
        _field("safety", Form.FLAG, "t.safety", "Safety", "涉及安全"),
        _field("tags", Form.SET, "t.tags", "Tags", "标签"),
        _field("open", Form.FLAG, OPEN, "Open", "未结束"),
        _field("overdue", Form.FLAG, OVERDUE, "Overdue", "超期"),
        _field("unassigned", Form.FLAG, "(t.assignee_id is null)", "Unassigned", "未指派"),
        _field("mine", Form.FLAG, "coalesce(t.assignee_id = %(engineer)s::int, false)", "Mine", "我负责的"),
        _field(
            "watched",
            Form.FLAG,
            "exists (select from ticket_watchers w where w.ticket_id = t.ticket_id and w.user_id = %(user)s::int)",
            "Watched",
            "我关注的",
        ),
    )
}
UNSORTED = frozenset({"tags", "description"})  # no order that says anything
DEFAULT_COLUMNS = ("ref", "title", "kind", "status", "priority", "asset", "engineer", "opened_at", "resolve_by")
