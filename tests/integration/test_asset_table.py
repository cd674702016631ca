"""Assets from real files into the real database, and libraries that a site adds: whole or not at all."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection

from core.database import Database
from core.errors import Stale
from maintenance import libraries, library
from maintenance.library_file import LibraryError
from plant import asset_care, assets, export_rows, import_store, import_table
from plant.errors import BadCriticality, BadImport, BadTree, FileUnreadable
from plant.import_signals import SignalRow
from plant.importing import AssetRow, Change, Plan
from tests.api_world import API, World, living, problem, seeded
from tickets import export, export_xlsx, failure_codes
from tickets.export import Column, Table

NOW = datetime(2026, 3, 2, tzinfo=UTC)
CSV = """Code,Name,Parent,Level,Class,Signal,Unit,Criticality,Reason
S,Site,,site,,,,,
L1,Line,S,line,,,,,
P-1,Pump,L1,equipment,pump,vibration,mm/s,5,only one
P-1,,,,,flow,l/min,,
"""
CRANE = """
asset_class = "crane"
name = { en = "Crane", zh = "起重机" }
skill = "mechanical"
lead_h = 24
cost = { planned = 1, failure = 2 }
[[mode]]
code = "rope_wear"
name = { en = "Rope wear", zh = "钢丝绳磨损" }
mechanism = "2.4 wear"
checks = { en = ["Look."], zh = ["检查。"] }
signature = [{ words = ["load"], quantity = "force", direction = "up", weight = 1 }]
"""
CLASSES = frozenset(library.classes())


def rows(tmp_path: Path, text: str | bytes, name: str = "assets.csv") -> list[list[str]]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return import_table.read(path)


def counts(made: Plan) -> tuple[int, int]:
    return made.count(Change.CREATED, AssetRow), made.count(Change.CREATED, SignalRow)


def test_a_file_is_taken_over_once_and_comes_back_from_its_export(conn: Connection, site: int, tmp_path: Path) -> None:
    table = rows(tmp_path, CSV)
    assert counts(import_store.look(conn, table, CLASSES)) == (3, 2) and assets.assets(conn) == []
    assert counts(import_store.apply(conn, table, CLASSES)) == (3, 2)
    pump = assets.asset_by_code(conn, "P-1")
    assert (pump.criticality, pump.level) == (5, "equipment")
    assert [(each.code, each.unit) for each in assets.signals(conn, pump.asset_id)] == [
        ("vibration", "mm/s"),
        ("flow", "m3/h"),
    ]
    assert counts(import_store.apply(conn, table, CLASSES)) == (0, 0)
    columns = [Column(head, head) for head in export_rows.heads("zh")]
    out = Table("资产", columns, export_rows.rows(import_store.known(conn, CLASSES)))
    zone = ZoneInfo("UTC")
    for name, data in (
        ("a.xlsx", export_xlsx.xlsx(out, zone=zone)),
        ("a.csv", export.csv_file(out, zone=zone, bom=export.BOM)),
    ):
        again = import_store.look(conn, rows(tmp_path, data, name), CLASSES)
        assert again.problems == () and {each.change for each in again.items} == {Change.UNCHANGED}


def test_one_bad_row_and_nothing_is_changed(conn: Connection, site: int, tmp_path: Path) -> None:
    table = rows(tmp_path, CSV + "X,Extra,NOWHERE,,,,,,\n")
    with pytest.raises(BadImport) as refused:
        import_store.apply(conn, table, CLASSES)
    assert assets.assets(conn) == []
    (told,) = refused.value.extra["problems"]
    assert (told["row"], told["column"]) == (6, "Parent") and "NOWHERE" in told["en"] and "NOWHERE" in told["zh"]


def test_chinese_files_of_a_spreadsheet_are_read(tmp_path: Path) -> None:
    assert rows(tmp_path, "编号;名称\nP;水泵\n".encode("gb18030")) == [["编号", "名称"], ["P", "水泵"]]


def test_a_file_that_is_no_table_or_unfolds_to_gigabytes_is_refused(tmp_path: Path) -> None:
    for data in (b"\x00\x01\x02", b"PK\x03\x04nothing", b"\xd0\xcf\x11\xe0" + b"\x00" * 600):
        with pytest.raises(FileUnreadable):
            rows(tmp_path, data)
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    wide = "<row>" + "<c><v>1</v></c>" * 200_000 + "</row>"
    for cells in (far, wide, " " * 121_000_000):
        data = bomb(cells)
        assert len(data) < 1_000_000
        with pytest.raises(FileUnreadable):
            rows(tmp_path, data, "bomb.xlsx")


def bomb(cells: str) -> bytes:
    """A small workbook with these rows."""
    head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    sheet = f"{head}{cells}</sheetData></worksheet>"
    table = export_xlsx.xlsx(Table("t", [Column("a", "a")], [["x"]]), zone=ZoneInfo("UTC"))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(table)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, sheet if name.endswith("sheet1.xml") else old.read(name))
    return out.getvalue()


def test_the_tree_and_the_weight_of_an_asset_hold_what_they_must(conn: Connection, site: int, tmp_path: Path) -> None:
    import_store.apply(conn, rows(tmp_path, CSV), CLASSES)
    ids = {each.code: each.asset_id for each in assets.assets(conn)}

    def version(code: str) -> int:
        return asset_care.get(conn, ids[code]).version

    with pytest.raises(BadTree):
        asset_care.move(conn, ids["S"], parent_id=ids["P-1"], version=version("S"))
    with pytest.raises(BadTree):
        asset_care.check_place(conn, level="site", parent_id=ids["L1"])
    assert asset_care.move(conn, ids["P-1"], parent_id=ids["S"], version=version("P-1")).row.parent == "S"
    with pytest.raises(BadCriticality):
        asset_care.weigh(
            conn, ids["P-1"], consequence=5, likelihood=5, criticality=1, reason="", version=version("P-1")
        )
    made = asset_care.weigh(
        conn, ids["P-1"], consequence=4, likelihood=3, criticality=None, reason="", version=version("P-1")
    )
    assert made.row.criticality == 3 and assets.asset(conn, ids["P-1"]).criticality == 3


def test_weighing_an_asset_writes_its_weight_alone_and_never_over_a_change_unseen(
    conn: Connection, site: int, tmp_path: Path
) -> None:
    import_store.apply(conn, rows(tmp_path, CSV), CLASSES)
    ids = {each.code: each.asset_id for each in assets.assets(conn)}
    seen = asset_care.get(conn, ids["P-1"])
    conn.execute("update assets set name = 'Renamed' where asset_id = %s", (ids["P-1"],))
    with pytest.raises(Stale):
        asset_care.weigh(
            conn, ids["P-1"], consequence=5, likelihood=5, criticality=None, reason="", version=seen.version
        )
    with pytest.raises(Stale):
        asset_care.move(conn, ids["P-1"], parent_id=None, version=seen.version)
    now = asset_care.get(conn, ids["P-1"])
    made = asset_care.weigh(
        conn, ids["P-1"], consequence=5, likelihood=5, criticality=None, reason="", version=now.version
    )
    assert (made.row.name, made.row.criticality, made.version) == ("Renamed", 5, now.version + 1)


def test_a_sites_own_library_counts_from_its_upload_to_its_retirement(conn: Connection, site: int) -> None:
    assert [each.code for each in libraries.modes(conn, "crane")] == [each.code for each in library.modes("generic")]
    seen = libraries.preview(conn, CRANE, "crane.toml")
    assert dict(seen.modes) == {"rope_wear": libraries.Change.ADDED} and "crane" not in libraries.described(conn)
    first = libraries.take_up(conn, CRANE, "crane.toml", by="Admin", now=NOW)
    assert libraries.take_up(conn, CRANE, "crane.toml", by="Admin", now=NOW) == first
    assert [each.code for each in libraries.modes(conn, "crane")] == ["rope_wear", "unknown"]
    assert "rope_wear" in {each.code for each in failure_codes.catalogue(conn, asset_class="crane")}
    second = libraries.take_up(conn, CRANE.replace("planned = 1", "planned = 9"), "crane.toml", by="Admin", now=NOW)
    assert second.version == 2 and libraries.mode(conn, "crane", "rope_wear").cost.planned == 9
    with pytest.raises(LibraryError, match="never negative"):
        libraries.take_up(conn, CRANE.replace("planned = 1", "planned = -9"), "crane.toml", by="Admin", now=NOW)
    assert libraries.mode(conn, "crane", "rope_wear").cost.planned == 9
    assert libraries.retire(conn, "crane", now=NOW) and not libraries.retire(conn, "crane", now=NOW)
    assert "planned = 1" in libraries.document(conn, "crane", 1)


def test_a_shipped_code_keeps_its_name_and_generic_is_not_for_sale(conn: Connection, site: int) -> None:
    pump = CRANE.replace('"crane"', '"pump"').replace("rope_wear", "cavitation")
    with pytest.raises(LibraryError, match="Cavitation"):
        libraries.preview(conn, pump, "pump.toml")
    with pytest.raises(LibraryError, match="generic"):
        libraries.preview(conn, CRANE.replace('"crane"', '"generic"'), "g.toml")


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with living(database, tmp_path) as running:
        yield seeded(running)


def test_over_the_api(world: World) -> None:
    planner, admin, engineer = (world.as_(each) for each in ("planner", "admin", "engineer"))
    body = CSV.replace("S,", "S9,", 1).replace(",S,", ",S9,").replace("P-1", "P-91").replace("L1", "L9").encode()
    dry = planner.post(f"{API}/asset-table", content=body, headers={"content-type": "application/octet-stream"}).json()
    assert dry["applied"] is False and dry["assets"]["created"] == 3 and dry["problems"] == []
    assert engineer.post(f"{API}/asset-table", content=body).status_code == 403
    done = planner.post(f"{API}/asset-table?dry_run=false", content=body).json()
    assert done["applied"] is True
    bad = planner.post(f"{API}/asset-table?dry_run=false", content=body + b"Y,Y,NOWHERE,,,,,,\n")
    assert problem(bad)["code"] == "bad_import"
    out = planner.get(f"{API}/asset-table?form=csv")
    assert out.status_code == 200 and b"P-91" in out.content
    asset_id = next(each["asset_id"] for each in planner.get(f"{API}/assets").json()["items"] if each["code"] == "P-91")
    path, weight = f"{API}/assets/{asset_id}/criticality", {"consequence": 5, "likelihood": 1}
    assert planner.put(path, json=weight).status_code == 428
    version = planner.get(f"{API}/assets/{asset_id}/care").json()["version"]
    weighed = planner.put(path, json=weight, headers={"If-Match": f'"{version}"'}).json()
    assert planner.put(path, json=weight, headers={"If-Match": f'"{version}"'}).status_code == 412
    assert (weighed["criticality"], weighed["proposed"]) == (3, 3)
    assert planner.get(f"{API}/libraries/pump").json()["modes_shown"][0]["effect"]["zh"]
    assert planner.post(f"{API}/libraries", json={"text": CRANE}).status_code == 403
    assert admin.post(f"{API}/libraries/check", json={"text": CRANE}).json()["modes"][0]["change"] == "added"
    assert admin.post(f"{API}/libraries", json={"text": CRANE}).status_code == 201
    assert problem(admin.post(f"{API}/libraries", json={"text": CRANE + "x"}))["code"] == "failure_library"
    assert admin.delete(f"{API}/libraries/crane").status_code == 204
    assert planner.get(f"{API}/verdicts").json()["items"] == []
