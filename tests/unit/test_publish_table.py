"""Recorded tables: what people's files look like, and what is wrong with them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import recorded
from edge.recorded import BadTable, Layout, Left, Order, read
from edge.recorded_cells import EXACT
from edge.recorded_times import BadMoment, Zone, moment, step

DATA = os.environ.get("MILLWRIGHT_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MILLWRIGHT_DATA does not name the folder of public data sets")


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def test_plain_csv_with_times_that_name_no_zone() -> None:
    table = read(["timestamp,value", "2014-04-01 00:00:00,20.0", "2014-04-01 00:05:00,21.5"], Layout())
    assert table.columns == ("value",)
    assert table.at_us.tolist() == [us("2014-04-01T00:00:00+00:00"), us("2014-04-01T00:05:00+00:00")]
    assert table.values.tolist() == [[20.0], [21.5]]
    assert (table.zone, table.rows, table.period_s, table.troubles) == (Zone.ASSUMED, 2, 300.0, ())


def test_semicolons_decimal_commas_and_a_byte_order_of_days() -> None:
    lines = ["Zeit;Druck [bar];Status", "31.01.2026 08:00;3,25;ok", "31.01.2026 08:01;3,5;ok", ""]
    table = read(lines, Layout(zone=ZoneInfo("Europe/Berlin")))
    assert table.delimiter == ";"
    assert table.at_us[0] == us("2026-01-31T08:00:00+01:00")
    assert table.values[:, 0].tolist() == [3.25, 3.5]
    assert table.left == {"Status": Left.TEXT}


@pytest.mark.parametrize("sign", [",", ";", "\t", " "])
def test_every_delimiter_is_found(sign: str) -> None:
    lines = [sign.join(row) for row in (["ts", "a", "b"], ["1700000000", "1", "2"], ["1700000060", "3", "4"])]
    table = read(lines, Layout())
    assert table.delimiter == sign
    assert table.values.tolist() == [[1, 2], [3, 4]]


def test_table_without_header_and_time_one_machine_of_many() -> None:
    lines = ["1 1 0.1 5.0  ", "1 2 0.2 5.0  ", "2 1 9.9 5.0  ", "2 2 9.8 5.0  ", "2 3 9.7 5.0  "]
    layout = Layout(columns=recorded.names("unit,cycle,s1..s2"), id_column="unit", only="2", step=timedelta(hours=1))
    table = read(lines, layout)
    assert table.columns == ("s1", "s2")
    assert table.left == {"cycle": Left.COUNTER}
    assert table.at_us.tolist() == [0, 3_600_000_000, 7_200_000_000]
    assert table.values[:, 0].tolist() == [9.9, 9.8, 9.7]
    assert (table.rows, table.others, table.zone) == (3, 2, Zone.NONE_NEEDED)


def test_what_cannot_be_read_is_named_by_its_line_and_the_rest_is_kept() -> None:
    lines = [
        "time,flow,level",
        "2026-01-01T00:00:00Z,1.5,2",
        "2026-01-01T00:01:00Z,oops,3",
        "yesterday,1.7,4",
        "2026-01-01T00:03:00Z,1.8",
        "2026-01-01T00:04:00Z,,inf",
        "2026-01-01T00:05:00Z,1_000,99999999999999999999",
    ]
    table = read(lines, Layout())
    assert [each.line for each in table.troubles] == [3, 4, 5, 6, 7, 7]
    assert "'oops' in 'flow'" in table.troubles[0].why
    assert "'yesterday' is no time" in table.troubles[1].why
    assert "2 cells, not 3" in table.troubles[2].why
    assert (table.rows, table.lost_rows, len(table.at_us)) == (6, 2, 4)
    assert np.isfinite(table.values).sum(axis=0).tolist() == [1, 2]


def test_a_lost_row_keeps_its_place_when_rows_are_counted() -> None:
    table = read(["a,b", "1,5", "broken", "3,7"], Layout(step=timedelta(seconds=10)))
    assert table.at_us.tolist() == [0, 20_000_000]


def test_samples_that_are_there_twice_are_counted() -> None:
    table = read(["ts,a,b", "1700000000,1,1", "1700000000,1,2", "1700000000,1,", "1700000060,1,1"], Layout())
    assert table.twins == 2


def test_rows_out_of_order_are_sorted_and_said() -> None:
    table = read(["ts,a", "1700000060,2", "1700000000,1"], Layout())
    assert table.values[:, 0].tolist() == [1, 2]
    assert table.order is Order.SORTED


@pytest.mark.parametrize(
    ("lines", "layout", "says"),
    [
        ([], Layout(), "is empty"),
        (["a,b"], Layout(step=timedelta(1)), "no rows"),
        (["1,2", "3,4"], Layout(), "--columns"),
        (["a,b", "1,2"], Layout(), "--time-column"),
        (["time,time", "1,2"], Layout(), "Two columns"),
        (["time,a", "x,1"], Layout(), "Line 2: 'x' is no time"),
        (["time,a", "1700000000,x"], Layout(), "No column is left"),
        (["time,a\0", "1,2"], Layout(), "NUL"),
        (["time," + "a" * 200_000, "1,2"], Layout(), "first line"),
        (["time,a", "1700000000,1"], Layout(id_column="unit"), "no column 'unit'"),
        (["time,a", "1700000000,1"], Layout(only="7"), "--id-column"),
        (["time,u,a", "1700000000,1,1", "1700000001,2,1"], Layout(id_column="u"), "Play one: --only 1"),
        (["time,u,a", "1700000000,1,1"], Layout(id_column="u", only="9"), "No row has '9'"),
        (["time,a", "1700000000,1"], Layout(time_column="time", step=timedelta(1)), "not both"),
    ],
)
def test_bad_tables_give_one_clear_sentence(lines: list[str], layout: Layout, says: str) -> None:
    with pytest.raises(BadTable, match=r"^[A-Z'-]") as caught:
        read(lines, layout)
    assert says in caught.value.message


@pytest.mark.parametrize("text", ["a,,b", "s9..s1", "s1..t5"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(BadTable):
        recorded.names(text)


@pytest.mark.parametrize(
    ("text", "at", "zoned"),
    [
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00+00:00", True),
        ("2026-01-31 08:00:00.250 +0800", "2026-01-31T00:00:00.250+00:00", True),
        ("2026/1/31 8:00", "2026-01-31T08:00:00+00:00", False),
        ("31.01.2026", "2026-01-31T00:00:00+00:00", False),
        ("1769846400", "2026-01-31T08:00:00+00:00", True),
        ("1769846400.5", "2026-01-31T08:00:00.500+00:00", True),
        ("1769846400000", "2026-01-31T08:00:00+00:00", True),
        ("1769846400000000", "2026-01-31T08:00:00+00:00", True),
        ("1769846400000000000", "2026-01-31T08:00:00+00:00", True),
    ],
)
def test_times_as_tables_write_them(text: str, at: str, zoned: bool) -> None:
    found = moment(text, None)
    assert (found.at_us, found.zoned) == (us(at), zoned)


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30 00:00", "1601-01-01 00:00:00", "25:00", "2026-01-31T08:00:00+99:99"]
)
def test_texts_that_are_no_times(text: str) -> None:
    with pytest.raises(BadMoment):
        moment(text, UTC)


def test_the_hour_that_autumn_shows_twice_goes_on_rising() -> None:
    lines = ["time,a", *(f"2025-10-26 {clock},1" for clock in ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00"))]
    table = read(lines, Layout(zone=ZoneInfo("Europe/Berlin")))
    assert np.diff(table.at_us).tolist() == [1_800_000_000] * 5


@pytest.mark.parametrize("text", ["", "1", "0s", "1 week", "40d", "-1h"])
def test_steps_that_are_none(text: str) -> None:
    with pytest.raises(BadMoment):
        step(text)


@given(st.lists(st.text(max_size=40), max_size=12))
def test_no_text_is_too_strange(lines: list[str]) -> None:
    """Whatever stands in a file: a table or BadTable, and every row is accounted for."""
    try:
        table = read(["time,a,b", *lines], Layout())
    except BadTable:
        return
    assert table.rows == len(table.at_us) + table.lost_rows


@given(
    st.lists(
        st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=2, max_size=2),
        min_size=1,
        max_size=30,
    )
)
def test_numbers_come_back_as_they_were_written(rows: list[list[float | None]]) -> None:
    whole = [[1.0, 1.0], *rows]
    lines = [",".join("" if cell is None else repr(cell) for cell in row) for row in whole]
    table = read(lines, Layout(columns=("a", "b"), step=timedelta(seconds=7)))
    kept = [[np.nan if cell is None or abs(cell) >= EXACT else cell for cell in row] for row in whole]
    expected = np.array(kept, float)
    names = [name for name in ("a", "b") if name in table.columns]
    assert np.array_equal(table.values, expected[:, [("a", "b").index(name) for name in names]], equal_nan=True)


@needs_data
def test_every_public_series_is_read_whole() -> None:
    files = sorted(Path(str(DATA)).glob("nab/data/**/*.csv"))
    if not files:
        pytest.skip("MILLWRIGHT_DATA has no nab/data")
    for path in files:
        lines = path.read_text().splitlines()
        table = read(lines, Layout())
        assert (table.rows, table.lost_rows, table.troubles) == (len(lines) - 1, 0, ()), path.name
