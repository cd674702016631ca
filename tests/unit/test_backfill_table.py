"""Tables of old data, read in pieces: layouts, encodings, times, and every refused cell by its line."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.commands import backfill, backfill_map
from core.errors import Invalid
from edge import recorded_stream
from edge.recorded_cells import BadTable
from edge.recorded_files import Feed, lines_of
from edge.recorded_parquet import ParquetFeed
from edge.recorded_stream import Shape, TimeFormat
from plant.model import Quality

BERLIN = ZoneInfo("Europe/Berlin")


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def unheard(line: int, why: str) -> None:
    """Troubles of no interest."""


def read(lines: list[str], shape: Shape | None = None) -> tuple[dict[str, list[tuple[int, float, int]]], list[str]]:
    """Tag → (time, value, quality); and what was refused."""
    refused: list[str] = []
    found: dict[str, list[tuple[int, float, int]]] = {}
    for piece in recorded_stream.pieces(lines, shape or Shape(), lambda line, why: refused.append(f"{line}: {why}")):
        for each in piece.readings:
            rows = zip(each.at_us.tolist(), each.values.tolist(), each.quality.tolist(), strict=True)
            found.setdefault(each.tag, []).extend(rows)
    return found, refused


def test_a_column_a_tag() -> None:
    found, refused = read(["time,flow,temp", "2026-01-31T08:00:00Z,1,20.5", "2026-01-31T08:01:00Z,,21", "x,1,2"])
    at = us("2026-01-31T08:00:00Z")
    assert found == {"flow": [(at, 1.0, 0)], "temp": [(at, 20.5, 0), (at + 60_000_000, 21.0, 0)]}
    assert refused == ["4: 'x' is no time; write it like 2026-01-31 08:00:00"]


def test_a_row_a_sample_with_units_and_qualities() -> None:
    lines = [
        "Zeitstempel;Tag;Wert;Einheit;Status",
        "31.01.2026 08:00;P-1/t;1.234,5;°F;192",
        '31.01.2026 08:00;"P-1;x";7;;good',
        "31.01.2026 08:01;P-1/t;;;0",
        "31.01.2026 08:02;P-1/t;;;192",
        "31.01.2026 08:03;P-1/t;3;;odd",
        "31.01.2026 08:04;;3;;good",
    ]
    shape = Shape(zone=BERLIN, decimal=",", quality={"192": Quality.GOOD, "0": Quality.BAD})
    found, refused = read(lines, shape)
    at = us("2026-01-31T08:00:00+01:00")
    assert found["P-1;x"] == [(at, 7.0, 0)]
    assert found["P-1/t"][0] == (at, 1234.5, 0)
    assert found["P-1/t"][1][0] == at + 60_000_000 and np.isnan(found["P-1/t"][1][1]) and found["P-1/t"][1][2] == 2
    assert len(found["P-1/t"]) == 2, "a good sample without a value was not measured"
    assert [each[:2] for each in refused] == ["6:", "7:"]
    (piece,) = recorded_stream.pieces(lines, shape, unheard)
    assert {(each.tag, each.unit) for each in piece.readings} == {("P-1/t", "°F"), ("P-1/t", None), ("P-1;x", None)}


@pytest.mark.parametrize(
    ("kind", "text", "at"),
    [
        ("s", "1769846400", "2026-01-31T08:00:00Z"),
        ("s", "1769846400.25", "2026-01-31T08:00:00.25Z"),
        ("ms", "1769846400250", "2026-01-31T08:00:00.25Z"),
        ("us", "1769846400250001", "2026-01-31T08:00:00.250001Z"),
        ("ns", "1769846400250001999", "2026-01-31T08:00:00.250001Z"),
        ("excel", "46053.375", "2026-01-31T09:00:00+01:00"),
        ("%d/%m/%y %H.%M", "31/01/26 09.00", "2026-01-31T09:00:00+01:00"),
        ("%Y%m%d%H%M%S%z", "20260131080000+0000", "2026-01-31T08:00:00Z"),
    ],
)
def test_declared_times(kind: str, text: str, at: str) -> None:
    found, refused = read(["time,a", f"{text},1"], Shape(time_format=kind, zone=BERLIN))
    assert (found, refused) == ({"a": [(us(at), 1.0, 0)]}, [])


@pytest.mark.parametrize("kind", [*TimeFormat, "%d.%m.%Y"])
def test_a_time_that_is_none_is_refused_by_its_line(kind: str) -> None:
    found, refused = read(["time,a", "99999999999999999999999999,1", "nonsense,1"], Shape(time_format=kind))
    assert found == {} and [each[:2] for each in refused] == ["2:", "3:"]


def test_the_hour_that_clocks_show_twice_is_told_apart_for_each_tag() -> None:
    rows = [f"2026-10-25 {hour},{tag},1" for hour in ("02:30", "02:45", "02:30", "02:45") for tag in "ab"]
    found, _ = read(["time,tag,value", *rows], Shape(zone=BERLIN))
    wanted = [us(f"2026-10-25T{hour}Z") for hour in ("00:30", "00:45", "01:30", "01:45")]
    assert [at for at, _, _ in found["a"]] == [at for at, _, _ in found["b"]] == wanted


@pytest.mark.parametrize(
    ("encoding", "asked"),
    [("utf-8", None), ("utf-8-sig", None), ("utf-16", None), ("gbk", "gbk"), ("gb18030", "GB18030")],
)
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_gzip(tmp_path: Path, encoding: str, asked: str | None, packed: bool) -> None:
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    content = "时间,温度\r\n2026-01-31T08:00:00Z,20.5\r\n".encode(encoding)
    path.write_bytes(gzip.compress(content) if packed else content)
    feed = Feed(path, asked)
    found, refused = read(list(feed))
    assert (found, refused) == ({"温度": [(us("2026-01-31T08:00:00Z"), 20.5, 0)]}, [])
    assert feed.share == 1.0


def test_files_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "gbk.csv").write_bytes("时间,温度\n".encode("gbk"))
    with pytest.raises(BadTable, match="Name its encoding"):
        list(lines_of(tmp_path / "gbk.csv", None))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"time,a\n" * 1000)[:40])
    with pytest.raises(BadTable, match="damaged"):
        list(lines_of(tmp_path / "cut.csv.gz", None))
    for lines, words in (([], "empty"), (["time,a,a", "1,2,3"], "Two columns"), (["a,b", "1,2"], "looks like a time")):
        with pytest.raises(BadTable, match=words):
            read(lines)


@given(rows=st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from("abc"), st.floats(-1e9, 1e9)), max_size=60))
def test_pieces_hold_every_row_once_wherever_they_are_cut(rows: list[tuple[int, str, float]]) -> None:
    lines = ["time,tag,value", *(f"{1_700_000_000 + at},{tag},{value!r}" for at, tag, value in rows)]
    whole, _ = read(lines)
    small = recorded_stream.PIECE_SAMPLES
    try:
        recorded_stream.PIECE_SAMPLES = 7
        cut, refused = read(lines)
        pieces = list(recorded_stream.pieces(lines, Shape(), unheard))
    finally:
        recorded_stream.PIECE_SAMPLES = small
    assert cut == whole and refused == []
    assert pieces[-1].rows == len(rows)
    assert sum(len(each) for each in whole.values()) == len(rows)


def test_parquet_wide_and_long(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    at = [datetime(2026, 1, 31, 8, minute, tzinfo=UTC) for minute in range(3)]
    parquet.write_table(
        pa.table(
            {
                "time": pa.array(at, pa.timestamp("ns", "UTC")),
                "flow": pa.array([1, None, 3], pa.int32()),
                "temp": pa.array([1.5, float("nan"), 2.5]),
                "note": ["a", "b", "c"],
            }
        ),
        tmp_path / "wide.parquet",
    )
    found, refused = _parquet(tmp_path / "wide.parquet", Shape())
    stamps = [us(each.isoformat()) for each in at]
    assert found == {
        "flow": [(stamps[0], 1.0, 0), (stamps[2], 3.0, 0)],
        "temp": [(stamps[0], 1.5, 0), (stamps[2], 2.5, 0)],
    }
    parquet.write_table(
        pa.table(
            {
                "ts": pa.array([datetime(2026, 1, 31, 9, 0), None, datetime(2026, 1, 31, 9, 1)], pa.timestamp("us")),  # noqa: DTZ001
                "tag": pa.array(["a", "a", "b"]).dictionary_encode(),
                "value": [1.0, 2.0, 3.0],
                "quality": ["good", "good", "bad"],
                "unit": ["bar", "bar", None],
            }
        ),
        tmp_path / "long.parquet",
    )
    found, refused = _parquet(tmp_path / "long.parquet", Shape(zone=BERLIN))
    assert found == {"a": [(stamps[0], 1.0, 0)], "b": [(stamps[1], 3.0, 2)]}
    assert refused == ["2: it has no time"]
    (tmp_path / "bad.parquet").write_text("time,a\n")
    with pytest.raises(BadTable, match="no Parquet file"):
        _parquet(tmp_path / "bad.parquet", Shape())


def _parquet(path: Path, shape: Shape) -> tuple[dict[str, list[tuple[int, float, int]]], list[str]]:
    refused: list[str] = []
    found: dict[str, list[tuple[int, float, int]]] = {}
    for piece in ParquetFeed(path).pieces(shape, lambda line, why: refused.append(f"{line}: {why}")):
        for each in piece.readings:
            rows = zip(each.at_us.tolist(), each.values.tolist(), each.quality.tolist(), strict=True)
            found.setdefault(each.tag, []).extend(rows)
    return found, refused


def test_a_map_and_options_become_one_plan(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        'source = "historian"\nzone = "Asia/Shanghai"\ndecimal = "comma"\nskip = ["x"]\n'
        'quality = { good = ["192"], bad = ["0"] }\n[tags."T 1"]\nsignal = "P-1/temp"\nunit = "°F"\n'
    )
    asked = backfill._parser().parse_args(["a.csv", "--map", str(tmp_path / "m.toml"), "--tz", "UTC", "--skip", "y"])
    plan = backfill_map.plan_of(asked)
    assert (plan.source, str(plan.shape.zone), plan.shape.decimal) == ("historian", "UTC", ",")
    assert plan.shape.skip == {"x", "y"}
    assert plan.shape.quality_of("192") is Quality.GOOD and plan.shape.quality_of("OK") is Quality.GOOD
    assert plan.tags["T 1"].unit == "°F"
    bare = backfill_map.plan_of(backfill._parser().parse_args(["a.csv"]))
    assert backfill_map.for_file(bare, Path("/x/a.b.csv")).source == "a"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tz", "Mars/Olympus"], "no time zone"),
        (["--decimal", "x"], "comma or point"),
        (["--delimiter", "ab"], "one sign"),
        (["--time-format", "sundial"], "--time-format"),
        (["--map", "nowhere.toml"], "cannot be read"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(words: list[str], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        backfill_map.plan_of(backfill._parser().parse_args(["a.csv", *words]))


@pytest.mark.parametrize(
    "text", ["zone = 3", "zonne = 'UTC'", "[tags.a]\nunit = 'bar'", "x", "quality = {fine = ['1']}"]
)
def test_a_map_that_does_not_fit_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(Invalid, match=r"does not fit|classes are"):
        backfill_map.plan_of(backfill._parser().parse_args(["a.csv", "--map", str(tmp_path / "m.toml")]))
