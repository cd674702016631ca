"""Reports as files: nothing in them runs, numbers stay numbers, Chinese is set; and by the clock, once."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection

from core.database import Database
from core.jobs import run_due
from tests.integration import tickets_world
from tests.integration.tickets_world import NOW, World
from tickets import export_pdf, notify, reports_files, reports_schedule, saved
from tickets.errors import InvalidFields, NotAllowed
from tickets.export import Column, Table
from tickets.saved import Kind, Saved, Sharing
from tickets.views_filter import Moment

ZONE = ZoneInfo("Asia/Shanghai")
TABLE = Table(
    '=HYPERLINK("http://x") 故障报表',
    [Column("asset", "设备"), Column("cost", "费用", "EUR"), Column("at", "When")],
    [
        ["=1+1", 12.5, NOW],
        ["泵 P-101 #let x = 1 $y$ *b*", -3, None],
        ["http://example.org", 0.1, NOW],
        ["@x", None, NOW],
    ],
    ["期间：今天"],
)
XML = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells(file: bytes) -> dict[str, tuple[str, str]]:
    """Cell → its type and value; formulas would be found as such."""
    with zipfile.ZipFile(io.BytesIO(file)) as parts:
        sheet = ElementTree.fromstring(parts.read("xl/worksheets/sheet1.xml"))  # noqa: S314 - our own file
        texts = ElementTree.fromstring(parts.read("xl/sharedStrings.xml"))  # noqa: S314
        assert not any("hyperlink" in parts.read(name).decode("utf8", "replace").lower() for name in parts.namelist()
                       if name.endswith(".rels"))  # fmt: skip
    known = ["".join(part.text or "" for part in each.iter(f"{XML}t")) for each in texts]
    found = {}
    for cell in sheet.iter(f"{XML}c"):
        assert cell.find(f"{XML}f") is None
        value = cell.findtext(f"{XML}v")
        if value is not None:
            kind = cell.get("t", "n")
            found[cell.get("r", "")] = (kind, known[int(value)] if kind == "s" else value)
    return found


def test_a_spreadsheet_holds_texts_numbers_and_times() -> None:
    found = cells(reports_files.written(TABLE, "xlsx", ZONE))
    assert found["A1"] == ("s", TABLE.title)
    assert [found[f"{column}4"][1] for column in "ABC"] == ["设备", "费用 (EUR)", "When"]
    assert found["A5"] == ("s", "=1+1") and found["A7"] == ("s", "http://example.org")
    assert found["B5"] == ("n", "12.5") and found["B6"] == ("n", "-3")
    days = timedelta(days=round(float(found["C5"][1]) * 1440) / 1440)
    assert datetime(1899, 12, 30) + days == datetime(2026, 3, 2, 17)  # noqa: DTZ001


def test_a_page_is_set_and_its_text_is_no_markup() -> None:
    made = reports_files.written(TABLE, "pdf", ZONE)
    assert made.startswith(b"%PDF") and len(made) > 3000
    font = export_pdf.han_font()
    if font is None:
        assert export_pdf._content(TABLE, ZONE)["notes"] == [*TABLE.notes, export_pdf.NO_FONT]
    elif "CJK" in font.name:
        assert any(b"CJK" in part for part in [made, *unpacked(made)])


def unpacked(file: bytes) -> list[bytes]:
    """The compressed parts of a PDF; its fonts are named in one of them."""
    parts = []
    for found in re.finditer(rb"stream\r?\n(.*?)endstream", file, re.DOTALL):
        with contextlib.suppress(zlib.error):
            parts.append(zlib.decompress(found[1]))
    return parts


def test_a_child_that_fails_is_an_error_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_pdf, "CHILD", export_pdf.CHILD.with_name("nothing.py"))
    with pytest.raises(export_pdf.PdfFailed, match="XLSX or CSV"):
        export_pdf.pdf(TABLE, zone=ZONE)


def test_a_report_says_its_period_filter_and_units(conn: Connection) -> None:
    world = tickets_world.build(conn)
    tickets_world.order(conn, world, title="=1")
    asked = {"measures": ["opened", "resolution_kept", "cost"], "dimensions": ["kind"],
             "filter": [{"field": "priority", "op": "le", "value": 3}]}  # fmt: skip
    moment = Moment(NOW + timedelta(hours=1), ZONE)
    made = reports_files.file(conn, asked, title="Week", form="csv", locale="zh", moment=moment).decode()
    assert made.split("\r\n")[0] == "\ufeff类型,新建数 (单),解决达标率 (%),费用 (站点货币)"
    assert made.split("\r\n")[1:3] == ["preventive,1.0,,0.0", "合计,1.0,,0.0"]


@pytest.mark.parametrize(
    ("now", "every", "expected"),
    [
        ("2026-03-02T09:00Z", "day", "2026-03-03T05:00Z"),
        ("2026-03-02T04:59Z", "day", "2026-03-02T05:00Z"),
        ("2026-03-02T05:00Z", "week", "2026-03-09T05:00Z"),
        ("2026-03-02T09:00Z", "month", "2026-04-01T04:00Z"),
        ("2026-03-29T00:30Z", "day", "2026-03-29T04:00Z"),
    ],
)
def test_the_next_time_is_on_the_sites_clock(now: str, every: str, expected: str) -> None:
    found = reports_schedule.following(datetime.fromisoformat(now), every, 6, ZoneInfo("Europe/Berlin"))
    assert found.astimezone(UTC) == datetime.fromisoformat(expected)


def test_an_hour_that_is_skipped_comes_once() -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = reports_schedule.following(datetime(2026, 3, 28, 12, tzinfo=UTC), "day", 2, zone)
    second = reports_schedule.following(first, "day", 2, zone)
    assert (first.astimezone(UTC).day, second.astimezone(UTC).day) == (29, 30)


def keep(conn: Connection, world: World, **body: Any) -> Saved:
    given = {"measures": ["opened"], "dimensions": ["kind"], **body}
    return saved.keep(
        conn, world.planner, kind=Kind.REPORT, name="周报 =1/..", audience=Sharing.SHARED, body=given, now=NOW
    )


def test_a_schedule_makes_one_file_and_tells_its_readers(database: Database, site: int) -> None:
    with database.tx(site_id=site) as conn:
        world = tickets_world.build(conn)
        tickets_world.order(conn, world)
        report = keep(conn, world)
        schedule = reports_schedule.add(
            conn, world.planner, saved_id=report.saved_id, format="xlsx", locale="zh", every="day", hour=6,
            recipients=[world.lin.actor_id or 0], now=NOW,
        )  # fmt: skip
        with pytest.raises(InvalidFields, match="may not read"):
            reports_schedule.add(
                conn, world.planner, saved_id=report.saved_id, format="csv", locale="en", every="day", hour=6,
                recipients=[world.requester.actor_id or 0], now=NOW,
            )  # fmt: skip
        reports_schedule.due(conn, {}, NOW)
        late = schedule.next_at + timedelta(days=3, minutes=1)
        for _ in range(2):
            reports_schedule.due(conn, {}, late)
    run_due(database)
    with database.tx(site_id=site) as conn:
        reports_schedule.make(conn, schedule, due_at=schedule.next_at, now=late)  # delivered twice: no harm
        (made,) = reports_schedule.files(conn, world.lin, schedule.schedule_id)
        name, media, content = reports_schedule.content(conn, world.lin, made.file_id)
        assert name.startswith("周报-1-") and name.endswith(".xlsx") and media == reports_files.MEDIA["xlsx"]
        assert cells(content)["A1"] == ("s", "周报 =1/..")
        told = [each for each in notify.inbox(conn, world.lin.actor_id or 0) if each.kind == "report"]
        assert [each.title["zh"] for each in told] == ["报表“周报 =1/..”已生成"]
        assert reports_schedule.get(conn, schedule.schedule_id).next_at > late


def test_a_pause_makes_no_file_and_nothing_is_made_up_for(conn: Connection) -> None:
    world = tickets_world.build(conn)
    schedule = reports_schedule.add(
        conn, world.planner, saved_id=keep(conn, world).saved_id, format="csv", locale="en", every="day", hour=6,
        recipients=[world.lin.actor_id or 0], now=NOW,
    )  # fmt: skip
    ident, late = schedule.schedule_id, schedule.next_at + timedelta(days=3, minutes=1)
    reports_schedule.change(conn, world.planner, ident, changes={"paused": True}, now=NOW)
    reports_schedule.due(conn, {}, late)
    assert reports_schedule.get(conn, ident).next_at == schedule.next_at
    goes_on = reports_schedule.change(conn, world.planner, ident, changes={"paused": False, "hour": 8}, now=late)
    assert (goes_on.hour, goes_on.paused, goes_on.next_at > late) == (8, False, True)
    with pytest.raises(NotAllowed):
        reports_schedule.change(conn, world.lin, ident, changes={"hour": 1}, now=late)


def test_a_report_that_no_longer_fits_is_told_to_its_owner(conn: Connection) -> None:
    world = tickets_world.build(conn)
    report = keep(conn, world)
    schedule = reports_schedule.add(
        conn, world.planner, saved_id=report.saved_id, format="csv", locale="en", every="week", hour=6,
        recipients=[world.lin.actor_id or 0], now=NOW,
    )  # fmt: skip
    body = json.dumps({"measures": ["opened"], "dimensions": ["fields.gone"]})
    conn.execute("update saved set body = %s::jsonb where saved_id = %s", (body, report.saved_id))
    reports_schedule.make(conn, schedule, due_at=NOW, now=NOW)
    assert "fields.gone" in (reports_schedule.get(conn, schedule.schedule_id).last_error or "")
    assert reports_schedule.files(conn, world.planner, schedule.schedule_id) == []
    assert next(each.kind for each in notify.inbox(conn, world.planner.actor_id or 0)) == "report"
