"""Publishing a recorded table: times, batches, receipts, and what is said."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.commands import publish
from core.errors import Invalid
from edge.codecs import json as codec
from edge.delivery import Lane
from edge.publish import BATCH_SAMPLES, Outbox, Recording
from edge.receipts import Progress
from edge.recorded import BadTable, Layout, Table, Trouble, read
from edge.recorded_files import lines_of
from edge.recorded_times import step
from plant.model import Role

NOW_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000


def table(*rows: str, header: str = "timestamp,flow [m3/h],temp (K),rpm") -> Table:
    return read([header, *rows], Layout())


def hourly(rows: int) -> Table:
    return read(["a", *(f"{(n * 7) % 5}" for n in range(rows))], Layout(step=step("1h")))


def recording(found: Table, **how: Any) -> Recording:
    columns = publish.columns_of(found, units={}, setpoints=frozenset(), kept=None)
    return publish.record(found, columns, "P-1", now_us=NOW_US, **({"speed": None, "keep_time": False} | how))


def test_the_last_row_is_now() -> None:
    found = recording(hourly(5))
    assert found.at_us.tolist() == [NOW_US - HOUR_US * n for n in (4, 3, 2, 1, 0)]
    assert (found.lane, found.due_us) == (Lane.HISTORY, None)


def test_at_the_recorded_pace_the_first_row_is_now_and_each_goes_at_its_time() -> None:
    found = recording(hourly(3), speed=1.0)
    assert found.due_us is not None
    assert found.at_us.tolist() == found.due_us.tolist() == [NOW_US + HOUR_US * n for n in range(3)]
    assert found.lane is Lane.LIVE


def test_at_a_higher_pace_rows_keep_their_distance_and_the_last_one_is_now_when_it_goes() -> None:
    found = recording(hourly(3), speed=2.0)
    assert found.due_us is not None
    assert (found.due_us - NOW_US).tolist() == [0, HOUR_US // 2, HOUR_US]
    assert (found.at_us - NOW_US).tolist() == [-HOUR_US, 0, HOUR_US]
    assert np.all(found.at_us <= found.due_us)


def test_recorded_times_again_are_the_same_play_again() -> None:
    rows = ("2014-04-01 00:00,1,300,9", "2014-04-01 00:05,2,301,9")
    first, again = recording(table(*rows), keep_time=True), recording(table(*rows), keep_time=True)
    other = recording(table(rows[0], "2014-04-01 00:05,2,302,9"), keep_time=True)
    assert first.epoch == again.epoch != other.epoch
    assert first.at_us.tolist() == table(*rows).at_us.tolist()
    assert recording(table(*rows)).epoch != recording(table(*rows)).epoch


def test_units_come_from_the_header_or_the_command_line_else_none() -> None:
    found = table("2014-04-01 00:00,1,300,9")
    columns = publish.columns_of(found, units={"rpm": "1/min"}, setpoints=frozenset({"rpm"}), kept=None)
    assert [(each.code, each.unit, each.quantity, each.role) for each in columns] == [
        ("flow_m3/h", "m3/h", "flow", Role.MEASURED),
        ("temp_K", "K", "temperature", Role.MEASURED),
        ("rpm", "1/min", "rotational_speed", Role.SETPOINT),
    ]


def test_a_signal_that_stands_already_keeps_what_it_is() -> None:
    kept = {"signals": [{"code": "rpm", "name": "Speed", "unit": "rpm", "quantity": "rotational_speed",
                         "role": "setpoint", "low": 0.0, "high": 3000.0}]}  # fmt: skip
    columns = publish.columns_of(table("2014-04-01 00:00,1,2,3"), units={}, setpoints=frozenset(), kept=kept)
    assert (columns[2].name, columns[2].role, columns[2].high) == ("Speed", Role.SETPOINT, 3000.0)
    assert columns[0].name == "flow [m3/h]"


@pytest.mark.parametrize(
    ("header", "asked", "unit", "aloud"),
    [("temp (K)", {}, "K", False), ("temp (rpm)", {}, "°C", True), ("temp (K)", {"temp (K)": "°F"}, "°F", False)],
)
def test_the_table_says_the_unit_else_the_signal_does_aloud(
    header: str, asked: dict[str, str], unit: str, aloud: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = table("1700000000,1", header=f"ts,{header}")
    code = publish.columns_of(found, units=asked, setpoints=frozenset(), kept=None)[0].code
    kept = {"signals": [{"code": code, "name": "T", "unit": "°C", "quantity": "temperature",
                         "role": "measured", "low": None, "high": None}]}  # fmt: skip
    (column,) = publish.columns_of(found, units=asked, setpoints=frozenset(), kept=kept)
    assert (column.unit, column.quantity) == (unit, "temperature")
    assert ("taken as °C" in capsys.readouterr().out) is aloud


def test_names_that_are_no_codes_still_get_different_ones() -> None:
    found = table("1700000000,1,2,3", header="时间,温度,压力,a b")
    codes = [each.code for each in publish.columns_of(found, units={}, setpoints=frozenset(), kept=None)]
    assert codes == ["column1", "column2", "a_b"]


@pytest.mark.parametrize(
    ("name", "only", "code"),
    [
        ("pump 7.csv", None, "pump-7"),
        ("train_FD001.txt", "7", "train_FD001-7"),
        ("泵.csv", None, "table"),
        ("x" * 90 + ".csv", None, "x" * 64),
    ],
)
def test_asset_code_from_the_file(name: str, only: str | None, code: str) -> None:
    assert publish.code_of(Path(name), only) == code


@given(st.integers(1, 40), st.integers(1, 7), st.randoms())
def test_batches_hold_every_number_once(rows: int, wide: int, chance: Any) -> None:
    values = np.array([[chance.choice([1.5, -2.0, np.nan]) for _ in range(wide)] for _ in range(rows)])
    at_us = NOW_US + np.arange(rows) * 1_000_000
    tags = tuple(f"P-1/s{n}" for n in range(wide))
    made = Recording("e", tags, ("1",) * wide, at_us, values, Lane.HISTORY)
    heard: dict[tuple[str, int], float] = {}
    for seq, first in enumerate(range(0, rows, 6), 1):
        payload = codec.encode(made.message("dev", seq, slice(first, first + 6)))
        message = codec.decode(payload, source="dev", tag=None, heard_us=0)
        assert (message.epoch, message.seq, message.lane, message.faults) == ("e", seq, Lane.HISTORY, ())
        for each in message.readings:
            for at, value in zip(each.at_us, each.values, strict=True):
                assert heard.setdefault((each.tag, int(at)), float(value)) == value
    assert len(heard) == int(np.isfinite(values).sum())


def test_a_full_batch_of_long_numbers_fits_a_message() -> None:
    rows = BATCH_SAMPLES // 2
    values = np.full((rows, 2), -1.2345678901234567e-300)
    at_us = NOW_US + np.arange(rows) * 86_400_000_000
    made = Recording("e" * 32, ("P" * 64 + "/a", "P" * 64 + "/b"), ("1", "1"), at_us, values, Lane.HISTORY)
    assert made.batch_rows() == rows
    assert len(codec.encode(made.message("dev", 1, slice(0, rows)))) < codec.MAX_BYTES


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_a_batch_is_kept_until_a_receipt_covers_it(order: list[int], stored: int) -> None:
    outbox, progress = Outbox("e"), Progress()
    for seq in range(1, 9):
        outbox.put(seq, b"%d" % seq, now_s=0.0)
    for seq in order[:stored]:
        progress.add(seq)
    assert outbox.confirm(progress.receipt("another")) == 0
    assert outbox.confirm(progress.receipt("e")) == stored
    assert outbox.overdue(now_s=9.0, after_s=10.0) == []
    assert outbox.overdue(now_s=10.0, after_s=10.0) == [b"%d" % seq for seq in sorted(order[stored:])]
    assert outbox.overdue(now_s=11.0, after_s=10.0) == []


def test_every_bad_line_is_said() -> None:
    said = publish.troubles_said([Trouble(line, "bad") for line in (*range(2, 25), 40)])
    assert said[0] == "line 2: bad"
    assert said[-1] == "4 more like these in lines 22–24, 40"


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Zeit;Größe".encode("cp1252"))
    with pytest.raises(BadTable, match="--encoding"):
        list(lines_of(path, None))
    assert list(lines_of(path, "cp1252")) == ["Zeit;Größe"]
    path.write_text("ts,a\n1700000000,1\n", "utf-16")
    assert list(lines_of(path, None)) == ["ts,a\n", "1700000000,1\n"]
    with pytest.raises(BadTable, match="No such file"):
        list(lines_of(tmp_path / "none.csv", None))
    with pytest.raises(BadTable, match="directory"):
        list(lines_of(tmp_path, None))


@pytest.mark.parametrize(
    "words",
    [
        ["--speed", "0.5"],
        ["--speed", "nan"],
        ["--speed", "2", "--keep-time"],
        ["--time-step", "1h", "--keep-time"],
        ["--tz", "Mars/Olympus"],
        ["--tz", "../../etc/passwd"],
        ["--delimiter", "ab"],
        ["--time-step", "soon"],
        ["--unit", "b=mm/s"],
        ["--unit", "a"],
        ["--unit", "a=furlong"],
        ["--setpoint", "b"],
    ],
)
def test_options_that_do_not_fit(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ts,a\n1700000000,1\n")
    with pytest.raises(Invalid):
        publish.prepare([str(path), *words])


def test_what_is_asked_by_default(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ts,a\n1700000000,1\n")
    found = publish.prepare([str(path)])
    assert isinstance(found.asked, argparse.Namespace)
    assert (found.code, found.table.columns, found.units, found.setpoints) == ("a", ("a",), {}, frozenset())
