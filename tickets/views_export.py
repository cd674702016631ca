"""The other lists as tables for a file: a row of data a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

from psycopg import Connection

from core.errors import NotFound
from tickets.export import Column, Table
from tickets.model import Text


@dataclass(frozen=True, slots=True)
class List:
    """A list's name, its columns (name, English, Chinese) and its query."""

    title: Text
    columns: tuple[tuple[str, str, str], ...]
    query: LiteralString


LISTS: Mapping[str, List] = {
    "assets": List(
        {"en": "Assets", "zh": "设备"},
        (
            ("code", "Code", "编号"), ("name", "Name", "名称"), ("name_zh", "Chinese name", "中文名称"),
            ("class", "Class", "类别"), ("level", "Level", "层级"), ("parent", "Part of", "上级"),
            ("location", "Location", "位置"), ("criticality", "Criticality", "重要度"),
            ("open", "Open tickets", "未结束工单"),
        ),
        """select a.code, a.name, a.name_zh, a.class, a.level, p.code, a.location, a.criticality,
             (select count(*) from tickets t where t.asset_id = a.asset_id and t.status not in ('closed', 'cancelled'))
           from assets a left join assets p on p.asset_id = a.parent_id order by a.code""",
    ),
    "engineers": List(
        {"en": "Engineers", "zh": "工程师"},
        (
            ("name", "Name", "姓名"), ("skills", "Skills", "技能"), ("active", "Active", "在岗"),
            ("open", "Open tickets", "未结束工单"),
        ),
        """select e.name, e.skills, e.active, (select count(*) from tickets t
             where t.assignee_id = e.engineer_id and t.status not in ('closed', 'cancelled'))
           from engineers e order by e.name, e.engineer_id""",
    ),
    "articles": List(
        {"en": "Guides", "zh": "指南"},
        (
            ("code", "Code", "编号"), ("asset_class", "Asset class", "设备类别"), ("mode", "Failure mode", "故障模式"),
            ("title_en", "Title (English)", "标题（英文）"), ("title_zh", "Title (Chinese)", "标题（中文）"),
            ("updated_at", "Changed", "更新时间"),
        ),
        "select code, asset_class, mode, title->>'en', title->>'zh', updated_at from articles order by code",
    ),
}  # fmt: skip


def table(conn: Connection, name: str, *, locale: str) -> Table:
    """A whole list. Raises NotFound."""
    found = LISTS.get(name)
    if found is None:
        raise NotFound(f"There is no list {name!r}; there are tickets, {', '.join(LISTS)}.")
    columns = [Column(name, zh if locale == "zh" else en) for name, en, zh in found.columns]
    return Table(found.title["zh" if locale == "zh" else "en"], columns, conn.execute(found.query).fetchall())
